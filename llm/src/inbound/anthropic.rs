//! Anthropic's Messages, as clients speak it to models of others.

pub(super) mod answer;
mod block;
pub(super) mod request;
pub(super) mod stream;
