//! Embeddings of OpenAI's dialect, for upstreams that have their own.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{invalid, value};
use crate::{
    embeddings::convert,
    error::{EncodeError, UpstreamError},
    json,
    provider::{Decoded, Shown},
    splice::Splices,
    usage::Usage,
};

/// An embeddings request.
#[derive(Debug, Default)]
pub(crate) struct Embed {
    /// Texts, in order.
    pub(crate) inputs: Vec<String>,
    /// Numbers in a vector.
    pub(crate) dimensions: Option<u64>,
    /// Members that are not OpenAI's, for the upstream.
    pub(crate) others: Vec<(String, Box<RawValue>)>,
}

impl Embed {
    pub(super) fn read<'a>(members: impl Iterator<Item = (Cow<'a, str>, &'a [u8])>) -> Result<Self, EncodeError> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "it must be a string or an array of strings (token ids are OpenAI's own)")]
        enum Input {
            One(String),
            Many(Vec<String>),
        }
        let mut embed = Self::default();
        for (name, text) in members {
            match name.as_ref() {
                _ if text == b"null" => {}
                "input" => {
                    embed.inputs = match value("input", text)? {
                        Input::One(only) => vec![only],
                        Input::Many(all) => all,
                    }
                }
                "dimensions" => embed.dimensions = Some(value("dimensions", text)?),
                "model" | "user" | "metadata" | "encoding_format" => {}
                name => embed.others.push((name.to_owned(), value(name, text)?)),
            }
        }
        if embed.inputs.is_empty() {
            return Err(invalid("input", &"it must hold at least one text"));
        }
        Ok(embed)
    }
}

/// An upstream's vectors.
#[derive(Debug)]
pub(crate) struct Vectors {
    /// Each a JSON array of numbers, in the order of the inputs.
    pub(crate) vectors: Vec<Box<RawValue>>,
    /// `None` = the upstream said nothing.
    pub(crate) usage: Option<Usage>,
}

impl Vectors {
    /// As the client is to see them.
    ///
    /// # Errors
    /// The upstream's fault: something in a vector that is no number.
    pub(crate) fn write(&self, shown: &Shown) -> Result<Decoded, UpstreamError> {
        let mut data = Vec::from(*b"[");
        for (index, vector) in self.vectors.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let element =
                format!("{separator}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":{}}}", vector.get());
            data.extend_from_slice(element.as_bytes());
        }
        data.push(b']');
        let data = convert(&data, shown.base64_embeddings)?.unwrap_or_else(|| Bytes::from(data));
        let usage = self.usage.unwrap_or_default();
        let head = Bytes::from_static(b"{\"object\":\"list\",\"data\":");
        let mut tail = Vec::from(*b",\"model\":");
        tail.extend_from_slice(&json::quoted(&shown.model));
        tail.extend_from_slice(
            format!(",\"usage\":{{\"prompt_tokens\":{0},\"total_tokens\":{0}}}}}", usage.prompt).as_bytes(),
        );
        Ok(Decoded { body: Splices::from_iter([head, data, Bytes::from(tail)]), usage: self.usage })
    }
}
