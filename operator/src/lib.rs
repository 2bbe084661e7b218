//! The operator: reads the three resources, publishes the bundle that gateways serve from, and tells the truth in status.
//!
//! ```text
//!  apiserver ─ watch ─▶ World ──change──▶ publish ─ render, shard, write ─▶ ConfigMaps, Secrets ─ kubelet ─▶ gateways
//!                         │                  │ Published                                                     │
//!                         │                  ▼                                                               │ long poll
//!                         ├──────────────▶ status ◀──────────────── Gateways ◀── gateways ◀──────────────────┘
//!                         │                  ▲ Spend ◀── spend ◀── the gateways' database
//!                         ├──────────────▶ virtual_key (mint, rotate, revoke)
//!                         └──────────────▶ engine ─ Deployment, Service, ... ─▶ pods ─ watch ─▶ Engines ─▶ status
//! ```
//! It is never in a request's path: gateways go on for as long as it is away.

pub mod args;
pub mod context;
pub mod engine;
pub mod error;
pub mod gateways;
pub mod gauges;
pub mod guard;
pub mod health;
pub mod install;
pub mod kit;
pub mod leader;
pub mod metrics;
pub mod names;
pub mod publish;
pub mod rbac;
pub mod run;
pub mod settings;
pub mod spend;
pub mod status;
pub mod uninstall;
pub mod virtual_key;
pub mod world;
