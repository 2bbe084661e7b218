//! What requests meet while an engine has no replica, and what the operator is told of it.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{net::TcpListener, time::Instant};
use turnpike_bundle::{
    Contents,
    entry::{Backend, ColdStart, EngineEntry},
    report::{Demand, Demands},
};
use turnpike_testkit::{
    Client, Script, Upstream,
    client::Reply,
    manifest::{self, Manifest},
    upstream::{self, Gate},
    wait::{eventually, within},
};

use super::{Pod, TOKEN, contents};
use crate::stage::{ALICE, CHAT, with};

const NAME: &str = "qwen";
const BOB: &str = "sk-bob-0123456789abcdef";
/// Longer than any test.
const LONG: u64 = 600_000;

/// An engine that does not run yet, and a gateway that knows of it.
struct Engine {
    pod: Pod,
    address: SocketAddr,
}

fn entry(cold_start: ColdStart, hold_ms: u64) -> EngineEntry {
    EngineEntry { cold_start, hold_ms, is_scaled: true, adapters: Vec::new() }
}

/// Has the model be an engine.
fn engine(mut contents: Contents, entry: &EngineEntry) -> Contents {
    for model in contents.models.iter_mut().filter(|model| model.object.name == NAME) {
        let Backend::Provider(provider) = &mut model.backend else { panic!("{NAME} has no provider") };
        provider.engine = Some(entry.clone());
    }
    contents
}

/// An address where nobody listens now.
async fn vacant() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn qwen(address: SocketAddr) -> Manifest {
    manifest::model(NAME, &format!("http://{address}/v1")).with("retry", json!({"attempts": 0}))
}

/// A mock that answers for the engine in such cases.
fn falling(model: Manifest, on: &[&str]) -> Manifest {
    model.with("fallbacks", json!([{"modelRef": {"name": "paid"}, "on": on}]))
}

impl Engine {
    async fn new(entry: &EngineEntry) -> Self {
        Self::with(entry, |model| vec![model]).await
    }

    async fn with(entry: &EngineEntry, objects: impl FnOnce(Manifest) -> Vec<Manifest>) -> Self {
        let address = vacant().await;
        let mut objects = objects(qwen(address));
        objects.push(manifest::key("alice", ALICE));
        Self { pod: Pod::new(&engine(contents(&objects), entry)).await, address }
    }

    /// With a fallback for these causes.
    async fn falling(entry: &EngineEntry, on: &[&str]) -> Self {
        Self::with(entry, |model| vec![falling(model, on), manifest::mock("paid", "from afar")]).await
    }

    fn alice(&self) -> Client {
        self.pod.alice()
    }

    async fn post(&self) -> Reply {
        self.alice().post(CHAT, &asking()).await
    }

    /// Its first replica.
    async fn start(&self) -> Upstream {
        upstream::Demands::default().at(self.address).models(&[NAME]).start().await
    }

    async fn demand(&self) -> Demand {
        demands(&self.pod).await.engines["default/qwen"]
    }

    async fn waiting(&self, count: u64) {
        eventually("so many wait", || async { (self.demand().await.waiting == count).then_some(()) }).await;
    }
}

fn asking() -> Value {
    json!({"model": NAME, "messages": [{"role": "user", "content": "Hi"}]})
}

async fn demands(pod: &Pod) -> Demands {
    let reply = pod.gateway.internal().with_key(TOKEN).get("/demand").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_slice(&reply.body).unwrap()
}

fn is_starting(reply: &Reply) {
    assert_eq!((reply.status, reply.error_code().as_str()), (503, "model_starting"), "{reply:?}");
    assert_eq!(reply.header("retry-after"), Some("20"));
    assert!(reply.text().contains("`qwen` is starting"), "{}", reply.text());
}

fn is_from_afar(reply: &Reply) {
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), Some("1"));
    assert_eq!(reply.header("x-litellm-model-id"), Some("default/paid"));
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "from afar");
}

#[tokio::test]
async fn requests_are_held_until_a_replica_answers() {
    let engine = Engine::new(&entry(ColdStart::Hold, LONG)).await;
    let (streamed, plain) = (with(asking(), "stream", json!(true)), asking());
    let (alice, bodies) = (engine.alice(), [&plain, &streamed, &plain]);
    let held = futures_util::future::join_all(bodies.map(|body| alice.post(CHAT, body)));
    let (replies, upstream) = futures_util::future::join(within("they are answered", held), async {
        engine.waiting(3).await;
        assert_eq!(engine.demand().await, Demand { in_flight: 0, waiting: 3, wanted: true });
        engine.start().await
    })
    .await;
    assert_eq!(replies.iter().map(|reply| reply.status).collect::<Vec<_>>(), [200, 200, 200], "{replies:?}");
    assert_eq!(replies[0].header("x-litellm-model-id"), Some("default/qwen"));
    assert_eq!(upstream.calls(), 3);
    engine.waiting(0).await;
}

