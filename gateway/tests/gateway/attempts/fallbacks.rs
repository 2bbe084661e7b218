//! Another model instead.

use serde_json::{Value, json};
use turnpike_testkit::Script;

use super::{CHAT, Cast, asking, broken, model, primary};

fn to(name: &str, on: &[&str]) -> Value {
    json!({"modelRef": {"name": name}, "on": on})
}

#[tokio::test]
async fn each_cause_has_its_own_fallback() {
    let fallbacks = json!([
        to("larger", &["ContextWindow"]),
        to("laxer", &["ContentPolicy"]),
        to("other", &["Error", "RateLimit"]),
    ]);
    let cast = Cast::new(|upstream| {
        let names = ["larger", "laxer", "other"];
        let mut models: Vec<_> = names.map(|name| model(name, upstream).with("visibility", "Internal")).into();
        models.push(primary(upstream, &fallbacks));
        models
    })
    .await;
    let causes = [
        (Script::error(400, "maximum context length is 8", "context_length_exceeded"), "larger"),
        (Script::error(400, "not safe", "content_policy_violation"), "laxer"),
        (broken(), "other"),
        (Script::error(429, "slow down", "rate_limit_exceeded"), "other"),
    ];
    for (script, served) in causes {
        cast.upstream.next_for("primary", script);
        let reply = cast.alice().post(CHAT, &asking("primary")).await;
        assert_eq!((reply.status, reply.header("x-litellm-attempted-fallbacks")), (200, Some("1")), "{}", reply.text());
        assert_eq!(reply.header("x-litellm-attempted-retries"), Some("0"));
        assert_eq!(reply.header("x-litellm-model-id"), Some(&*format!("default/{served}")));
        assert_eq!(reply.json()["model"], "primary", "the name that was asked for");
        assert_eq!(cast.asked().last().unwrap(), served);
    }
    let labels = "fallback_model=\"default/other\"";
    cast.gateway.metric_is("litellm_deployment_successful_fallbacks_total", labels, 2.0).await;
}

#[tokio::test]
async fn when_all_fail_the_first_failure_is_told() {
    let cast = Cast::new(|upstream| {
        let second = model("second", upstream)
            .with("retry", json!({"attempts": 0}))
            // Back to where the request came from: it goes to none twice.
            .with("fallbacks", json!([to("primary", &["Error"]), to("third", &["Error"])]));
        let third = model("third", upstream).with("retry", json!({"attempts": 0}));
        vec![primary(upstream, &json!([to("second", &["Error"])])), second, third]
    })
    .await;
    cast.upstream.next_for("primary", Script::error(503, "the first failure", "overloaded"));
    cast.upstream.next_for("second", broken());
    cast.upstream.next_for("third", broken());
    let reply = cast.alice().post(CHAT, &asking("primary")).await;
    assert_eq!((reply.status, reply.header("x-litellm-attempted-fallbacks")), (503, Some("2")));
    assert!(reply.text().contains("the first failure"), "{}", reply.text());
    assert_eq!(cast.asked(), ["primary", "second", "third"]);
    let rows = cast.rows(&["model", "role", "status"], 3).await;
    let row = |model: &str, role: Value, status: u16| json!({"model": format!("default/{model}"), "role": role, "status": status});
    let expected =
        [row("primary", "retried".into(), 503), row("second", "retried".into(), 500), row("third", Value::Null, 503)];
    assert_eq!(rows, expected);
    cast.gateway.metric_is("litellm_deployment_failed_fallbacks_total", "", 2.0).await;
}
