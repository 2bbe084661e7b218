//! A model request's way through the gateway. Each step's output is what the next one needs, so none can be skipped.
//!
//! ```text
//! authenticate ─▶ Caller ─▶ admit ─▶ Permit ─▶ body ─▶ bytes ─▶ Request::scan
//!   ─▶ route ─▶ Routed { pool } ─▶ attempts: journey ─▶ Step ─▶ reserve ─▶ Hold ─▶ call ─▶ Reply ─▶ deliver ─▶ response;
//!                                        ▲                               │ its body settles the Meter
//!                                        └── failed, nothing was shown ──┘
//! ```

pub mod admit;
pub mod attempts;
pub mod authenticate;
pub mod body;
pub mod cached;
pub mod call;
pub mod cold;
pub mod count;
pub mod deliver;
pub mod detach;
pub mod embed;
pub mod failure;
pub mod features;
pub mod forward;
pub mod hedge;
pub mod journey;
pub mod keepalive;
pub mod media;
pub mod meter;
pub mod mirror;
pub mod mock;
pub mod pass;
pub mod queue;
pub mod reserve;
pub mod route;
pub mod sender;
pub mod stream;
pub mod watched;
pub mod wishes;
