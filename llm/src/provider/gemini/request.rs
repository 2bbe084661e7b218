//! A chat as the body of `generateContent`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    Platform,
    family::Family,
    object::{self, Object},
    parts::{Part, Parts, Said},
    schema, tools,
};
use crate::{
    chat::{Block, Chat, Content, Format, Reasoning, Recall, Role, Sampling, Support, Tool, Turn},
    error::EncodeError,
    inbound::invalid,
    provider::Target,
};

/// Members of Google's own request, as its users know them and as they are sent.
const OWN: &[(&str, &str)] = &[
    ("safety_settings", "safetySettings"),
    ("safetySettings", "safetySettings"),
    ("cached_content", "cachedContent"),
    ("cachedContent", "cachedContent"),
    ("tool_config", "toolConfig"),
    ("toolConfig", "toolConfig"),
    ("system_instruction", "systemInstruction"),
    ("labels", "labels"),
];

/// Members of Google's `generationConfig`, likewise; LiteLLM's users send them at the top.
const CONFIG: &[(&str, &str)] = &[
    ("thinking_config", "thinkingConfig"),
    ("thinkingConfig", "thinkingConfig"),
    ("response_modalities", "responseModalities"),
    ("responseModalities", "responseModalities"),
    ("response_mime_type", "responseMimeType"),
    ("responseMimeType", "responseMimeType"),
    ("response_schema", "responseSchema"),
    ("responseSchema", "responseSchema"),
    ("response_json_schema", "responseJsonSchema"),
    ("responseJsonSchema", "responseJsonSchema"),
    ("media_resolution", "mediaResolution"),
    ("mediaResolution", "mediaResolution"),
    ("speech_config", "speechConfig"),
    ("speechConfig", "speechConfig"),
    ("image_config", "imageConfig"),
    ("imageConfig", "imageConfig"),
    ("audio_timestamp", "audioTimestamp"),
    ("audioTimestamp", "audioTimestamp"),
    ("topK", "topK"),
    ("topP", "topP"),
    ("top_k", "topK"),
    ("top_p", "topP"),
    ("stop_sequences", "stopSequences"),
    ("stopSequences", "stopSequences"),
];

/// What the gateway counts on, and therefore reads in one place only.
const COUNTED: &[(&str, &str)] = &[
    ("maxOutputTokens", "max_completion_tokens"),
    ("max_output_tokens", "max_completion_tokens"),
    ("candidateCount", "n"),
    ("candidate_count", "n"),
];

/// What stands in for JSON of no schema beside functions, where a model takes no format then.
const JSON_ONLY: &str = "Answer with a single JSON object and nothing else: no introduction, no code fence.";

/// Writes the body. `labels` are those of the request's metadata, where the platform takes any.
pub(super) fn write(
    mut chat: Chat,
    target: &Target<'_>,
    platform: Platform,
    labels: &[(Cow<'_, str>, Cow<'_, str>)],
) -> Result<(Vec<u8>, Recall), EncodeError> {
    let support = Support::new(platform.name(), target);
    let family = Family::of(target.model);
    let others = std::mem::take(&mut chat.others);
    if take(&mut chat, "web_search_options").is_some() {
        chat.tools.extend(tools::search());
    }
    let modalities = modalities(&mut chat)?;
    support.rest(&chat.demands)?;
    let functions = chat.tools.iter().any(|tool| matches!(tool, Tool::Function { .. }));
    if functions && !family.third && matches!(chat.format, Format::Json) {
        chat.format = Format::Text;
        chat.system.push(Content::Text(JSON_ONLY.to_owned()).into());
    }
    if !family.system || chat.turns.is_empty() {
        system_as_user(&mut chat);
    }

    let mut body = Object::default();
    let parts = Parts { chat: &chat, platform, family, support };
    let mut contents = parts.contents()?;
    if contents.is_empty() {
        // Without any it is refused, whatever else it says.
        contents.push(Said { role: Some("user"), parts: vec![Part::text(" ")] });
    }
    body.set("contents", &contents);
    let system = system(&chat.system);
    body.set_some("systemInstruction", system.as_ref());
    let mut recall = Recall::default();
    tools::put(&chat, family, support, &mut recall, &mut body)?;

    // Vertex AI has headers for it.
    body.set_some("serviceTier", chat.service_tier.filter(|_| platform == Platform::AiStudio).as_ref());
    let mut config = Object::default();
    sampling(&chat.sampling, family, support, &mut config)?;
    config.set_some("maxOutputTokens", chat.max_tokens.as_ref());
    if !tools::answers_by_call(&chat, family) {
        format(&chat.format, family, &mut config)?;
    }
    if let Some(reasoning) = chat.reasoning {
        let thinking = family.thinking.config(reasoning);
        support.lacks("reasoning_effort", thinking.is_none() && reasoning != Reasoning::Off)?;
        config.set_some("thinkingConfig", thinking.as_ref());
    }
    config.set_some("responseModalities", modalities.as_ref());
    config.set_some("mediaResolution", resolution(&chat.turns).as_ref());
    if !labels.is_empty() {
        body.set("labels", &Labels(labels));
    }
    own(others, &mut body, &mut config)?;
    if config.get("responseModalities").is_some_and(|modalities| modalities.to_ascii_uppercase().contains("\"AUDIO\""))
    {
        return Err(invalid("responseModalities", &"audio cannot be handed on; ask for TEXT or IMAGE"));
    }
    if !config.is_empty() {
        body.set("generationConfig", &config);
    }
    Ok((body.write(), recall))
}

