//! Reading the `usage` object of the OpenAI dialect, with the names that other servers use in it.

use super::{Service, Usage};
use crate::json::{self, Visitor};

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
    /// What Perplexity's deep research read of the pages that it found. Only that model counts it, and what it read and
    /// thought is beside the prompt and the answer.
    citations: Option<u64>,
    queries: Option<u64>,
    /// Says how much of the web it read: the answer was one search (Perplexity), unless it counts them.
    searched: bool,
}

impl Usage {
    /// Reads a raw `usage` object. `None` where it is not an object or counts nothing, so that a server which always
    /// reports zeros is treated as one that reports nothing.
    pub fn from_openai(usage: &[u8]) -> Option<Self> {
        let mut reading = Reading { inside: true, ..Reading::default() };
        json::visit(usage, &mut reading).ok()?;
        reading.usage()
    }
}

/// Picks usage out of an answer while it is scanned.
#[derive(Default)]
pub(crate) struct Reading {
    counts: Counts,
    /// Within the member `usage`.
    inside: bool,
    details: Details,
}

/// Which nested object of usage is being read.
#[derive(Clone, Copy, Default)]
enum Details {
    #[default]
    None,
    Prompt,
    Completion,
    Cache,
}

impl Reading {
    /// What was read; see [`Usage::from_openai`].
    pub(crate) fn usage(self) -> Option<Usage> {
        Some(self.counts.normal()).filter(|usage| usage.total() > 0 || usage.queries > 0)
    }
}

impl Visitor for Reading {
    fn member(&mut self, key: &[u8]) {
        self.inside = key == b"usage";
        if self.inside {
            // Of two members the last one counts.
            self.counts = Counts::default();
        }
    }

    fn open(&mut self, key: Option<&[u8]>, depth: u32) {
        if self.inside && depth <= 1 {
            self.details = match key {
                // Transcriptions have it in the singular.
                Some(b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details") => Details::Prompt,
                Some(b"completion_tokens_details" | b"output_tokens_details") => Details::Completion,
                Some(b"cache_creation") => Details::Cache,
                _ => Details::None,
            };
        }
    }

    fn string(&mut self, key: &[u8], _value: &[u8], _at: usize, depth: u32) {
        self.counts.searched |= self.inside && depth == 1 && key == b"search_context_size";
    }

    fn number(&mut self, key: &[u8], value: &[u8], depth: u32) {
        if !self.inside {
            return;
        }
        let count = if key == b"seconds" { json::as_seconds(value) } else { json::as_count(value) };
        let Some(count) = count else {
            return;
        };
        match (depth, self.details) {
            (1, _) => self.counts.take(key, count),
            (2, Details::Prompt) => self.counts.prompt_detail(key, count),
            (2, Details::Completion) => self.counts.completion_detail(key, count),
            (2, Details::Cache) => self.counts.cache_detail(key, count),
            _ => {}
        }
    }
}

impl Counts {
    fn take(&mut self, name: &[u8], count: u64) {
        let slot = match name {
            b"prompt_tokens" => &mut self.prompt,
            b"input_tokens" => &mut self.input,
            b"completion_tokens" | b"output_tokens" => &mut self.completion,
            b"total_tokens" => &mut self.total,
            // DeepSeek, Moonshot, Anthropic.
            b"prompt_cache_hit_tokens" | b"cached_tokens" | b"cache_read_input_tokens" => &mut self.cached,
            b"cache_creation_input_tokens" => &mut self.cache_write,
            b"reasoning_tokens" => &mut self.reasoning,
            b"citation_tokens" => &mut self.citations,
            // Perplexity; sound that is billed by its length.
            b"num_search_queries" | b"seconds" => &mut self.queries,
            _ => return,
        };
        *slot = Some(count);
    }

    fn prompt_detail(&mut self, name: &[u8], count: u64) {
        match name {
            b"cached_tokens" => self.cached = Some(count),
            b"audio_tokens" => self.audio_input = Some(count),
            // LiteLLM and OpenRouter, for Anthropic's models.
            b"cache_creation_tokens" | b"cache_write_tokens" => self.cache_write = Some(count),
            _ => {}
        }
    }

    fn completion_detail(&mut self, name: &[u8], count: u64) {
        match name {
            b"reasoning_tokens" => self.reasoning = Some(count),
            b"audio_tokens" => self.audio_output = Some(count),
            _ => {}
        }
    }

    fn cache_detail(&mut self, name: &[u8], count: u64) {
        if name == b"ephemeral_1h_input_tokens" {
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
        if reasoning > 0 && (self.total == Some(beside) || self.citations.is_some()) {
            completion = completion.saturating_add(reasoning);
        }
        let prompt = prompt.saturating_add(self.citations.unwrap_or(0));
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
            queries: self.queries.unwrap_or(u64::from(self.searched)),
            service: Service::Standard,
            estimated: false,
        }
    }

    /// `input_tokens` is OpenAI's (Responses) or Anthropic's name; a total tells which way it was counted.
    fn cached_apart(&self) -> bool {
        let input = self.input.unwrap_or(0);
        self.total != Some(input.saturating_add(self.completion.unwrap_or(0)))
    }
}
