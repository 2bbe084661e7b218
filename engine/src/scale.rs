//! How many replicas an engine should have: demand, replicas and time in, a number out.
//!
//! ```text
//!  replicas ▲        demand rises above the target: up at once
//!           │      ┌──────────────────────┐
//!           │      │                      └────┐  down to the most that was wanted
//!           │ ─────┘                           └──  during the last scaleDownDelay
//!           └──────────────────────────────────────▶ time
//! ```
//!
//! A replica more starts without delay, as clients wait for it; one goes only when nobody wanted it for a whole delay, so a change
//! down is never taken back soon. What is not known counts as wanted: a silent gateway, and the time before this process
//! began to look, of which the replicas that run are the only witness.

use std::{collections::VecDeque, iter::Sum, time::Duration};

use serde::{Deserialize, Serialize};
use turnpike_crds::model_deployment::Autoscaling;

/// Requests in flight that one replica should have, where the spec does not say.
pub const TARGET_IN_FLIGHT: u32 = 32;
/// How long demand must stay low before a replica goes, where the spec does not say.
pub const SCALE_DOWN_DELAY: Duration = Duration::from_mins(5);
/// What a gateway said holds for so long; after that its demand is unknown.
pub const STALE: Duration = Duration::from_secs(5);
/// What engines say of themselves holds for so long: they are asked less often.
pub const LOAD_STALE: Duration = Duration::from_secs(15);
/// Replicas bear this part more than their target before another starts, and one goes only where this part of what the others
/// bear stays free: one part in so many.
const TOLERANCE: u64 = 10;

/// What clients want of one engine, as one gateway sees it, or all of them together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Requests that its replicas are answering.
    pub in_flight: u64,
    /// Requests that are held until it has a replica.
    pub waiting: u64,
    /// A request that it could serve came lately, whoever served it.
    pub wanted: bool,
}

/// One gateway's demand, or what the pods of an engine say together, and when it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// On the clock of [`Scaler::decide`].
    pub at: Duration,
    /// What was said.
    pub demand: Demand,
}

/// The demand of all gateways, or of engines where these tell of more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// The sum of what gateways tell, or engines.
    pub demand: Demand,
    /// Every running gateway was heard lately, and there is one.
    pub is_complete: bool,
}

/// The rules of one engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Fewest replicas.
    pub min: u32,
    /// Most replicas.
    pub max: u32,
    /// Requests in flight that one replica should have; at least 1.
    pub target: u32,
    /// How long demand must stay low before a replica goes.
    pub delay: Duration,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Replicas to have from now on.
    pub replicas: u32,
    /// Replicas that demand calls for, whatever the rules allow.
    pub wanted: u32,
}

/// What is remembered of one engine's demand.
#[derive(Clone, Debug, Default)]
pub struct Scaler {
    /// Replicas that were wanted, and when: each greater than all later ones, so that the first is the greatest.
    highest: VecDeque<(Duration, u32)>,
    /// When it last decided.
    last: Option<Duration>,
}

impl Sum for Demand {
    fn sum<I: Iterator<Item = Self>>(demands: I) -> Self {
        demands.fold(Self::default(), |sum, demand| Self {
            in_flight: sum.in_flight.saturating_add(demand.in_flight),
            waiting: sum.waiting.saturating_add(demand.waiting),
            wanted: sum.wanted || demand.wanted,
        })
    }
}

impl Demand {
    /// Requests that need a replica now.
    pub fn load(&self) -> u64 {
        self.in_flight.saturating_add(self.waiting)
    }
}

impl Total {
    /// Of the last samples of all running gateways; `None` = that one has not been heard yet.
    pub fn of(now: Duration, samples: impl IntoIterator<Item = Option<Sample>>) -> Self {
        let (mut known, mut gateways) = (Vec::new(), 0);
        for sample in samples {
            gateways += 1;
            known.extend(sample.filter(|sample| now.saturating_sub(sample.at) <= STALE).map(|sample| sample.demand));
        }
        // Without gateways nobody can ask for anything: that says nothing of what will be asked when they are back.
        Self { is_complete: gateways > 0 && known.len() == gateways, demand: known.into_iter().sum() }
    }

