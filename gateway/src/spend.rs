//! What a finished request means to the spend log.

use std::{sync::Arc, time::Duration};

use turnpike_ledger::{
    engine::Used,
    spend_log::{EventId, Posting, SpendRow},
};
use turnpike_llm::{error::ErrorClass, provider::Operation};

use crate::{
    config::snapshot::{Backend, Model},
    record::{End, Record},
};

/// Most bytes of a request's `metadata` that a row keeps: rows wait in memory, and clients choose this size.
const METADATA_LIMIT: usize = 16 * 1024;

/// Kept instead of a larger one, so that its absence explains itself.
const METADATA_DROPPED: &str = r#"{"turnpike.dev/dropped":"metadata was larger than 16 KiB"}"#;

/// Most bytes of any other text that a client chooses.
const TEXT_LIMIT: usize = 256;

/// Most tags of a row, the key's own included.
const TAGS_LIMIT: usize = 64;

/// What a request used of the accounts that count it; `None` = nothing was used, not even a request.
pub fn used(record: &Record) -> Option<Used> {
    let usage = record.usage.as_ref()?;
    let tokens = i64::try_from(usage.prompt.saturating_add(usage.completion)).unwrap_or(i64::MAX);
    Some(Used { nano_usd: record.cost.unwrap_or(0), tokens })
}

/// The row of one request as far as it went.
pub fn row(record: &Record, event: EventId, postings: Arc<[Posting]>) -> SpendRow {
    let mut row = SpendRow {
        event,
        attempt: record.attempt,
        started_at_us: record.started_at_us,
        request_id: Arc::clone(&record.request_id),
        key_id: Arc::clone(&record.caller.key_id),
        team: record.caller.team.clone(),
        user: record.caller.user.clone(),
        end_user: record.end_user.as_deref().map(|user| clipped(user).into()),
        requested_model: shared(&record.requested_model),
        model: record.model.as_ref().map(|model| Arc::clone(&model.id)),
        provider: record.model.as_deref().map(provider),
        upstream_model: record.upstream_model.as_ref().map(shared),
        operation: operation(record.operation),
        stream: record.stream,
        status: 0,
        outcome: "",
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        cache_write_tokens: 0,
        reasoning_tokens: 0,
        cost_nano: None,
        estimated: false,
        first_byte_us: None,
        latency_us: 0,
        upstream_us: None,
        postings: Arc::default(),
        tags: tags(record),
        metadata: record.metadata.as_deref().and_then(metadata),
    };
    end(&mut row, record, postings);
    row
}

/// Brings a row that was made before dispatch to its request's end: how it went, and what it used.
pub fn end(row: &mut SpendRow, record: &Record, postings: Arc<[Posting]>) {
    let usage = record.usage.unwrap_or_default();
    row.attempt = record.attempt;
    row.status = record.status.as_u16();
    row.outcome = outcome(record.end);
    row.prompt_tokens = usage.prompt;
    row.completion_tokens = usage.completion;
    row.cached_tokens = usage.cached;
    row.cache_write_tokens = usage.cache_write.saturating_add(usage.cache_write_1h);
    row.reasoning_tokens = usage.reasoning;
    row.cost_nano = record.cost;
    row.estimated = usage.estimated;
    row.first_byte_us = record.first_byte.map(micros);
    row.latency_us = micros(record.total);
    row.upstream_us = record.upstream.map(micros);
    row.postings = postings;
}

/// One word for how a request ended, as in rows, logs and labels: `success`, `cancelled`, or the error's code.
pub fn outcome(end: End) -> &'static str {
    match end {
        End::Success => "success",
        End::Cancelled => "cancelled",
        End::Refused(code) => code,
        End::Upstream(ErrorClass::BadRequest) => "upstream_bad_request",
        End::Upstream(ErrorClass::ContextWindow) => "upstream_context_window",
        End::Upstream(ErrorClass::ContentPolicy) => "upstream_content_policy",
        End::Upstream(ErrorClass::Authentication) => "upstream_authentication",
        End::Upstream(ErrorClass::NotFound) => "upstream_not_found",
        End::Upstream(ErrorClass::RateLimit) => "upstream_rate_limit",
        End::Upstream(ErrorClass::Timeout) => "upstream_timeout",
        End::Upstream(ErrorClass::ServerError) => "upstream_server_error",
        End::Upstream(ErrorClass::BadAnswer) => "upstream_bad_answer",
    }
}

/// One word for the route, as in rows and logs: OpenTelemetry's `gen_ai.operation.name` where that tells routes apart.
pub fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat => "chat",
        Operation::Completions => "text_completion",
        Operation::Embeddings => "embeddings",
        Operation::Messages => "messages",
        Operation::CountTokens | Operation::CountContent => "count_tokens",
        Operation::Responses => "responses",
        Operation::GenerateContent => "generate_content",
        Operation::Rerank => "rerank",
        Operation::Moderations => "moderations",
        Operation::Images => "image_generation",
        Operation::ImageEdits => "image_edit",
        Operation::Speech => "speech",
        Operation::Transcriptions => "transcription",
        Operation::Translations => "translation",
        Operation::PassThrough => "pass_through",
    }
}

/// OpenTelemetry's `gen_ai.provider.name` of what answers for a model.
pub fn provider(model: &Model) -> &'static str {
    match &model.backend {
        Backend::Provider(upstream) => upstream.config.provider.label(),
        Backend::Mock { .. } => "mock",
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// At most [`TEXT_LIMIT`] bytes of what a client sent.
pub(crate) fn clipped(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_LIMIT)).unwrap_or_default()
}

fn shared(text: &Arc<str>) -> Arc<str> {
    if text.len() <= TEXT_LIMIT { Arc::clone(text) } else { clipped(text).into() }
}

fn metadata(raw: &[u8]) -> Option<Arc<str>> {
    if raw.len() > METADATA_LIMIT {
        return Some(METADATA_DROPPED.into());
    }
    // A copy: a slice would keep the whole request body in memory until the row is written.
    std::str::from_utf8(raw).ok().map(Arc::from)
}

fn tags(record: &Record) -> Option<Arc<str>> {
    let (of_key, of_request) = (&record.caller.tags, &record.tags);
    if of_key.is_empty() && of_request.is_empty() {
        return None;
    }
    let all: Vec<&str> = of_key.iter().chain(of_request).take(TAGS_LIMIT).map(|tag| clipped(tag)).collect();
    serde_json::to_string(&all).ok().map(Arc::from)
}
