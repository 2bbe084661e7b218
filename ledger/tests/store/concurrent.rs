//! Many holders at once, each with its own connections: never more than the limit, and no row lost or booked twice.

use std::collections::BTreeMap;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use turnpike_ledger::{
    account::AccountId,
    exchange::Ask,
    spend_log::{Posting, SpendRow, SpendStore as _, StoreError},
    store::LeaseStore as _,
};
use turnpike_testkit::wait::within;
use uuid::Uuid;

use crate::fixture::{Fixture, Store, ask, lifetime, plain};

on_every_store!(holders_never_use_more_than_the_limits_together);

const HOLDERS: u128 = 6;
const STEPS: usize = 60;
const ACCOUNTS: [(&str, i64); 3] = [("team", 1000), ("key", 1700), ("all", 2500)];

/// What one gateway believes of one of its leases.
struct Held {
    ask: Ask,
    granted: i64,
    used: i64,
}

/// A gateway: takes from its leases, tells of it later, loses replies, repeats messages, and may die.
struct Holder {
    id: Uuid,
    random: StdRng,
    leases: Store,
    writer: Store,
    held: Vec<Held>,
    rows: u64,
    untold: Vec<SpendRow>,
    told: Vec<SpendRow>,
}

impl Holder {
    async fn new(fixture: &Fixture, number: u128) -> Self {
        let id = Uuid::from_u128(number);
        let held = ACCOUNTS.iter().zip(1_u64..).map(|((name, limit), lease)| {
            let account = AccountId::from_stored(name);
            let ask = Ask { account, limit: *limit, sequence: 0, target: 0, ..ask(id, lease, lifetime()) };
            Held { ask, granted: 0, used: 0 }
        });
        Self {
            id,
            random: StdRng::seed_from_u64(u64::try_from(number).unwrap()),
            leases: fixture.open().await,
            writer: fixture.open().await,
            held: held.collect(),
            rows: 0,
            untold: Vec::new(),
            told: Vec::new(),
        }
    }

    async fn run(mut self) -> (BTreeMap<AccountId, i64>, Self) {
        for _ in 0..STEPS {
            match self.random.random_range(0..10) {
                0..5 => self.request().await,
                5 => self.give_back().await,
                6 => self.repeat().await,
                _ => self.tell().await,
            }
        }
        let used = self.held.iter().map(|held| (held.ask.account.clone(), held.used)).collect();
        (used, self)
    }

    /// Takes the same amount of all accounts, or of none.
    async fn request(&mut self) {
        let amount = self.random.random_range(1..40);
        if self.held.iter().any(|held| held.granted - held.used < amount) {
            self.raise(amount * 2).await;
        }
        if self.held.iter().any(|held| held.granted - held.used < amount) {
            return;
        }
        let postings: Vec<Posting> = self
            .held
            .iter_mut()
            .map(|held| {
                held.used += amount;
                Posting { account: held.ask.account.clone(), lease: Some(held.ask.lease.number), slot: 0, amount }
            })
            .collect();
        self.rows += 1;
        self.untold.push(SpendRow { postings: postings.into(), ..plain(self.id, self.rows) });
    }

    async fn raise(&mut self, by: i64) {
        for held in &mut self.held {
            held.ask = Ask {
                sequence: held.ask.sequence + 1,
                held: held.granted,
                target: held.used + by,
                least: by / 2,
                ..held.ask.clone()
            };
            // Before it is sent: what is given back is not used any more, whether or not the message arrives.
            held.granted = held.granted.min(held.ask.target);
        }
        self.exchange().await;
    }

    async fn give_back(&mut self) {
        for held in &mut self.held {
            held.granted = held.used;
            held.ask = Ask { sequence: held.ask.sequence + 1, held: held.used, target: held.used, ..held.ask.clone() };
        }
        self.exchange().await;
    }

    async fn exchange(&mut self) {
        // In an order of its own: locks are not taken in the order of the asks.
        let turn = self.random.random_range(0..self.held.len());
        self.held.rotate_left(turn);
        let asks: Vec<Ask> = self.held.iter().map(|held| held.ask.clone()).collect();
        let answers = self.leases.exchange(&asks).await;
        // A reply that was lost, or a file that was locked for too long: the holder goes on with what it had.
        let answers = match (answers, &self.leases) {
            (Ok(answers), _) => answers,
            (Err(_), Store::Sqlite(_)) => return,
            // Waited too long for an account: this machine is busy. Anything else, a deadlock say, is a fault.
            (Err(StoreError::Exchange(error)), Store::Postgres(_)) => {
                let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
                assert_eq!(code.as_deref(), Some("55P03"), "{error:?}");
                return;
            }
            (Err(error), Store::Postgres(_)) => panic!("{error:?}"),
        };
        if self.random.random_bool(0.2) {
            return;
        }
        for (held, reply) in self.held.iter_mut().zip(answers.replies) {
            held.granted = reply.granted;
        }
    }

