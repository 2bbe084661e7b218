//! Clients of other dialects than chat completions: their routes, and errors in their own words.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    client::Reply,
    manifest,
    spend::{self, query_json},
    upstream::{Cut, Usage},
    wait::eventually,
};

use crate::stage::{ALICE, CHAT, MODEL, Stage, UPSTREAM_MODEL, chat, credentials, secret, setup};

const BOB: &str = "sk-bob-0123456789abcdef";

/// Anthropic's routes, and OpenAI's other one.
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const COUNT: &str = "/v1/messages/count_tokens";

/// A request of Anthropic's dialect.
fn message() -> Value {
    json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]})
}

/// A request of Responses.
fn response() -> Value {
    json!({"model": MODEL, "instructions": "Be brief.", "input": "Hi", "max_output_tokens": 64})
}

/// The spend rows that there are to be, oldest first.
async fn rows(stage: &Stage, count: usize) -> Vec<Value> {
    let columns = ["operation", "status", "outcome", "prompt_tokens", "completion_tokens", "estimated"];
    spend::rows(&stage.gateway.database(), ("spend", "sequence"), &columns, count).await
}

/// Status, type and message of an error in Anthropic's shape, whose id must be the header's.
fn anthropic_error(reply: &Reply) -> (u16, String, String) {
    let body = reply.json();
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["request_id"].as_str(), reply.header("request-id"), "{body}");
    assert_eq!(reply.header("request-id"), reply.header("x-request-id"));
    let text = |name: &str| body["error"][name].as_str().unwrap().to_owned();
    (reply.status, text("type"), text("message"))
}

#[tokio::test]
async fn anthropic_s_clients_read_errors_in_their_own_shape() {
    let stage = Stage::new().await;
    let alice = stage.alice();
    let unknown = alice.post(MESSAGES, &json!({"model": "nope", "max_tokens": 1, "messages": []})).await;
    let (status, kind, text) = anthropic_error(&unknown);
    assert_eq!((status, kind.as_str()), (404, "not_found_error"));
    assert!(text.contains("`nope`"), "{text}");
    let nobody = stage.gateway.client().post(MESSAGES, &message()).await;
    let (status, kind, _) = anthropic_error(&nobody);
    assert_eq!((status, kind.as_str()), (401, "authentication_error"));
    for body in ["{", r#"{"model": "m", "model": "n"}"#, "{}"] {
        let (status, kind, _) = anthropic_error(&alice.post_bytes(MESSAGES, body).await);
        assert_eq!((status, kind.as_str()), (400, "invalid_request_error"), "{body}");
    }
    let batches = alice.get("/v1/messages/batches").await;
    assert_eq!(anthropic_error(&batches).0, 404);
    assert_eq!(anthropic_error(&alice.get(MESSAGES).await).0, 405);
    assert!(stage.upstream.log().is_empty(), "nothing of this went on");
}

#[tokio::test]
async fn an_exhausted_budget_is_not_worth_a_retry_to_anthropic_s_clients() {
    let limit = json!([{"window": "Day", "usd": "0.001"}]);
    let stage = Stage::with_model(
        |model| model.with("price", json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"})),
        |setup, _| setup.manifests(&[manifest::key("bob", BOB).with("budget", limit)]),
    )
    .await;
    let all = Usage { prompt: 10, completion: 990, cached: 0, reasoning: 0 };
    stage.upstream.always(UPSTREAM_MODEL, Script::chat("Hi").usage(all));
    let bob = stage.gateway.client().with_key(BOB);
    assert_eq!(bob.post(CHAT, &chat()).await.status, 200);
    let path = stage.gateway.database();
    let sql = "select json_object('spent', sum(cost_nano)) from spend";
    eventually("all is spent", || async {
        query_json(&path, sql).await?["spent"].as_i64().filter(|it| *it == 1_000_000)
    })
    .await;
    let refused = bob.post(MESSAGES, &message()).await;
    let (status, kind, text) = anthropic_error(&refused);
    assert_eq!((status, kind.as_str()), (429, "rate_limit_error"));
    assert!(text.contains("Budget exceeded: VirtualKey default/bob"), "{text}");
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.header("x-turnpike-reset-at").is_some());
}