#[tokio::test]
async fn a_hold_that_is_too_long_ends_with_a_refusal() {
    let engine = Engine::new(&entry(ColdStart::Hold, 300)).await;
    let began = Instant::now();
    let reply = engine.post().await;
    is_starting(&reply);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    assert_eq!(engine.demand().await, Demand { in_flight: 0, waiting: 0, wanted: true });
}

#[tokio::test]
async fn the_requests_own_time_limits_the_hold() {
    let engine = Engine::new(&entry(ColdStart::Hold, LONG)).await;
    let request = engine.alice().json(CHAT, &asking(), &[("x-litellm-timeout", "0.3")]);
    is_starting(&within("it is refused", engine.alice().send(request)).await);
}

#[tokio::test]
async fn after_a_hold_fallbacks_answer_whatever_they_call_a_model_that_does_not_work() {
    for on in ["ColdStart", "Error"] {
        let engine = Engine::falling(&entry(ColdStart::Hold, 200), &[on]).await;
        is_from_afar(&engine.post().await);
    }
    let engine = Engine::falling(&entry(ColdStart::Hold, 200), &["RateLimit", "ContextWindow"]).await;
    is_starting(&engine.post().await);
}

#[tokio::test]
async fn where_fallbacks_are_to_answer_nobody_waits_and_the_engine_is_wanted() {
    let engine = Engine::falling(&entry(ColdStart::Fallback, LONG), &["ColdStart"]).await;
    assert_eq!(engine.demand().await, Demand::default());
    is_from_afar(&within("it is answered", engine.post()).await);
    assert_eq!(engine.demand().await, Demand { in_flight: 0, waiting: 0, wanted: true });
    let upstream = engine.start().await;
    eventually("the engine answers itself", || async {
        (engine.post().await.header("x-litellm-model-id") == Some("default/qwen")).then_some(())
    })
    .await;
    assert!(upstream.calls() > 0);
}

#[tokio::test]
async fn where_requests_are_to_be_refused_fallbacks_do_not_answer() {
    let engine = Engine::falling(&entry(ColdStart::Reject, LONG), &["ColdStart", "Error"]).await;
    is_starting(&within("it is refused", engine.post()).await);
    assert!(engine.demand().await.wanted);
}

#[tokio::test]
async fn an_engine_that_demand_does_not_scale_is_not_waited_for() {
    let by_hand = EngineEntry { is_scaled: false, ..entry(ColdStart::Hold, LONG) };
    is_starting(&within("it is refused", Engine::new(&by_hand).await.post()).await);
    let engine = Engine::falling(&by_hand, &["Error"]).await;
    is_from_afar(&within("it is answered", engine.post()).await);
}

#[tokio::test]
async fn clients_that_leave_do_not_wait_any_more() {
    let engine = Engine::new(&entry(ColdStart::Hold, LONG)).await;
    {
        let alice = engine.alice();
        let asking = asking();
        let mut leaving = std::pin::pin!(alice.post(CHAT, &asking));
        tokio::select! {
            reply = &mut leaving => panic!("{reply:?}"),
            () = engine.waiting(1) => {}
        }
    }
    engine.waiting(0).await;
    engine.pod.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
}

#[tokio::test]
async fn what_changes_meanwhile_counts_for_those_who_wait() {
    let hold = entry(ColdStart::Hold, LONG);
    let mut waits = Engine::new(&hold).await;
    let (address, key) = (waits.address, manifest::key("alice", ALICE));
    // The key is suspended, and the engine answers.
    let alice = waits.alice();
    let asked = asking();
    let (reply, _upstream) = futures_util::future::join(alice.post(CHAT, &asked), async {
        waits.waiting(1).await;
        let suspended = key.clone().with("suspended", true);
        waits.pod.operator.publish(&engine(contents(&[qwen(address), suspended]), &hold));
        let bundle = waits.pod.operator.last.clone().unwrap();
        waits.pod.has(&bundle).await;
        assert_eq!(waits.demand().await.waiting, 1);
        waits.start().await
    })
    .await;
    assert_eq!((reply.status, reply.error_code().as_str()), (401, "suspended_api_key"), "{reply:?}");
    // The model goes.
    let mut waits = Engine::new(&hold).await;
    let alice = waits.alice();
    let (reply, ()) = futures_util::future::join(alice.post(CHAT, &asked), async {
        waits.waiting(1).await;
        waits.pod.operator.publish(&contents(&[key]));
    })
    .await;
    assert_eq!((reply.status, reply.error_code().as_str()), (404, "model_not_found"), "{reply:?}");
}

