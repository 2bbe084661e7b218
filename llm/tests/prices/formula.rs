//! Cost of a call from usage and rates.

use std::time::Duration;

use proptest::prelude::*;
use turnpike_llm::{
    price::{Price, Tier, breakdown, cost},
    usage::Usage,
};

/// Nano-USD per million tokens.
const USD: i64 = 1_000_000_000;
const NO_TIME: Duration = Duration::ZERO;

fn price() -> Price {
    Price { input: 3 * USD, output: 15 * USD, ..Price::free() }
}

fn usage(prompt: u64, completion: u64) -> Usage {
    Usage { prompt, completion, ..Usage::default() }
}

#[test]
fn tokens_times_rates() {
    // 1000 × 3 $/M + 200 × 15 $/M = 0.003 + 0.003 $
    assert_eq!(cost(&usage(1000, 200), NO_TIME, &price()), 6_000_000);
    assert_eq!(cost(&usage(0, 0), NO_TIME, &price()), 0);
    assert_eq!(cost(&usage(1000, 200), NO_TIME, &Price::free()), 0);
}

#[test]
fn rounded_up_once() {
    // One token each at 0.0004 nano-USD: 0.0008 together, so 1, not 2.
    let tiny = Price { input: 400, output: 400, ..Price::free() };
    assert_eq!(cost(&usage(1, 1), NO_TIME, &tiny), 1);
    let exact = Price { input: 500_000, output: 500_000, ..Price::free() };
    assert_eq!(cost(&usage(1, 1), NO_TIME, &exact), 1);
    assert_eq!(cost(&usage(1, 2), NO_TIME, &exact), 2);
}

#[test]
fn caches_at_their_own_rates() {
    let price = Price {
        cached_input: Some(USD * 3 / 10),
        cache_write_5m: Some(USD * 375 / 100),
        cache_write_1h: Some(6 * USD),
        ..price()
    };
    let usage = Usage { cached: 400, cache_write: 200, cache_write_1h: 100, ..usage(1000, 0) };
    // 300 × 3 + 400 × 0.3 + 200 × 3.75 + 100 × 6 = 900 + 120 + 750 + 600 millionths of a $
    assert_eq!(cost(&usage, NO_TIME, &price), 2_370_000);
    let parts = breakdown(&usage, NO_TIME, &price);
    assert_eq!((parts.input, parts.cache_read, parts.cache_write), (900_000, 120_000, 1_350_000));
}

#[test]
fn an_absent_cache_rate_is_the_input_rate_and_zero_is_zero() {
    let usage = Usage { cached: 500, cache_write: 100, cache_write_1h: 100, ..usage(1000, 0) };
    assert_eq!(cost(&usage, NO_TIME, &price()), 3_000_000);
    let free_reads = Price { cached_input: Some(0), ..price() };
    assert_eq!(cost(&usage, NO_TIME, &free_reads), 1_500_000);
    let short_only = Price { cache_write_5m: Some(4 * USD), ..price() };
    assert_eq!(cost(&usage, NO_TIME, &short_only), 2_400_000 + 800_000);
}

#[test]
fn reasoning_at_its_own_rate_or_as_output() {
    let usage = Usage { reasoning: 80, ..usage(0, 100) };
    assert_eq!(cost(&usage, NO_TIME, &price()), 1_500_000);
    let own = Price { reasoning: Some(3 * USD), ..price() };
    assert_eq!(cost(&usage, NO_TIME, &own), 20 * 15_000 + 80 * 3000);
    assert_eq!(breakdown(&usage, NO_TIME, &own).reasoning, 240_000);
}

#[test]
fn audio_at_its_own_rates() {
    let price = Price { audio_input: Some(40 * USD), audio_output: Some(80 * USD), ..price() };
    let usage = Usage { audio_input: 10, audio_output: 5, ..usage(30, 15) };
    assert_eq!(cost(&usage, NO_TIME, &price), 20 * 3000 + 10 * 40_000 + 10 * 15_000 + 5 * 80_000);
}

#[test]
fn a_tier_holds_for_all_tokens_above_its_threshold() {
    let tier = Tier {
        above: 200_000,
        input: Some(6 * USD),
        output: Some(22_500_000_000),
        cached_input: Some(USD * 6 / 10),
        cache_write_5m: None,
        cache_write_1h: None,
        reasoning: None,
    };
    let higher = Tier { above: 500_000, input: Some(9 * USD), output: None, cached_input: None, ..tier };
    let price = Price { cached_input: Some(USD * 3 / 10), tiers: vec![tier, higher], ..price() };
    assert_eq!(cost(&usage(200_000, 100), NO_TIME, &price), 200_000 * 3000 + 100 * 15_000);
    assert_eq!(cost(&usage(200_001, 100), NO_TIME, &price), 200_001 * 6000 + 100 * 22_500);
    // Cached tokens count towards the threshold and have the tier's rate.
    let cached = Usage { cached: 200_000, ..usage(200_001, 0) };
    assert_eq!(cost(&cached, NO_TIME, &price), 200_000 * 600 + 6000);
    // What the highest tier leaves out is the base rate.
    assert_eq!(cost(&usage(500_001, 100), NO_TIME, &price), 500_001 * 9000 + 100 * 15_000);
}