#[tokio::test]
async fn tokens_are_counted_here_where_the_upstream_does_not() {
    let stage = Stage::with(|setup, _| setup.manifests(&[manifest::mock("canned", "Hello")])).await;
    for (path, model) in [(COUNT, MODEL), ("/messages/count_tokens", MODEL), (COUNT, "canned")] {
        let body = json!({
            "model": model, "system": [{"type": "text", "text": "tiktoken is great!"}],
            "messages": [{"role": "user", "content": [{"type": "text", "text": "tiktoken is great!"}]}],
        });
        let request = stage.gateway.client().json(path, &body, &[("x-api-key", ALICE)]);
        let reply = stage.gateway.client().send(request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        // Twice six tokens, and what stands around messages.
        assert!((12..30).contains(&reply.json()["input_tokens"].as_u64().unwrap()), "{reply:?}");
    }
    assert!(stage.upstream.log().is_empty());
    let labels = r#"route="/v1/messages/count_tokens""#;
    stage.gateway.metric_is("litellm_proxy_total_requests_metric_total", labels, 3.0).await;
}

#[tokio::test]
async fn rows_tell_the_route_and_anthropic_s_end_user() {
    let stage = Stage::new().await;
    let mut body = message();
    body["metadata"] = json!({"user_id": "user_7"});
    assert_eq!(stage.alice().post(COUNT, &body).await.status, 200);
    let sql = "select json_object('operation', operation, 'end_user', end_user, 'cost', cost_nano, \
               'tokens', prompt_tokens + completion_tokens) from spend";
    let path = stage.gateway.database();
    let row = eventually("a row", || async { query_json(&path, sql).await }).await;
    assert_eq!(
        (&row["operation"], &row["end_user"], &row["tokens"]),
        (&json!("count_tokens"), &json!("user_7"), &json!(0))
    );
}

#[tokio::test]
async fn chat_upstreams_answer_anthropic_s_clients() {
    let stage = Stage::new().await;
    let mut body = message();
    body["system"] = json!("Be brief.");
    let reply = stage.alice().post(MESSAGES, &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let shown = reply.json();
    assert_eq!(
        (&shown["type"], &shown["role"], &shown["model"]),
        (&json!("message"), &json!("assistant"), &json!(MODEL))
    );
    assert_eq!((&shown["usage"]["input_tokens"], &shown["usage"]["output_tokens"]), (&json!(10), &json!(5)));
    assert_eq!(shown["stop_reason"], "end_turn");
    let seen = stage.upstream.only();
    assert_eq!(seen.target, "/v1/chat/completions");
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]);
    assert_eq!(seen.json(), json!({"model": UPSTREAM_MODEL, "max_tokens": 64, "messages": messages}));
    body["stream"] = json!(true);
    stage.upstream.next(Script::chat("Hello there"));
    let rest = stage.alice().stream(MESSAGES, &body).await.rest().await;
    assert!(rest.clean);
    let names: Vec<&str> = rest.events.iter().map(|event| event.name.as_deref().unwrap()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("message_start", "message_stop"), "{names:?}");
    let text: String =
        rest.events.iter().filter_map(|it| it.json()["delta"]["text"].as_str().map(str::to_owned)).collect();
    assert_eq!(text, "Hello there");
    for row in rows(&stage, 2).await {
        let wanted = json!({"operation": "messages", "status": 200, "outcome": "success", "prompt_tokens": 10, "completion_tokens": 5, "estimated": 0});
        assert_eq!(row, wanted);
    }
}

#[tokio::test]
async fn chat_upstreams_answer_clients_of_responses() {
    let stage = Stage::new().await;
    let mut body = response();
    let reply = stage.alice().post(RESPONSES, &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let shown = reply.json();
    assert_eq!(
        (&shown["object"], &shown["status"], &shown["model"]),
        (&json!("response"), &json!("completed"), &json!(MODEL))
    );
    assert_eq!((&shown["instructions"], &shown["max_output_tokens"]), (&json!("Be brief."), &json!(64)));
    assert_eq!(shown["usage"]["total_tokens"], 15);
    let seen = stage.upstream.only();
    assert_eq!((seen.target.as_str(), &seen.json()["max_tokens"]), ("/v1/chat/completions", &json!(64)));
    body["stream"] = json!(true);
    stage.upstream.next(Script::chat("Hello there"));
    let rest = stage.alice().stream(RESPONSES, &body).await.rest().await;
    assert!(rest.clean);
    for (at, event) in rest.events.iter().enumerate() {
        assert_eq!(
            (event.json()["sequence_number"].as_u64(), event.json()["type"].as_str()),
            (Some(at as u64), event.name.as_deref())
        );
    }
    let last = rest.events.last().unwrap().json();
    assert_eq!((&last["type"], &last["response"]["usage"]["input_tokens"]), (&json!("response.completed"), &json!(10)));
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "Hello there");
    for row in rows(&stage, 2).await {
        assert_eq!(
            (&row["operation"], &row["prompt_tokens"], &row["completion_tokens"]),
            (&json!("responses"), &json!(10), &json!(5))
        );
    }
    let stored =
        stage.alice().post(RESPONSES, &json!({"model": MODEL, "input": "Hi", "previous_response_id": "resp_1"})).await;
    assert_eq!((stored.status, &stored.json()["error"]["param"]), (400, &json!("previous_response_id")));
}

