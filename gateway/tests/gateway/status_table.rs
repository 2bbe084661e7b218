//! The one table from failures to statuses, row by row. Budgets and rate limits have no rows yet.

use serde_json::json;
use turnpike_testkit::{Script, client::Reply, upstream};

use crate::stage::{CHAT, Stage, UPSTREAM_KEY, chat, model, streamed, with};

async fn answer(stage: &Stage, script: Script) -> Reply {
    stage.upstream.next(script);
    stage.alice().post(CHAT, &chat()).await
}

fn row(reply: &Reply) -> (u16, String, Option<&str>) {
    (reply.status, reply.error_code(), reply.header("x-should-retry"))
}

#[tokio::test]
async fn an_upstream_that_refuses_our_key_is_502_and_not_worth_a_retry() {
    let stage = Stage::new().await;
    for status in [401, 403] {
        let message = format!("Incorrect API key provided: {UPSTREAM_KEY}. You can find your key at ...");
        let reply = answer(&stage, Script::error(status, &message, "invalid_api_key")).await;
        assert_eq!(row(&reply), (502, "backend_authentication_failed".to_owned(), Some("false")));
        assert!(!reply.text().contains(UPSTREAM_KEY), "the upstream's key is never shown: {}", reply.text());
    }
}

#[tokio::test]
async fn an_upstream_s_rate_limit_is_passed_on_with_its_wait() {
    let stage = Stage::new().await;
    let limited = Script::error(429, "Rate limit reached", "rate_limit_exceeded");
    let reply = answer(&stage, limited.clone().header("retry-after", "7")).await;
    assert_eq!(
        (reply.status, reply.error_code().as_str(), reply.header("retry-after")),
        (429, "rate_limit_exceeded", Some("7"))
    );
    assert_eq!(reply.header("retry-after-ms"), Some("7000"));
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("Rate limit reached"));
    let precise = answer(&stage, limited.clone().header("retry-after-ms", "1500").header("retry-after", "2")).await;
    assert_eq!((precise.header("retry-after-ms"), precise.header("retry-after")), (Some("1500"), Some("2")));
    let silent = answer(&stage, limited).await;
    assert_eq!((silent.status, silent.header("retry-after")), (429, None));
}

#[tokio::test]
async fn the_client_s_own_fault_keeps_the_upstream_s_words() {
    let stage = Stage::new().await;
    let body = json!({"error": {"message": "Unknown value: 'x'.", "type": "invalid_request_error", "param": "tools[0].type", "code": "invalid_value"}});
    let reply = answer(&stage, Script::raw("application/json", body.to_string()).status(400)).await;
    assert_eq!((reply.status, reply.json()), (400, body));
    let too_long = Script::error(400, "This model's maximum context length is 8192 tokens.", "context_length_exceeded");
    assert_eq!(row(&answer(&stage, too_long).await), (400, "context_length_exceeded".to_owned(), None));
    let unknown =
        answer(&stage, Script::error(404, "The model `upstream-gpt` does not exist", "model_not_found")).await;
    assert_eq!(unknown.status, 404);
    let unprocessable = answer(
        &stage,
        Script::raw("application/json", r#"{"detail":[{"loc":["body","n"],"msg":"too many"}]}"#).status(422),
    )
    .await;
    assert_eq!(unprocessable.status, 422);
    assert!(unprocessable.text().contains("too many"), "{}", unprocessable.text());
}

#[tokio::test]
async fn an_upstream_s_own_failure_is_5xx() {
    let stage = Stage::new().await;
    for (status, shown) in [(500, 500), (502, 502), (503, 503), (529, 529), (402, 502), (301, 502), (204, 502)] {
        let reply = answer(&stage, Script::error(status, "it broke", "server_error")).await;
        assert_eq!(reply.status, shown, "{status}: {reply:?}");
        reply.error_code();
    }
    for (status, shown) in [(408, 504), (504, 504), (524, 504)] {
        assert_eq!(answer(&stage, Script::error(status, "took too long", "timeout")).await.status, shown, "{status}");
    }
    let busy = answer(&stage, Script::error(503, "overloaded", "overloaded").header("retry-after", "3")).await;
    assert_eq!((busy.status, busy.header("retry-after")), (503, Some("3")));
}

#[tokio::test]
async fn what_is_not_an_answer_is_502() {
    let stage = Stage::new().await;
    let cases = [
        ("a page for humans", Script::html()),
        ("an error page", Script::html().status(500)),
        ("not json", Script::raw("application/json", "{\"choices\": [")),
        ("an array", Script::raw("application/json", "[]")),
        ("nothing", Script::raw("application/json", "")),
        ("closed without an answer", Script::hang_up()),
        ("reset without an answer", Script::reset()),
        ("another protocol", Script::garbage("SSH-2.0-OpenSSH_9.2\r\n")),
        ("half a head", Script::garbage("HTTP/1.1 200 OK\r\ncontent-le")),
        ("a body cut short", Script::chat("Hello there").cut(30, upstream::Cut::Close)),
        ("a body reset", Script::chat("Hello there").cut(30, upstream::Cut::Reset)),
        ("invalid utf-8", Script::raw("application/json", &b"{\"model\":\"\xff\",\"choices\":[]}"[..])),
    ];
    for (what, script) in cases {
        // A reused connection that dies is tried once more: the queue holds a second one of each.
        stage.upstream.next(script.clone());
        let reply = answer(&stage, script).await;
        let expected = if what == "an error page" { 500 } else { 502 };
        assert_eq!(reply.status, expected, "{what}: {reply:?}");
        reply.error_code();
        assert!(!reply.text().contains("127.0.0.1"), "{what}: names no address: {}", reply.text());
        // Take what is left of the pair.
        while stage.alice().post(CHAT, &chat()).await.status != 200 {}
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_503() {
    let refused = upstream::refused_url().await;
    let stage =
        Stage::with(|setup, upstream| setup.manifests(&[model("down", upstream).with("provider.baseURL", refused)]))
            .await;
    for body in [chat(), streamed()] {
        let reply = stage.alice().post(CHAT, &with(body, "model", json!("down"))).await;
        assert_eq!((reply.status, reply.error_code().as_str()), (503, "backend_unreachable"), "{reply:?}");
        assert!(reply.header("retry-after").is_some());
        assert!(!reply.text().contains("127.0.0.1"), "names no address: {}", reply.text());
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn a_reused_connection_that_died_is_replaced_once() {
    // One runtime: each has connections of its own.
    let stage = Stage::with(|setup, _| setup.arg("--runtimes").arg("1")).await;
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200);
    // The upstream's keep-alive ran out while the connection lay idle.
    stage.upstream.next(Script::hang_up());
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 200, "the client does not notice");
    assert_eq!(stage.upstream.log().len(), 3);
    // On a fresh connection the failure is the upstream's: the request may have been carried out.
    stage.upstream.close_idle();
    stage.upstream.next(Script::hang_up());
    stage.upstream.next(Script::hang_up());
    assert_eq!(stage.alice().post(CHAT, &chat()).await.status, 502);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let stage = Stage::new().await;
    let elsewhere = crate::stage::upstream().await;
    let moved = Script::raw("text/plain", "moved")
        .status(307)
        .header("location", &format!("{}/chat/completions", elsewhere.url()));
    assert_eq!(answer(&stage, moved).await.status, 502);
    assert!(elsewhere.log().is_empty(), "our key would go to whoever the upstream names");
}
