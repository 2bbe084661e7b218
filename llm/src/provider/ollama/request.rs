//! A chat request in Ollama's words.

use serde::Serialize;
use serde_json::{Map, Number, Value, value::RawValue};

use crate::{
    chat::{Block, Chat, Content, Effort, Format, Reasoning, Role, Source, Support, Tool, ToolChoice, Turn},
    error::EncodeError,
    inbound::value,
    provider::{
        Encoded, Target,
        function::{Declared, Function},
        wire,
    },
};

/// Members of `options` that clients send beside OpenAI's own.
const OPTIONS: &[&str] = &[
    "num_ctx",
    "num_predict",
    "num_keep",
    "num_batch",
    "num_gpu",
    "num_thread",
    "main_gpu",
    "use_mmap",
    "min_p",
    "typical_p",
    "tfs_z",
    "repeat_last_n",
    "repeat_penalty",
    "mirostat",
    "mirostat_eta",
    "mirostat_tau",
    "penalize_newline",
];

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Message<'a>>,
    /// A stream is what comes unasked.
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<ResponseFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    options: Map<String, Value>,
}

#[derive(Default, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    /// base64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    function: CallFunction<'a>,
}

#[derive(Serialize)]
struct CallFunction<'a> {
    index: usize,
    name: &'a str,
    arguments: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResponseFormat<'a> {
    Word(&'static str),
    Schema(&'a RawValue),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think {
    Flag(bool),
    Effort(&'static str),
}

/// Writes the request.
///
/// # Errors
/// Something that Ollama cannot take.
pub(super) fn encode(chat: &Chat, target: &Target<'_>) -> Result<Encoded, EncodeError> {
    let support = Support::new(super::NAME, target);
    let sampling = &chat.sampling;
    support.lacks("n", sampling.n.is_some_and(|n| n != 1))?;
    support.lacks("parallel_tool_calls", chat.parallel_tools == Some(false) && !chat.tools.is_empty())?;
    let forced = matches!(chat.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)));
    support.lacks("tool_choice", forced)?;
    support.rest(&chat.demands)?;
    let (options, others) = options(chat)?;
    let body = Body {
        model: target.model,
        messages: messages(chat, support)?,
        stream: chat.stream,
        tools: tools(chat, support)?,
        format: match &chat.format {
            Format::Text => None,
            Format::Json => Some(ResponseFormat::Word("json")),
            Format::Schema { schema, .. } => Some(ResponseFormat::Schema(schema)),
        },
        think: think(chat, target, support)?,
        logprobs: sampling.logprobs.then_some(true),
        top_logprobs: sampling.top_logprobs.filter(|_| sampling.logprobs),
        options,
    };
    Ok(wire::encoded(&body, &others))
}

/// Members that go on as they are.
type Others = Vec<(String, Box<RawValue>)>;

/// What stands in `options`, and what stays beside it. The client's own `options` win.
fn options(chat: &Chat) -> Result<(Map<String, Value>, Others), EncodeError> {
    let sampling = &chat.sampling;
    let mut options = Map::new();
    if let Some(most) = chat.max_tokens {
        options.insert("num_predict".to_owned(), most.into());
    }
    let numbers: [(&str, &Option<Number>); 6] = [
        ("temperature", &sampling.temperature),
        ("top_p", &sampling.top_p),
        ("top_k", &sampling.top_k),
        ("frequency_penalty", &sampling.frequency_penalty),
        ("presence_penalty", &sampling.presence_penalty),
        ("seed", &sampling.seed),
    ];
    for (name, number) in numbers {
        options.extend(number.clone().map(|number| (name.to_owned(), Value::Number(number))));
    }
    if !sampling.stop.is_empty() {
        options.insert("stop".to_owned(), sampling.stop.clone().into());
    }
    let mut others = Vec::new();
    let mut own = Map::new();
    for (name, raw) in &chat.others {
        let text = raw.get().as_bytes();
        match name.as_str() {
            "options" => own = value("options", text)?,
            name if OPTIONS.contains(&name) => {
                options.insert(name.to_owned(), value(name, text)?);
            }
            _ => others.push((name.clone(), raw.clone())),
        }
    }
    options.extend(own);
    Ok((options, others))
}

