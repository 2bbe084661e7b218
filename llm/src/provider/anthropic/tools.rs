//! Tools in Anthropic's words, and answers in a format where a model knows none.

use std::{borrow::Cow, collections::BTreeSet};

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{beta::Betas, block::CacheControl, model::Model, reasoning::Plan, schema};
use crate::{
    chat::{self, Chat, Content, FORMAT_TOOL, Format, Recall, fitting},
    error::EncodeError,
    inbound::{invalid, value},
    json,
    splice::Editor,
};

/// Longest name of a tool.
const MAX_NAME: usize = 128;

/// Gives tools names that Anthropic takes, wherever they are named.
pub(super) fn rename(chat: &mut Chat, recall: &mut Recall) {
    let mut fit = |name: &mut String| {
        if let Cow::Owned(sent) = fitting(name, b"_-", MAX_NAME) {
            recall.renamed(&sent, name);
            *name = sent;
        }
    };
    for tool in &mut chat.tools {
        if let chat::Tool::Function { name, .. } = tool {
            fit(name);
        }
    }
    if let Some(chat::ToolChoice::Function(name)) = &mut chat.tool_choice {
        fit(name);
    }
    for block in chat.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
        if let Content::ToolCall(call) = &mut block.content {
            fit(&mut call.name);
        }
    }
}

/// Takes anything.
const OPEN: &str = r#"{"type":"object"}"#;

/// One of `tools`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Tool<'a> {
    Custom {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        input_schema: Box<RawValue>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        strict: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Native(Box<RawValue>),
}

/// `tool_choice`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Any {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    Tool {
        name: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        disable_parallel_tool_use: bool,
    },
    None,
}

/// `output_config.format`.
#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
pub(super) struct OutputFormat {
    schema: Box<RawValue>,
}

/// What is found out on the way.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// For the request's headers.
    pub(crate) betas: Betas,
    /// For the answer.
    pub(crate) recall: Recall,
}

/// All about tools and the answer's format.
#[derive(Default)]
pub(super) struct Tools<'a> {
    pub(super) all: Vec<Tool<'a>>,
    pub(super) choice: Option<Choice<'a>>,
    pub(super) format: Option<OutputFormat>,
}

impl<'a> Tools<'a> {
    /// Decides.
    pub(super) fn of(chat: &'a Chat, model: Model<'_>, plan: &Plan, notes: &mut Notes) -> Result<Self, EncodeError> {
        let mut found = Self::default();
        for (at, tool) in chat.tools.iter().enumerate() {
            found.all.push(read(tool, at, model, &mut notes.betas)?);
        }
        found.choice = choice(chat, !found.all.is_empty());
        if found.all.is_empty() {
            // Conversations with calls need the tools that were called; that none may be called now is what no tools means.
            found.all = called(chat);
            found.choice = (!found.all.is_empty()).then_some(Choice::None);
        }
        if let Format::Schema { description, schema, .. } = &chat.format {
            let enforced =
                model.takes_schema().then(|| schema::enforced(schema.get().as_bytes()).and_then(raw)).flatten();
            if let Some(schema) = enforced {
                found.format = Some(OutputFormat { schema });
            } else {
                found.answer_by_tool(description.as_deref(), schema, plan)?;
                notes.recall.format_as_tool();
            }
        }
        Ok(found)
    }

    /// Has the answer written as the arguments of a tool.
    fn answer_by_tool(
        &mut self,
        description: Option<&'a str>,
        schema: &RawValue,
        plan: &Plan,
    ) -> Result<(), EncodeError> {
        let input_schema = object(schema)
            .ok_or_else(|| invalid("response_format", &"for this model its schema must be one of an object"))?;
        let optional = self.all.iter().any(|tool| matches!(tool, Tool::Native(_))) || plan.thinks();
        self.choice = Some(match self.choice {
            // Thoughts and a forced call exclude each other.
            _ if optional => Choice::Auto { disable_parallel_tool_use: false },
            None | Some(Choice::None) => Choice::Tool { name: FORMAT_TOOL, disable_parallel_tool_use: false },
            Some(_) => Choice::Any { disable_parallel_tool_use: false },
        });
        self.all.push(Tool::Custom {
            name: FORMAT_TOOL,
            description: Some(description.unwrap_or("Gives the answer to the user; call it once you know it.")),
            input_schema,
            strict: false,
            cache_control: None,
        });
        Ok(())
    }

    /// Adds a tool in Anthropic's words.
    pub(super) fn add(&mut self, tool: Box<RawValue>, betas: &mut Betas) {
        betas.tool(&tool);
        self.all.push(Tool::Native(tool));
    }
}

