//! A volume of Kubernetes, read at one moment.
//!
//! ```text
//!  /bundle/manifest ─▶ ..data/manifest
//!  /bundle/..data ─▶ ..2026_01_01_00_00_00.123     one rename of this link publishes all files at once
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The link that the kubelet swaps.
const DATA: &str = "..data";
/// How often to begin again when the link is swapped while files are read.
const TRIES: usize = 5;

/// Bytes by file name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// A mounted volume, or a plain folder.
pub(super) struct Volume {
    path: PathBuf,
    /// Where the link pointed when it was last read. The kubelet never writes there again.
    seen: Option<PathBuf>,
}

impl Volume {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), seen: None }
    }

    /// All files, from one target of the link; `None` = it still points to where it did. A plain folder is read each time.
    pub(super) fn look(&mut self) -> io::Result<Option<Files>> {
        let mut tries = 0;
        loop {
            tries += 1;
            let target = self.target();
            if target.is_some() && target == self.seen {
                return Ok(None);
            }
            let folder = target.as_ref().map_or_else(|| self.path.clone(), |target| self.path.join(target));
            let files = read(&folder);
            // The kubelet removes the old files as soon as the link points to new ones.
            if self.target() != target && tries < TRIES {
                continue;
            }
            // What could not be read is read again, wherever the link points by then.
            self.seen = target.filter(|_| files.is_ok());
            return files.map(Some);
        }
    }

    fn target(&self) -> Option<PathBuf> {
        fs::read_link(self.path.join(DATA)).ok()
    }
}

fn read(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') && fs::metadata(entry.path())?.is_file() {
            files.insert(name, fs::read(entry.path())?);
        }
    }
    Ok(files)
}
