//! Requests that take more than one attempt: retries, fallbacks, and what they cost.

mod budgets;
mod fallbacks;
mod hedges;
mod mirrors;
mod retries;
mod wishes;

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway, Script, Upstream,
    manifest::{self, Manifest},
    spend::rows,
    upstream::Usage,
};

use crate::stage::{ALICE, CHAT, chat, setup, with};

/// One upstream with several models behind one gateway.
struct Cast {
    upstream: Upstream,
    gateway: Gateway,
}

impl Cast {
    /// `objects` are models of the upstream.
    async fn new(objects: impl FnOnce(&Upstream) -> Vec<Manifest>) -> Self {
        let upstream = Upstream::start().await;
        let mut objects = objects(&upstream);
        objects.push(manifest::key("alice", ALICE));
        let gateway = setup().manifests(&objects).start().await;
        Self { upstream, gateway }
    }

    fn alice(&self) -> Client {
        self.gateway.client().with_key(ALICE)
    }

    /// The columns of the spend log's rows, in the order of attempts.
    async fn rows(&self, columns: &[&str], count: usize) -> Vec<Value> {
        rows(&self.gateway.database(), ("spend", "started_at_us, attempt"), columns, count).await
    }

    /// Models asked so far.
    fn asked(&self) -> Vec<String> {
        let model = |body: &Value| body["model"].as_str().unwrap_or_default().to_owned();
        self.upstream.log().iter().map(|request| model(&request.json())).collect()
    }
}

/// A model of the upstream under its own name, whose token costs 1,000 nano-USD.
fn model(name: &str, upstream: &Upstream) -> Manifest {
    manifest::model(name, &upstream.url()).with("price", json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"}))
}

/// A model that is asked once and then gives way to others.
fn primary(upstream: &Upstream, fallbacks: &Value) -> Manifest {
    model("primary", upstream).with("retry", json!({"attempts": 0})).with("fallbacks", fallbacks.clone())
}

fn asking(model: &str) -> Value {
    with(chat(), "model", json!(model))
}

fn broken() -> Script {
    Script::error(500, "it broke", "server_error")
}

/// An answer that uses so many tokens.
fn using(prompt: u64, completion: u64) -> Script {
    Script::chat("Hi").usage(Usage { prompt, completion, cached: 0, reasoning: 0 })
}
