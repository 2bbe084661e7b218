//! Engines in the cluster: what is seen of them, and what the leader does so that they are as their models say.
//!
//! ```text
//!  Deployments, Pods, claims, ... (watch) ─▶ observe ─▶ Engines ─▶ keep ─ mint, plan, write ─▶ children
//!                                               ▲ Reports   │ └──▶ status, cost
//!      what is refused, fetched, loaded ────────┘           ├────▶ progress, adapters ─ HTTP ─▶ pods
//!                                                           └────▶ claims, mounts ─▶ what specs name, pods' events
//! ```

use crate::context::Context;

pub mod adapters;
pub mod ask;
pub mod claims;
pub mod cost;
pub mod desired;
pub mod keep;
pub mod kind;
pub mod known;
pub mod mint;
pub mod mounts;
pub mod observe;
pub mod observer;
pub mod plan;
pub mod progress;
pub mod reports;
pub mod scale;
pub mod write;

mod sweep;
mod watches;

pub use observer::Engines;
pub use reports::{Report, Reports};

/// Keeps engines as their models say, until what it watches has ended. To be run by the leader only.
pub async fn run(context: Context) {
    sweep::run(&context).await;
    tokio::select! {
        () = keep::run(context.clone()) => {}
        () = progress::run(context.clone()) => {}
        () = claims::run(context.clone()) => {}
        () = mounts::run(context.clone()) => {}
        () = adapters::run(context) => {}
    }
}
