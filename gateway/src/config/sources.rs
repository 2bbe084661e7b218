//! Where configuration comes from: a folder of manifests, and the keys that this process mints for them.

pub mod directory;
pub mod minted;
