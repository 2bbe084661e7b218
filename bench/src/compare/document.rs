//! The table, and its place in the document.

use std::{fmt::Write as _, fs, path::Path, thread};

use anyhow::Context as _;

use super::summary::{Figures, MEMORY_TARGET, Memory, Row};

/// Before the table.
pub const BEGIN: &str = "<!-- bench:begin -->";
/// After it.
pub const END: &str = "<!-- bench:end -->";

/// What the figures were taken on and with.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Cores, processor, kernel, what else was running.
    pub machine: String,
    /// Date of the run.
    pub date: String,
    /// Rounds and their lengths.
    pub timing: String,
    /// nginx's name and version.
    pub nginx: String,
    /// Requests found in the gateway's spend log.
    pub spend_rows: i64,
}

/// Describes the machine; `load_before` is `/proc/loadavg` from before the run.
pub fn machine(load_before: &str) -> anyhow::Result<String> {
    let cores = thread::available_parallelism()?;
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let processor = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let processor = processor.map_or("unknown processor", |(_, name)| name.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let kernel: Vec<&str> = kernel.trim().split(['.', '-']).take(2).collect();
    let load = load_before.split(' ').next().unwrap_or("?");
    Ok(format!("{cores} cores ({processor}), Linux {}; load average before the run {load}", kernel.join(".")))
}

/// Today in UTC.
pub fn today() -> String {
    jiff::Timestamp::now().strftime("%F").to_string()
}

/// The tables as Markdown, without the markers.
pub fn render(facts: &Facts, rows: &[Row], memory: &Memory) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "Measured {} on {}. {}; medians. Peer: {}.", facts.date, facts.machine, facts.timing, facts.nginx)?;
    writeln!(text, "All {} requests that the gateway answered were found in its spend log.\n", facts.spend_rows)?;
    writeln!(
        text,
        "| | CPU us/request: nginx | gateway | ratio (lowest - highest round) | upstream's CPU behind nginx / gateway | client's CPU |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for row in rows {
        let (nginx, gateway) = (&row.nginx, &row.gateway);
        let (low, high) = row.ratio_range;
        let title = title(row);
        writeln!(
            text,
            "| {title} | {:.0} | {:.0} | **{:.2}** ({low:.2} - {high:.2}) | {:.0} / {:.0} | {:.0} / {:.0} |",
            nginx.cpu,
            gateway.cpu,
            row.ratio,
            nginx.upstream_cpu,
            gateway.upstream_cpu,
            nginx.client_cpu,
            gateway.client_cpu
        )?;
    }
    writeln!(text, "\n| ms, nginx / gateway | p50 | p99 | first chunk p50 | first chunk p99 | gap p99 | requests/s |")?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for row in rows {
        let both = |figure: &dyn Fn(&Figures) -> Option<f64>| match (figure(&row.nginx), figure(&row.gateway)) {
            (Some(nginx), Some(gateway)) => format!("{:.2} / {:.2}", nginx / 1000.0, gateway / 1000.0),
            _ => "-".to_owned(),
        };
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.0} / {:.0} |",
            title(row),
            both(&|f| Some(f.p50)),
            both(&|f| Some(f.p99)),
            both(&|f| f.first_chunk.map(|(p50, _)| p50)),
            both(&|f| f.first_chunk.map(|(_, p99)| p99)),
            both(&|f| f.gap_p99),
            row.nginx.rate,
            row.gateway.rate
        )?;
    }
    writeln!(text, "\n| target | measured | |")?;
    writeln!(text, "|---|---|---|")?;
    for row in rows {
        if let Some(target) = row.scenario.target {
            let what = format!("{}: CPU at most {target:.1} x nginx's", row.scenario.title);
            writeln!(text, "| {what} | {:.2} | {} |", row.ratio, verdict(row.ratio <= target))?;
        }
    }
    let mib = |kib: u32| f64::from(kib) / 1024.0;
    let resident = mib(memory.gateway.rss_kib);
    let at_most = format!("gateway's resident memory after the load at most {MEMORY_TARGET:.0} MiB");
    writeln!(
        text,
        "| {at_most} | {resident:.1} (peak {:.1}; nginx {:.1}) | {} |",
        mib(memory.gateway.peak_rss_kib),
        mib(memory.nginx.rss_kib),
        verdict(resident <= MEMORY_TARGET)
    )?;
    Ok(text)
}

fn title(row: &Row) -> String {
    if row.scenario.open_loop {
        format!("{} of {:.0}/s", row.scenario.title, row.gateway.rate)
    } else {
        row.scenario.title.to_owned()
    }
}

/// What a target's row says.
pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

/// Puts the table between the markers of the file.
pub fn write(path: &Path, table: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let replaced = replace(&text, table).with_context(|| format!("{} has no {BEGIN} .. {END}", path.display()))?;
    fs::write(path, replaced).with_context(|| path.display().to_string())
}

/// `text` with `table` between the markers; `None` without both of them in order.
pub fn replace(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", table.trim_end()))
}
