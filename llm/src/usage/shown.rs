//! Usage as clients of OpenAI's dialect see it.

use serde::Serialize;

use super::Usage;

/// OpenAI's `usage`; the counts of the cache's writes are where LiteLLM's clients look for them.
#[derive(Serialize)]
pub(crate) struct OpenAiUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: Prompt,
    completion_tokens_details: Completion,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the dialect's names")]
struct Prompt {
    cached_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_creation_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    audio_tokens: u64,
}

#[derive(Serialize)]
struct Completion {
    reasoning_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    audio_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// What is shown.
    pub(crate) fn to_openai(self) -> OpenAiUsage {
        OpenAiUsage {
            prompt_tokens: self.prompt,
            completion_tokens: self.completion,
            total_tokens: self.total(),
            prompt_tokens_details: Prompt {
                cached_tokens: self.cached,
                cache_creation_tokens: self.cache_write.saturating_add(self.cache_write_1h),
                audio_tokens: self.audio_input,
            },
            completion_tokens_details: Completion { reasoning_tokens: self.reasoning, audio_tokens: self.audio_output },
        }
    }
}
