//! A request of Responses in the neutral form.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use super::input;
use crate::{
    chat::{Block, Chat, Content, Effort, Format, Reasoning, Tool, ToolChoice},
    error::EncodeError,
    inbound::{invalid, service_tier, value},
};

/// Members that change nothing in the answer, or mean something to OpenAI alone: left out for everybody else.
const HINTS: &[&str] = &[
    "model",
    "metadata",
    "store",
    "stream_options",
    "truncation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "access_programs",
];

/// Members that have the provider look up what it stored, or go on without the client.
const STORED: &[(&str, &str)] = &[
    ("previous_response_id", "answers are not stored; send the whole conversation in 'input'"),
    ("conversation", "conversations are not stored; send the whole conversation in 'input'"),
    ("prompt", "prompts are not stored; send 'instructions' and 'input'"),
    ("background", "requests are answered at once; leave it out"),
];

/// Reads the members of a request's body.
pub(in crate::inbound) fn read<'a>(
    members: impl Iterator<Item = (Cow<'a, str>, &'a [u8])>,
) -> Result<Chat, EncodeError> {
    let mut chat = Chat::default();
    let mut allowed = None;
    for (name, text) in members {
        let name = name.as_ref();
        if text == b"null" || HINTS.contains(&name) {
            continue;
        }
        if let Some((_, why)) = STORED.iter().find(|(stored, _)| *stored == name).filter(|_| text != b"false") {
            return Err(unstored(name, why));
        }
        match name {
            "input" => input::read(text, &mut chat)?,
            "instructions" => chat.system.insert(0, instructions(text)?),
            "tools" => tools(text, &mut chat)?,
            "tool_choice" => allowed = choice(text, &mut chat)?,
            "parallel_tool_calls" => chat.parallel_tools = Some(value(name, text)?),
            "text" => text_format(text, &mut chat)?,
            "reasoning" => chat.reasoning = reasoning(text)?,
            "max_output_tokens" => chat.max_tokens = Some(value(name, text)?),
            "temperature" => chat.sampling.temperature = Some(value::<Number>(name, text)?),
            "top_p" => chat.sampling.top_p = Some(value(name, text)?),
            "top_logprobs" => top_logprobs(value(name, text)?, &mut chat),
            "include" => include(text, &mut chat)?,
            "user" => chat.user = Some(value(name, text)?),
            "stream" => chat.stream = value(name, text)?,
            "service_tier" => chat.service_tier = service_tier(text),
            "max_tool_calls" => chat.demands.push(("max_tool_calls", value(name, text)?)),
            "background" => {}
            other => chat.others.push((other.to_owned(), value(name, text)?)),
        }
    }
    if let Some(allowed) = allowed {
        let is_allowed = |tool: &Tool| matches!(tool, Tool::Function { name, .. } if allowed.contains(name));
        chat.tools.retain(is_allowed);
    }
    Ok(chat)
}

fn unstored(name: &str, why: &str) -> EncodeError {
    EncodeError {
        message: format!("Unsupported parameter: '{name}' cannot be used with this model: {why}.").into(),
        param: Some(name.to_owned().into()),
        code: "unsupported_parameter",
    }
}

fn instructions(text: &[u8]) -> Result<Block, EncodeError> {
    Ok(Content::Text(value("instructions", text)?).into())
}

/// Tools that OpenAI runs itself, or calls in other ways than functions.
fn hosted(kind: &str) -> &'static str {
    match kind {
        "apply_patch" => "tools.apply_patch",
        "code_interpreter" => "tools.code_interpreter",
        "computer" | "computer_use_preview" => "tools.computer",
        "custom" => "tools.custom",
        "file_search" => "tools.file_search",
        "image_generation" => "tools.image_generation",
        "local_shell" | "shell" => "tools.shell",
        "mcp" => "tools.mcp",
        "web_search" | "web_search_preview" => "tools.web_search",
        _ => "tools",
    }
}

