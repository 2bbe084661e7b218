//! Addresses that the operator tells of before DNS does.

use turnpike_bundle::entry::EndpointEntry;
use turnpike_gateway::engines::{
    addresses::{Answer, Change, Unresolved},
    hints::Hints,
};

use crate::{
    addresses::{World, with},
    fixture::{address, object},
    stage::{Stage, engine, server},
};

impl World {
    /// It is said that pods are ready at these addresses.
    fn hint(&mut self, numbers: &[u8]) {
        let addresses = numbers.iter().map(|n| address(*n).ip()).collect();
        let endpoints = vec![EndpointEntry { object: object("m"), port: 8000, addresses }];
        self.engines.hint(Hints { endpoints, received: Some(self.now) }, self.now);
    }

    fn asked(&mut self) -> Vec<std::net::SocketAddr> {
        self.questions().iter().map(|question| question.address).collect()
    }
}

#[test]
fn a_hint_is_asked_at_once_and_counts_once_it_lists_the_model() {
    let mut world = World::new();
    world.resolve(Err(Unresolved::Empty));
    world.hint(&[1, 2]);
    assert_eq!(world.verified(), [], "nothing goes there unasked");
    assert_eq!(
        world.each(|question| Answer::Lists(vec![if question.address == address(1) { "m" } else { "another" }.into()])),
        [Change::Verified, Change::None]
    );
    assert_eq!(world.verified(), with(&["m"], &[1]));
    world.at(1);
    world.resolve(Err(Unresolved::Empty));
    assert_eq!(world.verified(), with(&["m"], &[1]), "DNS does not know it yet");
    // A pod that was not ready when it was asked is asked again as soon as it is said to be.
    world.each(|_| Answer::Gone);
    world.hint(&[1, 2]);
    assert_eq!(world.asked(), [address(2)]);
}

#[test]
fn a_hint_lasts_half_a_minute_unless_the_name_has_the_address_by_then() {
    for (found, stays) in [(Ok(vec![]), false), (Err(Unresolved::Failed), false), (Ok(vec![address(1)]), true)] {
        let mut world = World::new();
        world.hint(&[1]);
        world.answer(&["m"]);
        for second in 0..30 {
            world.at(second);
            world.resolve(if second > 20 { found.clone() } else { Ok(vec![]) });
            world.answer(&["m"]);
            assert_eq!(world.verified(), with(&["m"], &[1]), "{found:?} {second}");
        }
        world.at(30);
        assert_eq!(world.verified().len(), usize::from(stays), "{found:?}");
        assert_eq!(world.engines.counts(), [(object("m"), [usize::from(stays); 2])], "{found:?}");
    }
}

#[test]
fn what_is_said_anew_counts_anew_and_what_is_no_more_said_only_if_the_name_has_it() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1)]));
    world.hint(&[1, 2, 3]);
    world.answer(&["m"]);
    assert_eq!(world.verified(), with(&["m"], &[1, 2, 3]));
    world.at(29);
    world.hint(&[3]);
    assert_eq!(world.verified(), with(&["m"], &[1, 3]));
    world.at(58);
    world.resolve(Ok(vec![address(1)]));
    assert_eq!(world.verified(), with(&["m"], &[1, 3]));
    world.at(59);
    assert_eq!(world.verified(), with(&["m"], &[1]));
}

#[test]
fn an_address_that_the_name_has_is_out_as_soon_as_neither_has_it() {
    let mut world = World::new();
    world.resolve(Ok(vec![address(1), address(2)]));
    world.hint(&[1, 2]);
    world.answer(&["m"]);
    // An ending pod is none that the operator names; DNS follows.
    world.hint(&[1]);
    assert_eq!(world.verified(), with(&["m"], &[1, 2]));
    world.at(1);
    world.resolve(Ok(vec![address(1)]));
    assert_eq!(world.verified(), with(&["m"], &[1]));
}

#[test]
fn whoever_cannot_be_reached_is_out_until_it_verifies_again_hint_or_not() {
    let mut world = World::new();
    world.hint(&[1]);
    world.answer(&["m"]);
    assert!(world.engines.suspect(&object("m"), address(1), world.now));
    assert_eq!(world.verified(), []);
    assert_eq!(world.each(|_| Answer::Gone), [Change::None]);
    assert_eq!(world.verified(), []);
    world.at(1);
    assert_eq!(world.answer(&["m"]), [Change::Verified]);
    assert_eq!(world.verified(), with(&["m"], &[1]));
}

#[test]
fn a_hint_may_come_before_the_engine_and_outlasts_another_snapshot() {
    let mut world = World::empty();
    world.hint(&[1]);
    world.at(2);
    world.follow("m", "k");
    assert_eq!(world.asked(), [address(1)]);
    let mut world = World::empty();
    world.hint(&[1]);
    world.at(30);
    world.follow("m", "k");
    assert_eq!(world.asked(), [], "that is too long ago");

    let mut world = World::new();
    world.hint(&[1]);
    world.answer(&["m"]);
    world.follow("m", "k");
    assert_eq!(world.verified(), with(&["m"], &[1]));
}

#[tokio::test]
async fn a_pod_that_dns_does_not_know_yet_gets_requests() {
    let server = server(&["m"]).await;
    let mut stage = Stage::new(&[engine("m")], &[]).await;
    stage.verified("m", 0).await;
    stage.hint("m", server.address());
    stage.verified("m", 1).await;
    stage.asks("m", 5).await;
    assert_eq!(server.calls(), 5);
}

#[tokio::test]
async fn a_hint_gets_nothing_but_the_question_while_it_serves_another_model() {
    let (own, before, other) = (server(&["m"]).await, server(&["m"]).await, server(&["another"]).await);
    let mut stage = Stage::hinted(&[engine("m")], &[("m", &[own.address()])], Some(("m", before.address()))).await;
    stage.verified("m", 1).await;
    stage.hint("m", other.address());
    other.wait_for("the address is asked", |log| !log.is_empty()).await;
    stage.asks("m", 20).await;
    assert_eq!((own.calls(), other.calls()), (20, 0));
    assert!(other.log().iter().all(|asked| asked.method == http::Method::GET));
    assert_eq!(before.log().len(), 0, "what lay there when the gateway started may be of any age");
}
