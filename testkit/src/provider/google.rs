//! Google's `generateContent`, at AI Studio and at Vertex AI.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::{Asked, Dialect, only};
use crate::upstream::{Parts, Refusal, Say, Usage, vector};

mod schema;

/// generativelanguage.googleapis.com.
#[derive(Clone, Copy, Debug)]
pub struct Gemini;

/// aiplatform.googleapis.com, as far as it serves Google's own models.
#[derive(Clone, Copy, Debug)]
pub struct Vertex;

const BODY: &[&str] = &[
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "safetySettings",
    "generationConfig",
    "cachedContent",
    "serviceTier",
    "labels",
];
const CONFIG: &[&str] = &[
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "responseLogprobs",
    "logprobs",
    "responseModalities",
    "speechConfig",
    "imageConfig",
    "thinkingConfig",
    "mediaResolution",
];
/// Of which a part has one.
const DATA: &[&str] = &["text", "inlineData", "fileData", "functionCall", "functionResponse"];

impl Dialect for Gemini {
    fn model<'a>(&self, asked: &Asked<'a>) -> &'a str {
        place(asked).0
    }

    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.has_key(asked.header("x-goog-api-key")) {
            return Ok(());
        }
        Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            ..Refusal::key("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT")
        })
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        // Its version is the base URL's.
        if !asked.path.starts_with("/models/") {
            return Err(Refusal::not_found("the path is not of this API"));
        }
        check(asked, |body| {
            let own = body["requests"].as_array().into_iter().flatten();
            own.into_iter().try_for_each(|request| {
                only(request, &["model", "content", "taskType", "title", "outputDimensionality"])?;
                let named = request["model"].as_str().and_then(|name| name.strip_prefix("models/"));
                if named == Some(place(asked).0) { Ok(()) } else { Err(Refusal::bad("a request is for another model")) }
            })
        })
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        answer(asked, say)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        error(refusal)
    }
}

impl Dialect for Vertex {
    fn model<'a>(&self, asked: &Asked<'a>) -> &'a str {
        place(asked).0
    }

    fn authenticate(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        if asked.has_key(asked.bearer().or_else(|| asked.header("x-goog-api-key"))) {
            return Ok(());
        }
        Err(Refusal::key("Request had invalid authentication credentials.", "UNAUTHENTICATED"))
    }

    fn check(&self, asked: &Asked<'_>) -> Result<(), Refusal> {
        let path: Vec<&str> = asked.path.split('/').collect();
        match path.as_slice() {
            ["", "v1", "projects", project, "locations", location, "publishers", "google", "models", _]
                if !project.is_empty() && !location.is_empty() => {}
            _ => return Err(Refusal::not_found("the path is not of this API")),
        }
        check(asked, |body| {
            let mut own = body["requests"].as_array().into_iter().flatten();
            own.try_for_each(|request| only(request, &["content", "embedContentConfig"]))
        })
    }

    fn answer(&self, asked: &Asked<'_>, say: &Say) -> Parts {
        answer(asked, say)
    }

    fn error(&self, refusal: &Refusal) -> Value {
        error(refusal)
    }
}

/// The model's name, and what it is asked to do.
fn place<'a>(asked: &Asked<'a>) -> (&'a str, &'a str) {
    asked.path.rsplit('/').next().and_then(|last| last.rsplit_once(':')).unwrap_or_default()
}

fn error(refusal: &Refusal) -> Value {
    let status = match refusal.status.as_u16() {
        404 => "NOT_FOUND",
        401 => "UNAUTHENTICATED",
        _ => "INVALID_ARGUMENT",
    };
    json!({"error": {"code": refusal.status.as_u16(), "message": refusal.message, "status": status}})
}

fn check(asked: &Asked<'_>, embeds: impl Fn(&Value) -> Result<(), Refusal>) -> Result<(), Refusal> {
    let (model, method) = place(asked);
    match (method, asked.query) {
        ("generateContent", "") | ("streamGenerateContent", "alt=sse") => generate(model, asked.body),
        ("batchEmbedContents", "") => {
            only(asked.body, &["requests"])?;
            embeds(asked.body)
        }
        ("predict", "") => {
            only(asked.body, &["instances", "parameters"])?;
            let mut instances = asked.body["instances"].as_array().into_iter().flatten();
            instances.try_for_each(|instance| only(instance, &["content", "task_type", "title"]))
        }
        _ => Err(Refusal::not_found("the method is not found, or has another query")),
    }
}

fn generate(model: &str, body: &Value) -> Result<(), Refusal> {
    only(body, BODY)?;
    only(body.get("generationConfig").unwrap_or(&json!({})), CONFIG)?;
    let tier = body.get("serviceTier").map(|tier| tier.as_str().unwrap_or_default());
    if tier.is_some_and(|tier| !["standard", "flex", "priority"].contains(&tier)) {
        return Err(Refusal::bad("Invalid value at 'service_tier'"));
    }
    let contents = body["contents"].as_array().filter(|contents| !contents.is_empty());
    let contents =
        contents.ok_or_else(|| Refusal::bad("* GenerateContentRequest.contents: contents is not specified"))?;
    if let Some(system) = body.get("systemInstruction") {
        only(system, &["parts"])?;
        parts(system)?.iter().try_for_each(part)?;
    }
    let mut open: VecDeque<&str> = VecDeque::new();
    let mut before = None;
    for content in contents {
        only(content, &["role", "parts"])?;
        let role = content["role"].as_str().filter(|role| matches!(*role, "user" | "model"));
        let role = role.ok_or_else(|| Refusal::bad("Please use a valid role: user, model."))?;
        if before.replace(role) == Some(role) {
            return Err(Refusal::bad("roles do not alternate"));
        }
        let parts = parts(content)?;
        parts.iter().try_for_each(part)?;
        returned(parts, &mut open)?;
        called(model, parts, &mut open)?;
    }
    tools(body)
}

