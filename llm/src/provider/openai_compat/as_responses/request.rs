//! A chat request in the words of Responses.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Number, value::RawValue};

use super::input::{self, Item};
use crate::{
    chat::{Chat, Format, Support, Tool, ToolChoice, demanded},
    error::EncodeError,
    provider::{Encoded, Operation, Target, quirks::Quirks, wire},
    request::Request,
};

/// Members that chat completions and Responses have alike, and the neutral form does not.
const ALIKE: &[&str] =
    &["metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store"];
/// Parameters must be given.
const NO_PARAMETERS: &str = r#"{"type":"object","properties":{}}"#;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Offered<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    include: Vec<&'static str>,
    /// Responses are kept unless they are told not to; chats are not unless they are told to.
    store: bool,
    stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Offered<'a> {
    Function(Function<'a>),
    /// In Responses' own words.
    Native(&'a RawValue),
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Option<&'a RawValue>,
    /// Here it is true unless it is said.
    strict: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
    },
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Shape<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shape<'a> {
    JsonObject,
    JsonSchema {
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        schema: &'a RawValue,
        strict: bool,
    },
}

#[derive(Serialize)]
struct Reasoning {
    effort: &'static str,
}

/// Writes the request; `asked` is the chat as chat completions would have it.
///
/// # Errors
/// Something that Responses cannot say.
pub(super) fn write(
    chat: &mut Chat,
    asked: &Request,
    quirks: &Quirks,
    target: &Target<'_>,
) -> Result<Encoded, EncodeError> {
    let support = Support::new(quirks.name, target);
    let verbosity = demanded(&mut chat.demands, "verbosity");
    let sampling = &chat.sampling;
    support.lacks("n", sampling.n.is_some_and(|n| n != 1))?;
    support.lacks("seed", sampling.seed.is_some())?;
    support.lacks("stop", !sampling.stop.is_empty())?;
    let is_set = |penalty: &Option<Number>| penalty.as_ref().is_some_and(|penalty| penalty.as_f64() != Some(0.0));
    support.lacks("frequency_penalty", is_set(&sampling.frequency_penalty))?;
    support.lacks("presence_penalty", is_set(&sampling.presence_penalty))?;
    support.rest(&chat.demands)?;
    let tools = tools(chat, support)?;
    let format = shape(&chat.format);
    let body = Body {
        model: target.model,
        input: input::write(chat, support)?,
        tool_choice: chat.tool_choice.as_ref().filter(|_| !tools.is_empty()).map(Choice::of),
        parallel_tool_calls: chat.parallel_tools.filter(|_| !tools.is_empty()),
        tools,
        text: (format.is_some() || verbosity.is_some()).then_some(Text { format, verbosity }),
        reasoning: super::super::request::effort(Operation::Responses, chat.reasoning)
            .map(|effort| Reasoning { effort }),
        max_output_tokens: chat.max_tokens,
        temperature: sampling.temperature.as_ref(),
        top_p: sampling.top_p.as_ref(),
        top_logprobs: sampling.top_logprobs.filter(|_| sampling.logprobs),
        user: chat.user.as_deref(),
        include: include(chat),
        store: false,
        stream: chat.stream,
    };
    Ok(wire::encoded(&body, &others(chat, asked)))
}

/// What is not kept there has to come with the answer, to be sent again.
fn include(chat: &Chat) -> Vec<&'static str> {
    let logprobs = chat.sampling.logprobs.then_some("message.output_text.logprobs");
    std::iter::once("reasoning.encrypted_content").chain(logprobs).collect()
}

/// What goes on as it is.
fn others(chat: &Chat, asked: &Request) -> Vec<(String, Box<RawValue>)> {
    let alike = ALIKE.iter().filter_map(|name| {
        let value = asked.member(name).filter(|value| *value != b"null")?;
        Some(((*name).to_owned(), serde_json::from_slice(value).ok()?))
    });
    alike.chain(chat.others.iter().cloned()).collect()
}

fn tools<'a>(chat: &'a Chat, support: Support<'_>) -> Result<Vec<Offered<'a>>, EncodeError> {
    let nothing: Option<&RawValue> = serde_json::from_str(NO_PARAMETERS).ok();
    let mut tools = Vec::with_capacity(chat.tools.len());
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, description, parameters, strict, .. } => tools.push(Offered::Function(Function {
                kind: "function",
                name,
                description: description.as_deref(),
                parameters: parameters.as_deref().or(nothing),
                strict: strict.unwrap_or(false),
            })),
            // Its calls are of another kind than functions', which chats of other dialects do not have.
            Tool::Native(raw) if kind(raw).is_some_and(|kind| kind == "custom") => support.lacks("tools", true)?,
            Tool::Native(raw) => tools.push(Offered::Native(raw)),
        }
    }
    Ok(tools)
}

fn kind(tool: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
    }
    serde_json::from_str::<Typed<'_>>(tool.get()).ok().map(|typed| typed.kind)
}

impl<'a> Choice<'a> {
    fn of(choice: &'a ToolChoice) -> Self {
        match choice {
            ToolChoice::Auto => Self::Word("auto"),
            ToolChoice::None => Self::Word("none"),
            ToolChoice::Required => Self::Word("required"),
            ToolChoice::Function(name) => Self::Named { kind: "function", name },
        }
    }
}

fn shape(format: &Format) -> Option<Shape<'_>> {
    match format {
        Format::Text => None,
        Format::Json => Some(Shape::JsonObject),
        Format::Schema { name, description, schema, strict } => {
            // A name is required.
            let name = if name.is_empty() { "answer" } else { name };
            let description = description.as_deref();
            Some(Shape::JsonSchema { name, description, schema, strict: strict.unwrap_or(false) })
        }
    }
}
