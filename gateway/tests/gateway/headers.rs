//! What passes through in headers, both ways: an allow-list, and never a credential.

use serde_json::json;
use turnpike_testkit::{Script, manifest, upstream::Usage};

use crate::stage::{ALICE, CHAT, MODEL, Stage, UPSTREAM_KEY, chat, streamed};

#[tokio::test]
async fn the_upstream_sees_only_what_it_needs() {
    let stage = Stage::new().await;
    let client = stage.gateway.client();
    let bearer = format!("Bearer {ALICE}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("x-api-key", ALICE),
        ("api-key", ALICE),
        ("x-litellm-api-key", ALICE),
        ("cookie", "session=1"),
        ("accept-encoding", "gzip, br"),
        ("x-litellm-tags", "a,b"),
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
        ("proxy-authorization", "Basic c2s6"),
        ("connection", "x-hop, keep-alive"),
        ("x-hop", "secret"),
        ("keep-alive", "timeout=5"),
        ("te", "trailers"),
        ("upgrade", "websocket"),
        ("origin", "https://example.com"),
        ("referer", "https://example.com/"),
        ("x-stainless-os", "Linux"),
        ("x-anything-else", "1"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    assert_eq!(client.send(client.json(CHAT, &chat(), &headers)).await.status, 200);
    let seen = stage.upstream.only();
    assert_eq!(seen.header("authorization"), Some(&*format!("Bearer {UPSTREAM_KEY}")));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("content-length"), Some(&*seen.body.len().to_string()));
    // A tracing header may be given a new parent, but not lost.
    assert!(seen.header("traceparent").unwrap().starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(matches!(seen.header("accept-encoding"), None | Some("identity")));
    for (name, _) in &headers[1..20] {
        let passed = seen.headers.contains_key(*name) && *name != "accept-encoding";
        assert!(!passed, "{name} reached the upstream");
    }
    let leaked = seen.headers.values().any(|value| value.to_str().is_ok_and(|value| value.contains(ALICE)));
    assert!(!leaked, "the client's key reached the upstream: {seen:?}");
}

#[tokio::test]
async fn the_model_s_own_headers_are_sent() {
    let stage = Stage::with_model(
        |model| {
            let from_secret = json!({"name": "x-secret-team", "secretRef": {"name": "team", "key": "id"}});
            model.with("provider.headers", json!([{"name": "x-team", "value": "ml"}, from_secret]))
        },
        |setup, _| setup.manifests(&[manifest::secret("team", "id", "team-7")]),
    )
    .await;
    let client = stage.alice();
    client.send(client.json(CHAT, &chat(), &[("x-team", "forged"), ("x-secret-team", "forged")])).await;
    let seen = stage.upstream.only();
    assert_eq!((seen.header("x-team"), seen.header("x-secret-team")), (Some("ml"), Some("team-7")));
    assert_eq!(seen.headers.get_all("x-team").iter().count(), 1);
}

#[tokio::test]
async fn the_client_sees_nothing_of_the_upstream_s_connection() {
    let stage = Stage::new().await;
    let noisy = |script: Script| {
        script
            .header("set-cookie", "session=up")
            .header("alt-svc", "h3=\":443\"")
            .header("connection", "x-up-hop")
            .header("x-up-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("proxy-authenticate", "Basic")
            .header("trailer", "x-t")
            .header("strict-transport-security", "max-age=1")
            .header("access-control-allow-origin", "*")
            .header("x-powered-by", "something")
            .header("server", "upstream/1")
            .header("x-request-id", "up-1")
            .header("x-ratelimit-remaining-requests", "99")
    };
    for (script, body) in [
        (noisy(Script::chat("Hi")), chat()),
        (noisy(Script::pieces(3)), streamed()),
        (noisy(Script::error(429, "slow down", "rate_limit_exceeded")), chat()),
    ] {
        stage.upstream.next(script);
        let reply = stage.alice().post(CHAT, &body).await;
        for name in [
            "set-cookie",
            "alt-svc",
            "x-up-hop",
            "keep-alive",
            "proxy-authenticate",
            "trailer",
            "x-powered-by",
            "strict-transport-security",
        ] {
            assert!(!reply.headers.contains_key(name), "{name} reached the client: {reply:?}");
        }
        assert_ne!(reply.header("server"), Some("upstream/1"));
        assert_ne!(reply.header("x-request-id"), Some("up-1"), "the request id is ours");
        if reply.status == 200 {
            assert_eq!(reply.header("x-ratelimit-remaining-requests"), Some("99"));
            assert_eq!(reply.header("llm_provider-x-request-id"), Some("up-1"));
        }
        assert!(!format!("{reply:?}").contains(UPSTREAM_KEY));
    }
}

#[tokio::test]
async fn every_answer_has_one_request_id() {
    let stage = Stage::new().await;
    let alice = stage.alice();
    let replies = [
        alice.post(CHAT, &chat()).await,
        alice.post(CHAT, &streamed()).await,
        alice.get("/v1/models").await,
        alice.post("/v1/nope", &chat()).await,
        stage.gateway.client().post(CHAT, &chat()).await,
        alice.post_bytes(CHAT, "not json").await,
    ];
    let mut ids: Vec<&str> = Vec::new();
    for reply in &replies {
        let id = reply.header("x-request-id").unwrap_or_else(|| panic!("no x-request-id in {reply:?}"));
        assert_eq!(reply.header("x-litellm-call-id"), Some(id));
        assert!(id.len() >= 16, "{id}");
        ids.push(id);
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), replies.len(), "each request has its own");
    // A client's own id is kept if it can stand in a log.
    let named = alice.send(alice.json(CHAT, &chat(), &[("x-litellm-call-id", "my-call-1")])).await;
    assert_eq!(
        (named.header("x-litellm-call-id"), named.header("x-request-id")),
        (Some("my-call-1"), Some("my-call-1"))
    );
    let long = "a".repeat(257);
    let refused = alice.send(alice.json(CHAT, &chat(), &[("x-litellm-call-id", &long)])).await;
    assert_ne!(refused.header("x-litellm-call-id"), Some(&*long));
}

#[tokio::test]
async fn an_answer_says_who_served_and_what_it_cost() {
    let stage = Stage::with_model(
        |model| {
            model.with(
                "price",
                json!({"inputPerMillion": "2.50", "outputPerMillion": "10.00", "cachedInputPerMillion": "1.25"}),
            )
        },
        |setup, _| setup,
    )
    .await;
    stage.upstream.next(Script::chat("Hi").usage(Usage { prompt: 1000, completion: 100, cached: 400, reasoning: 0 }));
    let reply = stage.alice().post(CHAT, &chat()).await;
    let cost: f64 = reply.header("x-litellm-response-cost").unwrap().parse().unwrap();
    // 600 x 2.50 + 400 x 1.25 + 100 x 10.00, per million.
    assert!((cost - 0.003).abs() < 1e-12, "{cost}");
    assert_eq!(reply.header("x-litellm-model-group"), Some(MODEL));
    assert!(reply.header("x-litellm-model-id").is_some(), "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("application/json"));
    // A stream's cost is not known when its head is sent: no header rather than a wrong one.
    let stream = stage.alice().post(CHAT, &streamed()).await;
    assert_eq!(stream.header("x-litellm-response-cost"), None);
    assert!(stream.header("content-type").unwrap().starts_with("text/event-stream"));
    assert_eq!(stream.header("x-litellm-model-group"), Some(MODEL));
}

#[tokio::test]
async fn an_answer_that_is_encoded_anyway_is_decoded() {
    let stage = Stage::new().await;
    stage.upstream.next(Script::chat("zipped").gzip());
    let reply = stage.alice().post(CHAT, &chat()).await;
    assert_eq!(reply.header("content-encoding"), None);
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "zipped");
    assert_eq!(reply.json()["model"], MODEL);
    stage.upstream.next(Script::pieces(3).gzip());
    let rest = stage.alice().stream(CHAT, &streamed()).await.rest().await;
    assert_eq!(rest.events.last().unwrap().data, "[DONE]");
    assert!(rest.events.iter().rev().skip(1).all(|event| event.json()["model"] == MODEL));
    stage.upstream.next(Script::error(400, "bad", "bad_thing").gzip());
    assert_eq!(stage.alice().post(CHAT, &chat()).await.error_code(), "bad_thing");
    // 64 MiB of one letter: far above the bound, tiny on the wire.
    stage.upstream.next(Script::of_size(64 << 20).gzip());
    let bomb = stage.alice().post(CHAT, &chat()).await;
    assert_eq!(bomb.status, 502);
    stage.still_serves().await;
}