fn tools(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        name: Option<String>,
        description: Option<String>,
        parameters: Option<Box<RawValue>>,
        strict: Option<bool>,
    }
    let raw: Vec<Box<RawValue>> = value("tools", text)?;
    for (at, raw) in raw.into_iter().enumerate() {
        let param = format!("tools[{at}]");
        let Wire { kind, name, description, parameters, strict } = value(&param, raw.get().as_bytes())?;
        match (kind.as_str(), name) {
            ("function", Some(name)) => {
                chat.tools.push(Tool::Function { name, description, parameters, strict, cache: None });
            }
            ("function", None) => return Err(invalid(&param, &"a function needs 'name'")),
            (kind, _) => chat.demands.push((hosted(kind), raw)),
        }
    }
    Ok(())
}

/// Gives the names of the only tools that may be called, where the choice says so.
fn choice(text: &[u8], chat: &mut Chat) -> Result<Option<Vec<String>>, EncodeError> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must be 'auto', 'none', 'required' or name a function")]
    enum Wire {
        Word(String),
        Object {
            #[serde(rename = "type")]
            kind: String,
            name: Option<String>,
            mode: Option<String>,
            tools: Option<Vec<Named>>,
        },
    }
    #[derive(Deserialize)]
    struct Named {
        name: Option<String>,
    }
    const PARAM: &str = "tool_choice";
    let word = |word: &str| match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Err(invalid(PARAM, &"it must be 'auto', 'none', 'required' or name a function")),
    };
    let (choice, allowed) = match value(PARAM, text)? {
        Wire::Word(text) => (word(&text)?, None),
        Wire::Object { kind, name: Some(name), .. } if kind == "function" => (ToolChoice::Function(name), None),
        Wire::Object { kind, mode, tools: Some(tools), .. } if kind == "allowed_tools" => {
            let names = tools.into_iter().filter_map(|tool| tool.name).collect();
            (word(mode.as_deref().unwrap_or("auto"))?, Some(names))
        }
        Wire::Object { kind, .. } => {
            let why = format!("tools of type '{kind}' are OpenAI's own, and this model's provider does not have them");
            return Err(invalid(PARAM, &why));
        }
    };
    chat.tool_choice = Some(choice);
    Ok(allowed)
}

fn text_format(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        format: Option<Shape>,
        verbosity: Option<Box<RawValue>>,
    }
    #[derive(Deserialize)]
    struct Shape {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        name: String,
        description: Option<String>,
        schema: Option<Box<RawValue>>,
        strict: Option<bool>,
    }
    const PARAM: &str = "text.format";
    let wire: Wire = value("text", text)?;
    if let Some(verbosity) = wire.verbosity.filter(|verbosity| !matches!(verbosity.get(), "null" | "\"medium\"")) {
        chat.demands.push(("verbosity", verbosity));
    }
    let Some(Shape { kind, name, description, schema, strict }) = wire.format else { return Ok(()) };
    chat.format = match (kind.as_str(), schema) {
        ("text", _) => Format::Text,
        ("json_object", _) => Format::Json,
        ("json_schema", Some(schema)) => Format::Schema { name, description, schema, strict },
        ("json_schema", None) => return Err(invalid(PARAM, &"type 'json_schema' needs 'schema'")),
        _ => return Err(invalid(PARAM, &"its type must be 'text', 'json_object' or 'json_schema'")),
    };
    Ok(())
}

/// What it says of summaries is a hint: they are shown where the provider gives them.
fn reasoning(text: &[u8]) -> Result<Option<Reasoning>, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        effort: Option<String>,
    }
    let wire: Wire = value("reasoning", text)?;
    match wire.effort.as_deref() {
        None => Ok(None),
        Some("none") => Ok(Some(Reasoning::Off)),
        Some(word) => match Effort::of(word) {
            Some(effort) => Ok(Some(Reasoning::Effort(effort))),
            None => Err(invalid("reasoning.effort", &"it must be none, minimal, low, medium, high, xhigh or max")),
        },
    }
}

fn top_logprobs(most: u64, chat: &mut Chat) {
    if most > 0 {
        chat.sampling.logprobs = true;
        chat.sampling.top_logprobs = Some(most);
    }
}

/// Of what may be included, only the tokens' probabilities have to be asked for; the others come where there are any.
fn include(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    let wanted: Vec<String> = value("include", text)?;
    chat.sampling.logprobs |= wanted.iter().any(|what| what == "message.output_text.logprobs");
    Ok(())
}
