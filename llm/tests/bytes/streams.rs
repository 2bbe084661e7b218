//! Streams of each dialect, whole and cut everywhere.

use std::fmt::Write;

use bytes::Bytes;
use insta::assert_snapshot;
use proptest::prelude::*;
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    provider::Shown,
    stream::{OpenAiStream, StreamDecoder},
    usage::Usage,
};

macro_rules! streams {
    ($($name:literal,)*) => {
        const STREAMS: &[(&str, &str)] = &[$(($name, include_str!(concat!("streams/", $name, ".sse")))),*];
    };
}

streams! {
    "openai",
    "azure",
    "groq",
    "mistral",
    "deepseek",
    "tool-calls",
    "perplexity",
    "completions",
    "error-mid-stream",
    "openrouter",
    "odd-framing",
    "without-done",
    "cut-short",
}

fn decoder(include_usage: bool) -> OpenAiStream {
    OpenAiStream::new(Shown { model: "shown".into(), include_usage, ..Shown::default() })
}

/// All that a client and the gateway get to see of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    bytes: Vec<u8>,
    end: Result<(), UpstreamError>,
    usage: Option<Usage>,
    text: String,
}

fn drive<'a>(mut decoder: OpenAiStream, frames: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut bytes = vec![];
    let mut end = Ok(());
    for frame in frames {
        assert!(bytes.is_empty() || decoder.started() || bytes.starts_with(b":"), "bytes before the first event");
        match decoder.push(Bytes::copy_from_slice(frame)) {
            Ok(ready) => bytes.extend_from_slice(&ready),
            Err(error) => {
                end = Err(error);
                break;
            }
        }
        if decoder.finished() {
            break;
        }
    }
    if end.is_ok() {
        match decoder.end() {
            Ok(ready) => bytes.extend_from_slice(&ready),
            Err(error) => end = Err(error),
        }
    }
    Outcome { bytes, end, usage: decoder.usage(), text: decoder.tape().text() }
}

fn whole(stream: &str, include_usage: bool) -> Outcome {
    drive(decoder(include_usage), [stream.as_bytes()])
}

fn described(stream: &str) -> String {
    let mut out = String::new();
    for include_usage in [false, true] {
        let mut decoder = decoder(include_usage);
        decoder.set_cost(Box::new(|usage| i64::try_from(usage.total()).ok().map(|tokens| tokens * 150)));
        let outcome = drive(decoder, [stream.as_bytes()]);
        let shown = String::from_utf8(outcome.bytes).unwrap().replace('\r', "\\r");
        writeln!(
            out,
            "=== include_usage: {include_usage}\n{shown}--- {:?}",
            outcome.end.map_err(|error| (error.class, error.to_string()))
        )
        .unwrap();
        if !include_usage {
            writeln!(out, "{:?}\n{:?}", outcome.usage, outcome.text).unwrap();
        }
    }
    out
}

#[test]
fn goldens() {
    insta::with_settings!({ snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, stream) in STREAMS {
            assert_snapshot!(*name, described(stream));
        }
    });
}