struct Labels<'a>(&'a [(Cow<'a, str>, Cow<'a, str>)]);

impl Serialize for Labels<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn take(chat: &mut Chat, name: &str) -> Option<Box<RawValue>> {
    let at = chat.demands.iter().position(|(demand, _)| *demand == name)?;
    Some(chat.demands.remove(at).1)
}

/// Texts and images; what else is asked for stays a demand, and is refused.
fn modalities(chat: &mut Chat) -> Result<Option<Vec<&'static str>>, EncodeError> {
    const PARAM: &str = "modalities";
    let Some(raw) = take(chat, PARAM) else { return Ok(None) };
    let asked: Vec<String> = crate::inbound::value(PARAM, raw.get().as_bytes())?;
    let known = |name: &String| match name.as_str() {
        "text" => Some("TEXT"),
        "image" => Some("IMAGE"),
        _ => None,
    };
    let all: Option<Vec<&'static str>> = asked.iter().map(known).collect();
    if all.is_none() {
        chat.demands.push((PARAM, raw));
    }
    Ok(all)
}

/// For models without a system instruction, and for conversations that hold nothing else: without contents nothing is answered.
fn system_as_user(chat: &mut Chat) {
    let blocks = std::mem::take(&mut chat.system);
    if !blocks.is_empty() {
        chat.turns.insert(0, Turn { role: Role::User, name: None, blocks });
    }
}

fn system(blocks: &[Block]) -> Option<Said<'_>> {
    let texts = blocks.iter().filter_map(|block| match &block.content {
        Content::Text(text) if !text.is_empty() => Some(Part::text(text)),
        _ => None,
    });
    let parts: Vec<_> = texts.collect();
    (!parts.is_empty()).then_some(Said { role: None, parts })
}

fn sampling(sampling: &Sampling, family: Family, support: Support<'_>, config: &mut Object) -> Result<(), EncodeError> {
    let is_set =
        |number: &Option<serde_json::Number>| number.as_ref().is_some_and(|number| number.as_f64() != Some(0.0));
    config.set_some("temperature", sampling.temperature.as_ref());
    config.set_some("topP", sampling.top_p.as_ref());
    config.set_some("topK", sampling.top_k.as_ref());
    if family.penalties {
        config.set_some("frequencyPenalty", sampling.frequency_penalty.as_ref());
        config.set_some("presencePenalty", sampling.presence_penalty.as_ref());
    } else {
        support.lacks("frequency_penalty", is_set(&sampling.frequency_penalty))?;
        support.lacks("presence_penalty", is_set(&sampling.presence_penalty))?;
    }
    config.set_some("seed", sampling.seed.as_ref());
    if !sampling.stop.is_empty() {
        config.set("stopSequences", &sampling.stop);
    }
    config.set_some("candidateCount", sampling.n.filter(|n| *n != 1).as_ref());
    if sampling.logprobs {
        config.set("responseLogprobs", &true);
        config.set_some("logprobs", sampling.top_logprobs.filter(|top| *top > 0).as_ref());
    }
    Ok(())
}

fn format(format: &Format, family: Family, config: &mut Object) -> Result<(), EncodeError> {
    let Format::Schema { schema, .. } = format else {
        if matches!(format, Format::Json) {
            config.set("responseMimeType", &"application/json");
        }
        return Ok(());
    };
    config.set("responseMimeType", &"application/json");
    if family.json_schema {
        config.put("responseJsonSchema", schema.clone());
    } else {
        let cleaned = schema::cleaned(schema).map_err(|why| invalid("response_format", &why))?;
        config.set("responseSchema", &cleaned.ordered());
    }
    Ok(())
}

/// OpenAI's `detail` is said of each image, Google's resolution of all: low only where all are.
fn resolution(turns: &[Turn]) -> Option<&'static str> {
    let mut low = false;
    let mut other = false;
    for block in turns.iter().flat_map(|turn| &turn.blocks) {
        let Content::Image { detail, .. } = &block.content else { continue };
        match detail.as_deref() {
            Some("high") => return Some("MEDIA_RESOLUTION_HIGH"),
            Some("low") => low = true,
            _ => other = true,
        }
    }
    (low && !other).then_some("MEDIA_RESOLUTION_LOW")
}

/// Members in Google's own words: they stand over what was said in the client's dialect.
fn own(others: Vec<(String, Box<RawValue>)>, body: &mut Object, config: &mut Object) -> Result<(), EncodeError> {
    for (name, value) in others {
        if let Some((_, instead)) = COUNTED.iter().find(|(known, _)| *known == name) {
            return Err(invalid(&name, &format_args!("say it as '{instead}'")));
        }
        let known = |table: &'static [(&str, &'static str)]| {
            table.iter().find(|(known, _)| *known == name).map(|(_, sent)| *sent)
        };
        if let Some(sent) = known(CONFIG) {
            config.put(sent, value);
        } else if let Some(sent) = known(OWN) {
            body.put(sent, value);
        } else if matches!(name.as_str(), "generationConfig" | "generation_config") {
            // Whatever is in it belongs there.
            let mut inner = Object::default();
            own(owned(&value), &mut inner, config)?;
            config.take_in(inner);
        } else if matches!(name.as_str(), "google" | "extra_body") {
            // Where users of Google's own endpoint of OpenAI's dialect put them.
            own(owned(&value), body, config)?;
        } else {
            body.put(name, value);
        }
    }
    Ok(())
}

fn owned(object: &RawValue) -> Vec<(String, Box<RawValue>)> {
    object::members(object).into_iter().map(|(name, value)| (name.into_owned(), value.to_owned())).collect()
}
