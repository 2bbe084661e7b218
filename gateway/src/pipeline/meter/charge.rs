//! What an attempt is charged: its tokens, and on engines of the cluster its time.
//!
//! Time is charged up to what was held for it: a stream may go on for longer than `timeouts.total`.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use turnpike_llm::{
    price,
    stream::{CostFn, Tape},
    tokens,
    usage::Usage,
};

use super::{Meter, Prompt};
use crate::{config::snapshot::Model, record::Record};

impl Meter {
    /// How long the attempt has lasted, or did, as it is charged.
    pub(super) fn lasted(&self, record: &Record) -> Duration {
        let told = self.told.as_ref().and_then(|told| told.get()).copied();
        let lasted = told.or(record.upstream).or_else(|| Some(self.dispatched?.elapsed())).unwrap_or_default();
        lasted.min(self.longest(record))
    }

    fn longest(&self, record: &Record) -> Duration {
        let total = || record.model.as_deref().map(total).unwrap_or_default();
        self.most.map_or_else(total, |most| most.longest)
    }

    /// Prices the usage that a stream tells its client: of the time until then, which is what the attempt is charged, so that
    /// the client's cost is that of the books.
    pub fn pricing(&mut self) -> Option<CostFn> {
        let record = &self.open.as_ref()?.0;
        let (model, upstream_model) = (Arc::clone(record.model.as_ref()?), Arc::clone(record.upstream_model.as_ref()?));
        let (dispatched, longest) = (self.dispatched?, self.longest(record));
        let told = Arc::new(OnceLock::new());
        self.told = Some(Arc::clone(&told));
        Some(Box::new(move |usage| {
            let lasted = *told.get_or_init(|| dispatched.elapsed().min(longest));
            price_of(&model, &upstream_model, usage, lasted)
        }))
    }

    /// nano-USD of what it used, until now; `None` = no known price.
    pub(super) fn priced(&self, usage: &Usage) -> Option<i64> {
        let record = &self.open.as_ref()?.0;
        cost_of(record, usage, self.lasted(record))
    }
}

/// How long one attempt at a model may last.
pub fn total(model: &Model) -> Duration {
    Duration::from_millis(model.entry.timeouts.total)
}

/// nano-USD of an attempt that used and lasted so much; `None` = no known price.
pub(super) fn cost_of(record: &Record, usage: &Usage, lasted: Duration) -> Option<i64> {
    price_of(record.model.as_ref()?, record.upstream_model.as_deref()?, usage, lasted)
}

fn price_of(model: &Model, upstream_model: &str, usage: &Usage, lasted: Duration) -> Option<i64> {
    Some(price::cost(usage, lasted, &*model.price(upstream_model)?))
}

/// Tokens of an attempt whose upstream has not said what it used.
pub(super) fn estimate(record: &Record, prompt: &Prompt, output: &Tape) -> Usage {
    let model = record.upstream_model.as_deref().unwrap_or_default();
    let prompt = match prompt {
        Prompt::None => 0,
        Prompt::Request(request) => tokens::prompt(model, request),
        Prompt::Tokens(rough) => *rough,
        Prompt::Whole(usage) => return *usage,
    };
    Usage { prompt, completion: output.tokens(model), estimated: true, ..Usage::default() }
}
