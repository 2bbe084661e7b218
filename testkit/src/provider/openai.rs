//! `OpenAI`'s dialect, and that of all who copied it.

use serde_json::Value;

use super::{Asked, Dialect};
use crate::upstream::{Parts, Refusal, Say, answer, strict};

/// api.openai.com, Azure and those like them.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.has_key(asked.bearer().or_else(|| asked.header("api-key"))) {
            return Ok(());
        }
        Err(Refusal::key("Incorrect API key provided.", "invalid_api_key"))
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        strict::body(asked.path, asked.body)
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        answer::natural(say, asked.path, asked.body)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        refusal.body()
    }
}
