//! What a request through the gateway costs, next to nginx doing nothing but proxying, in one run on one machine.
//!
//! ```text
//!   load ──► nginx ────┐
//!     │                ├──► upstream      every arrow is loopback; each box is a process of its own, so that its CPU
//!     └───► gateway ───┘                  time can be read; compare starts them, alternates, and writes the table
//! ```
//!
//! [`script`] is what both ends of the wire agree on, [`wire`] is the HTTP/1.1 they speak, kept small because the
//! client and the upstream share the machine with what is measured.

pub mod args;
pub mod compare;
mod gateway;
pub mod load;
pub mod process;
pub mod resilience;
pub mod script;
pub mod train;
pub mod upstream;
pub mod wire;
