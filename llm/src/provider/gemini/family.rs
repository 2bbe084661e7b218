//! What a model of Google's takes, told from its name.

use serde::Serialize;

use crate::chat::{Effort, Reasoning};

/// The particulars of one model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) thinking: Thinking,
    /// Takes `responseJsonSchema`; older ones take the cleaned `responseSchema`.
    pub(super) json_schema: bool,
    /// Takes frequency and presence penalties.
    pub(super) penalties: bool,
    /// Media of a tool's result go inside it, and its calls need a signature.
    pub(super) third: bool,
    /// Takes a system instruction.
    pub(super) system: bool,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thinking {
    /// Not at all.
    Never,
    /// By tokens, within these limits; 0 = it can be kept from thinking.
    Budget { least: u64, most: u64 },
    /// By words.
    Level { minimal: bool, medium: bool },
}

/// `generationConfig.thinkingConfig`.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    include_thoughts: bool,
}

impl Family {
    /// Of a model under its upstream name, with or without a path before it.
    pub(super) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let newest =
            Self { thinking: level(name, (3, 0)), json_schema: true, penalties: false, third: true, system: true };
        if name.starts_with("gemma") {
            // The third generation of these takes neither.
            let third = name.starts_with("gemma-3");
            return Self {
                thinking: Thinking::Never,
                json_schema: !third,
                penalties: true,
                third: false,
                system: !third,
            };
        }
        match version(name) {
            Some(version) if version >= (3, 0) => Self { thinking: level(name, version), ..newest },
            Some(version) if version >= (2, 0) => {
                Self { thinking: budget(name, version), penalties: true, third: false, ..newest }
            }
            Some(_) => {
                Self { thinking: Thinking::Never, json_schema: false, penalties: true, third: false, system: true }
            }
            None if name.ends_with("-latest") => newest,
            // A tuned model, under a name of its own.
            None => {
                Self { thinking: Thinking::Budget { least: 0, most: 24_576 }, penalties: true, third: false, ..newest }
            }
        }
    }
}

/// Of `gemini-2.5-flash`, (2, 5).
fn version(name: &str) -> Option<(u32, u32)> {
    let rest = name.strip_prefix("gemini-")?;
    let number = rest.split('-').next()?;
    let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn budget(name: &str, version: (u32, u32)) -> Thinking {
    if version < (2, 5) || name.contains("-image") || name.contains("-tts") {
        Thinking::Never
    } else if name.contains("-pro") {
        Thinking::Budget { least: 128, most: 32_768 }
    } else {
        Thinking::Budget { least: 0, most: 24_576 }
    }
}

fn level(name: &str, version: (u32, u32)) -> Thinking {
    let minimal = name.contains("flash");
    Thinking::Level { minimal, medium: minimal || version > (3, 0) }
}

impl Thinking {
    /// What to send; `None` = this model cannot be told so.
    pub(super) fn config(self, reasoning: Reasoning) -> Option<ThinkingConfig> {
        let config = |budget, level, shown| {
            Some(ThinkingConfig { thinking_budget: budget, thinking_level: level, include_thoughts: shown })
        };
        match (self, reasoning) {
            (Self::Never, _) => None,
            (Self::Budget { least, .. }, Reasoning::Off) => config(i64::try_from(least).ok(), None, false),
            (Self::Budget { least, most }, Reasoning::Effort(effort)) => {
                config(i64::try_from(effort.budget().clamp(least, most)).ok(), None, true)
            }
            (Self::Budget { least, most }, Reasoning::Budget(budget)) => {
                config(i64::try_from(budget.clamp(least, most)).ok(), None, true)
            }
            // Google's word for as it sees fit.
            (Self::Budget { .. }, Reasoning::Adaptive) => config(Some(-1), None, true),
            (Self::Level { minimal, .. }, Reasoning::Off) => {
                config(None, Some(if minimal { "MINIMAL" } else { "LOW" }), false)
            }
            (Self::Level { minimal, medium }, Reasoning::Effort(effort)) => {
                config(None, Some(word(effort, minimal, medium)), true)
            }
            // Understood by these too.
            (Self::Level { .. }, Reasoning::Budget(budget)) => {
                config(i64::try_from(budget.min(32_768)).ok(), None, true)
            }
            (Self::Level { .. }, Reasoning::Adaptive) => config(None, None, true),
        }
    }
}

fn word(effort: Effort, minimal: bool, medium: bool) -> &'static str {
    match effort {
        Effort::Minimal if minimal => "MINIMAL",
        Effort::Minimal | Effort::Low => "LOW",
        Effort::Medium if medium => "MEDIUM",
        Effort::Medium | Effort::High | Effort::XHigh | Effort::Max => "HIGH",
    }
}
