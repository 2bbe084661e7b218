//! The most that a call can cost: what is held before it is sent.

use std::time::Duration;

use crate::price::{
    Price, ServiceRates, Tier,
    cost::{ceil, clamp, milliseconds, times},
};

/// Nano-USD at most, whatever part of the tokens is cached, written to a cache, audio or reasoning, whichever tier the prompt
/// reaches and whichever class of service it is given; with the fees of the request and of `queries` searches, and with all the time that it may take.
///
/// For every usage within these tokens, queries and time, [`super::cost`] is no more.
pub fn worst(price: &Price, prompt: u64, output: u64, queries: u64, longest: Duration) -> i64 {
    let base = Rates::of(price);
    // A shorter prompt may cost more: tiers need not rise.
    let reached = price.tiers.iter().filter(|tier| prompt > tier.above).map(|tier| Rates::of_tier(price, tier));
    let tokens = std::iter::once(base).chain(reached).map(|rates| rates.cost(prompt, output)).max().unwrap_or_default();
    let fees = i128::from(price.per_request).saturating_add(times(queries, price.per_query));
    let sum = tokens.saturating_add(times(milliseconds(longest), price.time));
    clamp(ceil(sum).saturating_add(fees))
}

/// The dearest rate of each side.
struct Rates {
    input: i64,
    output: i64,
}

impl Rates {
    fn of(price: &Price) -> Self {
        let Price {
            input,
            output,
            cached_input,
            cache_write_5m,
            cache_write_1h,
            reasoning,
            audio_input,
            audio_output,
            ..
        } = price;
        let services = [price.batch, price.flex, price.priority];
        let of_service = |rate: fn(&ServiceRates) -> Option<i64>| services.iter().flatten().filter_map(rate).max();
        Self {
            input: dearest(
                *input,
                [*cached_input, *cache_write_5m, *cache_write_1h, *audio_input, of_service(|rates| rates.input)],
            ),
            output: dearest(*output, [*reasoning, *audio_output, of_service(|rates| rates.output)]),
        }
    }

    /// The tier's rates, and the base ones, which hold for whatever the tier leaves out.
    fn of_tier(price: &Price, tier: &Tier) -> Self {
        let base = Self::of(price);
        Self {
            input: dearest(base.input, [tier.input, tier.cached_input, tier.cache_write_5m, tier.cache_write_1h]),
            output: dearest(base.output, [tier.output, tier.reasoning]),
        }
    }

    fn cost(&self, prompt: u64, output: u64) -> i128 {
        times(prompt, self.input).saturating_add(times(output, self.output))
    }
}

fn dearest<const N: usize>(base: i64, others: [Option<i64>; N]) -> i64 {
    others.into_iter().flatten().fold(base, i64::max)
}
