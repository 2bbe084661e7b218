//! One lease of a rate as it moves from place to place: what each place must know of it. Pure.
//!
//! The engine's numbers count from the lease's beginning; a place counts from when the lease came to it. What this gateway used
//! in the last minute that the place does not know is held there until it is a minute old, so that nobody uses it again.

use std::{collections::VecDeque, mem};

use crate::exchange::{Ask, LeaseId, Reply};

/// For so long use counts: a minute, and the second that it ends in. Microseconds.
pub(super) const COUNTS: i64 = 61_000_000;
/// Use is remembered by parts of this; microseconds.
const PART: i64 = 1_000_000;

/// Where rates are kept. The first of them that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Redis,
    Database,
    /// In this gateway, which then goes by its share.
    Here,
}

/// How much of a limit there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// All of it.
    Whole,
    /// As much as if it were divided among so many gateways, of which some may not be here yet: all of them together get no more.
    Settling(i64),
    /// This one's part of it, among so many.
    Alone(i64),
}

/// An equal part of a limit: at least 1, where there is that much.
pub(super) fn share(limit: i64, living: i64) -> i64 {
    (limit / living.max(1)).max(limit.min(1))
}

/// A lease at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stay {
    /// Its number there.
    number: u64,
    /// Of the last word said.
    sequence: u64,
    /// What was used of the lease before it came.
    base: i64,
    /// Of that, what the place knows from an earlier stay: from and to.
    known: (i64, i64),
    /// What was last said to be used and unknown there.
    told: i64,
}

impl Stay {
    const fn new(number: u64, base: i64, known: (i64, i64)) -> Self {
        Self { number, sequence: 0, base, known, told: 0 }
    }
}

/// A lease of the engine.
#[derive(Debug)]
pub(super) struct Track {
    /// What the engine said last.
    ask: Ask,
    /// What the engine counts as granted, at most.
    granted: i64,
    /// When how much was used in all.
    used: VecDeque<(i64, i64)>,
    stay: Stay,
    /// Stays in Redis and in the database that ended without a last word.
    left: [Option<Stay>; 2],
    /// What is booked there, from and to.
    known: [(i64, i64); 2],
    /// When it was last answered, and what nobody had then.
    answered: Option<(i64, i64)>,
    /// Until when this gateway alone must not have more than this: others may have used the rest.
    alone: Option<(i64, i64)>,
}

impl Track {
    /// A lease that was not heard of before, under this number.
    pub(super) fn new(ask: &Ask, number: u64) -> Self {
        Self {
            ask: ask.clone(),
            granted: ask.held,
            used: VecDeque::new(),
            stay: Stay::new(number, 0, (0, 0)),
            left: [None; 2],
            known: [(0, 0); 2],
            answered: None,
            alone: None,
        }
    }

    /// The engine speaks.
    pub(super) fn note(&mut self, ask: &Ask, now: i64) {
        self.ask.clone_from(ask);
        self.granted = ask.held;
        let used = self.used();
        while self.used.get(1).is_some_and(|(at, _)| *at <= now - COUNTS) {
            self.used.pop_front();
        }
        match self.used.back_mut() {
            Some((_, last)) if *last == used => {}
            None if used == 0 => {}
            // As if all of it was used just now: it counts too long rather than not long enough.
            Some((at, last)) if at.div_euclid(PART) == now.div_euclid(PART) => (*at, *last) = (now, used),
            Some(_) | None => self.used.push_back((now, used)),
        }
    }

    fn used(&self) -> i64 {
        self.ask.used.unwrap_or(0)
    }

    /// What was used in the last minute and is not known where the lease is now.
    fn unknown(&self, now: i64) -> i64 {
        let old = self.used.iter().take_while(|(at, _)| *at <= now - COUNTS).last();
        let (from, to) = (old.map_or(0, |(_, used)| *used), self.stay.base);
        let (known_from, known_to) = self.stay.known;
        let known = (to.min(known_to) - from.max(known_from)).max(0);
        (to - from).max(0) - known
    }

    /// How much of the limit there is for it.
    fn limit(&self, rule: Rule, now: i64) -> i64 {
        let limit = self.ask.limit;
        match rule {
            Rule::Whole => limit,
            Rule::Settling(living) => share(limit, living),
            Rule::Alone(living) => {
                let part = share(limit, living);
                self.alone.filter(|(until, _)| now < *until).map_or(part, |(_, most)| part.min(most))
            }
        }
    }

