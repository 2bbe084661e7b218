//! Tells when something in a folder may have changed. Events can be lost: whoever uses it looks now and then as well.

use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::sync::mpsc;

/// Watches a folder, and its parent so that a folder that is put in its place is seen.
pub(super) struct Eyes {
    folder: PathBuf,
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of the folder that is watched.
    seen: Option<(u64, u64)>,
}

impl Eyes {
    /// With a channel that gets a message after each change; several changes may share one.
    pub(super) fn open(folder: &Path) -> io::Result<(Self, mpsc::Receiver<()>)> {
        let folder = std::path::absolute(folder)?;
        let (sender, events) = mpsc::channel(1);
        let of = folder.clone();
        let handler = move |event: notify::Result<Event>| {
            // An error may have lost events. A full channel has one waiting already.
            if event.is_err() || event.is_ok_and(|event| concerns(&event, &of)) {
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(handler)
            .inspect_err(|error| {
                tracing::warn!(%error, folder = %folder.display(), "no events for changed files; looking every few seconds instead");
            })
            .ok();
        let mut eyes = Self { folder, watcher, seen: None };
        eyes.refresh();
        Ok((eyes, events))
    }

    /// Whether changes are told at all.
    pub(super) fn see(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches the folder that is there now. To be called after each change.
    pub(super) fn refresh(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let now = std::fs::metadata(&self.folder).ok().map(|folder| (folder.dev(), folder.ino()));
        if now == self.seen && now.is_some() {
            return;
        }
        if let Some(parent) = self.folder.parent() {
            // The parent, too, may be another one by now. A watch that cannot be had is made up for by the poll.
            let _ = watcher.unwatch(parent);
            let _ = watcher.watch(parent, RecursiveMode::NonRecursive);
        }
        let _ = watcher.unwatch(&self.folder);
        let watched = watcher.watch(&self.folder, RecursiveMode::NonRecursive).is_ok();
        self.seen = now.filter(|_| watched);
    }
}

/// Whether an event is a change of the folder or of something in it. Reading is no change, or each look would cause the next.
fn concerns(event: &Event, folder: &Path) -> bool {
    let change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    change && (event.paths.is_empty() || event.paths.iter().any(|path| path == folder || path.parent() == Some(folder)))
}
