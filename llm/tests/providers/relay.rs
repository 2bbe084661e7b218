//! Moderations, images, speech and transcriptions: what goes through, and what is read of it.

use std::fmt::Write;

use bytes::Bytes;
use serde_json::{Value, json};
use turnpike_llm::{
    provider::{Operation, ProviderKind, Shown},
    relay::{self, Relayed},
    request::Request,
    stream::StreamDecoder,
    usage::Usage,
};

use super::fixture::{Backend, KINDS, golden};

const JSON: [Operation; 3] = [Operation::Moderations, Operation::Images, Operation::Speech];

fn body(operation: Operation) -> Value {
    match operation {
        Operation::Moderations => json!({"model": "any", "input": ["a", "b"], "metadata": {"a": 1}, "tags": ["t"]}),
        Operation::Images => {
            json!({"model": "any", "prompt": "a cat", "n": 2, "size": "1024x1024", "quality": "high", "novel": [1.50]})
        }
        _ => json!({"model": "any", "input": "Hello", "voice": "alloy", "response_format": "mp3", "speed": 1.0}),
    }
}

/// A form as clients write it, with `text` parts before the file.
fn form(parts: &[(&str, &str)]) -> (String, Bytes) {
    let mut body = String::new();
    for (name, text) in parts {
        write!(body, "--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}\r\n").unwrap();
    }
    body.push_str("--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n");
    body.push_str("Content-Type: audio/wav\r\n\r\nRIFF\r\n--X\r\nsound\r\n--XX--\r\n");
    ("multipart/form-data; boundary=XX".to_owned(), Bytes::from(body))
}

fn sent(backend: &Backend, parts: &[(&str, &str)]) -> String {
    let (kind, body) = form(parts);
    let request = Request::scan_form(body, &kind).unwrap();
    let encoded = backend.encode_request(Operation::Transcriptions, &request).unwrap();
    assert_eq!(encoded.headers[0].1, kind);
    String::from_utf8(encoded.body.to_bytes().to_vec()).unwrap()
}

#[test]
fn each_route_goes_to_those_that_have_it() {
    let mut text = String::new();
    for kind in KINDS.into_iter().chain([ProviderKind::Anthropic, ProviderKind::Cohere]) {
        let backend = Backend::new(kind, "the-model");
        writeln!(text, "{kind:?}").unwrap();
        for operation in JSON {
            match backend.encode(operation, body(operation).to_string()) {
                Ok(encoded) => {
                    let sent = encoded.body.to_bytes();
                    let sent = std::str::from_utf8(&sent).unwrap();
                    writeln!(text, "  {}\n    {sent}", backend.url(operation, false)).unwrap();
                }
                Err(error) => writeln!(text, "  {operation:?}: {} {:?} {error}", error.code, error.param).unwrap(),
            }
        }
        for operation in [Operation::ImageEdits, Operation::Transcriptions, Operation::Translations] {
            let (content_type, body) = form(&[("model", "any")]);
            let request = Request::scan_form(body, &content_type).unwrap();
            match backend.encode_request(operation, &request) {
                Ok(_) => writeln!(text, "  {}", backend.url(operation, false)).unwrap(),
                Err(error) => writeln!(text, "  {operation:?}: {} {error}", error.code).unwrap(),
            }
        }
    }
    golden("relay_routes", &text);
}

#[test]
fn a_form_keeps_its_files_and_gets_the_model() {
    let backend = Backend::new(ProviderKind::OpenAI, "whisper-1");
    let (_, came) = form(&[("model", "any"), ("language", "en")]);
    let came = String::from_utf8(came.to_vec()).unwrap();
    assert_eq!(sent(&backend, &[("model", "any"), ("language", "en")]), came.replace("any", "whisper-1"));
    // Azure's clients name it in the path only.
    assert!(
        sent(&backend, &[]).ends_with(
            "sound\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--XX--\r\n"
        )
    );
    let own = sent(&backend, &[("model", "any"), ("metadata", "{}"), ("tags", "a"), ("litellm_x", "1")]);
    assert!(!own.contains("metadata") && !own.contains("tags") && !own.contains("litellm_x"), "{own}");
}

#[test]
fn a_form_follows_the_backend_s_params() {
    let params = json!({"defaults": {"language": "en", "temperature": 0}, "drop": ["seed", "user"], "rename": {"hint": "hotwords"}});
    let backend = Backend::with_params(ProviderKind::VLLM, "whisper", &params);
    golden(
        "relay_params",
        &sent(&backend, &[("model", "any"), ("language", "de"), ("user", "u"), ("hint", "Names")]).replace('\r', ""),
    );
}

