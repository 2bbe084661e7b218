//! The same for what counts over the time before now: rolling windows, whose use rows tell, and rates, whose use the exchange
//! tells. Their leases have no bounds in time; what moves is where use is booked, and what has left the window.
//!
//! Every amount is one unit: a request. Time goes by slots; a window is the slot of now and [`WINDOW`] before it.

mod properties;

use stateright::{Model, Property};
use turnpike_ledger::{
    exchange::{self, Ask, Grants, Lease, Standing},
    holder::{Holder, Wish},
    window::Slot,
};

pub(super) use self::properties::{AGAIN, COVERED, FULL, LOST, SAFE};
use super::{
    state::{Budget, Life, reply},
    steps::as_sent,
};

const WINDOW: i64 = 2;
/// More than there are, with one before the first for clocks that are behind.
const SLOTS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    ByRows,
    ByExchanges,
}

/// How far one check goes.
#[derive(Clone, Debug)]
pub(super) struct Rolling {
    pub(super) gateways: usize,
    pub(super) limit: i64,
    pub(super) told: Told,
    /// How many slots a gateway's clock may differ from the store's, in either direction, at any time anew.
    pub(super) skew: i64,
    pub(super) budget: Budget,
}

/// An ask on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Sent {
    wish: Wish,
    used: i64,
    at: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Gateway {
    life: Life,
    holder: Holder,
    free: i64,
    /// Used for good: what rates tell.
    used: i64,
    /// Attempts under way: where each is booked, when it began, and whether the store was told of it since.
    open: Vec<(i64, i64, bool)>,
    /// Where rows that are not written yet are booked.
    rows: Vec<i64>,
    asks: Vec<Sent>,
    /// On its way: granted, closed, and when the question was sent.
    answer: Option<(i64, bool, i64)>,
    /// When the latest question was sent that was answered.
    heard: i64,
    /// The store's side, when it last heard of this gateway, and where what was lost is booked.
    lease: Lease,
    beat: i64,
    lost_slot: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    gateways: Vec<Gateway>,
    now: i64,
    /// As booked, by slot.
    spent: [i64; SLOTS],
    /// What was let through, by the slot that it really was.
    real: [i64; SLOTS],
    left: Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Raise(usize, i64),
    GiveBack(usize),
    Deliver(usize, usize),
    Hear(usize),
    /// The slot is the one that its clock says.
    Reserve(usize, i64),
    /// The attempt used what it holds.
    Settle(usize, usize),
    /// It used nothing.
    Release(usize, usize),
    Append(usize),
    Burn(usize),
    Expire(usize),
    Tick,
}

fn at(slot: i64) -> usize {
    usize::try_from(slot + 1).unwrap()
}

impl World {
    fn new(model: &Rolling) -> Self {
        let gateway = Gateway {
            life: Life::Runs,
            holder: Holder::default(),
            free: 0,
            used: 0,
            open: Vec::new(),
            rows: Vec::new(),
            asks: Vec::new(),
            answer: None,
            heard: 0,
            lease: Lease::default(),
            beat: 0,
            lost_slot: 0,
        };
        let gateways = vec![gateway; model.gateways];
        Self { gateways, now: 0, spent: [0; SLOTS], real: [0; SLOTS], left: model.budget }
    }

    fn counted(&self) -> i64 {
        self.spent[at((self.now - WINDOW).max(-1))..].iter().sum()
    }

    fn outstanding(&self) -> i64 {
        self.gateways.iter().map(|gateway| gateway.lease.outstanding()).sum()
    }

    fn steps(&self, model: &Rolling, steps: &mut Vec<Step>) {
        for (g, gateway) in self.gateways.iter().enumerate() {
            steps.extend((0..gateway.asks.len()).map(|ask| Step::Deliver(g, ask)));
            if !gateway.rows.is_empty() {
                steps.push(Step::Append(g));
            }
            match gateway.life {
                Life::Runs => self.running(model, g, steps),
                Life::Burnt if !gateway.lease.closed => steps.push(Step::Expire(g)),
                _ => {}
            }
        }
        if self.left.ticks > 0 {
            steps.push(Step::Tick);
        }
    }

