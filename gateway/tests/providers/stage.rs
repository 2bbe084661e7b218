//! A strict upstream that speaks a provider's dialect, a gateway with one model on it, and a client.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway, Upstream,
    client::{Reply, Rest},
    gateway::Setup,
    manifest::{self, Manifest},
    provider::Dialect,
    sse::Event,
    upstream::Demands,
};

/// The client's key.
pub(crate) const ALICE: &str = "sk-alice-0123456789abcdef";
/// The upstream's key: must never be seen by a client.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-fedcba9876543210";
/// The public model.
pub(crate) const MODEL: &str = "public-name";
const CHAT: &str = "/v1/chat/completions";

/// Upstream and gateway.
pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

impl Stage {
    /// A model of `spec.provider.type: kind` that is called `model` at the upstream.
    pub(crate) async fn new(kind: &str, model: &str, dialect: &'static dyn Dialect) -> Self {
        Self::with(kind, model, dialect, |model| model).await
    }

    /// The same with a changed model.
    pub(crate) async fn with(
        kind: &str,
        model: &str,
        dialect: &'static dyn Dialect,
        edit: impl FnOnce(Manifest) -> Manifest,
    ) -> Self {
        Self::under("", kind, model, dialect, edit).await
    }

    /// The same where the base URL has this path.
    pub(crate) async fn under(
        base: &str,
        kind: &str,
        model: &str,
        dialect: &'static dyn Dialect,
        edit: impl FnOnce(Manifest) -> Manifest,
    ) -> Self {
        let upstream = Demands::default().speaks(dialect).api_key(UPSTREAM_KEY).start().await;
        let model = manifest::provider(kind, MODEL, &format!("{}{base}", upstream.root()))
            .with("provider.model", model)
            // A failure that is scripted is the one that the client sees.
            .with("retry", json!({"attempts": 0}))
            .with("provider.credentials", json!({"secretRef": {"name": "upstream", "key": "api-key"}}));
        let objects =
            [edit(model), manifest::secret("upstream", "api-key", UPSTREAM_KEY), manifest::key("alice", ALICE)];
        let gateway = Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway")).manifests(&objects).start().await;
        Self { upstream, gateway }
    }

    /// A client with a key.
    pub(crate) fn alice(&self) -> Client {
        self.gateway.client().with_key(ALICE)
    }

    /// A client's POST.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Reply {
        let reply = self.alice().post(path, body).await;
        assert!(!reply.text().contains(UPSTREAM_KEY), "{reply:?}");
        reply
    }

    /// A chat that goes well.
    pub(crate) async fn chat(&self, body: &Value) -> Value {
        let reply = self.post(CHAT, body).await;
        assert_eq!(reply.status, 200, "{reply:?}; the upstream saw {:?}", self.upstream.log().last());
        reply.json()
    }

    /// A chat that fails: status and `error`.
    pub(crate) async fn failure(&self, body: &Value) -> (u16, Value) {
        let reply = self.post(CHAT, body).await;
        (reply.status, reply.json()["error"].clone())
    }

    /// The chunks of a stream that ends well.
    pub(crate) async fn stream(&self, body: &Value) -> Vec<Value> {
        let Rest { events, clean } = self.stream_raw(body).await;
        assert!(clean, "{events:?}");
        let (done, chunks) = events.split_last().unwrap();
        assert_eq!(done.data, "[DONE]");
        chunks.iter().map(Event::json).collect()
    }

    /// A stream, however it ends.
    pub(crate) async fn stream_raw(&self, body: &Value) -> Rest {
        let streaming = self.alice().stream(CHAT, body).await;
        assert_eq!(streaming.status, 200, "{:?}", self.upstream.log().last());
        streaming.rest().await
    }

    /// What the upstream was sent last.
    pub(crate) fn sent(&self) -> Value {
        self.upstream.log().pop().unwrap().json()
    }
}

/// A chat request.
pub(crate) fn chat() -> Value {
    json!({"model": MODEL, "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]})
}

/// The request with one member set.
pub(crate) fn with(mut request: Value, member: &str, value: Value) -> Value {
    request[member] = value;
    request
}

/// A conversation in which a tool was called, and its tool.
pub(crate) fn with_tools() -> Value {
    json!({
        "model": MODEL,
        "messages": [
            {"role": "user", "content": "Weather in Oslo and Bergen?"},
            {"role": "assistant", "content": "I will look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Oslo\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Bergen\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "5 C"},
            {"role": "tool", "tool_call_id": "call_2", "content": "{\"c\":7}"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "get_weather", "description": "Weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        }}],
    })
}

/// The text of chunks.
pub(crate) fn text(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}