    /// What the engine said last, as the place must hear it.
    pub(super) fn word(&mut self, rule: Rule, now: i64) -> Ask {
        let (unknown, limit, used) = (self.unknown(now), self.limit(rule, now), self.used());
        let (ask, stay) = (&self.ask, &mut self.stay);
        stay.sequence += 1;
        stay.told = unknown;
        let shift = unknown - stay.base;
        // Of a gateway that ends the rest is booked: nobody is there to free it bit by bit.
        let booked = if ask.last { unknown } else { 0 };
        Ask {
            lease: LeaseId { number: stay.number, ..ask.lease },
            limit,
            sequence: stay.sequence,
            // More may be used than was granted.
            held: ask.held.max(used) + shift,
            target: ask.target + shift,
            used: ask.used.map(|used| used - stay.base + booked),
            ..ask.clone()
        }
    }

    /// The answer to that, as the engine must hear it.
    pub(super) fn heard(&mut self, reply: Reply, now: i64) -> Reply {
        let granted = reply.granted - self.stay.told + self.stay.base;
        self.granted = self.ask.held.max(granted);
        self.answered = Some((now, reply.left));
        Reply { granted, ..reply }
    }

    /// Whether the place must hear of it though the engine has nothing to say.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.unknown(now) != self.stay.told || self.stay.sequence == 0 && self.granted > self.used()
    }

    /// What it must hear then.
    pub(super) fn reminder(&mut self, rule: Rule, now: i64) -> Ask {
        let mut word = self.word(rule, now);
        word.held = self.granted.max(self.used()) - self.stay.base + self.stay.told;
        Ask { target: word.held, least: 0, last: false, ..word }
    }

    /// It goes on elsewhere, under this number; gateways that live: `living`.
    pub(super) fn go(&mut self, (from, to): (Place, Place), number: u64, living: i64, now: i64) {
        let known = known_at(&mut self.known, to).map_or((0, 0), |known| *known);
        let stay = Stay::new(number, self.used(), known);
        let left = mem::replace(&mut self.stay, stay);
        if left.sequence > 0
            && let Some(place) = known_at(&mut self.left, from)
        {
            *place = Some(left);
        }
        let mine = self.unknown(now) + (self.granted - self.used()).max(0);
        let alone = self.answered.filter(|_| to == Place::Here);
        self.alone = alone.map(|(at, left)| (at + COUNTS, mine.saturating_add(left.max(0) / living.max(1))));
    }

    /// The last word to a place that it left: nothing is held there any more.
    pub(super) fn last_word(&mut self, place: Place) -> Option<Ask> {
        let left = known_at(&mut self.left, place)?.as_mut()?;
        left.sequence += 1;
        Some(Ask {
            lease: LeaseId { number: left.number, ..self.ask.lease },
            sequence: left.sequence,
            held: 0,
            target: 0,
            least: 0,
            used: self.ask.used.map(|_| 0),
            last: true,
            ..self.ask.clone()
        })
    }

    /// The answer to that: what is granted then is what was booked, nothing where the place has forgotten it.
    pub(super) fn has_left(&mut self, place: Place, reply: &Reply) {
        let left = known_at(&mut self.left, place).and_then(Option::take);
        if let (Some(left), Some(known)) = (left, known_at(&mut self.known, place)) {
            *known = (left.base, left.base + reply.granted);
        }
    }
}

