//! The contract between the operator (or the standalone command) and the gateways.
//!
//! ```text
//!  objects (CRs, Secrets)          Bundle                         gateway
//!  ─────────────────────  render  ────────────────────────  parse  ─────────
//!  ModelDeployment ─────────────▶ models-NN    (ConfigMap) ───────▶ Contents ──▶ Snapshot
//!  Budget          ─────────────▶ budgets-NN   (ConfigMap)
//!  VirtualKey      ─────────────▶ keys-NN      (Secret)
//!  Secrets         ─────────────▶ credentials-NN (Secret)
//!  engines' pods   ─────────────▶ endpoints-00 (ConfigMap), from format 2 on
//!                                 manifest     (ConfigMap: version, hash of each shard)
//! ```
//! Everything here is pure: no IO, no clock, no randomness.

mod canonical;
mod confidential;
pub mod entry;
pub mod layout;
pub mod manifest;
pub mod minted;
pub mod objects;
pub mod parse;
pub mod problem;
pub mod render;
pub mod report;
pub mod shard;

pub use canonical::{sha256_hex, to_string as canonical_json};
pub use confidential::Confidential;
pub use entry::Contents;
pub use manifest::Manifest;
pub use objects::{Objects, Secret, Settings};
pub use parse::{Parsed, State, parse};
pub use problem::Problem;
pub use render::{Rendered, key_budget, render};
pub use report::Report;
pub use shard::{Bundle, Cutter, Shard, shard};
