//! The spend log beside what the upstream saw: attempt by attempt, nothing missing, nothing too low, nothing invented.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use turnpike_testkit::{spend::postgres_json, upstream::Recorded};

/// What a model's tokens cost, nano-USD: of the prompt, of the output.
pub(crate) type Prices = &'static [(&'static str, i64, i64)];

/// Tokens by which an estimate of a prompt may be above what the upstream counts: what templates add, and splitting words.
const FRAME: i64 = 16;

/// One attempt that the upstream saw.
#[derive(Clone, Debug)]
struct Seen {
    /// Empty where only its head came.
    model: String,
    prompt: i64,
    completion: i64,
    /// It was read whole and not answered by an error.
    is_billed: bool,
    is_stream: bool,
    /// The gateway let go of it.
    is_given_up: bool,
}

/// One row of the spend log.
#[derive(Clone, Debug)]
struct Row {
    model: String,
    cost: i64,
    outcome: String,
    estimated: bool,
    /// Why it is not the answer.
    role: String,
}

/// All attempts by the request's name.
type Attempts<T> = BTreeMap<String, Vec<T>>;

/// What a client read of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) pieces: i64,
    /// It left then: of what came later nobody can tell.
    pub(crate) has_left: bool,
}

/// Both sides.
pub(crate) struct Books {
    prices: Prices,
    seen: Attempts<Seen>,
    rows: Attempts<Row>,
    /// What clients read of streams, by the request's name.
    read: HashMap<String, Read>,
}

/// How many attempts ended how.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    /// Of the spend log, nano-USD.
    pub(crate) spent: i64,
    /// Of the upstream, nano-USD.
    pub(crate) billed: i64,
    exact: usize,
    estimated: usize,
    at_bound: usize,
    free: usize,
    never_seen: usize,
    never_seen_at_bound: usize,
}

impl Books {
    /// The log of a database, and what an upstream saw of requests that are named in a header.
    pub(crate) async fn open(database: &str, log: &[Recorded], read: HashMap<String, Read>, prices: Prices) -> Self {
        let sql = "select coalesce(json_agg(json_build_object('user', end_user, 'model', model, 'cost', coalesce(cost_nano, 0), \
                   'outcome', outcome, 'estimated', estimated, 'role', role)), '[]')::text \
                   from spend where model is not null";
        let (mut seen, mut rows) = (Attempts::new(), Attempts::new());
        for row in postgres_json(database, sql).await.unwrap().as_array().unwrap() {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let model = text("model").trim_start_matches("default/").to_owned();
            rows.entry(text("user")).or_insert_with(Vec::new).push(Row {
                model,
                cost: row["cost"].as_i64().unwrap(),
                outcome: text("outcome"),
                estimated: row["estimated"] == true,
                role: text("role"),
            });
        }
        for call in log {
            let body: Value = serde_json::from_slice(&call.body).unwrap_or_default();
            let name = call.header("idempotency-key").unwrap().to_owned();
            let tokens = |of: u64| i64::try_from(of).unwrap();
            let billed = call.billed.map(|usage| (tokens(usage.prompt), tokens(usage.completion)));
            let (prompt, completion) = billed.unwrap_or_default();
            seen.entry(name).or_insert_with(Vec::new).push(Seen {
                model: body["model"].as_str().unwrap_or_default().to_owned(),
                prompt,
                completion,
                is_billed: billed.is_some(),
                is_stream: body["stream"] == true,
                is_given_up: call.client_gone(),
            });
        }
        Self { prices, seen, rows, read }
    }

    /// Sums of the requests whose names begin like this.
    pub(crate) fn sums(&self, of: &str) -> (i64, i64) {
        let rows = self.rows.iter().filter(|(name, _)| name.starts_with(of)).flat_map(|(_, rows)| rows);
        let seen = self.seen.iter().filter(|(name, _)| name.starts_with(of)).flat_map(|(_, seen)| seen);
        (rows.map(|row| row.cost).sum(), seen.map(|seen| self.bill(seen)).sum())
    }

    /// How many attempts were of each kind: by their roles, killed, at the fallback, or left by their clients.
    pub(crate) fn kinds(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::from([("left", self.read.values().filter(|read| read.has_left).count())]);
        for row in self.rows.values().flatten() {
            let is_fallback = (row.model == "dear").then_some("dear");
            let is_crashed = (row.outcome == "crashed").then_some("crashed");
            for kind in [Some(&*row.role), is_crashed, is_fallback].into_iter().flatten() {
                *kinds.entry(kind).or_default() += 1;
            }
        }
        kinds
    }

