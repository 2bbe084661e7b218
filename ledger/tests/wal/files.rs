//! What lies in the folder.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::rows::RUN;

/// The segments in an incarnation's folder, oldest first as long as they have one digit.
pub(crate) fn segments(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent.join(RUN.to_string())).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> = entries.filter(|path| path.extension().is_some_and(|of| of == "wal")).collect();
    segments.sort_unstable();
    segments
}

/// Where each record in a segment begins and ends. A record without a length is the end.
pub(crate) fn records(segment: &[u8]) -> Vec<Range<usize>> {
    let mut records = Vec::new();
    let mut at: usize = 24;
    while let Some(length @ [_, ..]) = segment.get(at..at + 4).filter(|length| **length != [0; 4]) {
        let end = at + 8 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        records.push(at..end);
        at = end.next_multiple_of(8);
    }
    records
}
