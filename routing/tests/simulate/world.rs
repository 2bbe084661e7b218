//! A clock that jumps from event to event, gateways that decide, and clients that come at their own rate.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::Duration,
};

use turnpike_routing::{
    Moment,
    backend::{Live, Traits},
    failure::Failure,
    fallback::Hop,
    features::Features,
    group::{Group, Member, Strategy},
    hash, hedge,
    plan::{Next, Plan, Turn, Wishes},
    stats,
};

use super::{
    backend::{Backend, Mood},
    report::Report,
};

/// Time limit of a request.
const TOTAL: Duration = Duration::from_mins(1);

/// What is simulated.
pub(super) struct Setting {
    /// Requests a second, over all gateways.
    pub(super) rate: u64,
    pub(super) seconds: u64,
    pub(super) gateways: usize,
    /// Between two probes of a backend by a gateway; `None` = none.
    pub(super) probes: Option<Duration>,
    pub(super) backends: Vec<Backend>,
}

struct World {
    setting: Setting,
    backends: Vec<Backend>,
    now: Moment,
    events: BinaryHeap<Reverse<(Moment, u64, Event)>>,
    count: u64,
    seats: Vec<Seat>,
    requests: BTreeMap<u64, Request>,
    flying: BTreeMap<u64, Flying>,
    report: Report,
}

/// A gateway.
struct Seat {
    lives: Vec<Arc<Live>>,
    groups: Vec<Group>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    Send { request: u64, member: usize },
    Hedge { request: u64, attempt: u64 },
    End { attempt: u64 },
    Change { backend: usize },
    Probe { gateway: usize, backend: usize },
}

struct Request {
    came: Moment,
    gateway: usize,
    group: usize,
    plan: Plan,
    flying: Vec<u64>,
}

/// An attempt.
struct Flying {
    request: u64,
    member: usize,
    backend: usize,
    result: Result<(), Failure>,
    seen: stats::Attempt,
}

/// A member of a group by the backend that it is.
pub(super) fn member(backend: usize, lives: &[Arc<Live>]) -> Member {
    Member {
        key: hash::of(&[backend as u8]),
        deployment: None,
        traits: Arc::new(Traits { allowed_fails: 3, cooldown: Duration::from_mins(1), ..Traits::default() }),
        live: Arc::clone(&lives[backend]),
        weight: 1,
        priority: 0,
        tags: Vec::new(),
        tier: None,
    }
}

/// One group of all backends.
pub(super) fn all(strategy: Strategy) -> impl Fn(&[Arc<Live>]) -> Vec<Group> {
    move |lives| {
        let members = (0..lives.len()).map(|backend| member(backend, lives)).collect();
        vec![Group { ids: Box::new(["ns/all".into()]), strategy, members, ..Group::default() }]
    }
}

impl Setting {
    /// These backends, by their scripts.
    pub(super) fn of(scripts: &[&[(u64, Mood)]]) -> Self {
        let backends = scripts.iter().map(|script| Backend::new(script)).collect();
        Self { rate: 200, seconds: 100, gateways: 1, probes: None, backends }
    }

    /// Runs until all requests have ended. `groups` makes a gateway's groups, of which the first is asked.
    pub(super) fn run(mut self, groups: impl Fn(&[Arc<Live>]) -> Vec<Group>) -> Report {
        let backends = std::mem::take(&mut self.backends);
        let seat = |_| {
            let lives: Vec<Arc<Live>> = backends.iter().map(|_| Arc::default()).collect();
            let groups = groups(&lives);
            Seat { lives, groups }
        };
        let seats = (0..self.gateways).map(seat).collect();
        let mut world = World {
            setting: self,
            backends,
            now: Moment::default(),
            events: BinaryHeap::new(),
            count: 0,
            seats,
            requests: BTreeMap::new(),
            flying: BTreeMap::new(),
            report: Report::default(),
        };
        world.begin();
        while let Some(Reverse((now, _, event))) = world.events.pop() {
            world.now = now;
            world.happen(event);
        }
        assert!(world.requests.is_empty() && world.flying.is_empty(), "every request ends");
        world.report.disturbed = world.backends.iter().map(|backend| backend.disturbed).collect();
        world.report
    }
}

impl World {
    fn begin(&mut self) {
        for backend in 0..self.backends.len() {
            for (gateway, interval) in (0..self.setting.gateways).zip(std::iter::repeat(self.setting.probes)) {
                let Some(interval) = interval else { continue };
                self.at(interval * (1 + backend as u32 + gateway as u32) / 7, Event::Probe { gateway, backend });
            }
            for second in self.backends[backend].script.iter().map(|(second, _)| *second).collect::<Vec<_>>() {
                self.at(Duration::from_secs(second), Event::Change { backend });
            }
        }
        self.at(Duration::ZERO, Event::Arrive);
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.push(Reverse((self.now.after(after), self.count, event)));
    }

    fn draw(&mut self) -> u64 {
        self.count += 1;
        hash::both(42, self.count)
    }

    fn turn(&mut self, came: Moment) -> Turn {
        let draw = self.draw();
        Turn { now: self.now, left: TOTAL.saturating_sub(self.now.since(came)), draw }
    }

