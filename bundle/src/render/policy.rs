//! Timeouts, price and capabilities: what the spec says over what the built-in table knows.

use turnpike_crds::{
    DurationError, PriceString, Reason,
    model_deployment::{Capabilities as CapabilitiesSpec, ModelDeploymentSpec, Timeouts as TimeoutsSpec, Vllm},
};
use turnpike_llm::{
    price::{self, Price, Row},
    provider::Capabilities,
};

use crate::{
    entry::{ProviderBackend, Timeouts},
    problem::{Report, Reported},
};

/// All timeouts in milliseconds. `None` = reported.
pub(super) fn timeouts(spec: Option<&TimeoutsSpec>, report: &mut Report) -> Option<Timeouts> {
    let default = TimeoutsSpec::default();
    let spec = spec.unwrap_or(&default);
    let mut read = |name: &str, duration: Result<std::time::Duration, DurationError>| {
        let field = format!("spec.timeouts.{name}");
        match duration.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)) {
            Ok(0) => {
                report.invalid(field, "a timeout of zero would fail every request", "remove it for the default");
                None
            }
            Ok(milliseconds) => Some(milliseconds),
            Err(error) => {
                report.invalid(field, error.to_string(), "write a duration such as 30s or 5m");
                None
            }
        }
    };
    let connect = read("connect", spec.connect());
    let first_byte = read("firstByte", spec.first_byte());
    let idle = read("idle", spec.idle());
    let total = read("total", spec.total());
    Some(Timeouts { connect: connect?, first_byte: first_byte?, idle: idle?, total: total? })
}

/// The rates that the spec sets, nano-USD.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnPrice {
    input: Option<i64>,
    output: Option<i64>,
    cached_input: Option<i64>,
    per_request: Option<i64>,
    per_query: Option<i64>,
    time: Option<i64>,
}

impl OwnPrice {
    /// The spec's rates over a base; what neither names costs nothing.
    ///
    /// A rate of the spec holds at every length of prompt and class of service, so the base's tiers and classes go.
    pub(super) fn over(self, base: Option<Price>) -> Price {
        let mut price = base.unwrap_or_else(Price::free);
        if self.input.is_some() || self.output.is_some() {
            price = Price { tiers: Vec::new(), batch: None, flex: None, priority: None, ..price };
        }
        if let Some(input) = self.input {
            // Rates that are usually a fraction of the input's would now be of another price list.
            price = Price { input, cached_input: None, cache_write_5m: None, cache_write_1h: None, ..price };
        }
        if let Some(output) = self.output {
            price = Price { output, reasoning: None, ..price };
        }
        price.cached_input = self.cached_input.or(price.cached_input);
        price.per_request = self.per_request.unwrap_or(price.per_request);
        price.per_query = self.per_query.unwrap_or(price.per_query);
        price.time = self.time.unwrap_or(price.time);
        price
    }
}

/// `spec.price`; `None` = it sets no rate.
pub(super) fn own_price(of: &ModelDeploymentSpec, report: &mut Report) -> Result<Option<OwnPrice>, Reported> {
    let Some(spec) = &of.price else { return Ok(None) };
    let mut sound = true;
    let mut read = |name: &str, text: Option<&PriceString>| {
        let nano = text?.nano();
        if let Err(error) = &nano {
            sound = false;
            let next_step = "write USD as digits with at most nine decimals, such as \"2.50\"";
            report.invalid(format!("spec.price.{name}"), error.to_string(), next_step);
        }
        nano.ok().map(|nano| nano.0)
    };
    let gpu_hour = read("gpuHour", spec.gpu_hour.as_ref());
    let mut price = OwnPrice {
        input: read("inputPerMillion", spec.input_per_million.as_ref()),
        output: read("outputPerMillion", spec.output_per_million.as_ref()),
        cached_input: read("cachedInputPerMillion", spec.cached_input_per_million.as_ref()),
        per_request: read("perRequest", spec.per_request.as_ref()),
        per_query: read("perQuery", spec.per_query.as_ref()),
        time: None,
    };
    price.time = gpu_hour.and_then(|nano| time_rate(nano, of.vllm.as_ref(), report));
    let rates = [price.input, price.output, price.cached_input, price.per_request, price.per_query, price.time];
    let set = rates.iter().any(Option::is_some);
    if sound { Ok(set.then_some(price)) } else { Err(Reported) }
}

