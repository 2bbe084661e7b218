//! Whether an answer may be given again: it is whole, nothing went wrong in it, and nothing must be done because of it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use turnpike_llm::{
    provider::Operation,
    sse::{Fields, Splitter},
};

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It did not come to its end, or holds an error.
    Incomplete,
    /// It was filtered or refused for what was asked or said.
    Filtered,
    /// It calls tools, and who asked did not say that such answers may be kept.
    ToolCalls,
    /// It ended at a limit of tokens that the gateway set, not the client.
    Capped,
}

/// What was allowed of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Calls of tools.
    pub tool_calls: bool,
    /// The gateway let it have fewer tokens than the client asked for.
    pub is_capped: bool,
}

/// What an answer says of itself.
#[derive(Debug, Default)]
struct Seen {
    tool_calls: bool,
    filtered: bool,
    /// A limit of tokens ended it.
    cut: bool,
    /// Its end came as it should.
    complete: bool,
    failed: bool,
}

/// Looks at an answer as the client got it: one JSON body, or all events of a stream.
///
/// # Errors
/// Why it is not kept.
pub fn check(operation: Operation, is_stream: bool, body: &Bytes, allowed: Allowed) -> Result<(), Unfit> {
    let mut seen = Seen::default();
    if is_stream {
        seen.events(operation, body);
    } else {
        seen.whole(operation, body);
    }
    if seen.failed || !seen.complete {
        return Err(Unfit::Incomplete);
    }
    if seen.filtered {
        return Err(Unfit::Filtered);
    }
    if seen.tool_calls && !allowed.tool_calls {
        return Err(Unfit::ToolCalls);
    }
    if seen.cut && allowed.is_capped {
        return Err(Unfit::Capped);
    }
    Ok(())
}

/// An object, or something that is there.
type Any = Option<IgnoredAny>;

#[derive(Deserialize)]
struct Chat<'a> {
    #[serde(borrow, default)]
    choices: Vec<ChatChoice<'a>>,
    #[serde(default)]
    error: Any,
}

#[derive(Deserialize)]
struct ChatChoice<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
    #[serde(default, alias = "delta")]
    message: Option<ChatMessage>,
}

#[derive(Deserialize)]
struct ChatMessage {
    #[serde(default)]
    tool_calls: Option<Vec<IgnoredAny>>,
    #[serde(default)]
    function_call: Any,
    #[serde(default)]
    refusal: Any,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default)]
    data: Vec<IgnoredAny>,
    #[serde(default)]
    results: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Typed<'a>>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Default, Deserialize)]
struct Typed<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
}

/// An event of Anthropic's streams.
#[derive(Deserialize)]
struct MessageEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    content_block: Option<Typed<'a>>,
    #[serde(borrow, default)]
    delta: Option<MessageDelta<'a>>,
}

#[derive(Deserialize)]
struct MessageDelta<'a> {
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    output: Vec<Item<'a>>,
    #[serde(borrow, default)]
    incomplete_details: Option<Incomplete<'a>>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow, default)]
    reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<Vec<Typed<'a>>>,
}

/// An event of the streams of Responses.
#[derive(Deserialize)]
struct ResponseEvent<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    response: Option<Response<'a>>,
}

/// An answer of Gemini's, or an event of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Contents<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Candidate<'a>>,
    #[serde(default)]
    prompt_feedback: Option<Feedback>,
    #[serde(default)]
    error: Any,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    #[serde(default)]
    content: Option<Parts>,
    #[serde(borrow, default)]
    finish_reason: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Parts {
    #[serde(default)]
    parts: Vec<Part>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    #[serde(default)]
    function_call: Any,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    #[serde(default)]
    block_reason: Any,
}

