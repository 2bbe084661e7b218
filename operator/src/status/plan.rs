//! In which order statuses are written, and which may wait: what one person did goes before what happened to all.
//!
//! Most statuses get better by themselves within a second, as gateways load an entry. Such a draft is held back for a while, so
//! that an edit costs one write, and the start of the operator one for each object.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use turnpike_bundle::problem::{ObjectId, ObjectKind};

use super::{condition::Waiting, survey::Draft};

/// Most objects that somebody changes at once by hand or by a release; more at one time are a mass.
const FEW: usize = 64;
/// How long a draft is held back whose entry is on its way to gateways.
const HOLD: Duration = Duration::from_secs(3);
/// The same while no gateway is ready: long enough for one that starts with the operator.
const HOLD_NO_GATEWAY: Duration = Duration::from_secs(10);
/// The same for what changes many times on its way, such as how far a download is.
const HOLD_PROGRESS: Duration = Duration::from_secs(5);
/// The same for a mass, in all cases: what a start may take.
const HOLD_MASS: Duration = Duration::from_mins(1);

/// What a draft is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Something was done to this object, or a few.
    Few,
    /// Nothing but figures of a Budget.
    BudgetFigures,
    /// Nothing but figures of a key.
    KeyFigures,
    /// Something happened that concerns all.
    Mass,
}

impl Group {
    /// Whether nothing but figures differs.
    pub const fn is_figures(self) -> bool {
        matches!(self, Self::BudgetFigures | Self::KeyFigures)
    }
}

#[derive(Clone, Copy, Debug)]
struct Open {
    group: Group,
    generation: i64,
    waiting: Option<Waiting>,
    /// Since when it is held back for what it waits for.
    since: Instant,
}

/// Objects whose status differs from what it should be, since when.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    open: BTreeMap<ObjectId, Open>,
}

impl Plan {
    /// Takes note of everything that differs at a time.
    pub fn note(&mut self, drafts: &BTreeMap<ObjectId, Draft>, now: Instant) {
        self.open.retain(|id, _| drafts.contains_key(id));
        let fresh = |open: &BTreeMap<ObjectId, Open>, id: &ObjectId, draft: &Draft| {
            open.get(id)
                .is_none_or(|open| open.generation != draft.generation || open.group.is_figures() != draft.figures_only)
        };
        let count = drafts.iter().filter(|(id, draft)| !draft.figures_only && fresh(&self.open, id, draft)).count();
        let others = if count > FEW { Group::Mass } else { Group::Few };
        for (id, draft) in drafts {
            let group = match (draft.figures_only, id.kind) {
                (true, ObjectKind::Budget) => Group::BudgetFigures,
                (true, _) => Group::KeyFigures,
                (false, _) => others,
            };
            if fresh(&self.open, id, draft) {
                let Draft { generation, waiting, .. } = *draft;
                self.open.insert(id.clone(), Open { group, generation, waiting, since: now });
            } else if let Some(open) = self.open.get_mut(id)
                && open.waiting != draft.waiting
            {
                (open.waiting, open.since) = (draft.waiting, now);
            }
        }
    }

    /// What may be written at a time, the most urgent first, and when more may be.
    pub fn due(&self, now: Instant) -> (Vec<(Group, ObjectId)>, Option<Instant>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for (id, open) in &self.open {
            let at = open.due();
            if at <= now {
                due.push((open.group, open.since, id));
            } else {
                next = next.into_iter().chain([at]).min();
            }
        }
        due.sort_unstable();
        (due.into_iter().map(|(group, _, id)| (group, id.clone())).collect(), next)
    }

    /// A draft was written, or is of no more use.
    pub fn close(&mut self, id: &ObjectId) {
        self.open.remove(id);
    }
}

impl Open {
    fn due(&self) -> Instant {
        let hold = match (self.waiting, self.group) {
            (None, _) | (_, Group::BudgetFigures | Group::KeyFigures) => Duration::ZERO,
            (Some(_), Group::Mass) => HOLD_MASS,
            (Some(Waiting::Work), Group::Few) => HOLD,
            (Some(Waiting::Gateway), Group::Few) => HOLD_NO_GATEWAY,
            (Some(Waiting::Progress), Group::Few) => HOLD_PROGRESS,
        };
        self.since + hold
    }
}
