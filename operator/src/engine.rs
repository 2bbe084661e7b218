//! Engines in the cluster: what is seen of them, and what the leader does so that they are as their models say.
//!
//! ```text
//!  Deployments, Pods, claims, ... (watch) ─▶ observe ─▶ Engines ─▶ status
//!                                               ▲ Reports
//!                                               └── what others find out: refusals, progress, adapters
//! ```

pub mod kind;
pub mod observe;
pub mod observer;
pub mod reports;

mod watches;

pub use observer::Engines;
pub use reports::{Report, Reports};
