//! What lies in the folder.

use std::{
    fs,
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
