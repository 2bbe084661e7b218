//! A request's way: the first member of a group, what comes after each failure, and the groups that come after that one.
//!
//! ```text
//!  enter(group) ─▶ Try{member} ─ answered ─▶ succeeded
//!       ▲    │          │  ▲
//!       │    │        failed ─▶ Try{another member, or the same after a pause}
//!       │    │          ├─────▶ Fall(hop) ─ the caller finds its group ─▶ enter, or closed
//!       └────┼──────────┘
//!            └─▶ Fall(hop), or Refuse(why no member)            at the end of all: Stop
//! ```

use std::time::Duration;

use crate::{
    Moment,
    failure::{Cause, Failure},
    fallback::{Chain, Hop},
    features::Features,
    filter,
    group::{Group, Member},
    hash,
    health::Standing,
    luck, retry,
    set::Set,
    strategy::{self, TYPICAL_OUTPUT},
};

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try this member of the group, after a pause.
    Try {
        /// Index into [`Group::members`].
        member: usize,
        /// Pause before it.
        after: Duration,
    },
    /// Go on in another group: [`Plan::enter`] it, or say [`Plan::closed`].
    Fall(Hop),
    /// No member can take the request, and nothing was tried.
    Refuse(NoMember),
    /// The client is told of the failure.
    Stop,
}

/// Why no member can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMember {
    /// None of them can do what the request asks for; the lacking capability.
    Capability(&'static str),
    /// The prompt is larger than every window; the largest.
    ContextWindow(u64),
    /// None has the tags that the request asks for.
    Tags,
    /// All have as much as they are given at most.
    Busy,
    /// All that could take it are left alone, or failed for this request.
    Cooling,
    /// There is none, or all have weight 0.
    Empty,
    /// Those that would answer have not started yet.
    Cold,
}

/// When a decision is made, and with what luck.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Now.
    pub now: Moment,
    /// What is left of the request's time.
    pub left: Duration,
    /// Uniform over u64.
    pub draw: u64,
}

/// What the request itself says about its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Its `num_retries`.
    pub retries: Option<u8>,
    /// How many `fallbacks` it names.
    pub fallbacks: usize,
    /// It is not to be passed on to other groups.
    pub stays: bool,
}

/// A request's way. Its decisions count: retries against the group's budget, failures against a backend's health.
#[derive(Debug, Default)]
pub struct Plan {
    wishes: Wishes,
    chain: Chain,
    /// Members of the current group that failed.
    tried: Set,
    retries: u8,
    current: Option<Attempt>,
    hedge: Option<Attempt>,
    /// An attempt was made, so that there is a failure to tell of.
    began: bool,
    /// Why the first group did not take it.
    lacking: Option<NoMember>,
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    member: usize,
    began: Moment,
}

impl Plan {
    /// The way of a request that has these wishes.
    pub fn new(wishes: Wishes) -> Self {
        Self { wishes, ..Self::default() }
    }

    /// Begins in a group: the one that the request asks for, or one that it fell to.
    pub fn enter(&mut self, group: &Group, features: &Features, turn: Turn) -> Next {
        if self.chain.is_back_in(group) {
            return self.closed(turn.now);
        }
        self.tried = Set::default();
        self.retries = 0;
        group.traffic.arrived(&group.fallbacks, turn.now);
        let lacking = match self.pick(group, features, turn) {
            Ok(member) => return self.attempt(member, Duration::ZERO, turn.now),
            Err(lacking) => lacking,
        };
        self.lacking.get_or_insert(lacking);
        match lacking {
            NoMember::ContextWindow(_) => self.leave(group, &[Cause::ContextWindow]),
            NoMember::Busy => self.leave(group, &[Cause::RateLimit]),
            NoMember::Cooling => self.leave(group, reasons(group, turn.now)),
            // To the client it is a model that does not work now, whatever a fallback calls it.
            NoMember::Cold => self.leave(group, &[Cause::ColdStart, Cause::ServerError]),
            // No fallback is for these.
            NoMember::Capability(_) | NoMember::Tags | NoMember::Empty => {}
        }
        if let Some(hop) = self.chain.next(turn.now) {
            return Next::Fall(hop);
        }
        // Left alone is a guess, and nobody else is there.
        if lacking == NoMember::Cooling
            && let Some(member) = self.last_resort(group, features, turn)
        {
            return self.attempt(member, Duration::ZERO, turn.now);
        }
        self.end()
    }

