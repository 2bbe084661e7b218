//! What this process may use, as its container says.

use std::fs;

/// Where nothing else is known.
const DEFAULT_MEMORY: usize = 1024 * 1024 * 1024;

/// Runtimes to start: the CPU quota, which the standard library reads from the cgroup.
pub fn runtimes() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// Bytes of request bodies that may be held: a quarter of the cgroup's limit, or of the machine's memory.
pub fn buffered_bytes() -> usize {
    let cgroup = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    let memory = cgroup.or_else(machine_memory).unwrap_or(DEFAULT_MEMORY);
    memory / 4
}

fn machine_memory() -> Option<usize> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib: usize =
        text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    kib.checked_mul(1024)
}
