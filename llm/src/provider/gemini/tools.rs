//! What a Gemini model may call: functions by their cleaned schemas, and the tools that Google runs itself.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::{
    family::Family,
    name,
    object::{self, Object},
    schema::{self, Schema},
};
use crate::{
    chat::{Chat, FORMAT_TOOL, Format, Recall, Support, Tool, ToolChoice},
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
    name: Cow<'a, str>,
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
    allowed_function_names: Option<[Cow<'a, str>; 1]>,
}

/// Whether the answer's format is asked for as a call: older models take no format beside functions.
pub(super) fn answers_by_call(chat: &Chat, family: Family) -> bool {
    let functions = chat.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    functions && !family.third && matches!(chat.format, Format::Schema { .. })
}

/// Puts `tools` and `toolConfig`.
pub(super) fn put(
    chat: &Chat,
    family: Family,
    support: Support<'_>,
    recall: &mut Recall,
    body: &mut Object,
) -> Result<(), EncodeError> {
    let mut functions = Vec::new();
    let mut tools: Vec<Box<RawValue>> = Vec::new();
    for (at, tool) in chat.tools.iter().enumerate() {
        match tool {
            Tool::Function { name, description, parameters, .. } => {
                let param = format!("tools[{at}].function.parameters");
                let own = name::fit(name);
                if own != name.as_str() {
                    recall.renamed(&own, name);
                }
                functions.push(Declaration::of(own, description.as_deref(), parameters.as_deref(), &param)?);
            }
            Tool::Native(raw) => match native(raw) {
                // Twice the same is refused.
                Some(tool) if tools.iter().any(|known| known.get() == tool.get()) => {}
                Some(tool) => tools.push(tool),
                None => support.lacks("tools", true)?,
            },
        }
    }
    // The model decides how many it calls at once, which matters where there are several.
    support.lacks("parallel_tool_calls", chat.parallel_tools == Some(false) && functions.len() > 1)?;
    let calling = match &chat.format {
        Format::Schema { schema, description, .. } if answers_by_call(chat, family) => {
            let description =
                description.as_deref().unwrap_or("Gives the answer to the user; call it once you know it.");
            let name = Cow::Borrowed(FORMAT_TOOL);
            let answer = Declaration::of(name, Some(description), Some(schema), "response_format")?;
            if answer.parameters.is_none() {
                let why = "beside tools its schema must be one of an object for this model";
                return Err(invalid("response_format", &why));
            }
            functions.push(answer);
            recall.format_as_tool();
            let only = chat.tool_choice == Some(ToolChoice::None);
            Some(Calling { mode: "ANY", allowed_function_names: only.then_some([FORMAT_TOOL.into()]) })
        }
        _ => chat.tool_choice.as_ref().map(Calling::of),
    };
    if !functions.is_empty() {
        let functions = Functions { function_declarations: functions };
        tools.insert(0, to_raw_value(&functions).unwrap_or_default());
        body.set_some("toolConfig", calling.map(|function_calling_config| Config { function_calling_config }).as_ref());
    }
    if !tools.is_empty() {
        body.set("tools", &tools);
    }
    Ok(())
}

impl<'a> Declaration<'a> {
    fn of(
        name: Cow<'a, str>,
        description: Option<&'a str>,
        parameters: Option<&RawValue>,
        param: &str,
    ) -> Result<Self, EncodeError> {
        let parameters = parameters.map(schema::cleaned).transpose().map_err(|why| invalid(param, &why))?;
        Ok(Self { name, description, parameters: parameters.filter(|schema| !schema.takes_nothing()) })
    }
}

impl<'a> Calling<'a> {
    fn of(choice: &'a ToolChoice) -> Self {
        let (mode, only) = match choice {
            ToolChoice::Auto => ("AUTO", None),
            ToolChoice::None => ("NONE", None),
            ToolChoice::Required => ("ANY", None),
            ToolChoice::Function(name) => ("ANY", Some([name::fit(name)])),
        };
        Self { mode, allowed_function_names: only }
    }
}

/// The tool behind `web_search_options`.
pub(super) fn search() -> Option<Tool> {
    Some(Tool::Native(empty("googleSearch")?))
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
