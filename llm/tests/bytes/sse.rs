//! The event splitter against a slow, obvious reading of the standard.

use bytes::Bytes;
use proptest::prelude::*;
use turnpike_llm::sse::{Event, EventTooLarge, Splitter};

/// One dispatched event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    data: Vec<u8>,
    event: Option<Vec<u8>>,
    id: Option<Vec<u8>>,
    retry: Option<u64>,
}

/// WHATWG HTML 9.2.6 on the whole stream: lines first, then fields; a group without data is not an event.
fn reference(stream: &[u8]) -> Vec<Seen> {
    let text = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut lines = vec![];
    let mut line = vec![];
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\r' => {
                lines.push(std::mem::take(&mut line));
                if text.get(at + 1) == Some(&b'\n') {
                    at += 1;
                }
            }
            b'\n' => lines.push(std::mem::take(&mut line)),
            byte => line.push(byte),
        }
        at += 1;
    }
    // A last line without an end, and an event without a blank line, do not count.
    let mut events = vec![];
    let mut seen: Option<Seen> = None;
    let mut data: Option<Vec<u8>> = None;
    for line in lines {
        if line.is_empty() {
            let group = seen.take().unwrap_or_default();
            if let Some(data) = data.take() {
                events.push(Seen { data, ..group });
            }
            continue;
        }
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&line[..], &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value).to_vec();
        let group = seen.get_or_insert_default();
        match name {
            b"data" => match &mut data {
                None => data = Some(value),
                Some(data) => {
                    data.push(b'\n');
                    data.extend(value);
                }
            },
            b"event" => group.event = Some(value),
            b"id" if !value.contains(&0) => group.id = Some(value),
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                if let Ok(retry) = String::from_utf8(value).unwrap().parse() {
                    group.retry = Some(retry);
                }
            }
            _ => {}
        }
    }
    events
}

fn seen(event: &Event) -> Option<Seen> {
    let fields = event.fields();
    let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
    if let (Some(at), Some(data)) = (fields.data_at, &fields.data) {
        assert_eq!(at.of(&event.raw), &data[..]);
    }
    let (event, id) = (owned(fields.event), owned(fields.id));
    fields.data.map(|data| Seen { data: data.into_owned(), event, id, retry: fields.retry })
}

fn split<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, Vec<u8>) {
    let mut splitter = Splitter::default();
    let mut events = vec![];
    let mut raw = vec![];
    for frame in frames {
        let frame = Bytes::copy_from_slice(frame);
        splitter.feed(frame.clone());
        while let Some(event) = splitter.next_event().unwrap() {
            if let Some(at) = event.at {
                assert_eq!(event.raw.as_ptr(), frame[at..].as_ptr(), "not a slice of its frame");
            }
            raw.extend_from_slice(&event.raw);
            events.extend(seen(&event));
        }
    }
    raw.extend(splitter.finish().map(|event| event.raw).unwrap_or_default());
    (events, raw)
}

const CORPUS: &[&[u8]] = &[
    b"",
    b"\n",
    b"data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]\n\n",
    b"data: {\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\ndata: [DONE]\r\n\r\n",
    b"data: {\"a\":1}\r\rdata: {\"b\":2}\r\r",
    b"data: mixed\r\n\ndata: ends\n\r\ndata: of\r\n\rdata: lines\r\r\n\n\n",
    b": keepalive\n\n: OPENROUTER PROCESSING\n\ndata: x\n\n",
    b"event: message\nid: 7\nretry: 1500\ndata: a\ndata: b\ndata\ndata:\ndata:  two spaces\n\n",
    b"\xEF\xBB\xBFdata: after the mark\n\n",
    b"\xEF\xBB\xBF\ndata: after the mark alone\n\n",
    b"\xEF\xBBdata: half a mark\n\ndata: fine\n\n",
    b"data: first\n\n\xEF\xBB\xBFdata: a mark in the middle is no mark\n\n",
    b"id: without data\n\nevent: lonely\n\ndata: x\n\n",
    b"retry: soon\nretry: 99999999999999999999999\nid: a\0b\nunknown: 1\ndatax: 1\ndata: x\n\n",
    b"data: never finished",
    b"data: not dispatched\n",
    b"data: \xF0\x9F\x98\x80 \xC3\xA9\n\n",
    b"\r\n\r\ndata: late\r\n\r\n\r\n\r\n",
];

