//! AWS Bedrock: `Converse`, `ConverseStream`, and `InvokeModel` of embedding models.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use super::{Asked, Dialect, only};
use crate::{
    sigv4::Account,
    upstream::{Parts, Refusal, Say, Usage, vector},
};

/// bedrock-runtime.us-east-1.amazonaws.com.
#[derive(Clone, Debug, Default)]
pub struct Bedrock {
    /// Who must have signed a request; `None` = it is let in by an API key.
    pub account: Option<Account>,
}

const CONVERSE: &[&str] = &[
    "messages",
    "system",
    "inferenceConfig",
    "toolConfig",
    "guardrailConfig",
    "additionalModelRequestFields",
    "promptVariables",
    "additionalModelResponseFieldPaths",
    "requestMetadata",
    "performanceConfig",
    "serviceTier",
    "outputConfig",
];
const BLOCKS: &[&str] = &[
    "text",
    "image",
    "document",
    "audio",
    "video",
    "toolUse",
    "toolResult",
    "cachePoint",
    "reasoningContent",
    "guardContent",
];
const RESULTS: &[&str] = &["text", "json", "image", "document", "video"];
const IMAGES: &[&str] = &["png", "jpeg", "gif", "webp"];
const DOCUMENTS: &[&str] = &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"];

impl Dialect for Bedrock {
    fn model<'a>(&self, asked: &Asked<'a>) -> &'a str {
        route(asked.path).map_or("", |(model, _)| model)
    }

    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let checked = match &self.account {
            Some(account) => {
                account.verify(&Method::POST, asked.path, asked.headers, &Bytes::copy_from_slice(asked.raw))
            }
            None if asked.has_key(asked.bearer()) => Ok(()),
            None => Err("The security token included in the request is invalid.".to_owned()),
        };
        checked.map_err(|why| Refusal::forbidden(&why, "UnrecognizedClientException"))
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let unknown = || Refusal::not_found("UnknownOperationException");
        let (model, action) = route(asked.path).ok_or_else(unknown)?;
        let id = decoded(model).ok_or_else(|| Refusal::bad("The provided model identifier is invalid."))?;
        if !asked.query.is_empty() {
            return Err(unknown());
        }
        match action {
            "converse" | "converse-stream" => converse(asked.body),
            "invoke" if id.contains("rerank") => rerank(&id, asked.body),
            "invoke" => embed(&id, asked.body),
            _ => Err(unknown()),
        }
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        match route(asked.path) {
            Some((_, "converse-stream")) => streamed(say),
            Some((model, "invoke")) if model.contains("rerank") => ranking(asked.body),
            Some((_, "invoke")) => vectors(asked.body, say),
            _ => whole(say),
        }
    }

    fn error(&self, refusal: &Refusal) -> Value {
        json!({"message": refusal.message})
    }
}

/// One message of an event stream.
pub fn event(name: &str, payload: &Value) -> Bytes {
    message(&[(":event-type", name), (":content-type", "application/json"), (":message-type", "event")], payload)
}

/// What ends an event stream that fails.
pub fn exception(name: &str, text: &str) -> Bytes {
    let headers = [(":exception-type", name), (":content-type", "application/json"), (":message-type", "exception")];
    message(&headers, &json!({"message": text}))
}

