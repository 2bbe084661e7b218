//! Brings records to the disk, all that wait by one `fdatasync`: those that come meanwhile are the next group.

use std::{
    fs::File,
    io,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use tokio::sync::watch;

use super::{
    WalError,
    segments::{self, Log},
};

/// How far the records of one writer have got.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    done: u64,
    /// Up to here something went wrong, and nobody knows with what.
    failed: u64,
}

struct Group {
    log: Arc<Mutex<Log>>,
    progress: watch::Sender<Progress>,
}

type Groups = Arc<Mutex<Vec<Group>>>;

/// The thread that syncs. It ends with the last of the writers.
pub(super) struct Syncer {
    groups: Groups,
    wake: SyncSender<()>,
}

/// A writer's side of it.
pub(super) struct Waiting {
    progress: watch::Receiver<Progress>,
    wake: SyncSender<()>,
}

impl Syncer {
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        // New segments are entries of the folder.
        let folder = File::open(folder)?;
        let groups = Groups::default();
        let (wake, woken) = mpsc::sync_channel(1);
        let all = Arc::clone(&groups);
        thread::Builder::new().name("wal-sync".to_owned()).spawn(move || run(&folder, &all, &woken))?;
        Ok(Self { groups, wake })
    }

    pub(super) fn add(&self, log: Arc<Mutex<Log>>) -> Waiting {
        let (progress, receiver) = watch::channel(Progress::default());
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(Group { log, progress });
        Waiting { progress: receiver, wake: self.wake.clone() }
    }
}

impl Waiting {
    pub(super) fn wake(&self) {
        // Full = it will look once more anyway.
        let _ = self.wake.try_send(());
    }

    pub(super) async fn reached(&self, record: u64) -> Result<(), WalError> {
        let mut progress = self.progress.clone();
        let progress = progress.wait_for(|progress| progress.done >= record).await.map_err(|_| WalError::Sync)?;
        if record <= progress.failed { Err(WalError::Sync) } else { Ok(()) }
    }
}

fn run(folder: &File, groups: &Mutex<Vec<Group>>, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        for group in &*groups.lock().unwrap_or_else(PoisonError::into_inner) {
            sync(folder, group);
        }
    }
}

fn sync(folder: &File, group: &Group) {
    let unsynced = segments::locked(&group.log).unsynced();
    if unsynced.files.is_empty() {
        return;
    }
    let synced = unsynced.files.iter().try_for_each(|file| file.sync_data()).and_then(|()| folder.sync_data());
    if let Err(error) = &synced {
        tracing::error!(%error, "cannot bring the write-ahead file to the disk");
        // What the kernel could not write it may have dropped: a later success would say nothing of it.
        segments::locked(&group.log).start_anew();
    }
    group.progress.send_modify(|progress| {
        progress.done = unsynced.written;
        if synced.is_err() {
            progress.failed = unsynced.written;
        }
    });
}
