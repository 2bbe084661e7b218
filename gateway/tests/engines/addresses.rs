//! What is known of addresses after names were looked up, answers came, and requests failed.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use turnpike_gateway::{
    config::backends::Backends,
    engines::addresses::{Addresses, Answer, Change, Engines, Question, Unresolved},
};

use crate::fixture::{address, backend, compiled, engine, object, url};

/// One engine, and a clock.
pub(crate) struct World {
    pub(crate) engines: Engines,
    start: Instant,
    pub(crate) now: Instant,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self::empty();
        world.follow("m", "k");
        world
    }

    /// The engine is not known yet.
    pub(crate) fn empty() -> Self {
        let now = Instant::now();
        Self { engines: Engines::default(), start: now, now }
    }

    pub(crate) fn follow(&mut self, model: &str, key: &str) {
        let mut entry = engine("m", &json!({}));
        model.clone_into(&mut backend(&mut entry).model);
        let snapshot = compiled(vec![entry], key, &Backends::default(), &Addresses::default());
        self.engines.follow(&snapshot, self.now);
    }

    pub(crate) fn at(&mut self, seconds: u64) {
        self.now = self.start + Duration::from_secs(seconds);
    }

    pub(crate) fn resolve(&mut self, found: Result<Vec<SocketAddr>, Unresolved>) {
        let [(object, host, port)] = &self.engines.to_resolve(self.now, 9)[..] else { panic!("it is due") };
        assert_eq!((&**host, *port), ("m-engine.llm.svc", 8000));
        self.engines.resolved((object, host), found, self.now, 0);
    }

    pub(crate) fn questions(&mut self) -> Vec<Question> {
        self.engines.to_ask(self.now, 99)
    }

    /// All that are due list these.
    pub(crate) fn answer(&mut self, names: &[&str]) -> Vec<Change> {
        let lists = || Answer::Lists(names.iter().map(|name| (*name).into()).collect());
        self.each(|_| lists())
    }

    pub(crate) fn each(&mut self, answer: impl Fn(&Question) -> Answer) -> Vec<Change> {
        let questions = self.questions();
        questions.iter().map(|question| self.engines.answered(question, answer(question), self.now, 0)).collect()
    }

    pub(crate) fn verified(&mut self) -> Vec<(SocketAddr, Vec<String>)> {
        self.verified_for("m")
    }

    fn verified_for(&mut self, model: &str) -> Vec<(SocketAddr, Vec<String>)> {
        let all = self.engines.verified(self.now);
        let of = all.of(&object("m"), &url("m"), model);
        of.map(|(address, names)| (address, names.iter().map(ToString::to_string).collect())).collect()
    }
}

pub(crate) fn with(names: &[&str], numbers: &[u8]) -> Vec<(SocketAddr, Vec<String>)> {
    numbers.iter().map(|n| (address(*n), names.iter().map(|name| (*name).to_owned()).collect())).collect()
}

#[test]
fn an_address_counts_once_it_lists_the_model() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1), address(2), address(1)]));
    assert_eq!(world.verified(), []);
    assert_eq!(
        world.each(|question| Answer::Lists(if question.address == address(1) {
            vec!["sql".into(), "m".into()]
        } else {
            vec!["another".into()]
        })),
        [Change::Verified, Change::None]
    );
    assert_eq!(world.verified(), with(&["m", "sql"], &[1]));
    assert_eq!(world.engines.counts(), [(object("m"), [2, 1])]);
}

#[test]
fn a_verified_address_is_asked_again_every_ten_seconds_and_another_one_every_second() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1), address(2)]));
    world.each(|question| if question.address == address(1) { Answer::Lists(vec!["m".into()]) } else { Answer::Gone });
    world.at(1);
    assert_eq!(world.questions().iter().map(|question| question.address).collect::<Vec<_>>(), [address(2)]);
    world.at(10);
    assert_eq!(world.questions().iter().map(|question| question.address).collect::<Vec<_>>(), [address(1)]);
    assert_eq!(world.questions().len(), 0, "one at a time");
}

