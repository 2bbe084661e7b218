//! AWS event-stream messages (`application/vnd.amazon.eventstream`) out of frames cut anywhere.
//!
//! ```text
//!  total length u32 │ headers' length u32 │ CRC-32 of these 8 bytes │ headers │ payload │ CRC-32 of all before it
//!  header: name length u8 │ name │ type u8 │ value (type 7, a string: length u16 │ bytes)
//! ```
//! Numbers are big-endian. A prelude is checked as soon as it is there, so that a length which cannot be is never waited for.

use bytes::{Buf, Bytes, BytesMut};

/// Largest message accepted.
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// Lengths and their sum.
const PRELUDE: usize = 12;
/// The sum at the end of a message.
const SUM: usize = 4;

/// Bytes that are no such message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Larger than this decoder takes.
    #[error("a message of the stream is larger than {MAX_MESSAGE_BYTES} bytes")]
    TooLarge,
    /// Lengths that contradict each other.
    #[error("a message of the stream has lengths that cannot be")]
    Length,
    /// A sum that does not fit what it sums up.
    #[error("a message of the stream fails its checksum")]
    Checksum,
    /// Headers that cannot be read.
    #[error("a message of the stream has headers that cannot be read")]
    Headers,
}

/// `:message-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What the operation is about.
    Event,
    /// A failure that the service describes; nothing follows.
    Exception,
    /// A failure that it does not describe.
    Error,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// `:event-type`, `:exception-type` or `:error-code`.
    pub name: String,
    /// JSON in this crate's use; of an error its `:error-message` as text.
    pub payload: Bytes,
}

/// Cuts frames into messages. Feed a frame, then take messages until there is none.
#[derive(Debug, Default)]
pub struct Messages {
    buffer: BytesMut,
}

impl Messages {
    /// Hands in the next frame.
    pub fn feed(&mut self, frame: &[u8]) {
        self.buffer.extend_from_slice(frame);
    }

    /// The next complete message, in order; `None` = the next frame is needed.
    ///
    /// # Errors
    /// It cannot be read. Nothing more can be read then.
    pub fn next_message(&mut self) -> Result<Option<Message>, Malformed> {
        let Some((prelude, _)) = self.buffer.split_first_chunk::<PRELUDE>() else {
            return Ok(None);
        };
        let mut fields = prelude.as_slice();
        let (total, headers, sum) = (fields.get_u32(), fields.get_u32(), fields.get_u32());
        if crc32fast::hash(prelude.get(..8).unwrap_or_default()) != sum {
            return Err(Malformed::Checksum);
        }
        let (total, headers) = (size(total)?, size(headers)?);
        if total < PRELUDE + headers + SUM {
            return Err(Malformed::Length);
        }
        if self.buffer.len() < total {
            return Ok(None);
        }
        let mut message = self.buffer.split_to(total).freeze();
        let mut sum = message.split_off(total - SUM);
        if crc32fast::hash(&message) != sum.get_u32() {
            return Err(Malformed::Checksum);
        }
        message.advance(PRELUDE);
        let headers = message.split_to(headers);
        read(&headers, message).map(Some).ok_or(Malformed::Headers)
    }
}

fn size(length: u32) -> Result<usize, Malformed> {
    usize::try_from(length).ok().filter(|length| *length <= MAX_MESSAGE_BYTES).ok_or(Malformed::TooLarge)
}

fn read(headers: &[u8], payload: Bytes) -> Option<Message> {
    let (mut kind, mut event, mut exception, mut code, mut message) = (None, None, None, None, None);
    let mut rest = headers;
    while !rest.is_empty() {
        let (name, value) = header(&mut rest)?;
        match name {
            b":message-type" => kind = value,
            b":event-type" => event = value,
            b":exception-type" => exception = value,
            b":error-code" => code = value,
            b":error-message" => message = value,
            _ => {}
        }
    }
    let (kind, name, payload) = match kind? {
        b"event" => (Kind::Event, event?, payload),
        b"exception" => (Kind::Exception, exception?, payload),
        b"error" => (Kind::Error, code?, Bytes::copy_from_slice(message.unwrap_or_default())),
        _ => return None,
    };
    Some(Message { kind, name: str::from_utf8(name).ok()?.to_owned(), payload })
}

/// The next header's name, and its value if that is a string.
fn header<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let length = rest.split_off_first()?;
    let name = rest.split_off(..usize::from(*length))?;
    let kind = rest.split_off_first()?;
    let length = match kind {
        // true, false
        0 | 1 => 0,
        // byte, short, integer, long or timestamp, UUID
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        // bytes, string
        6 | 7 => usize::from(u16::from_be_bytes(*rest.split_off(..2)?.as_array()?)),
        _ => return None,
    };
    let value = rest.split_off(..length)?;
    Some((name, (*kind == 7).then_some(value)))
}
