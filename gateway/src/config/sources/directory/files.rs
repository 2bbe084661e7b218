//! Reads the manifests' files of one folder as they are at one moment.
//!
//! Like `kubectl apply -f DIR`: `*.yaml`, `*.yml` and `*.json` of the folder itself, no deeper. A folder that
//! Kubernetes mounts swaps all its files at once by a link named `..data`; a swap in the middle is read again.

use std::{collections::BTreeMap, fs, io, path::Path};

/// Content by file name.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// How often a swap in the middle is waited out; each retry means another swap within microseconds.
const MAX_SWAPS: usize = 5;

/// Every manifest of the folder.
pub(super) fn read(folder: &Path) -> io::Result<Files> {
    let mut before = data_link(folder);
    for _ in 0..MAX_SWAPS {
        let files = read_once(folder)?;
        let after = data_link(folder);
        if before == after {
            return Ok(files);
        }
        before = after;
    }
    Err(io::Error::other("the folder's content is swapped faster than it can be read"))
}

fn data_link(folder: &Path) -> Option<std::path::PathBuf> {
    fs::read_link(folder.join("..data")).ok()
}

fn read_once(folder: &Path) -> io::Result<Files> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_manifest(&name) {
            continue;
        }
        // Through links; a file that is gone again, or a folder of such a name, is no manifest.
        match fs::metadata(entry.path()) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(named(&name, &error)),
        }
        match fs::read(entry.path()) {
            Ok(bytes) => {
                files.insert(name, bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(named(&name, &error)),
        }
    }
    Ok(files)
}

/// Editors' hidden drafts and Kubernetes' `..` entries are none.
fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    !name.starts_with('.') && matches!(extension, Some("yaml" | "yml" | "json"))
}

fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}
