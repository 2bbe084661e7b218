//! Load as it comes over a day, on engines that take minutes to start and clients that pile up meanwhile.

use turnpike_engine::scale::{Demand, Rules, Sample, Scaler, Total};

use super::{RULES, secs};

/// Requests are counted in thousandths, so that all is whole numbers.
const UNIT: u64 = 1000;
/// Seconds that an answer takes on a replica that has no more requests than its target.
const ANSWER: u64 = 20;
/// What a gateway lets wait for an engine without replicas.
const HELD: u64 = 1000 * UNIT;

/// A world to scale in.
#[derive(Clone, Copy)]
struct World {
    rules: Rules,
    /// Seconds until a new replica answers.
    starts_in: u64,
    gateways: usize,
    /// Whether a gateway answers the operator at a time.
    is_heard: fn(usize, u64) -> bool,
    /// Whether another operator takes over at a time.
    restarts: fn(u64) -> bool,
}

impl Default for World {
    fn default() -> Self {
        Self { rules: RULES, starts_in: 120, gateways: 2, is_heard: |_, _| true, restarts: |_| false }
    }
}

/// What happened.
#[derive(Debug, Default)]
struct Course {
    /// When replicas changed, and to what.
    changes: Vec<(u64, u32)>,
    /// Seconds in which there were more requests than replicas bear, although more replicas were allowed and none was starting.
    overloaded: u64,
    /// Most requests at a time.
    most: u64,
    /// Requests that are there in the end.
    left: u64,
}

impl Course {
    fn reversals(&self) -> usize {
        let replicas: Vec<u32> = std::iter::once(0).chain(self.changes.iter().map(|change| change.1)).collect();
        let ups: Vec<bool> = replicas.windows(2).map(|pair| pair[0] < pair[1]).collect();
        ups.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }

    fn highest(&self) -> u32 {
        self.changes.iter().map(|change| change.1).max().unwrap_or_default()
    }

    fn last(&self) -> Option<u32> {
        self.changes.last().map(|change| change.1)
    }
}

impl World {
    /// `clients(t)`: how many requests would be in flight at second `t` if all were answered without a wait.
    fn run(self, seconds: u64, clients: impl Fn(u64) -> u64) -> Course {
        let (mut scaler, mut course, mut jobs, mut replicas) = (Scaler::default(), Course::default(), 0, Vec::new());
        let mut heard: Vec<Option<Sample>> = vec![None; self.gateways];
        for now in 0..seconds {
            let ready = replicas.iter().filter(|since| **since + self.starts_in <= now).count() as u64;
            let room = ready * u64::from(self.rules.target) * UNIT;
            jobs += clients(now) * UNIT / ANSWER;
            jobs -= jobs.min(room) / ANSWER;
            if ready == 0 {
                jobs = jobs.min(HELD * self.gateways as u64);
            }
            for (gateway, heard) in heard.iter_mut().enumerate().filter(|(index, _)| (self.is_heard)(*index, now)) {
                let share = share((jobs + UNIT / 2) / UNIT, gateway as u64, self.gateways as u64);
                let (in_flight, waiting) = if ready > 0 { (share, 0) } else { (0, share) };
                *heard = Some(Sample { at: secs(now), demand: Demand { in_flight, waiting, wanted: share > 0 } });
            }
            if (self.restarts)(now) {
                scaler = Scaler::default();
            }
            let current = u32::try_from(replicas.len()).unwrap();
            let total = Total::of(secs(now), heard.iter().copied());
            let wanted = scaler.decide(secs(now), &total, current, &self.rules).replicas;
            if wanted != current {
                course.changes.push((now, wanted));
                // The youngest go first.
                replicas.resize(wanted as usize, now);
            }
            let is_starting = replicas.len() as u64 > ready;
            let is_full = wanted == self.rules.max;
            course.overloaded += u64::from(!is_starting && !is_full && jobs > room + room / 10 + UNIT);
            course.most = course.most.max(jobs / UNIT);
        }
        Course { left: jobs / UNIT, ..course }
    }
}

fn share(whole: u64, index: u64, of: u64) -> u64 {
    whole / of + u64::from(index < whole % of)
}

/// Noise around 1000: the same at the same time, in the whole range of `± spread`.
fn noise(at: u64, spread: u64) -> u64 {
    let mut x = at.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    1000 - spread + (x ^ (x >> 31)) % (2 * spread + 1)
}

/// A wave between 0 and 1000 of so many seconds.
fn wave(at: u64, period: u64) -> u64 {
    let x = at % period * 2000 / period;
    let x = if x < 1000 { x } else { 2000 - x };
    // A smooth step up and down.
    x * x * (3000 - 2 * x) / 1_000_000
}

const HOUR: u64 = 3600;

#[test]
fn a_step_up_and_down_is_two_movements_after_those_of_the_start() {
    let course = World::default().run(3 * HOUR, |at| if (600..HOUR).contains(&at) { 28 } else { 4 });
    assert!(course.reversals() <= 3, "{course:?}");
    assert_eq!(course.overloaded, 0, "{course:?}");
    assert_eq!(course.last(), Some(1), "{course:?}");
}

