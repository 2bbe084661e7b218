//! `generationConfig`.

use serde::Deserialize;
use serde_json::{Number, value::RawValue};

use super::{schema, tools::raw_of};
use crate::{
    chat::{Chat, Effort, Format, Reasoning},
    error::EncodeError,
    inbound::{invalid, value},
    json,
};

/// Settings that change nothing in what is answered, or mean something to Google alone.
const HINTS: &[&str] = &[
    "mediaResolution",
    "media_resolution",
    "audioTimestamp",
    "audio_timestamp",
    "enableEnhancedCivicAnswers",
    "enable_enhanced_civic_answers",
    "routingConfig",
    "routing_config",
    "modelSelectionConfig",
    "model_selection_config",
];

/// What is to come, in two members.
#[derive(Default)]
struct Wanted {
    mime: Option<String>,
    schema: Option<Box<RawValue>>,
}

/// Reads the settings; they stand over what the backend's own wishes have put into `chat`.
pub(super) fn read(text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    let members = json::scan(text).map_err(|error| invalid("generationConfig", &error))?;
    let mut wanted = Wanted::default();
    for member in &members {
        let (name, inner) = (member.name(text), member.value.of(text));
        if inner == b"null" || HINTS.contains(&name.as_ref()) {
            continue;
        }
        let param = format!("generationConfig.{name}");
        if !sampling(&name, &param, inner, chat)? && !shape(&name, &param, inner, chat, &mut wanted)? {
            return Err(invalid(&param, &"only Google's own models have this setting"));
        }
    }
    wanted.put(chat)
}

fn sampling(name: &str, param: &str, text: &[u8], chat: &mut Chat) -> Result<bool, EncodeError> {
    let sampling = &mut chat.sampling;
    match name {
        "temperature" => sampling.temperature = Some(number(param, text)?),
        "topP" | "top_p" => sampling.top_p = Some(number(param, text)?),
        "topK" | "top_k" => sampling.top_k = Some(number(param, text)?),
        "seed" => sampling.seed = Some(number(param, text)?),
        "presencePenalty" | "presence_penalty" => sampling.presence_penalty = Some(number(param, text)?),
        "frequencyPenalty" | "frequency_penalty" => sampling.frequency_penalty = Some(number(param, text)?),
        "stopSequences" | "stop_sequences" => sampling.stop = value(param, text)?,
        "candidateCount" | "candidate_count" => sampling.n = Some(count(param, text)?),
        "maxOutputTokens" | "max_output_tokens" => chat.max_tokens = Some(count(param, text)?),
        "responseLogprobs" | "response_logprobs" => sampling.logprobs = value(param, text)?,
        "logprobs" => sampling.top_logprobs = Some(count(param, text)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn shape(name: &str, param: &str, text: &[u8], chat: &mut Chat, wanted: &mut Wanted) -> Result<bool, EncodeError> {
    match name {
        "responseMimeType" | "response_mime_type" => wanted.mime = Some(value(param, text)?),
        "responseSchema" | "response_schema" => wanted.schema = raw_of(schema::plain(text)),
        "responseJsonSchema" | "response_json_schema" | "_responseJsonSchema" => {
            wanted.schema = Some(value(param, text)?);
        }
        "thinkingConfig" | "thinking_config" => {
            if let Some(reasoning) = thinking(param, text)? {
                chat.reasoning = Some(reasoning);
            }
        }
        "responseModalities" | "response_modalities" => modalities(param, text, chat)?,
        "speechConfig" | "speech_config" => chat.demands.push(("generationConfig.speechConfig", value(param, text)?)),
        "imageConfig" | "image_config" => chat.demands.push(("generationConfig.imageConfig", value(param, text)?)),
        _ => return Ok(false),
    }
    Ok(true)
}

impl Wanted {
    fn put(self, chat: &mut Chat) -> Result<(), EncodeError> {
        let Self { mime, schema } = self;
        match (mime.as_deref(), schema) {
            (None | Some("application/json"), Some(schema)) => {
                chat.format = Format::Schema { name: "answer".to_owned(), description: None, schema, strict: None };
            }
            (Some("application/json"), None) => chat.format = Format::Json,
            (None | Some("text/plain" | ""), _) => {}
            (Some(_), _) => {
                let param = "generationConfig.responseMimeType";
                return Err(invalid(param, &"it must be text/plain or application/json for this model"));
            }
        }
        Ok(())
    }
}

/// Google's client writes whole numbers with a fraction of zero, which others refuse.
fn number(param: &str, text: &[u8]) -> Result<Number, EncodeError> {
    let number: Number = value(param, text)?;
    let whole = std::str::from_utf8(text).ok().and_then(|text| text.strip_suffix(".0")?.parse::<i64>().ok());
    Ok(whole.map_or(number, Number::from))
}

/// Google takes numbers in quotes too.
fn count(param: &str, text: &[u8]) -> Result<u64, EncodeError> {
    let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
    value(param, text)
}

fn thinking(param: &str, text: &[u8]) -> Result<Option<Reasoning>, EncodeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Wire {
        #[serde(alias = "thinking_budget")]
        thinking_budget: Option<i64>,
        #[serde(alias = "thinking_level")]
        thinking_level: Option<String>,
    }
    let Wire { thinking_budget, thinking_level } = value(param, text)?;
    if let Some(level) = thinking_level.filter(|level| level != "THINKING_LEVEL_UNSPECIFIED") {
        let effort = Effort::of(&level.to_ascii_lowercase());
        let why = "its thinkingLevel must be MINIMAL, LOW, MEDIUM or HIGH";
        return effort.map(Reasoning::Effort).map(Some).ok_or_else(|| invalid(param, &why));
    }
    Ok(thinking_budget.map(|budget| match u64::try_from(budget) {
        Ok(0) => Reasoning::Off,
        Ok(budget) => Reasoning::Budget(budget),
        Err(_) => Reasoning::Adaptive,
    }))
}

/// Text is what there is anyway.
fn modalities(param: &str, text: &[u8], chat: &mut Chat) -> Result<(), EncodeError> {
    let asked: Vec<String> = value(param, text)?;
    let asked: Vec<String> = asked.into_iter().map(|asked| asked.to_ascii_lowercase()).collect();
    if asked.iter().any(|asked| asked != "text") {
        let raw = serde_json::value::to_raw_value(&asked).unwrap_or_default();
        chat.demands.push(("modalities", raw));
    }
    Ok(())
}

/// Whether thoughts are to be shown.
pub(super) fn shows_thoughts(config: &[u8]) -> bool {
    let inner = |text: &[u8], names: [&str; 2]| {
        let members = json::scan(text).ok()?;
        names.iter().find_map(|name| json::member(text, &members, name)).map(<[u8]>::to_vec)
    };
    let thinking = inner(config, ["thinkingConfig", "thinking_config"]);
    let shown = thinking.and_then(|thinking| inner(&thinking, ["includeThoughts", "include_thoughts"]));
    shown.as_deref() == Some(b"true")
}
