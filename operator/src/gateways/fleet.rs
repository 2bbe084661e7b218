//! The pods as the watch tells of them, joined with what their gateways report.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::Event;
use turnpike_bundle::Report;

use crate::gateways::{Gateway, Gateways, pod};

/// What is known of the pods.
#[derive(Debug, Default)]
pub struct Fleet {
    gateways: Gateways,
    /// While the watch lists all pods anew.
    listing: Option<Gateways>,
    /// All pods have been listed once.
    complete: bool,
}

impl Fleet {
    /// Takes in an event of the watch.
    pub fn observe(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listing = Some(Gateways::new()),
            Event::InitApply(pod) => {
                let entry = pod::gateway(&pod).map(|(name, gateway)| (name.clone(), self.with_report(&name, gateway)));
                self.listing.get_or_insert_default().extend(entry);
            }
            Event::InitDone => {
                self.gateways = self.listing.take().unwrap_or_default();
                self.complete = true;
            }
            Event::Apply(pod) => {
                if let Some((name, gateway)) = pod::gateway(&pod) {
                    let gateway = self.with_report(&name, gateway);
                    self.gateways.insert(name, gateway);
                }
            }
            Event::Delete(pod) => {
                // A pod of the same name may have taken its place already.
                let (name, uid) = (pod.metadata.name.unwrap_or_default(), pod.metadata.uid);
                if self.gateways.get(&name).is_some_and(|gateway| uid.is_none_or(|uid| gateway.uid == uid)) {
                    self.gateways.remove(&name);
                }
            }
        }
    }

    /// Takes in what the gateway of this pod says; `None` = it has not answered for a while.
    pub fn report(&mut self, uid: &str, report: Option<&Arc<Report>>) {
        let listed = self.listing.iter_mut().flat_map(Gateways::values_mut);
        for gateway in self.gateways.values_mut().chain(listed).filter(|gateway| gateway.uid == uid) {
            gateway.report = report.cloned();
        }
    }

    /// All pods; `None` before all are known.
    pub fn complete(&self) -> Option<&Gateways> {
        self.complete.then_some(&self.gateways)
    }

    /// A report belongs to a uid: another pod of the same name starts without one.
    fn with_report(&self, name: &str, gateway: Gateway) -> Gateway {
        let known = self.gateways.get(name).filter(|known| known.uid == gateway.uid && gateway.running);
        Gateway { report: known.and_then(|known| known.report.clone()), ..gateway }
    }
}