#[test]
fn a_form_that_can_be_read_in_two_ways_is_refused() {
    let part = |head: &str| format!("--XX\r\n{head}\r\n\r\nv\r\n--XX--\r\n");
    let named = |name: &str| part(&format!("Content-Disposition: form-data; name=\"{name}\""));
    let kind = "multipart/form-data; boundary=XX";
    let mut text = String::new();
    for (content_type, body) in [
        ("application/json", "{}".to_owned()),
        ("multipart/form-data", named("a")),
        ("multipart/form-data; boundary=", named("a")),
        ("multipart/mixed; boundary=XX", named("a")),
        (kind, String::new()),
        (kind, "--XX".to_owned()),
        (kind, "--XX\r\n\r\nv\r\n--XX--".to_owned()),
        (kind, "--XX\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv".to_owned()),
        (kind, part("Content-Disposition: attachment; name=\"a\"")),
        (kind, part("Content-Disposition: form-data")),
        (kind, part("Content-Disposition: form-data; name=\"a\"; name=\"model\"")),
        (kind, part("Content-Disposition: form-data; name=\"a\"; name*=utf-8''model")),
        (kind, part("Content-Disposition: form-data; name=\"a")),
        (kind, part("Content-Disposition: form-data;\r\n name=\"model\"")),
        (kind, part("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"model\"")),
        (kind, part("Content-Disposition: form-data; name=\"a\"\nX: y")),
        (kind, format!("{}{}", named("model").replace("--XX--\r\n", ""), named("model"))),
        (kind, named("a").replace("\r\n--XX--", "\r\n--XXY\r\n--XX--")),
    ] {
        let error = Request::scan_form(Bytes::from(body.clone()), content_type).unwrap_err();
        writeln!(text, "{content_type} {body:?}\n  {} {:?} {error}", error.code, error.param).unwrap();
    }
    golden("relay_forms_refused", &text);
    let empty = Request::scan_form(Bytes::from_static(b"--XX--\r\n"), kind).unwrap();
    assert_eq!(empty.model(), None);
    let odd = format!("preamble\r\n{}epilogue", part("content-disposition: form-data; filename=x; name=model"));
    assert_eq!(Request::scan_form(Bytes::from(odd), kind).unwrap().model(), None, "a file names no model");
}

fn decode(operation: Operation, answer: &str) -> (String, Option<Usage>) {
    let shown = Shown { model: "shown".into(), ..Shown::default() };
    let adapter = Backend::new(ProviderKind::OpenAI, "m").adapter();
    match adapter.decode(operation, Bytes::from(answer.to_owned()), &shown) {
        Ok(decoded) => (String::from_utf8(decoded.body.to_bytes().to_vec()).unwrap(), decoded.usage),
        Err(error) => (format!("{:?}: {error}", error.class), None),
    }
}

