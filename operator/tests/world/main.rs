//! What the operator makes of what watches tell, in whatever order and however broken.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../kit/context.rs"]
mod context;
mod given;
mod lists;
mod objects;
mod pace;
mod running;
mod secrets;
