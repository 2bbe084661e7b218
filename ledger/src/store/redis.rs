//! Rates in Redis: requests and tokens a minute, requests at a time. The same protocol, one script for each ask.
//!
//! What Redis forgets (a restart, a failover) costs at most what is held at that moment, once: holders tell it with their next
//! ask. Money is never kept here.

use std::{collections::HashMap, time::Duration};

use redis::{AsyncConnectionConfig, Client, Pipeline, RedisError, RedisResult, Script, aio::MultiplexedConnection};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout},
};
use uuid::Uuid;

pub use self::breaker::{Breaker, Turn};
use super::{Answers, Balance, LeaseStore, plan};
use crate::{
    account::{AccountId, Unit},
    exchange::{Ask, LeaseId, Reply},
    spend_log::StoreError,
};

mod breaker;

/// Longest that one batch is waited for. Redis answers in a tenth of this, or it is in trouble.
const PATIENCE: Duration = Duration::from_millis(5);
/// Longest that a new connection may take; it is made beside, nobody waits for it longer than for an answer.
const CONNECT: Duration = Duration::from_secs(2);
/// It is tried again after so long at the latest: all gateways come back to it at about the same time.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// What Lua's numbers hold exactly, and far beyond any rate.
const MOST: i64 = 1 << 52;

/// A Redis server. It owns one connection and makes a new one when that has broken or is not answered on.
pub struct RedisStore {
    client: Client,
    link: Link,
    breaker: Breaker,
    patience: Duration,
    /// How long a holder may be silent until its leases are given up.
    silence: Duration,
    /// Leases that are held through this store, by account, and whether each was mentioned since the last beat.
    held: HashMap<(AccountId, LeaseId), bool>,
    scripts: Scripts,
}

struct Scripts {
    exchange: Script,
    touch: Script,
}

impl Scripts {
    fn new() -> Self {
        Self {
            exchange: Script::new(include_str!("redis/exchange.lua")),
            touch: Script::new(include_str!("redis/touch.lua")),
        }
    }
}

enum Link {
    Down,
    /// On its way, whether or not somebody waits.
    Coming(JoinHandle<RedisResult<MultiplexedConnection>>),
    Up(MultiplexedConnection),
}

impl RedisStore {
    /// Without asking the server anything. `url`: `redis://`, `rediss://` or `redis+unix://`.
    ///
    /// # Errors
    /// The URL is not one.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            client: Client::open(url).map_err(StoreError::Redis)?,
            link: Link::Down,
            breaker: Breaker::trying_within(LONGEST_PAUSE),
            patience: PATIENCE,
            silence: plan::UNHEARD + Duration::from_mins(1),
            held: HashMap::new(),
            scripts: Scripts::new(),
        })
    }

    /// Waits this long for answers instead of 5 ms.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Asks, unless the server has failed lately; within the patience.
    async fn ask<T: redis::FromRedisValue>(&mut self, pipeline: &Pipeline) -> Result<T, StoreError> {
        if !self.breaker.allows(Instant::now()) {
            return Err(StoreError::Stalled);
        }
        let asked = timeout(self.patience, async {
            let connection = self.connection().await?;
            pipeline.query_async(connection).await
        });
        let failure = match asked.await {
            Ok(Ok(answer)) => {
                if self.breaker.succeeded() == Turn::Closed {
                    tracing::info!("Redis answers again");
                }
                return Ok(answer);
            }
            Ok(Err(error)) => {
                // Broken, or without the scripts: the next connection brings them.
                self.link = Link::Down;
                StoreError::Redis(error)
            }
            Err(_) => StoreError::Stalled,
        };
        if self.breaker.failed(Instant::now()) == Turn::Opened {
            // A new connection is tried next time: the server may be gone without a word.
            self.link = Link::Down;
            tracing::warn!(error = %failure, "Redis does not answer; it is tried again after pauses");
        }
        Err(failure)
    }

    async fn connection(&mut self) -> RedisResult<&mut MultiplexedConnection> {
        if let Link::Down = self.link {
            self.link = Link::Coming(tokio::spawn(connect(self.client.clone())));
        }
        if let Link::Coming(coming) = &mut self.link {
            let connected = coming.await;
            self.link = Link::Down;
            self.link = Link::Up(connected.map_err(|error| RedisError::from(std::io::Error::other(error)))??);
        }
        match &mut self.link {
            Link::Up(connection) => Ok(connection),
            Link::Down | Link::Coming(_) => Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into()),
        }
    }
}

/// A connection to a server that knows the scripts.
async fn connect(client: Client) -> RedisResult<MultiplexedConnection> {
    // Answers have their own limit, which ends the wait and not the connection.
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(CONNECT));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let Scripts { exchange, touch } = Scripts::new();
    let mut pipeline = redis::pipe();
    pipeline.load_script(&exchange).ignore().load_script(&touch).ignore();
    pipeline.exec_async(&mut connection).await?;
    Ok(connection)
}

