//! What Anthropic's generations of models take: each drops something that the one before took.

use crate::chat::Effort;

/// A generation, told by the model's name wherever it is served (`claude-opus-4-6`, `us.anthropic.claude-sonnet-4-5-...-v1:0`,
/// `claude-haiku-4-5@20251001`). A name that tells nothing counts as the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Model<'a> {
    family: &'a str,
    major: u32,
    minor: u32,
}

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    /// It cannot.
    None,
    /// By a number of tokens.
    Budget,
    /// By an effort.
    Effort,
}

impl<'a> Model<'a> {
    /// Reads the name.
    pub(crate) fn of(name: &'a str) -> Self {
        let newest = Self { family: "", major: u32::MAX, minor: 0 };
        let Some((_, rest)) = name.split_once("claude-") else { return newest };
        let mut parts = rest.split(['-', '@', ':', '.']);
        let first = parts.next().unwrap_or_default();
        // claude-3-5-sonnet-20241022: the older order of words. claude-instant-1, claude-v2: older still.
        if let Some(major) = number(first) {
            let next = parts.next().unwrap_or_default();
            return match number(next) {
                Some(minor) => Self { family: parts.next().unwrap_or_default(), major, minor },
                None => Self { family: next, major, minor: 0 },
            };
        }
        if matches!(first, "instant" | "v1" | "v2") {
            return Self { family: first, major: 2, minor: 0 };
        }
        match parts.next().and_then(number) {
            Some(major) => Self { family: first, major, minor: parts.next().and_then(number).unwrap_or(0) },
            None => Self { family: first, ..newest },
        }
    }

    fn since(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// How thinking is asked for. Version 4.6 takes both; what is new is asked for in the new way.
    pub(crate) fn thinking(self) -> Thinking {
        if self.since(4, 6) {
            Thinking::Effort
        } else if self.since(3, 7) {
            Thinking::Budget
        } else {
            Thinking::None
        }
    }

    /// Takes `thinking.type` `enabled` with a budget.
    pub(crate) fn takes_budget(self) -> bool {
        self.since(3, 7) && !self.since(4, 7)
    }

    /// Thinks always: `disabled` is refused.
    pub(crate) fn always_thinks(self) -> bool {
        matches!(self.family, "fable" | "mythos")
    }

    /// `output_config.effort`, or the nearest that the model knows.
    pub(crate) fn effort(self, asked: Effort) -> &'static str {
        match asked {
            Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::XHigh if self.since(4, 7) => "xhigh",
            Effort::High | Effort::XHigh => "high",
            Effort::Max => "max",
        }
    }

    /// Takes `temperature`, `top_p` and `top_k`.
    pub(crate) fn takes_sampling(self) -> bool {
        !self.since(4, 7)
    }

    /// Takes a schema of its answer, and strict tools.
    pub(crate) fn takes_schema(self) -> bool {
        self.since(4, 5)
    }
}

/// A version, which is never a date.
fn number(part: &str) -> Option<u32> {
    part.parse().ok().filter(|number| *number < 1000)
}
