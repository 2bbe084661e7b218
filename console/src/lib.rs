//! The admin API: `LiteLLM`'s paths for keys, budgets and spend, over whatever keeps the resources.

pub mod api;
pub mod auth;
pub mod store;
