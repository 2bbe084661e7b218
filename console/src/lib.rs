//! What administrators see of a gateway and change in it: `LiteLLM`'s paths for keys, budgets and spend over whatever keeps the
//! resources, and pages for a browser.

pub mod api;
pub mod auth;
pub mod store;
pub mod ui;
