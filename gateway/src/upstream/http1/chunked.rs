//! The chunked transfer coding (RFC 9112, section 7.1), decoded from a buffer as far as it goes.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

/// Longest chunk-size line with extensions, and longest trailer section.
const MAX_LINE: usize = 8 * 1024;
/// Bytes of CRLF.
const LINE_END: usize = 2;

/// Where in the coding the reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Before a chunk's size.
    #[default]
    Size,
    /// In a chunk's data: bytes left.
    Data(u64),
    /// Before the line end that closes a chunk.
    End,
    /// In the trailer section: bytes of it so far.
    Trailer(usize),
    /// After the last line.
    Over,
}

impl Chunked {
    /// The whole body was read.
    pub(super) fn is_over(self) -> bool {
        self == Self::Over
    }

    /// Takes all data that the buffer holds: one chunk's as a slice of it, several chunks' joined.
    ///
    /// # Errors
    /// Not this coding.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> io::Result<Bytes> {
        let mut first = Bytes::new();
        let mut joined = BytesMut::new();
        while let Some(data) = self.next(buffer)? {
            if first.is_empty() && joined.is_empty() {
                first = data;
                continue;
            }
            if joined.is_empty() {
                joined.reserve(first.len() + data.len() + buffer.len());
                joined.extend_from_slice(&std::mem::take(&mut first));
            }
            joined.extend_from_slice(&data);
        }
        Ok(if joined.is_empty() { first } else { joined.freeze() })
    }

    /// The next piece of data; `None` = the buffer holds no more.
    fn next(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
        loop {
            match *self {
                Self::Size => {
                    let Some(line) = line(buffer)? else { return Ok(None) };
                    let (size, length) = (size(line)?, line.len());
                    buffer.advance(length + LINE_END);
                    *self = if size == 0 { Self::Trailer(0) } else { Self::Data(size) };
                }
                Self::Data(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                    if most == 0 {
                        return Ok(None);
                    }
                    let left = left - most as u64;
                    *self = if left == 0 { Self::End } else { Self::Data(left) };
                    return Ok(Some(buffer.split_to(most).freeze()));
                }
                Self::End => {
                    let Some(line) = line(buffer)? else { return Ok(None) };
                    if !line.is_empty() {
                        return Err(broken("a chunk is longer than its size"));
                    }
                    buffer.advance(LINE_END);
                    *self = Self::Size;
                }
                Self::Trailer(so_far) => {
                    let Some(line) = line(buffer)? else { return Ok(None) };
                    let length = line.len();
                    if so_far + length > MAX_LINE {
                        return Err(broken("the trailer section is too long"));
                    }
                    buffer.advance(length + LINE_END);
                    *self = if length == 0 { Self::Over } else { Self::Trailer(so_far + length) };
                }
                Self::Over => return Ok(None),
            }
        }
    }
}

/// The next line without its end, still in the buffer.
fn line(buffer: &[u8]) -> io::Result<Option<&[u8]>> {
    let Some(end) = memchr::memchr(b'\n', buffer) else {
        return if buffer.len() > MAX_LINE { Err(broken("a line is too long")) } else { Ok(None) };
    };
    match buffer.get(..end) {
        Some([line @ .., b'\r']) => Ok(Some(line)),
        _ => Err(broken("a line does not end in CRLF")),
    }
}

/// A chunk's size; extensions are ignored, as RFC 9112 asks.
fn size(line: &[u8]) -> io::Result<u64> {
    let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next().unwrap_or_default();
    // Sixteen digits fill 64 bits.
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(broken("a chunk's size is no number"));
    }
    let text = std::str::from_utf8(digits).map_err(|_| broken("a chunk's size is no number"))?;
    u64::from_str_radix(text, 16).map_err(|_| broken("a chunk's size is no number"))
}

fn broken(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
#[expect(clippy::expect_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;

    /// Feeds the pieces; gives the data, and whether the body ended.
    fn decode(pieces: &[&[u8]]) -> io::Result<(Vec<u8>, Chunked, usize)> {
        let (mut state, mut buffer, mut out) = (Chunked::default(), BytesMut::new(), Vec::new());
        for piece in pieces {
            buffer.extend_from_slice(piece);
            out.extend_from_slice(&state.take(&mut buffer)?);
        }
        Ok((out, state, buffer.len()))
    }

    const BODY: &[u8] = b"5\r\nhello\r\n1;name=\"v\"\r\n \r\n00b\r\nfine\r\nworld\r\n0\r\nx-trailer: 1\r\n\r\n";

    #[test]
    fn cuts_make_no_difference() {
        for first in 0..=BODY.len() {
            for second in first..=BODY.len() {
                let pieces = [&BODY[..first], &BODY[first..second], &BODY[second..]];
                let decoded = decode(&pieces).expect("valid");
                assert_eq!(decoded, (b"hello fine\r\nworld".to_vec(), Chunked::Over, 0), "cut at {first} and {second}");
            }
        }
    }

    #[test]
    fn a_cut_body_is_not_over_and_what_follows_stays() {
        for end in 0..BODY.len() {
            assert!(!decode(&[&BODY[..end]]).expect("valid").1.is_over(), "ended at {end}");
        }
        let (_, state, left) = decode(&[b"0\r\n\r\nHTTP/1.1"]).expect("valid");
        assert_eq!((state, left), (Chunked::Over, 8));
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        let endless = [b'1'; MAX_LINE + 2];
        let bad: [&[u8]; 9] = [
            b"\r\n",
            b"x\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"11111111111111111\r\n",
            b"1\r\nab\r\n",
            b"1\na\n",
            b"1 \n",
            &endless,
        ];
        for body in bad {
            assert!(decode(&[body]).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
    }
}