#[test]
fn whoever_no_longer_serves_the_model_is_out_at_once_and_whoever_says_nothing_stays() {
    for (answer, stays) in [
        (Answer::Silent, true),
        (Answer::Gone, false),
        (Answer::Foreign, false),
        (Answer::Lists(vec!["another".into()]), false),
    ] {
        let mut world = World::new();
        world.resolve(Ok(vec![address(1)]));
        world.answer(&["m"]);
        world.at(11);
        let changes = world.each(|_| answer.clone());
        assert_eq!(changes, [if stays { Change::Silent } else { Change::Lost }], "{answer:?}");
        assert_eq!(world.verified().len(), usize::from(stays), "{answer:?}");
        world.at(12);
        world.answer(&["m"]);
        assert_eq!(world.verified(), with(&["m"], &[1]), "and back as soon as it does");
    }
}

#[test]
fn a_suspected_address_is_out_until_it_is_asked_after_that() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1), address(2)]));
    world.answer(&["m"]);
    world.at(11);
    let before = world.questions();
    assert!(world.engines.suspect(&object("m"), address(1), world.now));
    assert!(!world.engines.suspect(&object("m"), address(1), world.now), "once");
    assert_eq!(world.verified(), with(&["m"], &[2]));
    for question in &before {
        world.engines.answered(question, Answer::Lists(vec!["m".into()]), world.now, 0);
    }
    assert_eq!(world.verified(), with(&["m"], &[2]), "that answer may be older than the failure");
    assert_eq!(world.answer(&["m"]), [Change::Verified]);
    assert_eq!(world.verified(), with(&["m"], &[1, 2]));
}

#[test]
fn an_address_that_the_name_no_longer_has_is_out_whatever_it_answers() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1), address(2)]));
    world.answer(&["m"]);
    world.at(11);
    let questions = world.questions();
    world.resolve(Ok(vec![address(2)]));
    for question in &questions {
        world.engines.answered(question, Answer::Lists(vec!["m".into()]), world.now, 0);
    }
    assert_eq!(world.verified(), with(&["m"], &[2]));
    world.at(12);
    world.resolve(Err(Unresolved::Empty));
    assert_eq!(world.verified(), []);
}

#[test]
fn an_address_serves_on_until_one_of_those_in_its_place_is_verified() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1)]));
    world.answer(&["m"]);
    world.at(1);
    world.resolve(Ok(vec![address(2), address(3)]));
    assert_eq!(world.verified(), with(&["m"], &[1]));
    world.each(|question| if question.address == address(2) { Answer::Lists(vec!["m".into()]) } else { Answer::Gone });
    world.at(2);
    world.resolve(Ok(vec![address(2), address(3)]));
    assert_eq!(world.verified(), with(&["m"], &[2]));

    // It is not waited for longer than engines answer that end, nor where the address has no server any more.
    for second in 3..=12 {
        world.at(second);
        world.resolve(Ok(vec![address(4)]));
        world.each(|_| Answer::Silent);
        assert_eq!(world.verified(), with(&["m"], &[2]), "{second}");
    }
    world.at(13);
    world.resolve(Ok(vec![address(4)]));
    assert_eq!(world.verified(), []);
    world.answer(&["m"]);
    world.at(14);
    world.resolve(Ok(vec![address(5)]));
    assert!(world.engines.suspect(&object("m"), address(4), world.now));
    assert_eq!(world.verified(), []);
}

#[test]
fn while_a_name_cannot_be_looked_up_what_was_known_lasts_for_half_a_minute() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1)]));
    world.answer(&["m"]);
    for second in 1..=30 {
        world.at(second);
        world.resolve(Err(Unresolved::Failed));
        world.answer(&["m"]);
        assert_eq!(world.verified().len(), 1, "{second}");
    }
    world.at(31);
    world.resolve(Err(Unresolved::Failed));
    assert_eq!(world.verified(), []);
    world.at(32);
    world.resolve(Ok(vec![address(1)]));
    world.answer(&["m"]);
    assert_eq!(world.verified().len(), 1);
}

#[test]
fn another_model_is_verified_anew_and_another_key_while_requests_go_on() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1)]));
    world.answer(&["m"]);
    world.follow("m", "another key");
    assert_eq!(world.verified(), with(&["m"], &[1]));
    assert_eq!(world.each(|_| Answer::Foreign), [Change::Lost]);
    world.at(1);
    world.answer(&["m"]);
    world.follow("other", "another key");
    assert_eq!(world.verified(), [], "that is another model's address");
    world.resolve(Ok(vec![address(1)]));
    world.answer(&["other"]);
    assert_eq!(world.verified_for("other"), with(&["other"], &[1]));
}
