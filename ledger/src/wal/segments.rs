//! The segments of one runtime: where each record that is still of use lies, and which files can go.

use std::{
    collections::{HashMap, VecDeque},
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Sync, WalError, WalOptions,
    record::{self, Kind},
    tail::Tail,
};
use crate::spend_log::SpendRow;

/// Rows confirmed under one lock: the runtime that writes must not wait long.
const CHUNK: usize = 64;

/// What one runtime has written.
pub(super) struct Log {
    folder: PathBuf,
    runtime: usize,
    options: WalOptions,
    /// Of each event that is not confirmed, by its sequence: the record that counts.
    live: HashMap<u64, Place>,
    /// Oldest first.
    segments: VecDeque<Held>,
    active: Option<Active>,
    next: u64,
    buffer: Vec<u8>,
    written: u64,
    unsynced: Vec<Arc<File>>,
}

#[derive(Clone, Copy)]
struct Place {
    segment: u64,
    offset: u64,
    length: usize,
}

struct Held {
    number: u64,
    /// Records in it that count.
    live: usize,
}

/// The segment that is written.
struct Active {
    number: u64,
    tail: Tail,
}

/// What is to be brought to the disk.
pub(super) struct Unsynced {
    pub(super) files: Vec<Arc<File>>,
    /// All records up to this one are in them.
    pub(super) written: u64,
}

pub(super) fn path(folder: &Path, runtime: usize, number: u64) -> PathBuf {
    folder.join(format!("{runtime}-{number}.wal"))
}

pub(super) fn locked(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets rows that the store has, and the files that only they needed.
pub(super) fn confirm(log: &Mutex<Log>, rows: &[SpendRow]) {
    for rows in rows.chunks(CHUNK) {
        let mut log = locked(log);
        for row in rows {
            log.forget(row.event.sequence);
        }
    }
    locked(log).delete_unneeded();
    let crowded = locked(log).crowded();
    if let Some((segment, of_use)) = crowded
        && let Err(error) = carry(log, segment, of_use)
    {
        tracing::warn!(%error, "cannot empty an old write-ahead file; it stays");
    }
}

fn carry(log: &Mutex<Log>, segment: u64, of_use: Vec<u64>) -> io::Result<()> {
    let old = {
        let log = locked(log);
        File::open(path(&log.folder, log.runtime, segment))?
    };
    for sequence in of_use {
        locked(log).carry(&old, segment, sequence)?;
    }
    locked(log).delete_unneeded();
    Ok(())
}

impl Log {
    pub(super) fn new(folder: PathBuf, runtime: usize, options: WalOptions) -> Self {
        Self {
            folder,
            runtime,
            options,
            live: HashMap::new(),
            segments: VecDeque::new(),
            active: None,
            next: 0,
            buffer: Vec::new(),
            written: 0,
            unsynced: Vec::new(),
        }
    }

    /// Appends one record and returns its number.
    pub(super) fn append(&mut self, kind: Kind, row: &SpendRow) -> Result<u64, WalError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        record::encode(&mut buffer, kind, row);
        let written = self.write(row.event.sequence, &buffer);
        self.buffer = buffer;
        written.map_err(WalError::Write)?;
        Ok(self.written)
    }

    /// Something in it is not in the store, as far as is known.
    pub(super) fn is_needed(&self) -> bool {
        !self.live.is_empty()
    }

    /// What was written since the last call; the caller syncs it.
    pub(super) fn unsynced(&mut self) -> Unsynced {
        Unsynced { files: std::mem::take(&mut self.unsynced), written: self.written }
    }

    /// The next record goes to a new segment.
    pub(super) fn start_anew(&mut self) {
        self.active = None;
    }

    fn write(&mut self, sequence: u64, bytes: &[u8]) -> io::Result<()> {
        let full = |active: &Active| active.tail.length() >= self.options.segment;
        if self.active.as_ref().is_none_or(full) {
            self.active = Some(self.start_segment()?);
        }
        let Some(Active { number, tail }) = &mut self.active else { return Ok(()) };
        let place = Place { segment: *number, offset: tail.append(bytes)?, length: bytes.len() };
        let file = tail.file();
        if self.options.sync == Sync::Group && self.unsynced.last().is_none_or(|last| !Arc::ptr_eq(last, file)) {
            self.unsynced.push(Arc::clone(file));
        }
        self.written += 1;
        self.count(place.segment, 1);
        if let Some(before) = self.live.insert(sequence, place) {
            self.count(before.segment, -1);
        }
        Ok(())
    }

    fn start_segment(&mut self) -> io::Result<Active> {
        let number = self.next;
        let path = path(&self.folder, self.runtime, number);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let tail = match Tail::new(file, &record::header(self.options.sync)) {
            Ok(tail) => tail,
            Err(error) => {
                // The next try makes the same one.
                fs::remove_file(&path)?;
                return Err(error);
            }
        };
        self.next += 1;
        self.segments.push_back(Held { number, live: 0 });
        Ok(Active { number, tail })
    }

    fn count(&mut self, segment: u64, change: isize) {
        // From the newest: nearly all records are in it.
        if let Some(held) = self.segments.iter_mut().rev().find(|held| held.number == segment) {
            held.live = held.live.saturating_add_signed(change);
        }
    }

    fn forget(&mut self, sequence: u64) {
        if let Some(place) = self.live.remove(&sequence) {
            self.count(place.segment, -1);
        }
    }

    /// Deletes what nobody needs, but no segment before an older one: an OPEN must not outlive its CLOSE.
    fn delete_unneeded(&mut self) {
        while let Some(oldest) = self.segments.front()
            && oldest.live == 0
            && self.active.as_ref().is_none_or(|active| active.number != oldest.number)
        {
            let path = path(&self.folder, self.runtime, oldest.number);
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot delete a write-ahead file that is not needed");
                return;
            }
            self.segments.pop_front();
        }
    }

    /// Where there are too many segments: the oldest one, and the events whose records in it count.
    fn crowded(&self) -> Option<(u64, Vec<u64>)> {
        let oldest = self.segments.front().filter(|_| self.segments.len() > self.options.keep + 1)?.number;
        let of_use = self.live.iter().filter(|(_, place)| place.segment == oldest).map(|(sequence, _)| *sequence);
        Some((oldest, of_use.collect()))
    }

    /// Writes a record of an old segment again, if it still counts.
    fn carry(&mut self, old: &File, segment: u64, sequence: u64) -> io::Result<()> {
        let Some(place) = self.live.get(&sequence).copied().filter(|place| place.segment == segment) else {
            return Ok(());
        };
        let mut bytes = vec![0; place.length];
        old.read_exact_at(&mut bytes, place.offset)?;
        self.write(sequence, &bytes)
    }
}
