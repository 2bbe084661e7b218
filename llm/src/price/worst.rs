//! The most that a call can cost: what is held before it is sent.

use std::time::Duration;

use crate::{
    price::{
        Price,
        cost::{Rates, ceil, clamp, milliseconds, times},
    },
    usage::Service,
};

/// Nano-USD at most, whatever part of the tokens is cached, written to a cache, audio or reasoning, whichever tier the prompt
/// reaches and whichever class of service it is given; with the fees of the request and of `queries` searches, and with all the time that it may take.
///
/// For every usage within these tokens, queries and time, [`super::cost`] is no more.
pub fn worst(price: &Price, prompt: u64, output: u64, queries: u64, longest: Duration) -> i64 {
    // A shorter prompt may cost more: tiers need not rise.
    let reached = price.tiers.iter().filter(|tier| prompt > tier.above).map(|tier| tier.above.saturating_add(1));
    let classes = std::iter::once(0).chain(reached).flat_map(|prompt| Service::ALL.map(|service| (prompt, service)));
    let tokens = classes.map(|(reached, service)| Rates::of(price, reached, service).dearest(prompt, output)).max();
    let fees = i128::from(price.per_request).saturating_add(times(queries, price.per_query));
    let sum = tokens.unwrap_or_default().saturating_add(times(milliseconds(longest), price.time));
    clamp(ceil(sum).saturating_add(fees))
}
