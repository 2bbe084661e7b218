//! When to touch which gateway pod, so that its kubelet looks at the volumes at once. Decisions only.
//!
//! ```text
//!  manifest written ─▶ every running pod, once
//!                      └─ not reported 2 s later ─▶ again, every 2 s ─ 5 times ─▶ every 30 s
//! ```
//! A touch too many slows the kubelet down, so a pod that has reported the manifest is left alone.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::gateways::{Gateway, Gateways};

/// How long a pod may take before it is touched again.
pub const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How often that is tried in a row.
const QUICK: u32 = 5;
/// How long to wait from then on.
pub const SLOWLY: Duration = Duration::from_secs(30);

/// Who was touched for the current manifest, and when.
#[derive(Debug, Default)]
pub struct Bumps {
    hash: String,
    /// By uid: when last, and how often. A pod that was seen first after the manifest was written counts as touched then:
    /// its volumes are newer.
    pods: BTreeMap<String, (Instant, u32)>,
    /// Touch whoever is there without waiting.
    at_once: bool,
}

/// A pod to touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bump {
    /// Its name.
    pub pod: String,
    /// Its uid: another pod of that name is none of ours.
    pub uid: String,
    /// The manifest's hash.
    pub hash: String,
    /// Whether it was touched for this manifest before: the annotation must change to be noticed.
    pub again: bool,
}

impl Bumps {
    /// A manifest is there. `written`: just now; else it was found, and pods have probably loaded it already.
    pub fn publish(&mut self, hash: &str, written: bool) {
        if self.hash != hash {
            *self = Self { hash: hash.to_owned(), pods: BTreeMap::new(), at_once: written };
        }
    }

    /// Whom to touch now, and when to ask again if nothing happens until then.
    pub fn due(&mut self, gateways: &Gateways, now: Instant) -> (Vec<Bump>, Option<Instant>) {
        if self.hash.is_empty() {
            return (Vec::new(), None);
        }
        self.pods.retain(|uid, _| gateways.values().any(|gateway| gateway.uid == *uid));
        let mut bumps = Vec::new();
        let mut next: Option<Instant> = None;
        for (pod, gateway) in gateways.iter().filter(|(_, gateway)| gateway.running && !holds(gateway, &self.hash)) {
            let first = !self.pods.contains_key(&gateway.uid);
            let (at, times) = self.pods.entry(gateway.uid.clone()).or_insert((now, 0));
            let wait = if *times > QUICK { SLOWLY } else { AGAIN_AFTER };
            if (first && self.at_once) || now >= *at + wait {
                let again = *times > 0 || !self.at_once;
                bumps.push(Bump { pod: pod.clone(), uid: gateway.uid.clone(), hash: self.hash.clone(), again });
                (*at, *times) = (now, *times + 1);
            }
            let wait = if *times > QUICK { SLOWLY } else { AGAIN_AFTER };
            next = Some(next.map_or(*at + wait, |next| next.min(*at + wait)));
        }
        self.at_once = false;
        (bumps, next)
    }
}

fn holds(gateway: &Gateway, hash: &str) -> bool {
    gateway.report.as_ref().is_some_and(|report| report.hash.as_deref() == Some(hash))
}