fn message(headers: &[(&str, &str)], payload: &Value) -> Bytes {
    let mut written = Vec::new();
    for (name, value) in headers {
        written.extend(name.len().to_be_bytes().last());
        written.extend_from_slice(name.as_bytes());
        written.push(7);
        written.extend(value.len().to_be_bytes().last_chunk::<2>().into_iter().flatten());
        written.extend_from_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let number = |number: usize| u32::try_from(number).expect("a short message").to_be_bytes();
    let mut out = number(written.len() + payload.len() + 16).to_vec();
    out.extend_from_slice(&number(written.len()));
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&written);
    out.extend_from_slice(payload.as_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.into()
}

/// The model's segment and what is to be done with it.
fn route(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/model/")?.split_once('/')
}

/// A model's id, escaped once as AWS's own clients do.
fn decoded(segment: &str) -> Option<String> {
    if segment.contains(':') {
        return None;
    }
    let id = percent_encoding::percent_decode_str(segment).decode_utf8().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte);
    (!id.is_empty() && id.bytes().all(plain)).then(|| id.into_owned())
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn converse(body: &Value) -> Result<(), Refusal> {
    only(body, CONVERSE)?;
    let messages = list(body, "messages");
    if messages.first().is_none_or(|first| text(first, "/role") != "user") {
        return Err(Refusal::bad(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        only(message, &["role", "content"])?;
        let role = if at % 2 == 0 { "user" } else { "assistant" };
        if text(message, "/role") != role {
            return Err(Refusal::bad("A conversation must alternate between user and assistant roles."));
        }
        let blocks = list(message, "content");
        if blocks.is_empty() {
            return Err(Refusal::bad(format!("The content field in the Message object at messages.{at} is empty.")));
        }
        blocks.iter().try_for_each(|each| block(each, BLOCKS))?;
        open = paired(&open, blocks, at)?;
    }
    for each in list(body, "system") {
        block(each, &["text", "cachePoint", "guardContent"])?;
    }
    inference(body.get("inferenceConfig").unwrap_or(&json!({})))?;
    let used = messages.iter().flat_map(|message| list(message, "content")).any(|block| block.get("toolUse").is_some());
    match body.get("toolConfig") {
        Some(config) => tools(config),
        None if used => {
            Err(Refusal::bad("The toolConfig field must be defined when using toolUse and toolResult content blocks."))
        }
        None => Ok(()),
    }
}

/// Every call has its result in the next message, and nothing else has. Gives the calls of this one.
fn paired<'a>(open: &[&str], blocks: &'a [Value], at: usize) -> Result<Vec<&'a str>, Refusal> {
    let results: Vec<&str> = blocks.iter().map(|block| text(block, "/toolResult/toolUseId")).collect();
    if let Some(missing) = open.iter().find(|id| !results.contains(id)) {
        return Err(Refusal::bad(format!(
            "Expected toolResult blocks at messages.{at}.content for the following Ids: {missing}"
        )));
    }
    if results.iter().any(|id| !id.is_empty() && !open.contains(id)) {
        return Err(Refusal::bad(
            "The number of toolResult blocks exceeds the number of toolUse blocks of previous turn.",
        ));
    }
    let first_other = results.iter().position(|id| id.is_empty()).unwrap_or(results.len());
    if results.iter().skip(first_other).any(|id| !id.is_empty()) {
        return Err(Refusal::bad("tool_result blocks must come before other content"));
    }
    Ok(blocks.iter().map(|block| text(block, "/toolUse/toolUseId")).filter(|id| !id.is_empty()).collect())
}

fn block(block: &Value, kinds: &[&str]) -> Result<(), Refusal> {
    only(block, kinds)?;
    let mut members = block.as_object().into_iter().flatten();
    let (Some((kind, value)), None) = (members.next(), members.next()) else {
        return Err(Refusal::bad("ContentBlock must set exactly one of its members"));
    };
    let one_of = |known: &[&str]| known.contains(&text(value, "/format"));
    let good = match kind.as_str() {
        "text" => value.as_str().is_some_and(|text| !text.trim().is_empty()),
        "image" => one_of(IMAGES) && is_base64(text(value, "/source/bytes")),
        "document" => one_of(DOCUMENTS) && is_base64(text(value, "/source/bytes")) && is_title(text(value, "/name")),
        "toolUse" => value.get("input").is_some_and(Value::is_object) && is_name(text(value, "/name"), 64),
        "toolResult" => {
            list(value, "content").iter().try_for_each(|inside| self::block(inside, RESULTS))?;
            value.get("content").is_some_and(Value::is_array)
        }
        "cachePoint" => text(value, "/type") == "default",
        "reasoningContent" => {
            !text(value, "/reasoningText/signature").is_empty() || is_base64(text(value, "/redactedContent"))
        }
        _ => true,
    };
    if good {
        Ok(())
    } else {
        Err(Refusal::bad(format!("The {kind} field in the ContentBlock object is not valid: {value}")))
    }
}

fn is_base64(data: &str) -> bool {
    !data.is_empty() && STANDARD.decode(data).is_ok()
}

fn is_name(name: &str, longest: usize) -> bool {
    (1..=longest).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

fn is_title(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -()[]".contains(&byte));
    (1..=200).contains(&name.len()) && plain && !name.contains("  ")
}

fn inference(config: &Value) -> Result<(), Refusal> {
    only(config, &["maxTokens", "temperature", "topP", "stopSequences"])?;
    let within =
        |name: &str| config.get(name).is_none_or(|number| number.as_f64().is_some_and(|n| (0.0..=1.0).contains(&n)));
    if !within("temperature") || !within("topP") {
        return Err(Refusal::bad(
            "Value at 'inferenceConfig' failed to satisfy constraint: Member must have value less than or equal to 1",
        ));
    }
    if config.get("maxTokens").is_some_and(|most| most.as_u64().is_none_or(|most| most == 0)) {
        return Err(Refusal::bad("Member must have value greater than or equal to 1"));
    }
    Ok(())
}

fn tools(config: &Value) -> Result<(), Refusal> {
    only(config, &["tools", "toolChoice"])?;
    let tools = list(config, "tools");
    if tools.is_empty() {
        return Err(Refusal::bad(
            "Value at 'toolConfig.tools' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ));
    }
    for tool in tools {
        only(tool, &["toolSpec", "systemTool", "cachePoint"])?;
        let Some(spec) = tool.get("toolSpec") else { continue };
        only(spec, &["name", "description", "inputSchema", "strict"])?;
        if !is_name(text(spec, "/name"), 64) || text(spec, "/inputSchema/json/type") != "object" {
            return Err(Refusal::bad(format!("toolConfig.tools holds a toolSpec that is not valid: {spec}")));
        }
    }
    let chosen = text(config, "/toolChoice/tool/name");
    if !chosen.is_empty() && !tools.iter().any(|tool| text(tool, "/toolSpec/name") == chosen) {
        return Err(Refusal::bad("toolChoice names a tool that is not there"));
    }
    Ok(())
}

fn embed(model: &str, body: &Value) -> Result<(), Refusal> {
    let malformed =
        |why: &str| Refusal::bad(format!("Malformed input request: {why}, please reformat your input and try again."));
    if model.contains("cohere.embed") {
        only(body, &["texts", "images", "input_type", "truncate", "embedding_types", "output_dimension"])?;
        let count = list(body, "texts").len();
        let typed = !text(body, "/input_type").is_empty();
        return if (1..=96).contains(&count) && typed {
            Ok(())
        } else {
            Err(malformed("texts and input_type are required"))
        };
    }
    if model.contains("amazon.nova") {
        return nova(body);
    }
    let known: &[&str] = match model {
        "amazon.titan-embed-text-v1" => &["inputText"],
        _ => &["inputText", "dimensions", "normalize", "embeddingTypes"],
    };
    only(body, known).map_err(|_| malformed("#: extraneous key is not permitted"))?;
    if text(body, "/inputText").is_empty() { Err(malformed("expected minLength: 1, actual: 0")) } else { Ok(()) }
}

fn nova(body: &Value) -> Result<(), Refusal> {
    only(body, &["schemaVersion", "taskType", "singleEmbeddingParams"])?;
    let params = body.get("singleEmbeddingParams").unwrap_or(&Value::Null);
    only(params, &["embeddingPurpose", "embeddingDimension", "text", "image", "audio", "video"])?;
    let sized =
        params.get("embeddingDimension").is_none_or(|size| [256, 384, 1024, 3072].iter().any(|one| size == one));
    let purposes = ["GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "CLASSIFICATION", "CLUSTERING"];
    let is_text = ["START", "END", "NONE"].contains(&text(params, "/text/truncationMode"))
        && !text(params, "/text/value").is_empty();
    if text(body, "/taskType") == "SINGLE_EMBEDDING"
        && purposes.contains(&text(params, "/embeddingPurpose"))
        && sized
        && is_text
    {
        return Ok(());
    }
    Err(Refusal::bad(format!("Malformed input request: {params}")))
}

fn rerank(model: &str, body: &Value) -> Result<(), Refusal> {
    only(body, &["query", "documents", "top_n", "api_version"])?;
    let is_text = list(body, "documents").iter().all(Value::is_string) && !list(body, "documents").is_empty();
    let version = body.get("api_version").and_then(Value::as_u64);
    let expected = model.starts_with("cohere.").then_some(2);
    if is_text && !text(body, "/query").is_empty() && version == expected {
        return Ok(());
    }
    Err(Refusal::bad("Malformed input request: query, documents and, of Cohere's models, api_version are required"))
}

/// The last document first.
fn ranking(body: &Value) -> Parts {
    let count = list(body, "documents").len();
    let most = body.get("top_n").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok()).unwrap_or(count);
    let result = |at: usize| json!({"index": at, "relevance_score": if at + 1 == count { 0.98 } else { 0.25 }});
    Parts::json(&json!({"results": (0..count).rev().take(most).map(result).collect::<Vec<Value>>()}))
}

fn usage(say: &Say) -> Value {
    let Usage { prompt, completion, cached, .. } = say.usage.unwrap_or_default();
    json!({
        "inputTokens": prompt - cached,
        "outputTokens": completion,
        "totalTokens": prompt + completion,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": 0,
    })
}

fn whole(say: &Say) -> Parts {
    Parts::json(&json!({
        "metrics": {"latencyMs": 100},
        "output": {"message": {"role": "assistant", "content": [{"text": say.pieces.concat()}]}},
        "stopReason": "end_turn",
        "usage": usage(say),
    }))
}

fn streamed(say: &Say) -> Parts {
    let mut parts = vec![event("messageStart", &json!({"p": "abc", "role": "assistant"}))];
    let piece = |piece: &String| {
        event("contentBlockDelta", &json!({"contentBlockIndex": 0, "delta": {"text": piece}, "p": "a"}))
    };
    parts.extend(say.pieces.iter().map(piece));
    parts.push(event("contentBlockStop", &json!({"contentBlockIndex": 0})));
    parts.push(event("messageStop", &json!({"stopReason": "end_turn"})));
    parts.push(event("metadata", &json!({"metrics": {"latencyMs": 100}, "usage": usage(say)})));
    Parts { content_type: "application/vnd.amazon.eventstream", parts }
}

fn vectors(body: &Value, say: &Say) -> Parts {
    let texts = list(body, "texts").len();
    if texts > 0 {
        let vectors: Vec<Vec<f32>> = (0..texts).map(vector).collect();
        let embeddings = if body.get("embedding_types").is_some() { json!({"float": vectors}) } else { json!(vectors) };
        return Parts::json(&json!({"id": "1", "embeddings": embeddings, "texts": body.get("texts")}));
    }
    let prompt = say.usage.unwrap_or_default().prompt;
    if body.get("singleEmbeddingParams").is_some() {
        return Parts::json(&json!({"embeddings": [{"embeddingType": "TEXT", "embedding": vector(0)}]}));
    }
    Parts::json(&json!({"embedding": vector(0), "inputTextTokenCount": prompt}))
}
