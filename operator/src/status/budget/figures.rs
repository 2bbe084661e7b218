//! What was used of a Budget, as its status shows it.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use turnpike_bundle::entry::{LimitEntry, ObjectRef};
use turnpike_crds::{
    Budget, KeyId, Time,
    budget::{
        BudgetStatus, Share, Window, WindowType,
        status::{CountUse, LimitStatus, RequestCounts, TokenCounts, TopKey, UsdUse},
    },
    money::NanoUsd,
};
use turnpike_ledger::account::{Tally, Unit};

use crate::{
    spend::{Amount, BudgetSpend},
    status::limit,
    world::World,
};

/// Decimals of amounts in USD.
const DECIMALS: usize = 6;

/// A limit with what was used of it.
pub(super) struct Used<'a> {
    /// As compiled.
    pub(super) limit: &'a LimitEntry,
    amounts: Vec<&'a Amount>,
    /// Of the unit of which most is used.
    pub(super) percent: i32,
}

impl Used<'_> {
    fn amount(&self, unit: Unit) -> Option<&Amount> {
        self.amounts.iter().find(|amount| amount.account.unit == unit).copied()
    }

    /// The one of which most is used.
    fn tightest(&self) -> Option<&Amount> {
        let by_percent = |amount: &&&Amount| (percent(amount), std::cmp::Reverse(amount.account.unit));
        self.amounts.iter().max_by_key(by_percent).copied()
    }

    /// `500.00 USD`.
    pub(super) fn text(&self) -> Option<String> {
        let amount = self.tightest()?;
        let limit = amount.account.limit;
        Some(match amount.account.unit {
            Unit::NanoUsd => format!("{} USD", NanoUsd(limit)),
            unit @ (Unit::Tokens | Unit::Requests | Unit::Parallel) => format!("{limit} {}", unit.as_str()),
        })
    }

    /// When it starts again; `None` = never, or all the time.
    pub(super) fn resets_at(&self) -> Option<Timestamp> {
        let is_calendar = self.limit.window_type == Some(WindowType::Calendar);
        let end = self.amounts.first().filter(|_| is_calendar)?.slot.end;
        Timestamp::from_microsecond(end).ok()
    }

    fn starts_at(&self) -> Option<Timestamp> {
        let is_calendar = self.limit.window_type == Some(WindowType::Calendar);
        let start = self.amounts.first().filter(|_| is_calendar)?.slot.start;
        Timestamp::from_microsecond(start).ok()
    }
}

/// Every limit but rates, with what was used of it.
pub(super) fn used(spend: &BudgetSpend) -> Vec<Used<'_>> {
    let limits = spend.entry.limits.iter().filter(|limit| limit.window != Window::Minute);
    limits
        .map(|limit| {
            let is_of = |amount: &&Amount| {
                let window = &amount.account.window;
                window.window() == limit.window && window.window_type() == limit.window_type && has(limit, amount)
            };
            let amounts: Vec<&Amount> = spend.amounts.iter().filter(is_of).collect();
            let percent = amounts.iter().map(|amount| percent(amount)).max().unwrap_or_default();
            Used { limit, amounts, percent }
        })
        .collect()
}

fn has(limit: &LimitEntry, amount: &Amount) -> bool {
    match amount.account.unit {
        Unit::NanoUsd => limit.usd_nano.is_some(),
        Unit::Tokens => limit.tokens.is_some(),
        Unit::Requests => limit.requests.is_some(),
        Unit::Parallel => false,
    }
}

/// What was used in the fullest pot.
fn fullest(amount: &Amount) -> i64 {
    amount.pots.named.first().map_or(0, |pot| pot.spent)
}

/// Whole percents, rounded down, so that 100 means that nothing is left.
fn percent(amount: &Amount) -> i32 {
    let (used, limit) = (i128::from(fullest(amount).max(0)), i128::from(amount.account.limit.max(1)));
    i32::try_from(used * 100 / limit).unwrap_or(i32::MAX)
}

fn usd(nano: i64) -> String {
    NanoUsd(nano).to_decimal(DECIMALS)
}

/// Fills in what was used; the other fields stay.
pub(super) fn fill(
    status: &mut BudgetStatus,
    spend: &BudgetSpend,
    (world, object, budget): (&World, &ObjectRef, &Budget),
    now: Timestamp,
) {
    let used = used(spend);
    status.limits = used.iter().map(|used| limit_status(used, &spend.entry.alert_thresholds)).collect();
    let tightest = used.iter().min_by(|a, b| {
        b.percent.cmp(&a.percent).then_with(|| limit::pace_order(limit::pace_of(a.limit), limit::pace_of(b.limit)))
    });
    let Some(tightest) = tightest else { return };
    let of_days = spend.usage.get(&tightest.limit.window).filter(|_| tightest.starts_at().is_some());
    status.limit_text = tightest.text();
    status.window = Some(tightest.limit.window);
    status.used_percent = Some(tightest.percent);
    status.resets_at = tightest.resets_at().map(Time);
    status.window_start = match tightest.limit.window {
        Window::Lifetime => budget.metadata.creation_timestamp.clone(),
        _ => tightest.starts_at().map(Time),
    };
    match tightest.amount(Unit::NanoUsd) {
        Some(amount) => {
            status.spent = Some(usd(amount.pots.spent));
            status.reserved = Some(usd(amount.pots.reserved));
            status.remaining = Some(usd((amount.account.limit - fullest(amount)).max(0)));
            status.unattributed = (amount.pots.unattributed > 0).then(|| usd(amount.pots.unattributed));
        }
        None => status.spent = of_days.map(|usage| usd(usage.cost_nano)),
    }
    status.projected_exhaustion = projected(tightest, budget, now).map(Time);
    status.tokens = of_days.map(|usage| TokenCounts {
        input: usage.prompt_tokens,
        output: usage.completion_tokens,
        cached_input: usage.cached_tokens,
    });
    let tally = |what| match tightest.limit.window_type {
        Some(WindowType::Rolling) => None,
        Some(WindowType::Calendar) | None => spend.tallies.get(&(tightest.limit.window, what)).copied(),
    };
    let allowed = tightest.amount(Unit::Requests).map(|amount| amount.pots.spent);
    let refused = tally(Tally::Refused);
    status.requests = (allowed.is_some() || refused.is_some()).then_some(RequestCounts { allowed, refused });
    status.overdrawn = tally(Tally::Overdrawn).filter(|nano| *nano > 0).map(usd);
    status.top = match spend.entry.share {
        Share::Shared => {
            let top = of_days.map(|usage| usage.top.as_slice()).unwrap_or_default();
            top.iter().map(|(key, nano)| TopKey { key: name(object, key), spent: usd(*nano) }).collect()
        }
        Share::PerKey | Share::PerUser => top_pots(world, object, spend, tightest),
    };
}

