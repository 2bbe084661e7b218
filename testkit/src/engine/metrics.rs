//! What vLLM counts, and how it shows it to Prometheus.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The figures of one engine.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Requests that are answered now.
    pub(super) running: AtomicU64,
    /// Requests that wait for a seat.
    pub(super) waiting: AtomicU64,
    /// Tokens read.
    pub(super) prompt_tokens: AtomicU64,
    /// Tokens made.
    pub(super) generation_tokens: AtomicU64,
    /// Tokens that were looked for in the prefix cache.
    pub(super) prefix_queries: AtomicU64,
    /// Those that it had.
    pub(super) prefix_hits: AtomicU64,
    /// Requests that ended by `stop`, then those that ended by `length`.
    pub(super) success: [AtomicU64; 2],
}

impl Metrics {
    /// In Prometheus' text format.
    pub(super) fn text(&self, model: &str, adapters: &[String]) -> String {
        let labels = format!("engine=\"0\",model_name=\"{model}\"");
        let mut out = String::new();
        let mut one = |name: &str, kind: &str, more: &str, value: &AtomicU64| {
            let family = name.strip_suffix("_total").unwrap_or(name);
            // Nothing can fail here: this writes to a string.
            let _ = write!(out, "# HELP {family} {name}\n# TYPE {family} {kind}\n");
            let _ = writeln!(out, "{name}{{{labels}{more}}} {}.0", value.load(Relaxed));
        };
        one("vllm:num_requests_running", "gauge", "", &self.running);
        one("vllm:num_requests_waiting", "gauge", "", &self.waiting);
        one("vllm:prompt_tokens_total", "counter", "", &self.prompt_tokens);
        one("vllm:generation_tokens_total", "counter", "", &self.generation_tokens);
        one("vllm:prefix_cache_queries_total", "counter", "", &self.prefix_queries);
        one("vllm:prefix_cache_hits_total", "counter", "", &self.prefix_hits);
        let [stop, length] = &self.success;
        one("vllm:request_success_total", "counter", ",finished_reason=\"stop\"", stop);
        let _ = writeln!(
            out,
            "vllm:request_success_total{{{labels},finished_reason=\"length\"}} {}.0\n# TYPE vllm:kv_cache_usage_perc gauge\n\
             vllm:kv_cache_usage_perc{{{labels}}} 0.0\n# TYPE vllm:lora_requests_info gauge\n\
             vllm:lora_requests_info{{max_lora=\"1\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"\"}} 1.0",
            length.load(Relaxed),
            adapters.join(",")
        );
        out
    }
}
