//! The real gateway as a child process: started, watched, reloaded and stopped as its users do it.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
};

use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    client::Client,
    manifest::{self, Manifest},
    wait::{LIMIT, eventually, within},
};

/// The admin key of every gateway that is not told another.
pub const ADMIN_KEY: &str = "sk-admin-of-the-tests";

/// What to start the gateway with.
#[derive(Debug)]
pub struct Setup {
    binary: PathBuf,
    files: Vec<(String, String)>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
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
        }
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
    pub fn spawn(self) -> Process {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifests = folder.path().join("manifests");
        std::fs::create_dir_all(&manifests).expect("a new folder");
        for (name, content) in &self.files {
            std::fs::write(manifests.join(name), content).expect("a new file");
        }
        let mut command = Command::new(&self.binary);
        command
            .arg("--manifests")
            .arg(&manifests)
            .arg("--data")
            .arg(folder.path().join("data"));
        command
            .args([
                "--listen",
                "127.0.0.1:0",
                "--internal-listen",
                "127.0.0.1:0",
            ])
            .args(&self.arguments);
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.environment);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the gateway's binary runs");
        let output = Output::default();
        let pipes: [Option<Box<dyn Read + Send>>; 2] = [
            child.stdout.take().map(|pipe| Box::new(pipe) as _),
            child.stderr.take().map(|pipe| Box::new(pipe) as _),
        ];
        for pipe in pipes.into_iter().flatten() {
            output.collect(pipe);
        }
        Process {
            child,
            output,
            folder,
        }
    }

    /// Starts it and waits until it is ready.
    pub async fn start(self) -> Gateway {
        let process = self.spawn();
        let public = process
            .announced("listening on http://")
            .await
            .parse()
            .expect("an address");
        let internal = process
            .announced("internal listener on http://")
            .await
            .parse()
            .expect("an address");
        let gateway = Gateway {
            process,
            public,
            internal,
        };
        eventually("the gateway is ready", || async {
            (gateway.client().get("/health/readiness").await.status == 200).then_some(())
        })
        .await;
        gateway
    }
}

/// Everything that a process wrote, line by line; `ended` counts its closed pipes.
#[derive(Clone, Debug)]
struct Output(Arc<watch::Sender<Written>>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    ended: usize,
}

impl Default for Output {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Written::default())))
    }
}

impl Output {
    fn collect(&self, pipe: Box<dyn Read + Send>) {
        let output = self.0.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                output.send_modify(|written| written.lines.push(line));
            }
            output.send_modify(|written| written.ended += 1);
        });
    }

    fn text(&self) -> String {
        self.0.borrow().lines.join("\n")
    }
}

/// The child process, its output and its folder; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Output,
    folder: TempDir,
}

impl Process {
    /// What follows `prefix` in the first line that holds it; fails when the process ends without one.
    pub async fn announced(&self, prefix: &str) -> String {
        let find = |written: &Written| {
            let mut lines = written.lines.iter();
            lines
                .find_map(|line| line.split_once(prefix))
                .map(|(_, rest)| {
                    rest.split_whitespace()
                        .next()
                        .unwrap_or_default()
                        .trim_end_matches('/')
                        .to_owned()
                })
        };
        let mut written = self.output.0.subscribe();
        let seen = written.wait_for(|written| find(written).is_some() || written.ended == 2);
        let Ok(seen) = tokio::time::timeout(LIMIT, seen).await else {
            panic!("the gateway never said {prefix:?}:\n{}", self.output.text());
        };
        let seen = seen.expect("the output lives as long as the process");
        find(&seen).unwrap_or_else(|| {
            panic!(
                "the gateway ended without {prefix:?}:\n{}",
                seen.lines.join("\n")
            )
        })
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut written = self.output.0.subscribe();
        let closed = within(
            "the gateway ends",
            written.wait_for(|written| written.ended == 2),
        )
        .await;
        drop(closed.expect("the output lives as long as the process"));
        // Its pipes are closed, so it is gone or about to be.
        eventually("the gateway is reaped", || {
            let status = self.child.try_wait().expect("our own child");
            async move { status }
        })
        .await
    }

    /// Everything that it wrote so far.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Waits until some line of its output satisfies `condition`.
    pub async fn wrote(&self, what: &str, condition: impl Fn(&str) -> bool) {
        let mut written = self.output.0.subscribe();
        let seen = written.wait_for(|written| written.lines.iter().any(|line| condition(line)));
        drop(
            within(what, seen)
                .await
                .expect("the output lives as long as the process"),
        );
    }

    /// Its folder of manifests.
    pub fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own kill: no unsafe code here, no package to install.
        let line = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh")
            .args(["-c", &line])
            .status()
            .expect("a shell");
        assert!(status.success(), "{line}: {status}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is fine: that is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        if thread::panicking() {
            eprintln!("--- the gateway wrote:\n{}\n---", self.output.text());
        }
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
        text.lines()
            .filter_map(|line| sample(line, name, labels))
            .sum()
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
