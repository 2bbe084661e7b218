//! Wire formats, provider dialects, usage and prices: bytes in, bytes out.
//!
//! Pure by construction: no IO, no await, no clock. What the gateway calls, in order:
//!
//! ```text
//!  client body ─ scan ─▶ Request ─ Provider::encode ─▶ Splices ─▶ upstream
//!  upstream    ─ Provider::decode  (whole body) ─▶ Decoded { body, usage }
//!              ─ Provider::stream  (frames)     ─▶ StreamDecoder: push(frame) ─▶ bytes for the client
//!              ─ Provider::error   (non-2xx)    ─▶ UpstreamError { class }
//!  Usage + Price ─ price::cost ─▶ nano-USD
//!  Request ─ bound::{prompt_bound, output_bound} ─▶ tokens at most ─ price::worst ─▶ nano-USD at most
//! ```

pub mod bound;
pub mod canned;
mod chat;
pub mod conversation;
pub mod embeddings;
pub mod error;
pub mod eventstream;
pub mod features;
mod inbound;
pub mod json;
pub mod media;
pub mod pass;
pub mod price;
pub mod provider;
pub mod relay;
pub mod request;
pub mod response;
pub mod splice;
pub mod sse;
pub mod stream;
pub mod tokens;
pub mod usage;