    /// With what the pods of the engine say, where that is more. Both are never added: what gateways have in flight is among what
    /// engines answer.
    #[must_use]
    pub fn or_engine(self, now: Duration, said: Option<Sample>) -> Self {
        let known = said.filter(|said| now.saturating_sub(said.at) <= LOAD_STALE).map(|said| said.demand);
        let more = known.filter(|said| said.load() > self.demand.load());
        let demand = more.map_or(self.demand, |said| Demand { wanted: self.demand.wanted, ..said });
        Self { demand, ..self }
    }
}

impl Rules {
    /// Of a spec that the schema accepts; what is out of its bounds is taken as the nearest bound.
    pub fn of(spec: &Autoscaling) -> Self {
        let count = |value: i32| u32::try_from(value).unwrap_or(0);
        let max = count(spec.max_replicas).max(1);
        Self {
            min: count(spec.min_replicas).min(max),
            max,
            target: spec.target_in_flight.map_or(TARGET_IN_FLIGHT, count).max(1),
            delay: spec.scale_down_delay.as_ref().and_then(|delay| delay.parse().ok()).unwrap_or(SCALE_DOWN_DELAY),
        }
    }

    /// Replicas that demand calls for where `current` run.
    fn wanted(&self, demand: &Demand, current: u32) -> u32 {
        let (load, target) = (demand.load(), u64::from(self.target));
        let borne = u64::from(current) * target;
        let is_borne = current > 0 && load <= borne + borne / TOLERANCE;
        let wanted = if is_borne { load.div_ceil(target).min(u64::from(current)) } else { load.div_ceil(target) };
        count(wanted).max(u32::from(demand.wanted))
    }

    /// Replicas that may not go now: one more than wanted where the rest would be full nearly to the brim.
    fn kept(&self, demand: &Demand, wanted: u32, current: u32) -> u32 {
        let (load, target) = (demand.load(), u64::from(self.target));
        let fits = |replicas: u64| load <= replicas * target - replicas * target / TOLERANCE;
        let exact = load.div_ceil(target);
        let roomy = if fits(exact) { exact } else { exact + 1 };
        wanted.max(count(roomy).min(current))
    }
}

impl Decision {
    /// Demand calls for more than the rules allow.
    pub fn is_short(&self) -> bool {
        self.wanted > self.replicas
    }
}

impl Scaler {
    /// Decides at `now`, on any clock that only goes forward, where `current` replicas are set.
    pub fn decide(&mut self, now: Duration, total: &Total, current: u32, rules: &Rules) -> Decision {
        let wanted = rules.wanted(&total.demand, current);
        let has_looked = self.last.replace(now).is_some_and(|last| now.saturating_sub(last) <= STALE);
        let kept = rules.kept(&total.demand, wanted, current);
        self.remember(now, if total.is_complete && has_looked { kept } else { kept.max(current) });
        while self.highest.front().is_some_and(|(at, _)| now.saturating_sub(*at) > rules.delay) {
            self.highest.pop_front();
        }
        let highest = self.highest.front().map_or(kept, |(_, highest)| *highest);
        let replicas = if wanted > current { wanted } else { highest.min(current) };
        Decision { replicas: replicas.clamp(rules.min, rules.max), wanted }
    }

    fn remember(&mut self, now: Duration, wanted: u32) {
        while self.highest.back().is_some_and(|(_, earlier)| *earlier <= wanted) {
            self.highest.pop_back();
        }
        self.highest.push_back((now, wanted));
    }
}

fn count(replicas: u64) -> u32 {
    u32::try_from(replicas).unwrap_or(u32::MAX)
}
