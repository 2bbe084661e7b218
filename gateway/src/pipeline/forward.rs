//! Which headers pass through the gateway, both ways. Allow-lists: what is not named here stays.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers of the client that reach the upstream: tracing, and switches of OpenAI's and Anthropic's APIs.
const REQUEST: [HeaderName; 6] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("openai-beta"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("accept-language"),
];

/// Headers of the upstream that reach the client under `llm_provider-`, as users of LiteLLM read them.
const RESPONSE: [(HeaderName, HeaderName); 5] = [
    (HeaderName::from_static("x-request-id"), HeaderName::from_static("llm_provider-x-request-id")),
    (HeaderName::from_static("request-id"), HeaderName::from_static("llm_provider-request-id")),
    (HeaderName::from_static("openai-processing-ms"), HeaderName::from_static("llm_provider-openai-processing-ms")),
    (HeaderName::from_static("openai-version"), HeaderName::from_static("llm_provider-openai-version")),
    (HeaderName::from_static("retry-after"), HeaderName::from_static("llm_provider-retry-after")),
];

/// Rate limits of the upstream pass under their own names.
const RATE_LIMITS: [&str; 2] = ["x-ratelimit-", "anthropic-ratelimit-"];

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// What providers say to be left of their rates: of requests, of tokens.
static REMAINING: [[HeaderName; 2]; 2] = [
    [
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderName::from_static("anthropic-ratelimit-requests-remaining"),
    ],
    [
        HeaderName::from_static("x-ratelimit-remaining-tokens"),
        HeaderName::from_static("anthropic-ratelimit-tokens-remaining"),
    ],
];

const TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
const TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
/// Longest call id taken from a client.
const MAX_CALL_ID: usize = 256;

/// The upstream's headers with what this client may add to them.
pub fn request(template: &HeaderMap, client: &HeaderMap) -> HeaderMap {
    let mut headers = template.clone();
    for name in REQUEST {
        if let Some(value) = client.get(&name)
            && !headers.contains_key(&name)
        {
            headers.insert(name, value.clone());
        }
    }
    headers
}

/// The headers of a call that goes on as it is: what its body is, and which version of the API it means.
pub fn passed(template: &HeaderMap, client: &HeaderMap, is_empty: bool) -> HeaderMap {
    let mut headers = request(template, client);
    for name in [header::ACCEPT, ANTHROPIC_VERSION] {
        if let Some(value) = client.get(&name)
            && !headers.contains_key(&name)
        {
            headers.insert(name, value.clone());
        }
    }
    match client.get(header::CONTENT_TYPE) {
        _ if is_empty => headers.remove(header::CONTENT_TYPE),
        Some(kind) => headers.insert(header::CONTENT_TYPE, kind.clone()),
        None => None,
    };
    headers
}

/// What the client of a pass-through may see of the upstream's headers beside [`response`]: how a file is called.
pub fn described(upstream: &HeaderMap, shown: &mut HeaderMap) {
    if let Some(value) = upstream.get(header::CONTENT_DISPOSITION) {
        shown.insert(header::CONTENT_DISPOSITION, value.clone());
    }
}

/// Sets a header that the adapter wants. A list of features is joined with the client's own.
pub fn add(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    let joined = headers.get(&name).filter(|_| name == "anthropic-beta").and_then(|own| {
        let list = [own.as_bytes(), b",", value.as_bytes()].concat();
        HeaderValue::from_bytes(&list).ok()
    });
    headers.insert(name, joined.unwrap_or(value));
}

/// Adds what the client may see of the upstream's headers.
pub fn response(upstream: &HeaderMap, shown: &mut HeaderMap) {
    for (name, value) in upstream {
        if RATE_LIMITS.iter().any(|prefix| name.as_str().starts_with(prefix)) {
            shown.insert(name.clone(), value.clone());
        } else if let Some((_, alias)) = RESPONSE.iter().find(|(known, _)| known == name) {
            shown.insert(alias.clone(), value.clone());
        }
    }
}

/// What the upstream says to be left of its rates, of requests and of tokens.
pub fn remaining(upstream: &HeaderMap) -> [Option<u64>; 2] {
    let number = |name: &HeaderName| upstream.get(name)?.to_str().ok()?.trim().parse().ok();
    REMAINING.each_ref().map(|spellings| spellings.iter().find_map(number))
}

/// The client's own time limit, seconds in `x-litellm-timeout`.
pub fn timeout(client: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = client.get(&TIMEOUT)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero())
}

/// Whether there are any in `x-litellm-tags`.
pub fn has_tags(client: &HeaderMap) -> bool {
    client.contains_key(&TAGS)
}

/// Tags in `x-litellm-tags`, separated by commas.
pub fn tags(client: &HeaderMap) -> Vec<Box<str>> {
    let text = client.get(&TAGS).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(Into::into).collect()
}

/// The client's own call id, if it may stand in a log and a header.
pub fn call_id(client: &HeaderMap) -> Option<&str> {
    let id = client.get(&CALL_ID)?.to_str().ok()?;
    (!id.is_empty() && id.len() <= MAX_CALL_ID).then_some(id)
}

/// Text as a header's value; empty where it cannot be one.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
