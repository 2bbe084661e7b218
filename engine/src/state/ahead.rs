//! How far the Job is that fills the cache.

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use turnpike_crds::Reason;

use super::{
    container::Trouble,
    pod::{self, Standing},
};
use crate::{Observed, names};

/// What the Job is at.
pub(super) enum Ahead<'a> {
    /// All files are there.
    Done,
    /// Not yet.
    Under(Standing<'a>),
}

/// Whether a Job has done its work.
fn is_done(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

/// `None` = there is no Job.
pub(super) fn ahead<'a>(model: &str, observed: &'a Observed) -> Option<Ahead<'a>> {
    let job = observed.fetch.as_deref()?;
    if is_done(job) {
        return Some(Ahead::Done);
    }
    let live = observed.fetchers.values().map(AsRef::as_ref).filter(|pod| pod::is_live(pod));
    let newest: Option<&Pod> = live.max_by_key(|pod| super::created(pod));
    Some(Ahead::Under(newest.map_or_else(
        || {
            let job = names::fetch(model);
            let message = format!(
                "is being made by the Job {job}, to fetch the model's files; see how far: kubectl describe job {job}"
            );
            Standing::of("", Trouble::passing(Reason::Starting, message))
        },
        |pod| pod::fetching(pod, observed),
    )))
}

impl Ahead<'_> {
    /// What it is at, if it is not done.
    pub(super) fn under(&self) -> Option<&Standing<'_>> {
        match self {
            Self::Done => None,
            Self::Under(standing) => Some(standing),
        }
    }
}
