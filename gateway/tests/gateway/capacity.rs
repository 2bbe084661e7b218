//! Requests that find all backends of a model full: they wait for the first that has room, in order and not for ever.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use turnpike_testkit::{
    Gateway, Script, Upstream,
    client::Reply,
    manifest::{self, Manifest},
    upstream::Gate,
};

use crate::stage::{ALICE, CHAT, setup};

/// Two backends, `one` and `two`, each with one place, and a gate that both wait at.
struct Full {
    upstream: Upstream,
    gateway: Gateway,
    gates: [Gate; 2],
}

impl Full {
    async fn new(wait: &str, change: impl FnOnce([Manifest; 2]) -> [Manifest; 2]) -> Self {
        let upstream = Upstream::start().await;
        let gates = [Gate::default(), Gate::default()];
        let backend = |name: &str| {
            manifest::model(name, &upstream.url())
                .with("provider.model", name)
                .with("limits", json!({"maxParallel": 1}))
                .with("retry", json!({"attempts": 0}))
        };
        for (name, gate) in ["one", "two"].iter().zip(&gates) {
            upstream.always(name, Script::chat("Hi").head_after(gate));
        }
        let mut objects = Vec::from(change([backend("one"), backend("two")]));
        objects.push(manifest::key("alice", ALICE));
        let gateway = setup().manifests(&objects).arg("--queue-wait").arg(wait).start().await;
        Self { upstream, gateway, gates }
    }

    fn ask(&self, model: &str, text: &str) -> JoinHandle<Reply> {
        let client = self.gateway.client().with_key(ALICE);
        let body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
        tokio::spawn(async move { client.post(CHAT, &body).await })
    }

    /// Takes both places.
    async fn fill(&self, model: &str) -> [JoinHandle<Reply>; 2] {
        let first = self.ask(model, "first");
        self.upstream.wait_for("the first request", |log| log.len() == 1).await;
        let second = self.ask(model, "second");
        self.upstream.wait_for("the second request", |log| log.len() == 2).await;
        [first, second]
    }

    /// Lets everything through.
    fn open(&self) {
        for gate in &self.gates {
            gate.open(10);
        }
    }

    /// Until so many requests wait, each of them at both backends.
    async fn queued(&self, count: f64) {
        for name in ["one", "two"] {
            let limit = format!("limit=\"ModelDeployment default/{name}\"");
            self.gateway.metric_is("turnpike_queued_requests", &limit, count).await;
        }
    }

    /// What the backends were asked, and in which order: the text, and the backend.
    fn asked(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let read = |body: Value| (text(&body["messages"][0]["content"]), text(&body["model"]));
        self.upstream.log().iter().map(|request| read(request.json())).collect()
    }
}

fn pool([one, two]: [Manifest; 2]) -> [Manifest; 2] {
    [one.with("modelName", "shared"), two.with("modelName", "shared")]
}

/// `two` answers what `one` cannot.
fn chain([one, two]: [Manifest; 2]) -> [Manifest; 2] {
    [one.with("fallbacks", json!([{"modelRef": {"name": "two"}, "on": ["RateLimit"]}])), two]
}

#[tokio::test]
async fn a_full_pool_is_waited_for_and_whoever_came_first_goes_first() {
    let full = Full::new("60s", pool).await;
    let [first, second] = full.fill("shared").await;
    let mut waiting = Vec::new();
    for (number, text) in ["a", "b", "c"].into_iter().enumerate() {
        waiting.push(full.ask("shared", text));
        full.queued(f64::from(u8::try_from(number + 1).unwrap())).await;
    }
    // Only the second backend answers, and then takes the next.
    full.gates[1].open(1);
    full.upstream.wait_for("the third request", |log| log.len() == 3).await;
    full.queued(2.0).await;
    full.gates[1].open(1);
    full.upstream.wait_for("the fourth request", |log| log.len() == 4).await;
    full.queued(1.0).await;
    full.gates[0].open(10);
    full.upstream.wait_for("the fifth request", |log| log.len() == 5).await;
    full.gates[1].open(10);
    for request in [first, second].into_iter().chain(waiting) {
        let reply = request.await.unwrap();
        assert_eq!((reply.status, reply.header("x-litellm-attempted-retries")), (200, Some("0")), "{}", reply.text());
    }
    let asked = full.asked();
    let order: Vec<_> = asked[2..].iter().map(|(text, backend)| (&**text, &**backend)).collect();
    // Whichever of the two the first request of all took, the other one is where the second one was.
    assert_eq!(order.iter().map(|(text, _)| *text).collect::<Vec<_>>(), ["a", "b", "c"], "{asked:?}");
    assert_eq!([order[0].1, order[1].1, order[2].1], ["two", "two", "one"], "{asked:?}");
    full.gateway.metric_is("turnpike_queued_requests", "", 0.0).await;
    full.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
}

#[tokio::test]
async fn a_wait_for_a_full_pool_ends_with_429_and_retry_after() {
    let full = Full::new("1s", pool).await;
    let taken = full.fill("shared").await;
    let began = Instant::now();
    let refused = full.ask("shared", "third").await.unwrap();
    assert_eq!((refused.status, refused.error_code()), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(began.elapsed() >= Duration::from_millis(950), "{:?}", began.elapsed());
    // One that leaves is in no queue any more.
    let leaves = full.ask("shared", "fourth");
    full.queued(1.0).await;
    leaves.abort();
    full.gateway.metric_is("turnpike_queued_requests", "", 0.0).await;
    full.open();
    for request in taken {
        assert_eq!(request.await.unwrap().status, 200);
    }
    assert_eq!(full.asked().len(), 2);
    assert_eq!(full.ask("shared", "fifth").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_model_whose_fallbacks_are_full_too_takes_the_first_of_all_that_has_room() {
    for (free, fallbacks) in [(0, "0"), (1, "1")] {
        let full = Full::new("60s", chain).await;
        let taken = full.fill("one").await;
        let third = full.ask("one", "third");
        full.queued(1.0).await;
        full.gates[free].open(10);
        let reply = third.await.unwrap();
        let served = format!("default/{}", ["one", "two"][free]);
        assert_eq!((reply.status, reply.header("x-litellm-model-id")), (200, Some(&*served)), "{}", reply.text());
        assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some(fallbacks));
        full.open();
        for request in taken {
            assert_eq!(request.await.unwrap().status, 200);
        }
    }
}

#[tokio::test]
async fn a_request_without_patience_is_refused_where_all_are_full() {
    let full = Full::new("0s", pool).await;
    let taken = full.fill("shared").await;
    let refused = full.ask("shared", "third").await.unwrap();
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    full.open();
    for request in taken {
        assert_eq!(request.await.unwrap().status, 200);
    }
}
