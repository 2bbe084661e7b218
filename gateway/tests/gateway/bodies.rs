//! Request bodies as clients really send them: encoded, chunked, huge, or not JSON at all.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Method;
use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Script,
    client::Reply,
    raw::{self, Raw},
};

use crate::stage::{ALICE, CHAT, MODEL, Stage, UPSTREAM_MODEL, chat, with};

const MIB: usize = 1024 * 1024;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn encoded(client: &Client, encoding: &str, body: Vec<u8>) -> Reply {
    let request = client
        .request(Method::POST, CHAT)
        .header("content-type", "application/json")
        .header("content-encoding", encoding)
        .body(Bytes::from(body))
        .unwrap();
    client.send(request).await
}

#[tokio::test]
async fn what_is_not_one_json_object_is_400() {
    let stage = Stage::new().await;
    let good = chat().to_string();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, Vec<u8>, &str); 13] = [
        ("empty", Vec::new(), "invalid_json"),
        ("text", b"hello".to_vec(), "invalid_json"),
        ("array", b"[]".to_vec(), "invalid_json"),
        ("string", b"\"x\"".to_vec(), "invalid_json"),
        ("trailing data", format!("{good}{{}}").into_bytes(), "invalid_json"),
        ("trailing comma", b"{\"model\":\"gpt-test\",}".to_vec(), "invalid_json"),
        ("single quotes", b"{'model':'gpt-test'}".to_vec(), "invalid_json"),
        ("bare control character", b"{\"model\":\"gpt\n-test\"}".to_vec(), "invalid_json"),
        ("byte order mark", [b"\xef\xbb\xbf", good.as_bytes()].concat(), "byte_order_mark"),
        ("utf-16", utf16, "utf16_body"),
        (
            "invalid utf-8",
            good.replace("Hi", "\u{1}")
                .replace('\u{1}', "H")
                .into_bytes()
                .iter()
                .map(|byte| if *byte == b'H' { 0xff } else { *byte })
                .collect(),
            "invalid_utf8",
        ),
        ("model of a wrong type", with(chat(), "model", json!(7)).to_string().into_bytes(), "invalid_type"),
        ("no model", b"{\"messages\":[]}".to_vec(), "missing_required_parameter"),
    ];
    for (what, body, code) in cases {
        let reply = stage.alice().post_bytes(CHAT, body).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (400, code), "{what}: {}", reply.text());
    }
    assert!(stage.upstream.log().is_empty());
    stage.still_serves().await;
}

