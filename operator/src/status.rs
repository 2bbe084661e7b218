//! The truth about each object, in its status: pure decisions below, and one task that writes what differs.
//!
//! ```text
//!  World, Published, Engines, Gateways, Spend ─▶ desired (a kind each) ─▶ plan: what differs, what may wait ─▶ writer ─▶ status, events
//! ```
//! Nothing is kept between two looks that is not in the cluster: what an object's status says is where its next one starts.

use jiff::Timestamp;
use turnpike_bundle::{
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};

pub use self::writer::run;
use self::{condition::Waiting, fleet::Fleet};
use crate::{
    engine::Engines,
    publish::{Compiled, Published},
    spend::Spend,
    world::World,
};

pub mod backends;
pub mod budget;
pub mod condition;
pub mod event;
pub mod fleet;
pub mod limit;
pub mod message;
pub mod model_deployment;
pub mod plan;
pub mod survey;
pub mod virtual_key;
pub mod writer;

/// What statuses are decided from.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The cluster as observed.
    pub world: &'a World,
    /// What is published.
    pub published: &'a Published,
    /// What was spent.
    pub spend: &'a Spend,
    /// The engines.
    pub engines: &'a Engines,
    /// The gateways.
    pub fleet: &'a Fleet<'a>,
    /// Base URL that clients call.
    pub gateway_url: Option<&'a str>,
    /// The time, in whole seconds, as statuses hold it.
    pub now: Timestamp,
}

/// The status that an object should have.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired<S> {
    /// All of it.
    pub status: S,
    /// What a better answer waits for; `None` = this is it.
    pub waiting: Option<Waiting>,
    /// When it will be another with nothing else changed.
    pub next: Option<Timestamp>,
    /// It differs in nothing but what was spent: there is no hurry.
    pub figures_only: bool,
}

impl<'a> View<'a> {
    /// What the object compiled to; `None` = not at this generation yet, so that nothing can be said.
    fn compiled(&self, kind: ObjectKind, object: &ObjectRef, generation: Option<i64>) -> Option<&'a Compiled> {
        let id = ObjectId { kind, object: object.clone() };
        self.published.objects.get(&id).filter(|compiled| Some(compiled.generation) == generation)
    }
}

/// The earlier of two times, where there are any.
fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.into_iter().chain(b).min()
}