#[test]
fn reads_as_the_standard_says() {
    for stream in CORPUS {
        let (events, raw) = split([*stream]);
        assert_eq!(events, reference(stream), "{}", stream.escape_ascii());
        assert_eq!(raw, stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream));
    }
}

#[test]
fn cuts_make_no_difference() {
    for stream in CORPUS {
        let whole = split([*stream]);
        assert_eq!(split(stream.chunks(1)), whole, "byte by byte: {}", stream.escape_ascii());
        for first in 0..=stream.len() {
            assert_eq!(split([&stream[..first], &stream[first..]]), whole, "cut at {first}: {}", stream.escape_ascii());
            for second in first..=stream.len() {
                let frames = [&stream[..first], &stream[first..second], &[][..], &stream[second..]];
                assert_eq!(split(frames), whole, "cut at {first} and {second}: {}", stream.escape_ascii());
            }
        }
    }
}

#[test]
fn a_byte_order_mark_is_not_passed_on() {
    let mut splitter = Splitter::default();
    splitter.feed(Bytes::from_static(b"\xEF\xBB\xBFdata: x\n\n"));
    let event = splitter.next_event().unwrap().unwrap();
    assert_eq!((event.raw.as_ref(), event.at), (&b"data: x\n\n"[..], Some(3)));
}

#[test]
fn large_events_are_refused_however_they_come() {
    let stream = b"data: 123456789\n\n";
    let feed = |limit: usize, size: usize| -> Result<usize, EventTooLarge> {
        let mut splitter = Splitter::new(limit);
        let mut events = 0;
        for frame in stream.chunks(size) {
            splitter.feed(Bytes::copy_from_slice(frame));
            while splitter.next_event()?.is_some() {
                events += 1;
            }
        }
        Ok(events)
    };
    for size in 1..=stream.len() {
        assert_eq!(feed(17, size), Ok(1), "frames of {size}");
        assert_eq!(feed(16, size), Err(EventTooLarge { limit: 16 }), "frames of {size}");
    }
}

#[test]
fn a_trickle_of_a_large_event_is_linear() {
    // 1 MiB in single bytes: copying the carried part each time would be half a terabyte.
    let mut splitter = Splitter::new(2 << 20);
    for _ in 0..1 << 20 {
        splitter.feed(Bytes::from_static(b"x"));
        assert!(splitter.next_event().unwrap().is_none());
    }
    assert_eq!(splitter.finish().unwrap().raw.len(), 1 << 20);
}

#[test]
fn an_event_left_in_a_frame_is_not_lost() {
    let mut splitter = Splitter::default();
    splitter.feed(Bytes::from_static(b"data: 1\n\ndata: 2\n\n"));
    assert_eq!(splitter.next_event().unwrap().unwrap().raw, "data: 1\n\n");
    splitter.feed(Bytes::from_static(b"data: 3\n\n"));
    assert_eq!(splitter.next_event().unwrap().unwrap().raw, "data: 2\n\n");
    assert_eq!(splitter.next_event().unwrap().unwrap().raw, "data: 3\n\n");
    assert_eq!(splitter.next_event().unwrap(), None);
}

proptest! {
    #[test]
    fn agrees_with_the_reference_on_any_stream(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            &b"data"[..], b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"x", b"{\"a\":1}", b"12",
            b"\xEF\xBB\xBF", b"\xFF", b"\0",
        ]), 0..40),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let stream = parts.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let mut frames = vec![];
        let mut start = 0;
        for cut in cuts {
            frames.push(&stream[start..cut]);
            start = cut;
        }
        frames.push(&stream[start..]);
        let (events, raw) = split(frames);
        prop_assert_eq!(events, reference(&stream));
        prop_assert_eq!(raw, stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&stream));
    }
}
