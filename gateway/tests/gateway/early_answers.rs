//! Upstreams that answer before they have read the request.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use turnpike_testkit::manifest;

use crate::stage::{ALICE, CHAT, chat, setup, with};

#[tokio::test]
async fn an_answer_counts_even_if_the_rest_of_the_request_is_never_read() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_exact(&mut [0; 1024]).await.unwrap();
        // Interim answers do not end the request.
        socket.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await.unwrap();
        socket.read_exact(&mut vec![0; 1 << 20]).await.unwrap();
        let body = r#"{"error":{"message":"too large for me","type":"invalid_request_error"}}"#;
        let answer = format!("HTTP/1.1 413 Too Large\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        socket.write_all(answer.as_bytes()).await.unwrap();
        // Neither reads on nor closes.
        std::future::pending::<()>().await;
    });
    let objects = [manifest::model("early", &base), manifest::key("alice", ALICE)];
    let gateway = setup().manifests(&objects).start().await;
    let client = gateway.client().with_key(ALICE);
    let text = "x".repeat(24 << 20);
    let request = with(with(chat(), "model", json!("early")), "messages", json!([{"role": "user", "content": text}]));
    let reply = tokio::time::timeout(Duration::from_secs(30), client.post(CHAT, &request)).await.unwrap();
    assert_eq!(reply.status, 413, "{reply:?}");
    assert_eq!(reply.json()["error"]["message"], "too large for me");
    server.abort();
}