    /// The group of a [`Next::Fall`] does not exist, or is not open to the request.
    pub fn closed(&mut self, now: Moment) -> Next {
        self.chain.next(now).map_or_else(|| self.end(), Next::Fall)
    }

    /// This member, whose attempt it was, gave an answer: its first bytes.
    pub fn succeeded(&mut self, group: &Group, member: usize, now: Moment) {
        let (first, second) = (self.current, self.hedge.take());
        if let Some(hedge) = second.filter(|hedge| hedge.member == member) {
            self.current = Some(hedge);
            if let Some(slow) = first.and_then(|first| group.members.get(first.member)) {
                slow.live.health.outrun(&slow.traits, now);
            }
        }
        if let Some(attempt) = self.current
            && let Some(member) = group.members.get(attempt.member)
        {
            member.live.health.succeeded(attempt.began, now);
        }
    }

    /// A member for a second attempt beside the current one, once that took [`hedge::after`]; `None` = no other is well, or the
    /// budget for retries is used up.
    pub fn hedge(&mut self, group: &Group, features: &Features, turn: Turn) -> Option<usize> {
        let current = self.current.filter(|_| self.hedge.is_none())?;
        self.tried.insert(current.member);
        if !group.traffic.may_retry(turn.now) {
            return None;
        }
        let member = self.pick(group, features, turn).ok()?;
        group.traffic.retried(turn.now);
        self.hedge = Some(Attempt { member, began: turn.now });
        Some(member)
    }

    /// One of two attempts failed, at this member, while the other goes on.
    pub fn lost(&mut self, group: &Group, member: usize, failure: &Failure, now: Moment) {
        self.tried.insert(member);
        let hedge = self.hedge.take();
        let lost = if hedge.is_some_and(|hedge| hedge.member == member) {
            hedge
        } else {
            std::mem::replace(&mut self.current, hedge)
        };
        if let Some(lost) = lost {
            count(group, lost, failure, now);
        }
    }

    /// The attempt failed, and the client has seen nothing of it; of two, the one that was left.
    pub fn failed(&mut self, group: &Group, features: &Features, failure: &Failure, turn: Turn) -> Next {
        let Some(attempt) = self.current.take() else { return Next::Stop };
        count(group, attempt, failure, turn.now);
        self.tried.insert(attempt.member);
        if failure.cause == Cause::Client {
            return Next::Stop;
        }
        let may =
            self.retries < group.retry.attempts(failure, self.wishes.retries) && group.traffic.may_retry(turn.now);
        if may && let Ok(member) = self.pick(group, features, turn) {
            return self.again(group, member, Duration::ZERO, turn.now);
        }
        self.leave(group, &[failure.cause]);
        if let Some(hop) = self.chain.next(turn.now) {
            return Next::Fall(hop);
        }
        if may
            && retry::same_member(failure.cause)
            && let Some((member, after)) = self.same(group, features, turn)
        {
            return self.again(group, member, after, turn.now);
        }
        Next::Stop
    }

    /// The attempt was not made: a limit of the client or of the backend does not let it pass. That says nothing of the
    /// backend's health, and another attempt is no retry.
    pub fn passed_over(&mut self, group: &Group, features: &Features, cause: Cause, turn: Turn) -> Next {
        let Some(attempt) = self.current.take() else { return Next::Stop };
        self.tried.insert(attempt.member);
        // A limit is that of a deployment, whichever replica is asked.
        if let Some(refused) = group.members.get(attempt.member) {
            let beside = group.members.iter().enumerate().filter(|(_, member)| member.is_beside(refused));
            beside.for_each(|(index, _)| self.tried.insert(index));
        }
        if cause == Cause::Client {
            return Next::Stop;
        }
        if let Ok(member) = self.pick(group, features, turn) {
            return self.attempt(member, Duration::ZERO, turn.now);
        }
        self.leave(group, &[cause]);
        self.closed(turn.now)
    }

    /// An attempt that was passed over is made after all: at this member of a group that the request came to before.
    pub fn back_to(&mut self, member: usize, now: Moment) {
        self.tried = Set::default();
        self.retries = 0;
        // The same as any other, but for what comes next.
        self.attempt(member, Duration::ZERO, now);
    }

    /// A member that is well and did not fail for this request.
    fn pick(&self, group: &Group, features: &Features, turn: Turn) -> Result<usize, NoMember> {
        let able = filter::candidates(group, features, &self.tried, turn.now)?;
        choose_well(group, &able, features, turn).ok_or(NoMember::Cooling)
    }