/// What a request pays for its time, as [`Price::time`] counts: gpuHour × GPUs ÷ targetInFlight, whatever the engine has in flight
/// at the moment. `None` = no engine, reported.
fn time_rate(gpu_hour: i64, engine: Option<&Vllm>, report: &mut Report) -> Option<i64> {
    const MILLIONS_OF_MS_PER_HOUR: (i128, i128) = (18, 5);
    let field = "spec.price.gpuHour";
    let Some(engine) = engine else {
        let fault = "the field has no effect on a model that is no engine in this cluster";
        report.warn(
            field,
            Reason::NoEffect,
            fault,
            "set prices of tokens or perRequest instead, or run the model with spec.vllm",
        );
        return None;
    };
    if engine.gpu.count == 0 && gpu_hour > 0 {
        let next_step = "set perRequest or prices of tokens instead, or raise spec.vllm.gpu.count";
        report.warn(field, Reason::NoEffect, "an engine without GPUs (gpu.count 0) has no hours of them", next_step);
    }
    let (millions, hours) = MILLIONS_OF_MS_PER_HOUR;
    let gpus = i128::from(engine.gpu.count.max(0));
    let divisor = i128::from(engine.target_in_flight().max(1)).saturating_mul(millions);
    let products = i128::from(gpu_hour).saturating_mul(gpus).saturating_mul(hours);
    // Up, as every price: whatever costs something is never free.
    let rate = products.saturating_add(divisor.saturating_sub(1)).div_euclid(divisor);
    Some(i64::try_from(rate).unwrap_or(i64::MAX))
}

/// `spec.capabilities`. `None` = reported.
pub(super) fn own_capabilities(spec: Option<&CapabilitiesSpec>, report: &mut Report) -> Option<Capabilities> {
    let Some(spec) = spec else {
        return Some(Capabilities::default());
    };
    let mut sound = true;
    let mut read = |name: &str, tokens: Option<i64>| {
        let count = u64::try_from(tokens?).ok().filter(|count| *count > 0);
        if count.is_none() {
            sound = false;
            report.invalid(format!("spec.capabilities.{name}"), "the number must be above 0", "correct or remove it");
        }
        count
    };
    let capabilities = Capabilities {
        context_window: read("contextWindow", spec.context_window),
        max_output_tokens: read("maxOutputTokens", spec.max_output_tokens),
        vision: spec.vision,
        tools: spec.tools,
        json_schema: spec.json_schema,
        embeddings: spec.embeddings,
        reasoning: spec.reasoning,
    };
    sound.then_some(capabilities)
}

/// The spec's price and capabilities over those of the built-in table.
pub(super) fn with_built_in(
    own_price: Option<OwnPrice>,
    own: &Capabilities,
    backend: &ProviderBackend,
    report: &mut Report,
) -> (Option<Price>, Capabilities) {
    let row = price::lookup(backend.provider, &backend.model, backend.region.as_deref());
    let base = row.map(Row::price);
    let known = row.map(Row::capabilities).unwrap_or_default();
    let capabilities = Capabilities {
        context_window: own.context_window.or(known.context_window),
        max_output_tokens: own.max_output_tokens.or(known.max_output_tokens),
        vision: own.vision.or(known.vision),
        tools: own.tools.or(known.tools),
        json_schema: own.json_schema.or(known.json_schema),
        embeddings: own.embeddings.or(known.embeddings),
        reasoning: own.reasoning.or(known.reasoning),
    };
    // A wildcard's models are looked up one by one when they are called.
    if own_price.is_none() && base.is_none() && !backend.model.contains('*') {
        report.warn(
            "spec.price",
            Reason::PriceUnknown,
            format!(
                "no price is known for {} of {:?}, so costs are recorded as unknown",
                backend.model, backend.provider
            ),
            "set spec.price, with \"0\" for what is free",
        );
    }
    (own_price.map(|own| own.over(base.clone())).or(base), capabilities)
}
