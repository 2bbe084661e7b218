//! Answers: the pod's name, then words, a token each, at the pace that the test wants.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{
    Json,
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use serde_json::{Value, json};

use super::serve::{Engine, error};
use crate::upstream::vector;

/// What a test may match after the pod's name.
const WORDS: &[&str] = &["the", "toll", "road", "turns", "past", "a", "gate", "and", "runs", "north"];

/// One request that was let in.
struct Asked {
    engine: Arc<Engine>,
    chat: bool,
    model: String,
    prompt: usize,
    /// Words of the prompt that the engine had computed before.
    cached: usize,
    tokens: usize,
    limited: bool,
    streamed: bool,
    usage: bool,
}

/// `POST /v1/chat/completions`.
pub(super) async fn chat(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Response {
    let messages = body.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
    let Some(messages) = messages else {
        return error(StatusCode::BAD_REQUEST, "BadRequestError", "messages: Field required");
    };
    let prompt: Vec<&str> = messages.iter().filter_map(|message| message.get("content")).flat_map(words).collect();
    answer(engine, true, &prompt, &body).await
}

/// `POST /v1/completions`.
pub(super) async fn completion(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Response {
    let Some(prompt) = body.get("prompt") else {
        return error(StatusCode::BAD_REQUEST, "BadRequestError", "prompt: Field required");
    };
    let prompt = words(prompt);
    answer(engine, false, &prompt, &body).await
}

/// `POST /v1/embeddings`.
pub(super) async fn embeddings(State(engine): State<Arc<Engine>>, Json(body): Json<Value>) -> Response {
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    if !engine.knows(model) {
        return unknown(model);
    }
    let input = body.get("input").cloned().unwrap_or_default();
    let texts = input.as_array().map_or(1, Vec::len);
    let data: Vec<Value> =
        (0..texts).map(|index| json!({"object": "embedding", "index": index, "embedding": vector(index)})).collect();
    let prompt = words(&input).len();
    let usage = json!({"prompt_tokens": prompt, "total_tokens": prompt, "completion_tokens": 0});
    Json(json!({"id": "embd-1", "object": "list", "created": 1_700_000_000, "model": model, "data": data, "usage": usage}))
        .into_response()
}

/// Words of all texts in a value, at least one; the look-alike's tokens.
fn words(value: &Value) -> Vec<&str> {
    let mut found: Vec<&str> = match value {
        Value::String(text) => text.split_whitespace().collect(),
        Value::Array(parts) => parts.iter().flat_map(|part| words(part.get("text").unwrap_or(part))).collect(),
        _ => Vec::new(),
    };
    if found.is_empty() {
        found.push("");
    }
    found
}

fn unknown(model: &str) -> Response {
    error(StatusCode::NOT_FOUND, "NotFoundError", &format!("The model `{model}` does not exist."))
}

async fn answer(engine: Arc<Engine>, chat: bool, words: &[&str], body: &Value) -> Response {
    let prompt = words.len();
    let model = body.get("model").and_then(Value::as_str).unwrap_or_default();
    if !engine.knows(model) {
        return unknown(model);
    }
    let most = ["max_completion_tokens", "max_tokens"].iter().find_map(|name| body.get(*name)?.as_u64());
    let most = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    if prompt.saturating_add(most.unwrap_or(1)) > engine.context {
        let message = format!(
            "This model's maximum context length is {} tokens. However, you requested {} output tokens and your prompt \
             contains {prompt} input tokens. Please reduce the length of the input prompt or the number of requested output \
             tokens.",
            engine.context,
            most.unwrap_or(1)
        );
        return error(StatusCode::BAD_REQUEST, "BadRequestError", &message);
    }
    let asked = Asked {
        tokens: most.unwrap_or(engine.settings.tokens),
        limited: most.is_some(),
        chat,
        model: model.to_owned(),
        prompt,
        cached: engine.prefixes.as_ref().map_or(0, |prefixes| prefixes.read(words)),
        streamed: body.get("stream") == Some(&json!(true)),
        usage: body.pointer("/stream_options/include_usage") == Some(&json!(true)),
        engine,
    };
    let seat = Seat::take(Arc::clone(&asked.engine)).await;
    if asked.streamed { asked.stream(seat) } else { asked.whole(seat).await }
}

/// A request's place in the batch, while it lasts.
struct Seat(Arc<Engine>);

impl Seat {
    async fn take(engine: Arc<Engine>) -> Self {
        let waiting = Waiting::begin(&engine);
        // It is closed by nobody.
        if let Ok(permit) = engine.seats.acquire().await {
            permit.forget();
        }
        drop(waiting);
        engine.metrics.running.fetch_add(1, Relaxed);
        Self(engine)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.metrics.running.fetch_sub(1, Relaxed);
        self.0.seats.add_permits(1);
    }
}

/// Counts a request that waits, also when its client leaves meanwhile.
struct Waiting<'a>(&'a Engine);

impl<'a> Waiting<'a> {
    fn begin(engine: &'a Engine) -> Self {
        engine.metrics.waiting.fetch_add(1, Relaxed);
        Self(engine)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.metrics.waiting.fetch_sub(1, Relaxed);
    }
}

impl Asked {
    fn token(&self, index: usize) -> String {
        match index.checked_sub(1) {
            None => self.engine.settings.host.clone(),
            Some(index) => format!(" {}", WORDS.get(index % WORDS.len()).copied().unwrap_or_default()),
        }
    }

    fn finish(&self) -> &'static str {
        if self.limited { "length" } else { "stop" }
    }

    fn usage(&self) -> Value {
        let details = self.engine.tells_cached.then(|| json!({"cached_tokens": self.cached}));
        json!({"prompt_tokens": self.prompt, "completion_tokens": self.tokens, "total_tokens": self.prompt + self.tokens,
               "prompt_tokens_details": details})
    }

    fn frame(&self, object: &str, choices: &Value) -> Value {
        let kind = if self.chat { "chatcmpl" } else { "cmpl" };
        json!({"id": format!("{kind}-{}", self.engine.settings.host), "object": object, "created": 1_700_000_000,
               "model": self.model, "choices": choices, "system_fingerprint": self.engine.settings.host})
    }

    fn count(&self) {
        let metrics = &self.engine.metrics;
        let add = |counter: &std::sync::atomic::AtomicU64, number: usize| {
            counter.fetch_add(number as u64, Relaxed);
        };
        add(&metrics.prompt_tokens, self.prompt);
        if self.engine.prefixes.is_some() {
            add(&metrics.prefix_queries, self.prompt);
            add(&metrics.prefix_hits, self.cached);
        }
        add(&metrics.generation_tokens, self.tokens);
        let [stop, length] = &metrics.success;
        add(if self.limited { length } else { stop }, 1);
    }

    async fn whole(self, seat: Seat) -> Response {
        let mut text = String::new();
        for index in 0..self.tokens {
            tokio::time::sleep(self.engine.settings.token).await;
            text += &self.token(index);
        }
        let (object, choice) = if self.chat {
            let message = json!({"role": "assistant", "content": text, "refusal": null, "tool_calls": []});
            (
                "chat.completion",
                json!({"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish()}),
            )
        } else {
            ("text_completion", json!({"index": 0, "text": text, "logprobs": null, "finish_reason": self.finish()}))
        };
        let mut answer = self.frame(object, &json!([choice]));
        if let Some(members) = answer.as_object_mut() {
            members.insert("usage".to_owned(), self.usage());
        }
        self.count();
        drop(seat);
        Json(answer).into_response()
    }

    /// Event number `step`: the role, the tokens, the end, the usage, the last line. `None` past that.
    fn event(&self, step: usize) -> Option<String> {
        let object = if self.chat { "chat.completion.chunk" } else { "text_completion" };
        let piece = |text: Option<String>, finish: Option<&str>| {
            let choice = match (self.chat, text) {
                (true, None) => {
                    json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": finish})
                }
                (true, Some(text)) => {
                    json!({"index": 0, "delta": {"content": text}, "logprobs": null, "finish_reason": finish})
                }
                (false, text) => json!({"index": 0, "text": text.unwrap_or_default(), "finish_reason": finish}),
            };
            Some(self.frame(object, &json!([choice])).to_string())
        };
        match step {
            0 => piece(None, None),
            step if step <= self.tokens => piece(Some(self.token(step - 1)), None),
            step if step == self.tokens + 1 => piece(Some(String::new()), Some(self.finish())),
            step if step == self.tokens + 2 && self.usage => {
                let mut chunk = self.frame(object, &json!([]));
                if let Some(members) = chunk.as_object_mut() {
                    members.insert("usage".to_owned(), self.usage());
                }
                Some(chunk.to_string())
            }
            step if step == self.tokens + 2 + usize::from(self.usage) => Some("[DONE]".to_owned()),
            _ => None,
        }
    }

    fn stream(self, seat: Seat) -> Response {
        let events = stream::unfold((self, seat, 0), async |(asked, seat, step)| {
            if (1..=asked.tokens).contains(&step) {
                tokio::time::sleep(asked.engine.settings.token).await;
            }
            let Some(event) = asked.event(step) else {
                asked.count();
                return None;
            };
            Some((
                Ok::<_, std::convert::Infallible>(Bytes::from(format!("data: {event}\n\n"))),
                (asked, seat, step + 1),
            ))
        });
        ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(events)).into_response()
    }
}
