//! The cost formula: split the usage, pick the rates, add up, round up once.

use std::time::Duration;

use crate::{
    price::{Price, ServiceRates, Tier},
    usage::{Service, Usage},
};

const PER: i128 = 1_000_000;

/// A call's cost by what was bought, each part rounded up by itself: for headers and reports, never for the sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    /// Prompt tokens that touched no cache, audio included. Nano-USD, as all.
    pub input: i64,
    /// Completion tokens other than reasoning, audio included.
    pub output: i64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: i64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write: i64,
    /// Completion tokens spent on reasoning.
    pub reasoning: i64,
    /// Per request and per query fees.
    pub fees: i64,
    /// The time that it took.
    pub time: i64,
}

/// Nano-USD of one call that took so long: ceil(Σ tokens and milliseconds × rate ÷ 1e6), rounded once, plus the fees. Saturates
/// at `i64::MAX`.
pub fn cost(usage: &Usage, lasted: Duration, price: &Price) -> i64 {
    let parts = Parts::of(usage, lasted, price);
    let sum = [parts.input, parts.output, parts.cache_read, parts.cache_write, parts.reasoning, parts.time]
        .into_iter()
        .fold(0, i128::saturating_add);
    clamp(ceil(sum).saturating_add(parts.fees))
}

/// The same call by parts. Each is rounded up, so their sum may exceed [`cost`] by a nano-USD or few.
pub fn breakdown(usage: &Usage, lasted: Duration, price: &Price) -> Breakdown {
    let parts = Parts::of(usage, lasted, price);
    Breakdown {
        input: clamp(ceil(parts.input)),
        output: clamp(ceil(parts.output)),
        cache_read: clamp(ceil(parts.cache_read)),
        cache_write: clamp(ceil(parts.cache_write)),
        reasoning: clamp(ceil(parts.reasoning)),
        fees: clamp(parts.fees),
        time: clamp(ceil(parts.time)),
    }
}

/// Token × rate and time × rate products (millionths of a nano-USD), and fees in nano-USD.
struct Parts {
    input: i128,
    output: i128,
    cache_read: i128,
    cache_write: i128,
    reasoning: i128,
    fees: i128,
    time: i128,
}

impl Parts {
    fn of(usage: &Usage, lasted: Duration, price: &Price) -> Self {
        let rates = Rates::of(price, usage.prompt, usage.service);
        // Providers count some tokens twice (cached audio): each class takes from what the others left.
        let mut prompt = usage.prompt;
        let cached = take(&mut prompt, usage.cached);
        let write = take(&mut prompt, usage.cache_write);
        let write_1h = take(&mut prompt, usage.cache_write_1h);
        let audio_in = take(&mut prompt, usage.audio_input);
        let mut completion = usage.completion;
        let reasoning = take(&mut completion, usage.reasoning);
        let audio_out = take(&mut completion, usage.audio_output);
        Self {
            input: times(prompt, rates.input).saturating_add(times(audio_in, rates.audio_input)),
            output: times(completion, rates.output).saturating_add(times(audio_out, rates.audio_output)),
            cache_read: times(cached, rates.cached_input),
            cache_write: times(write, rates.cache_write_5m).saturating_add(times(write_1h, rates.cache_write_1h)),
            reasoning: times(reasoning, rates.reasoning),
            fees: i128::from(price.per_request).saturating_add(times(usage.queries, price.per_query)),
            time: times(milliseconds(lasted), price.time),
        }
    }
}

/// Every rate of one call, fallbacks applied.
pub(super) struct Rates {
    input: i64,
    output: i64,
    cached_input: i64,
    cache_write_5m: i64,
    cache_write_1h: i64,
    reasoning: i64,
    audio_input: i64,
    audio_output: i64,
}