#[tokio::test]
async fn what_is_in_flight_is_told_and_only_to_the_operator() {
    let engine = Engine::new(&entry(ColdStart::Hold, LONG)).await;
    let internal = engine.pod.gateway.internal();
    assert_eq!(internal.get("/demand").await.status, 401);
    assert_eq!(internal.with_key("wrong").get("/demand").await.status, 401);
    let (upstream, gate) = (engine.start().await, Gate::default());
    upstream.next_for(NAME, Script::chat("Hi").head_after(&gate));
    let (reply, ()) = futures_util::future::join(engine.post(), async {
        upstream.wait_for("it is asked", |log| log.iter().any(|asked| asked.method == http::Method::POST)).await;
        assert_eq!(engine.demand().await, Demand { in_flight: 1, waiting: 0, wanted: true });
        gate.open(1);
    })
    .await;
    assert_eq!(reply.status, 200);
    eventually("nothing is in flight", || async { (engine.demand().await.in_flight == 0).then_some(()) }).await;
}

#[tokio::test]
async fn an_engine_is_wanted_where_others_answer_unless_they_come_first() {
    for (priority, wanted) in [(5, true), (10, true), (11, false)] {
        let hold = entry(ColdStart::Hold, LONG);
        let beside = |model: Manifest| {
            let other = manifest::mock("other", "here").with("modelName", NAME).with("priority", 10);
            vec![model.with("priority", priority), other]
        };
        let engine = Engine::with(&hold, beside).await;
        let reply = within("it is answered", engine.post()).await;
        assert_eq!(reply.header("x-litellm-model-id"), Some("default/other"), "{reply:?}");
        assert_eq!(engine.demand().await, Demand { in_flight: 0, waiting: 0, wanted }, "priority {priority}");
    }
}

#[tokio::test]
async fn a_stream_that_waits_is_kept_alive_and_then_answered_or_told_why_not() {
    let streamed = with(asking(), "stream", json!(true));
    let answered = async {
        let engine = Engine::new(&entry(ColdStart::Hold, LONG)).await;
        // Its head comes after 15 s, before there is an engine.
        let held = engine.alice().stream(CHAT, &streamed).await;
        assert_eq!(held.status, 200);
        assert!(held.headers.contains_key("x-request-id"), "{held:?}");
        assert_eq!(engine.demand().await.waiting, 1);
        let _upstream = engine.start().await;
        let rest = held.rest().await;
        assert!(rest.clean, "{rest:?}");
        assert_eq!(rest.events.last().unwrap().data, "[DONE]", "{rest:?}");
    };
    let refused = async {
        let engine = Engine::new(&entry(ColdStart::Hold, 16_000)).await;
        let rest = engine.alice().stream(CHAT, &streamed).await.rest().await;
        assert!(rest.clean, "{rest:?}");
        let error: Value = serde_json::from_str(&rest.events.last().unwrap().data).unwrap();
        assert_eq!(error["error"]["code"], "model_starting", "{rest:?}");
        engine.pod.gateway.metric_is("litellm_in_flight_requests", "", 0.0).await;
    };
    futures_util::future::join(answered, refused).await;
}

/// One at a time, were they under way: those that wait are not, and those that have given up are not either.
#[tokio::test]
async fn what_waits_holds_nothing_of_its_keys_limits() {
    let engine = Engine::with(&entry(ColdStart::Hold, 3000), |model| {
        let limits = json!({"maxParallel": 1, "perModel": [{"model": NAME, "rpm": 1}]});
        vec![model, manifest::mock("paid", "from afar"), manifest::key("bob", BOB).with("limits", limits)]
    })
    .await;
    let bob = engine.pod.gateway.client().with_key(BOB);
    let paid = with(asking(), "model", json!("paid"));
    let asking = asking();
    let held = futures_util::future::join_all((0..4).map(|_| bob.post(CHAT, &asking)));
    let (replies, ()) = futures_util::future::join(held, async {
        engine.waiting(4).await;
        let reply = bob.post(CHAT, &paid).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    })
    .await;
    replies.iter().for_each(is_starting);
    engine.waiting(0).await;
    let _upstream = engine.start().await;
    eventually("the only request of this minute is answered", || async {
        (bob.post(CHAT, &asking).await.status == 200).then_some(())
    })
    .await;
}
