//! What can happen next, and what it does.

use turnpike_ledger::{
    account::{AccountId, Unit},
    exchange::{self, Ask, Grants, Lease, LeaseId, Standing},
    holder::{Holder, Wish},
    window::{Slot, WindowSpec},
};
use uuid::Uuid;

use super::state::{Gateway, Kept, Life, Row, Side, State, reply};

/// Length of a window, in the model's time.
const WINDOW: i64 = 10;

/// The first number is the gateway, the second its lease, attempt, row or message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// Takes up a lease of the slot that it believes in, and asks for something on it.
    Start(usize, i64),
    Raise(usize, usize, i64),
    GiveBack(usize, usize, i64),
    Finish(usize, usize),
    /// The last word again: its answer was lost.
    FinishAgain(usize, usize),
    Deliver(usize, usize),
    Hear(usize, usize),
    Reserve(usize, usize, i64),
    /// Gateway, lease, attempt, what it used.
    Settle(usize, usize, usize, i64),
    Append(usize),
    /// The row is written and the answer is lost.
    AppendUnheard(usize),
    Crash(usize),
    Burn(usize),
    /// Closes the leases of a crashed gateway whose rows are all written.
    Recover(usize),
    /// The reaper gives it up.
    Expire(usize),
    /// The window ends.
    Tick,
    /// The gateway notices that.
    Notice(usize),
    /// Its clock says that the window has ended, and the store's does not.
    Ahead(usize),
    /// It hears the store's time.
    Learn(usize),
}

/// What holders ask for: all or nothing, as well as what a fair share leaves.
const WANTS: [i64; 2] = [1, 2];
const BOUNDS: [i64; 2] = [1, 2];

impl State {
    pub(super) fn steps(&self, steps: &mut Vec<Step>) {
        for (g, gateway) in self.gateways.iter().enumerate() {
            match gateway.life {
                Life::Runs => self.running(g, gateway, steps),
                Life::Crashed if gateway.rows.is_empty() => steps.push(Step::Recover(g)),
                Life::Crashed | Life::Burnt | Life::Recovered => {}
            }
            steps.extend((0..gateway.asks.len()).map(|ask| Step::Deliver(g, ask)));
            if !gateway.rows.is_empty() {
                steps.push(Step::Append(g));
                if !gateway.rows[0].there && self.left.repeats > 0 {
                    steps.push(Step::AppendUnheard(g));
                }
            }
            let open = gateway.kept.iter().any(|kept| !kept.lease.closed);
            let given_up = match gateway.life {
                Life::Runs | Life::Crashed => self.left.expiries > 0,
                Life::Burnt => true,
                Life::Recovered => false,
            };
            if open && given_up {
                steps.push(Step::Expire(g));
            }
        }
        if self.left.ticks > 0 {
            steps.push(Step::Tick);
        }
    }

    fn running(&self, g: usize, gateway: &Gateway, steps: &mut Vec<Step>) {
        for (s, side) in gateway.sides.iter().enumerate() {
            if side.answer.is_some() {
                steps.push(Step::Hear(g, s));
            }
            for (h, held) in side.held.iter().enumerate() {
                if h == 0 || side.held[h - 1] != *held {
                    steps.extend((0..=*held).map(|used| Step::Settle(g, s, h, used)));
                }
            }
            if side.last.is_some() {
                if self.left.repeats > 0 {
                    steps.push(Step::FinishAgain(g, s));
                }
                continue;
            }
            if side.held.is_empty() {
                steps.push(Step::Finish(g, s));
            }
            if side.slot == gateway.clock && self.left.reserves > 0 {
                steps.extend(
                    BOUNDS.iter().filter(|bound| **bound <= side.free).map(|bound| Step::Reserve(g, s, *bound)),
                );
            }
            if side.slot == gateway.clock && self.left.raises > 0 && !side.closed {
                steps.extend(WANTS.map(|want| Step::Raise(g, s, want)));
            }
            if self.left.returns > 0 {
                steps.extend((1..=side.free).map(|amount| Step::GiveBack(g, s, amount)));
            }
        }
        let usable = |side: &Side| side.slot == gateway.clock && !side.closed && side.last.is_none();
        if self.left.raises > 0 && !gateway.sides.iter().any(usable) {
            steps.extend(WANTS.map(|want| Step::Start(g, want)));
        }
        if self.left.crashes > 0 {
            steps.push(Step::Crash(g));
        }
        if self.left.burnt > 0 {
            steps.push(Step::Burn(g));
        }
        if gateway.clock < self.now {
            steps.push(Step::Notice(g));
        }
        if gateway.clock > self.now {
            steps.push(Step::Learn(g));
        }
        if gateway.clock == self.now && self.now == 0 && self.left.skews > 0 {
            steps.push(Step::Ahead(g));
        }
    }

