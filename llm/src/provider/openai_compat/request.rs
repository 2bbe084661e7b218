//! A chat of another dialect as a request of chat completions, for upstreams that know no other.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Number, value::RawValue};

use super::messages::{self, Message};
use crate::{
    chat::{Chat, Effort, Format, Reasoning, Support, Tool, ToolChoice, demanded},
    error::EncodeError,
    inbound::invalid,
    provider::{
        Operation, Target,
        function::{Declared, Function},
        quirks::Quirks,
        wire,
    },
    request::Request,
};

/// Longest `user` that OpenAI takes; Anthropic's clients send longer ones.
const USER: usize = 64;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<&'a Number>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "is_false")]
    logprobs: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    stream: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Word(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        function: Named<'a>,
    },
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    json_schema: Option<Shape<'a>>,
}

#[derive(Serialize)]
struct Shape<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// The same request in chat completions' words, to be edited for its upstream like any other.
///
/// # Errors
/// Something that chat completions cannot say.
pub(super) fn write(
    operation: Operation,
    chat: &mut Chat,
    quirks: &Quirks,
    target: &Target<'_>,
) -> Result<Request, EncodeError> {
    let support = Support::new(quirks.name, target);
    let verbosity = demanded(&mut chat.demands, "verbosity");
    support.rest(&chat.demands)?;
    let tools = tools(chat, support)?;
    let is_newer = quirks.output_limit == crate::provider::quirks::NEWER_LIMIT;
    let sampling = &chat.sampling;
    let body = Body {
        model: target.model,
        messages: messages::write(chat, quirks, support)?,
        tool_choice: chat.tool_choice.as_ref().filter(|_| !tools.is_empty()).map(Choice::of),
        parallel_tool_calls: chat.parallel_tools.filter(|_| !tools.is_empty()),
        tools,
        response_format: ResponseFormat::of(&chat.format),
        max_tokens: chat.max_tokens.filter(|_| !is_newer),
        max_completion_tokens: chat.max_tokens.filter(|_| is_newer),
        temperature: sampling.temperature.as_ref(),
        top_p: sampling.top_p.as_ref(),
        top_k: sampling.top_k.as_ref(),
        frequency_penalty: sampling.frequency_penalty.as_ref(),
        presence_penalty: sampling.presence_penalty.as_ref(),
        seed: sampling.seed.as_ref(),
        stop: &sampling.stop,
        n: sampling.n,
        logprobs: sampling.logprobs,
        top_logprobs: sampling.top_logprobs,
        reasoning_effort: effort(operation, chat.reasoning),
        verbosity: verbosity.as_deref(),
        user: chat.user.as_deref().map(|user| user.get(..user.floor_char_boundary(USER)).unwrap_or(user)),
        stream: chat.stream,
    };
    let bytes: Bytes = wire::encoded(&body, &chat.others).body.to_bytes();
    Request::scan(bytes).map_err(|error| invalid("body", &error))
}

fn tools<'a>(chat: &'a Chat, support: Support<'_>) -> Result<Vec<Function<'a>>, EncodeError> {
    let mut tools = Vec::with_capacity(chat.tools.len());
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, description, parameters, strict, .. } => {
                let function = Declared {
                    name,
                    description: description.as_deref(),
                    parameters: parameters.as_deref(),
                    strict: *strict,
                };
                tools.push(Function::new(function));
            }
            // Tools that a provider runs itself are another provider's.
            Tool::Native(_) => support.lacks("tools", true)?,
        }
    }
    Ok(tools)
}

impl<'a> Choice<'a> {
    fn of(choice: &'a ToolChoice) -> Self {
        match choice {
            ToolChoice::Auto => Self::Word("auto"),
            ToolChoice::None => Self::Word("none"),
            ToolChoice::Required => Self::Word("required"),
            ToolChoice::Function(name) => Self::Named { kind: "function", function: Named { name } },
        }
    }
}

impl<'a> ResponseFormat<'a> {
    fn of(format: &'a Format) -> Option<Self> {
        match format {
            Format::Text => None,
            Format::Json => Some(Self { kind: "json_object", json_schema: None }),
            Format::Schema { name, description, schema, strict } => {
                // A name is required.
                let name = if name.is_empty() { "answer" } else { name };
                let json_schema = Shape { name, description: description.as_deref(), schema, strict: *strict };
                Some(Self { kind: "json_schema", json_schema: Some(json_schema) })
            }
        }
    }
}

/// A budget becomes the effort that LiteLLM's scale has for it.
pub(super) fn effort(operation: Operation, reasoning: Option<Reasoning>) -> Option<&'static str> {
    match reasoning? {
        // Anthropic's clients say so to models that never reason, which would refuse the word.
        Reasoning::Off => (operation == Operation::Responses).then_some("none"),
        Reasoning::Adaptive => None,
        Reasoning::Effort(effort) => Some(effort.word()),
        Reasoning::Budget(tokens) => {
            let enough = |effort: &Effort| tokens <= effort.budget();
            let fitting = [Effort::Low, Effort::Medium].into_iter().find(enough);
            Some(fitting.unwrap_or(Effort::High).word())
        }
    }
}
