//! No call costs more than the worst.

use std::time::Duration;

use proptest::prelude::*;
use turnpike_llm::{
    price::{Price, ServiceRates, Tier, cost, lookup, worst},
    provider::ProviderKind,
    usage::{Service, Usage},
};

const NO_TIME: Duration = Duration::ZERO;

fn rate() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1..100_000_000_000_i64]
}

fn tier() -> impl Strategy<Value = Tier> {
    let rates = prop::array::uniform6(prop::option::of(rate()));
    (0..300_000_u64, rates).prop_map(
        |(above, [input, output, cached_input, cache_write_5m, cache_write_1h, reasoning])| Tier {
            above,
            input,
            output,
            cached_input,
            cache_write_5m,
            cache_write_1h,
            reasoning,
        },
    )
}

fn service() -> impl Strategy<Value = Option<ServiceRates>> {
    prop::option::of(
        (prop::option::of(rate()), prop::option::of(rate())).prop_map(|(input, output)| ServiceRates { input, output }),
    )
}

fn price() -> impl Strategy<Value = Price> {
    let optional = prop::array::uniform6(prop::option::of(rate()));
    let services = (service(), service(), service());
    (rate(), rate(), optional, prop::collection::vec(tier(), 0..3), services, (rate(), rate(), rate())).prop_map(
        |(input, output, optional, tiers, (batch, flex, priority), (per_request, per_query, time))| {
            let [cached_input, cache_write_5m, cache_write_1h, reasoning, audio_input, audio_output] = optional;
            Price {
                input,
                output,
                cached_input,
                cache_write_5m,
                cache_write_1h,
                reasoning,
                audio_input,
                audio_output,
                per_request,
                per_query,
                time,
                tiers,
                batch,
                flex,
                priority,
            }
        },
    )
}

fn usage() -> impl Strategy<Value = Usage> {
    let tokens = || prop_oneof![0..1000_u64, 0..400_000_u64];
    let services = prop::sample::select(Service::ALL.to_vec());
    (prop::array::uniform8(tokens()), 0..2_u64, services).prop_map(|(counts, queries, service)| {
        let [prompt, completion, cached, cache_write, cache_write_1h, reasoning, audio_input, audio_output] = counts;
        Usage {
            prompt,
            completion,
            cached,
            cache_write,
            cache_write_1h,
            reasoning,
            audio_input,
            audio_output,
            queries,
            service,
            estimated: false,
        }
    })
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0..2_000_000_u64).prop_map(Duration::from_micros),
        (0..86_400_000_u64).prop_map(Duration::from_millis),
        Just(Duration::MAX),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_usage_within_the_bound_costs_more(
        price in price(),
        usage in usage(),
        lasted in duration(),
        more in (0..300_000_u64, 0..1000_u64, duration()),
    ) {
        let longest = lasted.saturating_add(more.2);
        let most = worst(&price, usage.prompt + more.0, usage.completion + more.1, 1, longest);
        let cost = cost(&usage, lasted, &price);
        prop_assert!(cost <= most, "{cost} > {most}");
    }
}

#[test]
fn a_plain_price_is_not_overstated() {
    let price = Price { input: 3_000_000_000, output: 15_000_000_000, ..Price::free() };
    let usage = Usage { prompt: 1000, completion: 200, ..Usage::default() };
    assert_eq!(worst(&price, 1000, 200, 1, NO_TIME), cost(&usage, NO_TIME, &price));
    assert_eq!(worst(&Price::free(), u64::MAX, u64::MAX, 1, NO_TIME), 0);
    assert_eq!(worst(&price, u64::MAX, u64::MAX, 1, NO_TIME), i64::MAX);
}

#[test]
fn a_tier_counts_only_where_the_prompt_can_reach_it() {
    let tier = Tier {
        above: 200_000,
        input: Some(6_000_000_000),
        output: None,
        cached_input: None,
        cache_write_5m: None,
        cache_write_1h: None,
        reasoning: None,
    };
    let price = Price { input: 3_000_000_000, tiers: vec![tier], ..Price::free() };
    assert_eq!(worst(&price, 200_000, 0, 1, NO_TIME), 600_000_000);
    assert_eq!(worst(&price, 200_001, 0, 1, NO_TIME), 1_200_006_000);
}

#[test]
fn the_built_in_prices_have_their_classes_of_service_in_it() {
    let price = lookup(ProviderKind::OpenAI, "gpt-4o", None).unwrap().price();
    let priority = price.priority.and_then(|rates| rates.output).unwrap();
    assert_eq!(i128::from(worst(&price, 0, 1_000_000, 1, NO_TIME)), i128::from(priority.max(price.output)));
}
