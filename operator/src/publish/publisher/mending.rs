//! Notices when somebody else touches the bundle's objects, and has them written again.

use tokio::time::Instant;
use turnpike_bundle::layout::MANIFEST;

use super::{Fault, Publisher};
use crate::{
    kit::events::EventType,
    publish::{
        own::Seen,
        parts::is_secret,
        verdict::{Verdict, judge},
    },
};

impl Publisher {
    /// Takes in what a watch saw of the bundle's objects.
    pub(super) async fn look(&mut self, seen: Seen) -> Result<(), Fault> {
        match seen {
            Seen::Tokens => Ok(()),
            Seen::Part(part, version) => self.check(&part, version.as_deref()).await,
            Seen::All(secrets, listed) => {
                let gone: Vec<String> = self
                    .observed
                    .keys()
                    .filter(|part| is_secret(part) == secrets && !listed.contains(*part))
                    .cloned()
                    .collect();
                for part in gone {
                    self.check(&part, None).await?;
                }
                Ok(())
            }
        }
    }

    /// A part has this resourceVersion now; `None` = it is gone. Where that is not our doing it is read, and mended.
    async fn check(&mut self, part: &str, version: Option<&str>) -> Result<(), Fault> {
        let observed = self.observed.get(part);
        if observed.map(|lying| lying.resource_version.as_str()) == version {
            self.unseen.remove(part);
            return Ok(());
        }
        if version.is_some_and(|version| self.unseen.get_mut(part).is_some_and(|own| own.remove(version))) {
            return Ok(());
        }
        let before = observed.cloned();
        self.reread(part).await?;
        let now = self.observed.get(part);
        if now.map(|lying| (&lying.hash, lying.intact)) == before.as_ref().map(|lying| (&lying.hash, lying.intact)) {
            return Ok(());
        }
        self.dirty.get_or_insert_with(Instant::now);
        if before.is_some() {
            self.tell_edited(part, now.is_none());
        }
        Ok(())
    }

    /// Reads a part again. A manifest that another process wrote ends this one.
    pub(super) async fn reread(&mut self, part: &str) -> Result<(), Fault> {
        // Until it is read nothing is known of it, so that a failure here has it written again.
        if let Some(lying) = self.observed.get_mut(part) {
            lying.hash.clear();
        }
        let found = self.store.read(part).await?;
        match &found {
            Some(object) => self.observed.insert(part.to_owned(), self.store.lying(part, object)),
            None => self.observed.remove(part),
        };
        if part != MANIFEST {
            return Ok(());
        }
        let bytes = found.as_ref().and_then(|object| object.bytes(part));
        match judge(bytes, self.previous.manifest.as_ref(), &self.tried) {
            Verdict::Ours | Verdict::Damaged => Ok(()),
            Verdict::Arrived => {
                self.dirty.get_or_insert_with(Instant::now);
                self.read_all().await
            }
            Verdict::Foreign(foreign) => Err(foreign.into()),
        }
    }

    fn tell_edited(&self, part: &str, deleted: bool) {
        let done = if deleted { "deleted" } else { "edited" };
        let note = format!("{part} was {done} by somebody else and is written again; gateways keep what they had");
        tracing::warn!(part, done, "somebody else touched the bundle");
        let manifest = self.store.reference(MANIFEST, self.observed.get(MANIFEST));
        self.context.events.publish(manifest, EventType::Warning, "BundleEdited", "Publish", note);
    }
}
