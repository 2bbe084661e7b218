//! Where rates are kept: in Redis; while it does not answer, in the database; while neither does, each gateway goes by an equal
//! part of them. Leases go on from one to the other, with what was used in the last minute.
//!
//! ```text
//!  Redis ── an exchange fails, or two pings ──▶ database ── an exchange fails ──▶ here
//!    ◀── it answers, after STAY at least ──────◀──────────────────────────────────
//! ```

use std::{collections::BTreeMap, mem, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use self::track::{Place, Rule, Track};
use super::{Answers, Balance, LeaseStore, MemoryStore};
use crate::{account::AccountId, exchange::Ask, spend_log::StoreError};

mod track;

/// Longest exchange with the database: one that is only busy answers before, and whoever waits is still told in time.
const EXCHANGE: Duration = Duration::from_millis(1200);
/// Longest that the database may take to say that it answers, while rates are elsewhere: whoever lacks a permit waits for this, too.
const PROBE: Duration = Duration::from_millis(300);
/// Between looks whether the database answers again; microseconds.
const RETRY: i64 = 2_000_000;
/// Rates stay at least this long where they went; microseconds.
const STAY: i64 = 1_000_000;
/// And for so long all gateways together are granted no more of a limit there than the part of one: the others may not have told
/// yet what they used, or Redis answers them, and will answer this one soon. Microseconds.
const SETTLE: i64 = 4_000_000;
/// A Redis that was not asked for this long is asked whether it answers; microseconds.
const QUIET: i64 = 400_000;
/// Pings in a row that Redis may leave without an answer.
const MISSES: u32 = 1;
/// Most leases that are told of in one exchange.
const BATCH: usize = 256;
/// Bits of a lease's number that the engine may use; the next ones count moves. Stores have 63.
const NUMBERS: u32 = 44;
const MOVES: u64 = (1 << (63 - NUMBERS)) - 1;

/// Rates, kept by the first place that answers.
pub struct RateStore<R, D> {
    redis: Option<R>,
    database: Option<D>,
    here: MemoryStore,
    at: Place,
    /// How often rates have gone elsewhere, and when they last did.
    moves: u64,
    moved: Option<i64>,
    /// Gateways that live, by the database's last word.
    living: i64,
    database_answers: bool,
    /// When the database was last asked whether it answers again.
    tried: i64,
    /// When a store was last heard, and its time then.
    heard: Option<(i64, i64)>,
    misses: u32,
    /// By the engine's number of the lease.
    tracks: BTreeMap<u64, Track>,
    /// Leases that have ended here, and not yet in a place that they left.
    ended: Vec<(Place, Ask)>,
    base: Instant,
}

impl<R: LeaseStore, D: LeaseStore> RateStore<R, D> {
    /// Each of them may be missing. Redis must answer or fail within a few milliseconds.
    pub fn new(redis: Option<R>, database: Option<D>) -> Self {
        let at = match (&redis, &database) {
            (Some(_), _) => Place::Redis,
            (None, Some(_)) => Place::Database,
            (None, None) => Place::Here,
        };
        Self {
            redis,
            database,
            here: MemoryStore::default(),
            at,
            moves: 0,
            moved: None,
            living: 1,
            database_answers: true,
            tried: 0,
            heard: None,
            misses: 0,
            tracks: BTreeMap::new(),
            ended: Vec::new(),
            base: Instant::now(),
        }
    }

    fn now(&self) -> i64 {
        i64::try_from(self.base.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// The time by the store that was heard last: this machine's clock may be wrong.
    fn time(&self) -> i64 {
        self.heard.map_or_else(|| Timestamp::now().as_microsecond(), |(at, time)| time + self.now() - at)
    }

    fn rule(&self, now: i64) -> Rule {
        let settles = self.moved.is_some_and(|moved| now - moved < SETTLE);
        match self.at {
            Place::Here => Rule::Alone(self.living),
            Place::Redis | Place::Database if settles => Rule::Settling(self.living),
            Place::Redis | Place::Database => Rule::Whole,
        }
    }

    async fn say(&mut self, place: Place, words: &[Ask]) -> Result<Answers, StoreError> {
        let answers = match (place, &mut self.redis, &mut self.database) {
            (Place::Redis, Some(redis), _) => redis.exchange(words).await?,
            (Place::Database, _, Some(database)) => in_time(EXCHANGE, database.exchange(words)).await?,
            _ => {
                let time = self.time();
                return Ok(self.here.answers(words, time));
            }
        };
        self.heard(answers.now);
        Ok(answers)
    }

    fn heard(&mut self, time: i64) {
        self.heard = Some((self.now(), time));
        self.misses = 0;
    }

    /// Rates go on elsewhere.
    fn go(&mut self, to: Place) {
        let (from, now) = (mem::replace(&mut self.at, to), self.now());
        self.moves += 1;
        self.moved = Some(now);
        self.misses = 0;
        self.here = MemoryStore::default();
        let (moves, living) = (self.moves, self.living);
        for (lease, track) in &mut self.tracks {
            track.go((from, to), numbered(*lease, moves), living, now);
        }
    }
}

impl<R: LeaseStore, D: LeaseStore> RateStore<R, D> {
    /// The place does not answer.
    fn fall(&mut self, error: &StoreError) {
        let to = if self.at == Place::Redis && self.database.is_some() && self.database_answers {
            tracing::warn!(%error, "Redis does not answer; rates are leased from the database until it does");
            Place::Database
        } else {
            let gateways = self.living;
            tracing::warn!(%error, gateways, "no store answers; of each rate this gateway goes by an equal part until one does");
            Place::Here
        };
        self.go(to);
    }

    /// Goes back to a better place that answers again.
    async fn rise(&mut self) {
        let now = self.now();
        if self.moved.is_none_or(|moved| now - moved < STAY) {
            return;
        }
        for place in [Place::Redis, Place::Database] {
            if place >= self.at || self.returns(place).await.is_err() {
                continue;
            }
            let from = self.at;
            self.go(place);
            match place {
                Place::Redis => tracing::info!("rates are leased from Redis again"),
                Place::Database | Place::Here => tracing::info!("rates are leased from the database again"),
            }
            // Where this fails it is said before rates go there again.
            let _ = self.take_leave(from).await;
            return;
        }
    }

    /// Whether it answers again, and has heard the last word on what was leased there before.
    async fn returns(&mut self, place: Place) -> Result<(), StoreError> {
        let (now, retry) = (self.now(), self.tried + RETRY);
        match (place, &mut self.redis, &self.database) {
            (Place::Redis, Some(redis), _) => drop(redis.probe().await?),
            (Place::Database, _, Some(_)) if now >= retry => {
                self.tried = now;
                self.ask_database().await?;
            }
            _ => return Err(StoreError::Stalled),
        }
        self.take_leave(place).await
    }

    /// Says the last word on all leases that were left in a place.
    async fn take_leave(&mut self, place: Place) -> Result<(), StoreError> {
        loop {
            let left = self.tracks.iter_mut().filter_map(|(lease, track)| Some((*lease, track.last_word(place)?)));
            let (leases, words): (Vec<u64>, Vec<Ask>) = left.take(BATCH).unzip();
            if words.is_empty() {
                break;
            }
            let answers = self.say(place, &words).await?;
            for (lease, reply) in leases.iter().zip(&answers.replies) {
                if let Some(track) = self.tracks.get_mut(lease) {
                    track.has_left(place, reply);
                }
            }
        }
        let ended: Vec<Ask> = self.ended.iter().filter(|(at, _)| *at == place).map(|(_, word)| word.clone()).collect();
        for words in ended.chunks(BATCH) {
            self.say(place, words).await?;
        }
        self.ended.retain(|(at, _)| *at != place);
        Ok(())
    }

    /// Whether the database answers, and how many gateways live.
    async fn ask_database(&mut self) -> Result<(), StoreError> {
        let Some(database) = &mut self.database else { return Ok(()) };
        let limit = if self.at == Place::Database { EXCHANGE } else { PROBE };
        let living = in_time(limit, database.probe()).await;
        self.database_answers = living.is_ok();
        if let Some(living) = living? {
            self.living = living.max(1);
        }
        Ok(())
    }

    /// Finds out that Redis is gone though nobody asks it for anything: what was used here is to be told elsewhere.
    async fn listen(&mut self) {
        let quiet = self.heard.is_none_or(|(at, _)| self.now() - at >= QUIET);
        let (Place::Redis, Some(redis), true) = (self.at, &mut self.redis, quiet) else { return };
        match redis.probe().await {
            Ok(_) => self.misses = 0,
            Err(error) if self.misses >= MISSES => self.fall(&error),
            Err(_) => self.misses += 1,
        }
    }

    /// Tells what the place must hear of leases of which the engine has nothing to say.
    async fn remind(&mut self) {
        let now = self.now();
        loop {
            let rule = self.rule(now);
            let due = self.tracks.values_mut().filter(|track| track.is_due(now)).take(BATCH);
            let words: Vec<Ask> = due.map(|track| track.reminder(rule, now)).collect();
            if words.is_empty() {
                return;
            }
            if let Err(error) = self.say(self.at, &words).await {
                self.fall(&error);
            }
        }
    }
}

impl<R: LeaseStore, D: LeaseStore> LeaseStore for RateStore<R, D> {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        let now = self.now();
        for ask in asks {
            let (lease, moves) = (ask.lease.number, self.moves);
            let track = self.tracks.entry(lease).or_insert_with(|| Track::new(ask, numbered(lease, moves)));
            track.note(ask, now);
        }
        loop {
            let (now, rule) = (self.now(), self.rule(self.now()));
            let word = |ask: &Ask| Some(self.tracks.get_mut(&ask.lease.number)?.word(rule, now));
            let words: Vec<Ask> = asks.iter().filter_map(word).collect();
            match self.say(self.at, &words).await {
                Ok(answers) => return Ok(self.translated(asks, answers)),
                Err(error) => self.fall(&error),
            }
        }
    }

    /// Never fails: what does not answer is found out when something is asked of it.
    async fn beat(&mut self, holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        let heard = match (self.at, &mut self.redis, &mut self.database) {
            (Place::Redis, Some(redis), _) => redis.beat(holder, longest).await,
            (Place::Database, _, Some(database)) => in_time(EXCHANGE, database.beat(holder, longest)).await,
            _ => Err(StoreError::Stalled),
        };
        if let Ok(time) = heard {
            self.heard(time);
        }
        if self.at != Place::Here {
            // While rates are here it is asked often anyway.
            let _ = self.ask_database().await;
        }
        Ok(self.time())
    }

    /// Done for the database by the task that leases budgets from it.
    async fn close(&mut self, _: Uuid) -> Result<(), StoreError> {
        Ok(())
    }

    async fn reap(&mut self) -> Result<u64, StoreError> {
        self.here.reap().await
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        match (self.at, &mut self.redis, &mut self.database) {
            (Place::Redis, Some(redis), _) => redis.balances(accounts).await,
            (Place::Database, _, Some(database)) => database.balances(accounts).await,
            _ => self.here.balances(accounts).await,
        }
    }

    async fn upkeep(&mut self) {
        self.rise().await;
        self.listen().await;
        self.remind().await;
    }
}

impl<R, D> RateStore<R, D> {
    /// Answers as the engine must hear them.
    fn translated(&mut self, asks: &[Ask], answers: Answers) -> Answers {
        let now = i64::try_from(self.base.elapsed().as_micros()).unwrap_or(i64::MAX);
        let mut replies = answers.replies;
        for (ask, reply) in asks.iter().zip(&mut replies) {
            let Some(track) = self.tracks.get_mut(&ask.lease.number) else { continue };
            *reply = track.heard(*reply, now);
            if !ask.last {
                continue;
            }
            let words = [Place::Redis, Place::Database].map(|place| Some((place, track.last_word(place)?)));
            self.ended.extend(words.into_iter().flatten());
            self.tracks.remove(&ask.lease.number);
        }
        Answers { replies, ..answers }
    }
}

/// The number of a lease of the engine after so many moves. One that comes back to a place is a new one there.
fn numbered(lease: u64, moves: u64) -> u64 {
    lease | (moves & MOVES) << NUMBERS
}

async fn in_time<T>(limit: Duration, asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    timeout(limit, asked).await.unwrap_or(Err(StoreError::Exchange(sqlx::Error::PoolTimedOut)))
}
