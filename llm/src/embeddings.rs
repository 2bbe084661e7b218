//! Embeddings from floats to base64 and back: SDKs ask for base64 whatever the application wants, and not every
//! server has it.
//!
//! base64 holds little-endian `f32`. Decimal numbers are rounded to the nearest `f32`, and an `f32` is written with the
//! fewest digits that read back as the same `f32`, so both ways and back again lose nothing that base64 could hold.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;

use crate::{
    error::UpstreamError,
    json::{self, Span},
    response::bad_answer,
};

/// Rewrites the `data` array of an embeddings answer so that each `embedding` has the encoding asked for; the rest of
/// it stays as it is. `None` = it has that encoding already.
///
/// # Errors
/// A vector that cannot be read: invalid base64, or numbers that are not finite.
pub(crate) fn convert(data: &[u8], to_base64: bool) -> Result<Option<Bytes>, UpstreamError> {
    if !differs(data, to_base64) {
        return Ok(None);
    }
    let mut out = Vec::new();
    let mut copied = 0;
    for element in json::elements(data).map_err(|error| bad_answer(&error))? {
        let Some(at) = embedding(data, element) else {
            continue;
        };
        let value = at.of(data);
        let start = out.len();
        // What lies between the last vector and this one goes first; taken back if this one needs no change.
        out.extend_from_slice(Span { start: copied, end: at.start }.of(data));
        let changed = match value.first() {
            Some(b'[') if to_base64 => write_base64(value, &mut out)?,
            Some(b'"') if !to_base64 => write_floats(value, &mut out)?,
            _ => false,
        };
        if changed {
            copied = at.end;
        } else {
            out.truncate(start);
        }
    }
    if copied == 0 {
        return Ok(None);
    }
    out.extend_from_slice(data.get(copied..).unwrap_or_default());
    Ok(Some(out.into()))
}

/// Whether the first vector has the other encoding: a server uses one for all, and most answers need no second look.
fn differs(data: &[u8], to_base64: bool) -> bool {
    const KEY: &[u8] = b"\"embedding\"";
    memchr::memmem::find_iter(data, KEY)
        .find_map(|at| {
            // It may also be the value of `object`.
            let after = data.get(at + KEY.len()..)?.trim_ascii_start().strip_prefix(b":")?;
            match after.trim_ascii_start().first()? {
                b'[' => Some(to_base64),
                b'"' => Some(!to_base64),
                _ => None,
            }
        })
        .unwrap_or(false)
}

/// Where the vector of one element lies.
fn embedding(data: &[u8], element: Span) -> Option<Span> {
    let text = element.of(data);
    let members = json::scan(text).ok()?;
    let member = members.iter().rev().find(|member| member.is("embedding", text))?;
    Some(Span { start: element.start + member.value.start, end: element.start + member.value.end })
}

/// False, with nothing written, for an array of something other than numbers: then it is not ours to change.
fn write_base64(array: &[u8], out: &mut Vec<u8>) -> Result<bool, UpstreamError> {
    let inside = array.get(1..array.len().saturating_sub(1)).unwrap_or_default();
    let mut vector = Vec::with_capacity(inside.len() / 2);
    for number in inside.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        match number.first() {
            Some(b'-' | b'0'..=b'9') => {}
            None => break,
            Some(_) => return Ok(false),
        }
        let parsed = std::str::from_utf8(number).ok().and_then(|text| text.parse::<f32>().ok());
        let value = parsed.filter(|value| value.is_finite()).ok_or_else(not_finite)?;
        vector.extend_from_slice(&value.to_le_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(STANDARD.encode(&vector).as_bytes());
    out.push(b'"');
    Ok(true)
}

fn write_floats(string: &[u8], out: &mut Vec<u8>) -> Result<bool, UpstreamError> {
    let text = json::as_str(string).unwrap_or_default();
    let vector = STANDARD.decode(text.as_bytes()).map_err(|_| bad_answer(&"an embedding is not valid base64"))?;
    let (values, []) = vector.as_chunks::<4>() else {
        return Err(bad_answer(&"an embedding's base64 does not hold whole 32-bit floats"));
    };
    out.push(b'[');
    for (at, bytes) in values.iter().enumerate() {
        let value = f32::from_le_bytes(*bytes);
        if !value.is_finite() {
            return Err(not_finite());
        }
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &value).map_err(|error| bad_answer(&error))?;
    }
    out.push(b']');
    Ok(true)
}

#[cold]
fn not_finite() -> UpstreamError {
    bad_answer(&"an embedding holds a number that is not a finite 32-bit float")
}
