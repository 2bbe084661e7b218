//! A chat request of OpenAI's dialect in the neutral form.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use super::message;
use crate::{
    chat::{Chat, Effort, Format, Reasoning, Tool, ToolChoice},
    error::EncodeError,
    inbound::{invalid, service_tier, value},
};

/// Members that change nothing in the answer, or mean something to OpenAI alone: left out for everybody else.
const HINTS: &[&str] = &[
    "model",
    "metadata",
    "store",
    "stream_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
];

/// Members that change the answer, with the values under which they do not.
const DEMANDS: &[(&str, &[&str])] = &[
    ("logit_bias", &["{}"]),
    ("prediction", &[]),
    ("modalities", &["[\"text\"]"]),
    ("audio", &[]),
    ("web_search_options", &[]),
    ("verbosity", &["\"medium\""]),
];

/// Reads the members of a request's body.
pub(in crate::inbound) fn read<'a>(
    members: impl Iterator<Item = (Cow<'a, str>, &'a [u8])>,
) -> Result<Chat, EncodeError> {
    let mut chat = Chat::default();
    let mut older_limit = None;
    for (name, text) in members {
        let name = name.as_ref();
        if text == b"null" || HINTS.contains(&name) {
            continue;
        }
        match name {
            "messages" => message::read(text, &mut chat)?,
            "tools" => chat.tools = tools(text)?,
            "functions" => chat.tools = functions(text)?,
            "tool_choice" | "function_call" => chat.tool_choice = Some(tool_choice(name, text)?),
            "parallel_tool_calls" => chat.parallel_tools = Some(value(name, text)?),
            "response_format" => chat.format = format(text)?,
            "max_completion_tokens" => chat.max_tokens = limit(name, text)?,
            "max_tokens" => older_limit = limit(name, text)?,
            "reasoning_effort" => chat.reasoning = effort(text)?.or(chat.reasoning),
            "thinking" => chat.reasoning = Some(thinking(text)?),
            "user" => chat.user = Some(value(name, text)?),
            "stream" => chat.stream = value(name, text)?,
            "service_tier" => chat.service_tier = service_tier(text),
            _ if sampling(&mut chat, name, text)? => {}
            _ => other(&mut chat, name, text)?,
        }
    }
    chat.max_tokens = chat.max_tokens.or(older_limit);
    Ok(chat)
}

fn sampling(chat: &mut Chat, name: &str, text: &[u8]) -> Result<bool, EncodeError> {
    let sampling = &mut chat.sampling;
    match name {
        "temperature" => sampling.temperature = Some(value::<Number>(name, text)?),
        "top_p" => sampling.top_p = Some(value(name, text)?),
        "top_k" => sampling.top_k = Some(value(name, text)?),
        "frequency_penalty" => sampling.frequency_penalty = Some(value(name, text)?),
        "presence_penalty" => sampling.presence_penalty = Some(value(name, text)?),
        "seed" => sampling.seed = Some(value(name, text)?),
        "n" => sampling.n = Some(value(name, text)?),
        "logprobs" => sampling.logprobs = value(name, text)?,
        "top_logprobs" => sampling.top_logprobs = Some(value(name, text)?),
        "stop" => sampling.stop = stop(text)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn other(chat: &mut Chat, name: &str, text: &[u8]) -> Result<(), EncodeError> {
    let raw: Box<RawValue> = value(name, text)?;
    match DEMANDS.iter().find(|(demand, _)| *demand == name) {
        Some((_, neutral)) if neutral.contains(&raw.get()) => {}
        Some((demand, _)) => chat.demands.push((demand, raw)),
        None => chat.others.push((name.to_owned(), raw)),
    }
    Ok(())
}

/// A negative number means no limit.
fn limit(name: &str, text: &[u8]) -> Result<Option<u64>, EncodeError> {
    let number: i64 = value(name, text)?;
    Ok(u64::try_from(number).ok())
}

fn stop(text: &[u8]) -> Result<Vec<String>, EncodeError> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must be a string or an array of strings")]
    enum Stop {
        One(String),
        Many(Vec<String>),
    }
    Ok(match value("stop", text)? {
        Stop::One(only) => vec![only],
        Stop::Many(all) => all,
    })
}

fn tools(text: &[u8]) -> Result<Vec<Tool>, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: Option<String>,
        function: Option<Function>,
        cache_control: Option<message::CacheControl>,
    }
    let raw: Vec<Box<RawValue>> = value("tools", text)?;
    let read = |(at, raw): (usize, Box<RawValue>)| {
        let param = format!("tools[{at}]");
        let wire: Wire = value(&param, raw.get().as_bytes())?;
        match (wire.kind.as_deref(), wire.function) {
            (None | Some("function"), Some(function)) => {
                Ok(function.tool(wire.cache_control.map(message::CacheControl::lifetime)))
            }
            (Some("function"), None) => Err(invalid(&param, &"it must hold 'function'")),
            // Without a type it is in Google's words: {"googleSearch":{}}.
            (None, None) if raw.get() == "{}" => Err(invalid(&param, &"it must hold 'function'")),
            (_, _) => Ok(Tool::Native(raw)),
        }
    };
    raw.into_iter().enumerate().map(read).collect()
}

