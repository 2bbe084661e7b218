//! A conversation as a request of Anthropic's.

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Number, value::RawValue};

use super::{
    beta::Betas,
    block::{Block, Blocks},
    messages::{self, Message},
    model::Model,
    reasoning::{Plan, Thinking},
    tools::{self, Choice, Notes, OutputFormat, Tool, Tools},
};
use crate::{
    chat::{Chat, Content, Format, Sampling, Support, demanded},
    error::EncodeError,
    inbound::value,
    json,
    provider::Target,
    splice::Editor,
};

/// What stands in for a format that is JSON of no schema: no generation of models has a switch for it.
const JSON_ONLY: &str = "Answer with a single JSON object and nothing else: no introduction, no code fence.";

/// The request and what goes with it.
pub(crate) struct Written {
    pub(crate) body: Bytes,
    pub(crate) notes: Notes,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anthropic_version: Option<&'static str>,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "OutputConfig::is_empty")]
    output_config: OutputConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<&'a Number>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Default, Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<OutputFormat>,
}

impl OutputConfig {
    fn is_empty(&self) -> bool {
        self.effort.is_none() && self.format.is_none()
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// Writes it. `hosted` = Anthropic's model at another's: the `anthropic_version` of that place, whose URL names the model.
///
/// # Errors
/// The client's fault.
pub(crate) fn write(mut chat: Chat, hosted: Option<&'static str>, target: &Target<'_>) -> Result<Written, EncodeError> {
    chat.drop_foreign_signatures();
    let support = Support::new("Anthropic", target);
    let model = Model::of(target.model);
    let mut notes = Notes::default();
    tools::rename(&mut chat, &mut notes.recall);
    if matches!(chat.format, Format::Json) {
        chat.system.push(Content::Text(JSON_ONLY.to_owned()).into());
    }
    let others = std::mem::take(&mut chat.others);
    let search = ["web_search_options", "tools.googleSearch"].iter().find_map(|name| demanded(&mut chat.demands, name));
    support.rest(&chat.demands)?;
    let plan = Plan::of(&chat, target, support)?;
    let mut tools = Tools::of(&chat, model, &plan, &mut notes)?;
    if let Some(options) = search {
        tools.add(tools::web_search(&options)?, &mut notes.betas);
    }
    let sampling = Drawn::of(&chat.sampling, model, &plan, support)?;
    let mut blocks = Blocks { support, betas: &mut notes.betas };
    let system = chat.system.iter().filter_map(|block| blocks.block(block).transpose()).collect::<Result<_, _>>()?;
    let body = Body {
        model: hosted.is_none().then_some(target.model),
        anthropic_version: hosted,
        max_tokens: plan.max_tokens,
        system,
        messages: messages::messages(&chat.turns, &mut blocks)?,
        tools: tools.all,
        tool_choice: tools.choice,
        thinking: plan.thinking,
        output_config: OutputConfig { effort: plan.effort, format: tools.format },
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        top_k: sampling.top_k,
        stop_sequences: sampling.stop,
        metadata: chat.user.as_deref().filter(|user| is_opaque(user)).map(|user_id| Metadata { user_id }),
        stream: chat.stream,
    };
    // These types cannot fail to serialise: no maps with other keys than strings, no numbers that are none.
    let body = Bytes::from(serde_json::to_vec(&body).unwrap_or_default());
    Ok(Written { body: with_others(&body, others, &mut notes.betas)?, notes })
}

/// How tokens are drawn, as far as this can be said.
struct Drawn<'a> {
    temperature: Option<&'a Number>,
    top_p: Option<&'a Number>,
    top_k: Option<&'a Number>,
    stop: Vec<&'a str>,
}

impl<'a> Drawn<'a> {
    fn of(sampling: &'a Sampling, model: Model<'_>, plan: &Plan, support: Support<'_>) -> Result<Self, EncodeError> {
        let is = |number: &Number, neutral: f64| number.as_f64().is_some_and(|number| (number - neutral).abs() < 1e-9);
        let set = |number: &Option<Number>, neutral: f64| number.as_ref().is_some_and(|number| !is(number, neutral));
        let blank = |stop: &&String| stop.trim().is_empty();
        let Sampling { temperature, top_p, top_k, stop, .. } = sampling;
        support.lacks("frequency_penalty", set(&sampling.frequency_penalty, 0.0))?;
        support.lacks("presence_penalty", set(&sampling.presence_penalty, 0.0))?;
        support.lacks("seed", sampling.seed.is_some())?;
        support.lacks("n", sampling.n.is_some_and(|n| n > 1))?;
        support.lacks("logprobs", sampling.logprobs)?;
        support.lacks("top_logprobs", sampling.top_logprobs.is_some_and(|top| top > 0))?;
        support.lacks("stop", stop.iter().any(|stop| stop.trim().is_empty()))?;
        let stop = stop.iter().filter(|stop| !blank(stop)).map(String::as_str).collect();
        if !model.takes_sampling() || plan.thinks() {
            support.lacks("temperature", set(temperature, 1.0))?;
            support.lacks("top_p", set(top_p, 1.0))?;
            support.lacks("top_k", top_k.is_some())?;
            return Ok(Self { temperature: None, top_p: None, top_k: None, stop });
        }
        // Some models refuse both together, and all of it is what no `top_p` means.
        let top_p = top_p.as_ref().filter(|top_p| temperature.is_none() || !is(top_p, 1.0));
        Ok(Self { temperature: temperature.as_ref(), top_p, top_k: top_k.as_ref(), stop })
    }
}

/// Anthropic wants no names, mail addresses or telephone numbers.
fn is_opaque(user: &str) -> bool {
    let phone = user.len() >= 7 && user.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')'));
    !user.is_empty() && !user.contains('@') && !phone
}

/// Puts in what the client meant for Anthropic: it knows better than what was derived. `output_config` is shared.
fn with_others(body: &Bytes, others: Vec<(String, Box<RawValue>)>, betas: &mut Betas) -> Result<Bytes, EncodeError> {
    if others.is_empty() {
        return Ok(body.clone());
    }
    // It was just written.
    let members = json::scan(body).unwrap_or_default();
    let mut edit = Editor::new(body, &members);
    for (name, raw) in others {
        betas.member(&name);
        let own = edit.value(&name).filter(|_| name == "output_config").map(Bytes::copy_from_slice);
        let value = match own {
            Some(own) => merged(&own, &raw)?,
            None => Bytes::copy_from_slice(raw.get().as_bytes()),
        };
        edit.set(&name, value);
    }
    Ok(edit.finish().to_bytes())
}

fn merged(own: &Bytes, given: &RawValue) -> Result<Bytes, EncodeError> {
    let given: std::collections::BTreeMap<String, Box<RawValue>> = value("output_config", given.get().as_bytes())?;
    let members = json::scan(own).unwrap_or_default();
    let mut edit = Editor::new(own, &members);
    for (name, raw) in given {
        edit.set(&name, Bytes::copy_from_slice(raw.get().as_bytes()));
    }
    Ok(edit.finish().to_bytes())
}