impl Rates {
    /// Of a prompt of so many tokens in this class of service.
    pub(super) fn of(price: &Price, prompt: u64, service: Service) -> Self {
        let plain = Self::plain(price, prompt);
        let served = match service {
            Service::Standard => None,
            Service::Batch => price.batch,
            Service::Flex => price.flex,
            Service::Priority => price.priority,
        };
        match served {
            None => plain,
            Some(served) => plain.served(price, served),
        }
    }

    fn plain(price: &Price, prompt: u64) -> Self {
        let tier = price.tiers.iter().filter(|tier| prompt > tier.above).max_by_key(|tier| tier.above);
        let pick = |own: fn(&Tier) -> Option<i64>, base: Option<i64>| tier.and_then(own).or(base);
        let input = pick(|tier| tier.input, None).unwrap_or(price.input);
        let output = pick(|tier| tier.output, None).unwrap_or(price.output);
        let cache_write_5m = pick(|tier| tier.cache_write_5m, price.cache_write_5m);
        let cache_write_1h = pick(|tier| tier.cache_write_1h, price.cache_write_1h);
        Self {
            input,
            output,
            cached_input: pick(|tier| tier.cached_input, price.cached_input).unwrap_or(input),
            cache_write_5m: cache_write_5m.unwrap_or(input),
            cache_write_1h: cache_write_1h.or(cache_write_5m).unwrap_or(input),
            reasoning: pick(|tier| tier.reasoning, price.reasoning).unwrap_or(output),
            audio_input: price.audio_input.unwrap_or(input),
            audio_output: price.audio_output.unwrap_or(output),
        }
    }

    /// Providers publish two rates of a class of service; the others stand in the same proportion to the plain ones.
    fn served(self, price: &Price, served: ServiceRates) -> Self {
        let input = |rate| proportional(rate, served.input, price.input);
        let output = |rate| proportional(rate, served.output, price.output);
        Self {
            input: input(self.input),
            output: output(self.output),
            cached_input: input(self.cached_input),
            cache_write_5m: input(self.cache_write_5m),
            cache_write_1h: input(self.cache_write_1h),
            reasoning: output(self.reasoning),
            audio_input: input(self.audio_input),
            audio_output: output(self.audio_output),
        }
    }

    /// Millionths of a nano-USD at most, whatever part of the tokens is cached, reasoning or sound.
    pub(super) fn dearest(&self, prompt: u64, output: u64) -> i128 {
        let inputs = [self.cached_input, self.cache_write_5m, self.cache_write_1h, self.audio_input];
        let outputs = [self.reasoning, self.audio_output];
        let (input, out) =
            (inputs.into_iter().fold(self.input, i64::max), outputs.into_iter().fold(self.output, i64::max));
        times(prompt, input).saturating_add(times(output, out))
    }
}

/// A rate where the plain one costs `served` instead of `plain`, rounded up.
fn proportional(rate: i64, served: Option<i64>, plain: i64) -> i64 {
    match served {
        None => rate,
        Some(served) if rate == plain => served,
        // There is no proportion to nothing.
        Some(served) if plain <= 0 => rate.max(served),
        Some(served) => {
            let (product, plain) = (i128::from(rate).saturating_mul(i128::from(served)), i128::from(plain));
            clamp(product.saturating_add(plain - 1).div_euclid(plain))
        }
    }
}

/// Takes up to `wanted` tokens out of `left`.
fn take(left: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*left);
    *left = left.saturating_sub(taken);
    taken
}

/// Whole ones: less than one is not charged.
pub(super) fn milliseconds(lasted: Duration) -> u64 {
    u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn times(tokens: u64, rate: i64) -> i128 {
    i128::from(tokens).saturating_mul(i128::from(rate))
}

pub(super) fn ceil(products: i128) -> i128 {
    products.saturating_add(PER.saturating_sub(1)).div_euclid(PER)
}

pub(super) fn clamp(nano: i128) -> i64 {
    i64::try_from(nano.max(0)).unwrap_or(i64::MAX)
}