#[test]
fn what_an_answer_used_is_read() {
    let mut text = String::new();
    for (operation, answer) in [
        (Operation::Moderations, r#"{"id":"modr-1","model":"omni-moderation-latest","results":[{"flagged":false}]}"#),
        (
            Operation::Moderations,
            r#"{"id":"m","model":"mistral-moderation","results":[],"usage":{"prompt_tokens":7,"total_tokens":7,"completion_tokens":0}}"#,
        ),
        (Operation::Moderations, r#"{"error":{"message":"no"}}"#),
        (Operation::Images, r#"{"created":1,"data":[{"url":"https://a"},{"url":"https://b"}]}"#),
        (
            Operation::Images,
            r#"{"created":1,"data":[{"b64_json":"AAAA"}],"usage":{"input_tokens":13,"output_tokens":1056,"total_tokens":1069,"input_tokens_details":{"text_tokens":13,"image_tokens":0}}}"#,
        ),
        (Operation::Images, r#"{"created":1}"#),
        (Operation::ImageEdits, r#"{"created":1,"data":[{"b64_json":"AAAA"},{"b64_json":"BBBB"}]}"#),
        (
            Operation::Transcriptions,
            r#"{"text":"Hi","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":4,"audio_tokens":10},"output_tokens":45,"total_tokens":59}}"#,
        ),
        (Operation::Transcriptions, r#"{"text":"Hi","usage":{"type":"duration","seconds":9}}"#),
        (Operation::Transcriptions, r#"{"text":"Hi","usage":{"type":"duration","seconds":8.2}}"#),
        (
            Operation::Transcriptions,
            r#"{"task":"transcribe","language":"english","duration":"8.47","text":"Hi","segments":[]}"#,
        ),
        (Operation::Translations, r#"{"text":"Hi","duration":3.0,"model":"whisper"}"#),
        (Operation::Transcriptions, "1\n00:00:00,000 --> 00:00:02,000\nHi\n"),
        (Operation::Transcriptions, r#"{"error":{"message":"no sound"}}"#),
    ] {
        let (shown, usage) = decode(operation, answer);
        let usage = usage.map(|usage| {
            format!(
                "prompt {} (audio {}), completion {}, queries {}",
                usage.prompt, usage.audio_input, usage.completion, usage.queries
            )
        });
        let shown = if shown == answer { "(as it came)" } else { &shown };
        writeln!(text, "{operation:?} {answer}\n  {shown}\n  {}", usage.as_deref().unwrap_or("-")).unwrap();
    }
    golden("relay_answers", &text);
}

#[test]
fn what_a_request_uses_is_estimated() {
    let json = |body: Value| Request::scan(Bytes::from(body.to_string())).unwrap();
    let images = relay::estimate(Operation::Images, &json(body(Operation::Images))).unwrap();
    assert_eq!((images.queries, images.total(), images.estimated), (2, 0, true));
    let speech = relay::estimate(Operation::Speech, &json(json!({"model": "m", "input": "Grüße\u{1F600}."}))).unwrap();
    assert_eq!((speech.prompt, speech.completion), (7, 10));
    let (kind, sound) = form(&[("model", "m"), ("file2", &"x".repeat(100_000))]);
    let sound = relay::estimate(Operation::Transcriptions, &Request::scan_form(sound, &kind).unwrap()).unwrap();
    assert_eq!((sound.queries, sound.total()), (1, 0));
    let (kind, edit) = form(&[("model", "m"), ("n", "3")]);
    let edit = relay::estimate(Operation::ImageEdits, &Request::scan_form(edit, &kind).unwrap()).unwrap();
    assert_eq!((edit.queries, edit.total()), (3, 0));
    let (kind, odd) = form(&[("n", "many")]);
    assert_eq!(Request::scan_form(odd, &kind).unwrap_err().param, Some("n"));
    assert_eq!(relay::estimate(Operation::Moderations, &json(body(Operation::Moderations))), None);
}

const SPEECH: &str = "event: speech.audio.delta\ndata: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n";
const IMAGES: &str = ": hello\n\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"AA\"}\r\n\r\ndata: {\"type\":\"image_generation.completed\",\"usage\":{\"input_tokens\":5,\"output_tokens\":40,\"total_tokens\":45}}\r\n\r\ndata: {\"type\":\"image_generation.completed\",\"b64_json\":\"BB\"}\n\n";
const WORDS: &str = "data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi\"}\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"Hi\",\"usage\":{\"type\":\"duration\",\"seconds\":3}}\n\ndata: [DONE]\n\n";

#[test]
fn streams_pass_unchanged_wherever_they_are_cut() {
    for (stream, expected) in [(SPEECH, (14, 101, 0)), (IMAGES, (5, 40, 2)), (WORDS, (0, 0, 3))] {
        for cut in 0..=stream.len() {
            let mut decoder = Relayed::events();
            let mut out = Vec::new();
            for frame in [&stream[..cut], &stream[cut..]] {
                out.extend_from_slice(&decoder.push(Bytes::from(frame.to_owned())).unwrap());
            }
            out.extend_from_slice(&decoder.end().unwrap());
            assert_eq!(out, stream.as_bytes());
            let usage = decoder.usage().unwrap();
            assert_eq!((usage.prompt, usage.completion, usage.queries), expected, "cut at {cut}");
        }
    }
}

#[test]
fn streams_that_say_nothing_fail_and_sound_is_not_read() {
    assert!(Relayed::events().end().is_err());
    assert!(Relayed::bytes().end().is_err());
    let refused = Bytes::from_static(b"data: {\"error\":{\"message\":\"no such voice\",\"code\":404}}\n\n");
    assert!(Relayed::events().push(refused).unwrap_err().message.contains("no such voice"));
    let mut sound = Relayed::bytes();
    let noise: Bytes = (0..=255u8).cycle().take(100_000).collect();
    assert!(!sound.started());
    assert_eq!(sound.push(noise.clone()).unwrap(), noise);
    assert!(sound.started() && sound.end().is_ok() && sound.usage().is_none());
}