#[test]
fn overlapping_counts_never_charge_more_than_all_tokens() {
    let usage = Usage {
        cached: 900,
        cache_write: 900,
        audio_input: 900,
        reasoning: 500,
        audio_output: 500,
        ..usage(1000, 100)
    };
    assert_eq!(cost(&usage, NO_TIME, &price()), 1000 * 3000 + 100 * 15_000);
}

#[test]
fn fees_come_on_top() {
    let price = Price { per_request: 5, per_query: 2_000_000, ..Price::free() };
    let usage = Usage { queries: 3, ..Usage::default() };
    assert_eq!(cost(&usage, NO_TIME, &price), 6_000_005);
    assert_eq!(breakdown(&usage, NO_TIME, &price).fees, 6_000_005);
}

#[test]
fn time_comes_on_top_in_whole_milliseconds() {
    // 2.10 USD an hour, for one of 32 requests: 18 229.17 nano-USD a second.
    let engine = Price { time: 18_229_167, ..Price::free() };
    let used = usage(1000, 200);
    assert_eq!(cost(&used, Duration::from_hours(1), &engine), 65_625_002);
    assert_eq!(cost(&used, Duration::from_micros(1999), &engine), 19);
    assert_eq!(cost(&used, Duration::from_micros(999), &engine), 0);
    let both = Price { time: 18_229_167, ..price() };
    assert_eq!(cost(&used, Duration::from_secs(2), &both), 6_000_000 + 36_459);
    assert_eq!(breakdown(&used, Duration::from_secs(2), &both).time, 36_459);
    // Rounded once, with the tokens: 0.4 and 0.6 nano-USD.
    let tiny = Price { input: 400_000, time: 600_000, ..Price::free() };
    assert_eq!(cost(&usage(1, 0), Duration::from_millis(1), &tiny), 1);
}

#[test]
fn absurd_amounts_saturate() {
    let price = Price { input: i64::MAX, output: i64::MAX, per_request: i64::MAX, ..Price::free() };
    assert_eq!(cost(&usage(u64::MAX, u64::MAX), NO_TIME, &price), i64::MAX);
    let price = Price { time: i64::MAX, ..Price::free() };
    assert_eq!(cost(&usage(0, 0), Duration::MAX, &price), i64::MAX);
}

fn any_usage() -> impl Strategy<Value = Usage> {
    let count = 0..2_000_000_u64;
    (count.clone(), count.clone(), count.clone(), count.clone(), count.clone(), count).prop_map(
        |(prompt, completion, cached, cache_write, reasoning, audio_input)| Usage {
            prompt,
            completion,
            cached,
            cache_write,
            reasoning,
            audio_input,
            ..Usage::default()
        },
    )
}

proptest! {
    #[test]
    fn between_the_cheapest_and_the_dearest_rate(usage in any_usage(), rates in prop::array::uniform5(0..50_000_000_000_i64)) {
        let [input, output, cached, write, reasoning] = rates;
        let price = Price {
            input,
            output,
            cached_input: Some(cached),
            cache_write_5m: Some(write),
            reasoning: Some(reasoning),
            ..Price::free()
        };
        let all = |rate: i64| Price { input: rate, output: rate, ..Price::free() };
        let least = *rates.iter().min().unwrap();
        let most = *rates.iter().max().unwrap();
        let cost_of = cost(&usage, NO_TIME, &price);
        prop_assert!(cost(&usage, NO_TIME, &all(least)) <= cost_of && cost_of <= cost(&usage, NO_TIME, &all(most)));
        let parts = breakdown(&usage, NO_TIME, &price);
        let sum = parts.input + parts.output + parts.cache_read + parts.cache_write + parts.reasoning + parts.fees;
        prop_assert!((cost_of..=cost_of + 5).contains(&sum));
    }

    #[test]
    fn a_price_survives_json(rate in any::<i64>(), cached in any::<Option<i64>>()) {
        let price = Price { input: rate, cached_input: cached, per_query: rate, ..Price::free() };
        let text = serde_json::to_string(&price).unwrap();
        prop_assert_eq!(serde_json::from_str::<Price>(&text).unwrap(), price);
    }
}
