//! What is told of a backend that takes no requests: once it lasts, and until it has been well for a while, so that one that
//! comes and goes is no news each time. Decisions only.

use std::time::Duration;

use tokio::time::Instant;
use turnpike_bundle::report::BackendState;
use turnpike_routing::health::Standing;

use super::target::Fault;

/// A short rest, as after a rate limit, is not told.
const TOLD_AFTER: Duration = Duration::from_secs(2);
/// How long a backend must be well before that is told.
const WELL_AFTER: Duration = Duration::from_secs(10);

/// How a backend looks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It takes requests.
    Well,
    /// It is left alone after requests that failed.
    Cooling,
    /// Its probes fail, and no request has shown that they are wrong.
    Down(Fault),
}

/// Joins how traffic went and how probes went.
pub fn sight(standing: Standing, fault: Option<Fault>) -> Sight {
    match (standing, fault) {
        (Standing::Healthy | Standing::SlowStart { .. }, _) | (Standing::Trial, None) => Sight::Well,
        (Standing::Cooling { .. } | Standing::Trial, Some(fault)) => Sight::Down(fault),
        (Standing::Cooling { .. }, None) => Sight::Cooling,
    }
}

/// As `LiteLLM` counts: 0 = healthy, 1 = partial outage, 2 = complete outage.
pub fn outage(standing: Standing, sight: Sight) -> i64 {
    match (sight, standing) {
        (Sight::Cooling | Sight::Down(_), _) => 2,
        (Sight::Well, Standing::Healthy) => 0,
        (Sight::Well, _) => 1,
    }
}

/// What is told of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it stands.
    pub state: BackendState,
    /// Seconds since the epoch.
    pub since: i64,
    /// Why; the same for the same cause.
    pub reason: String,
}

/// What was seen of one backend lately.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    last: Option<Sight>,
    /// Since when it takes no requests: by the steady clock, and in seconds since the epoch.
    ill: Option<(Instant, i64)>,
    well: Option<Instant>,
    told: Option<Told>,
}

/// What a look brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    /// What is told is another than before.
    pub told: bool,
    /// It has just begun to be left alone.
    pub cooled: bool,
}

impl Watch {
    /// Takes a look; `wall` is the time in seconds since the epoch.
    pub fn look(&mut self, sight: Sight, now: Instant, wall: i64) -> News {
        let cooled = sight != Sight::Well && self.last.is_none_or(|last| last == Sight::Well);
        self.last = Some(sight);
        let before = self.told.clone();
        if sight == Sight::Well {
            self.ill = None;
            let well = *self.well.get_or_insert(now);
            if now - well >= WELL_AFTER {
                self.told = None;
            }
        } else {
            self.well = None;
            let (ill, since) = *self.ill.get_or_insert((now, wall));
            let (state, reason) = match sight {
                Sight::Down(fault) => (BackendState::Down, format!("probes fail: {fault}")),
                Sight::Cooling | Sight::Well => (BackendState::Cooling, "requests failed".to_owned()),
            };
            if state == BackendState::Down || now - ill >= TOLD_AFTER || self.told.is_some() {
                // From the first failure on, however often it was well in between.
                let since = self.told.as_ref().map_or(since, |told| told.since);
                self.told = Some(Told { state, since, reason });
            }
        }
        News { told: self.told != before, cooled }
    }

    /// What is to be told; `None` = it takes requests.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOWN: Sight = Sight::Down(Fault::Slow);

    /// What is told after each of these sights, each so many seconds after the start.
    fn told(sights: &[(u64, Sight)]) -> Vec<Option<BackendState>> {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let look = |(second, sight): &(u64, Sight)| {
            let before = watch.told().cloned();
            let news = watch.look(*sight, start + Duration::from_secs(*second), 0);
            assert_eq!(news.told, before.as_ref() != watch.told());
            watch.told().map(|told| told.state)
        };
        sights.iter().map(look).collect()
    }

    #[test]
    fn what_is_over_soon_is_not_told_and_what_comes_back_soon_was_never_over() {
        let (cooling, down) = (Some(BackendState::Cooling), Some(BackendState::Down));
        assert_eq!(told(&[(0, Sight::Cooling), (1, Sight::Cooling), (2, Sight::Well), (3, Sight::Cooling)]), [None; 4]);
        assert_eq!(told(&[(0, Sight::Cooling), (2, Sight::Cooling), (3, DOWN)]), [None, cooling, down]);
        assert_eq!(
            told(&[(0, DOWN), (1, Sight::Well), (10, Sight::Well), (11, Sight::Well)]),
            [down, down, down, None]
        );
        let flaps: Vec<_> = (0..60).map(|second| (second, if second % 9 == 0 { DOWN } else { Sight::Well })).collect();
        assert_eq!(told(&flaps), [down; 60], "one that comes and goes is told once");
    }

    #[test]
    fn the_first_failure_is_when_it_began_and_each_beginning_counts() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let mut look = |second: u64, sight| {
            let wall = i64::try_from(second).unwrap_or_default();
            let news = watch.look(sight, start + Duration::from_secs(second), wall);
            (news.cooled, watch.told().map(|told| told.since))
        };
        assert_eq!(look(5, DOWN), (true, Some(5)));
        assert_eq!(look(6, Sight::Well), (false, Some(5)));
        assert_eq!(look(7, Sight::Cooling), (true, Some(5)));
        assert_eq!(look(8, DOWN), (false, Some(5)));
        assert_eq!(look(9, Sight::Well), (false, Some(5)));
        assert_eq!(look(19, Sight::Well), (false, None));
    }

    #[test]
    fn requests_outweigh_probes() {
        let until = turnpike_routing::Moment(1);
        let cases = [
            (Standing::Healthy, Some(Fault::Slow), Sight::Well, 0),
            (Standing::SlowStart { share: 100 }, None, Sight::Well, 1),
            (Standing::Trial, None, Sight::Well, 1),
            (Standing::Trial, Some(Fault::Slow), DOWN, 2),
            (Standing::Cooling { until }, Some(Fault::Slow), DOWN, 2),
            (Standing::Cooling { until }, None, Sight::Cooling, 2),
        ];
        for (standing, fault, expected, state) in cases {
            let sight = sight(standing, fault);
            assert_eq!((sight, outage(standing, sight)), (expected, state), "{standing:?} {fault:?}");
        }
    }
}
