//! What the client of a stream hears while it waits for an engine, and how many may wait.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, sleep};
use turnpike_gateway::{demand::Interest, pipeline::keepalive::kept_alive};
use turnpike_llm::provider::Dialect;

const BODY: &str = r#"{"error":{"message":"no"}}"#;

/// An answer after so many seconds.
async fn after(seconds: u64, answer: Response) -> Response {
    sleep(Duration::from_secs(seconds)).await;
    answer
}

fn failed() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, BODY).into_response()
}

/// Each frame with the second in which it came.
async fn heard(response: Response, began: Instant) -> Vec<(u64, String)> {
    let mut body: Body = response.into_body();
    let mut heard = Vec::new();
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        heard.push((began.elapsed().as_secs(), String::from_utf8(data.to_vec()).unwrap()));
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn what_is_answered_soon_is_answered_as_ever() {
    let response = kept_alive(Box::pin(after(14, failed())), Dialect::OpenAi).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), BODY);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_kept_alive_until_its_first_event() {
    let began = Instant::now();
    let answer = after(40, "data: {}\n\ndata: [DONE]\n\n".into_response());
    let response = kept_alive(Box::pin(answer), Dialect::OpenAi).await;
    assert_eq!((response.status(), began.elapsed().as_secs()), (StatusCode::OK, 15));
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
    let comment = ": keepalive\n\n".to_owned();
    let events = "data: {}\n\ndata: [DONE]\n\n".to_owned();
    assert_eq!(heard(response, began).await, [(15, comment.clone()), (30, comment), (40, events)]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_later_is_one_last_event() {
    let cases = [
        (Dialect::OpenAi, format!("data: {BODY}\n\n")),
        (Dialect::Anthropic, format!("event: error\ndata: {BODY}\n\n")),
        (Dialect::Responses, "event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"no\"}}\n\n".to_owned()),
    ];
    for (dialect, event) in cases {
        let began = Instant::now();
        let response = kept_alive(Box::pin(after(20, failed())), dialect).await;
        assert_eq!(response.status(), StatusCode::OK);
        let heard = heard(response, began).await;
        assert_eq!(heard, [(15, ": keepalive\n\n".to_owned()), (20, event)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_the_wait() {
    let (held, dropped) = tokio::sync::oneshot::channel::<()>();
    let answer = async move {
        let _held = held;
        after(3600, failed()).await
    };
    let response = kept_alive(Box::pin(answer), Dialect::OpenAi).await;
    drop(response);
    assert!(dropped.await.is_err());
}

#[test]
fn a_thousand_wait_for_one_engine_and_no_more() {
    let interest = Interest::default();
    let mut places: Vec<_> = (0..1000).map(|_| interest.held.take(1).unwrap()).collect();
    assert!(interest.held.take(1).is_err());
    places.pop();
    assert!(interest.held.take(1).is_ok(), "who leaves makes room");
}
