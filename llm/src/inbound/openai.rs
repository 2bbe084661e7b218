//! OpenAI's chat completions, as clients speak it.

pub(super) mod answer;
mod message;
pub(super) mod request;
pub(super) mod stream;

pub(super) use message::source;