    fn last_resort(&self, group: &Group, features: &Features, turn: Turn) -> Option<usize> {
        soonest(group, &filter::candidates(group, features, &self.tried, turn.now).ok()?, turn)
    }

    /// One that failed or is left alone, for want of a better one, and after which pause.
    fn same(&self, group: &Group, features: &Features, turn: Turn) -> Option<(usize, Duration)> {
        let able = filter::candidates(group, features, &Set::default(), turn.now).ok()?;
        let member = choose_well(group, &able, features, turn).or_else(|| soonest(group, &able, turn))?;
        let told = group.members.get(member)?.live.health.told(turn.now).map(|until| until.since(turn.now));
        let after = retry::pause(told, self.retries, turn.left, hash::both(turn.draw, 1))?;
        Some((member, after))
    }

    fn attempt(&mut self, member: usize, after: Duration, now: Moment) -> Next {
        self.current = Some(Attempt { member, began: now.after(after) });
        self.hedge = None;
        self.began = true;
        Next::Try { member, after }
    }

    fn again(&mut self, group: &Group, member: usize, after: Duration, now: Moment) -> Next {
        self.retries += 1;
        group.traffic.retried(now);
        self.attempt(member, after, now)
    }

    fn end(&self) -> Next {
        self.lacking.filter(|_| !self.began).map_or(Next::Stop, Next::Refuse)
    }

    fn leave(&mut self, group: &Group, causes: &[Cause]) {
        if self.wishes.stays {
            return;
        }
        self.chain.leave(group, causes, std::mem::take(&mut self.wishes.fallbacks));
    }
}

/// What the failures were like for which members are left alone.
fn reasons(group: &Group, now: Moment) -> &'static [Cause] {
    let cooling = |member: &&Member| matches!(member.live.health.standing(now), Standing::Cooling { .. });
    let mut told = group.members.iter().filter(cooling).map(|member| member.live.health.told(now).is_some());
    match (told.clone().any(|told| told), told.all(|told| told)) {
        (true, true) => &[Cause::RateLimit],
        (true, false) => &[Cause::RateLimit, Cause::ServerError],
        (false, _) => &[Cause::ServerError],
    }
}

/// Holds a failure against the member, unless a time limit ended the attempt sooner than the member usually answers: then it
/// says more of who set the limit.
fn count(group: &Group, attempt: Attempt, failure: &Failure, now: Moment) {
    let Some(member) = group.members.get(attempt.member) else { return };
    let usual = member.live.stats.expected(TYPICAL_OUTPUT);
    let hasty = failure.cause == Cause::Timeout && usual.is_some_and(|usual| now.since(attempt.began) < usual);
    if !hasty {
        member.live.health.failed(&member.traits, failure, (attempt.began, now));
    }
}

/// A member that is well, as the strategy says; of those on their way back only as many requests see each as is its share.
fn choose_well(group: &Group, able: &Set, features: &Features, turn: Turn) -> Option<usize> {
    let health = |index: usize| group.members.get(index).map(|member| &member.live.health);
    let standing = |index: usize| health(index).map(|health| health.standing(turn.now));
    let mut well = able.only(|index| !matches!(standing(index), None | Some(Standing::Cooling { .. })));
    let in_full = well.only(|index| match standing(index) {
        Some(Standing::SlowStart { share }) => {
            luck::below(1000, hash::both(turn.draw, index as u64)) < u64::from(share)
        }
        _ => true,
    });
    if !in_full.is_empty() {
        well = in_full;
    }
    loop {
        let chosen = strategy::choose(group, &well, features, turn)?;
        if health(chosen)?.try_out(turn.now) {
            return Some(chosen);
        }
        // Another request is its trial.
        well = well.only(|index| index != chosen);
    }
}

/// Of two members drawn from all that are left alone the one that may be asked sooner, so that a dead one that
/// happens to be the soonest does not get everything.
fn soonest(group: &Group, able: &Set, turn: Turn) -> Option<usize> {
    let until = |index: usize| match group.members.get(index).map(|member| member.live.health.standing(turn.now)) {
        Some(Standing::Cooling { until }) => until,
        _ => turn.now,
    };
    let drawn = |draw: u64| able.iter().nth(usize::try_from(luck::below(able.len() as u64, draw)).ok()?);
    let (first, second) = (drawn(hash::both(turn.draw, 2))?, drawn(hash::both(turn.draw, 3))?);
    Some(if until(second) < until(first) { second } else { first })
}
