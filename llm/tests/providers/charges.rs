//! What calls cost: usage as each provider reports it, read from a whole answer and from a stream, at the provider's prices.
//!
//! One golden for each `spec.provider.type`. Models of servers that run anybody's have the price that their spec gives.

use std::{fmt::Write, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    price::{Price, Row, Tier, breakdown, cost, lookup, nano_to_usd_string},
    provider::{Operation, ProviderKind, Shown},
    usage::Usage,
};

use super::frames;

/// A model, and what is reported of a call: by the last event where it streams.
type Case = (&'static str, Value);

fn golden(kind: ProviderKind, cases: &[Case]) {
    let mut text = String::new();
    for (model, reported) in cases {
        let price = lookup(kind, model, None).map_or_else(from_the_spec, Row::price);
        let (whole, streamed) = bodies(kind, model, reported);
        let usage = heard(kind, model, whole);
        assert_eq!(
            heard_in_pieces(kind, model, &streamed),
            usage,
            "{kind:?} {model}: a stream costs what a whole answer does"
        );
        let lasted = Duration::from_secs(2);
        let parts = breakdown(&usage, lasted, &price);
        writeln!(text, "{model}\n  {reported}\n  {usage:?}").unwrap();
        for (name, nano) in [
            ("input", parts.input),
            ("cache read", parts.cache_read),
            ("cache write", parts.cache_write),
            ("output", parts.output),
            ("reasoning", parts.reasoning),
            ("fees", parts.fees),
            ("time", parts.time),
        ] {
            if nano > 0 {
                writeln!(text, "  {name}: {} USD", nano_to_usd_string(nano)).unwrap();
            }
        }
        writeln!(text, "  = {} USD", nano_to_usd_string(cost(&usage, lasted, &price))).unwrap();
    }
    insta::with_settings!({ snapshot_path => "../golden/charge", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{kind:?}"), text);
    });
}

/// All rates that a spec can give.
fn from_the_spec() -> Price {
    const USD: i64 = 1_000_000_000;
    let tier = Tier {
        above: 100_000,
        input: Some(2 * USD),
        output: None,
        cached_input: None,
        cache_write_5m: None,
        cache_write_1h: None,
        reasoning: None,
    };
    Price {
        input: USD,
        output: 4 * USD,
        cached_input: Some(USD / 10),
        reasoning: Some(3 * USD),
        per_request: 1_000_000,
        time: 10 * USD,
        tiers: vec![tier],
        ..Price::free()
    }
}

fn shown(model: &str) -> Shown {
    Shown { upstream_model: Arc::from(model), include_usage: true, ..Shown::default() }
}

fn heard(kind: ProviderKind, model: &str, body: Bytes) -> Usage {
    kind.adapter().unwrap().decode(Operation::Chat, body, &shown(model)).unwrap().usage.unwrap()
}

fn heard_in_pieces(kind: ProviderKind, model: &str, body: &[u8]) -> Usage {
    let mut decoder = kind.adapter().unwrap().stream(Operation::Chat, shown(model));
    for frame in body.chunks(7) {
        decoder.push(Bytes::copy_from_slice(frame)).unwrap();
    }
    decoder.end().unwrap();
    decoder.usage().unwrap()
}

/// The shortest answers that report this.
fn bodies(kind: ProviderKind, model: &str, reported: &Value) -> (Bytes, Vec<u8>) {
    let (whole, stream) = match kind {
        ProviderKind::VertexAI if model.starts_with("claude") => anthropic(reported),
        ProviderKind::Anthropic => anthropic(reported),
        ProviderKind::Bedrock => return bedrock(reported),
        ProviderKind::Gemini | ProviderKind::VertexAI => {
            let candidate = json!({"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"});
            let whole = json!({"candidates": [candidate], "usageMetadata": reported});
            (whole.clone(), format!("data: {whole}\n\n"))
        }
        ProviderKind::Cohere => {
            let whole = json!({"finish_reason": "COMPLETE", "message": {"content": [{"type": "text", "text": "Hi"}]}, "usage": reported});
            let text = json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hi"}}}});
            let end = json!({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": reported}});
            (whole, format!("data: {text}\n\ndata: {end}\n\n"))
        }
        ProviderKind::Ollama => {
            let mut whole =
                json!({"message": {"role": "assistant", "content": "Hi"}, "done": true, "done_reason": "stop"});
            whole.as_object_mut().unwrap().extend(reported.as_object().unwrap().clone());
            (whole.clone(), format!("{whole}\n"))
        }
        _ => chat(kind, reported),
    };
    (whole.to_string().into(), stream.into_bytes())
}

/// Usage stands in a chunk of its own, beside the last choice, or in a member of Groq's.
fn chat(kind: ProviderKind, reported: &Value) -> (Value, String) {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"});
    let whole = json!({"choices": [choice], "usage": reported});
    let said = json!({"choices": [{"index": 0, "delta": {"content": "Hi"}}]});
    let stop = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    let last = match kind {
        ProviderKind::Groq => json!({"choices": stop, "x_groq": {"usage": reported}}).to_string(),
        ProviderKind::Mistral | ProviderKind::Perplexity | ProviderKind::DeepSeek | ProviderKind::TogetherAI => {
            json!({"choices": stop, "usage": reported}).to_string()
        }
        _ => format!("{}\n\ndata: {}", json!({ "choices": stop }), json!({"choices": [], "usage": reported})),
    };
    (whole, format!("data: {said}\n\ndata: {last}\n\ndata: [DONE]\n\n"))
}

fn anthropic(reported: &Value) -> (Value, String) {
    let mut whole = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi"}], "usage": reported});
    let answer = whole.clone();
    whole["usage"]["output_tokens"] = 1.into();
    whole["content"] = json!([]);
    let start = json!({"type": "message_start", "message": whole});
    let text = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}});
    let block = json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}});
    // Without what the cache did: that was said at the start.
    let usage = json!({"output_tokens": reported["output_tokens"]});
    let end = json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage});
    let events = [start, block, text, end, json!({"type": "message_stop"})];
    let frames: Vec<String> = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    (answer, frames.concat())
}

