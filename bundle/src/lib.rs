//! The contract between the operator (or the standalone command) and the gateways.
//!
//! ```text
//!  objects (CRs, Secrets)          Bundle                         gateway
//!  ─────────────────────  render  ────────────────────────  parse  ─────────
//!  ModelDeployment ─────────────▶ models-NN    (ConfigMap) ───────▶ Contents ──▶ Snapshot
//!  Budget          ─────────────▶ budgets-NN   (ConfigMap)
//!  VirtualKey      ─────────────▶ keys-NN      (Secret)
//!  Secrets         ─────────────▶ credentials-NN (Secret)
//!                                 manifest     (ConfigMap: version, hash of each shard)
//! ```
//! Everything here is pure: no IO, no clock, no randomness.

pub mod entry;
