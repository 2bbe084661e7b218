//! OpenAI's Responses, as clients speak it to upstreams that do not. Nothing is stored: each request says all there is.

pub(super) mod answer;
mod input;
mod item;
pub(super) mod request;
pub(super) mod stream;
