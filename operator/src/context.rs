//! What every task of the operator is given.

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;

use crate::{gateways::Gateways, names::Names, publish::Published, world::World};

/// Handles that tasks share. Cheap to clone; each watch has one writer.
#[derive(Clone)]
pub struct Context {
    /// The apiserver.
    pub client: Client,
    /// Names and the instance.
    pub names: Arc<Names>,
    /// The cluster as observed; written by the watchers.
    pub world: watch::Receiver<Arc<World>>,
    /// What is published; written by the publisher.
    pub published: watch::Receiver<Arc<Published>>,
    /// Gateway pods and what they have loaded; written by the pollers.
    pub gateways: watch::Receiver<Arc<Gateways>>,
}
