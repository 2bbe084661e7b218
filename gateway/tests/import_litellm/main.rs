//! Configs of LiteLLM as manifests: what carries over, what is said of the rest, and that the result serves.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod goldens;
mod named;
mod serving;
