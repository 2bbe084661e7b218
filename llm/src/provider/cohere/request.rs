//! A chat request in Cohere's words.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Number, value::RawValue};

use crate::{
    chat::{Block, Chat, Content, Format, Reasoning, Role, Source, Support, Tool, ToolCall, ToolChoice, Turn, text_of},
    error::EncodeError,
    provider::{
        Encoded, Target,
        function::{Declared, Function},
        wire,
    },
};

/// Parameters must be given.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "is_false")]
    strict_tools: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<Cow<'a, Number>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "is_false")]
    logprobs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System {
        content: Said<'a>,
    },
    User {
        content: Said<'a>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Said<'a>>,
        /// What is said before calls.
        #[serde(skip_serializing_if = "String::is_empty")]
        tool_plan: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<Call<'a>>,
    },
    Tool {
        tool_call_id: &'a str,
        content: Said<'a>,
    },
}

/// One text is sent as such.
#[derive(Serialize)]
#[serde(untagged)]
enum Said<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    Thinking { thinking: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Serialize)]
struct ImageUrl<'a> {
    url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    function: CallFunction<'a>,
}

#[derive(Serialize)]
struct CallFunction<'a> {
    name: &'a str,
    arguments: &'a str,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Thinking {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_budget: Option<u64>,
}

/// Writes the request.
///
/// # Errors
/// Something that Cohere cannot take.
pub(super) fn encode(chat: &Chat, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let support = Support::new(super::NAME, target);
    let sampling = &chat.sampling;
    support.lacks("n", sampling.n.is_some_and(|n| n != 1))?;
    support.lacks("top_logprobs", sampling.top_logprobs.is_some_and(|most| most > 0))?;
    support.lacks("parallel_tool_calls", chat.parallel_tools == Some(false) && !chat.tools.is_empty())?;
    support.rest(&chat.demands)?;
    let (tools, tool_choice) = tools(chat, support)?;
    let response_format = format(&chat.format);
    support.lacks("response_format", response_format.is_some() && !tools.is_empty())?;
    let body = Body {
        model: target.model,
        messages: messages(chat, support)?,
        stream: chat.stream,
        strict_tools: is_strict(chat),
        response_format: response_format.filter(|_| tools.is_empty()),
        tools,
        tool_choice,
        max_tokens: chat.max_tokens,
        stop_sequences: &sampling.stop,
        temperature: sampling.temperature.as_ref(),
        p: sampling.top_p.as_ref().map(within),
        k: sampling.top_k.as_ref(),
        seed: sampling.seed.as_ref(),
        frequency_penalty: sampling.frequency_penalty.as_ref().filter(|penalty| matters(penalty)),
        presence_penalty: sampling.presence_penalty.as_ref().filter(|penalty| matters(penalty)),
        logprobs: sampling.logprobs,
        thinking: thinking(chat, target, support)?,
    };
    Ok(wire::encoded(&body, &chat.others))
}

/// Cohere takes `p` from 0.01 to 0.99, where OpenAI's 1 means the same as its own 0.99: nearly everything.
fn within(p: &Number) -> Cow<'_, Number> {
    let value = p.as_f64().unwrap_or(0.75);
    match Number::from_f64(value.clamp(0.01, 0.99)) {
        Some(clamped) if !(0.01..=0.99).contains(&value) => Cow::Owned(clamped),
        _ => Cow::Borrowed(p),
    }
}

/// Both penalties at once are refused, even where one is 0.
fn matters(penalty: &Number) -> bool {
    penalty.as_f64() != Some(0.0)
}

fn thinking(chat: &Chat, target: &Target<'_>, support: Support<'_>) -> Result<Option<Thinking>, EncodeError> {
    let Some(reasoning) = chat.reasoning else {
        return Ok(None);
    };
    if target.capabilities.reasoning == Some(false) {
        support.lacks("reasoning_effort", reasoning != Reasoning::Off)?;
        return Ok(None);
    }
    let (kind, token_budget) = match reasoning {
        Reasoning::Off => ("disabled", None),
        Reasoning::Effort(effort) => ("enabled", Some(effort.budget())),
        Reasoning::Budget(tokens) => ("enabled", Some(tokens)),
        Reasoning::Adaptive => ("enabled", None),
    };
    Ok(Some(Thinking { kind, token_budget }))
}

fn format(format: &Format) -> Option<ResponseFormat<'_>> {
    let kind = "json_object";
    match format {
        Format::Text => None,
        Format::Json => Some(ResponseFormat { kind, json_schema: None }),
        Format::Schema { schema, .. } => Some(ResponseFormat { kind, json_schema: Some(schema) }),
    }
}

/// It holds for all tools: stricter than asked is what was asked.
fn is_strict(chat: &Chat) -> bool {
    chat.tools.iter().any(|tool| matches!(tool, Tool::Function { strict: Some(true), .. }))
}

