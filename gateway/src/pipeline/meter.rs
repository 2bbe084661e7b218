//! Follows one request to its end and settles each of its attempts exactly once: spend row, metrics, log line.
//!
//! It lives in the response's body, so that a client which leaves, an upstream that breaks and a shutdown all settle.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;
use turnpike_ledger::{
    engine::{Hold, Used},
    spend_log::{Attempt, Posting, Role, SpendRow, SpendSlot},
    wal::WalWriter,
};
use turnpike_llm::{
    provider::{Dialect, Operation},
    relay,
    request::Request,
    stream::Tape,
    tokens,
    usage::Usage,
};

mod arrival;
mod attempts;
mod charge;
mod keeping;

use super::{admit::Permit, body::INLINE, detach::Lost, watched::Watched};
use crate::{
    app::{App, Ended},
    cache::recorder::Recorder,
    config::snapshot::{Caller, Pool},
    error::Error,
    record::{CacheUse, End, Record},
    responses::saver::Saver,
    spend,
};

pub use arrival::Arrival;
pub use charge::total;

/// What is recorded where nobody waited for an answer; as nginx does.
const LEFT: StatusCode = match StatusCode::from_u16(499) {
    Ok(status) => status,
    Err(_) => StatusCode::BAD_REQUEST,
};

/// What a request holds while it runs.
pub struct Held {
    /// Its place in flight.
    pub permit: Permit,
    /// Its attempt's place in the spend log.
    pub slot: SpendSlot,
    /// What it may use.
    pub hold: Hold,
    /// Where its attempt is recorded before it is sent.
    pub wal: Arc<WalWriter>,
    /// Its row as it was recorded there, to be brought to its end; `None` = it was not.
    pub recorded: Option<SpendRow>,
    /// Keeps its answer.
    pub recorder: Option<Box<Recorder>>,
    /// Stores it.
    pub saver: Option<Box<Saver>>,
}

impl Held {
    /// Its places, before anything else is known.
    pub fn new(permit: Permit, slot: SpendSlot, wal: &Arc<WalWriter>) -> Self {
        let wal = Arc::clone(wal);
        Self { permit, slot, hold: Hold::default(), wal, recorded: None, recorder: None, saver: None }
    }
}

/// One request under way.
pub struct Meter {
    app: Arc<App>,
    /// Boxed: the meter is moved from step to step.
    open: Option<Box<(Record, Held)>>,
    arrival: Arrival,
    dispatched: Option<Instant>,
    /// What routing sees of the attempt.
    watched: Option<Watched>,
    /// How the attempt failed, and when: it is settled with that if another follows.
    failed: Option<(StatusCode, End, Duration)>,
    /// Set once another attempt beside it was faster.
    lost: Option<Lost>,
    /// An earlier attempt must be paid for, so that the request counts.
    counted: bool,
    /// The upstream may have got the whole request, and did not refuse it: it is paid for even if nobody sees the answer.
    owed: bool,
    prompt: Prompt,
    output: Tape,
    mock: bool,
    /// What it may use at most, where that is limited.
    most: Option<Most>,
    /// How long it had lasted when its client was told the cost, which is what is charged; set where clients are told so.
    told: Option<Arc<OnceLock<Duration>>>,
    /// What the books are told of a refusal by a limit.
    refused: Option<Posting>,
}

/// What an attempt may use at most.
#[derive(Clone, Copy, Debug)]
pub struct Most {
    /// Tokens.
    pub usage: Usage,
    /// nano-USD; `None` = no known price.
    pub cost: Option<i64>,
    /// Time from dispatch.
    pub longest: Duration,
}

/// What the prompt is estimated from where the upstream reports nothing.
enum Prompt {
    None,
    /// Kept whole: small bodies are counted by the tokenizer.
    Request(Arc<Request>),
    /// Of a large one only what its size tells is kept, so that its bytes can go.
    Tokens(u64),
    /// What is not counted by its text: images, sound.
    Whole(Usage),
}

