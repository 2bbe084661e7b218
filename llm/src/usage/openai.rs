//! Reading the `usage` object of the OpenAI dialect, with the names that other servers use in it.

use super::Usage;
use crate::json;

/// Counts as they stand; `None` where absent, null or no number.
#[derive(Default)]
struct Counts {
    prompt: Option<u64>,
    /// Under Anthropic's name, which leaves out what the cache served and took.
    input: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    cached: Option<u64>,
    cache_write: Option<u64>,
    cache_write_1h: Option<u64>,
    reasoning: Option<u64>,
    audio_input: Option<u64>,
    audio_output: Option<u64>,
    queries: Option<u64>,
}

impl Usage {
    /// Reads a raw `usage` object. `None` where it is not an object or counts nothing, so that a server which always
    /// reports zeros is treated as one that reports nothing.
    pub fn from_openai(usage: &[u8]) -> Option<Self> {
        let mut counts = Counts::default();
        for member in json::scan(usage).ok()? {
            counts.take(&member.name(usage), member.value.of(usage));
        }
        Some(counts.normal()).filter(|usage| usage.total() > 0)
    }
}

impl Counts {
    fn take(&mut self, name: &str, value: &[u8]) {
        let slot = match name {
            "prompt_tokens" => &mut self.prompt,
            "input_tokens" => &mut self.input,
            "completion_tokens" | "output_tokens" => &mut self.completion,
            "total_tokens" => &mut self.total,
            // DeepSeek, Moonshot, Anthropic.
            "prompt_cache_hit_tokens" | "cached_tokens" | "cache_read_input_tokens" => &mut self.cached,
            "cache_creation_input_tokens" => &mut self.cache_write,
            "reasoning_tokens" => &mut self.reasoning,
            // Perplexity.
            "num_search_queries" => &mut self.queries,
            "prompt_tokens_details" | "input_tokens_details" => {
                return self.details(value, Self::prompt_detail);
            }
            "completion_tokens_details" | "output_tokens_details" => {
                return self.details(value, Self::completion_detail);
            }
            "cache_creation" => return self.details(value, Self::cache_detail),
            _ => return,
        };
        *slot = json::as_count(value).or(*slot);
    }

    fn details(&mut self, value: &[u8], take: impl Fn(&mut Self, &str, u64)) {
        for member in json::scan(value).unwrap_or_default() {
            if let Some(count) = json::as_count(member.value.of(value)) {
                take(self, &member.name(value), count);
            }
        }
    }

    fn prompt_detail(&mut self, name: &str, count: u64) {
        match name {
            "cached_tokens" => self.cached = Some(count),
            "audio_tokens" => self.audio_input = Some(count),
            // LiteLLM and OpenRouter, for Anthropic's models.
            "cache_creation_tokens" | "cache_write_tokens" => self.cache_write = Some(count),
            _ => {}
        }
    }

    fn completion_detail(&mut self, name: &str, count: u64) {
        match name {
            "reasoning_tokens" => self.reasoning = Some(count),
            "audio_tokens" => self.audio_output = Some(count),
            _ => {}
        }
    }

    fn cache_detail(&mut self, name: &str, count: u64) {
        if name == "ephemeral_1h_input_tokens" {
            self.cache_write_1h = Some(count);
        }
    }

    /// One consistent whole: parts never exceed what they are parts of, whatever the server said.
    fn normal(self) -> Usage {
        let cached = self.cached.unwrap_or(0);
        let written = self.cache_write.unwrap_or(0).max(self.cache_write_1h.unwrap_or(0));
        let inclusive = self.input.map(|input| input.saturating_add(cached).saturating_add(written));
        let prompt = self.prompt.or(if self.cached_apart() { inclusive } else { self.input });
        let missing = |known: Option<u64>| self.total.unwrap_or(0).saturating_sub(known.unwrap_or(0));
        let prompt = prompt.unwrap_or_else(|| missing(self.completion));
        let mut completion = self.completion.unwrap_or_else(|| missing(Some(prompt)));
        let reasoning = self.reasoning.unwrap_or(0);
        // Some servers (xAI) count reasoning beside the completion; the total then gives it away.
        let beside = prompt.saturating_add(completion).saturating_add(reasoning);
        if reasoning > 0 && self.total == Some(beside) {
            completion = completion.saturating_add(reasoning);
        }
        let cached = cached.min(prompt);
        let written = written.min(prompt - cached);
        let cache_write_1h = self.cache_write_1h.unwrap_or(0).min(written);
        Usage {
            prompt,
            completion,
            cached,
            cache_write: written - cache_write_1h,
            cache_write_1h,
            reasoning: reasoning.min(completion),
            audio_input: self.audio_input.unwrap_or(0).min(prompt),
            audio_output: self.audio_output.unwrap_or(0).min(completion),
            queries: self.queries.unwrap_or(0),
            estimated: false,
        }
    }

    /// `input_tokens` is OpenAI's (Responses) or Anthropic's name; a total tells which way it was counted.
    fn cached_apart(&self) -> bool {
        let input = self.input.unwrap_or(0);
        self.total != Some(input.saturating_add(self.completion.unwrap_or(0)))
    }
}