    pub(super) fn take(&mut self, step: Step, limit: i64) {
        match step {
            Step::Start(g, want) => self.start(g, want),
            Step::Raise(g, s, want) => {
                self.left.raises -= 1;
                self.ask(g, s, |side| side.holder.raise(want, want));
            }
            Step::GiveBack(g, s, amount) => {
                self.left.returns -= 1;
                self.ask(g, s, |side| {
                    side.free -= amount;
                    side.holder.give_back(amount)
                });
            }
            Step::Finish(g, s) => self.finish(g, s),
            Step::FinishAgain(g, s) => {
                self.left.repeats -= 1;
                self.finish(g, s);
            }
            Step::Deliver(g, a) => {
                let (number, slot, wish) = self.gateways[g].asks.remove(a);
                self.deliver(g, (number, slot), wish, limit);
            }
            Step::Hear(g, s) => self.hear(g, s),
            Step::Reserve(g, s, bound) => {
                let side = &mut self.gateways[g].sides[s];
                side.free -= bound;
                side.held.push(bound);
                self.real[side.slot] += bound;
                self.left.reserves -= 1;
            }
            Step::Settle(g, s, h, used) => self.settle(g, s, h, used),
            Step::Append(g) => self.append(g),
            Step::AppendUnheard(g) => {
                self.left.repeats -= 1;
                let row = self.gateways[g].rows[0];
                self.append(g);
                self.gateways[g].rows.push(Row { there: true, ..row });
            }
            Step::Crash(g) => {
                self.left.crashes -= 1;
                self.crash(g);
            }
            Step::Burn(g) => {
                self.left.burnt -= 1;
                self.burn(g);
            }
            Step::Recover(g) => self.recover(g),
            Step::Expire(g) => {
                if self.gateways[g].life != Life::Burnt {
                    self.left.expiries -= 1;
                }
                self.expire(g);
            }
            Step::Tick => {
                self.left.ticks -= 1;
                self.now += 1;
            }
            Step::Notice(g) => self.gateways[g].clock += 1,
            Step::Ahead(g) => {
                self.left.skews -= 1;
                self.gateways[g].clock += 1;
            }
            Step::Learn(g) => self.gateways[g].clock = self.now,
        }
    }

    fn start(&mut self, g: usize, want: i64) {
        self.left.raises -= 1;
        let gateway = &mut self.gateways[g];
        gateway.sides.push(Side {
            number: gateway.next,
            slot: gateway.clock,
            holder: Holder::default(),
            free: 0,
            held: Vec::new(),
            closed: false,
            last: None,
            answer: None,
        });
        gateway.next += 1;
        let s = gateway.sides.len() - 1;
        self.ask(g, s, |side| side.holder.raise(want, want));
    }

    fn ask(&mut self, g: usize, s: usize, wish: impl FnOnce(&mut Side) -> Wish) {
        let gateway = &mut self.gateways[g];
        let side = &mut gateway.sides[s];
        if let Some(answer) = side.answer.take() {
            // Given up waiting; it may yet come, and must then say nothing.
            let sequence = side.holder.raise(0, 0).sequence - 1;
            assert_eq!(side.holder.clone().heard(sequence, &reply(answer)), 0);
        }
        let wish = wish(side);
        gateway.asks.push((side.number, side.slot, wish));
    }

    pub(super) fn finish(&mut self, g: usize, s: usize) {
        let gateway = &mut self.gateways[g];
        let side = &mut gateway.sides[s];
        if side.last.is_none() {
            side.answer = None;
            side.last = Some(side.holder.finish(side.free));
            side.free = 0;
        }
        let ask = (side.number, side.slot, side.last.unwrap());
        if !gateway.asks.contains(&ask) {
            gateway.asks.push(ask);
        }
    }

