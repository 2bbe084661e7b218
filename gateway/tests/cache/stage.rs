//! One upstream, one model that caches, two keys of a team.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway, Upstream,
    client::Reply,
    gateway::Setup,
    manifest::{self, Manifest},
    upstream::Demands,
};

pub(crate) const ALICE: &str = "sk-alice-0123456789abcdef";
pub(crate) const BOB: &str = "sk-bob-0123456789abcdef";
pub(crate) const MODEL: &str = "gpt-test";
pub(crate) const CHAT: &str = "/v1/chat/completions";

pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

/// The model, with these settings of its cache.
pub(crate) fn model(upstream: &Upstream, cache: Value) -> Manifest {
    let price = json!({"inputPerMillion": "1.00", "outputPerMillion": "2.00"});
    manifest::model(MODEL, &upstream.url()).with("cache", cache).with("price", price)
}

/// Two keys.
pub(crate) fn keys() -> [Manifest; 2] {
    let key = |name, key| manifest::key(name, key).with("subject", json!({"team": "ml"}));
    [key("alice", ALICE), key("bob", BOB)]
}

/// The gateway's binary with nothing configured.
pub(crate) fn setup() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway"))
}

impl Stage {
    /// With this cache.
    pub(crate) async fn new(cache: Value) -> Self {
        Self::with(cache, &[]).await
    }

    /// With more objects.
    pub(crate) async fn with(cache: Value, more: &[Manifest]) -> Self {
        let upstream = Demands::default().start().await;
        let gateway = setup().manifests(&[model(&upstream, cache)]).manifests(&keys()).manifests(more).start().await;
        Self { upstream, gateway }
    }

    /// With a cache that keeps answers for an hour, each key its own.
    pub(crate) async fn plain() -> Self {
        Self::new(json!({"enabled": true})).await
    }

    pub(crate) fn alice(&self) -> Client {
        self.gateway.client().with_key(ALICE)
    }

    pub(crate) fn bob(&self) -> Client {
        self.gateway.client().with_key(BOB)
    }

    /// How often the upstream was asked.
    pub(crate) fn asked(&self) -> usize {
        self.upstream.log().len()
    }
}

/// A chat request.
pub(crate) fn chat(text: &str) -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": text}]})
}

/// The request with one member set.
pub(crate) fn with(mut request: Value, member: &str, value: Value) -> Value {
    request[member] = value;
    request
}

/// The request with this control of the cache.
pub(crate) fn cache(request: Value, control: Value) -> Value {
    with(request, "cache", control)
}

/// Whether a good answer was a kept one.
pub(crate) fn is_hit(reply: &Reply) -> bool {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let hit = reply.header("x-litellm-cache-hit").is_some();
    assert_eq!(reply.header("x-litellm-cache-key").is_some(), hit);
    assert_eq!(reply.header("age").is_some(), hit);
    hit
}

/// Asks and says whether the answer was a kept one.
pub(crate) async fn ask(client: &Client, body: &Value) -> bool {
    is_hit(&client.post(CHAT, body).await)
}
