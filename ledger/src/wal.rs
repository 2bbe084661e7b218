//! The write-ahead file: what a gateway has sent upstream and what it cost, on disk before anybody is told, so that a crash of
//! the process or the container loses no spend.
//!
//! ```text
//!  FOLDER/INCARNATION/lock        held for as long as the process lives (a lock of the kernel's: no crash leaves it behind)
//!                    /3-17.wal    runtime 3, its 17th segment
//!
//!  before dispatch   writer.open(&row)    the row as it must read if nothing more is heard: at the bound
//!  before the end    writer.close(&row)   the row as it is
//!  rows are written  wal.confirm(&rows)   segments in which all is confirmed are deleted, oldest first
//!  next start        abandoned(FOLDER)    locks what the dead have left; rows() -> append -> close leases -> delete()
//! ```
//!
//! How a gateway uses it:
//!
//! 1. At the start, before it serves: for each of [`abandoned`]`(folder)`, `let left = dead.read()?`; [`append`] `left.rows` in
//!    batches to the store (repeats are skipped there by their event); if `left.whole`, then
//!    [`LeaseStore::close`]`(dead.incarnation())`, else leave its leases to [`reap`]; then `dead.delete()`. While the store does not
//!    answer keep the `Abandoned` (it holds the lock) and try again later: serving need not wait.
//! 2. [`Wal::create`] with [`SpendSink::incarnation`], one [`Wal::writer`] for each runtime, and
//!    `sink.on_written(move |rows| wal.confirm(rows))`.
//! 3. For each attempt [`WalWriter::open`] before the first byte goes upstream, and under [`Sync::Group`] also
//!    [`WalWriter::synced`]. An error = nothing is recorded: refuse where an account is `FailClosed`, else go on and count it.
//! 4. [`WalWriter::close`] before the last event or the last body chunk goes to the client, then `SpendSlot::submit`. An error
//!    here needs no more than a count: a crash before the row is written then books the bound.
//! 5. At the end, after [`SpendWriter::flush`]: [`Wal::finish`].
//!
//! An attempt that was opened ends with a row, always, at cost 0 where the upstream cannot have received it. What no upstream
//! is asked (refused requests, mocks, cache hits) needs no record here.
//!
//! [`append`]: crate::spend_log::SpendStore::append
//! [`reap`]: crate::store::LeaseStore::reap
//! [`LeaseStore::close`]: crate::store::LeaseStore::close
//! [`SpendSink::incarnation`]: crate::spend_log::SpendSink::incarnation
//! [`SpendWriter::flush`]: crate::spend_log::SpendWriter::flush

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

pub use self::{
    recover::{Abandoned, Left, abandoned},
    writer::{WalWriter, Written},
};
use self::{segments::Log, sync::Syncer};
use crate::spend_log::SpendRow;

mod codec;
mod record;
mod recover;
mod segments;
mod sync;
mod tail;
mod writer;

/// What a record survives, beside the end of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Nothing more: a loss of power may lose the last seconds, and then the leases are given up as unattributed.
    Never,
    /// A loss of power: all records that wait are brought to the disk by one `fdatasync`.
    Group,
}

/// Sizes of the files.
#[derive(Clone, Copy, Debug)]
pub struct WalOptions {
    /// A segment that has reached this many bytes gets no more records.
    pub segment: u64,
    /// Full segments of one runtime beyond which the oldest is emptied, by writing again what is still of use in it.
    pub keep: usize,
    /// What a record survives.
    pub sync: Sync,
}

impl Default for WalOptions {
    fn default() -> Self {
        Self { segment: 1024 * 1024, keep: 4, sync: Sync::Never }
    }
}

/// Why something is not recorded, or cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WalError {
    /// The folder cannot be made, locked or listed.
    #[error("cannot use the write-ahead folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Full, read-only, or broken. Nothing of the record is on disk.
    #[error("cannot write the write-ahead file")]
    Write(#[source] io::Error),
    /// The records may be lost with the power.
    #[error("cannot bring the write-ahead file to the disk")]
    Sync,
    /// A segment cannot be read.
    #[error("cannot read the write-ahead file {path}")]
    Read {
        /// The segment.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another version of the program wrote it.
    #[error("the write-ahead file {path} has an unknown format")]
    Format {
        /// The segment.
        path: PathBuf,
    },
}

const LOCK: &str = "lock";

/// The write-ahead files of this process. Dropped, they stay for whoever comes next; [`Self::finish`] is the orderly end.
pub struct Wal {
    folder: PathBuf,
    options: WalOptions,
    logs: Mutex<Vec<Arc<Mutex<Log>>>>,
    syncer: Option<Syncer>,
    // Released by the kernel when the process ends, however it ends.
    _lock: File,
}

impl Wal {
    /// Makes and locks the files' folder inside `parent`. `incarnation` is the one of the rows to come.
    ///
    /// # Errors
    /// The folder is not writable, or there is one of this incarnation already.
    pub fn create(parent: &Path, incarnation: Uuid, options: WalOptions) -> Result<Self, WalError> {
        let folder = parent.join(incarnation.to_string());
        let failed = |source| WalError::Folder { path: folder.clone(), source };
        // Under another name until it is locked: nobody must find it without its owner.
        let unlocked = parent.join(format!(".{incarnation}.new"));
        fs::create_dir_all(&unlocked).map_err(failed)?;
        let lock = File::create(unlocked.join(LOCK)).map_err(failed)?;
        lock.try_lock().map_err(|error| failed(error.into()))?;
        fs::rename(&unlocked, &folder).map_err(failed)?;
        let syncer = match options.sync {
            Sync::Never => None,
            Sync::Group => Some(Syncer::start(&folder).map_err(failed)?),
        };
        Ok(Self { folder, options, logs: Mutex::default(), syncer, _lock: lock })
    }

    /// The writer of one runtime. It works from any thread, but is meant for one: two would wait for each other.
    pub fn writer(&self) -> WalWriter {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let log = Log::new(self.folder.clone(), logs.len(), self.options);
        let log = Arc::new(Mutex::new(log));
        logs.push(Arc::clone(&log));
        WalWriter { syncing: self.syncer.as_ref().map(|syncer| syncer.add(Arc::clone(&log))), log }
    }

    /// Takes note that the store has these rows: their records are not needed any more. It deletes files, so it does not belong
    /// on a thread that serves requests.
    pub fn confirm(&self, rows: &[SpendRow]) {
        for log in &*self.logs.lock().unwrap_or_else(PoisonError::into_inner) {
            segments::confirm(log, rows);
        }
    }

    /// Deletes the files if all that they tell is confirmed; else leaves them to the next start.
    ///
    /// # Errors
    /// They cannot be deleted.
    pub fn finish(&self) -> io::Result<()> {
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = |log: &Arc<Mutex<Log>>| log.lock().unwrap_or_else(PoisonError::into_inner).is_needed();
        if logs.iter().any(needed) { Ok(()) } else { recover::delete(&self.folder) }
    }
}