fn bedrock(reported: &Value) -> (Bytes, Vec<u8>) {
    let message = json!({"role": "assistant", "content": [{"text": "Hi"}]});
    let whole = json!({"output": {"message": message}, "stopReason": "end_turn", "usage": reported});
    let text = json!({"contentBlockIndex": 0, "delta": {"text": "Hi"}});
    let events = format!(
        "event messageStart {{\"role\":\"assistant\"}}\nevent contentBlockDelta {text}\nevent messageStop {{\"stopReason\":\"end_turn\"}}\nevent metadata {}\n",
        json!({ "usage": reported })
    );
    (whole.to_string().into(), frames::messages(&events))
}

/// As OpenAI and those like it report it.
fn openai(prompt: [u64; 3], completion: [u64; 3]) -> Value {
    let [prompt, cached, heard] = prompt;
    let [completion, reasoning, spoken] = completion;
    json!({"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": heard},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": spoken}})
}

/// As Anthropic does: beside the input are what the cache gave, and what it took for five minutes and an hour.
fn claude(input: u64, [read, written, written_for_an_hour]: [u64; 3], output: u64) -> Value {
    json!({"input_tokens": input, "cache_read_input_tokens": read, "output_tokens": output,
        "cache_creation_input_tokens": written + written_for_an_hour,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": written_for_an_hour}})
}

/// As Google does: thoughts are counted beside the answer.
fn google(prompt: u64, cached: u64, heard: u64, answer: u64, thoughts: u64) -> Value {
    json!({"promptTokenCount": prompt, "cachedContentTokenCount": cached, "candidatesTokenCount": answer,
        "thoughtsTokenCount": thoughts, "totalTokenCount": prompt + answer + thoughts,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt - heard}, {"modality": "AUDIO", "tokenCount": heard}]})
}

fn converse(input: u64, [read, written, written_for_an_hour]: [u64; 3], output: u64) -> Value {
    let details = json!([{"ttl": "5m", "inputTokens": written}, {"ttl": "1h", "inputTokens": written_for_an_hour}]);
    json!({"inputTokens": input, "outputTokens": output, "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written + written_for_an_hour, "cacheDetails": details})
}

/// A cached prompt, and reasoning within the answer.
fn cached_and_reasoned() -> Value {
    openai([10_000, 4000, 0], [500, 300, 0])
}

macro_rules! providers {
    ($($name:ident: $kind:ident, [$($case:expr),* $(,)?];)*) => {
        $(
            #[test]
            fn $name() {
                golden(ProviderKind::$kind, &[$($case),*]);
            }
        )*
    };
}

providers! {
    of_openai: OpenAI, [
        ("gpt-5.4", cached_and_reasoned()),
        // More than 272 000: the higher rates for all.
        ("gpt-5.4", openai([300_000, 100_000, 0], [1000, 0, 0])),
        ("gpt-audio", openai([1000, 0, 800], [600, 0, 500])),
    ];
    of_azure: AzureOpenAI, [
        ("gpt-5", cached_and_reasoned()),
        ("gpt-audio-2025-08-28", openai([1000, 0, 800], [600, 0, 500])),
    ];
    of_anthropic: Anthropic, [("claude-sonnet-4-5", claude(1000, [2000, 300, 400], 500))];
    of_bedrock: Bedrock, [
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", converse(1000, [2000, 300, 400], 500)),
        // 200 001 with what the cache gave.
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", converse(1, [200_000, 0, 0], 500)),
        ("amazon.nova-pro-v1:0", converse(1000, [4000, 0, 0], 500)),
    ];
    of_vertex: VertexAI, [
        ("gemini-2.5-pro", google(10_000, 4000, 0, 300, 700)),
        ("gemini-2.5-pro", google(250_000, 50_000, 0, 300, 700)),
        ("gemini-2.5-flash", google(1000, 0, 800, 100, 0)),
        ("claude-sonnet-4-5@20250929", claude(1000, [2000, 300, 400], 500)),
    ];
    of_gemini: Gemini, [
        ("gemini-2.5-pro", google(10_000, 4000, 0, 300, 700)),
        ("gemini-2.5-pro", google(250_000, 50_000, 0, 300, 700)),
        ("gemini-2.5-flash", google(1000, 0, 800, 100, 0)),
    ];
    // Billed is less than what was counted, and charged.
    of_cohere: Cohere, [("command-a-03-2025", json!({
        "billed_units": {"input_tokens": 120.0, "output_tokens": 40}, "tokens": {"input_tokens": 700, "output_tokens": 60},
    }))];
    of_mistral: Mistral, [("magistral-medium-latest", cached_and_reasoned())];
    of_together: TogetherAI, [("MiniMaxAI/MiniMax-M3", cached_and_reasoned())];
    of_groq: Groq, [("openai/gpt-oss-120b", cached_and_reasoned())];
    of_fireworks: FireworksAI, [("accounts/fireworks/routers/glm-5p2-fast", cached_and_reasoned())];
    of_perplexity: Perplexity, [
        ("sonar-deep-research", json!({"prompt_tokens": 33, "completion_tokens": 7163, "total_tokens": 7196,
            "citation_tokens": 20_016, "num_search_queries": 18, "reasoning_tokens": 73_997})),
        // Others search once, and do not say so in a number.
        ("sonar-pro", json!({"prompt_tokens": 26, "completion_tokens": 832, "total_tokens": 858, "search_context_size": "low"})),
    ];
    of_deepseek: DeepSeek, [("deepseek-chat", json!({
        "prompt_tokens": 10_000, "completion_tokens": 500, "total_tokens": 10_500, "prompt_cache_hit_tokens": 4000,
        "prompt_cache_miss_tokens": 6000, "completion_tokens_details": {"reasoning_tokens": 300},
    }))];
    of_ollama: Ollama, [
        // On one's own machine, until the spec gives a price.
        ("llama3.1", json!({"prompt_eval_count": 1000, "eval_count": 500})),
        ("my-own", json!({"prompt_eval_count": 1000, "eval_count": 500})),
    ];
    of_vllm: VLLM, [("m", cached_and_reasoned())];
    of_tgi: HuggingFaceTGI, [("tgi", json!({"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}))];
    of_nim: NvidiaNIM, [("meta/llama-3.1-8b-instruct", cached_and_reasoned())];
    of_compatible: OpenAICompatible, [
        ("m", cached_and_reasoned()),
        ("m", openai([100_001, 50_000, 0], [500, 0, 0])),
    ];
}
