//! What pages show, as plain values: whoever serves them fills these in, [`super::pages`] makes HTML of them.
//!
//! Money is in nano-USD, moments are seconds since the epoch.

mod models;
mod money;
mod requests;

pub use models::{Cause, Loaded, Model, Models, Price, Probe, Problem, Rates, Route, Standing, Target};
pub use money::{Amount, Budget, Budgets, Key, Keys, Unit};
pub use requests::{Day, Overview, Requests, Search, Sums};

/// Facts cannot be had right now. The text is for the person who looks: never a secret, never a whole error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(pub String);
