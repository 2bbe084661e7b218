//! Which other groups a request goes on to, and in which order.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    Moment,
    failure::Cause,
    group::{Fallback, Group},
    traffic::Traffic,
};

/// Groups that a request may be passed on to.
pub const MOST_HOPS: u8 = 5;

/// Where a request goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    /// To this `ModelDeployment`, by `namespace/name`.
    Object(Arc<str>),
    /// To the model that the request itself names, by its place in the request's `fallbacks`.
    Asked(usize),
}

/// A request's way from group to group: first what it names itself, then what the group that it asked for names, then what the
/// groups name that it came to; none twice.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    waiting: VecDeque<Waiting>,
    visited: Vec<Arc<str>>,
    hops: u8,
    /// The request names the group that it is about to enter, so that nobody has compared it with `visited`.
    unknown: bool,
}

#[derive(Debug)]
enum Waiting {
    Asked(usize),
    Object { fallback: Fallback, traffic: Arc<Traffic> },
}

impl Chain {
    /// Whether a group that is entered is one that the request was in before.
    pub(crate) fn is_back_in(&self, group: &Group) -> bool {
        self.unknown && group.ids.iter().any(|id| self.visited.contains(id))
    }

    /// Notes what may come after a group that failed in these ways. `asked`: how many the request names, the first time.
    pub(crate) fn leave(&mut self, group: &Group, causes: &[Cause], asked: usize) {
        for id in &group.ids {
            if !self.visited.contains(id) {
                self.visited.push(Arc::clone(id));
            }
        }
        self.waiting.extend((0..asked).map(Waiting::Asked));
        let fitting = group.fallbacks.iter().filter(|fallback| causes.iter().any(|cause| fallback.on.contains(cause)));
        self.waiting.extend(
            fitting.map(|fallback| Waiting::Object { fallback: fallback.clone(), traffic: Arc::clone(&group.traffic) }),
        );
    }

    /// The next group that may still be asked; it is counted as asked.
    pub(crate) fn next(&mut self, now: Moment) -> Option<Hop> {
        while self.hops < MOST_HOPS
            && let Some(waiting) = self.waiting.pop_front()
        {
            let hop = match waiting {
                Waiting::Asked(index) => Hop::Asked(index),
                Waiting::Object { fallback, .. } if self.visited.contains(&fallback.target) => continue,
                Waiting::Object { fallback, traffic } if !traffic.overflow(&fallback, now) => continue,
                Waiting::Object { fallback, .. } => {
                    self.visited.push(Arc::clone(&fallback.target));
                    Hop::Object(fallback.target)
                }
            };
            self.hops += 1;
            self.unknown = matches!(hop, Hop::Asked(_));
            return Some(hop);
        }
        None
    }
}