#[tokio::test]
async fn responses_pass_through_to_openai() {
    let upstream = crate::stage::upstream().await;
    let model = manifest::provider("OpenAI", "gpt", &upstream.url())
        .with("provider.model", UPSTREAM_MODEL)
        .with("provider.credentials", credentials());
    let gateway = setup().manifests(&[model, secret(), manifest::key("alice", ALICE)]).start().await;
    let stage = Stage { upstream, gateway };
    let usage = json!({"input_tokens": 7, "output_tokens": 3, "total_tokens": 10});
    let whole = json!({"id": "resp_up", "object": "response", "model": UPSTREAM_MODEL, "status": "completed", "output": [], "usage": usage});
    stage.upstream.next(Script::raw("application/json", whole.to_string()));
    let body = json!({"model": "gpt", "input": "Hi", "previous_response_id": "resp_0", "tools": [{"type": "web_search"}], "tags": ["a"]});
    let reply = stage.alice().post(RESPONSES, &body).await;
    assert_eq!((reply.status, &reply.json()["id"], &reply.json()["model"]), (200, &json!("resp_up"), &json!("gpt")));
    let seen = stage.upstream.only();
    assert_eq!(seen.target, "/v1/responses");
    let sent = json!({"model": UPSTREAM_MODEL, "input": "Hi", "previous_response_id": "resp_0", "tools": [{"type": "web_search"}]});
    assert_eq!(seen.json(), sent);
    let created = json!({"type": "response.created", "response": {"id": "resp_up", "model": UPSTREAM_MODEL}});
    let completed = json!({"type": "response.completed", "response": whole});
    let events =
        [created, completed].map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    stage.upstream.next(Script::parts(events));
    let rest =
        stage.alice().stream(RESPONSES, &json!({"model": "gpt", "input": "Hi", "stream": true})).await.rest().await;
    assert!(rest.clean && rest.events.iter().all(|event| event.json()["response"]["model"] == "gpt"), "{rest:?}");
    for row in rows(&stage, 2).await {
        assert_eq!(
            (&row["prompt_tokens"], &row["completion_tokens"], &row["outcome"]),
            (&json!(7), &json!(3), &json!("success"))
        );
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error_in_the_client_s_words() {
    let stage = Stage::new().await;
    for (path, mut body) in [(MESSAGES, message()), (RESPONSES, response())] {
        body["stream"] = json!(true);
        stage.upstream.next(Script::pieces(20).cut(900, Cut::Reset));
        let rest = stage.alice().stream(path, &body).await.rest().await;
        assert!(rest.clean, "{rest:?}");
        let last = rest.events.last().unwrap();
        let told = last.json();
        assert_eq!((last.name.as_deref(), &told["type"]), (Some("error"), &json!("error")), "{path}");
        assert!(told["error"]["message"].as_str().unwrap().contains("closed the connection"), "{told}");
        assert_eq!(told["error"]["type"], if path == MESSAGES { "api_error" } else { "server_error" });
    }
    for row in rows(&stage, 2).await {
        assert_eq!((&row["outcome"], &row["estimated"]), (&json!("upstream_server_error"), &json!(1)), "{row}");
        assert!(row["completion_tokens"].as_u64() > Some(0), "what came before is paid: {row}");
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn mocks_answer_in_every_dialect() {
    let stage = Stage::with(|setup, _| setup.manifests(&[manifest::mock("canned", "It works")])).await;
    let ask = |mut body: Value, stream: bool| {
        body["model"] = json!("canned");
        body["stream"] = json!(stream);
        body
    };
    let reply = stage.alice().post(MESSAGES, &ask(message(), false)).await;
    assert_eq!(reply.json()["content"], json!([{"type": "text", "text": "It works"}]));
    let reply = stage.alice().post(RESPONSES, &ask(response(), false)).await;
    assert_eq!(reply.json()["output"][0]["content"][0]["text"], "It works");
    for (path, body, last) in [(MESSAGES, message(), "message_stop"), (RESPONSES, response(), "response.completed")] {
        let rest = stage.alice().stream(path, &ask(body, true)).await.rest().await;
        assert!(rest.clean);
        assert_eq!(rest.events.last().unwrap().name.as_deref(), Some(last));
    }
    assert!(stage.upstream.log().is_empty());
}
