//! One gateway in front of each provider that has a dialect of its own. One module a provider.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod anthropic;
mod as_responses;
mod bedrock;
mod cohere;
mod google;
mod ollama;
mod one_text_a_call;
mod openai_like;
mod pass_through;
mod routes;
mod stage;
