//! How much a model may think, in the words of its generation, and how much it may write with it.

use serde::Serialize;

use super::model::{self, Model};
use crate::{
    chat::{Chat, Content, Effort, Reasoning, Role, Support},
    error::EncodeError,
    provider::Target,
};

/// The least budget that is taken.
const LEAST_BUDGET: u64 = 1024;
/// Room for the answer beside the thoughts where nobody named a limit.
const ROOM: u64 = 4096;

/// `thinking`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thinking {
    Disabled,
    Enabled {
        budget_tokens: u64,
    },
    /// Newer models keep their thoughts to themselves unless asked for a summary.
    Adaptive {
        display: &'static str,
    },
}

const ADAPTIVE: Thinking = Thinking::Adaptive { display: "summarized" };

/// What follows from what the client wishes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) max_tokens: u64,
    pub(super) thinking: Option<Thinking>,
    pub(super) effort: Option<&'static str>,
}

impl Plan {
    /// Decides.
    pub(super) fn of(chat: &Chat, target: &Target<'_>, support: Support<'_>) -> Result<Self, EncodeError> {
        let model = Model::of(target.model);
        let default = super::default_limit(target);
        let mut plan = Self { max_tokens: chat.max_tokens.unwrap_or(default), thinking: None, effort: None };
        let Some(reasoning) = chat.reasoning else { return Ok(plan) };
        let budget = match (reasoning, model.thinking()) {
            (Reasoning::Off, model::Thinking::Effort) => {
                support.lacks("reasoning_effort", model.always_thinks())?;
                plan.thinking = (!model.always_thinks()).then_some(Thinking::Disabled);
                return Ok(plan);
            }
            (Reasoning::Off, model::Thinking::Budget | model::Thinking::None) => return Ok(plan),
            (_, model::Thinking::None) => {
                support.lacks("reasoning_effort", true)?;
                return Ok(plan);
            }
            (Reasoning::Budget(budget), _) if model.takes_budget() => budget,
            (Reasoning::Effort(effort), model::Thinking::Budget) => effort.budget(),
            (_, model::Thinking::Budget) => Effort::Medium.budget(),
            (reasoning, model::Thinking::Effort) => {
                plan.thinking = Some(ADAPTIVE);
                plan.effort = if let Reasoning::Effort(effort) = reasoning { Some(model.effort(effort)) } else { None };
                return Ok(plan);
            }
        };
        if chat.max_tokens.is_none() && plan.max_tokens <= budget {
            plan.max_tokens = budget.saturating_add(ROOM);
        }
        let fitting = budget.min(plan.max_tokens.saturating_sub(1));
        if fitting >= LEAST_BUDGET && !lacks_thoughts(chat) {
            plan.thinking = Some(Thinking::Enabled { budget_tokens: fitting });
        }
        Ok(plan)
    }

    /// Thinks for sure, whatever the model's default.
    pub(super) fn thinks(&self) -> bool {
        matches!(self.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive { .. }))
    }
}

/// Calls whose thoughts the client did not hand back: a model that thinks by budget cannot go on from there thinking.
fn lacks_thoughts(chat: &Chat) -> bool {
    let last = chat.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    let blocks = last.map(|turn| turn.blocks.as_slice()).unwrap_or_default();
    let called = blocks.iter().any(|block| matches!(block.content, Content::ToolCall(_)));
    let thought = blocks.iter().any(|block| {
        matches!(block.content, Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking(_))
    });
    called && !thought
}
