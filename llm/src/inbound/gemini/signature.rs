//! `thoughtSignature`, which clients hand back as it came: Google's own as they are, those of others marked as theirs.
//!
//! The field holds base64, and clients decode it, so what others sign is encoded once more.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::chat::signature::{marked, of_google, standard};

/// Begins what is not Google's. Its length is a multiple of three, so that base64 of it is always the same.
const MARK: &str = "turnpike:";
/// [`MARK`] in base64.
pub(crate) const ENCODED_MARK: &str = "dHVybnBpa2U6";
/// Behind the mark of thoughts that only their provider can read.
const REDACTED: char = '-';
/// Behind the mark of a signature.
const SIGNED: char = '+';

/// Clients leave out padding as they like.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a client handed back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// As the neutral form has it.
    Signed(String),
    /// Thoughts that only their provider can read.
    Redacted(String),
}

/// Of a thought, for the client.
pub(super) fn shown(signature: &str) -> String {
    of_google(signature).map_or_else(|| encoded(SIGNED, signature), str::to_owned)
}

/// Of redacted thoughts, for the client.
pub(super) fn redacted(data: &str) -> String {
    encoded(REDACTED, data)
}

fn encoded(kind: char, text: &str) -> String {
    ENGINE.encode(format!("{MARK}{kind}{text}"))
}

/// Reads what a client handed back.
pub(super) fn read(text: &str) -> Signature {
    let text = standard(text);
    let decoded = ENGINE.decode(&text).ok().filter(|_| text.starts_with(ENCODED_MARK));
    let own = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    match own.as_deref().and_then(|own| own.strip_prefix(MARK)) {
        Some(rest) if rest.starts_with(REDACTED) => Signature::Redacted(rest.split_at(1).1.to_owned()),
        Some(rest) if rest.starts_with(SIGNED) => Signature::Signed(rest.split_at(1).1.to_owned()),
        _ => Signature::Signed(marked(&text)),
    }
}

/// The bytes of base64 in any alphabet.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    ENGINE.decode(standard(text)).ok()
}