fn parts(content: &Value) -> Result<&[Value], Refusal> {
    let parts = content["parts"].as_array().filter(|parts| !parts.is_empty());
    parts.map(Vec::as_slice).ok_or_else(|| Refusal::bad("contents.parts must not be empty."))
}

fn part(part: &Value) -> Result<(), Refusal> {
    only(part, &[DATA, &["thought", "thoughtSignature"]].concat())?;
    let data = DATA.iter().filter(|name| part.get(**name).is_some()).count();
    if data != 1 {
        return Err(Refusal::bad("* contents.parts.data: required oneof field 'data' must have one initialized field"));
    }
    let known: [(&str, &[&str]); 4] = [
        ("inlineData", &["mimeType", "data"]),
        ("fileData", &["mimeType", "fileUri"]),
        ("functionCall", &["id", "name", "args"]),
        ("functionResponse", &["id", "name", "response", "parts"]),
    ];
    known.iter().try_for_each(|(name, members)| part.get(*name).map_or(Ok(()), |data| only(data, members)))
}

/// Every call has its result in the next turn.
fn returned(parts: &[Value], open: &mut VecDeque<&str>) -> Result<(), Refusal> {
    let expected = open.len();
    for response in parts.iter().filter_map(|part| part.get("functionResponse")) {
        if open.pop_front() != response["name"].as_str() || !response["response"].is_object() {
            return Err(Refusal::bad("a function response is not of the call before it"));
        }
    }
    if expected > 0 && !open.is_empty() {
        return Err(Refusal::bad(
            "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
        ));
    }
    Ok(())
}

fn called<'a>(model: &str, parts: &'a [Value], open: &mut VecDeque<&'a str>) -> Result<(), Refusal> {
    for (part, call) in parts.iter().filter_map(|part| Some((part, part.get("functionCall")?))) {
        if open.is_empty() && model.starts_with("gemini-3") && part.get("thoughtSignature").is_none() {
            return Err(Refusal::bad("Function call is missing a thought_signature in functionCall parts."));
        }
        if !call["args"].is_object() {
            return Err(Refusal::bad("Invalid value at 'contents.parts.function_call.args'"));
        }
        open.push_back(call["name"].as_str().unwrap_or_default());
    }
    Ok(())
}

fn tools(body: &Value) -> Result<(), Refusal> {
    let mut functions = 0;
    for tool in body["tools"].as_array().into_iter().flatten() {
        only(tool, &["functionDeclarations", "googleSearch", "urlContext", "codeExecution"])?;
        for function in tool["functionDeclarations"].as_array().into_iter().flatten() {
            functions += 1;
            only(function, &["name", "description", "parameters"])?;
            function.get("parameters").map_or(Ok(()), schema::check)?;
        }
    }
    let calling = body.pointer("/toolConfig/functionCallingConfig");
    if calling.is_some_and(|_| functions == 0) {
        return Err(Refusal::bad("Function calling config is set without function_declarations."));
    }
    calling.map_or(Ok(()), |calling| {
        only(calling, &["mode", "allowedFunctionNames"])?;
        match calling["mode"].as_str() {
            Some("ANY") => Ok(()),
            Some("AUTO" | "NONE") if calling.get("allowedFunctionNames").is_none() => Ok(()),
            _ => Err(Refusal::bad("the mode is unknown, or takes no allowed_function_names")),
        }
    })
}

fn counts(asked: &Asked<'_>, say: &Say) -> Value {
    let Usage { prompt, completion, cached, reasoning } = say.usage.unwrap_or_default();
    json!({
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "candidatesTokenCount": completion - reasoning,
        "thoughtsTokenCount": reasoning,
        "totalTokenCount": prompt + completion,
        "serviceTier": asked.text("serviceTier").unwrap_or("standard"),
    })
}

fn answer(asked: &Asked<'_>, say: &Say) -> Parts {
    let said = |text: &str, finish: Option<&str>| {
        let content = json!({"parts": [{"text": text}], "role": "model"});
        let candidate = match finish {
            Some(finish) => json!({"content": content, "finishReason": finish, "index": 0}),
            None => json!({"content": content, "index": 0}),
        };
        json!({"candidates": [candidate], "usageMetadata": counts(asked, say), "modelVersion": place(asked).0, "responseId": "google-upstream"})
    };
    match place(asked).1 {
        "generateContent" => Parts::json(&said(&say.pieces.concat(), Some("STOP"))),
        "streamGenerateContent" => {
            let mut events: Vec<Value> = say.pieces.iter().map(|piece| said(piece, None)).collect();
            events.push(said("", Some("STOP")));
            Parts::events(events.iter().map(|event| Bytes::from(format!("data: {event}\r\n\r\n"))).collect())
        }
        "predict" => {
            let count = asked.body["instances"].as_array().map_or(0, Vec::len);
            let embedding =
                |index| json!({"embeddings": {"values": vector(index), "statistics": {"token_count": 5.0}}});
            Parts::json(&json!({"predictions": (0..count).map(embedding).collect::<Vec<_>>()}))
        }
        _ => {
            let count = asked.body["requests"].as_array().map_or(0, Vec::len);
            let embeddings: Vec<Value> = (0..count).map(|index| json!({"values": vector(index)})).collect();
            Parts::json(&json!({"embeddings": embeddings}))
        }
    }
}
