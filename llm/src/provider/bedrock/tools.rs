//! Tools, the choice among them, and formats of answers that are asked for as a tool.

use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

use super::{
    Call,
    wire::{self, JsonSchema, OutputConfig, Schema, Structure, TextFormat, ToolConfig, ToolSpec},
};
use crate::{
    chat::{Chat, Content, FORMAT_TOOL, Format, Tool, ToolChoice},
    error::EncodeError,
    inbound::{invalid, value},
    provider::anthropic,
};

/// Types of Claude's tools that the client runs; those that Anthropic runs are not served here.
const CLAUDES: &[&str] = &["computer_", "bash_", "text_editor_", "memory_"];

/// `tool_choice` in Claude's own words, which say more than Converse's.
#[derive(Serialize)]
struct ClaudeChoice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

impl Call<'_> {
    /// `toolConfig`; where the answer's format goes as a tool, that too. `thinks` = the model will think first.
    pub(super) fn tools(
        &mut self,
        chat: &mut Chat,
        output: &mut OutputConfig,
        thinks: bool,
    ) -> Result<Option<ToolConfig>, EncodeError> {
        let called = called(chat);
        let told = chat.tool_choice == Some(ToolChoice::None);
        if chat.tools.is_empty() {
            // No tools means that none may be called, even where the conversation wants them named.
            chat.tool_choice = Some(ToolChoice::None);
        }
        let forbidden = chat.tool_choice == Some(ToolChoice::None);
        let asked = std::mem::take(&mut chat.tools);
        let mut tools = Vec::with_capacity(asked.len() + 1);
        if !self.model.has_tools() {
            if !called.is_empty() {
                return Err(self.support.no_content("calls of tools and their results"));
            }
            self.support.lacks("tools", !asked.is_empty() && !forbidden)?;
        } else if !forbidden || !called.is_empty() {
            for tool in asked {
                self.add(tool, &mut tools)?;
            }
            self.add_called(called, &mut tools)?;
        }
        let own = !tools.is_empty();
        let formatted = self.format(std::mem::take(&mut chat.format), output, thinks, &mut tools)?;
        if tools.is_empty() {
            return Ok(None);
        }
        let tool_choice = self.choice(chat, own, formatted && !thinks, told)?;
        Ok(Some(ToolConfig { tools, tool_choice }))
    }

    fn add(&mut self, tool: Tool, tools: &mut Vec<wire::Tool>) -> Result<(), EncodeError> {
        let (name, description, parameters, strict, cache) = match tool {
            Tool::Function { name, description, parameters, strict, cache } => {
                (name, description, parameters, strict, cache)
            }
            Tool::Native(raw) => return self.add_native(raw, tools),
        };
        // A strict tool whose schema cannot be enforced is one that is not strict.
        let wanted = strict == Some(true) && self.model.takes_schema();
        let followed = wanted.then(|| parameters.as_deref().and_then(enforced)).flatten();
        let strict = followed.is_some().then_some(true);
        tools.push(wire::Tool::ToolSpec(ToolSpec {
            name: self.tool_name(&name),
            description: description.filter(|text| !text.trim().is_empty()),
            input_schema: schema("tools", followed.as_deref().or(parameters.as_deref()))?,
            strict,
        }));
        if let Some(lifetime) = cache.filter(|_| self.model.has_tool_cache()) {
            tools.push(wire::Tool::CachePoint(self.cache_point(lifetime)));
        }
        Ok(())
    }

    /// Tools in Converse's own words go with the others, those in Claude's own words beside them.
    fn add_native(&mut self, raw: Box<RawValue>, tools: &mut Vec<wire::Tool>) -> Result<(), EncodeError> {
        let tool: Value = serde_json::from_str(raw.get()).unwrap_or_default();
        let named = |name: &str| tool.get(name).is_some();
        if named("toolSpec") || named("systemTool") || named("cachePoint") {
            tools.push(wire::Tool::Native(raw));
            return Ok(());
        }
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
        if self.model.is_claude() && CLAUDES.iter().any(|known| kind.starts_with(known)) {
            self.claude_tools.push(raw);
            return Ok(());
        }
        self.support.lacks("tools", true)
    }

    /// Tools that the conversation called and the request does not name: Converse wants to know them.
    fn add_called(&mut self, called: Vec<String>, tools: &mut Vec<wire::Tool>) -> Result<(), EncodeError> {
        for own in called {
            let name = self.tool_name(&own);
            let known = tools.iter().any(|tool| match tool {
                wire::Tool::ToolSpec(spec) => spec.name == name,
                wire::Tool::CachePoint(_) => false,
                wire::Tool::Native(raw) => raw.get().contains(&name),
            });
            let known = known || self.claude_tools.iter().any(|raw| raw.get().contains(&name));
            if !known {
                tools.push(wire::Tool::ToolSpec(ToolSpec {
                    name,
                    description: None,
                    input_schema: schema("tools", None)?,
                    strict: None,
                }));
            }
        }
        Ok(())
    }

    /// Asks for the answer's format; true = as a call of [`FORMAT_TOOL`].
    fn format(
        &mut self,
        format: Format,
        output: &mut OutputConfig,
        thinks: bool,
        tools: &mut Vec<wire::Tool>,
    ) -> Result<bool, EncodeError> {
        let Format::Schema { name, description, schema: wanted, strict: _ } = format else {
            return Ok(false);
        };
        let followed = enforced(&wanted).filter(|_| self.model.takes_schema());
        if let Some(followed) = followed {
            let name = (!name.is_empty()).then_some(name);
            let json_schema = JsonSchema { schema: followed.get().to_owned(), name, description };
            output.text_format = Some(TextFormat { kind: "json_schema", structure: Structure { json_schema } });
            return Ok(false);
        }
        if !self.model.has_forced_tools() {
            self.support.lacks("response_format", true)?;
            return Ok(false);
        }
        let description = description.unwrap_or_else(|| "Gives the answer.".to_owned());
        // A model that thinks may not be forced, only asked.
        let description =
            if thinks { format!("{description} Always answer by calling this tool.") } else { description };
        tools.push(wire::Tool::ToolSpec(ToolSpec {
            name: FORMAT_TOOL.to_owned(),
            description: Some(description),
            input_schema: schema("response_format", Some(&wanted))?,
            strict: None,
        }));
        self.recall.format_as_tool();
        Ok(true)
    }

    /// `toolChoice`. `own` = there are tools of the client's; `formatted` = and one that must be called for the format;
    /// `told` = the client has forbidden its tools in so many words.
    fn choice(
        &mut self,
        chat: &Chat,
        own: bool,
        formatted: bool,
        told: bool,
    ) -> Result<Option<wire::ToolChoice>, EncodeError> {
        let single = own && chat.parallel_tools == Some(false);
        if single && !self.model.is_claude() {
            self.support.lacks("parallel_tool_calls", true)?;
        }
        let (kind, name) = match &chat.tool_choice {
            Some(ToolChoice::Function(own)) => ("tool", Some(self.tool_name(own))),
            None | Some(ToolChoice::Auto | ToolChoice::Required) if formatted && own => ("any", None),
            _ if formatted => ("tool", Some(FORMAT_TOOL.to_owned())),
            Some(ToolChoice::Required) => ("any", None),
            Some(ToolChoice::None) if own => ("none", None),
            _ => ("auto", None),
        };
        let unsaid = kind == "none" || single;
        if unsaid && self.model.is_claude() {
            let choice = ClaudeChoice {
                kind,
                name: name.as_deref(),
                disable_parallel_tool_use: (single && kind != "none").then_some(true),
            };
            self.say("tool_choice", &choice);
            return Ok(None);
        }
        let unforced = matches!(kind, "any" | "tool") && !formatted && !self.model.has_forced_tools();
        if kind == "none" || unforced {
            self.support.lacks("tool_choice", told || unforced)?;
            return Ok(None);
        }
        Ok(match (kind, name) {
            ("any", _) => Some(wire::ToolChoice::Any {}),
            ("tool", Some(name)) => Some(wire::ToolChoice::Tool { name }),
            // What it does anyhow.
            _ => (chat.tool_choice == Some(ToolChoice::Auto)).then_some(wire::ToolChoice::Auto {}),
        })
    }
}

