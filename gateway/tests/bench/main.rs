//! What `turnpike-bench` does to a release build, smaller and with a plain one.
#![expect(clippy::unwrap_used, reason = "tests")]

mod resilience;
mod train;