    fn running(&self, model: &Rolling, g: usize, steps: &mut Vec<Step>) {
        let gateway = &self.gateways[g];
        if gateway.answer.is_some() {
            steps.push(Step::Hear(g));
        }
        if self.left.raises > 0 {
            steps.extend([1, 2].map(|want| Step::Raise(g, want)));
        }
        if self.left.returns > 0 && gateway.free > 0 {
            steps.push(Step::GiveBack(g));
        }
        // Of a rolling window nothing is taken by whoever may have been given up; a rate's permits are.
        let may_take = model.told == Told::ByExchanges || gateway.heard == self.now;
        if self.left.reserves > 0 && gateway.free > 0 && may_take {
            let slots = (self.now - model.skew)..=(self.now + model.skew);
            steps.extend(slots.map(|slot| Step::Reserve(g, slot)));
        }
        for attempt in 0..gateway.open.len() {
            steps.extend([Step::Settle(g, attempt), Step::Release(g, attempt)]);
        }
        if self.left.burnt > 0 {
            steps.push(Step::Burn(g));
        }
        // Not before all that it had under way when it was last heard of has ended.
        let silent = self.now > gateway.beat && gateway.open.is_empty();
        if self.left.expiries > 0 && silent && !gateway.lease.closed {
            steps.push(Step::Expire(g));
        }
    }

    fn take(&mut self, model: &Rolling, step: Step) {
        match step {
            Step::Raise(g, want) => {
                self.left.raises -= 1;
                self.ask(g, |gateway| gateway.holder.raise(want, 1));
            }
            Step::GiveBack(g) => {
                self.left.returns -= 1;
                self.ask(g, |gateway| {
                    gateway.free -= 1;
                    gateway.holder.give_back(1)
                });
            }
            Step::Deliver(g, a) => {
                let sent = self.gateways[g].asks.remove(a);
                self.deliver(model, g, sent);
            }
            Step::Hear(g) => self.gateways[g].hear(),
            Step::Reserve(g, slot) => {
                self.left.reserves -= 1;
                self.real[at(self.now)] += 1;
                self.gateways[g].reserve(slot, self.now);
            }
            Step::Settle(g, a) => self.gateways[g].settle(model, a),
            Step::Release(g, a) => {
                let (_, began, told) = self.gateways[g].open.remove(a);
                // What the store was told to be used cannot be taken back.
                if model.told == Told::ByRows || !told {
                    self.gateways[g].free += 1;
                    self.gateways[g].used -= 1;
                    self.real[at(began)] -= 1;
                }
            }
            Step::Append(g) => self.append(g),
            Step::Burn(g) => {
                self.left.burnt -= 1;
                let gateway = &mut self.gateways[g];
                gateway.life = Life::Burnt;
                (gateway.open, gateway.rows, gateway.answer) = (Vec::new(), Vec::new(), None);
                (gateway.free, gateway.used) = (0, 0);
            }
            Step::Expire(g) => {
                if self.gateways[g].life == Life::Runs {
                    self.left.expiries -= 1;
                }
                self.expire(model, g);
            }
            Step::Tick => {
                self.left.ticks -= 1;
                self.now += 1;
            }
        }
    }

    fn ask(&mut self, g: usize, wish: impl FnOnce(&mut Gateway) -> Wish) {
        let gateway = &mut self.gateways[g];
        gateway.answer = None;
        let wish = wish(gateway);
        gateway.open.iter_mut().for_each(|(_, _, told)| *told = true);
        gateway.asks.push(Sent { wish, used: gateway.used, at: self.now });
    }