impl Seen {
    fn whole(&mut self, operation: Operation, body: &[u8]) {
        match operation {
            Operation::Chat | Operation::Completions => self.read(body, |seen, chat: Chat<'_>| {
                // A body is whole when all of its choices are.
                seen.complete = !chat.choices.is_empty() && chat.choices.iter().all(|it| it.finish_reason.is_some());
                seen.chat(&chat);
            }),
            Operation::Messages => self.read(body, |seen, message: Message<'_>| {
                message.content.iter().for_each(|block| seen.block(&block.kind));
                seen.stopped(message.stop_reason.as_deref());
                seen.complete = message.stop_reason.is_some();
            }),
            Operation::Responses => self.read(body, |seen, response: Response<'_>| seen.response(&response)),
            Operation::GenerateContent => self.read(body, |seen, contents: Contents<'_>| {
                seen.contents(&contents);
                seen.complete = contents.candidates.iter().all(|candidate| candidate.finish_reason.is_some());
            }),
            _ => {
                self.read(body, |seen, Data { data, results }| {
                    seen.complete = !data.is_empty() || !results.is_empty();
                });
            }
        }
    }

    fn events(&mut self, operation: Operation, body: &Bytes) {
        let mut events = Splitter::default();
        events.feed(body.clone());
        loop {
            match events.next_event() {
                Ok(Some(event)) => self.event(operation, &event.fields()),
                Ok(None) => return,
                Err(_) => {
                    self.failed = true;
                    return;
                }
            }
        }
    }

    fn event(&mut self, operation: Operation, fields: &Fields<'_>) {
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii).filter(|data| !data.is_empty()) else { return };
        // What comes behind the end is no part of a good answer.
        // Of several answers of Gemini's each has its own end.
        let is_behind = self.complete && operation != Operation::GenerateContent;
        self.failed |= is_behind || fields.event == Some(b"error");
        match operation {
            _ if data == b"[DONE]" => self.complete = true,
            Operation::Messages => self.read(data, |seen, event: MessageEvent<'_>| seen.message_event(&event)),
            Operation::Responses => self.read(data, |seen, event: ResponseEvent<'_>| seen.response_event(&event)),
            Operation::GenerateContent => self.read(data, |seen, event: Contents<'_>| seen.contents(&event)),
            _ => self.read(data, |seen, chat: Chat<'_>| seen.chat(&chat)),
        }
    }

    /// Reads a JSON text; one that is none fails the answer.
    fn read<'a, T: Deserialize<'a>>(&mut self, text: &'a [u8], take: impl FnOnce(&mut Self, T)) {
        match serde_json::from_slice(text) {
            Ok(read) => take(self, read),
            Err(_) => self.failed = true,
        }
    }

    fn chat(&mut self, chat: &Chat<'_>) {
        self.failed |= chat.error.is_some();
        for choice in &chat.choices {
            match choice.finish_reason.as_deref() {
                Some("tool_calls" | "function_call") => self.tool_calls = true,
                Some("content_filter") => self.filtered = true,
                Some("length") => self.cut = true,
                Some("error") => self.failed = true,
                Some(_) | None => {}
            }
            if let Some(message) = &choice.message {
                self.tool_calls |= message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
                self.tool_calls |= message.function_call.is_some();
                self.filtered |= message.refusal.is_some();
            }
        }
    }

    fn contents(&mut self, contents: &Contents<'_>) {
        self.failed |= contents.error.is_some();
        self.filtered |= contents.prompt_feedback.as_ref().is_some_and(|feedback| feedback.block_reason.is_some());
        for candidate in &contents.candidates {
            let parts = candidate.content.iter().flat_map(|content| &content.parts);
            self.tool_calls |= parts.into_iter().any(|part| part.function_call.is_some());
            match candidate.finish_reason.as_deref() {
                Some("STOP") => self.complete = true,
                Some("MAX_TOKENS") => (self.complete, self.cut) = (true, true),
                Some(_) => (self.complete, self.filtered) = (true, true),
                None => {}
            }
        }
    }

    fn message_event(&mut self, event: &MessageEvent<'_>) {
        match &*event.kind {
            "content_block_start" => self.block(event.content_block.as_ref().map_or("", |block| &block.kind)),
            "message_delta" => self.stopped(event.delta.as_ref().and_then(|delta| delta.stop_reason.as_deref())),
            "message_stop" => self.complete = true,
            "error" => self.failed = true,
            _ => {}
        }
    }

    /// A block of an answer of Anthropic's. Tools of the provider's own are done when the answer is.
    fn block(&mut self, kind: &str) {
        self.tool_calls |= kind == "tool_use";
    }

    fn stopped(&mut self, reason: Option<&str>) {
        match reason {
            Some("tool_use") => self.tool_calls = true,
            Some("refusal") => self.filtered = true,
            Some("max_tokens") => self.cut = true,
            // The client is to ask it to go on.
            Some("pause_turn") => self.failed = true,
            Some(_) | None => {}
        }
    }

    fn response_event(&mut self, event: &ResponseEvent<'_>) {
        match (&*event.kind, &event.response) {
            ("response.completed" | "response.incomplete", Some(response)) => self.response(response),
            ("response.failed" | "error", _) => self.failed = true,
            _ => {}
        }
    }

    fn response(&mut self, response: &Response<'_>) {
        match (&*response.status, response.incomplete_details.as_ref().and_then(|why| why.reason.as_deref())) {
            ("completed", _) => self.complete = true,
            ("incomplete", Some("max_output_tokens")) => (self.complete, self.cut) = (true, true),
            ("incomplete", Some("content_filter")) => (self.complete, self.filtered) = (true, true),
            _ => self.failed = true,
        }
        for item in &response.output {
            // Those that the client must run; searches and the like are done by the provider.
            self.tool_calls |= matches!(
                &*item.kind,
                "function_call"
                    | "custom_tool_call"
                    | "computer_call"
                    | "local_shell_call"
                    | "shell_call"
                    | "apply_patch_call"
                    | "mcp_approval_request"
            );
            self.filtered |= item.content.iter().flatten().any(|part| part.kind == "refusal");
        }
    }
}
