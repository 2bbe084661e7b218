//! Tokens used by one upstream call, in one shape for every dialect.

mod openai;
mod shown;

pub(crate) use openai::Reading;
pub(crate) use shown::OpenAiUsage;

/// Tokens of one call. Counts nest as OpenAI's do: `cached` and `cache_write` are parts of `prompt`, `reasoning` of `completion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All prompt tokens, cached ones included.
    pub prompt: u64,
    /// All completion tokens, reasoning included.
    pub completion: u64,
    /// Prompt tokens read from the provider's cache.
    pub cached: u64,
    /// Prompt tokens written to the provider's cache with its default lifetime.
    pub cache_write: u64,
    /// Prompt tokens written to the provider's cache for an hour.
    pub cache_write_1h: u64,
    /// Completion tokens spent on reasoning.
    pub reasoning: u64,
    /// Prompt tokens of audio.
    pub audio_input: u64,
    /// Completion tokens of audio.
    pub audio_output: u64,
    /// Searches and the like that are billed one by one.
    pub queries: u64,
    /// True when counted here because the upstream reported nothing.
    pub estimated: bool,
}

impl Usage {
    /// Prompt plus completion.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}