fn read<'a>(tool: &'a chat::Tool, at: usize, model: Model<'_>, betas: &mut Betas) -> Result<Tool<'a>, EncodeError> {
    let (name, description, parameters, strict, cache) = match tool {
        chat::Tool::Native(raw) => {
            betas.tool(raw);
            return Ok(Tool::Native(raw.clone()));
        }
        chat::Tool::Function { name, description, parameters, strict, cache } => {
            (name, description, parameters, strict, cache)
        }
    };
    let open = RawValue::from_string(r#"{"type":"object","properties":{}}"#.to_owned()).unwrap_or_default();
    let schema = object(parameters.as_deref().unwrap_or(&open)).ok_or_else(|| {
        invalid(&format!("tools[{at}].function.parameters"), &"it must be the JSON schema of an object")
    })?;
    // A strict tool whose schema cannot be enforced is one that is not strict.
    let wanted = *strict == Some(true) && model.takes_schema();
    let enforced = wanted.then(|| schema::enforced(schema.get().as_bytes()).and_then(raw)).flatten();
    Ok(Tool::Custom {
        name,
        description: description.as_deref(),
        strict: enforced.is_some(),
        input_schema: enforced.unwrap_or(schema),
        cache_control: cache.map(CacheControl::of),
    })
}

/// The schema with the type that Anthropic wants to see; `None` where it is not of an object.
pub(crate) fn object(schema: &RawValue) -> Option<Box<RawValue>> {
    let text = Bytes::copy_from_slice(schema.get().as_bytes());
    let members = json::scan(&text).ok()?;
    let mut edit = Editor::new(&text, &members);
    match edit.value("type") {
        Some(b"\"object\"") => {}
        None | Some(b"null") => edit.set_string("type", "object"),
        Some(_) => return None,
    }
    raw(edit.finish().to_bytes())
}

fn raw(text: Bytes) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(text.into()).ok()?).ok()
}

fn choice(chat: &Chat, any: bool) -> Option<Choice<'_>> {
    let disable_parallel_tool_use = chat.parallel_tools == Some(false);
    match &chat.tool_choice {
        _ if !any => None,
        None if disable_parallel_tool_use => Some(Choice::Auto { disable_parallel_tool_use }),
        None => None,
        Some(chat::ToolChoice::Auto) => Some(Choice::Auto { disable_parallel_tool_use }),
        Some(chat::ToolChoice::None) => Some(Choice::None),
        Some(chat::ToolChoice::Required) => Some(Choice::Any { disable_parallel_tool_use }),
        Some(chat::ToolChoice::Function(name)) => Some(Choice::Tool { name, disable_parallel_tool_use }),
    }
}

/// The tools that were called before.
fn called(chat: &Chat) -> Vec<Tool<'_>> {
    let calls = chat.turns.iter().flat_map(|turn| &turn.blocks).filter_map(|block| match &block.content {
        Content::ToolCall(call) => Some(call.name.as_str()),
        _ => None,
    });
    let names: BTreeSet<&str> = calls.collect();
    let tool = |name| Tool::Custom {
        name,
        description: None,
        input_schema: RawValue::from_string(OPEN.to_owned()).unwrap_or_default(),
        strict: false,
        cache_control: None,
    };
    names.into_iter().map(tool).collect()
}

/// `web_search_options` of OpenAI's as Anthropic's tool.
pub(super) fn web_search(options: &RawValue) -> Result<Box<RawValue>, EncodeError> {
    #[derive(serde::Deserialize)]
    struct Options {
        search_context_size: Option<String>,
        user_location: Option<Location>,
    }
    #[derive(serde::Deserialize)]
    struct Location {
        approximate: Option<serde_json::Map<String, serde_json::Value>>,
    }
    const PARAM: &str = "web_search_options";
    let Options { search_context_size, user_location } = value(PARAM, options.get().as_bytes())?;
    let uses = match search_context_size.as_deref() {
        Some("low") => 1,
        None | Some("medium") => 5,
        Some("high") => 10,
        Some(_) => return Err(invalid(PARAM, &"its search_context_size must be low, medium or high")),
    };
    let mut tool = serde_json::json!({ "type": "web_search_20250305", "name": "web_search", "max_uses": uses });
    if let (Some(mut place), Some(tool)) = (user_location.and_then(|at| at.approximate), tool.as_object_mut()) {
        place.insert("type".to_owned(), "approximate".into());
        tool.insert("user_location".to_owned(), place.into());
    }
    RawValue::from_string(tool.to_string()).map_err(|error| invalid(PARAM, &error))
}
