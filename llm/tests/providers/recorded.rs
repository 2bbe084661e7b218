//! Recorded answers of the providers whose dialect is translated, as their clients see them.
//!
//! Under `tests/providers/<dialect>/`: `chat/*` whole answers, `stream/*` streamed ones, `embed/*` embeddings, and `error/*` failures
//! whose names end in the status (`too-long.400.json`). Files that end in `.events` are AWS event-stream messages as text. One golden for each kind of them and provider.

use std::{fmt::Write, fs, path::Path, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use turnpike_llm::{
    error::UpstreamError,
    provider::{Decoded, Dialect, Operation, Provider, ProviderKind, Recall, Shown},
    request::Request,
    usage::Usage,
};

use super::{fixture::Backend, frames};

/// A provider with the folder of its recordings.
struct Recorded {
    kind: ProviderKind,
    folder: &'static str,
    /// What the client called.
    operation: Operation,
}

impl Recorded {
    fn adapter(&self) -> &'static dyn Provider {
        self.kind.adapter().unwrap()
    }

    /// Where the recordings are of Responses and the client called something else, the model is one without chats. Clients of
    /// Gemini's want to see thoughts.
    fn shown(&self, operation: Operation, include_usage: bool) -> Shown {
        let asked = match operation.dialect() {
            Dialect::Gemini => {
                r#"{"contents":[{"parts":[{"text":"Hi"}]}],"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#
            }
            Dialect::Anthropic => r#"{"model":"m","max_tokens":99,"messages":[{"role":"user","content":"Hi"}]}"#,
            Dialect::Responses => r#"{"model":"m","input":"Hi"}"#,
            Dialect::OpenAi => r#"{"model":"m","messages":[{"role":"user","content":"Hi"}]}"#,
        };
        let mut recall = Recall::default();
        if self.folder == "openai_responses" && operation != Operation::Responses {
            recall = Backend::new(self.kind, "gpt-5-pro").encode(operation, asked).unwrap().recall;
        }
        let mut repeated = Bytes::new();
        if operation.dialect() == Dialect::Gemini {
            let asked = Request::scan_contents(Bytes::from_static(asked.as_bytes()), false).unwrap();
            repeated = Shown::repeated(operation, &asked);
        }
        Shown {
            model: Arc::from("shown"),
            include_usage,
            call_id: Arc::from("call-1"),
            created: 1_700_000_000,
            recall,
            repeated,
            ..Shown::default()
        }
    }

    /// The files of one kind by name, in order.
    fn files(&self, kind: &str) -> Vec<(String, Bytes)> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/providers").join(self.folder).join(kind);
        let mut files: Vec<(String, Bytes)> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                let is_aws = path.extension().is_some_and(|extension| extension == "events");
                let bytes = if is_aws { frames::messages(str::from_utf8(&bytes).unwrap()) } else { bytes };
                (path.file_name().unwrap().to_str().unwrap().to_owned(), bytes.into())
            })
            .collect();
        files.sort();
        assert!(!files.is_empty(), "nothing is recorded");
        files
    }

    fn golden(&self, kind: &str, text: &str) {
        let is_other = self.folder == "openai_responses" && self.operation != Operation::Responses;
        let path = if is_other { "../golden/as_responses".to_owned() } else { format!("../golden/{kind}") };
        insta::with_settings!({ snapshot_path => path, prepend_module_to_snapshot => false, omit_expression => true }, {
            let name = match self.operation {
                operation if is_other => format!("{kind}_to_{operation:?}"),
                Operation::Chat => format!("{:?}", self.kind),
                other => format!("{:?}_as_{other:?}", self.kind),
            };
            insta::assert_snapshot!(name, text);
        });
    }

    fn whole(&self, folder: &str, operation: Operation) {
        let mut text = String::new();
        for (name, body) in self.files(folder) {
            writeln!(text, "{name}").unwrap();
            match self.adapter().decode(operation, body, &self.shown(operation, false)) {
                Ok(Decoded { body, usage }) => {
                    let body = body.to_bytes();
                    serde_json::from_slice::<serde_json::Value>(&body).expect("valid JSON");
                    writeln!(text, "  {}\n  {usage:?}", std::str::from_utf8(&body).unwrap()).unwrap();
                }
                Err(error) => writeln!(text, "  {}", failure(&error)).unwrap(),
            }
        }
        self.golden(folder, &text);
    }

    fn streams(&self) {
        let mut text = String::new();
        for (name, body) in self.files("stream") {
            let told = self.drive([&body[..]], true);
            let sent = String::from_utf8(told.bytes.clone()).unwrap();
            for line in sent.lines().filter_map(|line| line.strip_prefix("data: ")) {
                assert!(line == "[DONE]" || serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
            }
            let end = told.end.as_ref().map_or_else(failure, |()| "complete".to_owned());
            writeln!(text, "=== {name}\n{sent}--- {end}\n{:?}\n{:?}\n", told.usage, told.text).unwrap();
            let shows_usage = self.drive([&body[..]], false).bytes.windows(7).any(|part| part == b"\"usage\"");
            assert!(self.operation != Operation::Chat || !shows_usage);
            for at in 0..body.len() {
                let (before, after) = body.split_at(at);
                assert_eq!(self.drive([before, after], true), told, "{name} cut at {at}");
            }
            assert_eq!(self.drive(body.chunks(1), true), told, "{name} byte by byte");
        }
        self.golden("stream", &text);
    }

    fn drive<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>, include_usage: bool) -> Told {
        let mut decoder = self.adapter().stream(self.operation, self.shown(self.operation, include_usage));
        decoder.set_cost(Box::new(|usage| i64::try_from(usage.total()).ok().map(|tokens| tokens * 150)));
        let mut bytes = Vec::new();
        let mut end = Ok(());
        for frame in frames {
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
        Told { bytes, end, usage: decoder.usage(), text: decoder.tape().text() }
    }

    fn failures(&self) {
        let mut text = String::new();
        for (name, body) in self.files("error") {
            let status = name.split('.').nth(1).unwrap().parse().unwrap();
            let error = self.adapter().error(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), &body);
            assert_eq!(error.status, status);
            writeln!(text, "{name}\n  {}", failure(&error)).unwrap();
        }
        self.golden("error", &text);
    }

    /// Answers that are cut or garbled anywhere.
    fn garbage(&self) {
        self.garbled_answers("error", Operation::Chat);
        self.garbled_chats();
    }

    fn garbled_answers(&self, folder: &str, operation: Operation) {
        for (_, body) in self.files(folder) {
            for at in 0..body.len() {
                for bad in [body.slice(..at), garbled(&body, at)] {
                    let _ = self.adapter().error(StatusCode::BAD_REQUEST, &HeaderMap::new(), &bad);
                    let _ = self.adapter().decode(operation, bad, &self.shown(operation, false));
                }
            }
        }
    }

    fn garbled_chats(&self) {
        self.garbled_answers("chat", self.operation);
        for (_, body) in self.files("stream") {
            for at in 0..body.len() {
                self.drive([&body[..at]], true);
                self.drive([&garbled(&body, at)[..]], true);
            }
        }
    }
}

