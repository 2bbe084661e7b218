//! A request and kept answers: its own, which may be kept, or one that it is given.

use std::sync::Arc;

use turnpike_ledger::spend_log::Attempt;
use turnpike_llm::usage::Usage;

use super::Meter;
use crate::{
    cache::recorder::Recorder,
    config::snapshot::{Caller, Model},
    record::CacheUse,
    responses::saver::Saver,
};

/// What a request's answer is kept for.
#[derive(Default)]
pub struct Keeping {
    used: CacheUse,
    recorder: Option<Box<Recorder>>,
    saver: Option<Box<Saver>>,
}

impl Meter {
    /// Who makes the request; `None` = it has ended.
    pub fn caller(&self) -> Option<Arc<Caller>> {
        self.open.as_ref().map(|open| Arc::clone(&open.0.caller))
    }

    /// What kept answers have to do with it.
    pub fn cache(&mut self, used: CacheUse) {
        self.update(|record| record.cache = used);
    }

    /// Its answer may be given again.
    pub fn keep(&mut self, recorder: Box<Recorder>) {
        if let Some(open) = &mut self.open {
            open.1.recorder = Some(recorder);
        }
    }

    /// Its answer is stored, for requests that go on from it.
    pub fn store(&mut self, saver: Option<Box<Saver>>) {
        if let Some(open) = &mut self.open {
            open.1.saver = saver;
        }
    }

    /// What its answer is kept for, while it is open which of two attempts gives it.
    pub fn take_keeping(&mut self) -> Keeping {
        let Some((record, held)) = self.open.as_deref_mut() else { return Keeping::default() };
        let used = std::mem::take(&mut record.cache);
        Keeping { used, recorder: held.recorder.take(), saver: held.saver.take() }
    }

    /// This one answers it, within this cap.
    pub fn resume_keeping(&mut self, Keeping { used, recorder, saver }: Keeping, cap: Option<u64>) {
        self.cache(used);
        self.store(saver);
        if let Some(recorder) = recorder {
            self.keep(recorder);
            self.capped(cap);
        }
    }

    /// A kept answer of this backend, which took so much when it was made, and costs nothing now.
    pub fn hit(&mut self, model: &Arc<Model>, upstream_model: &str, usage: Usage) {
        self.chosen(model, &upstream_model.into());
        self.update(|record| {
            (record.usage, record.cost, record.cache) = (Some(usage), Some(0), CacheUse::Hit);
            record.attempt = Attempt::NONE;
        });
    }

    /// The next bytes for the client.
    pub fn shown(&mut self, bytes: &[u8]) {
        let Some(open) = &mut self.open else { return };
        if let Some(recorder) = &mut open.1.recorder {
            recorder.see(bytes);
        }
        if let Some(saver) = &mut open.1.saver {
            saver.see(bytes);
        }
    }

    /// The gateway lets the model write less than the client asked for.
    pub(super) fn capped(&mut self, cap: Option<u64>) {
        if let (Some(_), Some(recorder)) = (cap, self.recorder()) {
            recorder.capped();
        }
    }

    fn recorder(&mut self) -> Option<&mut Recorder> {
        self.open.as_mut()?.1.recorder.as_deref_mut()
    }
}
