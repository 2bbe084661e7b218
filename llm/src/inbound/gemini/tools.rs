//! `tools` and `toolConfig`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{part::listed, schema};
use crate::{
    chat::{Chat, Tool, ToolChoice},
    error::EncodeError,
    inbound::{invalid, value},
    json,
};

/// Tools that Google runs itself, as demands that only some providers can meet.
const NATIVE: &[(&str, &str)] = &[
    ("googleSearch", SEARCH),
    ("google_search", SEARCH),
    ("googleSearchRetrieval", SEARCH),
    ("google_search_retrieval", SEARCH),
    ("codeExecution", "tools.codeExecution"),
    ("code_execution", "tools.codeExecution"),
    ("urlContext", "tools.urlContext"),
    ("url_context", "tools.urlContext"),
    ("googleMaps", "tools.googleMaps"),
    ("google_maps", "tools.googleMaps"),
    ("fileSearch", "tools.fileSearch"),
    ("file_search", "tools.fileSearch"),
    ("computerUse", "tools.computerUse"),
    ("computer_use", "tools.computerUse"),
    ("enterpriseWebSearch", "tools.enterpriseWebSearch"),
    ("enterprise_web_search", "tools.enterpriseWebSearch"),
    ("retrieval", "tools.retrieval"),
];
const SEARCH: &str = "tools.googleSearch";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declaration {
    name: String,
    description: Option<String>,
    parameters: Option<Box<RawValue>>,
    #[serde(alias = "parameters_json_schema")]
    parameters_json_schema: Option<Box<RawValue>>,
}

/// Reads `tools`.
pub(super) fn read(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    let tools = listed("tools", text)?;
    for (at, tool) in tools.into_iter().enumerate() {
        let param = format!("tools[{at}]");
        let tool = tool.get().as_bytes();
        for member in json::scan(tool).map_err(|error| invalid(&param, &error))? {
            let (name, inner) = (member.name(tool), member.value.of(tool));
            match name.as_ref() {
                _ if inner == b"null" => {}
                "functionDeclarations" | "function_declarations" => {
                    declarations(&format!("{param}.functionDeclarations"), inner, chat)?;
                }
                name => {
                    let known = NATIVE.iter().find(|(known, _)| *known == name);
                    let (_, demand) = known.ok_or_else(|| {
                        invalid(&format!("{param}.{name}"), &"only Google's own models can be given this tool")
                    })?;
                    if !chat.demands.iter().any(|(known, _)| known == demand) {
                        let empty = RawValue::from_string("{}".to_owned()).unwrap_or_default();
                        chat.demands.push((demand, empty));
                    }
                }
            }
        }
    }
    Ok(())
}

fn declarations(param: &str, text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    for (at, raw) in listed(param, text)?.into_iter().enumerate() {
        let Declaration { name, description, parameters, parameters_json_schema } =
            value(&format!("{param}[{at}]"), raw.get().as_bytes())?;
        let plain = |raw: Box<RawValue>| raw_of(schema::plain(raw.get().as_bytes()));
        let parameters = parameters_json_schema.or_else(|| plain(parameters?));
        chat.tools.push(Tool::Function { name, description, parameters, strict: None, cache: None });
    }
    Ok(())
}

/// JSON that was just written.
pub(super) fn raw_of(text: Vec<u8>) -> Option<Box<RawValue>> {
    RawValue::from_string(String::from_utf8(text).ok()?).ok()
}

/// Reads `toolConfig`, behind the tools: a choice among some of them leaves the others out.
pub(super) fn choice(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        #[serde(alias = "function_calling_config")]
        function_calling_config: Option<Calling>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Calling {
        mode: Option<String>,
        #[serde(default, alias = "allowed_function_names")]
        allowed_function_names: Vec<String>,
    }
    let Wire { function_calling_config: Some(Calling { mode, allowed_function_names: allowed }) } =
        value("toolConfig", text)?
    else {
        return Ok(());
    };
    let mode = mode.map(|mode| mode.to_ascii_uppercase());
    chat.tool_choice = match mode.as_deref() {
        None | Some("MODE_UNSPECIFIED") => None,
        Some("AUTO" | "VALIDATED") => Some(ToolChoice::Auto),
        Some("NONE") => Some(ToolChoice::None),
        Some("ANY") => match allowed.as_slice() {
            [only] => Some(ToolChoice::Function(only.clone())),
            _ => Some(ToolChoice::Required),
        },
        Some(_) => {
            let param = "toolConfig.functionCallingConfig.mode";
            return Err(invalid(param, &"it must be AUTO, ANY, VALIDATED or NONE"));
        }
    };
    if allowed.len() > 1 {
        chat.tools.retain(|tool| match tool {
            Tool::Function { name, .. } => allowed.contains(name),
            Tool::Native(_) => true,
        });
    }
    Ok(())
}
