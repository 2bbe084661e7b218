//! The end of the segment that is written, mapped into memory: a record costs a copy and no system call. What is in a shared
//! mapping is the kernel's as what write(2) took is, and outlives the process as that does.
//!
//! A stretch of the file is written with zeros before it is mapped: a full disk is an error of that write, and never of a copy.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, atomic::Ordering},
};

use vm_memory::{Bytes as _, FileOffset, MmapRegion, VolatileMemory as _, mmap::MmapRegionError};

use super::record::{ALIGN, FRAME, HEADER};

/// Bytes that the file grows by and that are mapped at a time; a multiple of every page size that Linux has.
const STRETCH: u64 = 64 * 1024;
const ZEROS: [u8; 8192] = [0; 8192];

/// A segment that is written. Dropped, it stays as it is.
pub(super) struct Tail {
    file: Arc<File>,
    /// Where the next record goes.
    length: u64,
    /// Where the zeros end.
    grown: u64,
    mapped: Option<Mapped>,
}

struct Mapped {
    region: MmapRegion,
    start: u64,
}

impl Tail {
    /// `file` is empty, for reading and writing.
    pub(super) fn new(file: File, header: &[u8; HEADER]) -> io::Result<Self> {
        let mut tail = Self { file: Arc::new(file), length: 0, grown: 0, mapped: None };
        tail.advance(HEADER as u64)?;
        tail.file.write_all_at(header, 0)?;
        tail.length = HEADER as u64;
        Ok(tail)
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Bytes that are in use.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Copies a record behind the others and returns its place.
    pub(super) fn append(&mut self, record: &[u8]) -> io::Result<u64> {
        let place = self.length;
        let after = (place + record.len() as u64).next_multiple_of(ALIGN as u64);
        let mapped = match self.mapped.take().filter(|mapped| after <= mapped.start + mapped.region.size() as u64) {
            Some(mapped) => self.mapped.insert(mapped),
            None => self.advance(after)?,
        };
        mapped.put(place, record).map_err(io::Error::other)?;
        self.length = after;
        Ok(place)
    }

    /// Maps the stretches from the next record's to the one that `end` is in.
    fn advance(&mut self, end: u64) -> io::Result<&mut Mapped> {
        let start = self.length / STRETCH * STRETCH;
        let end = end.next_multiple_of(STRETCH);
        while self.grown < end {
            // What fails half is written again.
            self.file.write_all_at(&ZEROS, self.grown)?;
            self.grown += ZEROS.len() as u64;
        }
        let size = usize::try_from(end - start).map_err(io::Error::other)?;
        let place = FileOffset::from_arc(Arc::clone(&self.file), start);
        let region = MmapRegion::from_file(place, size).map_err(|error| match error {
            MmapRegionError::Mmap(error) => error,
            other => io::Error::other(other),
        })?;
        Ok(self.mapped.insert(Mapped { region, start }))
    }
}

impl Mapped {
    /// The frame last: until it is there, a reader sees the end.
    fn put(&self, place: u64, record: &[u8]) -> Result<(), vm_memory::VolatileMemoryError> {
        let Some((frame, body)) = record.split_first_chunk::<FRAME>() else { return Ok(()) };
        let place = usize::try_from(place - self.start).unwrap_or(usize::MAX);
        self.region.get_slice(place + FRAME, body.len())?.copy_from(body);
        self.region.as_volatile_slice().store(u64::from_ne_bytes(*frame), place, Ordering::Release)
    }
}
