//! Keys that nobody brought: made once, kept in files that only this user can read, used again after.
//!
//! ```text
//!  DATA/admin-key                                   the admin key
//!  DATA/keys/<namespace>.<secretName>.<secretKey>   what VirtualKey.spec.generate asks for
//! ```

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::{RngReader, rngs::SysRng};
use turnpike_bundle::entry::ObjectRef;

/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// Shortest admin key that is not guessed at once.
const MIN_ADMIN_KEY: usize = 12;
/// The key that LiteLLM's documentation uses, and that is tried first.
const KNOWN_ADMIN_KEY: &str = "sk-1234";

/// The data folder's keys.
#[derive(Clone, Debug)]
pub struct Minted {
    data: PathBuf,
}

/// The admin key. Debug does not show it.
pub struct MintedAdminKey {
    /// The key itself.
    pub key: String,
    /// Where it came from.
    pub source: AdminKeySource,
}

/// Where the admin key came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminKeySource {
    /// From whoever started the gateway.
    Given,
    /// Made by the gateway and kept in this file.
    Generated(PathBuf),
}

/// A client key that was made for a `VirtualKey`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintedKey {
    /// The `VirtualKey`.
    pub object: ObjectRef,
    /// The file that holds the key.
    pub path: PathBuf,
}

/// A key's text and age.
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) created: SystemTime,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The data folder cannot be used.
    #[error("{path} cannot be written or read: {source}", path = .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A key file does not hold what was written to it.
    #[error("{path} does not hold a key any more; restore it, or delete it to have a new key made", path = .0.display())]
    Damaged(PathBuf),
    /// An admin key that anybody would guess.
    #[error(
        "the admin key {0}, so anybody could guess it; set TURNPIKE_ADMIN_KEY (or LITELLM_MASTER_KEY) to at least \
         {MIN_ADMIN_KEY} random characters, such as from: openssl rand -hex 24; or unset it to have one made"
    )]
    WeakAdminKey(&'static str),
    /// A name that cannot be part of a file's name.
    #[error("\"{0}\" cannot be part of a file's name; use letters, digits, - and .")]
    Name(String),
}

impl std::fmt::Debug for MintedAdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MintedAdminKey(***, {:?})", self.source)
    }
}

impl Minted {
    /// Makes the data folder if there is none; only its owner may look into a new one.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(data: &Path) -> Result<Self, MintError> {
        private_folder(data)?;
        Ok(Self { data: data.to_owned() })
    }

    /// The given admin key, else the one made earlier, else a new one.
    ///
    /// # Errors
    /// The given key is weak, or the data folder cannot be used.
    pub fn admin_key(&self, given: Option<&str>) -> Result<MintedAdminKey, MintError> {
        if let Some(key) = given {
            if let Some(weakness) = weakness(key) {
                return Err(MintError::WeakAdminKey(weakness));
            }
            return Ok(MintedAdminKey { key: key.to_owned(), source: AdminKeySource::Given });
        }
        let stored = get_or_mint(&self.data, "admin-key")?;
        Ok(MintedAdminKey { key: stored.key, source: AdminKeySource::Generated(stored.path) })
    }

    /// The key that lies under these names, made on first use.
    pub(super) fn client_key(&self, namespace: &str, secret: &str, key: &str) -> Result<Stored, MintError> {
        for part in [namespace, secret, key] {
            if !is_plain(part) {
                return Err(MintError::Name(part.to_owned()));
            }
        }
        let folder = self.data.join("keys");
        private_folder(&folder)?;
        // Namespaces have no dots; with those of the Secret's name escaped, no two keys share a file.
        get_or_mint(&folder, &format!("{namespace}.{}.{key}", secret.replace('.', "%2E")))
    }
}

fn weakness(key: &str) -> Option<&'static str> {
    match key {
        "" => Some("is empty"),
        KNOWN_ADMIN_KEY => Some("is the one of every example"),
        _ if key.chars().count() < MIN_ADMIN_KEY => Some("is too short"),
        _ => None,
    }
}

/// No path of its own, and nothing that a shell or a file system minds.
fn is_plain(part: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(legal)
}

fn private_folder(path: &Path) -> Result<(), MintError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at(path))
}

fn get_or_mint(folder: &Path, name: &str) -> Result<Stored, MintError> {
    let path = folder.join(name);
    match File::open(&path) {
        Ok(file) => read(file, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            mint(folder, name, &path)?;
            // Whatever lies there now is the key, even if another process was faster.
            read(File::open(&path).map_err(at(&path))?, path)
        }
        Err(error) => Err(at(&path)(error)),
    }
}

fn read(mut file: File, path: PathBuf) -> Result<Stored, MintError> {
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(at(&path))?;
    let created = file.metadata().and_then(|metadata| metadata.modified()).map_err(at(&path))?;
    let key = text.trim();
    if weakness(key).is_some() {
        return Err(MintError::Damaged(path));
    }
    Ok(Stored { key: key.to_owned(), created, path })
}

/// Writes a new key beside its place and links it there: the file is whole or not there, and never replaced.
fn mint(folder: &Path, name: &str, path: &Path) -> Result<(), MintError> {
    let mut random = [0_u8; KEY_BYTES];
    RngReader(SysRng).read_exact(&mut random).map_err(at(path))?;
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    let written = write(&draft, &format!("sk-{}\n", URL_SAFE_NO_PAD.encode(random)))
        .and_then(|()| fs::hard_link(&draft, path))
        .or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            // Some file systems have no links.
            io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => fs::rename(&draft, path),
            _ => Err(error),
        });
    // Gone already where it was renamed.
    let _ = fs::remove_file(&draft);
    written.map_err(at(path))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Left over from a process of the same number that was killed here.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> MintError {
    let path = path.to_owned();
    |source| MintError::Io { path, source }
}
