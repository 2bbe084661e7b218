//! A Messages request in the neutral form.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{self, CacheControl};
use crate::{
    chat::{Chat, Content, Effort, Format, Reasoning, Role, Tool, ToolChoice, Turn},
    error::EncodeError,
    inbound::{invalid, value},
};

/// Members that change nothing in what is answered, or mean something to Anthropic alone: left out for everybody else.
const HINTS: &[&str] = &[
    "model",
    "anthropic_version",
    "anthropic_beta",
    "betas",
    "cache_control",
    "context_management",
    "diagnostics",
    "inference_geo",
    "service_tier",
    "speed",
    "user_profile_id",
];

/// Members that change the answer.
const DEMANDS: &[&str] = &["container", "mcp_servers"];

/// Reads the members of a request's body.
pub(in crate::inbound) fn read<'a>(
    members: impl Iterator<Item = (Cow<'a, str>, &'a [u8])>,
) -> Result<Chat, EncodeError> {
    let mut chat = Chat::default();
    let mut effort = None;
    for (name, text) in members {
        let name = name.as_ref();
        if text == b"null" || HINTS.contains(&name) {
            continue;
        }
        match name {
            "messages" => messages(text, &mut chat)?,
            "system" => {
                let raw: &RawValue = value(name, text)?;
                let mut blocks = block::read(name, raw)?;
                if blocks.iter().any(|block| !matches!(block.content, Content::Text(_))) {
                    return Err(invalid(name, &"it holds text only"));
                }
                // Before those among the messages.
                blocks.append(&mut chat.system);
                chat.system = blocks;
            }
            "tools" => chat.tools = tools(text)?,
            "tool_choice" => tool_choice(text, &mut chat)?,
            "thinking" => chat.reasoning = Some(thinking(text)?),
            "output_config" => effort = output_config(text, &mut chat)?,
            "output_format" => chat.format = format(name, text)?,
            "metadata" => chat.user = metadata(text)?,
            "max_tokens" => chat.max_tokens = Some(value(name, text)?),
            "stop_sequences" => chat.sampling.stop = value(name, text)?,
            "temperature" => chat.sampling.temperature = Some(value(name, text)?),
            "top_p" => chat.sampling.top_p = Some(value(name, text)?),
            "top_k" => chat.sampling.top_k = Some(value(name, text)?),
            "stream" => chat.stream = value(name, text)?,
            _ => match DEMANDS.iter().find(|demand| **demand == name) {
                Some(demand) => chat.demands.push((demand, value(name, text)?)),
                None => chat.others.push((name.to_owned(), value(name, text)?)),
            },
        }
    }
    // An effort says more than that the model may think as it sees fit.
    if matches!(chat.reasoning, None | Some(Reasoning::Adaptive)) {
        chat.reasoning = effort.map(Reasoning::Effort).or(chat.reasoning);
    }
    Ok(chat)
}

fn messages(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    struct Message<'a> {
        role: String,
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let messages: Vec<&RawValue> = value("messages", text)?;
    for (at, raw) in messages.into_iter().enumerate() {
        let param = format!("messages[{at}]");
        let Message { role, content } = value(&param, raw.get().as_bytes())?;
        let mut blocks = block::read(&format!("{param}.content"), content)?;
        let role = match role.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => {
                chat.system.append(&mut blocks);
                continue;
            }
            _ => return Err(invalid(&format!("{param}.role"), &"it must be user or assistant")),
        };
        chat.turns.push(Turn { role, name: None, blocks });
    }
    Ok(())
}

fn tools(text: &[u8]) -> Result<Vec<Tool>, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
        description: Option<String>,
        input_schema: Option<Box<RawValue>>,
        strict: Option<bool>,
        cache_control: Option<CacheControl>,
    }
    let raw: Vec<Box<RawValue>> = value("tools", text)?;
    let read = |(at, raw): (usize, Box<RawValue>)| {
        let param = format!("tools[{at}]");
        let Wire { kind, name, description, input_schema, strict, cache_control } =
            value(&param, raw.get().as_bytes())?;
        if !matches!(kind.as_deref(), None | Some("custom")) {
            return Ok(Tool::Native(raw));
        }
        let name = name.ok_or_else(|| invalid(&param, &"it must have a 'name'"))?;
        let cache = cache_control.map(CacheControl::lifetime);
        Ok(Tool::Function { name, description, parameters: input_schema, strict, cache })
    };
    raw.into_iter().enumerate().map(read).collect()
}

fn tool_choice(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        name: Option<String>,
        disable_parallel_tool_use: Option<bool>,
    }
    const PARAM: &str = "tool_choice";
    let Wire { kind, name, disable_parallel_tool_use } = value(PARAM, text)?;
    chat.parallel_tools = disable_parallel_tool_use.map(|disabled| !disabled);
    chat.tool_choice = Some(match (kind.as_str(), name) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("none", _) => ToolChoice::None,
        ("tool", Some(name)) => ToolChoice::Function(name),
        _ => return Err(invalid(PARAM, &"its type must be auto, any, none, or tool with a 'name'")),
    });
    Ok(())
}

fn thinking(text: &[u8]) -> Result<Reasoning, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        budget_tokens: Option<u64>,
    }
    let Wire { kind, budget_tokens } = value("thinking", text)?;
    match (kind.as_str(), budget_tokens) {
        ("disabled", _) => Ok(Reasoning::Off),
        ("enabled", Some(budget)) => Ok(Reasoning::Budget(budget)),
        ("adaptive" | "between_tools", _) => Ok(Reasoning::Adaptive),
        _ => Err(invalid("thinking", &"its type must be disabled, adaptive, or enabled with 'budget_tokens'")),
    }
}

fn output_config(text: &[u8], chat: &mut Chat) -> Result<Option<Effort>, EncodeError> {
    #[derive(Deserialize)]
    struct Wire<'a> {
        effort: Option<String>,
        #[serde(borrow)]
        format: Option<&'a RawValue>,
    }
    const PARAM: &str = "output_config";
    let Wire { effort, format: wanted } = value(PARAM, text)?;
    if let Some(wanted) = wanted {
        chat.format = format("output_config.format", wanted.get().as_bytes())?;
    }
    let read = |word: String| {
        Effort::of(&word).ok_or_else(|| invalid("output_config.effort", &"it must be low, medium, high, xhigh or max"))
    };
    effort.map(read).transpose()
}

fn format(param: &str, text: &[u8]) -> Result<Format, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        #[serde(rename = "type")]
        kind: String,
        schema: Option<Box<RawValue>>,
    }
    let Wire { kind, schema } = value(param, text)?;
    match (kind.as_str(), schema) {
        ("json_schema", Some(schema)) => {
            Ok(Format::Schema { name: "answer".to_owned(), description: None, schema, strict: None })
        }
        _ => Err(invalid(param, &"it must be of type json_schema with a 'schema'")),
    }
}

fn metadata(text: &[u8]) -> Result<Option<String>, EncodeError> {
    #[derive(Deserialize)]
    struct Wire {
        user_id: Option<String>,
    }
    let Wire { user_id } = value("metadata", text)?;
    Ok(user_id.filter(|id| !id.is_empty()))
}