impl LeaseStore for RedisStore {
    async fn exchange(&mut self, asks: &[Ask]) -> Result<Answers, StoreError> {
        let silence = micros(self.silence);
        let mut pipeline = redis::pipe();
        for ask in asks {
            let mut script = self.scripts.exchange.key(key(&ask.account));
            for argument in arguments(ask, silence) {
                script.arg(argument);
            }
            pipeline.invoke_script(&script);
        }
        let answers: Vec<(i64, i64, i64, i64, i64, i64)> = self.ask(&pipeline).await?;
        for ask in asks {
            let held = (ask.account.clone(), ask.lease);
            if ask.last {
                self.held.remove(&held);
            } else {
                self.held.insert(held, true);
            }
        }
        let now = answers.iter().map(|answer| answer.5).max().unwrap_or_default();
        let reply =
            |(granted, spent, others, left, closed, _)| Reply { granted, spent, others, left, closed: closed != 0 };
        Ok(Answers { now, replies: answers.into_iter().map(reply).collect() })
    }

    /// Also says so of leases that no exchange has mentioned since the last one: of requests that take long.
    async fn beat(&mut self, _holder: Uuid, longest: Duration) -> Result<i64, StoreError> {
        self.silence = longest + Duration::from_micros(plan::SILENCE.cast_unsigned());
        let mut pipeline = redis::pipe();
        for ((account, lease), _) in self.held.iter().filter(|(_, mentioned)| !**mentioned) {
            let touch = &self.scripts.touch;
            pipeline.invoke_script(touch.key(key(account)).arg(name(*lease)).arg(micros(self.silence))).ignore();
        }
        pipeline.cmd("TIME");
        let times: Vec<(i64, i64)> = self.ask(&pipeline).await?;
        let now = times.first().map(|(seconds, fraction)| seconds * 1_000_000 + fraction);
        self.held.values_mut().for_each(|mentioned| *mentioned = false);
        now.ok_or(StoreError::Stalled)
    }

    async fn probe(&mut self) -> Result<Option<i64>, StoreError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("PING").ignore();
        self.ask::<()>(&pipeline).await.map(|()| None)
    }

    /// Rates need none: what was held goes with the holder's silence, and its window.
    async fn close(&mut self, _holder: Uuid) -> Result<(), StoreError> {
        Ok(())
    }

    /// Done by each exchange, for its account; accounts that nobody asks about expire.
    async fn reap(&mut self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn balances(&mut self, accounts: &[(AccountId, i64, i64)]) -> Result<Vec<Balance>, StoreError> {
        let mut pipeline = redis::pipe();
        for (account, _, _) in accounts {
            pipeline.hgetall(key(account));
        }
        let found: Vec<HashMap<String, String>> = self.ask(&pipeline).await?;
        Ok(found.iter().zip(accounts).map(|(fields, (_, counted, _))| balance(fields, *counted)).collect())
    }
}

/// One key an account. The braces keep it in one slot of a cluster with whatever may be added beside it.
fn key(account: &AccountId) -> String {
    format!("turnpike:rate:{{{account}}}")
}

fn name(lease: LeaseId) -> String {
    format!("{}:{}", lease.holder, lease.number)
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(MOST).min(MOST)
}

fn arguments(ask: &Ask, silence: i64) -> [String; 11] {
    let amount = |amount: i64| amount.clamp(-MOST, MOST).to_string();
    let flag = |flag: bool| if flag { "1" } else { "0" }.to_owned();
    [
        name(ask.lease),
        ask.lease.holder.to_string(),
        ask.sequence.to_string(),
        amount(ask.limit),
        amount(ask.held),
        amount(ask.target),
        amount(ask.least),
        ask.used.map(amount).unwrap_or_default(),
        flag(ask.last),
        flag(ask.unit != Unit::Parallel),
        silence.to_string(),
    ]
}

/// What an account's hash says. One of another version says nothing.
fn balance(fields: &HashMap<String, String>, counted: i64) -> Balance {
    let mut balance = Balance::default();
    if fields.get("v").is_none_or(|version| version != "1") {
        return balance;
    }
    for (field, value) in fields {
        if let Some(slot) = field.strip_prefix('s').and_then(|slot| slot.parse::<i64>().ok()) {
            balance.spent += if slot >= counted { value.parse().unwrap_or_default() } else { 0 };
        } else if field.starts_with('l') {
            let mut numbers = value.split(' ').map(|number| number.parse::<i64>().unwrap_or_default());
            let mut next = || numbers.next().unwrap_or_default();
            let (granted, booked, _sequence, _finished, closed) = (next(), next(), next(), next(), next());
            balance.reserved += if closed == 0 { (granted - booked).max(0) } else { 0 };
        }
    }
    balance
}
