//! What a request may use at most, before it is sent: what a strict limit holds for it.
//!
//! ```text
//!  prompt   bytes of the body                at most one token each, whatever the tokenizer and however escaped
//!         − base64 of images and sound       counted by what they show, not by their size
//!         + constants                        what chat templates put around messages and tools
//!         + images × the model's dearest     their sizes are not known here
//!         ≤ the context window               also where something is only referred to
//!  output   (what the client allows, else what the model can) × choices
//! ```
//! Nothing is parsed for it: the media were seen while the request was scanned, and the rest is arithmetic.

use crate::{
    json,
    provider::{Capabilities, CompiledParams, Dialect, Operation},
    relay,
    request::{
        Request,
        contents::{self, CONFIG},
    },
    tokens,
};

mod exact;
mod images;
mod media;
mod units;

pub(crate) use media::{Media, PART};
pub use units::queries;

/// What chat templates put before all messages: a default system prompt, today's date, the beginning of the answer.
const PER_REQUEST: u64 = 256;
/// What they put around a message: role, separators, the channel. Llama 3 and `ChatML` need 5, gpt-oss up to 12.
const PER_MESSAGE: u64 = 16;
/// The instructions on how to call tools; Anthropic documents 290 to 530 tokens, Hermes' template has about 150.
const TOOL_PROMPT: u64 = 1024;
/// What they put around a tool beside its JSON.
const PER_TOOL: u64 = 64;
/// The window of a model of which none is known: the largest that is common.
const UNKNOWN_WINDOW: u64 = 1 << 20;
/// Output that a rate counts ahead where the client does not say how much it wants.
const ESTIMATED_OUTPUT: u64 = 1024;
/// Of a rate, the share that the output of one request is estimated at most: one part in so many.
const ESTIMATED_SHARE: u64 = 4;

/// What is known of a call beside the request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The route that was called.
    pub operation: Operation,
    /// The upstream's name of the model.
    pub model: &'a str,
    /// What the model can do.
    pub capabilities: &'a Capabilities,
    /// What the backend changes in requests; `None` = nothing.
    pub params: Option<&'a CompiledParams>,
}

/// How much output a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// So many tokens at most, all choices together.
    Asked(u64),
    /// The request does not say: as much as the model can, or as it is told.
    Absent,
}

/// Prompt tokens at most.
pub fn prompt_bound(request: &Request, call: Call<'_>) -> u64 {
    if call.operation.counts() {
        return 0;
    }
    if let Some(tokens) = units::prompt(request, call) {
        return within_window(request, call, tokens);
    }
    let media = request.media();
    let text = request.bytes().len() as u64;
    let text = text.saturating_sub(media.payload());
    let added = call.params.map_or(0, CompiledParams::added_bytes);
    within_window(request, call, text.saturating_add(added).saturating_add(beside_text(media, call)))
}

/// [`prompt_bound`], tighter: texts are counted by the model's tokenizer or the nearest there is, with room for what that
/// one may miss. Takes some 100 ns a byte at first, so it is for requests that matter.
pub fn prompt_exact(request: &Request, call: Call<'_>) -> u64 {
    if units::prompt(request, call).is_some() {
        return prompt_bound(request, call);
    }
    let media = request.media();
    let added = call.params.map_or(0, CompiledParams::added_bytes);
    let text = exact::text(call.model, request).saturating_add(added);
    let exact = within_window(request, call, text.saturating_add(beside_text(media, call)));
    exact.min(prompt_bound(request, call))
}

/// Output tokens at most.
pub fn output_bound(request: &Request, call: Call<'_>) -> Output {
    if let Some(tokens) = units::output(request, call) {
        return Output::Asked(tokens);
    }
    let asked = Asked::of(request, call);
    match asked.tokens {
        // More than the model can give is refused or cut off by the upstream.
        Some(tokens) => Output::Asked(asked.all(most_of_one(call).map_or(tokens, |most| tokens.min(most)))),
        None => Output::Absent,
    }
}

/// Output tokens of all choices together, as much as the model can give; `None` = that is not known.
pub fn most_output(request: &Request, call: Call<'_>) -> Option<u64> {
    if let Some(tokens) = units::output(request, call) {
        return Some(tokens);
    }
    Some(Asked::of(request, call).all(most_of_one(call)?))
}

/// How many answers are made and billed: `n` or `best_of`, for each of several prompts.
pub fn choices(request: &Request, call: Call<'_>) -> u64 {
    Asked::of(request, call).choices
}

/// What one choice may have at most, so that all of them stay within `output` together.
pub fn cap(request: &Request, call: Call<'_>, output: u64) -> u64 {
    let asked = Asked::of(request, call);
    output.saturating_sub(asked.predicted) / asked.choices.max(1)
}

