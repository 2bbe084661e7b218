//! AWS event-stream messages: what is read, what is refused, and when.

use bytes::Bytes;
use proptest::prelude::*;
use turnpike_llm::eventstream::{Kind, MAX_MESSAGE_BYTES, Malformed, Message, Messages};

/// A message with headers of every type, written by another implementation and read by AWS's own.
const RECORDED: &[&str] = &[
    "000000f3000000b648b4e35d0379657300026e6f01046279746502ff0573686f727403010203696e740400000005046c6f6e670500000000",
    "0000000905627974657306000200010474696d65080000018c00000000047575696409000102030405060708090a0b0c0d0e0f0b3a657665",
    "6e742d74797065070011636f6e74656e74426c6f636b44656c74610d3a636f6e74656e742d747970650700106170706c69636174696f6e2f",
    "6a736f6e0d3a6d6573736167652d747970650700056576656e747b22636f6e74656e74426c6f636b496e646578223a302c2264656c746122",
    "3a7b2274657874223a22c3a6227d7d811edb0b",
];

fn recorded() -> Vec<u8> {
    let hex = RECORDED.concat();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn expected() -> Message {
    Message {
        kind: Kind::Event,
        name: "contentBlockDelta".to_owned(),
        payload: Bytes::from("{\"contentBlockIndex\":0,\"delta\":{\"text\":\"\u{e6}\"}}"),
    }
}

/// All messages, and how it ended.
fn read<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Result<(), Malformed>) {
    let mut messages = Messages::default();
    let mut out = Vec::new();
    for frame in frames {
        messages.feed(frame);
        loop {
            match messages.next_message() {
                Ok(Some(message)) => out.push(message),
                Ok(None) => break,
                Err(error) => return (out, Err(error)),
            }
        }
    }
    (out, Ok(()))
}

/// Headers and payload with the sums that they need.
fn message(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    prelude(headers.len() + payload.len() + 16, headers.len(), |out| {
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        out.extend_from_slice(&crc32fast::hash(out).to_be_bytes());
    })
}

fn prelude(total: usize, headers: usize, rest: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = u32::try_from(total).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(&u32::try_from(headers).unwrap().to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    rest(&mut out);
    out
}

#[test]
fn messages_cut_anywhere_are_read() {
    let two = [recorded(), recorded()].concat();
    let whole = (vec![expected(), expected()], Ok(()));
    assert_eq!(read([&two[..]]), whole);
    assert_eq!(read(two.chunks(1)), whole);
    for at in 0..two.len() {
        assert_eq!(read([&two[..at], &two[at..]]), whole, "cut at {at}");
    }
}

#[test]
fn what_changed_on_the_way_is_noticed() {
    let good = recorded();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        assert_eq!(read([&bad[..]]), (vec![], Err(Malformed::Checksum)), "byte {at}");
    }
}

#[test]
fn a_length_that_cannot_be_is_not_waited_for() {
    let nothing = |_: &mut Vec<u8>| {};
    for (total, headers, why) in [
        (MAX_MESSAGE_BYTES + 1, 0, Malformed::TooLarge),
        (16, MAX_MESSAGE_BYTES + 1, Malformed::TooLarge),
        (15, 0, Malformed::Length),
        (0, 0, Malformed::Length),
        (100, 85, Malformed::Length),
    ] {
        assert_eq!(read([&prelude(total, headers, nothing)[..]]).1, Err(why), "{total} {headers}");
    }
    assert_eq!(read([&prelude(MAX_MESSAGE_BYTES, 0, nothing)[..]]), (vec![], Ok(())));
}

#[test]
fn headers_that_cannot_be_read_are_refused() {
    let kind = b"\x0d:message-type\x07\x00\x05event";
    let name = b"\x0b:event-type\x07\x00\x01x";
    let both = [&kind[..], name].concat();
    assert_eq!(read([&message(&both, b"{}")[..]]).1, Ok(()));
    for at in 1..both.len() {
        assert_eq!(read([&message(&both[..at], b"{}")[..]]).1, Err(Malformed::Headers), "{at}");
    }
    for bad in
        [&b""[..], b"\x01a\x0a", b"\x01a\x09123", b"\x0d:message-type\x07\x00\x05other\x0b:event-type\x07\x00\x01x"]
    {
        assert_eq!(read([&message(bad, b"{}")[..]]).1, Err(Malformed::Headers));
    }
}

#[test]
fn failures_are_told_apart() {
    let exception = b"\x0d:message-type\x07\x00\x09exception\x0f:exception-type\x07\x00\x01x";
    let (messages, _) = read([&message(exception, b"{}")[..]]);
    assert_eq!(messages, [Message { kind: Kind::Exception, name: "x".to_owned(), payload: Bytes::from("{}") }]);
    let error = b"\x0d:message-type\x07\x00\x05error\x0b:error-code\x07\x00\x03500\x0e:error-message\x07\x00\x04gone";
    let (messages, _) = read([&message(error, b"")[..]]);
    assert_eq!(messages, [Message { kind: Kind::Error, name: "500".to_owned(), payload: Bytes::from("gone") }]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(headers in proptest::collection::vec(any::<u8>(), 0..80), rest in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = read([&rest[..]]);
        let _ = read([&message(&headers, &rest)[..], &rest[..]]);
    }
}
