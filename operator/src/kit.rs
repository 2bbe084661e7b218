//! Tools that the operator's tasks share and that know nothing of models or keys.

pub mod apply;
pub mod ask;
pub mod backoff;
pub mod events;
pub mod owner;
pub mod tell;