/// The tools and whether one is to be called. A certain one cannot be named, so it is the only one offered.
fn tools<'a>(chat: &'a Chat, support: Support<'_>) -> Result<(Vec<Function<'a>>, Option<&'static str>), EncodeError> {
    let only = match &chat.tool_choice {
        Some(ToolChoice::Function(name)) => Some(name),
        _ => None,
    };
    let nothing: Option<&RawValue> = serde_json::from_str(NO_PARAMETERS).ok();
    let mut tools = Vec::with_capacity(chat.tools.len());
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, .. } if only.is_some_and(|only| only != name) => {}
            Tool::Function { name, description, parameters, .. } => {
                let parameters = parameters.as_deref().or(nothing);
                let function = Declared { name, description: description.as_deref(), parameters, strict: None };
                tools.push(Function::new(function));
            }
            // Tools that a provider runs itself are another provider's.
            Tool::Native(_) => support.lacks("tools", true)?,
        }
    }
    let choice = match chat.tool_choice {
        None | Some(ToolChoice::Auto) => None,
        Some(ToolChoice::None) => Some("NONE"),
        Some(ToolChoice::Required | ToolChoice::Function(_)) => Some("REQUIRED"),
    };
    Ok((tools, choice))
}

fn messages<'a>(chat: &'a Chat, support: Support<'_>) -> Result<Vec<Message<'a>>, EncodeError> {
    let mut messages = Vec::with_capacity(chat.turns.len() + 1);
    if !chat.system.is_empty() {
        messages.push(Message::System { content: said(&chat.system, support)? });
    }
    for turn in &chat.turns {
        match turn.role {
            Role::User => user(turn, support, &mut messages)?,
            Role::Assistant => messages.push(assistant(turn, support)?),
        }
    }
    Ok(messages)
}

/// Results of tools are messages of their own.
fn user<'a>(turn: &'a Turn, support: Support<'_>, messages: &mut Vec<Message<'a>>) -> Result<(), EncodeError> {
    let mut asked = Vec::new();
    let before = messages.len();
    for block in &turn.blocks {
        match &block.content {
            Content::ToolResult { id, content, .. } => {
                messages.push(Message::Tool { tool_call_id: id, content: result(content, support)? });
            }
            _ => asked.push(part(block, support)?),
        }
    }
    if !asked.is_empty() || messages.len() == before {
        messages.push(Message::User { content: Said::of(asked) });
    }
    Ok(())
}

fn result<'a>(content: &'a [Block], support: Support<'_>) -> Result<Said<'a>, EncodeError> {
    if content.iter().any(|block| !matches!(block.content, Content::Text(_))) {
        return Err(support.no_content("anything but text as the result of a tool"));
    }
    said(content, support)
}

/// Text beside calls is the plan that Cohere itself gives with them; text alone is content.
fn assistant<'a>(turn: &'a Turn, support: Support<'_>) -> Result<Message<'a>, EncodeError> {
    let tool_calls: Vec<Call<'_>> = turn.blocks.iter().filter_map(|block| call(&block.content)).collect();
    let plans = !tool_calls.is_empty();
    let mut parts = Vec::new();
    for block in &turn.blocks {
        match &block.content {
            // Reasoning that cannot be read is another provider's.
            Content::ToolCall(_) | Content::RedactedThinking(_) => {}
            Content::Text(_) if plans => {}
            Content::Thinking { text, .. } => parts.push(Part::Thinking { thinking: text }),
            _ => parts.push(part(block, support)?),
        }
    }
    let tool_plan = if plans { text_of(&turn.blocks) } else { String::new() };
    let content = (!plans || !parts.is_empty()).then(|| Said::of(parts));
    Ok(Message::Assistant { content, tool_plan, tool_calls })
}

fn call(content: &Content) -> Option<Call<'_>> {
    let Content::ToolCall(ToolCall { id, name, arguments, .. }) = content else {
        return None;
    };
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    Some(Call { id, kind: "function", function: CallFunction { name, arguments } })
}

fn said<'a>(blocks: &'a [Block], support: Support<'_>) -> Result<Said<'a>, EncodeError> {
    Ok(Said::of(blocks.iter().map(|block| part(block, support)).collect::<Result<_, _>>()?))
}

impl<'a> Said<'a> {
    fn of(parts: Vec<Part<'a>>) -> Self {
        match parts.as_slice() {
            [] => Said::Text(""),
            [Part::Text { text }] => Said::Text(text),
            _ => Said::Parts(parts),
        }
    }
}

fn part<'a>(block: &'a Block, support: Support<'_>) -> Result<Part<'a>, EncodeError> {
    match &block.content {
        Content::Text(text) | Content::Refusal(text) => Ok(Part::Text { text }),
        Content::Image { source, detail } => {
            if matches!(source, Source::File(_)) {
                return Err(support.no_content("images by file id; send them as data: URLs"));
            }
            Ok(Part::ImageUrl { image_url: ImageUrl { url: source.url(), detail: detail.as_deref() } })
        }
        Content::Document { .. } => Err(support.no_content("files; send their text")),
        Content::Audio(_) => Err(support.no_content("audio")),
        Content::Thinking { .. } | Content::RedactedThinking(_) => Err(support.no_content("reasoning of the user's")),
        Content::ToolCall(_) => Err(support.no_content("tool calls of the user's")),
        Content::ToolResult { .. } => Err(support.no_content("results of tools from the assistant")),
    }
}