/// Only gpt-oss tells efforts apart; to the others a word is an error.
fn think(chat: &Chat, target: &Target<'_>, support: Support<'_>) -> Result<Option<Think>, EncodeError> {
    let Some(reasoning) = chat.reasoning else {
        return Ok(None);
    };
    if target.capabilities.reasoning == Some(false) {
        support.lacks("reasoning_effort", reasoning != Reasoning::Off)?;
        return Ok(None);
    }
    let words = target.model.contains("gpt-oss");
    Ok(Some(match reasoning {
        Reasoning::Off => Think::Flag(false),
        Reasoning::Effort(effort) if words => Think::Effort(match effort {
            Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High | Effort::XHigh | Effort::Max => "high",
        }),
        Reasoning::Effort(_) | Reasoning::Budget(_) | Reasoning::Adaptive => Think::Flag(true),
    }))
}

/// None are offered where none may be called: there is no other way to say so.
fn tools<'a>(chat: &'a Chat, support: Support<'_>) -> Result<Vec<Function<'a>>, EncodeError> {
    if chat.tool_choice == Some(ToolChoice::None) {
        return Ok(Vec::new());
    }
    let mut tools = Vec::with_capacity(chat.tools.len());
    for tool in &chat.tools {
        match tool {
            Tool::Function { name, description, parameters, .. } => {
                let (description, parameters) = (description.as_deref(), parameters.as_deref());
                let function = Declared { name, description, parameters, strict: None };
                tools.push(Function::new(function));
            }
            // Tools that a provider runs itself are another provider's.
            Tool::Native(_) => support.lacks("tools", true)?,
        }
    }
    Ok(tools)
}

fn messages<'a>(chat: &'a Chat, support: Support<'_>) -> Result<Vec<Message<'a>>, EncodeError> {
    let mut messages = Vec::with_capacity(chat.turns.len() + 1);
    if !chat.system.is_empty() {
        // As Ollama itself joins several.
        let texts: Vec<&str> = chat.system.iter().filter_map(|block| words(&block.content)).collect();
        messages.push(Message { role: "system", content: texts.join("\n\n"), ..Message::default() });
    }
    for turn in &chat.turns {
        turn_messages(chat, turn, support, &mut messages)?;
    }
    Ok(messages)
}

/// Results of tools are messages of their own.
fn turn_messages<'a>(
    chat: &'a Chat,
    turn: &'a Turn,
    support: Support<'_>,
    messages: &mut Vec<Message<'a>>,
) -> Result<(), EncodeError> {
    let before = messages.len();
    let role = match turn.role {
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    let mut message = Message { role, ..Message::default() };
    let mut says = false;
    for block in &turn.blocks {
        if let Content::ToolResult { id, name, content, .. } = &block.content {
            let tool_name = name.as_deref().or_else(|| chat.tool_name(id));
            let mut result = Message { role: "tool", tool_name, tool_call_id: Some(id), ..Message::default() };
            content.iter().try_for_each(|block| result.add(block, support))?;
            messages.push(result);
        } else {
            says = true;
            message.add(block, support)?;
        }
    }
    if says || messages.len() == before {
        messages.push(message);
    }
    Ok(())
}

fn words(content: &Content) -> Option<&str> {
    match content {
        Content::Text(text) | Content::Refusal(text) => Some(text),
        _ => None,
    }
}

impl<'a> Message<'a> {
    fn add(&mut self, block: &'a Block, support: Support<'_>) -> Result<(), EncodeError> {
        match &block.content {
            Content::Text(text) | Content::Refusal(text) => self.content.push_str(text),
            Content::Thinking { text, .. } => self.thinking.push_str(text),
            // Another provider's secret.
            Content::RedactedThinking(_) => {}
            Content::Image { source: Source::Inline { data, .. }, .. } => self.images.push(data),
            Content::Image { .. } => {
                return Err(support.no_content("images that are elsewhere; send them as data: URLs"));
            }
            Content::ToolCall(call) => {
                let function = CallFunction {
                    index: self.tool_calls.len(),
                    name: &call.name,
                    arguments: arguments(&call.arguments),
                };
                self.tool_calls.push(Call { id: &call.id, function });
            }
            Content::Document { .. } => return Err(support.no_content("files; send their text")),
            Content::Audio(_) => return Err(support.no_content("audio")),
            Content::ToolResult { .. } => return Err(support.no_content("results within results of tools")),
        }
        Ok(())
    }
}

/// The object that they must be; text that is none (cut at the most tokens, say) is kept under a name.
fn arguments(text: &str) -> Box<RawValue> {
    let object = if text.trim().is_empty() { "{}" } else { text.trim() };
    let parsed = RawValue::from_string(object.to_owned()).ok().filter(|raw| raw.get().starts_with('{'));
    let wrapped = || RawValue::from_string(format!("{{\"arguments\":{}}}", Value::from(text))).ok();
    parsed.or_else(wrapped).unwrap_or_else(|| RawValue::NULL.to_owned())
}
