//! A chat request in Converse's words.

use bytes::Bytes;
use serde_json::{Number, json, value::RawValue};

use super::{
    Call,
    model::{Model, Thinking},
    wire::{self, Converse, InferenceConfig, Members, OutputConfig},
};
use crate::{
    chat::{Chat, Content, Effort, Format, Reasoning, Recall, Role, Support},
    error::EncodeError,
    inbound,
    provider::{Target, anthropic},
};

/// Members of the API that a client may send as they are; everything else that nobody knows is the model's.
const PASSED: &[&str] = &[
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "outputConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// Where Claude tells which stop sequence it met.
const STOP_SEQUENCE: &[&str] = &["/stop_sequence"];

/// Said in the place of a JSON mode, which the API lacks.
const JSON_ONLY: &str = "Answer with one JSON object and nothing else: no text around it, no code fence.";

/// Fewest tokens that Claude thinks with.
const LEAST_BUDGET: u64 = 1024;

/// The body for `Converse` and `ConverseStream`, and what its answer needs.
pub(super) fn encode(mut chat: Chat, target: &Target<'_>) -> Result<(Bytes, Recall), EncodeError> {
    chat.drop_foreign_signatures();
    let mut call = Call {
        model: Model::of(target.model),
        support: Support::new(super::NAME, target),
        recall: Recall::default(),
        documents: Vec::new(),
        claude_tools: Vec::new(),
        fields: Members::default(),
    };
    call.refuse(&chat)?;
    let mut body = Converse::default();
    call.others(&mut chat, &mut body.passed)?;
    let mut output = OutputConfig::default();
    let thinks = call.thinking(&chat, &mut output)?;
    call.sampling(&mut chat, &mut body, thinks)?;
    let mut system = call.system(&chat.system);
    if matches!(chat.format, Format::Json) {
        system.push(wire::Block::Text(JSON_ONLY.to_owned()));
    }
    body.tool_config = call.tools(&mut chat, &mut output, thinks)?;
    body.messages = call.messages(&mut chat)?;
    call.place_system(system, &mut body);
    if output != OutputConfig::default() && !body.passed.has("outputConfig") {
        body.output_config = Some(output);
    }
    if !call.claude_tools.is_empty() {
        let tools = std::mem::take(&mut call.claude_tools);
        call.say("tools", &tools);
    }
    body.additional_model_request_fields = call.fields;
    let body = serde_json::to_vec(&body).map_err(|error| inbound::invalid("body", &error))?;
    Ok((body.into(), call.recall))
}

impl Call<'_> {
    /// What no model of Bedrock takes.
    fn refuse(&self, chat: &Chat) -> Result<(), EncodeError> {
        let sampling = &chat.sampling;
        self.support.lacks("n", sampling.n.is_some_and(|n| n > 1))?;
        self.support.lacks("seed", sampling.seed.is_some())?;
        self.support.lacks("logprobs", sampling.logprobs)?;
        self.support.lacks("top_logprobs", sampling.top_logprobs.is_some_and(|count| count > 0))?;
        let matters = |number: &Option<Number>| number.as_ref().is_some_and(|number| number.as_f64() != Some(0.0));
        self.support.lacks("frequency_penalty", matters(&sampling.frequency_penalty))?;
        self.support.lacks("presence_penalty", matters(&sampling.presence_penalty))?;
        self.support.rest(&chat.demands)
    }

    /// The client's own words for Bedrock and its models; they come first, so that nothing said here replaces them.
    fn others(&mut self, chat: &mut Chat, passed: &mut Members) -> Result<(), EncodeError> {
        const FIELDS: &str = "additionalModelRequestFields";
        for (name, raw) in std::mem::take(&mut chat.others) {
            match name.as_str() {
                FIELDS => {
                    let fields: Vec<(String, Box<RawValue>)> = members(FIELDS, &raw)?;
                    for (name, raw) in fields {
                        self.fields.add(&name, raw);
                    }
                }
                name if PASSED.contains(&name) => passed.add(name, raw),
                name => self.fields.add(name, raw),
            }
        }
        Ok(())
    }

    fn sampling(&mut self, chat: &mut Chat, body: &mut Converse, thinks: bool) -> Result<(), EncodeError> {
        let sampling = &mut chat.sampling;
        let (mut temperature, mut top_p) = (sampling.temperature.take(), sampling.top_p.take());
        let mut top_k = sampling.top_k.take();
        let is = |number: &Number, neutral: f64| number.as_f64().is_some_and(|number| (number - neutral).abs() < 1e-9);
        if !self.model.takes_sampling(thinks) {
            self.support.lacks("temperature", temperature.take_if(|number| !is(number, 1.0)).is_some())?;
            self.support.lacks("top_p", top_p.take_if(|number| !is(number, 1.0)).is_some())?;
            self.support.lacks("top_k", top_k.is_some())?;
            (temperature, top_p, top_k) = (None, None, None);
        }
        // Some models refuse both together, and all of it is what no `top_p` means.
        top_p.take_if(|number| temperature.is_some() && is(number, 1.0));
        let stop_sequences = self.stop(std::mem::take(&mut sampling.stop))?;
        let asks = self.model.is_claude() && !stop_sequences.is_empty();
        if asks && !body.passed.has("additionalModelResponseFieldPaths") {
            body.additional_model_response_field_paths = STOP_SEQUENCE;
        }
        let inference = InferenceConfig { max_tokens: chat.max_tokens, temperature, top_p, stop_sequences };
        body.inference_config = (inference != InferenceConfig::default()).then_some(inference);
        self.support.lacks("top_k", top_k.is_some() && !self.model.has_top_k())?;
        match top_k.filter(|_| self.model.has_top_k()) {
            Some(top_k) if self.model.is_nova() => self.say("inferenceConfig", &json!({ "topK": top_k })),
            Some(top_k) if self.model.is_cohere() => self.say("k", &top_k),
            Some(top_k) => self.say("top_k", &top_k),
            None => {}
        }
        Ok(())
    }

    /// Stop sequences: none is empty, and for Claude none is blank.
    fn stop(&self, mut sequences: Vec<String>) -> Result<Vec<String>, EncodeError> {
        sequences.retain(|sequence| !sequence.is_empty());
        if self.model.is_claude() {
            self.support.lacks("stop", sequences.iter().any(|sequence| sequence.trim().is_empty()))?;
            sequences.retain(|sequence| !sequence.trim().is_empty());
        }
        Ok(sequences)
    }

    /// Has the model think as asked; true = it will.
    fn thinking(&mut self, chat: &Chat, output: &mut OutputConfig) -> Result<bool, EncodeError> {
        let reasoning = match chat.reasoning {
            None => return Ok(self.fields.has("thinking")),
            Some(Reasoning::Off) => return self.no_thinking(),
            Some(reasoning) => reasoning,
        };
        let takes_budget = self.model.claude().is_some_and(anthropic::Model::takes_budget);
        match (self.model.thinking(), reasoning) {
            (Thinking::None, _) => {
                let param = if matches!(reasoning, Reasoning::Effort(_)) { "reasoning_effort" } else { "thinking" };
                self.support.lacks(param, true)?;
                return Ok(false);
            }
            (Thinking::Plain, _) => self.say("reasoning_effort", &level(reasoning)),
            (Thinking::Nova, _) => {
                self.say("reasoningConfig", &json!({ "type": "enabled", "maxReasoningEffort": level(reasoning) }));
            }
            (Thinking::Effort, Reasoning::Budget(tokens)) if takes_budget => return Ok(self.think_with(tokens, chat)),
            (Thinking::Effort, _) => {
                self.say("thinking", &json!({ "type": "adaptive", "display": "summarized" }));
                if let (Reasoning::Effort(effort), Some(claude)) = (reasoning, self.model.claude()) {
                    output.effort = Some(claude.effort(effort));
                }
            }
            (Thinking::Budget, _) => return Ok(self.think_with(budget(reasoning), chat)),
        }
        Ok(true)
    }

    fn no_thinking(&mut self) -> Result<bool, EncodeError> {
        let kind = self.model.thinking();
        let always = self.model.claude().is_some_and(anthropic::Model::always_thinks) || kind == Thinking::Plain;
        self.support.lacks("reasoning_effort", always)?;
        if kind == Thinking::Effort && !always {
            self.say("thinking", &json!({ "type": "disabled" }));
        }
        Ok(always)
    }

    /// Thinking on a budget, where there is room for it and the conversation allows it.
    fn think_with(&mut self, budget: u64, chat: &Chat) -> bool {
        // The budget is part of the most tokens and smaller.
        let room = chat.max_tokens.map_or(u64::MAX, |most| most.saturating_sub(1));
        let budget = budget.max(LEAST_BUDGET).min(room);
        // A turn that called tools must have begun with thinking, and many clients do not keep it.
        if budget < LEAST_BUDGET || forgot_thinking(chat) {
            return false;
        }
        self.say("thinking", &json!({ "type": "enabled", "budget_tokens": budget }));
        true
    }

    /// Models without a system prompt hear it from the user.
    fn place_system(&self, system: Vec<wire::Block>, body: &mut Converse) {
        if self.model.has_system() {
            body.system = system;
            return;
        }
        if let Some(first) = body.messages.first_mut() {
            first.content.splice(0..0, system).for_each(drop);
        }
    }
}

