//! vLLM's flags by name, of the version that the default image has. `scripts/vllm_flags.py` makes the data file.

use std::{collections::BTreeSet, sync::LazyLock};

use serde::Deserialize;

const DATA: &str = include_str!("../data/vllm-0.33.0.json");
/// Short forms of flags that a field sets.
const SHORT: [(&str, &str); 3] =
    [("-tp", "--tensor-parallel-size"), ("-pp", "--pipeline-parallel-size"), ("-q", "--quantization")];

/// What one version of vLLM knows, by name.
#[derive(Debug, Default, Deserialize)]
pub struct Known {
    /// Such as `0.33.0`.
    pub version: String,
    engine: BTreeSet<String>,
    server: BTreeSet<String>,
    serve: BTreeSet<String>,
    /// Methods that `--quantization` takes.
    pub quantization: BTreeSet<String>,
    /// Method and path, such as `GET /health`.
    pub endpoints: BTreeSet<String>,
    /// Names of metrics.
    pub metrics: BTreeSet<String>,
}

impl Known {
    /// Whether there is such a flag, by its name with dashes or as `--no-`.
    pub fn has(&self, name: &str) -> bool {
        let positive = name.replacen("--no-", "--", 1);
        self.all().any(|flag| flag == name || *flag == positive)
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.engine.iter().chain(&self.server).chain(&self.serve)
    }
}

/// What the default image's version knows.
pub static KNOWN: LazyLock<Known> = LazyLock::new(|| serde_json::from_str(DATA).unwrap_or_default());

/// The flags among arguments with their places, each by its full name: `-tp 2`, `--max_model_len=8` and `--max-mod 8` are such
/// flags, and `--no-enable-lora` is `--enable-lora`.
pub fn names(args: &[String]) -> impl Iterator<Item = (usize, String)> {
    args.iter().enumerate().filter_map(|(at, argument)| Some((at, name(argument)?)))
}

fn name(argument: &str) -> Option<String> {
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    if let Some((_, long)) = SHORT.iter().find(|(short, _)| *short == name) {
        return Some((*long).to_owned());
    }
    // `--json-argument.member value` sets a member of a flag that takes JSON.
    let name = name.strip_prefix("--")?.split('.').next()?.replace('_', "-");
    let name = format!("--{name}");
    let positive = name.replacen("--no-", "--", 1);
    if KNOWN.all().any(|flag| *flag == name) {
        return Some(name);
    }
    if KNOWN.all().any(|flag| *flag == positive) {
        return Some(positive);
    }
    // Python takes the beginning of a flag's name for the flag where only one begins so.
    let mut longer = KNOWN.all().filter(|flag| flag.starts_with(&name));
    match (longer.next(), longer.next()) {
        (Some(only), None) => Some(only.clone()),
        _ => Some(name),
    }
}
