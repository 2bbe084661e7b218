//! A real PostgreSQL for tests: its own cluster in a temporary folder, reached by a Unix socket.
//!
//! The program comes from the newest `/usr/lib/postgresql/*/bin`, as Debian installs it; the one with the extension `vector` from
//! `scripts/pgvector.sh`.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr as _,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::OnceCell;

use crate::{
    service::{Service, folder, guarded},
    wait::eventually,
};

/// At once: a test's data is thrown away.
const IMMEDIATE: &str = "QUIT";
/// PostgreSQL refuses to run as root; Debian's package makes this user.
const USER: &str = "postgres";

/// One server with any number of databases.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    programs: PathBuf,
    service: Mutex<Option<Service>>,
    databases: AtomicU32,
}

static SHARED: OnceCell<Postgres> = OnceCell::const_new();

/// A new, empty database of a server that all tests of this process share: its URL.
pub async fn database() -> String {
    SHARED.get_or_init(Postgres::start).await.database().await
}

impl Postgres {
    /// Starts a server of the test's own, to be stopped and started again by it.
    pub async fn start() -> Self {
        Self::create(|_| installed()).await
    }

    /// The same, where the extension `vector` can be created.
    pub async fn with_vector() -> Self {
        Self::create(unpacked).await
    }

    /// `programs`: finds them, or puts them into the server's folder.
    async fn create(programs: fn(&Path) -> PathBuf) -> Self {
        let folder = folder("pg-");
        let made = tokio::task::spawn_blocking({
            let folder = folder.clone();
            move || {
                let programs = programs(&folder);
                create(&folder, &programs);
                programs
            }
        });
        let programs = made.await.expect("initdb");
        let server = Self { folder, programs, service: Mutex::new(None), databases: AtomicU32::new(0) };
        server.resume().await;
        server
    }

    /// A new, empty database: its URL.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.connect().await.expect("PostgreSQL answers");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .expect("a new database");
        self.url(&name)
    }

    /// Ends it as a crash does. What was committed is there when it is started again.
    pub fn stop(&self) {
        let service = self.service.lock().expect("no panic while it was held").take();
        service.expect("it runs").stop();
    }

    /// Stops it and all that serve its connections from answering; connections stay open.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it answer again.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let service = self.service.lock().expect("no panic while it was held");
        service.as_ref().expect("it runs").signal_all(name);
    }

    /// Starts it again in its folder, and waits until it answers.
    pub async fn resume(&self) {
        let service = serve(&self.folder, &self.programs);
        *self.service.lock().expect("no panic while it was held") = Some(service);
        eventually("PostgreSQL answers", || async { self.connect().await.ok() }).await;
    }

    /// Copies its data, as a disk's snapshot does. It must be stopped.
    pub fn save(&self) {
        copy(&self.folder.join("data"), &self.folder.join("saved"));
    }

    /// Puts the data that were saved in place of what there is. It must be stopped.
    pub fn restore(&self) {
        copy(&self.folder.join("saved"), &self.folder.join("data"));
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@localhost/{database}?host={}", self.folder.display())
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::from_str(&self.url("postgres"))?.disable_statement_logging();
        PgConnection::connect_with(&options).await
    }
}

/// With owners and rights; what was there before is gone.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).expect("a folder that can be removed");
    }
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success(), "cp {} {}", from.display(), to.display());
}

fn create(folder: &Path, programs: &Path) {
    if is_root() {
        let owned = Command::new("chown").args(["-R", USER]).arg(folder).status().expect("chown");
        assert!(owned.success(), "no user {USER}: install the Debian package postgresql");
    }
    let mut words = runner();
    words.push(programs.join("initdb").display().to_string());
    let data = folder.join("data");
    let (program, arguments) = words.split_first().expect("a program");
    let done = Command::new(program)
        .args(arguments)
        .arg("-D")
        .arg(data)
        .args(["-A", "trust", "-U", USER, "--no-sync", "-E", "UTF8", "--locale=C"])
        .current_dir(folder)
        .output()
        .expect("initdb runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn serve(folder: &Path, programs: &Path) -> Service {
    let mut words = runner();
    words.push(programs.join("postgres").display().to_string());
    let settings = [
        "listen_addresses=".to_owned(),
        format!("unix_socket_directories={}", folder.display()),
        "fsync=off".to_owned(),
        "max_connections=200".to_owned(),
        "shared_buffers=32MB".to_owned(),
        "timezone=UTC".to_owned(),
    ];
    words.extend(["-D".to_owned(), folder.join("data").display().to_string()]);
    words.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Service::start(folder, IMMEDIATE, &words)
}

fn runner() -> Vec<String> {
    guarded(is_root().then_some(USER), IMMEDIATE)
}

/// Debian's programs.
fn installed() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("the Debian package postgresql");
    let newest = versions
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .expect("a version of PostgreSQL");
    format!("/usr/lib/postgresql/{newest}/bin").into()
}

/// Those of `scripts/pgvector.sh`, copied into `folder`: the server's user may not be let into the cache.
fn unpacked(folder: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/pgvector.sh");
    let found = Command::new(script).stderr(Stdio::inherit()).output().expect("scripts/pgvector.sh runs");
    assert!(found.status.success(), "no PostgreSQL with pgvector: see what scripts/pgvector.sh says");
    let found = String::from_utf8(found.stdout).expect("a path");
    let copied = Command::new("cp").args(["-r", found.trim()]).arg(folder.join("programs")).status().expect("cp");
    assert!(copied.success(), "{found} cannot be copied");
    folder.join("programs/pgserver/pginstall/bin")
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
