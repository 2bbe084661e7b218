//! vLLM's command line: every flag of its version by name, and refusals in argparse's words.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use serde_json::Value;

/// What the version of the default image knows; the reading of it is this file's own.
const DATA: &str = include_str!("../../../engine/data/vllm-0.33.0.json");
/// Every flag by name; most take a value.
static NAMES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let data: Value = serde_json::from_str(DATA).expect("the file is JSON");
    let names = ["engine", "server", "serve"].iter().filter_map(|part| data.get(part)?.as_array());
    names.flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
});
/// Short forms.
const SHORT: &[(&str, &str)] = &[
    ("-tp", "--tensor-parallel-size"),
    ("-pp", "--pipeline-parallel-size"),
    ("-dp", "--data-parallel-size"),
    ("-q", "--quantization"),
    ("-O", "--optimization-level"),
];
/// Flags whose value is a whole number.
const WHOLE: &[&str] = &[
    "--port",
    "--max-model-len",
    "--max-num-seqs",
    "--tensor-parallel-size",
    "--pipeline-parallel-size",
    "--data-parallel-size",
    "--max-loras",
    "--max-lora-rank",
    "--max-cpu-loras",
    "--shutdown-timeout",
    "--seed",
];
/// How the names of flags begin that are switches.
const SWITCHES: &[&str] = &["--enable-", "--disable-", "--no-", "--trust-remote-code", "--enforce-eager", "--headless"];
/// Names that begin like a switch and are none.
const NO_SWITCHES: &[&str] = &["--disable-access-log-for-endpoints"];

/// A command line that vLLM takes.
#[derive(Debug, Default)]
pub(super) struct Flags {
    /// Given without a flag, or by `--model`.
    pub(super) model: Option<String>,
    values: BTreeMap<String, Vec<String>>,
}

impl Flags {
    /// The flag's last value.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.values.get(name).and_then(|values| values.last()).map(String::as_str)
    }

    /// All its values.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// Its value, which `parse` has checked.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.text(name).and_then(whole)
    }

    /// Whether the switch is on.
    pub(super) fn is_on(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }
}

/// Reads the words after `serve`.
///
/// # Errors
/// What argparse says.
pub(super) fn parse(words: &[&str]) -> Result<Flags, String> {
    let mut flags = Flags::default();
    let mut unknown = Vec::new();
    let mut rest = words.iter().copied().peekable();
    while let Some(word) = rest.next() {
        if !is_flag(word) {
            if flags.model.is_none() && unknown.is_empty() {
                flags.model = Some(word.to_owned());
            } else {
                unknown.push(word);
            }
            continue;
        }
        let (name, inline) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let Some(name) = known(name) else {
            unknown.push(word);
            continue;
        };
        let mut values: Vec<String> = inline.into_iter().map(str::to_owned).collect();
        if !is_switch(&name) && inline.is_none() {
            let many = takes_many(&name);
            while let Some(value) = rest.next_if(|next| !is_flag(next) && (many || values.is_empty())) {
                values.push(value.to_owned());
            }
        }
        check(&name, &values)?;
        if name == "--model" {
            flags.model = values.pop();
        } else {
            flags.values.insert(name, values);
        }
    }
    if unknown.is_empty() { Ok(flags) } else { Err(format!("unrecognized arguments: {}", unknown.join(" "))) }
}

fn is_flag(word: &str) -> bool {
    word.starts_with('-') && word.parse::<f64>().is_err()
}

/// The flag's full name with dashes; `None` = vLLM has no such flag.
fn known(name: &str) -> Option<String> {
    if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == name) {
        return Some((*long).to_owned());
    }
    // `--json-arg.member value` sets a member of a flag that takes JSON.
    let name = name.split('.').next().unwrap_or(name).replace('_', "-");
    let positive = name.replacen("--no-", "--", 1);
    (NAMES.contains(&name) || NAMES.contains(&positive)).then_some(name)
}

fn is_switch(name: &str) -> bool {
    SWITCHES.iter().any(|start| name.starts_with(start)) && !NO_SWITCHES.contains(&name)
}

fn takes_many(name: &str) -> bool {
    ["--served-model-name", "--lora-modules", "--api-key", "--middleware"].contains(&name)
}

fn check(name: &str, values: &[String]) -> Result<(), String> {
    match values {
        [] if is_switch(name) => Ok(()),
        [value, ..] if is_switch(name) => Err(format!("argument {name}: ignored explicit argument '{value}'")),
        [] => Err(format!("argument {name}: expected one argument")),
        [value, ..] if WHOLE.contains(&name) && whole(value).is_none() => {
            Err(format!("argument {name}: invalid int value: '{value}'"))
        }
        [value, ..] if name == "--gpu-memory-utilization" && value.parse::<f64>().is_err() => {
            Err(format!("argument {name}: invalid float value: '{value}'"))
        }
        _ => Ok(()),
    }
}

/// A whole number, or one like `32k` (1,000) and `32K` (1,024).
fn whole(value: &str) -> Option<usize> {
    let unit = |unit: char| match unit {
        'k' => Some(1_000),
        'K' => Some(1 << 10),
        'm' => Some(1_000_000),
        'M' => Some(1 << 20),
        _ => None,
    };
    match value.chars().next_back().and_then(unit) {
        Some(times) => value.get(..value.len() - 1)?.parse::<usize>().ok().map(|number| number * times),
        None => value.parse().ok(),
    }
}
