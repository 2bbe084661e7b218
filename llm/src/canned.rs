//! Answers with a given text, for models that the gateway answers for itself: in every dialect of chats.

use bytes::Bytes;

use crate::{
    chat::{Answer, Choice, Content, Delta, Event, Finish, FinishReason},
    inbound,
    provider::{Operation, Shown},
    splice::Splices,
    usage::Usage,
};

/// The whole answer.
pub fn whole(operation: Operation, text: &str, usage: Usage, shown: &Shown) -> Splices {
    let choice = Choice {
        content: vec![Content::Text(text.to_owned())],
        annotations: Vec::new(),
        logprobs: None,
        finish: Finish::of(FinishReason::Stop),
    };
    inbound::write(operation, &Answer { id: None, choices: vec![choice], usage: Some(usage) }, shown)
}

/// The whole stream, word by word.
pub fn streamed(operation: Operation, text: &str, usage: Usage, shown: Shown) -> Bytes {
    let mut writer = inbound::writer(operation, shown);
    let mut out = Vec::new();
    writer.write(Event::Start { id: None }, &mut out);
    for word in text.split_inclusive(' ') {
        writer.write(Event::Delta { choice: 0, delta: Delta::Text(word.to_owned()) }, &mut out);
    }
    writer.write(Event::Finish { choice: 0, finish: Finish::of(FinishReason::Stop) }, &mut out);
    writer.end(Some(&usage), None, &mut out);
    Bytes::from(out)
}
