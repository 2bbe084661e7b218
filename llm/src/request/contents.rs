//! What the gateway reads of a request in Gemini's words: its limit and its number of answers lie inside `generationConfig`.

use super::{ScanError, fields::Fields};
use crate::json::{self, Member};

/// Members that are read here or by translations, each by its two spellings: given twice, two readers could see two requests.
const READ: [[&str; 2]; 6] = [
    ["contents", "contents"],
    CONFIG,
    ["systemInstruction", "system_instruction"],
    ["tools", "tools"],
    ["toolConfig", "tool_config"],
    ["cachedContent", "cached_content"],
];

/// The settings.
pub(crate) const CONFIG: [&str; 2] = ["generationConfig", "generation_config"];
/// Output tokens of one answer.
pub(crate) const LIMIT: [&str; 2] = ["maxOutputTokens", "max_output_tokens"];
/// How many answers.
const CHOICES: [&str; 2] = ["candidateCount", "candidate_count"];

/// What the settings say of the output.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked {
    /// `maxOutputTokens`.
    pub(crate) limit: Option<u64>,
    /// `candidateCount`.
    pub(crate) choices: Option<u64>,
}

/// Puts what the settings say where the gateway looks for it.
pub(super) fn read(body: &[u8], members: &[Member], fields: &mut Fields) -> Result<(), ScanError> {
    for names in READ {
        once(body, members, names)?;
    }
    let Some(config) = CONFIG.iter().find_map(|name| json::member(body, members, name)) else { return Ok(()) };
    if config == b"null" {
        return Ok(());
    }
    if config.first() != Some(&b'{') {
        return Err(ScanError {
            message: "'generationConfig' must be an object or null.".into(),
            param: Some(CONFIG[0]),
            code: "invalid_type",
        });
    }
    let inner = json::scan(config)?;
    once(config, &inner, LIMIT)?;
    once(config, &inner, CHOICES)?;
    let asked = asked(config);
    fields.max_completion_tokens = asked.limit.or(fields.max_completion_tokens);
    fields.n = asked.choices.or(fields.n).map(|n| n.max(1));
    Ok(())
}

fn once(text: &[u8], members: &[Member], names: [&'static str; 2]) -> Result<(), ScanError> {
    let given = members.iter().filter(|member| names.iter().any(|name| member.is(name, text)));
    if given.count() < 2 {
        return Ok(());
    }
    Err(ScanError {
        message: format!("Member '{}' is given more than once.", names[0]).into(),
        param: Some(names[0]),
        code: "duplicate_key",
    })
}

/// Reads the settings.
pub(crate) fn asked(config: &[u8]) -> Asked {
    let members = json::scan(config).unwrap_or_default();
    // Google takes numbers in quotes too.
    let count = |text: &[u8]| json::as_str(text).map_or_else(|| json::as_count(text), |text| text.parse().ok());
    let number = |names: [&str; 2]| names.iter().find_map(|name| count(json::member(config, &members, name)?));
    Asked { limit: number(LIMIT), choices: number(CHOICES) }
}
