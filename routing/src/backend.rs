//! One backend: what is known of it, and what was seen of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::health::Health;
use crate::stats::Stats;

/// What does not change while a snapshot is in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traits {
    /// Free labels.
    pub tags: Vec<Box<str>>,
    /// Most tokens of prompt and answer; `None` = not known.
    pub context_window: Option<u64>,
    /// Most tokens of an answer; `None` = not known.
    pub max_output_tokens: Option<u64>,
    /// Takes images; `None` = not known.
    pub vision: Option<bool>,
    /// Calls tools; `None` = not known.
    pub tools: Option<bool>,
    /// Answers in a JSON schema; `None` = not known.
    pub json_schema: Option<bool>,
    /// Makes embeddings instead of chat; `None` = not known.
    pub embeddings: Option<bool>,
    /// nano-USD for a million tokens of prompt and of answer; `None` = not known.
    pub price: Option<(u64, u64)>,
    /// Most requests per minute.
    pub rpm: Option<u64>,
    /// Most tokens per minute.
    pub tpm: Option<u64>,
    /// Most requests at the same time.
    pub max_parallel: Option<u64>,
    /// Failures in a minute that are borne; see [`Health`].
    pub allowed_fails: u32,
    /// How long it is left alone after more of them; zero = never.
    pub cooldown: Duration,
}

/// What was seen of a backend; outlives reloads.
#[derive(Debug, Default)]
pub struct Live {
    /// How busy, how fast, how much used.
    pub stats: Stats,
    /// Whether it is asked.
    pub health: Health,
    /// What it last said to be left of its own rates, plus 1: requests, tokens; 0 = it never said.
    remaining: [AtomicU64; 2],
    /// What was seen of the deployment that it is a replica of; `None` = it is all of it.
    whole: Option<Arc<Self>>,
}

impl Live {
    /// Of one replica: what is counted there counts for the whole deployment too.
    pub fn of_replica(whole: &Arc<Self>) -> Self {
        Self { whole: Some(Arc::clone(whole)), ..Self::default() }
    }

    /// Whether it counts for this deployment.
    pub fn is_replica_of(&self, whole: &Arc<Self>) -> bool {
        self.whole.as_ref().is_some_and(|own| Arc::ptr_eq(own, whole))
    }

    /// It says so much to be left of its own rates, of requests and of tokens; `None` = it says nothing of that one.
    pub fn has_left(&self, rates: [Option<u64>; 2]) {
        for (kept, said) in self.remaining.iter().zip(rates) {
            if let Some(said) = said {
                kept.store(said.saturating_add(1), Relaxed);
            }
        }
    }

    /// What it last said to be left of its rates, of requests and of tokens; `None` = it never said.
    pub fn remaining(&self) -> [Option<u64>; 2] {
        [0, 1].map(|rate: usize| self.remaining.get(rate)?.load(Relaxed).checked_sub(1))
    }

    /// Numbers of the whole deployment, over all of its replicas.
    pub fn deployment(&self) -> &Stats {
        self.whole.as_ref().map_or(&self.stats, |whole| &whole.stats)
    }

    /// Its own numbers, and those of the deployment where these are others.
    pub(crate) fn counted(&self) -> impl Iterator<Item = &Stats> {
        std::iter::once(&self.stats).chain(self.whole.as_ref().map(|whole| &whole.stats))
    }
}
