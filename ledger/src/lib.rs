//! Money and tokens: what may be used, and who used what.
//!
//! ```text
//!  request ─ engine: reserve ─▶ Hold ─ dispatch … last byte ─ settle ─▶ postings ─▶ SpendRow
//!              │ leases, ahead of need                                                │ SpendSlot::submit, never waits
//!              ▼                                                                      ▼
//!            LeaseStore (exchange) ◀── one database: SQLite or PostgreSQL ──▶ SpendStore (append: rows, spend, leases)
//! ```
//!
//! Nothing here knows HTTP, and no request whose accounts are warm waits for a disk or a network.

pub mod account;
pub mod engine;
pub mod exchange;
pub mod holder;
pub mod limits;
pub mod objects;
pub mod reports;
pub mod responses;
pub mod spend_log;
pub mod store;
pub mod wal;
pub mod window;
