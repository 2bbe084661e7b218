//! Parts of contents in Gemini's words.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::signature::{self, Signature};
use crate::{
    chat::{
        Block, Content, Role, Source, ToolCall,
        signature::{of_google, standard},
    },
    error::EncodeError,
    inbound::{invalid, value},
    json,
};

/// Any part: it holds one of these, and what belongs to it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    thought: Option<bool>,
    #[serde(alias = "thought_signature")]
    thought_signature: Option<String>,
    #[serde(alias = "inline_data")]
    inline_data: Option<Blob>,
    #[serde(alias = "file_data")]
    file_data: Option<FileData>,
    #[serde(alias = "function_call")]
    function_call: Option<Call>,
    #[serde(alias = "function_response")]
    function_response: Option<Returned>,
    #[serde(alias = "executable_code")]
    executable_code: Option<Code>,
    #[serde(alias = "code_execution_result")]
    code_execution_result: Option<CodeResult>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    #[serde(alias = "mime_type")]
    mime_type: String,
    data: String,
    #[serde(alias = "display_name")]
    display_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileData {
    #[serde(alias = "mime_type")]
    mime_type: Option<String>,
    #[serde(alias = "file_uri")]
    file_uri: String,
    #[serde(alias = "display_name")]
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct Call {
    id: Option<String>,
    name: String,
    args: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Returned {
    id: Option<String>,
    name: String,
    response: Option<Box<RawValue>>,
    parts: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Code {
    #[serde(default)]
    language: String,
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
struct CodeResult {
    #[serde(default)]
    output: String,
}

/// Calls so far: Google's clients leave ids out, and results are then those of the calls before them by name and order.
#[derive(Debug, Default)]
pub(super) struct Calls {
    count: usize,
    /// Id and name of those without a result yet.
    open: Vec<(String, String)>,
}

impl Calls {
    fn begin(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.count));
        self.count += 1;
        self.open.push((id.clone(), name.to_owned()));
        id
    }

    fn answered(&mut self, id: Option<String>, name: &str) -> Option<String> {
        let id = id.filter(|id| !id.is_empty());
        let at = self.open.iter().position(|(known, of)| id.as_ref().map_or(of == name, |id| id == known));
        at.map(|at| self.open.remove(at).0).or(id)
    }
}

/// The elements of a list; Google takes one element without a list around it too.
pub(super) fn listed<'a>(param: &str, text: &'a [u8]) -> Result<Vec<&'a RawValue>, EncodeError> {
    if text.first() == Some(&b'{') { Ok(vec![value(param, text)?]) } else { value(param, text) }
}

/// Reads the parts of one content.
pub(super) fn read(
    param: &str,
    role: Role,
    parts: Option<&RawValue>,
    calls: &mut Calls,
    blocks: &mut Vec<Block>,
) -> Result<(), EncodeError> {
    let parts = parts.map(|parts| listed(param, parts.get().as_bytes())).transpose()?;
    for (at, part) in parts.into_iter().flatten().enumerate() {
        let param = format!("{param}[{at}]");
        value::<Part>(&param, part.get().as_bytes())?.add(&param, role, calls, blocks)?;
    }
    Ok(())
}

impl Part {
    fn add(mut self, param: &str, role: Role, calls: &mut Calls, blocks: &mut Vec<Block>) -> Result<(), EncodeError> {
        let signature = self.thought_signature.take().filter(|text| !text.is_empty());
        let signature = signature.map(|text| signature::read(&text));
        if self.thought == Some(true) && self.function_call.is_none() {
            think(self.text.unwrap_or_default(), signature, blocks);
            return Ok(());
        }
        let mut signature = match signature {
            Some(Signature::Signed(signature)) => Some(signature),
            Some(Signature::Redacted(_)) | None => None,
        };
        if let Some(call) = self.function_call.take() {
            let id = calls.begin(call.id, &call.name);
            let arguments = call.args.map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
            let signature = signature.as_deref().and_then(of_google).map(str::to_owned);
            blocks.push(Content::ToolCall(ToolCall { id, name: call.name, arguments, signature }).into());
            return Ok(());
        }
        if let Some(signature) = signature.take() {
            // It goes to the part that follows.
            blocks.push(Content::Thinking { text: String::new(), signature: Some(signature) }.into());
        }
        if let Some(returned) = self.function_response.take() {
            blocks.push(returned.content(param, calls)?.into());
        } else if let Some(content) = self.media(param)? {
            blocks.push(content.into());
        } else if let Some(text) = self.said(param)? {
            say(text, role, blocks);
        }
        Ok(())
    }

