//! What every task of the operator is given.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use tokio::sync::watch;

use crate::{
    engine::{Engines, Reports},
    gateways::Gateways,
    kit::events::Events,
    metrics::Metrics,
    names::Names,
    publish::Published,
    settings::Settings,
    spend::Spend,
    world::World,
};

/// Handles that tasks share. Cheap to clone; each watch has one writer.
#[derive(Clone)]
pub struct Context {
    /// The apiserver.
    pub client: Client,
    /// Names and the instance.
    pub names: Arc<Names>,
    /// What the command line said.
    pub settings: Arc<Settings>,
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// Events for people.
    pub events: Events,
    /// The root ConfigMap, owner of what is made in the release namespace; `None` where the chart was not used.
    pub root: Option<OwnerReference>,
    /// The cluster as observed; written by the watchers.
    pub world: watch::Receiver<Arc<World>>,
    /// What is published; written by the publisher.
    pub published: watch::Receiver<Arc<Published>>,
    /// What was spent; written by the reader of the database.
    pub spend: watch::Receiver<Arc<Spend>>,
    /// Gateway pods and what they have loaded; written by the pollers.
    pub gateways: watch::Receiver<Arc<Gateways>>,
    /// Engines as observed; written by their watchers.
    pub engines: watch::Receiver<Arc<Engines>>,
    /// Takes what tasks find out about engines; it becomes part of `engines`.
    pub engine_reports: Reports,
}
