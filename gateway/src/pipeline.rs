//! A model request's way through the gateway. Each step's output is what the next one needs, so none can be skipped.
//!
//! ```text
//! authenticate ─▶ Caller ─▶ admit ─▶ Permit ─▶ body ─▶ bytes ─▶ Request::scan
//!   ─▶ route ─▶ Routed { pool, member } ─▶ reserve ─▶ Hold ─▶ call ─▶ Reply ─▶ deliver ─▶ response; its body settles the Meter
//! ```

pub mod admit;
pub mod authenticate;
pub mod body;
pub mod call;
pub mod count;
pub mod deliver;
pub mod detach;
pub mod features;
pub mod forward;
pub mod media;
pub mod meter;
pub mod mock;
pub mod reserve;
pub mod route;
pub mod stream;