/// The older form of `tools`.
fn functions(text: &[u8]) -> Result<Vec<Tool>, EncodeError> {
    let functions: Vec<Function> = value("functions", text)?;
    Ok(functions.into_iter().map(|function| function.tool(None)).collect())
}

#[derive(Deserialize)]
struct Function {
    name: String,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    strict: Option<bool>,
}

impl Function {
    fn tool(self, cache: Option<crate::chat::CacheLifetime>) -> Tool {
        let Self { name, description, parameters, strict } = self;
        Tool::Function { name, description, parameters, strict, cache }
    }
}

fn tool_choice(param: &str, text: &[u8]) -> Result<ToolChoice, EncodeError> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must be 'auto', 'none', 'required' or name a function")]
    enum Wire {
        Word(String),
        Named { function: Named },
        Function(Named),
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    match value(param, text)? {
        Wire::Word(word) => match word.as_str() {
            "auto" => Ok(ToolChoice::Auto),
            "none" => Ok(ToolChoice::None),
            "required" | "any" => Ok(ToolChoice::Required),
            _ => Err(invalid(param, &"it must be 'auto', 'none', 'required' or name a function")),
        },
        Wire::Named { function } | Wire::Function(function) => Ok(ToolChoice::Function(function.name)),
    }
}

fn format(text: &[u8]) -> Result<Format, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        json_schema: Option<Shape>,
    }
    #[derive(Deserialize)]
    struct Shape {
        #[serde(default)]
        name: String,
        description: Option<String>,
        #[serde(rename = "schema")]
        itself: Option<Box<RawValue>>,
        strict: Option<bool>,
    }
    const PARAM: &str = "response_format";
    let wire: Wire = value(PARAM, text)?;
    match (wire.kind.as_str(), wire.json_schema) {
        ("text", _) => Ok(Format::Text),
        ("json_object", _) => Ok(Format::Json),
        ("json_schema", Some(Shape { name, description, itself: Some(schema), strict })) => {
            Ok(Format::Schema { name, description, schema, strict })
        }
        ("json_schema", _) => Err(invalid(PARAM, &"type 'json_schema' needs 'json_schema.schema'")),
        _ => Err(invalid(PARAM, &"its type must be 'text', 'json_object' or 'json_schema'")),
    }
}

/// `None` where the model's own default is meant.
fn effort(text: &[u8]) -> Result<Option<Reasoning>, EncodeError> {
    const PARAM: &str = "reasoning_effort";
    let word: String = value(PARAM, text)?;
    match word.as_str() {
        "none" | "disable" => Ok(Some(Reasoning::Off)),
        "default" => Ok(None),
        word => match Effort::of(word) {
            Some(effort) => Ok(Some(Reasoning::Effort(effort))),
            None => Err(invalid(PARAM, &"it must be none, minimal, low, medium, high, xhigh or max")),
        },
    }
}

/// Anthropic's member, which LiteLLM's clients send in OpenAI's dialect too.
fn thinking(text: &[u8]) -> Result<Reasoning, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        budget_tokens: Option<u64>,
    }
    let wire: Wire = value("thinking", text)?;
    match (wire.kind.as_str(), wire.budget_tokens) {
        ("disabled", _) => Ok(Reasoning::Off),
        ("enabled", Some(budget)) => Ok(Reasoning::Budget(budget)),
        ("enabled" | "adaptive", _) => Ok(Reasoning::Adaptive),
        _ => Err(invalid("thinking", &"its type must be 'enabled', 'disabled' or 'adaptive'")),
    }
}
