//! Thinking that stands in the content between `<think>` and `</think>`: told apart however the stream cuts it, and only where the
//! provider's row says so.

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::provider::{Operation, ProviderKind, Shown};

const CONTENTS: &[(&str, &str, &str)] = &[
    ("<think>Six \u{e6}\u{1f914}</think>42", "Six \u{e6}\u{1f914}", "42"),
    (" \n<think>\n a < b </thin </think>\n\n 4 <think>x</think>", "a < b </thin ", "4 <think>x</think>"),
    ("<think>never closed </thi", "never closed </thi", ""),
    ("<think>\n\n</think>\n\nplain", "", "plain"),
    ("<think></think>", "", ""),
    ("<thinking>no</thinking>", "", "<thinking>no</thinking>"),
    ("  <thin", "", "  <thin"),
    ("before <think>no</think>", "", "before <think>no</think>"),
    ("</think>no", "", "</think>no"),
    ("", "", ""),
];

fn chunk(delta: &Value, finish: Option<&str>) -> String {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
    format!("data: {}\n\n", json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}))
}

/// Thinking and text of a stream of these pieces, all its chunks together.
fn streamed(kind: ProviderKind, shown: Shown, pieces: &[String]) -> (String, String) {
    let mut decoder = kind.adapter().unwrap().stream(Operation::Chat, shown);
    let mut out = Vec::new();
    let pieces = pieces.iter().map(|piece| chunk(&json!({"content": piece}), None));
    for event in pieces.chain([chunk(&json!({}), Some("stop")), "data: [DONE]\n\n".to_owned()]) {
        out.extend_from_slice(&decoder.push(Bytes::from(event)).unwrap());
    }
    let (mut thought, mut text) = (String::new(), String::new());
    for line in str::from_utf8(&out).unwrap().lines().filter_map(|line| line.strip_prefix("data: {")) {
        let chunk: Value = serde_json::from_str(&format!("{{{line}")).unwrap();
        let delta = &chunk["choices"][0]["delta"];
        thought.push_str(delta["reasoning_content"].as_str().unwrap_or_default());
        text.push_str(delta["content"].as_str().unwrap_or_default());
    }
    assert_eq!(decoder.tape().text().len(), thought.len() + text.len(), "what is counted");
    (thought, text)
}

fn whole(kind: ProviderKind, shown: &Shown, content: &str) -> Value {
    let message = json!({"role": "assistant", "content": content});
    let body =
        json!({"model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
    let decoded = kind.adapter().unwrap().decode(Operation::Chat, Bytes::from(body), shown).unwrap();
    let answer: Value = serde_json::from_slice(&decoded.body.to_bytes()).unwrap();
    answer["choices"][0]["message"].clone()
}

#[test]
fn is_told_apart_however_it_is_cut() {
    for (content, thought, text) in CONTENTS {
        let expected = ((*thought).to_owned(), (*text).to_owned());
        for size in 1..=content.chars().count().max(1) {
            let letters: Vec<char> = content.chars().collect();
            let pieces: Vec<String> = letters.chunks(size).map(|letters| letters.iter().collect()).collect();
            let told = streamed(ProviderKind::VLLM, Shown::default(), &pieces);
            assert_eq!(told, expected, "{content:?} in pieces of {size}");
        }
        let message = whole(ProviderKind::VLLM, &Shown::default(), content);
        assert_eq!(message["reasoning_content"].as_str().unwrap_or_default(), *thought, "{content:?}");
        assert_eq!(message["content"].as_str().unwrap_or_default(), *text, "{content:?}");
    }
}

#[test]
fn stays_where_the_provider_tells_it_apart_itself() {
    let content = "<think>a</think>b";
    let untouched = (String::new(), content.to_owned());
    let pieces = [content.to_owned()];
    let reasons = || Shown { reasons: true, ..Shown::default() };
    for (kind, shown, is_split) in [
        (ProviderKind::OpenAI, reasons(), false),
        (ProviderKind::DeepSeek, reasons(), false),
        (ProviderKind::OpenAICompatible, Shown::default(), false),
        (ProviderKind::OpenAICompatible, reasons(), true),
        (ProviderKind::HuggingFaceTGI, Shown::default(), true),
        (ProviderKind::Perplexity, Shown::default(), true),
    ] {
        let message = whole(kind, &shown, content);
        assert_eq!(message["content"], if is_split { "b" } else { content }, "{kind:?}");
        let told = streamed(kind, shown, &pieces);
        assert_eq!(told, if is_split { ("a".to_owned(), "b".to_owned()) } else { untouched.clone() }, "{kind:?}");
    }
}

#[test]
fn of_a_server_that_reads_it_stays_as_it_came() {
    let parsed = json!({"role": "assistant", "reasoning_content": "a", "content": "<think>b</think>c"});
    let body = json!({"choices": [{"index": 0, "message": parsed, "finish_reason": "stop"}]}).to_string();
    let adapter = ProviderKind::VLLM.adapter().unwrap();
    let decoded = adapter.decode(Operation::Chat, Bytes::from(body.clone()), &Shown::default()).unwrap();
    assert_eq!(decoded.body.to_bytes(), body);
}

#[test]
fn frames_may_be_cut_at_every_byte() {
    let stream = include_bytes!("chat_completions/stream/tagged.sse");
    let told = |frames: &mut dyn Iterator<Item = &[u8]>| {
        let mut decoder = ProviderKind::VLLM.adapter().unwrap().stream(Operation::Chat, Shown::default());
        let mut out = Vec::new();
        frames.for_each(|frame| out.extend_from_slice(&decoder.push(Bytes::copy_from_slice(frame)).unwrap()));
        out.extend_from_slice(&decoder.end().unwrap());
        (String::from_utf8(out).unwrap(), decoder.tape().text())
    };
    let whole = told(&mut [&stream[..]].into_iter());
    assert!(whole.0.contains(r#""reasoning_content":"x times""#), "{}", whole.0);
    for at in 0..stream.len() {
        let (before, after) = stream.split_at(at);
        assert_eq!(told(&mut [before, after].into_iter()), whole, "cut at {at}");
    }
    assert_eq!(told(&mut stream.chunks(1)), whole);
}