impl Meter {
    /// Starts to follow a request.
    pub fn new(app: Arc<App>, arrival: &Arrival, caller: Arc<Caller>, held: Held) -> Self {
        let record = Record {
            request_id: Arc::clone(&arrival.request_id),
            started_at_us: arrival.at_us,
            attempt: Attempt::default(),
            retries: 0,
            fallbacks: 0,
            operation: arrival.operation,
            caller,
            requested_model: Arc::clone(app.no_name()),
            pool: None,
            model: None,
            upstream_model: None,
            stream: false,
            status: LEFT,
            end: End::Cancelled,
            usage: None,
            cost: None,
            first_byte: None,
            total: Duration::ZERO,
            upstream: None,
            end_user: None,
            tags: Vec::new(),
            metadata: None,
            cache: CacheUse::None,
        };
        Self::of(app, arrival.clone(), record, held)
    }

    fn of(app: Arc<App>, arrival: Arrival, record: Record, held: Held) -> Self {
        Self {
            app,
            open: Some(Box::new((record, held))),
            arrival,
            dispatched: None,
            watched: None,
            failed: None,
            lost: None,
            counted: false,
            owed: false,
            prompt: Prompt::None,
            output: Tape::default(),
            mock: false,
            most: None,
            told: None,
            refused: None,
        }
    }

    /// What the client speaks, and our id of its request.
    pub fn client(&self) -> (Dialect, Arc<str>) {
        (self.arrival.operation.dialect(), Arc::clone(&self.arrival.request_id))
    }

    /// What was called.
    pub fn operation(&self) -> Operation {
        self.arrival.operation
    }

    fn update(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(open) = &mut self.open {
            change(&mut open.0);
        }
    }

    /// What the request says of itself.
    pub fn describe(&mut self, request: &Request, name: &Arc<str>, header_tags: &[Box<str>]) {
        self.update(|record| {
            record.requested_model = Arc::clone(name);
            record.stream = request.stream();
            record.end_user = request.user().map(Into::into);
            record.metadata = request.metadata().map(Bytes::copy_from_slice);
            record.tags =
                request.tags().iter().map(|tag| tag.as_str().into()).chain(header_tags.iter().cloned()).collect();
        });
    }

    /// What its model's name led to.
    pub fn routed(&mut self, pool: &Arc<Pool>) {
        self.update(|record| record.pool = Some(Arc::clone(pool)));
    }

    /// The request goes to the upstream now. From here on it is on disk that it may cost something: after a crash nobody knows how
    /// far it got. Without one it costs something once it was sent whole ([`Self::owed`]).
    ///
    /// # Errors
    /// It cannot be recorded, and a limit must not be passed unseen.
    pub async fn dispatch(&mut self, request: &Arc<Request>) -> Result<(), Error> {
        self.record(request).await?;
        self.dispatched = Some(Instant::now());
        self.watched = self.open.as_ref().and_then(|open| Some(Watched::begin(open.0.model.as_ref()?, request)));
        let is_passed = self.arrival.operation == Operation::PassThrough;
        self.prompt = match relay::estimate(self.arrival.operation, request) {
            Some(usage) => Prompt::Whole(usage),
            // A pass-through that nobody reads anything of: an upload is no prompt.
            None if is_passed && self.most.is_some_and(|most| most.usage.total() == 0) => Prompt::None,
            // Of another dialect the size alone is known.
            None if request.bytes().len() <= INLINE && !is_passed => Prompt::Request(Arc::clone(request)),
            None => Prompt::Tokens(tokens::rough(request)),
        };
        Ok(())
    }

