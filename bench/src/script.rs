//! What the client asks and the upstream answers: one place, so that a wrong answer is noticed instead of measured.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use anyhow::ensure;
use memchr::memmem;
use serde::{Deserialize, Serialize};

/// Content chunks of a stream, before usage and `[DONE]`.
pub const CHUNKS: usize = 64;
/// Time between two chunks of a paced stream.
pub const PACE: Duration = Duration::from_millis(4);
/// Tokens that each answer's usage reports, prompt and completion together.
pub const TOKENS: i64 = 102;
/// Model name for everything but paced streams.
pub const MODEL: &str = "bench";
/// Model name that makes the upstream stream at [`PACE`].
pub const PACED_MODEL: &str = "bench-paced";

/// What the upstream calls the model in its answers: as real ones do, not what was asked for, so a gateway that shows
/// the client the name it asked for has that work to do.
const ANSWERING_MODEL: &str = "bench-upstream-2026-01-01";
const ANSWER: &str = "A keep-alive connection is a road that stays open between two cars.";
const DONE: &str = "data: [DONE]\n\n";

/// The kinds of traffic that are measured.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Traffic {
    /// One JSON answer.
    Plain,
    /// A stream whose chunks come as fast as they can be written, one write each.
    Burst,
    /// A stream with one chunk every [`PACE`].
    Paced,
}

impl Traffic {
    /// The request, head and body, as it goes on the wire. `include_usage` is not asked for: most clients do not.
    pub fn request(self, target: SocketAddr, key: &str) -> Vec<u8> {
        let (model, stream) = match self {
            Self::Plain => (MODEL, false),
            Self::Burst => (MODEL, true),
            Self::Paced => (PACED_MODEL, true),
        };
        let body = format!(
            r#"{{"model":"{model}","messages":[{{"role":"system","content":"You are a helpful assistant who answers in one short sentence."}},{{"role":"user","content":"Explain to a child what an HTTP keep-alive connection is."}}],"temperature":0.2,"max_tokens":128,"stream":{stream}}}"#
        );
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {target}\r\nauthorization: Bearer {key}\r\naccept: */*\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// Whether `body` is the whole of the scripted answer; a gateway may change the model's name and take the usage
    /// chunk out, nothing else that matters.
    pub fn check(self, body: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Plain => {
                ensure!(memmem::find(body, ANSWER.as_bytes()).is_some(), "the answer's text is missing");
                ensure!(body.ends_with(b"}"), "the answer is cut short");
            }
            Self::Burst | Self::Paced => {
                let chunks = memmem::find_iter(body, br#""content":" token"#).count();
                ensure!(chunks == CHUNKS, "{chunks} content chunks instead of {CHUNKS}");
                ensure!(body.ends_with(DONE.as_bytes()), "the stream does not end with [DONE]");
            }
        }
        Ok(())
    }
}

/// What the upstream needs of a request.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    model: std::borrow::Cow<'a, str>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

/// The answer to one request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// How it is sent.
    pub traffic: Traffic,
    /// The client asked for the usage chunk.
    pub usage: bool,
}

impl Script {
    /// Reads what was asked for. Errors on anything that is not a chat completion request.
    pub fn of(body: &[u8]) -> serde_json::Result<Self> {
        let asked: Asked<'_> = serde_json::from_slice(body)?;
        let traffic = match (asked.stream, asked.model == PACED_MODEL) {
            (false, _) => Traffic::Plain,
            (true, false) => Traffic::Burst,
            (true, true) => Traffic::Paced,
        };
        Ok(Self { traffic, usage: asked.stream_options.is_some_and(|options| options.include_usage) })
    }
}

/// Every byte that the upstream ever sends, made once.
#[derive(Debug)]
pub struct Answers {
    /// Head and body of the plain answer.
    pub plain: Vec<u8>,
    /// A stream's writes: the first carries the response's head, each is one chunk of the transfer encoding.
    pub chunks: Vec<Vec<u8>>,
    /// The usage chunk, sent after [`Self::chunks`] if it was asked for.
    pub usage: Vec<u8>,
    /// `[DONE]` and the end of the transfer encoding.
    pub end: Vec<u8>,
}

impl Answers {
    /// Builds them.
    pub fn build() -> Self {
        let usage = r#"{"prompt_tokens":38,"completion_tokens":64,"total_tokens":102,"prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}"#;
        let plain = format!(
            r#"{{"id":"chatcmpl-bench","object":"chat.completion","created":1767225600,"model":"{ANSWERING_MODEL}","choices":[{{"index":0,"message":{{"role":"assistant","content":"{ANSWER}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{usage},"system_fingerprint":"fp_bench"}}"#
        );
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunks = (0..CHUNKS).map(|index| {
            let last = index + 1 == CHUNKS;
            let role = if index == 0 { r#""role":"assistant","# } else { "" };
            let finish = if last { r#""stop""# } else { "null" };
            let event = event(&format!(
                r#""choices":[{{"index":0,"delta":{{{role}"content":" token{index}"}},"logprobs":null,"finish_reason":{finish}}}]"#
            ));
            format!("{}{}", if index == 0 { head } else { "" }, chunk(&event)).into_bytes()
        });
        Self {
            plain: format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{plain}",
                plain.len()
            )
            .into_bytes(),
            chunks: chunks.collect(),
            usage: chunk(&event(&format!(r#""choices":[],"usage":{usage}"#))).into_bytes(),
            end: format!("{}0\r\n\r\n", chunk(DONE)).into_bytes(),
        }
    }
}

fn event(rest: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"{ANSWERING_MODEL}\",\"system_fingerprint\":\"fp_bench\",{rest}}}\n\n"
    )
}

/// One chunk of HTTP's transfer encoding.
fn chunk(data: &str) -> String {
    let mut framed = String::with_capacity(data.len() + 8);
    // Writing to a String cannot fail.
    let _ = write!(framed, "{:x}\r\n{data}\r\n", data.len());
    framed
}
