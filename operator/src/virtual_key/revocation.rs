//! Whether a deleted key may be forgotten: every gateway that may still answer a client has to refuse it first.

use std::time::Duration;

use turnpike_bundle::{
    entry::ObjectRef,
    manifest::Kind,
    problem::{ObjectId, ObjectKind},
};

use crate::{gateways::Gateways, publish::Published};

/// How far the revocation of one key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The bundle without the key is published.
    pub published: bool,
    /// Gateway pods that run and have not said that they refuse the key.
    pub unconfirmed: usize,
    /// Gateway pods that run.
    pub running: usize,
}

/// What to do about an object that is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet; look again after this at the latest.
    Wait(Duration),
    /// Let it go.
    Confirmed,
    /// Let it go, and say that it was not confirmed.
    TimedOut,
}

/// How far the revocation of the key of `object` is.
pub fn progress(object: &ObjectRef, published: &Published, gateways: &Gateways) -> Progress {
    let id = ObjectId { kind: ObjectKind::VirtualKey, object: object.clone() };
    let since = published.objects.get(&id).filter(|compiled| compiled.digest.is_none()).map(|compiled| compiled.since);
    let key = object.to_string();
    let running = gateways.values().filter(|gateway| gateway.running);
    let holds = |version| running.clone().filter(|gateway| gateway.holds(Kind::Keys, &key, version)).count();
    let all = running.clone().count();
    Progress { published: since.is_some(), unconfirmed: all - since.map_or(0, holds), running: all }
}

/// Decides. `waited`: since this process first saw the deletion, so that one that was away first gets to publish.
pub fn verdict(progress: Progress, waited: Duration, timeout: Duration) -> Verdict {
    match timeout.saturating_sub(waited) {
        // Without a gateway nobody serves the key, and one that starts takes the bundle as it then is.
        _ if progress.running == 0 && progress.published => Verdict::Confirmed,
        _ if progress.published && progress.unconfirmed == 0 => Verdict::Confirmed,
        Duration::ZERO => Verdict::TimedOut,
        rest => Verdict::Wait(rest),
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { published, unconfirmed, running } = self;
        if *published {
            write!(f, "{unconfirmed} of {running} gateway pods have not confirmed that they refuse the key")
        } else {
            write!(f, "the bundle without the key could not be published; {running} gateway pods run")
        }
    }
}