/// Names of the tools that the conversation called, each once.
fn called(chat: &Chat) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for block in chat.turns.iter().flat_map(|turn| &turn.blocks) {
        if let Content::ToolCall(call) = &block.content
            && !names.contains(&call.name)
        {
            names.push(call.name.clone());
        }
    }
    names
}

/// `inputSchema`: an object's, even of tools that take nothing.
fn schema(param: &str, given: Option<&RawValue>) -> Result<Schema, EncodeError> {
    let none: Box<RawValue> = value(param, br#"{"type":"object","properties":{}}"#)?;
    let given = given.filter(|raw| raw.get() != "null").unwrap_or(&none);
    let json = anthropic::object(given).ok_or_else(|| invalid(param, &"its schema must be that of an object"))?;
    Ok(Schema { json })
}

/// The schema as a constrained answer can follow it; `None` where it cannot.
fn enforced(schema: &RawValue) -> Option<Box<RawValue>> {
    let text = anthropic::enforced(schema.get().as_bytes())?;
    RawValue::from_string(String::from_utf8(text.into()).ok()?).ok()
}

/// Adds a parameter of the model's own.
impl Call<'_> {
    pub(super) fn say<T: Serialize>(&mut self, name: &str, value: &T) {
        // These types cannot fail to serialise.
        if let Ok(raw) = to_raw_value(value) {
            self.fields.add(name, raw);
        }
    }
}