    /// A message arrives a second time.
    async fn repeat(&mut self) {
        let asks: Vec<Ask> = self.held.iter().map(|held| held.ask.clone()).collect();
        drop(self.writer.exchange(&asks).await);
    }

    async fn tell(&mut self) {
        if self.random.random_bool(0.3) {
            let from = self.told.len().saturating_sub(5);
            self.untold.extend(self.told.iter().skip(from).cloned());
        }
        within("rows are written", async { while self.writer.append(&self.untold).await.is_err() {} }).await;
        self.told.append(&mut self.untold);
    }
}

async fn holders_never_use_more_than_the_limits_together(fixture: Fixture) {
    drop(fixture.open().await);
    let mut running = Vec::new();
    for number in 1..=HOLDERS {
        running.push(tokio::spawn(Holder::new(&fixture, number).await.run()));
    }
    let mut used: BTreeMap<AccountId, i64> = BTreeMap::new();
    let mut holders = Vec::new();
    for ended in running {
        let (of_one, holder) = ended.await.unwrap();
        for (account, amount) in of_one {
            *used.entry(account).or_default() += amount;
        }
        holders.push(holder);
    }
    for (name, limit) in ACCOUNTS {
        let used = used[&AccountId::from_stored(name)];
        assert!(used <= limit, "{name}: {used} of {limit}");
        assert!(used > 700, "{name}: the test was about to reach a limit, not {used}");
    }
    settle(&fixture, &used, holders).await;
}

/// A third ends in order, a third dies and is recovered from its files, a third is lost for good.
async fn settle(fixture: &Fixture, used: &BTreeMap<AccountId, i64>, holders: Vec<Holder>) {
    let mut store = fixture.open().await;
    let mut lost: BTreeMap<AccountId, i64> = BTreeMap::new();
    for (number, mut holder) in holders.into_iter().enumerate() {
        match number % 3 {
            0 => {
                holder.tell().await;
                for held in &mut holder.held {
                    let sequence = held.ask.sequence + 1;
                    held.ask = Ask { sequence, held: held.granted, target: held.used, last: true, ..held.ask.clone() };
                }
                let asks: Vec<Ask> = holder.held.iter().map(|held| held.ask.clone()).collect();
                store.exchange(&asks).await.unwrap();
            }
            1 => {
                holder.tell().await;
                store.close(holder.id).await.unwrap();
            }
            _ => {
                for posting in holder.untold.iter().flat_map(|row| row.postings.iter()) {
                    // Repeated rows are among them, so that this is at least what was not told.
                    *lost.entry(posting.account.clone()).or_default() += posting.amount;
                }
            }
        }
    }
    fixture.silence(1000).await;
    store.reap().await.unwrap();
    for (name, limit) in ACCOUNTS {
        let account = AccountId::from_stored(name);
        let balance = store.balances(&[(account.clone(), 0, 0)]).await.unwrap()[0];
        let unattributed = fixture.numbers(&unattributed(fixture, name)).await[0];
        assert_eq!(balance.reserved, 0, "{name}");
        assert!(balance.spent <= limit, "{name}: {} of {limit}", balance.spent);
        let (used, lost) = (used[&account], lost.get(&account).copied().unwrap_or_default());
        assert!(balance.spent >= used, "{name}: booked {} of {used}", balance.spent);
        assert!(balance.spent - unattributed >= used - lost, "{name}: a row was lost");
        assert!(balance.spent - unattributed <= used, "{name}: a row was booked twice");
    }
}

fn unattributed(fixture: &Fixture, account: &str) -> String {
    let sum = match fixture {
        Fixture::Postgres(_) => "coalesce(sum(unattributed), 0)::bigint",
        Fixture::Sqlite(_) => "coalesce(sum(unattributed), 0)",
    };
    format!("SELECT {sum} FROM ledger_lease WHERE account = (SELECT key FROM ledger_account WHERE id = '{account}')")
}
