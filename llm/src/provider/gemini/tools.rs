//! What a Gemini model may call: functions by their cleaned schemas, and the tools that Google runs itself.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    object::{self, Object},
    schema::{self, Schema},
};
use crate::{
    chat::{Chat, Support, Tool, ToolChoice},
    error::EncodeError,
    inbound::invalid,
};

/// Google's own tools, under which other dialects' names for the like go too.
const NATIVE: &[(&str, &str)] = &[
    ("google_search", "googleSearch"),
    ("googleSearch", "googleSearch"),
    ("web_search", "googleSearch"),
    ("url_context", "urlContext"),
    ("urlContext", "urlContext"),
    ("web_fetch", "urlContext"),
    ("code_execution", "codeExecution"),
    ("codeExecution", "codeExecution"),
    ("code_interpreter", "codeExecution"),
    ("google_maps", "googleMaps"),
    ("googleMaps", "googleMaps"),
    ("enterprise_web_search", "enterpriseWebSearch"),
    ("enterpriseWebSearch", "enterpriseWebSearch"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Functions<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Schema>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

/// Puts `tools` and `toolConfig`.
pub(super) fn put(chat: &Chat, support: Support<'_>, searches: bool, body: &mut Object) -> Result<(), EncodeError> {
    let mut declared = Functions { function_declarations: Vec::new() };
    let mut tools: Vec<Box<RawValue>> = Vec::new();
    for (at, tool) in chat.tools.iter().enumerate() {
        match tool {
            Tool::Function { name, description, parameters, .. } => {
                let parameters = parameters.as_deref().map(schema::cleaned).transpose();
                let parameters =
                    parameters.map_err(|why| invalid(&format!("tools[{at}].function.parameters"), &why))?;
                declared.function_declarations.push(Declaration {
                    name,
                    description: description.as_deref(),
                    parameters: parameters.filter(|schema| !schema.takes_nothing()),
                });
            }
            Tool::Native(raw) => match native(raw) {
                Some(tool) => tools.push(tool),
                None => support.lacks("tools", true)?,
            },
        }
    }
    if searches && !tools.iter().any(|tool| tool.get().contains("oogle")) {
        tools.extend(empty("googleSearch"));
    }
    let functions = declared.function_declarations.len();
    // The model decides how many it calls at once, which matters where there are several.
    support.lacks("parallel_tool_calls", chat.parallel_tools == Some(false) && functions > 1)?;
    if functions > 0 {
        tools.insert(0, to_raw_value(&declared).unwrap_or_default());
        let allowed = match &chat.tool_choice {
            Some(ToolChoice::Function(name)) => Some([name.as_str()]),
            _ => None,
        };
        let mode = chat.tool_choice.as_ref().map(|choice| match choice {
            ToolChoice::Auto => "AUTO",
            ToolChoice::None => "NONE",
            ToolChoice::Required | ToolChoice::Function(_) => "ANY",
        });
        let config = |mode| Config { function_calling_config: Calling { mode, allowed_function_names: allowed } };
        body.set_some("toolConfig", mode.map(config).as_ref());
    }
    if !tools.is_empty() {
        body.set("tools", &tools);
    }
    Ok(())
}

/// A tool that is no function, in Google's words; `None` = Google has none of the kind.
fn native(raw: &RawValue) -> Option<Box<RawValue>> {
    let members = object::members(raw);
    let Some(kind) = members.iter().find(|(name, _)| name == "type").and_then(|(_, kind)| object::string(kind)) else {
        // Google's own form.
        return Some(raw.to_owned());
    };
    if let Some((name, settings)) = members.iter().find(|(name, _)| NATIVE.iter().any(|(known, _)| known == name)) {
        let mut tool = Object::default();
        tool.put(name.clone().into_owned(), (*settings).to_owned());
        return to_raw_value(&tool).ok();
    }
    // web_search_preview, code_execution_20250825, ...
    let (_, own) = NATIVE
        .iter()
        .find(|(known, _)| kind.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))?;
    empty(own)
}

fn empty(name: &'static str) -> Option<Box<RawValue>> {
    let mut tool = Object::default();
    tool.put(name, RawValue::from_string("{}".to_owned()).ok()?);
    to_raw_value(&tool).ok()
}