    fn deliver(&mut self, model: &Rolling, g: usize, sent: Sent) {
        let before = self.gateways[g].lease;
        let holds = |gateway: &&Gateway| gateway.lease.outstanding() > 0;
        let holders = i64::try_from(self.gateways.iter().filter(holds).count()).unwrap();
        let others = self.outstanding() - before.outstanding();
        let standing = Standing { spent: self.counted(), others, holders };
        let used = (model.told == Told::ByExchanges).then_some(sent.used);
        let ask = Ask { slot: Slot::ALWAYS, used, ..as_sent((0, 0), sent.wish, model.limit) };
        let done = exchange::exchange(&ask, self.now, Grants::Open, before, standing);
        let again = exchange::exchange(&ask, self.now, Grants::Open, done.lease, standing);
        assert_eq!((again.lease, again.book), (done.lease, 0), "a repeated ask changes something");
        self.spent[at(self.now)] += done.book;
        let gateway = &mut self.gateways[g];
        (gateway.lease, gateway.beat) = (done.lease, self.now);
        if gateway.life == Life::Runs && gateway.holder.clone().raise(0, 0).sequence == sent.wish.sequence + 1 {
            gateway.answer = Some((done.reply.granted, done.reply.closed, sent.at));
        }
    }

    fn append(&mut self, g: usize) {
        let gateway = &mut self.gateways[g];
        let slot = gateway.rows.remove(0);
        let extra = exchange::book(&mut gateway.lease, 1);
        // What was lost moves to where it belongs.
        self.spent[at(gateway.lost_slot)] -= 1 - extra;
        self.spent[at(slot)] += 1;
    }

    fn expire(&mut self, model: &Rolling, g: usize) {
        let gateway = &mut self.gateways[g];
        self.spent[at(self.now)] += exchange::expire(&mut gateway.lease);
        gateway.lost_slot = self.now;
        if model.told == Told::ByExchanges {
            gateway.lease.unattributed = 0;
        }
    }

    fn quieten(&mut self, model: &Rolling) {
        for g in 0..self.gateways.len() {
            while !self.gateways[g].open.is_empty() {
                self.gateways[g].settle(model, 0);
            }
            while !self.gateways[g].rows.is_empty() {
                self.append(g);
            }
            if self.gateways[g].life == Life::Runs {
                self.gateways[g].asks.clear();
                self.ask(g, |gateway| gateway.holder.finish(std::mem::take(&mut gateway.free)));
            }
            for sent in std::mem::take(&mut self.gateways[g].asks) {
                self.deliver(model, g, sent);
            }
            if self.gateways[g].life == Life::Burnt && !self.gateways[g].lease.closed {
                self.expire(model, g);
            }
        }
    }
}

impl Gateway {
    fn hear(&mut self) {
        let Some((granted, closed, asked)) = self.answer.take() else { return };
        let sequence = self.holder.clone().raise(0, 0).sequence - 1;
        let more = self.holder.heard(sequence, &reply((granted, closed)));
        self.free += more;
        self.heard = asked;
        if closed {
            self.holder.give_back(std::mem::take(&mut self.free));
        }
    }

    fn reserve(&mut self, slot: i64, now: i64) {
        self.free -= 1;
        self.used += 1;
        self.open.push((slot, now, false));
        self.open.sort_unstable();
    }

    fn settle(&mut self, model: &Rolling, attempt: usize) {
        let (slot, ..) = self.open.remove(attempt);
        if model.told == Told::ByRows {
            self.rows.push(slot);
            self.rows.sort_unstable();
        }
    }
}

impl Model for Rolling {
    type State = World;
    type Action = Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<Step>) {
        world.steps(self, steps);
    }

    fn next_state(&self, last: &World, step: Step) -> Option<World> {
        let mut next = last.clone();
        next.take(self, step);
        for gateway in &mut next.gateways {
            let lease = gateway.lease;
            gateway.asks.retain(|sent| lease.sequence < sent.wish.sequence && !lease.closed);
            gateway.asks.sort_unstable();
        }
        next.gateways.sort_unstable();
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}