    fn is_over(&self) -> bool {
        self.now.0 >= self.setting.seconds * 1_000_000
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Send { request, member } => self.send(request, member),
            Event::Hedge { request, attempt } => self.hedge(request, attempt),
            Event::End { attempt } => self.end(attempt),
            Event::Change { backend } => self.change(backend),
            Event::Probe { gateway, backend } => self.probe(gateway, backend),
        }
    }

    fn arrive(&mut self) {
        if self.is_over() {
            return;
        }
        // Uniform up to twice the mean: neither a crowd nor a drum.
        let apart = self.draw() % (2_000_000 / self.setting.rate);
        self.at(Duration::from_micros(apart), Event::Arrive);
        self.report.requests += 1;
        let gateway = self.report.requests as usize % self.setting.gateways;
        let id = self.report.requests;
        let turn = self.turn(self.now);
        let mut plan = Plan::new(Wishes::default());
        let next = plan.enter(&self.seats[gateway].groups[0], &features(), turn);
        self.requests.insert(id, Request { came: self.now, gateway, group: 0, plan, flying: Vec::new() });
        self.go(id, next, None);
    }

    fn go(&mut self, id: u64, mut next: Next, failure: Option<Failure>) {
        loop {
            let turn = self.turn(self.requests[&id].came);
            let request = self.requests.get_mut(&id).unwrap();
            match next {
                Next::Try { member, after } => {
                    assert!(after < turn.left, "a pause that is longer than the request has");
                    return self.at(after, Event::Send { request: id, member });
                }
                Next::Fall(Hop::Asked(_)) => next = request.plan.closed(self.now),
                Next::Fall(Hop::Object(target)) => {
                    *self.report.fell.entry(Arc::clone(&target)).or_default() += 1;
                    let groups = &self.seats[request.gateway].groups;
                    request.group = groups.iter().position(|group| group.ids.contains(&target)).unwrap();
                    next = request.plan.enter(&groups[request.group], &features(), turn);
                }
                Next::Refuse(_) | Next::Stop => {
                    self.report.failed.push((self.now, failure.map(|failure| failure.cause)));
                    self.requests.remove(&id);
                    return;
                }
            }
        }
    }

    fn send(&mut self, id: u64, member: usize) {
        let draw = self.draw();
        let request = &self.requests[&id];
        let (gateway, group) = (request.gateway, request.group);
        let live = Arc::clone(&self.seats[gateway].groups[group].members[member].live);
        let backend = self.seats[gateway].lives.iter().position(|known| Arc::ptr_eq(known, &live)).unwrap();
        let seen = live.begin(self.now, 0);
        let (after, result) = self.backends[backend].ask(self.now, draw);
        self.backends[backend].in_flight += 1;
        self.report.attempts += 1;
        let backends = self.backends.len();
        self.report.asked.entry(self.now.0 / 1_000_000).or_insert_with(|| vec![0; backends])[backend] += 1;
        self.count += 1;
        let attempt = self.count;
        self.flying.insert(attempt, Flying { request: id, member, backend, result, seen });
        self.requests.get_mut(&id).unwrap().flying.push(attempt);
        self.at(after, Event::End { attempt });
        if let Some(wait) = hedge::after(&self.seats[gateway].groups[group]) {
            self.at(wait, Event::Hedge { request: id, attempt });
        }
    }

    fn hedge(&mut self, id: u64, attempt: u64) {
        let Some(came) =
            self.requests.get(&id).filter(|request| request.flying == [attempt]).map(|request| request.came)
        else {
            return;
        };
        let turn = self.turn(came);
        let request = self.requests.get_mut(&id).unwrap();
        let group = &self.seats[request.gateway].groups[request.group];
        if let Some(member) = request.plan.hedge(group, &features(), turn) {
            self.report.hedges += 1;
            self.send(id, member);
        }
    }

    fn end(&mut self, attempt: u64) {
        // Ended before its time: cut off, or slower than another.
        let Some(flying) = self.flying.remove(&attempt) else { return };
        self.backends[flying.backend].in_flight -= 1;
        let id = flying.request;
        let turn = self.turn(self.requests[&id].came);
        let request = self.requests.get_mut(&id).unwrap();
        request.flying.retain(|other| *other != attempt);
        let group = &self.seats[request.gateway].groups[request.group];
        match flying.result {
            Ok(()) => {
                flying.seen.first_token(self.now);
                flying.seen.succeeded(self.now, 10, 10);
                request.plan.succeeded(group, flying.member, self.now);
                self.report.answered.push((request.came, self.now.since(request.came)));
                for slower in self.requests.remove(&id).unwrap().flying {
                    let slower = self.flying.remove(&slower).unwrap();
                    self.backends[slower.backend].in_flight -= 1;
                }
            }
            Err(failure) => {
                flying.seen.failed(self.now, 0);
                if request.flying.is_empty() {
                    let next = request.plan.failed(group, &features(), &failure, turn);
                    self.go(id, next, Some(failure));
                } else {
                    request.plan.lost(group, flying.member, &failure, self.now);
                }
            }
        }
    }

    /// Who dies takes along what it was doing.
    fn change(&mut self, backend: usize) {
        if !matches!(self.backends[backend].mood(self.now), Mood::Dead) {
            return;
        }
        let reset = Failure { cause: turnpike_routing::failure::Cause::ServerError, sent: true, retry_after: None };
        let cut: Vec<u64> =
            self.flying.iter().filter(|(_, flying)| flying.backend == backend).map(|(attempt, _)| *attempt).collect();
        for attempt in cut {
            self.flying.get_mut(&attempt).unwrap().result = Err(reset);
            self.at(Duration::ZERO, Event::End { attempt });
        }
    }

    fn probe(&mut self, gateway: usize, backend: usize) {
        if self.is_over() {
            return;
        }
        let health = &self.seats[gateway].lives[backend].health;
        let traits = &self.seats[gateway].groups[0].members[0].traits;
        if self.backends[backend].answers_probe(self.now) {
            health.probe_answered(self.now);
        } else {
            health.probe_missed(traits, self.now);
        }
        self.at(self.setting.probes.unwrap(), Event::Probe { gateway, backend });
    }
}

fn features() -> Features {
    Features { stream: true, ..Features::default() }
}
