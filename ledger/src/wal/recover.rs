//! What the dead have left: found by their locks, which end with their processes.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    LOCK, WalError,
    record::{self, Kind},
    segments,
};
use crate::spend_log::SpendRow;

/// The outcome of a row whose attempt nobody saw end.
const CRASHED: &str = "crashed";

/// The files of a process that has ended, locked.
#[derive(Debug)]
pub struct Abandoned {
    incarnation: Uuid,
    folder: PathBuf,
    _lock: File,
}

/// What an ended process has recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Left {
    /// In the order of their events. Most of them may be in the store already.
    pub rows: Vec<SpendRow>,
    /// How many of them are of attempts whose end was not recorded: they are booked at their bound.
    pub crashed: usize,
    /// Nothing is missing, so that what is not in `rows` was not used. After damage or a loss of power nobody knows.
    pub whole: bool,
}

/// All files in `parent` whose process has ended. They stay locked for as long as the result lives.
///
/// # Errors
/// The folder cannot be listed. One that is not there has nothing in it.
pub fn abandoned(parent: &Path) -> Result<Vec<Abandoned>, WalError> {
    let failed = |source| WalError::Folder { path: parent.to_owned(), source };
    let entries = match fs::read_dir(parent) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let folder = entry.map_err(failed)?.path();
        let name = folder.file_name().and_then(|name| name.to_str());
        let Some(incarnation) = name.and_then(|name| name.parse().ok()) else { continue };
        let lock = match File::options().write(true).open(folder.join(LOCK)) {
            Ok(lock) => lock,
            // Somebody else is deleting it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        match lock.try_lock() {
            Ok(()) => found.push(Abandoned { incarnation, folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    found.sort_unstable_by_key(|dead| dead.incarnation);
    Ok(found)
}

impl Abandoned {
    /// The run of the gateway that it is of.
    pub fn incarnation(&self) -> Uuid {
        self.incarnation
    }

    /// Reads all of it. It can be read again, with the same result.
    ///
    /// # Errors
    /// A file cannot be read or has an unknown format; the files should stay.
    pub fn read(&self) -> Result<Left, WalError> {
        let mut rows: BTreeMap<u64, (Kind, SpendRow)> = BTreeMap::new();
        let mut whole = true;
        let mut before = None;
        for (runtime, number) in self.segments()? {
            let path = segments::path(&self.folder, runtime, number);
            let bytes = fs::read(&path).map_err(|source| WalError::Read { path: path.clone(), source })?;
            let segment = record::read(&bytes).map_err(|record::Unknown| WalError::Format { path })?;
            // They are deleted from the first on: one that misses between others was not deleted by their owner.
            let gap = before.is_some_and(|(of, last): (usize, u64)| of == runtime && last + 1 != number);
            whole &= segment.whole && !gap;
            before = Some((runtime, number));
            for (kind, row) in segment.records {
                let closed = rows.get(&row.event.sequence).is_some_and(|(kind, _)| *kind == Kind::Close);
                if kind == Kind::Close || !closed {
                    rows.insert(row.event.sequence, (kind, row));
                }
            }
        }
        let crashed = rows.values().filter(|(kind, _)| *kind == Kind::Open).count();
        let rows = rows.into_values().map(|(kind, row)| match kind {
            Kind::Open => SpendRow { outcome: CRASHED, estimated: true, ..row },
            Kind::Close => row,
        });
        Ok(Left { rows: rows.collect(), crashed, whole })
    }

    /// Deletes the files, when their rows are in the store.
    ///
    /// # Errors
    /// They cannot be deleted; the next start finds them again.
    pub fn delete(self) -> io::Result<()> {
        delete(&self.folder)
    }

    /// Of all runtimes, each with its oldest first.
    fn segments(&self) -> Result<Vec<(usize, u64)>, WalError> {
        let failed = |source| WalError::Folder { path: self.folder.clone(), source };
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let parts = name.to_str().and_then(|name| name.strip_suffix(".wal")?.split_once('-'));
            if let Some((runtime, number)) = parts
                && let (Ok(runtime), Ok(number)) = (runtime.parse(), number.parse())
            {
                segments.push((runtime, number));
            }
        }
        segments.sort_unstable();
        Ok(segments)
    }
}

/// Deletes an incarnation's folder, its lock last: nobody else finds half of it.
pub(super) fn delete(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name != LOCK) {
            fs::remove_file(path)?;
        }
    }
    fs::remove_file(folder.join(LOCK))?;
    fs::remove_dir(folder)
}