/// All that a client and the gateway get to see of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    bytes: Vec<u8>,
    end: Result<(), UpstreamError>,
    usage: Option<Usage>,
    text: String,
}

fn failure(error: &UpstreamError) -> String {
    let UpstreamError { class, status, message, kind, param, code, retry_after } = error;
    format!(
        "{class:?} status={status} kind={kind:?} param={param:?} code={code:?} retry_after={retry_after:?}: {message}"
    )
}

/// The same with one byte of another kind.
fn garbled(body: &[u8], at: usize) -> Bytes {
    let mut body = body.to_vec();
    body[at] = match body[at] {
        b'{' | b'[' => b'"',
        b'"' => b'1',
        b':' | b',' => b'}',
        b'0'..=b'9' => b'-',
        _ => 0xff,
    };
    body.into()
}

macro_rules! dialects {
    ($($name:ident: $kind:ident $(, $embeddings:ident)?;)*) => {
        $(
            mod $name {
                use super::*;

                const RECORDED: Recorded =
                    Recorded { kind: ProviderKind::$kind, folder: stringify!($name), operation: Operation::Chat };

                #[test]
                fn answers() {
                    RECORDED.whole("chat", Operation::Chat);
                }

                $(
                    #[test]
                    fn $embeddings() {
                        RECORDED.whole("embed", Operation::Embeddings);
                        RECORDED.garbled_answers("embed", Operation::Embeddings);
                    }
                )?

                #[test]
                fn streams() {
                    RECORDED.streams();
                }

                #[test]
                fn failures() {
                    RECORDED.failures();
                }

                #[test]
                fn garbage() {
                    RECORDED.garbage();
                }
            }
        )*
    };
}

dialects! {
    anthropic: Anthropic;
    bedrock: Bedrock, embeddings;
    cohere: Cohere, embeddings;
    gemini: Gemini, embeddings;
    mistral: Mistral, embeddings;
    ollama: Ollama, embeddings;
}

/// The same for clients of other dialects.
macro_rules! clients {
    ($($name:ident: $kind:ident, $folder:literal, $operation:ident;)*) => {
        $(
            mod $name {
                use super::*;

                const RECORDED: Recorded = Recorded {
                    kind: ProviderKind::$kind,
                    folder: $folder,
                    operation: Operation::$operation,
                };

                #[test]
                fn answers() {
                    RECORDED.whole("chat", Operation::$operation);
                }

                #[test]
                fn streams() {
                    RECORDED.streams();
                }

                #[test]
                fn garbage() {
                    RECORDED.garbled_chats();
                }
            }
        )*
    };
}

clients! {
    messages_of_chat_completions: VLLM, "chat_completions", Messages;
    responses_of_chat_completions: VLLM, "chat_completions", Responses;
    responses_of_openai: OpenAI, "openai_responses", Responses;
    chats_of_openai_responses: OpenAI, "openai_responses", Chat;
    messages_of_openai_responses: OpenAI, "openai_responses", Messages;
    messages_of_anthropic: Anthropic, "anthropic", Messages;
    messages_of_bedrock: Bedrock, "bedrock", Messages;
    messages_of_gemini: Gemini, "gemini", Messages;
    messages_of_mistral: Mistral, "mistral", Messages;
    messages_of_cohere: Cohere, "cohere", Messages;
    responses_of_cohere: Cohere, "cohere", Responses;
    contents_of_gemini: Gemini, "gemini", GenerateContent;
    contents_of_chat_completions: VLLM, "chat_completions", GenerateContent;
    contents_of_anthropic: Anthropic, "anthropic", GenerateContent;
    contents_of_bedrock: Bedrock, "bedrock", GenerateContent;
    contents_of_openai_responses: OpenAI, "openai_responses", GenerateContent;
}