    /// The store answers one ask.
    pub(super) fn deliver(&mut self, g: usize, lease: (u64, usize), wish: Wish, limit: i64) {
        let (number, slot) = lease;
        let gateway = &self.gateways[g];
        let known = gateway.kept.iter().position(|kept| kept.number == number);
        let before = known
            .map_or(Lease { closed: gateway.life == Life::Recovered, ..Lease::default() }, |k| gateway.kept[k].lease);
        let others = self.outstanding(slot) - before.outstanding();
        let holds = |other: &&Gateway| other.kept.iter().any(|kept| kept.slot == slot && kept.lease.outstanding() > 0);
        let holders = i64::try_from(self.gateways.iter().filter(holds).count()).unwrap();
        let standing = Standing { spent: self.spent[self.now], others, holders };
        let ask = as_sent((number, slot), wish, limit);
        let now = start_of(self.now);
        let done = exchange::exchange(&ask, now, Grants::Open, before, standing);
        let again = exchange::exchange(&ask, now, Grants::Open, done.lease, standing);
        assert_eq!((again.lease, again.book), (done.lease, 0), "a repeated ask changes something");
        self.spent[self.now] += done.book;
        let gateway = &mut self.gateways[g];
        match known {
            Some(k) => gateway.kept[k].lease = done.lease,
            None if done.lease == before => {}
            None => gateway.kept.push(Kept { number, slot, lease: done.lease }),
        }
        // An answer to an ask that is not the latest is not heard: see `ask`.
        if let Some(side) = gateway.sides.iter_mut().find(|side| side.number == number)
            && side.holder.clone().raise(0, 0).sequence == wish.sequence + 1
        {
            // A slot that has not begun by the store's clock is waited for.
            side.answer = Some((done.reply.granted, done.reply.closed && now >= start_of(slot)));
        }
    }

    fn hear(&mut self, g: usize, s: usize) {
        let gateway = &mut self.gateways[g];
        let side = &mut gateway.sides[s];
        let Some(answer) = side.answer.take() else { return };
        if side.last.is_some() {
            gateway.sides.remove(s);
            return;
        }
        let sequence = side.holder.clone().raise(0, 0).sequence - 1;
        side.free += side.holder.heard(sequence, &reply(answer));
        side.closed = answer.1;
    }

    pub(super) fn settle(&mut self, g: usize, s: usize, h: usize, used: i64) {
        let gateway = &mut self.gateways[g];
        let side = &mut gateway.sides[s];
        let held = side.held.remove(h);
        side.free += held - used;
        self.real[side.slot] -= held - used;
        if used > 0 {
            gateway.rows.push(Row { number: side.number, slot: side.slot, amount: used, there: false });
        }
    }

    /// Writes the first row.
    pub(super) fn append(&mut self, g: usize) {
        let gateway = &mut self.gateways[g];
        let row = gateway.rows.remove(0);
        if row.there {
            return;
        }
        let kept = gateway.kept.iter_mut().find(|kept| kept.number == row.number);
        self.spent[row.slot] += kept.map_or(row.amount, |kept| exchange::book(&mut kept.lease, row.amount));
    }

    /// Memory is lost. What was under way becomes rows at the bound, from the write-ahead file.
    fn crash(&mut self, g: usize) {
        let gateway = &mut self.gateways[g];
        gateway.life = Life::Crashed;
        for side in gateway.sides.drain(..) {
            let row = |amount| Row { number: side.number, slot: side.slot, amount, there: false };
            gateway.rows.extend(side.held.iter().copied().map(row));
        }
    }

    fn burn(&mut self, g: usize) {
        self.crash(g);
        let gateway = &mut self.gateways[g];
        gateway.life = Life::Burnt;
        for row in gateway.rows.drain(..).filter(|row| !row.there) {
            self.lost[row.slot] += row.amount;
        }
    }

    pub(super) fn recover(&mut self, g: usize) {
        let gateway = &mut self.gateways[g];
        gateway.life = Life::Recovered;
        for kept in &mut gateway.kept {
            // It may have been given up before.
            self.spent[kept.slot] -= exchange::void(&mut kept.lease);
            exchange::close(&mut kept.lease);
        }
    }

    pub(super) fn expire(&mut self, g: usize) {
        for kept in self.gateways[g].kept.iter_mut().filter(|kept| !kept.lease.closed) {
            self.spent[kept.slot] += exchange::expire(&mut kept.lease);
        }
    }
}

fn start_of(slot: usize) -> i64 {
    i64::try_from(slot).unwrap() * WINDOW
}

pub(super) fn as_sent((number, slot): (u64, usize), wish: Wish, limit: i64) -> Ask {
    let start = start_of(slot);
    Ask {
        lease: LeaseId { holder: Uuid::nil(), number },
        account: AccountId::from_stored(""),
        window: WindowSpec::lifetime(),
        unit: Unit::NanoUsd,
        limit,
        slot: Slot { start, end: start + WINDOW },
        sequence: wish.sequence,
        held: wish.held,
        target: wish.target,
        least: wish.least,
        used: None,
        last: wish.last,
    }
}
