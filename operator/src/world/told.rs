//! Tells people of objects that cannot be read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use turnpike_bundle::problem::ObjectId;
use turnpike_crds::API_VERSION;

use super::observer::Observer;
use crate::{context::Context, kit::events::EventType};

/// What has been told.
#[derive(Default)]
pub(super) struct Told(BTreeMap<ObjectId, Telling>);

#[derive(Clone, PartialEq, Eq)]
struct Telling {
    error: String,
    /// By an event, which is the leader's to write: a process that comes to lead later does so then.
    by_event: bool,
}

impl Told {
    /// Tells what is new: by the log, by a metric and, while this process leads, by an event.
    pub(super) fn tell(&mut self, context: &Context, observer: &Observer) {
        let leads = context.metrics.leader.get() == 1;
        let mut all = BTreeMap::new();
        for (id, uid, error) in observer.unreadable() {
            let before = self.0.get(id).filter(|telling| telling.error == error);
            if before.is_none() {
                tracing::warn!(object = %id, error, "an object cannot be read; its last good version serves on");
            }
            let was_told = before.is_some_and(|telling| telling.by_event);
            if leads && !was_told {
                let note =
                    format!("the object cannot be read ({error}); its last good version serves on; correct the field");
                context.events.publish(reference(id, uid), EventType::Warning, "Unreadable", "Read", note);
            }
            all.insert(id.clone(), Telling { error: error.to_owned(), by_event: was_told || leads });
        }
        self.0 = all;
        context.metrics.unreadable.set(i64::try_from(self.0.len()).unwrap_or(i64::MAX));
    }
}

fn reference(id: &ObjectId, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(id.kind.as_str().to_owned()),
        namespace: Some(id.object.namespace.clone()),
        name: Some(id.object.name.clone()),
        uid: (!uid.is_empty()).then(|| uid.to_owned()),
        ..ObjectReference::default()
    }
}
