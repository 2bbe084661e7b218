//! The real gateway as a child process: started, watched, reloaded and stopped as its users do it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    client::Client,
    manifest::{self, Manifest},
    wait::eventually,
};

mod process;

pub use process::Process;

/// The admin key of every gateway that is not told another.
pub const ADMIN_KEY: &str = "sk-admin-of-the-tests";

/// What to start the gateway with.
#[derive(Debug)]
pub struct Setup {
    binary: PathBuf,
    files: Vec<(String, String)>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    source: Source,
    listen: SocketAddr,
}

/// What the gateway is to serve from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Manifests,
    Volumes,
}

impl Setup {
    /// The binary, as `env!("CARGO_BIN_EXE_turnpike-gateway")` names it in the gateway's own tests.
    pub fn new(binary: &str) -> Self {
        let environment = vec![("TURNPIKE_ADMIN_KEY".to_owned(), ADMIN_KEY.to_owned())];
        Self {
            binary: binary.into(),
            files: Vec::new(),
            arguments: Vec::new(),
            environment,
            source: Source::Manifests,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    /// Has it serve a bundle from [`Process::bundle`] with the keys of [`Process::auth`], as in a pod; both are empty at
    /// first. Without an admin key of its own.
    #[must_use]
    pub fn mounted(mut self) -> Self {
        self.source = Source::Volumes;
        self.without_env("TURNPIKE_ADMIN_KEY")
    }

    /// Puts these objects into one file of the manifests folder.
    #[must_use]
    pub fn manifests(mut self, manifests: &[Manifest]) -> Self {
        let name = format!("objects-{}.yaml", self.files.len());
        self.files.push((name, manifest::documents(manifests)));
        self
    }

    /// Puts a file into the manifests folder.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Adds a command-line argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Has it listen for clients here instead of on a port of the system's choice.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Sets an environment variable; the gateway inherits only PATH.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Removes an environment variable.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Starts it without waiting for anything.
    #[expect(clippy::disallowed_methods, reason = "the child gets our PATH and nothing else")]
    pub fn spawn(self) -> Process {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let names: &[&str] = match self.source {
            Source::Manifests => &["manifests"],
            Source::Volumes => &["bundle", "auth"],
        };
        let mut command = Command::new(&self.binary);
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(&path).expect("a new folder");
            command.arg(format!("--{name}")).arg(path);
        }
        for (name, content) in &self.files {
            std::fs::write(folder.path().join("manifests").join(name), content).expect("a new file");
        }
        command.arg("--data").arg(folder.path().join("data"));
        command.arg("--listen").arg(self.listen.to_string()).args(["--internal-listen", "127.0.0.1:0"]);
        command.args(&self.arguments);
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path))).envs(self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Process::spawn(command, folder)
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Gateway {
        Gateway::up(self.spawn()).await
    }
}

/// A gateway that is up.
#[derive(Debug)]
pub struct Gateway {
    /// The child process.
    pub process: Process,
    /// Where it serves clients.
    pub public: SocketAddr,
    /// Where it serves metrics and the like.
    pub internal: SocketAddr,
}

impl Gateway {
    /// Waits until a process that was started is ready.
    pub async fn up(process: Process) -> Self {
        let public = process.announced("listening on http://").await.parse().expect("an address");
        let internal = process.announced("internal listener on http://").await.parse().expect("an address");
        let gateway = Self { process, public, internal };
        eventually("the gateway is ready", || async {
            (gateway.client().get("/health/readiness").await.status == 200).then_some(())
        })
        .await;
        gateway
    }

    /// Starts it again in the same folder, after it has ended.
    pub async fn restart(mut self) -> Self {
        self.process.respawn();
        Self::up(self.process).await
    }

    /// A client without a key.
    pub fn client(&self) -> Client {
        Client::new(self.public)
    }

    /// A client with the admin key.
    pub fn admin(&self) -> Client {
        self.client().with_key(ADMIN_KEY)
    }

    /// A client of the internal listener.
    pub fn internal(&self) -> Client {
        Client::new(self.internal)
    }

    /// The `SQLite` file.
    pub fn database(&self) -> PathBuf {
        self.process.data().join("turnpike.db")
    }

    /// Writes a file of the manifests folder the way editors do: a new file renamed over the old one.
    pub fn write(&self, name: &str, content: &str) {
        replace(&self.process.manifests().join(name), content);
    }

    /// The samples of one metric, as `labels -> value` lines summed up; 0 where there are none.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self.internal().get("/metrics").await.text();
        text.lines().filter_map(|line| sample(line, name, labels)).sum()
    }

    /// Waits until a metric (see [`Self::metric`]) has this value.
    pub async fn metric_is(&self, name: &str, labels: &str, value: f64) {
        let what = format!("{name}{{{labels}}} becomes {value}");
        eventually(&what, || async {
            let now = self.metric(name, labels).await;
            ((now - value).abs() < f64::EPSILON).then_some(())
        })
        .await;
    }
}

/// Replaces a file in one step.
pub fn replace(path: &Path, content: &str) {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    std::fs::write(&fresh, content).expect("a new file");
    std::fs::rename(&fresh, path).expect("the same folder");
}

fn sample(line: &str, name: &str, labels: &str) -> Option<f64> {
    let rest = line.strip_prefix(name)?;
    let (inside, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.split_once("} ")?,
        None => ("", rest.strip_prefix(' ')?),
    };
    inside.contains(labels).then(|| value.trim().parse().ok())?
}
