//! Usage objects as servers send them.

use serde_json::{Value, json};
use turnpike_llm::usage::Usage;

fn read(usage: &Value) -> Option<Usage> {
    Usage::from_openai(usage.to_string().as_bytes())
}

fn plain() -> Usage {
    Usage { prompt: 100, completion: 20, ..Usage::default() }
}

#[test]
fn reads_every_servers_names() {
    let (p, c, plain) = (100, 20, plain());
    for (usage, expected) in [
        (json!({"prompt_tokens": p, "completion_tokens": c, "total_tokens": 120}), plain),
        (
            json!({"prompt_tokens": p, "completion_tokens": c, "total_tokens": 120,
                "prompt_tokens_details": {"cached_tokens": 64, "audio_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 7, "audio_tokens": 3, "accepted_prediction_tokens": 1}}),
            Usage { cached: 64, audio_input: 5, reasoning: 7, audio_output: 3, ..plain },
        ),
        // DeepSeek
        (
            json!({"prompt_tokens": p, "completion_tokens": c, "prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}),
            Usage { cached: 64, ..plain },
        ),
        // LiteLLM in front of Anthropic: already counted in
        (
            json!({"prompt_tokens": p, "completion_tokens": c, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 40}),
            Usage { cached: 30, cache_write: 40, ..plain },
        ),
        // Anthropic's own names: not counted in
        (
            json!({"input_tokens": 30, "output_tokens": c, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 40,
                "cache_creation": {"ephemeral_5m_input_tokens": 25, "ephemeral_1h_input_tokens": 15}}),
            Usage { cached: 30, cache_write: 25, cache_write_1h: 15, ..plain },
        ),
    ] {
        assert_eq!(read(&usage), Some(expected), "{usage}");
    }
}

#[test]
fn reads_other_ways_of_counting() {
    let (p, c, plain) = (100, 20, plain());
    for (usage, expected) in [
        // OpenAI's Responses: counted in
        (
            json!({"input_tokens": p, "output_tokens": c, "total_tokens": 120, "input_tokens_details": {"cached_tokens": 9},
                "output_tokens_details": {"reasoning_tokens": 8}}),
            Usage { cached: 9, reasoning: 8, ..plain },
        ),
        // Perplexity
        (
            json!({"prompt_tokens": p, "completion_tokens": c, "num_search_queries": 3, "reasoning_tokens": 5, "cost": {"total_cost": 0.1}}),
            Usage { queries: 3, reasoning: 5, ..plain },
        ),
        // Perplexity's deep research: what it read and thought is counted beside.
        (
            json!({"prompt_tokens": p, "completion_tokens": c, "total_tokens": 120, "citation_tokens": 50, "num_search_queries": 3,
                "reasoning_tokens": 700}),
            Usage { prompt: 150, completion: 720, queries: 3, reasoning: 700, ..plain },
        ),
        // xAI counts reasoning beside the completion.
        (
            json!({"prompt_tokens": p, "completion_tokens": 12, "total_tokens": 120, "completion_tokens_details": {"reasoning_tokens": 8}}),
            Usage { reasoning: 8, ..plain },
        ),
        // OpenRouter
        (
            json!({"prompt_tokens": p, "completion_tokens": c, "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2}}),
            Usage { cached: 3, cache_write: 2, ..plain },
        ),
        // Embeddings
        (json!({"prompt_tokens": p, "total_tokens": p}), Usage { completion: 0, ..plain }),
        (json!({"total_tokens": p}), Usage { completion: 0, ..plain }),
        // Nulls, wrong types, fractions
        (
            json!({"prompt_tokens": 100.0, "completion_tokens": 20, "total_tokens": null, "prompt_tokens_details": null,
                "completion_tokens_details": {"reasoning_tokens": null, "audio_tokens": "many"}, "num_search_queries": -1}),
            plain,
        ),
    ] {
        assert_eq!(read(&usage), Some(expected), "{usage}");
    }
}

#[test]
fn nothing_counted_is_nothing_reported() {
    for usage in [
        json!(null),
        json!([]),
        json!({}),
        json!({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        json!({"prompt_tokens": null}),
        json!({"prompt_tokens": "12"}),
        json!({"prompt_tokens": -3}),
    ] {
        assert_eq!(read(&usage), None, "{usage}");
    }
    assert_eq!(Usage::from_openai(b"{\"prompt_tokens\":"), None);
}

#[test]
fn parts_never_exceed_their_whole() {
    let usage = read(&json!({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 900, "audio_tokens": 900, "cache_creation_tokens": 900},
        "completion_tokens_details": {"reasoning_tokens": 900, "audio_tokens": 900}}))
    .unwrap();
    assert_eq!((usage.cached, usage.cache_write, usage.audio_input), (10, 0, 10));
    assert_eq!((usage.reasoning, usage.audio_output), (5, 5));
    let huge =
        read(&json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX, "input_tokens": u64::MAX})).unwrap();
    assert_eq!(huge.total(), u64::MAX);
}
