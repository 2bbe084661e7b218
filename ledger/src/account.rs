//! What is limited: an account is one amount in one window for one subject.

use std::{fmt, sync::Arc};

use turnpike_crds::budget::{Window, WindowType};

use crate::window::WindowSpec;

mod siblings;

pub use siblings::Siblings;

/// What an account counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// Money, in nano-USD.
    NanoUsd,
    /// Prompt and completion tokens, cached and reasoning ones included.
    Tokens,
    /// Admitted requests.
    Requests,
    /// Requests at the same time: taken and given back, never booked.
    Parallel,
}

impl Unit {
    /// Its name in ids and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NanoUsd => "usd",
            Self::Tokens => "tokens",
            Self::Requests => "requests",
            Self::Parallel => "parallel",
        }
    }
}

/// What is counted beside a Budget's amounts, in each of its windows: for people to see, and no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tally {
    /// Requests that one of its limits refused.
    Refused,
    /// nano-USD that was let through while the store was down; counted in the amount as well.
    Overdrawn,
}

impl Tally {
    /// Its name in ids, where a unit stands otherwise.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Overdrawn => "overdrawn",
        }
    }
}

/// The kind of object that a limit stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerKind {
    /// A `Budget`.
    Budget,
    /// A `VirtualKey`'s own limits.
    VirtualKey,
    /// A `ModelDeployment`'s limits.
    ModelDeployment,
}

impl OwnerKind {
    /// The kind's name in Kubernetes.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Budget => "Budget",
            Self::VirtualKey => "VirtualKey",
            Self::ModelDeployment => "ModelDeployment",
        }
    }
}

/// The object that a limit stands in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// Its kind.
    pub kind: OwnerKind,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// Names an account for ever: `kind/namespace/name/unit/window/zone/subject`, without the object's uid, so that deleting and
/// making the object anew keeps what was spent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// The id of a limit. `subject` tells apart the pots of one limit: a key, a user, a model; empty = one pot.
    ///
    /// `reset` is the value of the annotation `turnpike.dev/reset`, where there is one: another value is another account.
    pub fn new(owner: &Owner, unit: Unit, window: &WindowSpec, subject: &str, reset: Option<&str>) -> Self {
        let Owner { kind, namespace, name } = owner;
        let (kind, unit) = (kind.as_str(), unit.as_str());
        let mut id = format!("{kind}/{namespace}/{name}/{unit}/{window}/{subject}");
        if let Some(reset) = reset {
            id.push_str("/reset=");
            id.push_str(reset);
        }
        Self(id.into())
    }

    /// Where a tally of the limit's owner and window is booked: one for all pots, whether or not they are reset.
    pub fn of_tally(owner: &Owner, tally: Tally, window: &WindowSpec) -> Self {
        let Owner { kind, namespace, name } = owner;
        Self(format!("{}/{namespace}/{name}/{}/{window}/", kind.as_str(), tally.as_str()).into())
    }

    /// As read from a store.
    pub fn from_stored(id: &str) -> Self {
        Self(id.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Excess {
    /// Requests are refused.
    Refuse,
    /// Requests are slowed down to this many a minute.
    Throttle {
        /// Requests per minute of each covered key.
        rpm: i64,
    },
    /// Requests go on: the limit only tells (`onExceed: Notify`, `mode: Shadow`).
    Tell,
}

/// When use is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charge {
    /// The worst case is held before dispatch: a limit is never overshot.
    Ahead,
    /// After the answer: a limit may be overshot by what is in flight.
    After,
}

/// While the store does not answer and nothing is left of what was leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outage {
    /// Requests are refused.
    Refuse,
    /// This much more may be used, by each gateway and in each outage.
    Allow(i64),
}

/// One account with its limit, as configured.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSpec {
    /// Its name.
    pub id: AccountId,
    /// Where the limit stands.
    pub owner: Owner,
    /// Which pot of it: the key, user or model; empty = the only one.
    pub subject: Arc<str>,
    /// What is counted.
    pub unit: Unit,
    /// Over which time.
    pub window: WindowSpec,
    /// Most of it, in the unit.
    pub limit: i64,
    /// What happens beyond.
    pub excess: Excess,
    /// When it is counted.
    pub charge: Charge,
    /// What happens while the store is down.
    pub outage: Outage,
}

impl AccountSpec {
    /// Rates and parallel requests: counted in the exchange itself; all else is counted by spend rows.
    pub fn is_rate(&self) -> bool {
        self.unit == Unit::Parallel || self.window.is_minute()
    }

    /// Where a tally beside it is booked; `None` = it has none: only Budgets have, and rolling windows have too many slots.
    pub fn tally(&self, tally: Tally) -> Option<AccountId> {
        let is_told = self.owner.kind == OwnerKind::Budget
            && !self.is_rate()
            && self.window.window_type() != Some(WindowType::Rolling);
        is_told.then(|| AccountId::of_tally(&self.owner, tally, &self.window))
    }
}

/// How a limit's window is written for people: `Month`, `Rolling Day`, `Lifetime`.
pub fn window_text(window: Window, kind: Option<WindowType>) -> &'static str {
    match (window, kind) {
        (Window::Minute, _) => "Minute",
        (Window::Hour, Some(WindowType::Rolling)) => "Rolling Hour",
        (Window::Hour, _) => "Hour",
        (Window::Day, Some(WindowType::Rolling)) => "Rolling Day",
        (Window::Day, _) => "Day",
        (Window::Week, Some(WindowType::Rolling)) => "Rolling Week",
        (Window::Week, _) => "Week",
        (Window::Month, Some(WindowType::Rolling)) => "Rolling Month",
        (Window::Month, _) => "Month",
        (Window::Year, Some(WindowType::Rolling)) => "Rolling Year",
        (Window::Year, _) => "Year",
        (Window::Lifetime, _) => "Lifetime",
    }
}
