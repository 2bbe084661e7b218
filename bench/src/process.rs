//! The processes that a measurement starts, and what the kernel says they used.

use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

/// `/proc` counts CPU time in hundredths of a second, on every architecture (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// How long a process gets to end by itself.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a process and its descendants used so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Used {
    /// User and system time, seconds, with that of children that ended.
    pub cpu_s: f64,
    /// Resident memory now, KiB.
    pub rss_kib: u32,
    /// The most that was ever resident, KiB (the sum of each process's own peak).
    pub peak_rss_kib: u32,
}

/// One process as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The parent's id.
    pub parent: u32,
    /// utime + stime + cutime + cstime, ticks of 10 ms.
    pub ticks: u32,
}

impl Stat {
    /// Parses a line of `/proc/PID/stat`; the command's name in it may hold anything, brackets and spaces too.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u32>().ok();
        // Field 3 of proc(5) is the first here.
        Some(Self { parent: number(1)?, ticks: number(11)? + number(12)? + number(13)? + number(14)? })
    }
}

/// What `root` and everything below it used.
pub fn used(root: u32) -> anyhow::Result<Used> {
    let processes = processes()?;
    ensure!(processes.iter().any(|(pid, _)| *pid == root), "process {root} is gone");
    let mut tree = vec![root];
    let mut looked_at = 0;
    while let Some(parent) = tree.get(looked_at).copied() {
        looked_at += 1;
        tree.extend(processes.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
    }
    let mut sum = Used::default();
    for (pid, stat) in processes.iter().filter(|(pid, _)| tree.contains(pid)) {
        sum.cpu_s += (TICK * stat.ticks).as_secs_f64();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.rss_kib += memory(&status, "VmRSS:");
        sum.peak_rss_kib += memory(&status, "VmHWM:");
    }
    Ok(sum)
}

fn processes() -> anyhow::Result<Vec<(u32, Stat)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end between the listing and the look.
        let Ok(line) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        found.extend(Stat::parse(&line).map(|stat| (pid, stat)));
    }
    Ok(found)
}

fn memory(status: &str, field: &str) -> u32 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// A process that ends when this is dropped, and by the kernel's hand if this program is killed.
#[derive(Debug)]
pub struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// A command for `program` that gets SIGTERM if the thread that starts it dies.
    pub fn command(program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "--"]).arg(program);
        command
    }

    /// Starts what [`Self::command`] made. `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {name} ({command:?})"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child's pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Errors if the process has ended.
    pub fn ensure_alive(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended early: {status}", self.name);
        }
        Ok(())
    }

    /// Asks it to end and waits; errors if it had to be killed or had ended before.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.ensure_alive()?;
        self.terminate();
        if self.ended_within(STOP_WITHIN).await? {
            return Ok(());
        }
        bail!("{} did not end within {STOP_WITHIN:?} of SIGTERM", self.name)
    }

    async fn ended_within(&mut self, limit: Duration) -> anyhow::Result<bool> {
        let poll = async {
            while self.child.try_wait()?.is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        match tokio::time::timeout(limit, poll).await {
            Ok(ended) => ended.map(|()| true),
            Err(_) => Ok(false),
        }
    }

    /// SIGTERM through the shell's own `kill`: the standard library can only send SIGKILL, which would orphan nginx's
    /// worker.
    fn terminate(&self) {
        let sent = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        if !sent.is_ok_and(|status| status.success()) {
            eprintln!("could not send SIGTERM to {}", self.name);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            for _ in 0..100 {
                if !matches!(self.child.try_wait(), Ok(None)) {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
            // Nothing is left to do with a failure here.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
