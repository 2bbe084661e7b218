//! `params` of a backend, and how they meet the provider's own needs.

use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind};

use super::fixture::Backend;

fn sent(params: &Value, request: &Value) -> Value {
    Backend::with_params(ProviderKind::OpenAI, "m", params).chat(request)
}

#[test]
fn defaults_fill_gaps_only() {
    let params = json!({"defaults": {"temperature": 0.2, "stop": ["a", "\n"]}});
    let gap = sent(&params, &json!({"model": "m"}));
    assert_eq!(gap, json!({"model": "m", "temperature": 0.2, "stop": ["a", "\n"]}));
    let given = sent(&params, &json!({"model": "m", "temperature": null, "stop": "x"}));
    assert_eq!(given, json!({"model": "m", "temperature": null, "stop": "x"}));
}

#[test]
fn a_dropped_member_may_have_a_fixed_value() {
    let params = json!({"drop": ["temperature", "user"], "defaults": {"temperature": 0}});
    let sent = sent(&params, &json!({"model": "m", "temperature": 2, "user": "ann"}));
    assert_eq!(sent, json!({"model": "m", "temperature": 0}));
}

#[test]
fn a_renamed_member_wins_over_a_default_and_loses_to_one_sent() {
    let params = json!({"rename": {"max_tokens": "max_completion_tokens"}, "defaults": {"max_completion_tokens": 5}});
    assert_eq!(
        sent(&params, &json!({"max_tokens": 9, "model": "m"})),
        json!({"max_completion_tokens": 9, "model": "m"})
    );
    assert_eq!(
        sent(&params, &json!({"max_tokens": 9, "max_completion_tokens": 7, "model": "m"})),
        json!({"max_completion_tokens": 7, "model": "m"})
    );
    assert_eq!(sent(&params, &json!({"model": "m"})), json!({"max_completion_tokens": 5, "model": "m"}));
}

#[test]
fn the_backends_rename_beats_the_tables() {
    let params = json!({"rename": {"max_completion_tokens": "max_tokens"}});
    let sent = Backend::with_params(ProviderKind::OpenAI, "gpt-5", &params).chat(&json!({
        "model": "gpt-5", "max_completion_tokens": 9,
    }));
    assert_eq!(sent, json!({"model": "gpt-5", "max_tokens": 9}));
}

#[test]
fn the_request_itself_cannot_be_configured_away() {
    let params = json!({
        "defaults": {"model": "evil", "stream": true},
        "drop": ["messages", "model"],
        "rename": {"model": "m", "x": "messages"},
    });
    let request = json!({"model": "m", "messages": [1], "x": 2});
    assert_eq!(sent(&params, &request), request);
}

#[test]
fn dropping_stream_options_keeps_them_out() {
    let params = json!({"drop": ["stream_options"]});
    let request = json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}});
    assert_eq!(sent(&params, &request), json!({"model": "m", "stream": true}));
}

#[test]
fn a_default_that_the_table_would_refuse_is_the_operators_choice() {
    let params = json!({"defaults": {"temperature": 0.3}});
    let backend = Backend::with_params(ProviderKind::OpenAI, "o3", &params);
    assert_eq!(backend.chat(&json!({"model": "o3"})), json!({"model": "o3", "temperature": 0.3}));
    let refused = backend.encode(Operation::Chat, r#"{"model":"o3","temperature":0.3}"#).unwrap_err();
    assert_eq!((refused.code, refused.param.as_deref()), ("unsupported_parameter", Some("temperature")));
    assert!(refused.message.contains("drop_params") && refused.message.contains("dropUnsupported"), "{refused}");
}

#[test]
fn the_backends_setting_drops_what_is_unsupported() {
    let backend = Backend { drop_unsupported: true, ..Backend::new(ProviderKind::Groq, "m") };
    assert_eq!(backend.chat(&json!({"model": "m", "logprobs": true})), json!({"model": "m"}));
}

#[test]
fn values_that_change_nothing_are_never_refused() {
    let neutral = json!({"model": "o1", "temperature": 1, "top_p": 1.0, "presence_penalty": 0, "logprobs": false,
        "logit_bias": {}, "stop": null});
    let sent = Backend::new(ProviderKind::OpenAI, "o1").chat(&neutral);
    assert_eq!(sent, json!({"model": "o1", "stop": null}));
}

#[test]
fn families_are_told_by_whole_name_parts() {
    let request = json!({"model": "x", "max_tokens": 5});
    let name = |model: &'static str| {
        let sent = Backend::new(ProviderKind::OpenAI, model).chat(&request);
        sent.get("max_completion_tokens").is_some()
    };
    for model in
        ["o1", "o1-2024-12-17", "o3-mini", "o4-mini", "gpt-5", "gpt-5.1", "gpt-5-nano", "gpt-6-sol", "openai/o3"]
    {
        assert!(name(model), "{model}");
    }
    for model in ["gpt-4o", "o1000", "omni", "gpt-4.1", "my-o1"] {
        assert!(!name(model), "{model}");
    }
}

#[test]
fn fireworks_short_names_are_made_long() {
    let model = |name: &'static str| {
        let sent = Backend::new(ProviderKind::FireworksAI, name).chat(&json!({"model": "x"}));
        sent.get("model").unwrap().as_str().unwrap().to_owned()
    };
    assert_eq!(model("kimi-k3"), "accounts/fireworks/models/kimi-k3");
    assert_eq!(model("accounts/me/models/x"), "accounts/me/models/x");
}

#[test]
fn a_model_name_is_escaped_into_the_body() {
    let sent = Backend::new(ProviderKind::VLLM, "a\"b\\c").chat(&json!({"messages": []}));
    assert_eq!(sent, json!({"messages": [], "model": "a\"b\\c"}));
}

#[test]
fn the_role_developer_is_system_where_it_is_not_known() {
    let request = json!({"model": "m", "messages": [
        {"role": "developer", "content": "say \"developer\""},
        {"content": "developer", "role": "user", "name": "developer"},
        {"role": "developer"},
    ]});
    let sent = Backend::new(ProviderKind::VLLM, "m").chat(&request);
    assert_eq!(
        sent.get("messages").unwrap(),
        &json!([
            {"role": "system", "content": "say \"developer\""},
            {"content": "developer", "role": "user", "name": "developer"},
            {"role": "system"},
        ])
    );
    assert_eq!(Backend::new(ProviderKind::OpenAI, "m").chat(&request), request);
    let odd = json!({"model": "m", "messages": ["developer", 1, null]});
    assert_eq!(Backend::new(ProviderKind::VLLM, "m").chat(&odd), odd);
    let none = json!({"model": "m", "messages": "developer"});
    assert_eq!(Backend::new(ProviderKind::VLLM, "m").chat(&none), none);
}