    fn media(&mut self, param: &str) -> Result<Option<Content>, EncodeError> {
        if let Some(Blob { mime_type, data, display_name }) = self.inline_data.take() {
            if mime_type.starts_with("text/") || mime_type == "application/json" {
                // Texts go on as texts, which every model reads.
                let text = signature::bytes(&data).and_then(|bytes| String::from_utf8(bytes).ok());
                let why = "its data must be base64 of a text in UTF-8";
                return text.map(Content::Text).map(Some).ok_or_else(|| invalid(&format!("{param}.inlineData"), &why));
            }
            let source = Source::Inline { data: standard(&data), media_type: mime_type.clone() };
            return Ok(Some(medium(&mime_type, source, display_name)));
        }
        let Some(FileData { mime_type, file_uri, display_name }) = self.file_data.take() else { return Ok(None) };
        if !file_uri.starts_with("http") || file_uri.starts_with("https://generativelanguage.googleapis.com/") {
            let why = "files at Google can be read by Google's own models only; send the data in 'inlineData', or an https URL";
            return Err(invalid(&format!("{param}.fileData.fileUri"), &why));
        }
        Ok(Some(medium(mime_type.as_deref().unwrap_or("image/"), Source::Url(file_uri), display_name)))
    }

    /// A text, and what a model of Google's ran while it answered, which is part of what it said.
    fn said(self, param: &str) -> Result<Option<String>, EncodeError> {
        if let Some(Code { language, code }) = self.executable_code {
            return Ok(Some(format!("\n```{}\n{}\n```\n", language.to_lowercase(), code.trim_end())));
        }
        if let Some(CodeResult { output }) = self.code_execution_result {
            return Ok(Some(format!("\n```\n{}\n```\n", output.trim_end())));
        }
        if self.text.is_none() && self.thought_signature.is_none() && self.thought.is_none() {
            let why =
                "it must hold 'text', 'inlineData', 'fileData', 'functionCall' or 'functionResponse' for this model";
            return Err(invalid(param, &why));
        }
        Ok(self.text)
    }
}

/// Streamed thoughts come back in the pieces in which they were given, the signature behind them.
fn think(said: String, signature: Option<Signature>, blocks: &mut Vec<Block>) {
    let signature = match signature {
        Some(Signature::Redacted(data)) => {
            blocks.push(Content::RedactedThinking(data).into());
            return;
        }
        Some(Signature::Signed(signature)) => Some(signature),
        None => None,
    };
    if let Some(Content::Thinking { text, signature: slot @ None }) = blocks.last_mut().map(|last| &mut last.content) {
        text.push_str(&said);
        *slot = signature;
    } else {
        blocks.push(Content::Thinking { text: said, signature }.into());
    }
}

/// So do texts of the model.
fn say(said: String, role: Role, blocks: &mut Vec<Block>) {
    match blocks.last_mut().map(|last| &mut last.content) {
        _ if said.is_empty() => {}
        Some(Content::Text(text)) if role == Role::Assistant => text.push_str(&said),
        _ => blocks.push(Content::Text(said).into()),
    }
}

fn medium(mime_type: &str, source: Source, name: Option<String>) -> Content {
    match mime_type.split('/').next() {
        Some("image") => Content::Image { source, detail: None },
        Some("audio") => Content::Audio(source),
        _ => Content::Document { source, name },
    }
}

impl Returned {
    fn content(self, param: &str, calls: &mut Calls) -> Result<Content, EncodeError> {
        let Self { id, name, response, parts } = self;
        let id = calls.answered(id, &name).ok_or_else(|| {
            let why = format!("no content before it calls '{name}' without an answer");
            invalid(&format!("{param}.functionResponse"), &why)
        })?;
        let (text, failed) = response.map(|response| outcome(&response)).unwrap_or_default();
        let mut content = if text.is_empty() { Vec::new() } else { vec![Content::Text(text).into()] };
        read(&format!("{param}.functionResponse.parts"), Role::User, parts.as_deref(), calls, &mut content)?;
        Ok(Content::ToolResult { id, name: Some(name), content, failed })
    }
}

/// What a function gave, by Google's convention under `output` or `error`; its own clients also write `result`.
fn outcome(response: &RawValue) -> (String, bool) {
    let text = response.get().as_bytes();
    let members = json::scan(text).unwrap_or_default();
    if let [only] = members.as_slice() {
        let name = only.name(text);
        if matches!(name.as_ref(), "output" | "result" | "error") {
            let value = only.value.of(text);
            let value = json::as_str(value).unwrap_or_else(|| String::from_utf8_lossy(value));
            return (value.into_owned(), name == "error");
        }
    }
    (response.get().to_owned(), false)
}