/// What is kept of Redis and of the database.
fn known_at<T>(of: &mut [T; 2], place: Place) -> Option<&mut T> {
    let [redis, database] = of;
    match place {
        Place::Redis => Some(redis),
        Place::Database => Some(database),
        Place::Here => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{
        account::{AccountId, Unit},
        window::{Slot, WindowSpec},
    };

    const SECOND: i64 = 1_000_000;
    const AWAY: (Place, Place) = (Place::Redis, Place::Database);
    const BACK: (Place, Place) = (Place::Database, Place::Redis);

    fn ask(held: i64, used: i64) -> Ask {
        Ask {
            lease: LeaseId { holder: Uuid::nil(), number: 7 },
            account: AccountId::from_stored("rate"),
            window: WindowSpec::minute(),
            unit: Unit::Requests,
            limit: 60,
            slot: Slot::ALWAYS,
            sequence: 1,
            held,
            target: held + 5,
            least: 1,
            used: Some(used),
            last: false,
        }
    }

    fn reply(granted: i64, left: i64) -> Reply {
        Reply { granted, spent: 0, others: 0, left, closed: false }
    }

    /// A lease that used 10 at second 0 and 20 more at second 30, and holds 4 beside.
    fn tracked() -> Track {
        let mut track = Track::new(&ask(10, 0), 7);
        for (held, used, second) in [(10, 10, 0), (34, 30, 30)] {
            track.note(&ask(held, used), second * SECOND);
            let word = track.word(Rule::Whole, second * SECOND);
            assert_eq!((word.held, word.used, word.limit), (held, Some(used), 60));
            track.heard(reply(34, 12), second * SECOND);
        }
        track
    }

    #[test]
    fn a_limit_is_divided_equally_and_each_has_at_least_one() {
        let parts = [(60, 3), (61, 3), (2, 3), (60, 0), (0, 3), (1, 1)].map(|(limit, living)| share(limit, living));
        assert_eq!(parts, [20, 20, 1, 60, 0, 1]);
    }

    #[test]
    fn elsewhere_the_last_minute_is_held_until_it_is_over() {
        let mut track = tracked();
        track.go(AWAY, 8, 3, 40 * SECOND);
        // Under way and free: 4.
        for (second, unknown) in [(40, 30), (60, 30), (61, 20), (90, 20), (91, 0)] {
            let now = second * SECOND;
            let word = track.word(Rule::Whole, now);
            assert_eq!((word.held, word.target, word.used), (unknown + 4, unknown + 9, Some(0)), "{second}");
            assert_eq!(track.heard(reply(unknown + 5, 0), now).granted, 35, "{second}");
            assert!(!track.is_due(now), "{second}");
        }
        // The engine took one more, used it, and says its last word.
        let last = Ask { target: 35, last: true, ..ask(35, 35) };
        track.note(&last, 92 * SECOND);
        let word = track.word(Rule::Whole, 92 * SECOND);
        assert_eq!((word.lease.number, word.held, word.target, word.used), (8, 5, 5, Some(5)));
    }

    #[test]
    fn who_ends_books_what_is_not_over() {
        let mut track = tracked();
        track.go(AWAY, 8, 3, 40 * SECOND);
        track.note(&Ask { target: 30, last: true, ..ask(30, 30) }, 41 * SECOND);
        let word = track.word(Rule::Whole, 41 * SECOND);
        assert_eq!((word.held, word.target, word.used), (30, 30, Some(30)));
    }

    #[test]
    fn who_comes_back_holds_only_what_is_not_booked_there() {
        for (booked, unknown) in [(30, 6), (25, 11), (0, 36)] {
            let mut track = tracked();
            track.go(AWAY, 8, 3, 40 * SECOND);
            track.note(&ask(40, 36), 41 * SECOND);
            let _ = track.word(Rule::Whole, 41 * SECOND);
            let last = track.last_word(Place::Redis);
            let last = last.map(|word| (word.lease.number, word.held, word.target, word.used, word.last));
            assert_eq!(last, Some((7, 0, 0, Some(0), true)));
            track.has_left(Place::Redis, &reply(booked, 0));
            assert!(track.last_word(Place::Redis).is_none());
            track.go(BACK, 9, 3, 42 * SECOND);
            let word = track.word(Rule::Whole, 42 * SECOND);
            assert_eq!((word.lease.number, word.held, word.used), (9, unknown + 4, Some(0)), "{booked}");
            assert!(track.last_word(Place::Database).is_some());
        }
    }

    #[test]
    fn who_is_alone_has_its_part_and_at_first_no_more_than_nobody_had() {
        let mut track = tracked();
        track.go((Place::Database, Place::Here), 8, 3, 40 * SECOND);
        // 30 used, 4 at hand; of the 12 that nobody had a third.
        let limits = [40, 90, 91].map(|second| track.word(Rule::Alone(3), second * SECOND).limit);
        assert_eq!(limits, [20, 20, 20]);
        let limits = [40, 90, 91].map(|second| track.word(Rule::Alone(1), second * SECOND).limit);
        assert_eq!(limits, [38, 38, 60]);
        assert_eq!(track.word(Rule::Settling(3), 40 * SECOND).limit, 20);
    }

    #[test]
    fn what_nobody_uses_is_told_once() {
        let mut track = tracked();
        track.go(AWAY, 8, 3, 40 * SECOND);
        assert!(track.is_due(40 * SECOND));
        let word = track.reminder(Rule::Whole, 40 * SECOND);
        assert_eq!((word.held, word.target, word.least, word.used), (34, 34, 0, Some(0)));
        assert!(!track.is_due(40 * SECOND));
        // Ten of it are over.
        assert!(track.is_due(61 * SECOND));
        assert_eq!(track.reminder(Rule::Whole, 61 * SECOND).target, 24);
    }
}
