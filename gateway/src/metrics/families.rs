//! The table of request metrics: one row each, all read from the same few numbers.
//!
//! Three spellings of one fact stand side by side: Turnpike's users come with dashboards for `LiteLLM`, with the names of
//! its tutorials, and with OpenTelemetry's conventions for generative AI.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{
    labels::{
        CallLabels,
        Label::{
            self, ApiKeyAlias, ApiProvider, ErrorType, ExceptionClass, ExceptionStatus, FallbackModel, GenAiOperation,
            GenAiProvider, GenAiRequestModel, GenAiResponseModel, GenAiTokenType, HashedApiKey, LitellmModelName,
            Model, ModelGroup, ModelId, RequestedModel, Route, StatusCode, Team, Type, User,
        },
    },
    tally::{Histogram, Tally, Timings, float},
};
use crate::record::CacheUse;

/// One metric name.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: &'static [Label],
    pub(super) values: Values,
}

/// A value of the label that tells tokens apart, and what is counted under it.
pub(super) type Counted = (&'static str, fn(&Tally) -> f64);

/// The same for a distribution.
pub(super) type Measured = (&'static str, fn(&Timings) -> &Histogram);

/// Where a metric's values come from.
pub(super) enum Values {
    /// A counter whose series follow keys.
    ByKey(Which, &'static [Counted]),
    /// A counter whose series follow models.
    ByModel(Which, &'static [Counted]),
    /// A histogram; its series follow models: per key there would be too many.
    Histogram(&'static [Measured]),
}

/// Which requests count.
#[derive(Clone, Copy)]
pub(super) enum Which {
    All,
    Succeeded,
    Failed,
    /// A model was asked.
    Sent,
    /// A kept answer was given.
    Hit,
    /// No kept answer was found.
    Missed,
}

impl Which {
    pub(super) fn includes(self, call: CallLabels, has_model: bool) -> bool {
        match self {
            Self::All => true,
            Self::Succeeded => has_model && call.succeeded() && call.cache != CacheUse::Hit,
            Self::Failed => call.failed(),
            Self::Sent => has_model && call.cache != CacheUse::Hit,
            Self::Hit => call.cache == CacheUse::Hit,
            Self::Missed => call.cache == CacheUse::Miss,
        }
    }
}

fn read(value: &AtomicU64) -> f64 {
    float(value.load(Relaxed))
}

fn requests(tally: &Tally) -> f64 {
    read(&tally.requests)
}

fn attempts(tally: &Tally) -> f64 {
    read(&tally.attempts)
}

fn fallbacks(tally: &Tally) -> f64 {
    read(&tally.fallbacks)
}

fn input(tally: &Tally) -> f64 {
    read(&tally.prompt)
}

fn output(tally: &Tally) -> f64 {
    read(&tally.completion)
}

fn total(tally: &Tally) -> f64 {
    input(tally) + output(tally)
}

fn spend(tally: &Tally) -> f64 {
    read(&tally.spend_nano) / 1e9
}

const KEY: &[Label] = &[HashedApiKey, ApiKeyAlias, Team, User, RequestedModel, Model, ModelId, ApiProvider];
const TIMED: &[Label] = &[RequestedModel, ModelGroup, Model, ModelId, ApiProvider];
const DEPLOYMENT: &[Label] = &[RequestedModel, ModelGroup, LitellmModelName, ModelId, ApiProvider];
const GEN_AI: &[Label] = &[GenAiOperation, GenAiProvider, GenAiRequestModel, GenAiResponseModel, ErrorType];

const fn by_key(name: &'static str, help: &'static str, of: &'static [Counted]) -> Family {
    Family { name, help, labels: KEY, values: Values::ByKey(Which::All, of) }
}

const fn histogram(
    name: &'static str,
    help: &'static str,
    labels: &'static [Label],
    of: &'static [Measured],
) -> Family {
    Family { name, help, labels, values: Values::Histogram(of) }
}

/// Every metric that requests feed.
pub(super) static FAMILIES: &[Family] = &[
    // LiteLLM's own names.
    Family {
        name: "litellm_proxy_total_requests_metric_total",
        help: "Requests by the status that the client got.",
        labels: &[HashedApiKey, ApiKeyAlias, Team, User, RequestedModel, ModelId, ApiProvider, Route, StatusCode],
        values: Values::ByKey(Which::All, &[("", requests)]),
    },
    Family {
        name: "litellm_proxy_failed_requests_metric_total",
        help: "Requests that were refused or failed, by status and cause.",
        labels: &[
            HashedApiKey,
            ApiKeyAlias,
            Team,
            User,
            RequestedModel,
            ModelId,
            ApiProvider,
            Route,
            ExceptionStatus,
            ExceptionClass,
        ],
        values: Values::ByKey(Which::Failed, &[("", requests)]),
    },
    by_key("litellm_requests_metric_total", "Requests.", &[("", requests)]),
    by_key(
        "litellm_spend_metric_total",
        "Spend in USD; calls of models without a known price add nothing.",
        &[("", spend)],
    ),
    by_key("litellm_total_tokens_metric_total", "Prompt and completion tokens.", &[("", total)]),
    by_key("litellm_input_tokens_metric_total", "Prompt tokens, cached ones included.", &[("", input)]),
    by_key("litellm_output_tokens_metric_total", "Completion tokens, reasoning included.", &[("", output)]),
    by_key(
        "litellm_input_cached_tokens_metric_total",
        "Prompt tokens read from the provider's cache.",
        &[("", |tally| read(&tally.cached))],
    ),
    by_key(
        "litellm_input_cache_creation_tokens_metric_total",
        "Prompt tokens written to the provider's cache.",
        &[("", |tally| read(&tally.cache_write))],
    ),
    by_key(
        "litellm_output_reasoning_tokens_metric_total",
        "Completion tokens spent on reasoning.",
        &[("", |tally| read(&tally.reasoning))],
    ),
    Family {
        name: "litellm_cache_hits_metric_total",
        help: "Requests answered from the gateway's own cache.",
        labels: KEY,
        values: Values::ByKey(Which::Hit, &[("", requests)]),
    },
    Family {
        name: "litellm_cache_misses_metric_total",
        help: "Requests that the gateway's own cache had no answer to.",
        labels: KEY,
        values: Values::ByKey(Which::Missed, &[("", requests)]),
    },
    Family {
        name: "litellm_cached_tokens_metric_total",
        help: "Prompt and completion tokens of answers from the gateway's own cache.",
        labels: KEY,
        values: Values::ByKey(Which::Hit, &[("", total)]),
    },
    histogram(
        "litellm_request_total_latency_metric",
        "Seconds from a request's arrival to the end of its answer.",
        TIMED,
        &[("", |timings| &timings.total)],
    ),
    histogram(
        "litellm_llm_api_latency_metric",
        "Seconds from sending a request upstream to the end of the upstream's answer.",
        TIMED,
        &[("", |timings| &timings.upstream)],
    ),
    histogram(
        "litellm_llm_api_time_to_first_token_metric",
        "Seconds from a streamed request's arrival to the first byte of its answer.",
        TIMED,
        &[("", |timings| &timings.first_token)],
    ),
    histogram(
        "litellm_overhead_latency_metric",
        "Seconds of a request that were not spent on the upstream.",
        DEPLOYMENT,
        &[("", |timings| &timings.overhead)],
    ),
    Family {
        name: "litellm_deployment_total_requests_total",
        help: "Attempts that reached a ModelDeployment: retries and fallbacks too.",
        labels: DEPLOYMENT,
        values: Values::ByModel(Which::Sent, &[("", attempts)]),
    },
    Family {
        name: "litellm_deployment_success_responses_total",
        help: "Attempts that a ModelDeployment answered in full.",
        labels: DEPLOYMENT,
        values: Values::ByModel(Which::Succeeded, &[("", attempts)]),
    },
    Family {
        name: "litellm_deployment_failure_responses_total",
        help: "Attempts that failed, by ModelDeployment (none = before one was chosen), status and cause.",
        labels: &[RequestedModel, ModelGroup, LitellmModelName, ModelId, ApiProvider, ExceptionStatus, ExceptionClass],
        values: Values::ByModel(Which::Failed, &[("", attempts)]),
    },
    Family {
        name: "litellm_deployment_successful_fallbacks_total",
        help: "Attempts at a fallback that were answered in full.",
        labels: &[RequestedModel, FallbackModel, ModelId, ApiProvider],
        values: Values::ByModel(Which::Succeeded, &[("", fallbacks)]),
    },
    Family {
        name: "litellm_deployment_failed_fallbacks_total",
        help: "Attempts at a fallback that failed, by status and cause.",
        labels: &[RequestedModel, FallbackModel, ModelId, ApiProvider, ExceptionStatus, ExceptionClass],
        values: Values::ByModel(Which::Failed, &[("", fallbacks)]),
    },
    // The names of tutorials.
    Family {
        name: "litellm_requests_total",
        help: "Requests by model and status.",
        labels: &[RequestedModel, Model, ModelId, ApiProvider, StatusCode],
        values: Values::ByModel(Which::All, &[("", requests)]),
    },
    histogram(
        "litellm_request_duration_seconds",
        "Seconds from a request's arrival to the end of its answer.",
        TIMED,
        &[("", |timings| &timings.total)],
    ),
    Family {
        name: "litellm_tokens_total",
        help: "Tokens by model and type (input, output).",
        labels: &[RequestedModel, Model, ModelId, ApiProvider, Type],
        values: Values::ByModel(Which::All, &[("input", input), ("output", output)]),
    },
    Family {
        name: "litellm_spend_total",
        help: "Spend in USD by model.",
        labels: &[RequestedModel, Model, ModelId, ApiProvider],
        values: Values::ByModel(Which::All, &[("", spend)]),
    },
    Family {
        name: "litellm_errors_total",
        help: "Requests that were refused or failed, by model and cause.",
        labels: &[RequestedModel, Model, ModelId, ApiProvider, ErrorType],
        values: Values::ByModel(Which::Failed, &[("", requests)]),
    },
    Family {
        name: "litellm_cache_hits_total",
        help: "Requests answered from the gateway's own cache.",
        labels: &[RequestedModel, Model, ModelId, ApiProvider],
        values: Values::ByModel(Which::Hit, &[("", requests)]),
    },
    // OpenTelemetry's names.
    histogram(
        "gen_ai_client_token_usage",
        "Tokens per request by type (input, output).",
        &[GenAiOperation, GenAiProvider, GenAiRequestModel, GenAiResponseModel, GenAiTokenType],
        &[("input", |timings| &timings.prompt), ("output", |timings| &timings.completion)],
    ),
    histogram(
        "gen_ai_server_request_duration_seconds",
        "Seconds from a request's arrival to the end of its answer; error_type is empty for successes.",
        GEN_AI,
        &[("", |timings| &timings.total)],
    ),
    histogram(
        "gen_ai_server_time_to_first_token_seconds",
        "Seconds from a streamed request's arrival to the first byte of its answer.",
        &[GenAiOperation, GenAiProvider, GenAiRequestModel, GenAiResponseModel],
        &[("", |timings| &timings.first_token)],
    ),
];
