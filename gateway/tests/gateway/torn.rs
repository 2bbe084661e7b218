//! Requests that never arrive whole: cut at every byte, malformed heads, clients that vanish while sending.

use turnpike_testkit::raw::{self, Raw};

use crate::stage::{ALICE, CHAT, Stage, chat, streamed};

fn head(extra: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ALICE}\r\ncontent-type: application/json\r\n{extra}\r\n\r\n"
    )
}

#[tokio::test]
async fn a_body_cut_at_every_byte_is_refused_and_forgotten() {
    let stage = Stage::new().await;
    let body = streamed().to_string();
    for cut in 0..body.len() {
        // Announced whole, sent in part.
        let request = format!("{}{}", head(&format!("content-length: {}", body.len())), &body[..cut]);
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(request.as_bytes()).await;
        raw.finish().await;
        let reply = raw::parse(&raw.read_to_end().await);
        assert!(reply.status == 400 || reply.status == 0, "cut at {cut}: {reply:?}");
        // A whole body of broken JSON.
        let reply = stage.alice().post_bytes(CHAT, body[..cut].to_owned()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "invalid_json"), "cut at {cut}");
    }
    assert!(stage.upstream.log().is_empty(), "nothing of it reached the upstream");
    stage.still_serves().await;
}

#[tokio::test]
async fn a_chunked_body_cut_at_every_byte_is_refused_and_forgotten() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    let (first, second) = body.split_at(20);
    let request = format!("{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n", first.len(), second.len());
    for cut in 0..request.len() {
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(format!("{}{}", head("transfer-encoding: chunked"), &request[..cut]).as_bytes()).await;
        raw.finish().await;
        let reply = raw::parse(&raw.read_to_end().await);
        assert!(reply.status == 400 || reply.status == 0, "cut at {cut}: {reply:?}");
    }
    assert!(stage.upstream.log().is_empty());
    stage.still_serves().await;
}

#[tokio::test]
async fn clients_that_reset_while_sending_leave_nothing_behind() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    for cut in (0..body.len()).step_by(7) {
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(format!("{}{}", head(&format!("content-length: {}", body.len())), &body[..cut]).as_bytes()).await;
        raw.reset();
    }
    stage.still_serves().await;
    assert_eq!(stage.upstream.log().len(), 1, "only the last, whole request went upstream");
}

#[tokio::test]
async fn malformed_requests_are_answered_or_closed() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    let length = body.len();
    let malformed = [
        "GET\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}".repeat(40),
        format!("POST {CHAT} HTTP/9.9\r\n\r\n"),
        head("content-length: -1"),
        head("content-length: 5x") + &body,
        head(&format!("content-length: {length}\r\ncontent-length: 5")) + &body,
        head(&format!("content-length: {length}\r\ntransfer-encoding: chunked")) + &body,
        head("transfer-encoding: chunked") + "zz\r\n",
        head("transfer-encoding: identity, chunked, gzip") + &body,
        head("bad header") + &body,
        head("x-nul: a\0b") + &body,
        format!("POST /{} HTTP/1.1\r\nhost: x\r\n\r\n", "a".repeat(100_000)),
        format!("POST {CHAT} HTTP/1.1\r\n{}\r\n", "x-many: 1\r\n".repeat(2_000)),
    ];
    for request in malformed {
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(request.as_bytes()).await;
        raw.finish().await;
        let status = raw::parse(&raw.read_to_end().await).status;
        let shown = &request[..request.len().min(200)];
        assert!(status == 0 || (400..500).contains(&status), "{status} to {shown:?}");
    }
    assert!(stage.upstream.log().is_empty(), "nothing malformed goes on");
    stage.still_serves().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    let one = head(&format!("content-length: {}", body.len())) + &body;
    let last = head(&format!("content-length: {}\r\nconnection: close", body.len())) + &body;
    let mut raw = Raw::connect(stage.gateway.public).await;
    raw.write((one.clone() + &one + &last).as_bytes()).await;
    let all = String::from_utf8(raw.read_to_end().await).unwrap();
    assert_eq!(all.matches("HTTP/1.1 200 OK").count(), 3, "{all}");
}

/// Clients write head and body one after the other; a refusal in between must not cost them the connection.
#[tokio::test]
async fn a_refused_client_that_is_still_sending_keeps_its_connection() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    let good = head(&format!("content-length: {}\r\nconnection: close", body.len())) + &body;
    let refused = head(&format!("content-length: {}", body.len())).replace(ALICE, "sk-of-nobody-0123456789abcdef");
    let mut raw = Raw::connect(stage.gateway.public).await;
    raw.write(refused.as_bytes()).await;
    // It is refused before its body comes, and told so afterwards.
    stage.gateway.metric_is("litellm_proxy_failed_requests_metric_total", r#"exception_status="401""#, 1.0).await;
    raw.write(body.as_bytes()).await;
    let first = raw.read_until("the refusal", |bytes| bytes.windows(4).any(|end| end == b"\r\n\r\n")).await;
    assert!(first.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&first));
    raw.write(good.as_bytes()).await;
    let rest = String::from_utf8(raw.read_to_end().await).unwrap();
    assert!(rest.contains("HTTP/1.1 200 OK"), "{rest}");
}
