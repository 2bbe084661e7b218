//! The built-in price table: how its rows are stored, and what they say.
//!
//! Rows hold numbers only and the names lie in one string, so that the whole table is read-only data without
//! relocations: pages that nobody looks at cost no memory.

use crate::{
    price::{Price, ServiceRates, Tier, table},
    provider::{Capabilities, ProviderKind},
};

/// Stands for an absent number.
pub(super) const NONE: u32 = u32::MAX;
/// The table counts in millionths of a USD per million tokens; prices in nano-USD.
const NANO_PER_MICRO: i64 = 1000;

/// Bits of [`Row::flags`].
pub(super) mod flag {
    pub(in crate::price) const EMBEDDING: u8 = 1;
    pub(in crate::price) const VISION: u8 = 2;
    pub(in crate::price) const TOOLS: u8 = 4;
    pub(in crate::price) const JSON_SCHEMA: u8 = 8;
    pub(in crate::price) const REASONING: u8 = 16;
    /// Neither chat nor embeddings: nothing is known of the other bits.
    pub(in crate::price) const RERANK: u8 = 32;
}

/// One model of one provider in the built-in table.
#[derive(Debug)]
pub struct Row {
    pub(super) provider: ProviderKind,
    pub(super) flags: u8,
    /// Where its name lies in [`table::NAMES`].
    pub(super) name: (u32, u8),
    /// Input, output, cached input, cache write 5m, cache write 1h, reasoning, audio input, audio output; per query.
    pub(super) rates: [u32; 9],
    /// Threshold, input, output, cached input, cache write 5m, cache write 1h of the one tier above the base.
    pub(super) tier: [u32; 6],
    /// Input and output of batch, flex, priority.
    pub(super) service: [u32; 6],
    /// Context window and most output, tokens.
    pub(super) sizes: [u32; 2],
}

impl Row {
    /// The model's name as its provider has it, without any prefix of another tool.
    pub fn model(&self) -> &'static str {
        let start = usize::try_from(self.name.0).unwrap_or(usize::MAX);
        table::NAMES.get(start..start.saturating_add(usize::from(self.name.1))).unwrap_or_default()
    }

    /// The provider that charges this.
    pub fn provider(&self) -> ProviderKind {
        self.provider
    }

    /// What it costs.
    pub fn price(&self) -> Price {
        let [input, output, cached_input, cache_write_5m, cache_write_1h, reasoning, audio_input, audio_output, query] =
            self.rates.map(rate);
        let [batch_input, batch_output, flex_input, flex_output, priority_input, priority_output] =
            self.service.map(rate);
        Price {
            input: input.unwrap_or(0),
            output: output.unwrap_or(0),
            cached_input,
            cache_write_5m,
            cache_write_1h,
            reasoning,
            audio_input,
            audio_output,
            per_request: 0,
            per_query: query.unwrap_or(0),
            time: 0,
            tiers: self.tier().into_iter().collect(),
            batch: service(batch_input, batch_output),
            flex: service(flex_input, flex_output),
            priority: service(priority_input, priority_output),
        }
    }

    /// What it can do. An ability that the source does not list is absent, not unknown: lists there are complete for
    /// chat models of these providers, but only `true` is said, so that a gap in the list refuses nothing.
    pub fn capabilities(&self) -> Capabilities {
        let has = |bit: u8| (self.flags & bit != 0).then_some(true);
        let chat = self.flags & (flag::EMBEDDING | flag::RERANK) == 0;
        let [context_window, max_output_tokens] = self.sizes.map(number);
        Capabilities {
            context_window,
            max_output_tokens,
            vision: has(flag::VISION),
            tools: has(flag::TOOLS),
            json_schema: has(flag::JSON_SCHEMA),
            embeddings: if chat { Some(false) } else { has(flag::EMBEDDING) },
            reasoning: has(flag::REASONING),
        }
    }

    fn tier(&self) -> Option<Tier> {
        let [above, rates @ ..] = self.tier;
        let [input, output, cached_input, cache_write_5m, cache_write_1h] = rates.map(rate);
        let above = number(above)?;
        Some(Tier { above, input, output, cached_input, cache_write_5m, cache_write_1h, reasoning: None })
    }
}

/// Numbers as the table gives them: those left out at the end are absent.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses what is out of bounds")]
pub(super) const fn cells<const N: usize>(given: &[u32]) -> [u32; N] {
    let mut out = [NONE; N];
    let mut at = 0;
    while at < given.len() {
        out[at] = given[at];
        at += 1;
    }
    out
}

/// A name's length; longer ones do not compile.
pub(super) const fn length(name: &str) -> u8 {
    assert!(name.len() < 256);
    name.len().to_le_bytes()[0]
}

/// Rows whose names lie one after the other.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses what is out of bounds")]
pub(super) const fn placed<const N: usize>(mut rows: [Row; N]) -> [Row; N] {
    let mut start = 0;
    let mut at = 0;
    while at < N {
        rows[at].name.0 = start;
        start += rows[at].name.1 as u32;
        at += 1;
    }
    rows
}

fn number(stored: u32) -> Option<u64> {
    (stored != NONE).then(|| u64::from(stored))
}

fn rate(stored: u32) -> Option<i64> {
    (stored != NONE).then(|| i64::from(stored).saturating_mul(NANO_PER_MICRO))
}

fn service(input: Option<i64>, output: Option<i64>) -> Option<ServiceRates> {
    (input.is_some() || output.is_some()).then_some(ServiceRates { input, output })
}