    async fn record(&mut self, request: &Request) -> Result<(), Error> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let (record, held) = &mut **open;
        let most = self.most.unwrap_or_else(|| {
            let usage = relay::estimate(self.arrival.operation, request).unwrap_or_else(|| Usage {
                prompt: tokens::rough(request),
                estimated: true,
                ..Usage::default()
            });
            Most { usage, cost: charge::cost_of(record, &usage, Duration::ZERO), longest: Duration::ZERO }
        });
        let tokens = i64::try_from(most.usage.total()).unwrap_or(i64::MAX);
        let used = Used { nano_usd: most.cost.unwrap_or(0), tokens };
        let mut row = spend::row(record, held.slot.event(), held.hold.bound(used).into());
        (row.prompt_tokens, row.completion_tokens) = (most.usage.prompt, most.usage.completion);
        (row.cost_nano, row.estimated) = (most.cost, most.usage.estimated);
        let recorded = match held.wal.open(&row) {
            Ok(record) => {
                held.recorded = Some(row);
                held.wal.synced(record).await
            }
            Err(error) => Err(error),
        };
        recorded.or_else(|error| {
            self.app.unrecorded(&error);
            if held.hold.is_strict() { Err(Error::Busy("spend cannot be recorded")) } else { Ok(()) }
        })
    }

    /// To be set once the whole request is sent: dropped before that, it costs nothing.
    pub fn owed(&mut self) -> &mut bool {
        &mut self.owed
    }

    /// It was refused there: nothing is owed.
    pub fn release(&mut self) {
        self.owed = false;
    }

    /// The upstream's answer has ended.
    pub fn answered(&mut self) {
        let now = Instant::now();
        let upstream = self.dispatched.map(|at| now.duration_since(at));
        self.update(|record| record.upstream = upstream);
    }

    /// The first byte of the answer's body goes out.
    pub fn first_byte(&mut self) {
        let arrival = self.arrival.at;
        self.update(|record| {
            record.first_byte.get_or_insert_with(|| arrival.elapsed());
        });
    }

    /// Tokens as the upstream reported them.
    pub fn used(&mut self, usage: Usage) {
        let priced = self.priced(&usage);
        self.update(|record| {
            record.usage = Some(usage);
            record.cost = priced;
        });
    }

    /// It used nothing that is counted: it costs nothing, or nobody knows what.
    pub fn uncounted(&mut self, cost: Option<i64>) {
        self.update(|record| (record.usage, record.cost) = (Some(Usage::default()), cost));
    }

    /// Output seen, for an estimate.
    pub fn seen(&mut self, output: &Tape) {
        self.output = output.clone();
    }

    /// nano-USD so far; `None` = unknown price or usage.
    pub fn cost(&self) -> Option<i64> {
        self.open.as_ref().and_then(|open| open.0.cost)
    }

    /// Arrival to now.
    pub fn elapsed(&self) -> Duration {
        self.arrival.at.elapsed()
    }

    /// From dispatch to the end of the upstream's answer, or to now.
    pub fn upstream(&self) -> Option<Duration> {
        let ended = self.open.as_ref().and_then(|open| open.0.upstream);
        ended.or_else(|| self.dispatched.map(|at| at.elapsed()))
    }

    /// The answer's status is on its way.
    pub fn status(&mut self, status: StatusCode) {
        self.update(|record| record.status = status);
    }

    /// Settles a request that ends with an error answer.
    pub fn fail(mut self, error: &Error) {
        if let Error::Limited { refusal, .. } = error {
            self.refused = refusal.posting(self.app.ledger.now());
        }
        self.update(|record| record.status = error.status());
        self.finish(error.end());
    }

    /// Settles. Later calls and the drop do nothing.
    pub fn finish(&mut self, end: End) {
        let Some(open) = self.open.take() else {
            return;
        };
        let (mut record, Held { permit, slot, hold, wal, recorded, recorder: kept, saver }) = *open;
        if let Some(watched) = self.watched.take() {
            watched.ended(end, record.usage.as_ref());
        }
        let recorded = recorded.map(|row| (wal, row));
        let ended = Ended { slot, hold, recorded, refused: self.refused.take(), counted: self.counted, kept, saver };
        if self.lost.take().is_some_and(|lost| lost.load(Ordering::Acquire)) {
            record.attempt.role = Role::Hedged;
        }
        record.end = end;
        record.total = self.arrival.at.elapsed();
        if record.upstream.is_none() {
            record.upstream = self.dispatched.map(|at| at.elapsed());
        }
        if record.usage.is_some() || !self.owed || self.mock {
            self.app.settle(&record, ended);
            return;
        }
        // Counting may take a while; the client's place is free at once.
        drop(permit);
        let lasted = self.lasted(&record);
        self.estimate(record, lasted, ended);
    }

    /// Settles an attempt of which the upstream has not said what it used.
    fn estimate(&mut self, mut record: Record, lasted: Duration, ended: Ended) {
        let app = Arc::clone(&self.app);
        let settling = app.settling.take(1);
        let prompt = std::mem::replace(&mut self.prompt, Prompt::None);
        let output = std::mem::take(&mut self.output);
        let estimate = move || {
            let usage = charge::estimate(&record, &prompt, &output);
            record.cost = charge::cost_of(&record, &usage, lasted);
            record.usage = Some(usage);
            app.settle(&record, ended);
            drop(settling);
        };
        // Tokenizing is work for another thread; outside a runtime (its shutdown) it is done here.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(estimate)),
            Err(_) => estimate(),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.finish(End::Cancelled);
    }
}