#[test]
fn cuts_make_no_difference() {
    for (name, stream) in STREAMS {
        let bytes = stream.as_bytes();
        for include_usage in [false, true] {
            let whole = whole(stream, include_usage);
            assert_eq!(drive(decoder(include_usage), bytes.chunks(1)), whole, "{name} byte by byte");
            for cut in 0..=bytes.len() {
                let frames = [&bytes[..cut], &bytes[cut..]];
                assert_eq!(drive(decoder(include_usage), frames), whole, "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_frame_that_needs_nothing_is_given_back_itself() {
    let frame = Bytes::from_static(b": hi\n\ndata: {\"model\":\"shown\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[]}\n\n");
    let mut decoder = decoder(false);
    let ready = decoder.push(frame.clone()).unwrap();
    assert_eq!((ready.as_ptr(), ready.len()), (frame.as_ptr(), frame.len()));
    assert!(decoder.started());
    // Without its dropped tail it is still a slice of the frame.
    let frame = Bytes::from_static(
        b"data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n",
    );
    let ready = decoder.push(frame.clone()).unwrap();
    assert_eq!((ready.as_ptr(), ready.len()), (frame.as_ptr(), 34));
    assert_eq!(decoder.usage().unwrap().prompt, 1);
}

#[test]
fn starts_with_the_first_event() {
    let mut decoder = decoder(false);
    assert_eq!(decoder.push(Bytes::from_static(b": warming up\n\n")).unwrap(), ": warming up\n\n");
    assert!(!decoder.started());
    assert_eq!(decoder.push(Bytes::from_static(b"data: {\"choices\":")).unwrap(), "");
    assert!(!decoder.started());
    decoder.push(Bytes::from_static(b"[]}\n\n")).unwrap();
    assert!(decoder.started() && !decoder.finished());
}

#[test]
fn a_first_event_that_fails_commits_nothing() {
    for (event, class, says) in [
        (r#"{"error":{"message":"slow down","code":"429"}}"#, ErrorClass::RateLimit, "slow down"),
        (r#"{"error":{"message":"slow down","code":429}}"#, ErrorClass::RateLimit, "slow down"),
        (r#"{"error":"no room"}"#, ErrorClass::ServerError, "no room"),
        (r#"{"object":"error","message":"bad prompt","code":400}"#, ErrorClass::BadRequest, "bad prompt"),
        ("[1]", ErrorClass::BadAnswer, "expected a JSON object"),
        ("<html>", ErrorClass::BadAnswer, "expected a JSON object"),
        (r#"{"choices":[}"#, ErrorClass::BadAnswer, "unexpected character"),
    ] {
        let mut decoder = decoder(false);
        let error = decoder.push(Bytes::from(format!("data: {event}\n\n"))).unwrap_err();
        assert_eq!((error.class, error.status), (class, 0), "{event}");
        assert!(error.message.contains(says), "{error}");
        assert!(!decoder.started() && decoder.finished());
        assert_eq!(decoder.push(Bytes::from_static(b"data: {}\n\n")).unwrap(), "");
        assert_eq!(decoder.end().unwrap(), "");
    }
    let named = whole("event: error\ndata: {\"message\":\"gone\"}\n\n", false);
    assert!(named.end.unwrap_err().message.contains("gone"));
}

#[test]
fn null_errors_are_none() {
    let stream = "data: {\"error\":null,\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    let outcome = whole(stream, false);
    assert_eq!((outcome.bytes.as_slice(), outcome.end), (stream.as_bytes(), Ok(())));
}

#[test]
fn an_empty_stream_ended_early() {
    for stream in ["", ": ping\n\n", "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n"]
    {
        let error = whole(stream, false).end.unwrap_err();
        assert_eq!(error.class, ErrorClass::BadAnswer);
        assert!(error.message.contains("ended early"), "{error}");
    }
}

#[test]
fn text_that_looks_like_structure_is_text() {
    let text = r#"{"finish_reason":"stop"} "usage":{"prompt_tokens":9}"#;
    let stream =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{}}}}}]}}\n\n", serde_json::to_string(text).unwrap());
    let outcome = whole(&stream, false);
    assert_eq!((outcome.text.as_str(), outcome.usage), (text, None));
    assert!(outcome.end.is_err(), "no finish reason was given");
}

#[test]
fn an_event_without_end_is_refused() {
    let mut decoder = decoder(false);
    let frame = Bytes::from(vec![b'x'; 1 << 19]);
    decoder.push(frame.clone()).unwrap();
    decoder.push(frame).unwrap();
    let error = decoder.push(Bytes::from_static(b"x")).unwrap_err();
    assert!(error.class == ErrorClass::BadAnswer && error.message.contains("larger than"), "{error}");
}

proptest! {
    #[test]
    fn random_cuts_make_no_difference(
        pick in any::<proptest::sample::Index>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        include_usage: bool,
    ) {
        let (_, stream) = pick.get(STREAMS);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        cuts.push(stream.len());
        let mut start = 0;
        let frames: Vec<&[u8]> = cuts.iter().map(|end| &stream.as_bytes()[std::mem::replace(&mut start, *end)..*end]).collect();
        prop_assert_eq!(drive(decoder(include_usage), frames), whole(stream, include_usage));
    }

    #[test]
    fn no_bytes_make_it_panic(frames in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
        let stream: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let prefix = &b"data: {\"choices\":["[..];
        let _ = drive(decoder(true), [prefix].into_iter().chain(stream));
    }
}

/// A chunk whose varying parts are any bytes, right or wrong.
fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let inside = prop_oneof![
        4 => "[a-z \u{e6}\u{1F600}]{0,12}".prop_map(String::into_bytes),
        1 => proptest::sample::select(vec![&b"\\n"[..], b"\\u00e6", b"\"", b"\",\"x\":\"", b"\\", b"\xff", b"\x01", b"\xed\xa0\x80"])
            .prop_map(<[u8]>::to_vec),
    ];
    let rest = proptest::sample::select(vec![
        r#""},"finish_reason":null}]"#,
        r#""},"finish_reason":"stop"}]"#,
        r#"","reasoning":"hm"},"finish_reason":null}]"#,
        r#""},"finish_reason":null}],"usage":null"#,
        r#""},"finish_reason":null}],"usage":{"prompt_tokens":1,"completion_tokens":2}"#,
        r#""},"finish_reason":null}],"error":{"message":"no"}"#,
        r#""},"finish_reason":null}],"model":"late""#,
    ]);
    let head = proptest::sample::select(vec![
        r#"data: {"id":"a","model":"m","choices":[{"delta":{"content":""#,
        r#"data: {"id":"a","model":"shown","choices":[{"delta":{"content":""#,
        r#"data: {"id":"a","choices":[{"delta":{"refusal":""#,
    ]);
    let padding = prop_oneof![
        Just(Vec::new()),
        inside.clone().prop_map(|inside| [&b",\"obfuscation\":\""[..], &inside, b"\""].concat()),
        Just(b",\"obfuscation\":12".to_vec()),
    ];
    (head, inside, rest, padding).prop_map(|(head, inside, rest, padding)| {
        [head.as_bytes(), &inside, rest.as_bytes(), &padding, b"}\n\n"].concat()
    })
}

proptest! {
    #[test]
    fn a_chunk_reads_the_same_whatever_came_before(first in chunk(), second in chunk()) {
        let mut alone = decoder(false);
        let mut after = decoder(false);
        if after.push(Bytes::from(first)).is_ok() && !after.finished() {
            let (usage, said) = (after.usage(), after.tape().text());
            prop_assert_eq!(after.push(Bytes::from(second.clone())), alone.push(Bytes::from(second)));
            prop_assert_eq!(after.finished(), alone.finished());
            prop_assert_eq!(after.usage(), alone.usage().or(usage));
            prop_assert_eq!(after.tape().text(), said + &alone.tape().text());
        }
    }
}