/// Tokens that a rate of `limit` counts ahead; what was really used corrects it.
pub fn estimate(request: &Request, call: Call<'_>, limit: u64) -> u64 {
    if call.operation.counts() {
        return 0;
    }
    if let Some(usage) = relay::estimate(call.operation, request) {
        return usage.total();
    }
    let output = match output_bound(request, call) {
        Output::Asked(tokens) => tokens,
        Output::Absent => ESTIMATED_OUTPUT,
    };
    tokens::rough(request).saturating_add(output.min(limit / ESTIMATED_SHARE))
}

fn most_of_one(call: Call<'_>) -> Option<u64> {
    let Capabilities { max_output_tokens, context_window, .. } = *call.capabilities;
    max_output_tokens.or(context_window)
}

/// Everything but the texts.
fn beside_text(media: &Media, call: Call<'_>) -> u64 {
    let around = u64::from(media.messages).saturating_mul(PER_MESSAGE);
    let tools = match u64::from(media.tools) {
        0 => 0,
        tools => tools.saturating_mul(PER_TOOL).saturating_add(TOOL_PROMPT),
    };
    let images = u64::from(media.images).saturating_mul(images::dearest(call.model));
    [around, tools, images, media.heard()].into_iter().fold(PER_REQUEST, u64::saturating_add)
}

/// Upstreams refuse longer prompts, or cut them.
fn within_window(request: &Request, call: Call<'_>, tokens: u64) -> u64 {
    let media = request.media();
    let refers = media.refers || (media.blocks && call.operation.dialect() != Dialect::Anthropic);
    let window = call.capabilities.context_window;
    let prompts = match call.operation {
        Operation::Chat
        | Operation::Messages
        | Operation::CountTokens
        | Operation::Responses
        | Operation::GenerateContent
        | Operation::CountContent
        | Operation::ImageEdits
        | Operation::Speech
        | Operation::Transcriptions
        | Operation::Translations => 1,
        Operation::Completions => prompts(request),
        // A list of texts, each of which may fill the window.
        Operation::Embeddings | Operation::Moderations | Operation::Images if refers => {
            return tokens.max(window.unwrap_or(UNKNOWN_WINDOW));
        }
        Operation::Embeddings
        | Operation::Moderations
        | Operation::Images
        | Operation::Rerank
        | Operation::PassThrough => return tokens,
    };
    let most = window.map_or(u64::MAX, |window| window.saturating_mul(prompts));
    let tokens = if refers { tokens.max(window.unwrap_or(UNKNOWN_WINDOW)) } else { tokens };
    tokens.min(most)
}

/// How many prompts a completion has: of a list of texts or of lists of tokens, each is one.
fn prompts(request: &Request) -> u64 {
    let Some(list) = request.member("prompt").filter(|prompt| prompt.first() == Some(&b'[')) else {
        return 1;
    };
    let elements = json::elements(list).unwrap_or_default();
    let first = elements.first().and_then(|span| span.of(list).first());
    if matches!(first, Some(b'"' | b'[')) { (elements.len() as u64).max(1) } else { 1 }
}

/// What a request says of its output, after the backend's changes to it.
struct Asked {
    /// For one choice.
    tokens: Option<u64>,
    choices: u64,
    /// Of a predicted output, what is not used is billed as well.
    predicted: u64,
}

impl Asked {
    fn of(request: &Request, call: Call<'_>) -> Self {
        let mut edit = request.edit();
        if let Some(params) = call.params {
            params.apply(&mut edit);
        }
        let number = |name: &str| edit.value(name).and_then(json::as_count);
        let (tokens, each) = match call.operation {
            Operation::Messages | Operation::CountTokens => (number("max_tokens"), 1),
            Operation::Responses => (number("max_output_tokens"), 1),
            Operation::GenerateContent => {
                let config = CONFIG.iter().find_map(|name| edit.value(name));
                let asked = config.map(contents::asked).unwrap_or_default();
                // The backend's own wishes are in OpenAI's words, and stand behind the client's.
                let limit = number("max_tokens").max(number("max_completion_tokens"));
                (asked.limit.or(limit), asked.choices.or(number("n")).unwrap_or(1))
            }
            // Which of the two holds where both are given depends on the upstream.
            _ => {
                let each = number("n").max(number("best_of").filter(|_| call.operation == Operation::Completions));
                (number("max_tokens").max(number("max_completion_tokens")), each.unwrap_or(1))
            }
        };
        let prompts = if call.operation == Operation::Completions { prompts(request) } else { 1 };
        let predicted = edit.value("prediction").map_or(0, |prediction| prediction.len() as u64);
        Self { tokens, choices: each.max(1).saturating_mul(prompts), predicted }
    }

    fn all(&self, each: u64) -> u64 {
        each.saturating_mul(self.choices).saturating_add(self.predicted)
    }
}
