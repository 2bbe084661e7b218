//! Money and tokens: who spent what.
//!
//! ```text
//!  request admitted ─ SpendSink::try_reserve ─▶ SpendSlot (its place and its event id)
//!  request ended    ─ SpendSlot::submit ─▶ bounded queue ─▶ SpendWriter (own thread) ─ batch ─▶ SpendStore
//! ```
//!
//! Nothing here knows HTTP, and nothing a request does waits for a disk.

pub mod account;
pub mod exchange;
pub mod holder;
pub mod spend_log;
pub mod store;
pub mod window;
