//! What is to be said of a spec before anything is made of it.

use turnpike_crds::Reason;

/// One remark on `spec.vllm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field, such as `spec.vllm.extraArgs[2]`.
    pub field: String,
    /// The condition's reason.
    pub reason: Reason,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it.
    pub next_step: String,
    /// Whether an engine can be made all the same.
    pub is_warning: bool,
}
