//! Whole answers of Anthropic's.

use serde_json::value::RawValue;

use super::{
    error,
    wire::{Block, Message, Stop},
};
use crate::{
    chat::{Answer, Choice, Content, Finish, FinishReason, ToolCall},
    error::UpstreamError,
    json,
    response::bad_answer,
};

/// Reads one.
pub(crate) fn read(body: &[u8]) -> Result<Answer, UpstreamError> {
    let message: Message = serde_json::from_slice(body).map_err(|error| bad_answer(&error))?;
    match message.kind.as_deref() {
        Some("message") => {}
        Some("error") => return Err(error::within(body)),
        _ => return Err(bad_answer(&"it is no message")),
    }
    let mut content = Vec::with_capacity(message.content.len());
    let mut annotations = Vec::new();
    let mut calls = false;
    let mut said = 0;
    for block in message.content {
        if let Some(citations) = &block.citations {
            let end = said + block.text.as_deref().map_or(0, |text| text.chars().count());
            annotations.extend(citations.iter().map(|citation| annotation(citation, said, end)));
        }
        if let Some(part) = part(block) {
            said += if let Content::Text(text) = &part { text.chars().count() } else { 0 };
            calls |= matches!(part, Content::ToolCall(_));
            content.push(part);
        }
    }
    let stop = Stop { stop_reason: message.stop_reason, stop_sequence: message.stop_sequence };
    let choice = Choice { content, annotations, logprobs: None, finish: finish(&stop, calls) };
    Ok(Answer { id: message.id, choices: vec![choice], usage: message.usage.normal() })
}

/// What a block says; `None` for the doings of tools that the provider runs itself, whose outcome is in its texts.
fn part(block: Block) -> Option<Content> {
    Some(match block.kind.as_str() {
        "text" => Content::Text(block.text.unwrap_or_default()),
        "thinking" => Content::Thinking { text: block.thinking.unwrap_or_default(), signature: block.signature },
        "redacted_thinking" => Content::RedactedThinking(block.data.unwrap_or_default()),
        "tool_use" => {
            let arguments = block.input.map_or_else(|| "{}".to_owned(), |input| input.get().to_owned());
            let (id, name) = (block.id.unwrap_or_default(), block.name.unwrap_or_default());
            Content::ToolCall(ToolCall { id, name, arguments, signature: None })
        }
        _ => return None,
    })
}

/// Why it stopped; `calls` = the client's tools are called.
pub(super) fn finish(stop: &Stop, calls: bool) -> Finish {
    let word = stop.stop_reason.as_deref().unwrap_or("end_turn");
    let reason = match word {
        _ if calls && matches!(word, "end_turn" | "stop_sequence" | "tool_use" | "pause_turn") => {
            FinishReason::ToolCalls
        }
        "stop_sequence" => FinishReason::StopSequence(stop.stop_sequence.clone()),
        "max_tokens" | "model_context_window_exceeded" | "compaction" => FinishReason::Length,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    };
    let plain = matches!(word, "end_turn" | "stop_sequence" | "max_tokens" | "tool_use");
    Finish { reason, native: (!plain).then(|| word.to_owned()) }
}

/// What backs the text from `start` to `end` (characters of the answer): a page in OpenAI's words, else as it came.
pub(super) fn annotation(citation: &RawValue, start: usize, end: usize) -> Box<RawValue> {
    let text = citation.get().as_bytes();
    let members = json::scan(text).unwrap_or_default();
    let string = |name: &str| json::member(text, &members, name).and_then(json::as_str);
    let page = (string("type").as_deref() == Some("web_search_result_location")).then(|| string("url")).flatten();
    let Some(url) = page else { return citation.to_owned() };
    let title = string("title").unwrap_or_default();
    let shown = serde_json::json!({
        "type": "url_citation",
        "url_citation": { "start_index": start, "end_index": end, "title": title, "url": url },
    });
    RawValue::from_string(shown.to_string()).unwrap_or_else(|_| citation.to_owned())
}