    fn price(&self, model: &str) -> (i64, i64) {
        let found = self.prices.iter().find(|(name, ..)| *name == model);
        found.map(|(_, prompt, output)| (*prompt, *output)).unwrap_or_default()
    }

    fn bill(&self, seen: &Seen) -> i64 {
        let (prompt, output) = self.price(&seen.model);
        seen.prompt * prompt + seen.completion * output
    }

    /// Whether a row of an estimate is right for an attempt: not below what the gateway saw of it, nor far above it.
    fn is_fair(&self, name: &str, seen: &Seen, row: &Row) -> bool {
        let (prompt, output) = self.price(&seen.model);
        // What was on its way when the gateway let go of a stream is nobody's to know; what it read goes to the client at once.
        let read = match self.read.get(name) {
            Some(read) if row.role.is_empty() && (read.has_left || seen.is_given_up) => {
                read.pieces.min(seen.completion)
            }
            _ if seen.is_stream && (seen.is_given_up || row.role == "hedged") => 0,
            _ => seen.completion,
        };
        let least = seen.prompt * prompt + read * output;
        let most = (seen.prompt + FRAME) * prompt + (2 * seen.completion + FRAME) * output;
        seen.model == row.model && (least..=most).contains(&row.cost)
    }

    /// What is wrong, line by line, and how many attempts ended how.
    pub(crate) fn compare(&self) -> (Vec<String>, Sums) {
        let (mut wrong, mut sums) = (Vec::new(), Sums::default());
        let nobody = (Vec::new(), Vec::new());
        let keys: std::collections::BTreeSet<_> = self.seen.keys().chain(self.rows.keys()).collect();
        for key in keys {
            let seen = self.seen.get(key).unwrap_or(&nobody.0);
            let rows = self.rows.get(key).unwrap_or(&nobody.1);
            sums.spent += rows.iter().map(|row| row.cost).sum::<i64>();
            sums.billed += seen.iter().map(|seen| self.bill(seen)).sum::<i64>();
            if let Err(what) = self.pair(key, seen.clone(), rows.clone(), &mut sums) {
                wrong.push(format!("{key:?}: {what}: seen {seen:?}, booked {rows:?}"));
            }
        }
        (wrong, sums)
    }

    /// Finds a row for each attempt that was seen, and a reason for each row that is left.
    fn pair(&self, name: &str, mut seen: Vec<Seen>, rows: Vec<Row>, sums: &mut Sums) -> Result<(), &'static str> {
        let (crashed, rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.outcome == "crashed");
        let (mut free, charged): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.cost == 0);
        let (mut estimates, exact): (Vec<_>, Vec<_>) = charged.into_iter().partition(|row| row.estimated);
        for row in exact {
            let at = seen.iter().position(|seen| seen.model == row.model && self.bill(seen) == row.cost);
            seen.remove(at.ok_or("what is told as exact is not what the upstream charged")?);
            sums.exact += 1;
        }
        // The dearest first: what is left for the others is enough if anything is.
        seen.sort_unstable_by_key(|seen| (!seen.is_billed, -self.bill(seen)));
        let mut crashed: Vec<Row> = crashed;
        crashed.sort_unstable_by_key(|row| row.cost);
        for attempt in seen {
            let is_of = |row: &Row| row.model == attempt.model || attempt.model.is_empty();
            // An error, or nothing that it could have answered: it may have come when nobody read it any more.
            let unbilled = |rows: &[Row]| rows.iter().position(|row| !attempt.is_billed && is_of(row));
            let fair = || estimates.iter().position(|row| self.is_fair(name, &attempt, row));
            let at_bound = || crashed.iter().position(|row| is_of(row) && row.cost >= self.bill(&attempt));
            if let Some(at) = unbilled(&free) {
                free.remove(at);
                sums.free += 1;
            } else if let Some(at) = unbilled(&estimates).or_else(fair) {
                estimates.remove(at);
                sums.estimated += 1;
            } else if let Some(at) = at_bound() {
                crashed.remove(at);
                sums.at_bound += 1;
            } else {
                return Err("an attempt that the upstream saw has no row, or one that is too low");
            }
        }
        sums.never_seen += free.len();
        sums.never_seen_at_bound += crashed.len();
        if estimates.is_empty() { Ok(()) } else { Err("charged, and the upstream never saw it") }
    }
}
