//! Streams of Anthropic's: a message grows block by block.
//!
//! ```text
//! message_start  (content_block_start content_block_delta* content_block_stop)*  message_delta  message_stop
//! ping and error anywhere
//! ```

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    error, response,
    wire::{Block, Message, Stop, Usage},
};
use crate::{
    chat::{Delta, Event, ToolCall},
    error::UpstreamError,
    response::bad_answer,
    stream::Events,
};

/// One message in the making.
#[derive(Default)]
pub(crate) struct Messages {
    usage: Usage,
    /// Blocks that are open, with their indices; more than one only where an upstream is odd.
    open: Vec<(u64, Open)>,
    /// Calls of the client's tools so far.
    calls: u32,
    /// Characters of text so far.
    said: usize,
    finished: bool,
}

/// A block that is open.
#[derive(Clone, Copy)]
enum Open {
    /// A text that began after so many characters.
    Text {
        start: usize,
    },
    Thinking,
    /// A call by its number.
    Call {
        index: u32,
        empty: bool,
    },
}

/// Most blocks open at a time: beyond it, new ones are not listened to.
const MOST_OPEN: usize = 256;

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: String,
    message: Option<Message>,
    index: Option<u64>,
    content_block: Option<Block>,
    delta: Option<Piece>,
    usage: Option<Usage>,
}

/// What a block or the message grows by.
#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    citation: Option<Box<RawValue>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl Events for Messages {
    fn read(&mut self, _name: Option<&str>, data: &[u8], out: &mut Vec<Event>) -> Result<(), UpstreamError> {
        let line: Line = serde_json::from_slice(data).map_err(|error| bad_answer(&error))?;
        match line.kind.as_str() {
            "message_start" => {
                let message = line.message.ok_or_else(|| bad_answer(&"message_start holds no message"))?;
                self.usage = message.usage;
                out.push(Event::Start { id: message.id });
                // Should the stream be cut, this is what is known of the prompt.
                out.extend(self.usage.normal().map(Event::Usage));
            }
            "content_block_start" => {
                if let Some(block) = line.content_block {
                    self.open(line.index.unwrap_or(0), block, out);
                }
            }
            "content_block_delta" => {
                if let Some(piece) = line.delta {
                    self.grow(line.index.unwrap_or(0), piece, out);
                }
            }
            "content_block_stop" => self.close(line.index.unwrap_or(0), out),
            "message_delta" => self.stop(line.delta, line.usage, out),
            "message_stop" => out.push(Event::End),
            "error" => return Err(error::within(data)),
            // `ping`, and what is not invented yet.
            _ => {}
        }
        Ok(())
    }
}

fn say(delta: Delta, out: &mut Vec<Event>) {
    out.push(Event::Delta { choice: 0, delta });
}

impl Messages {
    fn open(&mut self, index: u64, block: Block, out: &mut Vec<Event>) {
        let open = match block.kind.as_str() {
            "text" => Open::Text { start: self.said },
            "thinking" => Open::Thinking,
            "redacted_thinking" => return say(Delta::RedactedThinking(block.data.unwrap_or_default()), out),
            "tool_use" => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                let (id, name) = (block.id.unwrap_or_default(), block.name.unwrap_or_default());
                let call = ToolCall { id, name, ..ToolCall::default() };
                say(Delta::ToolCall { index, call }, out);
                Open::Call { index, empty: true }
            }
            // Tools that the provider runs itself: their outcome is in the texts.
            _ => return,
        };
        if self.open.len() < MOST_OPEN {
            self.open.push((index, open));
        }
        // Usually empty: everything comes in pieces.
        let input = block.input.map(|input| input.get().to_owned()).filter(|input| input != "{}");
        let piece = Piece {
            text: block.text,
            thinking: block.thinking,
            signature: block.signature,
            partial_json: input,
            citation: None,
            stop_reason: None,
            stop_sequence: None,
        };
        self.grow(index, piece, out);
    }

    fn grow(&mut self, index: u64, piece: Piece, out: &mut Vec<Event>) {
        let Some((_, open)) = self.open.iter_mut().rev().find(|(at, _)| *at == index) else { return };
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        match open {
            Open::Text { start } => {
                if let Some(text) = given(piece.text) {
                    self.said = self.said.saturating_add(text.chars().count());
                    say(Delta::Text(text), out);
                }
                if let Some(citation) = piece.citation {
                    say(Delta::Annotation(response::annotation(&citation, *start, self.said)), out);
                }
            }
            Open::Thinking => {
                if let Some(text) = given(piece.thinking) {
                    say(Delta::Thinking(text), out);
                }
                if let Some(signature) = given(piece.signature) {
                    say(Delta::Signature(signature), out);
                }
            }
            Open::Call { index, empty } => {
                if let Some(json) = given(piece.partial_json) {
                    *empty = false;
                    say(Delta::Arguments { index: *index, json }, out);
                }
            }
        }
    }

    fn close(&mut self, index: u64, out: &mut Vec<Event>) {
        let Some(at) = self.open.iter().rposition(|(open, _)| *open == index) else { return };
        // A call without arguments has no pieces, and its object is still one.
        match self.open.swap_remove(at).1 {
            Open::Call { index, empty: true } => say(Delta::Arguments { index, json: "{}".to_owned() }, out),
            Open::Text { .. } | Open::Thinking | Open::Call { .. } => {}
        }
    }

    fn stop(&mut self, delta: Option<Piece>, usage: Option<Usage>, out: &mut Vec<Event>) {
        if let Some(usage) = usage {
            self.usage.update(usage);
        }
        out.extend(self.usage.normal().map(Event::Usage));
        let stop = delta.map(|delta| Stop { stop_reason: delta.stop_reason, stop_sequence: delta.stop_sequence });
        if let Some(stop) = stop.filter(|stop| stop.stop_reason.is_some() && !self.finished) {
            self.finished = true;
            out.push(Event::Finish { choice: 0, finish: response::finish(&stop, self.calls > 0) });
        }
    }
}
