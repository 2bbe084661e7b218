//! Thought signatures of Google's models: a tool call without its own is refused by them, and most clients drop what they do
//! not know. So a signature also travels inside the call's id, which every client returns, and is taken out again here.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Chat, Content, ToolCall};

/// Stands between the id and the signature. LiteLLM uses the same, so conversations begun there go on here.
const IN_ID: &str = "__thought__";
/// Marks the signature of a thinking block as Google's: other providers refuse what they did not sign.
const OF_GOOGLE: &str = "google:";
/// Likewise OpenAI's reasoning, which nobody else can read.
pub(crate) const OF_OPENAI: &str = "openai:";

/// `{"google":{"thought_signature":...}}`: a call's `extra_content`, where Google's own endpoint of OpenAI's dialect has it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct ExtraContent<'a> {
    google: Option<Google<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Google<'a> {
    thought_signature: Option<Cow<'a, str>>,
}

impl<'a> ExtraContent<'a> {
    /// That of a call; `None` where it has no signature.
    pub(crate) fn of(call: &'a ToolCall) -> Option<Self> {
        let thought_signature = Some(Cow::Borrowed(call.signature.as_deref()?));
        Some(Self { google: Some(Google { thought_signature }) })
    }

    /// The signature, where it holds one.
    pub(crate) fn signature(self) -> Option<String> {
        self.google?.thought_signature.map(Cow::into_owned)
    }
}

/// An id that carries the signature, in letters that any provider takes in an id.
pub(crate) fn into_id(id: &str, signature: &str) -> String {
    let plain = signature.trim_end_matches('=').chars().map(|c| match c {
        '+' => '-',
        '/' => '_',
        c => c,
    });
    id.chars().chain(IN_ID.chars()).chain(plain).collect()
}

/// A call's id with its signature, for clients that have no other place for it.
pub(crate) fn id_of(call: &ToolCall) -> Cow<'_, str> {
    match &call.signature {
        Some(signature) if !call.id.contains(IN_ID) => Cow::Owned(into_id(&call.id, signature)),
        _ => Cow::Borrowed(&call.id),
    }
}

/// The id alone, and the signature in standard base64.
fn out_of_id(id: &str) -> Option<(&str, String)> {
    let (id, plain) = id.split_once(IN_ID)?;
    Some((id, standard(plain.trim_end_matches('='))))
}

/// base64 in the standard alphabet: ids have the one for URLs, which Google's own client writes as well.
pub(crate) fn standard(text: &str) -> String {
    let mut out: String = text
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    while !out.len().is_multiple_of(4) {
        out.push('=');
    }
    out
}

/// A signature for a thinking block that clients return.
pub(crate) fn marked(signature: &str) -> String {
    format!("{OF_GOOGLE}{signature}")
}

/// Google's own signature in a thinking block's; `None` = somebody else's.
pub(crate) fn of_google(signature: &str) -> Option<&str> {
    signature.strip_prefix(OF_GOOGLE)
}

impl Chat {
    /// For models that refuse what Google's and OpenAI's have signed.
    pub(crate) fn drop_foreign_signatures(&mut self) {
        for turn in &mut self.turns {
            turn.blocks.retain_mut(|block| match &mut block.content {
                Content::Thinking { signature, .. } => {
                    signature.take_if(|text| of_google(text).is_some() || text.starts_with(OF_OPENAI));
                    true
                }
                Content::RedactedThinking(data) => !data.starts_with(OF_OPENAI),
                _ => true,
            });
        }
    }

    /// Takes signatures out of the ids of calls and results.
    pub(crate) fn take_signatures(&mut self) {
        for block in self.turns.iter_mut().flat_map(|turn| &mut turn.blocks) {
            match &mut block.content {
                Content::ToolCall(call) => {
                    if let Some((id, signature)) = out_of_id(&call.id) {
                        let id = id.to_owned();
                        call.signature.get_or_insert(signature);
                        call.id = id;
                    }
                }
                Content::ToolResult { id, .. } => {
                    if let Some((plain, _)) = out_of_id(id) {
                        *id = plain.to_owned();
                    }
                }
                Content::Text(_)
                | Content::Image { .. }
                | Content::Document { .. }
                | Content::Audio(_)
                | Content::Thinking { .. }
                | Content::RedactedThinking(_)
                | Content::Refusal(_) => {}
            }
        }
    }
}

/// What goes where a call of a Gemini 3 model has no signature, because another model made it or a client lost it: by Google's
/// documentation the value that skips the check.
pub(crate) const SKIP: &str = "skip_thought_signature_validator";