#[test]
fn noise_around_a_level_changes_nothing_once_it_is_served() {
    for level in [8, 19, 20, 21, 35, 60] {
        let course = World::default().run(4 * HOUR, |at| level * noise(at / 3, 150) / 1000);
        let late = course.changes.iter().filter(|(at, _)| *at > HOUR).count();
        assert!(late <= 2, "{level}: {course:?}");
        // What piled up during the first start is served, too.
        assert!(course.reversals() <= 2, "{level}: {course:?}");
        assert_eq!(course.overloaded, 0, "{level}: {course:?}");
    }
}

#[test]
fn a_wave_is_followed_in_few_steps() {
    let course = World::default().run(12 * HOUR, |at| 2 + 60 * wave(at, 3 * HOUR) * noise(at, 80) / 1_000_000);
    // What piles up while an engine starts brings one too many now and then.
    assert!(course.reversals() <= 4 * 10, "{course:?}");
    assert!(course.changes.len() <= 4 * 24, "{course:?}");
    assert_eq!(course.overloaded, 0, "{course:?}");
}

#[test]
fn bursts_that_come_again_within_the_delay_keep_their_replicas() {
    let course = World::default().run(4 * HOUR, |at| if at % 240 < 40 { 45 } else { 3 });
    let late = course.changes.iter().filter(|(at, _)| *at > HOUR).count();
    assert_eq!(late, 0, "{course:?}");
}

#[test]
fn rare_bursts_cost_two_movements_each() {
    let course = World::default().run(10 * HOUR, |at| if at % HOUR < 120 { 45 } else { 3 });
    assert!(course.reversals() <= 2 * 10, "{course:?}");
}

#[test]
fn a_single_request_now_and_then_keeps_a_replica_only_while_they_come() {
    // Every four minutes for an hour, then never.
    let course = World::default().run(2 * HOUR, |at| u64::from(at < HOUR && at % 240 < 20));
    assert_eq!(course.changes.iter().map(|change| change.1).collect::<Vec<_>>(), [1, 0], "{course:?}");
    assert!(course.changes[1].0 > HOUR && course.changes[1].0 < HOUR + 600, "{course:?}");
}

#[test]
fn a_slow_start_is_waited_for_and_what_piled_up_is_served() {
    let world = World { starts_in: 600, ..World::default() };
    let course = world.run(4 * HOUR, |at| if at < 2 * HOUR { 6 } else { 0 });
    assert!(course.reversals() <= 3, "{course:?}");
    assert!(course.highest() <= 8 && course.left == 0, "{course:?}");
    assert_eq!(course.last(), Some(0), "{course:?}");
}

#[test]
fn lost_gateways_never_take_replicas_away() {
    // The second one is away for half an hour, in which all load ends.
    let is_heard = |gateway: usize, at: u64| gateway == 0 || !(HOUR..HOUR + 1800).contains(&at);
    let course = World { is_heard, ..World::default() }.run(3 * HOUR, |at| if at < HOUR + 60 { 38 } else { 0 });
    let fell = course.changes.iter().find(|(at, _)| *at > HOUR).unwrap();
    assert!(fell.0 >= HOUR + 1800 + 300, "{course:?}");
    assert_eq!(course.last(), Some(0), "{course:?}");
}

#[test]
fn gateways_that_answer_now_and_then_do_not_make_replicas_flap() {
    let is_heard = |gateway: usize, at: u64| noise(at / 7 + gateway as u64 * 1000, 500) < 1200;
    let course =
        World { is_heard, gateways: 3, ..World::default() }.run(6 * HOUR, |at| 3 + 40 * wave(at, 2 * HOUR) / 1000);
    assert!(course.reversals() <= 8, "{course:?}");
}

#[test]
fn an_operator_that_restarts_often_still_scales_down_and_never_flaps() {
    let restarts = |at: u64| at.is_multiple_of(400);
    let world = World { restarts, ..World::default() };
    let course = world.run(4 * HOUR, |at| if at < HOUR { 38 } else { 4 });
    assert!(course.reversals() <= 2, "{course:?}");
    assert_eq!(course.last(), Some(1), "{course:?}");
    // One that restarts within every delay holds what runs.
    let restarts = |at: u64| at.is_multiple_of(200);
    let course = World { restarts, ..World::default() }.run(4 * HOUR, |at| if at < HOUR { 38 } else { 4 });
    assert_eq!(course.last(), Some(course.highest()), "{course:?}");
}

#[test]
fn more_than_the_most_replicas_can_serve_is_not_scaled_for() {
    let course = World::default().run(2 * HOUR, |at| if at < HOUR { 200 } else { 0 });
    assert_eq!(course.highest(), 8, "{course:?}");
    assert!(course.most > 80 && course.reversals() <= 2, "{course:?}");
}
