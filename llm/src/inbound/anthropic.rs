//! Anthropic's Messages, as clients speak it to models of others.

pub(super) mod answer;
mod block;
pub(super) mod request;
pub(super) mod stream;

/// Between a call's id and the thought signature that goes with it: clients of this dialect hand back ids alone.
const THOUGHT: &str = "__thought__";