fn limit_status(used: &Used<'_>, thresholds: &[i32]) -> LimitStatus {
    let count =
        |unit| used.amount(unit).map(|amount| CountUse { used: fullest(amount).max(0), limit: amount.account.limit });
    LimitStatus {
        window: used.limit.window,
        used_percent: Some(used.percent),
        threshold_reached: thresholds.iter().copied().filter(|percent| *percent <= used.percent).max(),
        resets_at: used.resets_at().map(Time),
        usd: used
            .amount(Unit::NanoUsd)
            .map(|amount| UsdUse { used: usd(fullest(amount)), limit: NanoUsd(amount.account.limit).to_string() }),
        tokens: count(Unit::Tokens),
        requests: count(Unit::Requests),
    }
}

/// The fullest pots by their owners' names.
fn top_pots(world: &World, object: &ObjectRef, spend: &BudgetSpend, tightest: &Used<'_>) -> Vec<TopKey> {
    let Some(amount) = tightest.amount(Unit::NanoUsd) else { return Vec::new() };
    let pots = amount.pots.named.iter().filter(|pot| pot.spent > 0).take(10);
    let owner = |subject: &str| match spend.entry.share {
        Share::PerKey => {
            let found = world.keys.keys().find(|key| KeyId::of(&key.namespace, &key.name).to_string() == subject);
            found.map_or_else(|| subject.to_owned(), |key| name(object, key))
        }
        Share::Shared | Share::PerUser => subject.strip_prefix("user:").unwrap_or(subject).to_owned(),
    };
    pots.map(|pot| TopKey { key: cut(owner(&pot.subject)), spent: usd(pot.spent) }).collect()
}

/// A key's name, with its namespace where that is another than the budget's.
fn name(budget: &ObjectRef, key: &ObjectRef) -> String {
    if key.namespace == budget.namespace { key.name.clone() } else { key.to_string() }
}

/// At most what the schema takes.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(253));
    text
}

/// When nothing is left at the pace of this window; `None` = not before it starts again, or nobody knows yet.
fn projected(used: &Used<'_>, budget: &Budget, now: Timestamp) -> Option<Timestamp> {
    let start = match used.limit.window {
        Window::Lifetime => budget.metadata.creation_timestamp.as_ref()?.0,
        _ => used.starts_at()?,
    };
    // Of a budget that was made within the window, only the time since then was counted.
    let created = budget.metadata.creation_timestamp.as_ref().map_or(start, |time| time.0);
    let start = start.max(created);
    let amount = used.tightest()?;
    let (spent, limit) = (i128::from(fullest(amount)), i128::from(amount.account.limit));
    let elapsed = i128::from(now.as_second() - start.as_second());
    // The first minute says nothing of the pace.
    if spent <= 0 || spent >= limit || elapsed < 60 {
        return None;
    }
    let left = i64::try_from(elapsed * (limit - spent) / spent).ok()?;
    let at = rounded(now.checked_add(SignedDuration::from_secs(left)).ok()?, left);
    (used.resets_at().is_none_or(|end| at < end)).then_some(at)
}

/// The farther away, the coarser: to the day, the hour or ten minutes.
fn rounded(time: Timestamp, left: i64) -> Timestamp {
    let step = match left {
        ..7_200 => 600,
        7_200..172_800 => 3_600,
        _ => 86_400,
    };
    Timestamp::from_second((time.as_second() + step - 1).div_euclid(step) * step).unwrap_or(time)
}

/// Moves the figures of one status into another.
pub(super) fn keep(before: &BudgetStatus, status: &mut BudgetStatus) {
    macro_rules! keep {
        ($($field:ident),+ $(,)?) => { $(status.$field.clone_from(&before.$field);)+ };
    }
    keep!(
        spent,
        reserved,
        remaining,
        used_percent,
        limit_text,
        window,
        window_start,
        resets_at,
        projected_exhaustion,
        limits,
        tokens,
        requests,
        top,
        unattributed,
        overdrawn,
        last_spend_sync,
    );
}

/// A time as messages show it.
pub(super) fn text(time: Timestamp) -> String {
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
