//! Gemini's `generateContent`, as clients speak it to models of others.

pub(super) mod answer;
mod part;
pub(super) mod request;
mod schema;
mod settings;
pub(crate) mod signature;
pub(super) mod stream;
mod tools;
