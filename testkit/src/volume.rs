//! A volume as the kubelet keeps it: all files change at once, by one rename of a link.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tokio::time::Instant;

/// A mounted `ConfigMap`, Secret or projection of several.
#[derive(Clone, Debug)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// The volume mounted here.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Replaces all files, and removes the old ones as soon as the new ones are visible; says when that was.
    pub fn publish<N: AsRef<str>, B: AsRef<[u8]>>(&self, files: impl IntoIterator<Item = (N, B)>) -> Instant {
        let link = self.path.join("..data");
        let before = fs::read_link(&link).ok();
        let number = before.as_deref().and_then(Path::to_str).and_then(|name| name.rsplit('.').next()?.parse().ok());
        let name = format!("..2026_01_01_00_00_00.{}", number.unwrap_or(0_u64) + 1);
        let data = self.path.join(&name);
        fs::create_dir(&data).expect("a new folder");
        let mut kept = Vec::new();
        for (file, bytes) in files {
            let file = file.as_ref();
            fs::write(data.join(file), bytes).expect("a new file");
            let visible = self.path.join(file);
            if !visible.is_symlink() {
                symlink(Path::new("..data").join(file), visible).expect("a new link");
            }
            kept.push(file.to_owned());
        }
        let fresh = self.path.join("..data_tmp");
        symlink(&name, &fresh).expect("a new link");
        let swapped = Instant::now();
        fs::rename(&fresh, &link).expect("the same folder");
        for entry in fs::read_dir(&self.path).expect("the volume").flatten() {
            let file = entry.file_name().into_string().expect("a plain name");
            if !file.starts_with('.') && !kept.contains(&file) {
                fs::remove_file(entry.path()).expect("our own link");
            }
        }
        if let Some(before) = before {
            fs::remove_dir_all(self.path.join(before)).expect("our own folder");
        }
        swapped
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
