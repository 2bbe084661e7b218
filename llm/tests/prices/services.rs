//! Classes of service: what an answer says of the one that it was given, and what that costs.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use turnpike_llm::{
    price::{self, Price, ServiceRates, Tier},
    provider::{Operation, ProviderKind, Shown},
    usage::{Service, Usage},
};

const USD: i64 = 1_000_000_000;
const NO_TIME: Duration = Duration::ZERO;
const USAGE: Usage = Usage {
    prompt: 1000,
    completion: 100,
    cached: 400,
    cache_write: 0,
    cache_write_1h: 0,
    reasoning: 0,
    audio_input: 0,
    audio_output: 0,
    queries: 0,
    service: Service::Standard,
    estimated: false,
};

fn cost(kind: ProviderKind, model: &str, service: Service) -> i64 {
    let price = price::lookup(kind, model, None).unwrap().price();
    price::cost(&Usage { service, ..USAGE }, NO_TIME, &price)
}

#[test]
fn each_class_has_its_rates_and_cached_tokens_theirs_in_proportion() {
    // gpt-5: 1.25, 0.125 (cached) and 10 USD a million; flex half of that, priority twice.
    let cost = |service| cost(ProviderKind::OpenAI, "gpt-5", service);
    assert_eq!(cost(Service::Standard), 600 * 1250 + 400 * 125 + 100 * 10_000);
    assert_eq!(cost(Service::Flex), 300 * 1250 + 200 * 125 + 50 * 10_000);
    assert_eq!(cost(Service::Batch), cost(Service::Flex));
    assert_eq!(cost(Service::Priority), 2 * cost(Service::Standard));
    // A model without a rate for it costs what it costs.
    let plain = |service| self::cost(ProviderKind::Anthropic, "claude-sonnet-4-5", service);
    assert_eq!(plain(Service::Priority), plain(Service::Standard));
}

#[test]
fn a_class_holds_above_a_tier_too() {
    let tier = Tier {
        above: 500,
        input: Some(4 * USD),
        output: None,
        cached_input: None,
        cache_write_5m: None,
        cache_write_1h: None,
        reasoning: None,
    };
    let flex = Some(ServiceRates { input: Some(USD), output: Some(3 * USD) });
    let price = Price { input: 2 * USD, output: 6 * USD, tiers: vec![tier], flex, ..Price::free() };
    let usage = Usage { cached: 0, service: Service::Flex, ..USAGE };
    // Half of 4 and half of 6 USD.
    assert_eq!(price::cost(&usage, NO_TIME, &price), 1000 * 2000 + 100 * 3000);
}

/// The class that a whole answer and the last event of a stream say.
fn said(kind: ProviderKind, operation: Operation, body: &serde_json::Value) -> Service {
    let shown = Shown { upstream_model: "a-model".into(), ..Shown::default() };
    let decoded = kind.adapter().unwrap().decode(operation, Bytes::from(body.to_string()), &shown).unwrap();
    decoded.usage.unwrap().service
}

#[test]
fn answers_say_which_class_it_was() {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    let message = json!([{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]);
    for (word, service) in [("flex", Service::Flex), ("priority", Service::Priority), ("default", Service::Standard)] {
        let chat = json!({"choices": message, "usage": usage, "service_tier": word});
        assert_eq!(said(ProviderKind::OpenAI, Operation::Chat, &chat), service);
        // The same for a client of another dialect.
        assert_eq!(said(ProviderKind::OpenAI, Operation::Messages, &chat), service);
        let used = json!({"input_tokens": 5, "output_tokens": 2, "total_tokens": 7});
        let response = json!({"output": [], "usage": used, "service_tier": word});
        assert_eq!(said(ProviderKind::OpenAI, Operation::Responses, &response), service);
        let said_hi = json!({"message": {"role": "assistant", "content": [{"text": "Hi"}]}});
        let used = json!({"inputTokens": 5, "outputTokens": 2, "totalTokens": 7});
        let converse =
            json!({"output": said_hi, "stopReason": "end_turn", "usage": used, "serviceTier": {"type": word}});
        assert_eq!(said(ProviderKind::Bedrock, Operation::Chat, &converse), service);
    }
    let gemini = |name: &str, word: &str| {
        let counts = json!({"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7, name: word});
        let parts = json!([{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]);
        json!({"candidates": parts, "usageMetadata": counts})
    };
    let flex = gemini("trafficType", "ON_DEMAND_FLEX");
    assert_eq!(said(ProviderKind::VertexAI, Operation::Chat, &flex), Service::Flex);
    assert_eq!(said(ProviderKind::VertexAI, Operation::Chat, &gemini("trafficType", "ON_DEMAND")), Service::Standard);
    assert_eq!(said(ProviderKind::Gemini, Operation::Chat, &gemini("serviceTier", "priority")), Service::Priority);
}

#[test]
fn streams_say_it_with_their_usage() {
    let usage = r#""usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7},"service_tier":"flex""#;
    let chat = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"Hi\"}},\"finish_reason\":\"stop\"}}]}}\n\n\
         data: {{\"choices\":[],{usage}}}\n\ndata: [DONE]\n\n"
    );
    for operation in [Operation::Chat, Operation::Messages] {
        let mut decoder = ProviderKind::OpenAI.adapter().unwrap().stream(operation, Shown::default());
        decoder.push(Bytes::from(chat.clone())).unwrap();
        assert_eq!(decoder.usage().unwrap().service, Service::Flex);
    }
    let response =
        r#"{"output":[],"usage":{"input_tokens":5,"output_tokens":2,"total_tokens":7},"service_tier":"priority"}"#;
    let event =
        format!("event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n");
    let mut decoder = ProviderKind::OpenAI.adapter().unwrap().stream(Operation::Responses, Shown::default());
    decoder.push(Bytes::from(event)).unwrap();
    assert_eq!(decoder.usage().unwrap().service, Service::Priority);
}
