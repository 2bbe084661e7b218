//! Where configuration comes from: a folder of manifests and the keys that this process mints for them, or a bundle that
//! the operator published.

pub mod auth;
pub mod directory;
pub mod minted;
pub mod mounted;
mod volume;
