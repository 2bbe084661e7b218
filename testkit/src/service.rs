//! A server program as a child that never outlives the test's process, however that ends.
//!
//! ```text
//!  test process ──stdin pipe──▶ sh (keeper) ──▶ server
//!     pipe closes, even after kill -9 ──▶ the keeper ends the server and removes its folder
//!     the keeper is killed            ──▶ the kernel ends the server (its parent-death signal)
//! ```

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Ignores what ends a whole foreground group, so that it lives to clean up. `$1` = the folder, `$2` = the signal that ends
/// the server at once, the rest = the server. It ends on a line (the folder stays) or at the end of its input.
const KEEPER: &str = r#"
folder=$1 signal=$2
shift 2
trap '' INT TERM HUP
"$@" >>"$folder/log" 2>&1 </dev/null &
echo $!
exec >&- 2>&-
read -r word
kill -CONT $!
kill -"$signal" $!
wait
[ "$word" = keep ] || rm -rf "$folder"
"#;

/// A running server.
#[derive(Debug)]
pub(crate) struct Service {
    keeper: Child,
    process: String,
}

impl Service {
    /// Starts `command`; what it prints goes to `log` in its folder. `signal` ends it at once.
    pub(crate) fn start(folder: &Path, signal: &str, command: &[&str]) -> Self {
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder)
            .arg(signal)
            .args(command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let mut process = String::new();
        let output = keeper.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut process).expect("the server's process id");
        Self { keeper, process: process.trim().to_owned() }
    }

    /// Ends it at once and keeps its folder.
    pub(crate) fn stop(mut self) {
        let mut input = self.keeper.stdin.take().expect("a pipe");
        writeln!(input, "keep").expect("the keeper listens");
        drop(input);
        self.keeper.wait().expect("the keeper ends");
    }

    /// Sends the server a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        assert!(signal(name, &self.process), "no signal {name} to {}", self.process);
    }

    /// The same to the processes that it has started, after it: it starts no more of them meanwhile.
    pub(crate) fn signal_all(&self, name: &str) {
        self.signal(name);
        let children = format!("/proc/{0}/task/{0}/children", self.process);
        for child in std::fs::read_to_string(children).expect("its children").split_whitespace() {
            // It may have ended at this moment.
            signal(name, child);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Ended already by `stop`, or ending now; the folder is gone afterwards.
        let _ = self.keeper.wait();
    }
}

fn signal(name: &str, process: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args([&format!("-{name}"), process]).stderr(Stdio::null());
    kill.status().expect("kill").success()
}

/// A new folder directly in the system's temporary one: paths of sockets must be short. The keeper removes it.
pub(crate) fn folder(prefix: &str) -> PathBuf {
    tempfile::Builder::new().prefix(prefix).tempdir().expect("a temporary folder").keep()
}

/// How to run a program that ends when its parent does; as `user`, if one is given.
pub(crate) fn guarded(user: Option<&str>, signal: &str) -> Vec<String> {
    let mut words = vec!["setpriv".to_owned(), format!("--pdeathsig={signal}")];
    if let Some(user) = user {
        words.extend([format!("--reuid={user}"), format!("--regid={user}"), "--init-groups".to_owned()]);
    }
    words
}
