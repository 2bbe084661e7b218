//! The child process itself: its output, its signals, its end.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    sync::Arc,
    thread,
};

use tempfile::TempDir;
use tokio::sync::watch;

use crate::{
    volume::Volume,
    wait::{LIMIT, eventually, within},
};

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
    command: Command,
    child: Child,
    output: Output,
    folder: TempDir,
}

impl Process {
    /// Runs the command, which works in `folder`.
    pub(super) fn spawn(mut command: Command, folder: TempDir) -> Self {
        let (child, output) = start(&mut command);
        Self { command, child, output, folder }
    }

    /// Runs it once more, after it has ended; its earlier output is forgotten.
    pub(super) fn respawn(&mut self) {
        assert!(self.child.try_wait().expect("our own child").is_some(), "it still runs, and would for ever");
        (self.child, self.output) = start(&mut self.command);
    }

    /// What follows `prefix` in the first line that holds it; fails when the process ends without one.
    pub async fn announced(&self, prefix: &str) -> String {
        let find = |written: &Written| {
            let mut lines = written.lines.iter();
            lines
                .find_map(|line| line.split_once(prefix))
                .map(|(_, rest)| rest.split_whitespace().next().unwrap_or_default().trim_end_matches('/').to_owned())
        };
        let mut written = self.output.0.subscribe();
        let seen = written.wait_for(|written| find(written).is_some() || written.ended == 2);
        let Ok(seen) = tokio::time::timeout(LIMIT, seen).await else {
            panic!("the gateway never said {prefix:?}:\n{}", self.output.text());
        };
        let seen = seen.expect("the output lives as long as the process");
        find(&seen).unwrap_or_else(|| panic!("the gateway ended without {prefix:?}:\n{}", seen.lines.join("\n")))
    }

    /// Waits until the process has ended by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        let mut written = self.output.0.subscribe();
        let closed = within("the gateway ends", written.wait_for(|written| written.ended == 2)).await;
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
        drop(within(what, seen).await.expect("the output lives as long as the process"));
    }

    /// Its folder of manifests.
    pub fn manifests(&self) -> PathBuf {
        self.folder.path().join("manifests")
    }

    /// Its bundle, where it is [mounted](super::Setup::mounted).
    pub fn bundle(&self) -> Volume {
        Volume::new(&self.folder.path().join("bundle"))
    }

    /// Its Secret with keys, where it is [mounted](super::Setup::mounted).
    pub fn auth(&self) -> Volume {
        Volume::new(&self.folder.path().join("auth"))
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Most memory that it has had resident so far, bytes.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("a live process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number of kB");
        kib * 1024
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        // The shell's own kill: no unsafe code here, no package to install.
        let line = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &line]).status().expect("a shell");
        assert!(status.success(), "{line}: {status}");
    }
}

fn start(command: &mut Command) -> (Child, Output) {
    let mut child = command.spawn().expect("the gateway's binary runs");
    let output = Output::default();
    let pipes: [Option<Box<dyn Read + Send>>; 2] =
        [child.stdout.take().map(|pipe| Box::new(pipe) as _), child.stderr.take().map(|pipe| Box::new(pipe) as _)];
    for pipe in pipes.into_iter().flatten() {
        output.collect(pipe);
    }
    (child, output)
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is fine: that is what is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
        let text = self.output.text();
        if thread::panicking() {
            eprintln!("--- the gateway wrote:\n{text}\n---");
        } else {
            assert!(!text.contains("panicked at"), "the gateway panicked:\n{text}");
        }
    }
}
