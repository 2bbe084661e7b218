//! What Anthropic says, as far as it is read.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::usage;

/// A whole answer, or what `message_start` holds of it.
#[derive(Deserialize)]
pub(super) struct Message {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) id: Option<String>,
    #[serde(default)]
    pub(super) content: Vec<Block>,
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
    #[serde(default)]
    pub(super) usage: Usage,
}

/// Why it stopped.
#[derive(Default, Deserialize)]
pub(super) struct Stop {
    pub(super) stop_reason: Option<String>,
    pub(super) stop_sequence: Option<String>,
}

/// Any block: which members it has goes by its type.
#[derive(Deserialize)]
pub(super) struct Block {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) text: Option<String>,
    pub(super) citations: Option<Vec<Box<RawValue>>>,
    pub(super) thinking: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) input: Option<Box<RawValue>>,
}

/// Counts as they stand. Streams report them twice, and only what the second report names is newer.
#[derive(Clone, Copy, Default, Deserialize)]
pub(super) struct Usage {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<CacheCreation>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    server_tool_use: Option<ServerTools>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct CacheCreation {
    #[serde(default)]
    ephemeral_1h_input_tokens: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct OutputDetails {
    #[serde(default)]
    thinking_tokens: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct ServerTools {
    #[serde(default)]
    web_search_requests: u64,
}

impl Usage {
    /// Puts a newer report over this one.
    pub(super) fn update(&mut self, newer: Self) {
        *self = Self {
            input_tokens: newer.input_tokens.or(self.input_tokens),
            cache_read_input_tokens: newer.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: newer.cache_creation_input_tokens.or(self.cache_creation_input_tokens),
            cache_creation: newer.cache_creation.or(self.cache_creation),
            output_tokens: newer.output_tokens.or(self.output_tokens),
            output_tokens_details: newer.output_tokens_details.or(self.output_tokens_details),
            server_tool_use: newer.server_tool_use.or(self.server_tool_use),
        };
    }

    /// Nested as everywhere else: Anthropic counts what the cache served and took beside `input_tokens`.
    pub(super) fn normal(&self) -> Option<usage::Usage> {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let hour = self.cache_creation.unwrap_or_default().ephemeral_1h_input_tokens;
        let written = self.cache_creation_input_tokens.unwrap_or(0).max(hour);
        let prompt = self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(written);
        let completion = self.output_tokens.unwrap_or(0);
        let usage = usage::Usage {
            prompt,
            completion,
            cached,
            cache_write: written - hour,
            cache_write_1h: hour,
            reasoning: self.output_tokens_details.unwrap_or_default().thinking_tokens.min(completion),
            queries: self.server_tool_use.unwrap_or_default().web_search_requests,
            ..usage::Usage::default()
        };
        (usage.total() > 0).then_some(usage)
    }
}
