//! What tasks find out about engines beside what the watches tell; the observer puts both together.

use std::collections::BTreeSet;

use tokio::sync::mpsc;
use turnpike_bundle::entry::ObjectRef;
use turnpike_engine::observed::Claims;

/// A finding; each replaces the one before it of its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// What the apiserver said when a child could not be written; `None` = all are written.
    Refused(Option<String>),
    /// Why replicas cannot be set by demand now; `None` = they can.
    Unscalable(Option<String>),
    /// What the claims are at that the spec names.
    Claims(Claims),
    /// How much of the model's files a pod has fetched, in percent; `None` = it fetches none now.
    Fetched(String, Option<u8>),
    /// Why a pod cannot have its volumes; `None` = nothing is known to keep it from them.
    Unmounted(String, Option<String>),
    /// Adapters that a pod has loaded; `None` = it is not asked any more.
    Adapters(String, Option<BTreeSet<String>>),
}

/// Takes findings, by `ModelDeployment`. Cheap to clone; never blocks.
#[derive(Clone, Debug)]
pub struct Reports(mpsc::UnboundedSender<(ObjectRef, Report)>);

/// Where findings arrive. They are few: each stands for a change.
pub type Incoming = mpsc::UnboundedReceiver<(ObjectRef, Report)>;

impl Reports {
    /// Both ends.
    pub fn new() -> (Self, Incoming) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells of an engine.
    pub fn tell(&self, model: &ObjectRef, report: Report) {
        // Nobody listens only where the process is about to end.
        drop(self.0.send((model.clone(), report)));
    }
}
