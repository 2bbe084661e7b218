//! Nanoseconds of the byte layer's hot paths: `cargo run --release -p turnpike-llm --example scan_speed`.
#![expect(clippy::unwrap_used, clippy::disallowed_types, reason = "an example that measures")]

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use serde_json::json;
use turnpike_llm::{
    json,
    provider::{Operation, Shown},
    request::Request,
    response,
    stream::{OpenAiStream, StreamDecoder},
};

/// Many short rounds, of which the fastest counts: others were shared with whatever else the machine did.
const ROUNDS: u32 = 100;

fn measure(name: &str, calls: u32, mut call: impl FnMut()) {
    let calls = calls.div_ceil(ROUNDS);
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        start.elapsed().as_nanos() / u128::from(calls)
    });
    println!("{name:<60}{:>8} ns", rounds.min().unwrap());
}

fn chat(turns: usize, text: &str) -> Bytes {
    let messages: Vec<_> = (0..turns)
        .map(|turn| json!({"role": if turn % 2 == 0 { "user" } else { "assistant" }, "content": text}))
        .collect();
    let body = json!({"model": "gpt-4o", "messages": messages, "temperature": 0.7, "stream": true, "max_tokens": 512,
        "stream_options": {"include_usage": true}, "user": "u-1"});
    Bytes::from(body.to_string())
}

fn requests() {
    let sentence = "The quick brown fox jumps over the lazy dog and \"runs\" away.\n";
    let long = "The quick brown fox jumps over the lazy dog and never comes back. ".repeat(8);
    for (name, body) in [
        ("250 B chat", chat(1, "Hello there")),
        ("8 kB chat, 100 short messages", chat(76, sentence)),
        ("8 kB chat, 14 long messages", chat(14, &long)),
        ("8 kB chat of CJK text", chat(4, &"吾輩は猫である。名前はまだ無い。".repeat(40))),
        ("1 MB chat", chat(2000, &long)),
    ] {
        let calls = u32::try_from(40_000_000 / (body.len() + 200)).unwrap();
        measure(&format!("Request::scan, {name} ({} B)", body.len()), calls, || {
            black_box(Request::scan(black_box(body.clone())).unwrap());
        });
        let request = Request::scan(body).unwrap();
        measure("  forward with another model", calls.min(200_000), || {
            let mut edit = black_box(&request).edit();
            edit.set_string("model", "gpt-4o-2024-11-20");
            edit.ask_for_usage();
            black_box(edit.finish());
        });
    }
}

fn streams() {
    let chunk = |model: &str| {
        Bytes::from(format!(
            "data: {{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"{model}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" token\"}},\"logprobs\":null,\"finish_reason\":null}}]}}\n\n"
        ))
    };
    let decoder = || OpenAiStream::new(Shown { model: "shown".into(), ..Shown::default() });
    for (name, model) in [("as it is", "shown"), ("restamped", "gpt-4o-mini-2024-07-18")] {
        let one = chunk(model);
        let mut stream = decoder();
        measure(&format!("OpenAiStream::push, one chunk {name} ({} B)", one.len()), 100_000, || {
            black_box(stream.push(black_box(one.clone())).unwrap());
        });
        let burst = Bytes::from(one.repeat(64));
        let mut stream = decoder();
        measure("  a frame of 64 chunks", 4_000, || {
            black_box(stream.push(black_box(burst.clone())).unwrap());
        });
        let mut members = 0;
        let text = one.slice(6..one.len() - 2);
        measure("  json::scan alone", 200_000, || {
            members += json::scan(black_box(&text)).unwrap().len();
        });
    }
}

fn responses() {
    let shown = Shown { model: "shown".into(), ..Shown::default() };
    let body = Bytes::from(
        json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-4o-2024-11-20",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello. ".repeat(20)}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
                "prompt_tokens_details": {"cached_tokens": 0}}})
        .to_string(),
    );
    measure(&format!("response::decode, chat ({} B)", body.len()), 100_000, || {
        black_box(response::decode(Operation::Chat, black_box(&body), &shown).unwrap());
    });
    let vector: Vec<f32> = (0..1536_u16).map(|at| (f32::from(at) * 0.37).sin() / 40.0).collect();
    let floats = Bytes::from(json!({"data": [{"embedding": vector}]}).to_string());
    let base64 = Shown { base64_embeddings: true, ..shown };
    measure(&format!("response::decode, 1536 floats to base64 ({} B)", floats.len()), 500, || {
        black_box(response::decode(Operation::Embeddings, black_box(&floats), &base64).unwrap());
    });
}

fn main() {
    requests();
    streams();
    responses();
}
