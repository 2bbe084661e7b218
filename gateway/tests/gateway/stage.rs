//! The usual cast: one upstream with a key of its own, one gateway with a model on it and a client's key.

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway, Upstream,
    gateway::Setup,
    manifest::{self, Manifest},
    upstream::Demands,
};

/// The client's key.
pub(crate) const ALICE: &str = "sk-alice-0123456789abcdef";
/// The upstream's key: must never be seen by a client.
pub(crate) const UPSTREAM_KEY: &str = "sk-upstream-fedcba9876543210";
/// The public model.
pub(crate) const MODEL: &str = "gpt-test";
/// Its name at the upstream.
pub(crate) const UPSTREAM_MODEL: &str = "upstream-gpt";
/// Where most tests go.
pub(crate) const CHAT: &str = "/v1/chat/completions";

/// The gateway's binary with nothing configured.
pub(crate) fn setup() -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway"))
}

/// A strict upstream.
pub(crate) async fn upstream() -> Upstream {
    Demands::default().api_key(UPSTREAM_KEY).start().await
}

/// The model under another public name. It is asked once: what a failure is answered with is seen.
pub(crate) fn model(name: &str, upstream: &Upstream) -> Manifest {
    manifest::model(name, &upstream.url())
        .with("retry", json!({"attempts": 0}))
        .with("provider.model", UPSTREAM_MODEL)
        .with("provider.credentials", credentials())
}

/// A reference to the Secret that [`secret`] makes.
pub(crate) fn credentials() -> Value {
    json!({"secretRef": {"name": "upstream", "key": "api-key"}})
}

/// The Secret with the upstream's key.
pub(crate) fn secret() -> Manifest {
    manifest::secret("upstream", "api-key", UPSTREAM_KEY)
}

/// Upstream and gateway.
pub(crate) struct Stage {
    pub(crate) upstream: Upstream,
    pub(crate) gateway: Gateway,
}

impl Stage {
    /// The usual cast.
    pub(crate) async fn new() -> Self {
        Self::with(|setup, _| setup).await
    }

    /// The usual cast with a changed setup.
    pub(crate) async fn with(change: impl FnOnce(Setup, &Upstream) -> Setup) -> Self {
        Self::with_model(|model| model, change).await
    }

    /// The usual cast with a changed model and setup.
    pub(crate) async fn with_model(
        edit: impl FnOnce(Manifest) -> Manifest,
        change: impl FnOnce(Setup, &Upstream) -> Setup,
    ) -> Self {
        let upstream = upstream().await;
        let objects = [edit(model(MODEL, &upstream)), secret(), manifest::key("alice", ALICE)];
        let gateway = change(setup().manifests(&objects), &upstream).start().await;
        Self { upstream, gateway }
    }

    /// A client with the usual key.
    pub(crate) fn alice(&self) -> Client {
        self.gateway.client().with_key(ALICE)
    }

    /// Waits until no request holds a permit.
    pub(crate) async fn settles(&self) {
        self.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
    }

    /// The gateway still serves: the last word of every test of a failure.
    pub(crate) async fn still_serves(&self) {
        self.settles().await;
        assert_eq!(self.alice().post(CHAT, &chat()).await.status, 200);
    }
}

/// A chat request.
pub(crate) fn chat() -> Value {
    json!({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]})
}

/// A streamed chat request that does not ask for usage.
pub(crate) fn streamed() -> Value {
    with(chat(), "stream", json!(true))
}

/// A streamed chat request that asks for usage.
pub(crate) fn streamed_with_usage() -> Value {
    with(streamed(), "stream_options", json!({"include_usage": true}))
}

/// The request with one member set.
pub(crate) fn with(mut request: Value, member: &str, value: Value) -> Value {
    request[member] = value;
    request
}
