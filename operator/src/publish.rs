//! What was last published, and for each object what became of it there.
//!
//! ```text
//!  World ─ settle ─────▶ compile ─▶ plan ─▶ write, the manifest last ─▶ Published ─▶ status, virtual_key
//!  Engines ─ endpoints ──▲  ▲                        │
//!  Gateways ─ format ────┘  │                        └─▶ touch every gateway pod
//!  cluster ─ read ─▶ Previous
//!  own objects (watch) ─ edited, deleted? ─▶ plan again
//! ```

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;
use turnpike_bundle::{Manifest, Problem, problem::ObjectId};

use crate::context::Context;

pub mod bump;
pub mod compile;
pub mod endpoints;
pub mod format;
pub mod mint;
pub mod own;
pub mod parts;
pub mod plan;
pub mod previous;
mod publisher;
pub mod settle;
pub mod store;
pub mod tokens;
pub mod touch;
pub mod verdict;

/// The published bundle as the rest of the operator needs to know it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// The manifest in the cluster; `None` before the first.
    pub manifest: Option<Manifest>,
    /// Every object that was rendered, deleted ones that still exist included.
    pub objects: BTreeMap<ObjectId, Compiled>,
}

/// What became of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compiled {
    /// `metadata.generation` that was rendered.
    pub generation: i64,
    /// sha256 of its entry, 16 lower-case hex digits; `None` = the bundle has no entry of it.
    pub digest: Option<String>,
    /// Version of the bundle in which the entry became what it is, or vanished.
    pub since: u64,
    /// Why it, or parts of it, are left out.
    pub problems: Vec<Problem>,
    /// What is served, but perhaps not as meant.
    pub warnings: Vec<Problem>,
    /// Digest of the credential that its entry names.
    pub credential: Option<String>,
}

/// Publishes what the world is, until dropped. Ends by itself only where another process has published something newer:
/// this one must not write any more.
pub async fn run(context: Context, sender: watch::Sender<Arc<Published>>) {
    let target = watch::Sender::default();
    let touching = touch::run(context.clone(), target.subscribe());
    let (told, endpoints) = watch::channel(None);
    let locating = endpoints::run(context.engines.clone(), told);
    let publishing = publisher::Publisher::new(context, endpoints, sender, target).run();
    tokio::select! {
        // Both end only when everything else has.
        () = touching => {}
        () = locating => {}
        foreign = publishing => tracing::error!(%foreign, "this process must not publish any more"),
    }
}