#[tokio::test]
async fn a_key_given_twice_is_400_whatever_its_escapes() {
    let stage = Stage::new().await;
    let messages = r#""messages":[{"role":"user","content":"Hi","content":"again"}]"#;
    let twice = [
        format!(r#"{{"model":"gpt-test","model":"gpt-test",{messages}}}"#),
        format!(r#"{{"model":"gpt-test","mod\u0065l":"secret-model",{messages}}}"#),
        format!(r#"{{"stream":false,"model":"gpt-test",{messages},"str\u0065am":true}}"#),
    ];
    for body in twice {
        let reply = stage.alice().post_bytes(CHAT, body.clone()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (400, "duplicate_key"), "{body}");
    }
    assert!(stage.upstream.log().is_empty());
    // What the gateway does not read is the upstream's business.
    let deeper = format!(r#"{{"model":"gpt-test",{messages}}}"#);
    assert_eq!(stage.alice().post_bytes(CHAT, deeper).await.status, 200);
}

#[tokio::test]
async fn deep_nesting_does_no_harm() {
    let stage = Stage::new().await;
    for depth in [1_000, 200_000] {
        let body = format!(r#"{{"model":"{MODEL}","messages":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        let status = stage.alice().post_bytes(CHAT, body).await.status;
        assert!(status == 400, "{depth}: {status}");
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn ten_megabytes_go_both_ways() {
    let stage = Stage::new().await;
    stage.upstream.next(Script::of_size(10 * MIB));
    let body = with(chat(), "messages", json!([{"role": "user", "content": "y".repeat(10 * MIB)}])).to_string();
    let reply = stage.alice().post_bytes(CHAT, body.clone()).await;
    assert_eq!(reply.status, 200);
    assert!(reply.complete);
    let answer = reply.json();
    assert_eq!(answer["choices"][0]["message"]["content"].as_str().unwrap().len(), 10 * MIB);
    assert_eq!(answer["model"], MODEL, "restamped in large answers too");
    let sent = body.replace(&format!("\"model\":\"{MODEL}\""), &format!("\"model\":\"{UPSTREAM_MODEL}\""));
    assert!(stage.upstream.only().body == sent, "the body arrived as sent");
    stage.settles().await;
}

#[tokio::test]
async fn more_than_the_limit_is_413_before_it_is_sent() {
    let stage = Stage::new().await;
    let head = |length: &str| {
        format!(
            "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ALICE}\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
        )
    };
    // Announced: refused on the announcement.
    let mut announced = Raw::connect(stage.gateway.public).await;
    announced.write(head(&format!("content-length: {}", 32 * MIB + 1)).as_bytes()).await;
    let answer = announced.read_until("an answer", |bytes| bytes.ends_with(b"}")).await;
    let answer = raw::parse(&answer);
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(serde_json::from_slice::<Value>(&answer.body).unwrap()["error"]["code"] == "request_too_large");
    // Not announced: refused where the limit is crossed.
    let mut chunked = Raw::connect(stage.gateway.public).await;
    chunked.write(head("transfer-encoding: chunked").as_bytes()).await;
    let chunk = [format!("{MIB:x}\r\n").as_bytes(), &vec![b' '; MIB], b"\r\n"].concat();
    for _ in 0..33 {
        if !chunked.write(&chunk).await {
            break;
        }
    }
    let answer = chunked.read_until("an answer", |bytes| bytes.ends_with(b"}")).await;
    assert_eq!(raw::parse(&answer).status, 413);
    assert!(stage.upstream.log().is_empty());
    stage.still_serves().await;
}

#[tokio::test]
async fn gzip_is_decoded_within_bounds_and_nothing_else_is() {
    let stage = Stage::new().await;
    let alice = stage.alice();
    let body = chat().to_string();
    assert_eq!(encoded(&alice, "gzip", gzip(body.as_bytes())).await.status, 200);
    assert_eq!(stage.upstream.only().json()["model"], UPSTREAM_MODEL);
    assert_eq!(encoded(&alice, "identity", body.clone().into_bytes()).await.status, 200);

    let bomb = gzip(&vec![b' '; 64 * MIB]);
    assert!(bomb.len() < MIB);
    let reply = encoded(&alice, "gzip", bomb).await;
    assert_eq!((reply.status, reply.error_code().as_str()), (413, "request_too_large"));
    let mut torn = gzip(body.as_bytes());
    torn.truncate(torn.len() - 9);
    for broken in [torn, b"not gzip at all".to_vec()] {
        assert_eq!(encoded(&alice, "gzip", broken).await.status, 400);
    }
    for other in ["br", "zstd", "deflate", "gzip, gzip"] {
        let reply = encoded(&alice, other, body.clone().into_bytes()).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (415, "unsupported_content_encoding"), "{other}");
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn chunked_bodies_and_expect_continue_are_served() {
    let stage = Stage::new().await;
    let body = chat().to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ALICE}\r\ncontent-type: application/json\r\nconnection: close\r\n"
    );
    let pieces: Vec<String> = body.chars().map(|byte| format!("1\r\n{byte}\r\n")).collect();
    let pieces = pieces.concat();
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{pieces}0\r\n\r\n");
    assert_eq!(raw::exchange(stage.gateway.public, chunked.as_bytes()).await.status, 200);
    assert_eq!(stage.upstream.only().json()["messages"], chat()["messages"]);

    let mut patient = Raw::connect(stage.gateway.public).await;
    patient.write(format!("{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes()).await;
    let go_on = patient.read_until("100 Continue", |bytes| bytes.ends_with(b"\r\n\r\n")).await;
    assert_eq!(raw::parse(&go_on).status, 100);
    patient.write(body.as_bytes()).await;
    assert_eq!(raw::parse(&patient.read_to_end().await).status, 200);
}

#[tokio::test]
async fn a_content_type_that_is_not_json_is_still_read_as_json() {
    // curl's default is a form's; the real API takes JSON by any name, and what goes upstream is always named right.
    let stage = Stage::new().await;
    let alice = stage.alice();
    let request = alice
        .request(Method::POST, CHAT)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(chat().to_string()))
        .unwrap();
    assert_eq!(alice.send(request).await.status, 200);
    assert_eq!(stage.upstream.only().header("content-type"), Some("application/json"));
}
