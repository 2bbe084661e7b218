//! What has the bundle published again beside a change of objects: gateways that read other formats, engines' pods elsewhere.

use tokio::time::Instant;
use turnpike_bundle::layout::MANIFEST;

use super::Publisher;
use crate::{
    kit::events::EventType,
    publish::{
        endpoints::Endpoints,
        format::{TooOld, choose},
    },
};

impl Publisher {
    /// The format to write now.
    pub(super) fn format(&self) -> Result<u32, TooOld> {
        // This receiver is never marked as read, so it tells whether anything was ever sent; nothing more comes without a sender.
        let is_known = self.context.gateways.has_changed().unwrap_or(true);
        let gateways = self.context.gateways.borrow();
        choose(is_known.then_some(&**gateways), self.previous.manifest.as_ref().map(|manifest| manifest.format))
    }

    /// Publishes anew where gateways read another format than lies in the cluster.
    pub(super) fn reformat(&mut self) {
        let Some(written) = self.previous.manifest.as_ref().map(|manifest| manifest.format) else { return };
        if let Ok(format) = self.format()
            && format != written
        {
            tracing::info!(format, written, "gateways read another format of the bundle; it is written in that");
            self.dirty.get_or_insert_with(Instant::now);
        }
    }

    /// Where engines' pods are; until that is known, where they were.
    pub(super) fn endpoints(&self) -> Endpoints {
        self.endpoints.borrow().clone().unwrap_or_else(|| self.previous.endpoints.clone())
    }

    /// Publishes anew where engines' pods are elsewhere than gateways were told.
    pub(super) fn relocate(&mut self) {
        if self.endpoints() != self.previous.endpoints {
            self.dirty.get_or_insert_with(Instant::now);
        }
    }

    /// Says that nothing is published while there are such gateways.
    pub(super) fn tell_too_old(&mut self, too_old: TooOld) {
        let names = &too_old.0;
        let note = format!(
            "nothing new is published: {} cannot read any format that this operator writes; upgrade the gateways first",
            names.join(", ")
        );
        tracing::warn!(gateways = ?names, "gateways are too old for this operator; nothing new is published");
        let manifest = self.store.reference(MANIFEST, self.observed.get(MANIFEST));
        self.context.events.publish(manifest, EventType::Warning, "GatewaysTooOld", "Publish", note);
        self.too_old = Some(too_old);
    }
}
