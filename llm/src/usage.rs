//! Tokens used by one upstream call, in one shape for every dialect.

use crate::json;

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
    /// The class of service that the upstream says it gave, whose rates hold.
    pub service: Service,
    /// True when counted here because the upstream reported nothing.
    pub estimated: bool,
}

/// Classes of service with rates of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Service {
    /// The normal one, and every other.
    #[default]
    Standard,
    /// Some time within a day.
    Batch,
    /// When there is room.
    Flex,
    /// Before others.
    Priority,
}

impl Service {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    /// By the word of an answer: OpenAI's, Bedrock's and Gemini's `service_tier`, Vertex AI's `trafficType`. What was asked
    /// for does not matter: a provider may give another one, and charges what it gave.
    pub(crate) fn named(word: &str) -> Self {
        match word.trim_start_matches("ON_DEMAND_").to_ascii_lowercase().as_str() {
            "batch" => Self::Batch,
            "flex" => Self::Flex,
            "priority" => Self::Priority,
            _ => Self::Standard,
        }
    }

    /// The same from a member of an answer, if it is there.
    pub(crate) fn of(member: Option<&[u8]>) -> Self {
        member.and_then(json::as_str).map_or(Self::Standard, |word| Self::named(&word))
    }
}

impl Usage {
    /// As it was served.
    #[must_use]
    pub(crate) fn served(self, service: Service) -> Self {
        Self { service, ..self }
    }

    /// Prompt plus completion.
    pub fn total(&self) -> u64 {
        self.prompt.saturating_add(self.completion)
    }
}
