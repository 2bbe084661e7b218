//! The public routes, a file for each noun of the URL.

pub mod deployments;
pub mod generate;
pub mod health;
pub mod metrics;
pub mod models;
