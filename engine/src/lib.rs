//! Inference engines in the cluster: what follows from a `ModelDeployment` with `spec.vllm` and from what is observed of it.
//!
//! Pure: no client and no clock of its own. The operator watches and writes; what it writes and what it says of it is
//! decided here.

mod adapter;
pub mod check;
pub mod children;
pub mod cost;
pub mod finding;
pub mod flags;
pub mod load;
pub mod names;
pub mod observed;
pub mod overlay;
pub mod references;
pub mod scale;
pub mod settings;
pub mod state;

pub use finding::Finding;
pub use observed::Observed;
pub use settings::Settings;
pub use state::{State, Verdict, state};