/// The tokens that Claude is to think with.
fn budget(reasoning: Reasoning) -> u64 {
    match reasoning {
        Reasoning::Budget(tokens) => tokens,
        Reasoning::Effort(effort) => effort.budget(),
        Reasoning::Adaptive | Reasoning::Off => Effort::High.budget(),
    }
}

/// Of three levels the one that comes nearest.
fn level(reasoning: Reasoning) -> &'static str {
    let budget = match reasoning {
        Reasoning::Adaptive => Effort::Medium.budget(),
        other => budget(other),
    };
    if budget <= Effort::Low.budget() {
        "low"
    } else if budget <= Effort::Medium.budget() {
        "medium"
    } else {
        "high"
    }
}

/// The last answer called tools and its reasoning is not there.
fn forgot_thinking(chat: &Chat) -> bool {
    let last = chat.turns.iter().rev().find(|turn| turn.role == Role::Assistant);
    last.is_some_and(|turn| {
        let has = |wanted: fn(&Content) -> bool| turn.blocks.iter().any(|block| wanted(&block.content));
        let signed = has(|content| {
            matches!(content, Content::Thinking { signature: Some(_), .. } | Content::RedactedThinking(_))
        });
        has(|content| matches!(content, Content::ToolCall(_))) && !signed
    })
}

/// The members of an object.
fn members(param: &str, raw: &RawValue) -> Result<Vec<(String, Box<RawValue>)>, EncodeError> {
    let text = raw.get().as_bytes();
    let members = crate::json::scan(text).map_err(|error| inbound::invalid(param, &error))?;
    let read = |member: &crate::json::Member| {
        let raw: Box<RawValue> = inbound::value(param, member.value.of(text))?;
        Ok((member.name(text).into_owned(), raw))
    };
    members.iter().map(read).collect()
}
