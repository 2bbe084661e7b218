//! Gateways that share a database and an upstream, and many clients.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use turnpike_testkit::{
    Client, Gateway, Script, Upstream,
    gateway::Setup,
    manifest::{self, Manifest},
    spend::postgres_json,
    upstream::{Demands, Usage},
    wait::eventually,
};

pub(crate) const KEY: &str = "sk-fleet-0123456789abcdef";
pub(crate) const CHAT: &str = "/v1/chat/completions";
/// Tokens of completion that the models use, by name.
const MODELS: [(&str, u64); 3] = [("small", 500), ("medium", 2_000), ("large", 4_500)];

/// Gateways, and what they share.
pub(crate) struct Fleet {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) upstream: Upstream,
    pub(crate) database: String,
}

/// What clients saw.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: AtomicUsize,
    pub(crate) refused: AtomicUsize,
    /// The store took too long to say what is left: clients try again, as SDKs do.
    pub(crate) unavailable: AtomicUsize,
    /// None of these.
    pub(crate) failed: AtomicUsize,
}

/// The models: 1 USD per million tokens either way, so that a token costs 1,000 nano-USD.
async fn upstream() -> (Upstream, Vec<Manifest>) {
    let upstream = Demands::default().start().await;
    let models = MODELS.map(|(name, completion)| {
        let usage = Usage { prompt: 50, completion, cached: 0, reasoning: 0 };
        upstream.always(name, Script::chat("Hi").usage(usage).stops_in_time());
        let price = json!({"inputPerMillion": "1.00", "outputPerMillion": "1.00"});
        manifest::model(name, &upstream.url()).with("price", price)
    });
    (upstream, models.into())
}

impl Fleet {
    /// So many gateways, each serving `objects` and three models of different thirst.
    pub(crate) async fn new(count: usize, database: String, objects: &[Manifest]) -> Self {
        Self::with(count, database, objects, &[]).await
    }

    /// The same with further arguments.
    pub(crate) async fn with(count: usize, database: String, objects: &[Manifest], arguments: &[&str]) -> Self {
        let (upstream, models) = upstream().await;
        let mut gateways = Vec::new();
        for _ in 0..count {
            let setup = Setup::new(env!("CARGO_BIN_EXE_turnpike-gateway")).manifests(&models).manifests(objects);
            let setup = setup.arg("--log=warn").arg("--database-url").arg(&database);
            let setup = arguments.iter().fold(setup, |setup, argument| setup.arg(argument));
            gateways.push(setup.start().await);
        }
        Self { gateways, upstream, database }
    }

    pub(crate) fn client(&self, number: usize) -> Client {
        self.gateways.get(number % self.gateways.len()).unwrap().client().with_key(KEY)
    }

    /// Many clients at once, each calling until it was refused twice in a row; then one after another until every gateway
    /// refuses with nothing in flight. Each asks for at most so many tokens.
    pub(crate) async fn exhaust(&self, clients: usize, most: u64) -> Arc<Tally> {
        self.exhaust_by(clients, move |number| request(number, most)).await
    }

    /// The same with requests of all kinds; streams of every third client are left in their midst.
    pub(crate) async fn exhaust_by(
        &self,
        clients: usize,
        body: impl Fn(usize) -> Value + Copy + Send + 'static,
    ) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        let tasks: Vec<_> = (0..clients)
            .map(|number| {
                let (client, tally) = (self.client(number), Arc::clone(&tally));
                tokio::spawn(async move {
                    let mut refusals = 0;
                    while refusals < 2 {
                        let answered = tally.count(&client, &body(number), number % 3 == 0).await;
                        refusals = if answered { 0 } else { refusals + 1 };
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        for number in 0..self.gateways.len() {
            while tally.count(&self.client(number), &body(0), false).await {}
        }
        tally
    }

    /// What the spend log says: nano-USD, rows with a cost, and rows in all.
    pub(crate) async fn spent(&self) -> (i64, i64, i64) {
        self.log().await.unwrap()
    }

    /// The same; `None` = there is no log yet.
    async fn log(&self) -> Option<(i64, i64, i64)> {
        let sql = "select json_build_object('spent', coalesce(sum(cost_nano), 0), 'paid', count(cost_nano), \
                   'rows', count(*))::text from spend";
        let log = postgres_json(&self.database, sql).await?;
        let number = |name: &str| log[name].as_i64();
        Some((number("spent")?, number("paid")?, number("rows")?))
    }

    /// Waits until the log has a row of every attempt that the upstream saw.
    pub(crate) async fn all_booked(&self) {
        let seen = i64::try_from(self.upstream.log().len()).unwrap();
        eventually(&format!("{seen} paid rows"), || async { (self.log().await?.1 >= seen).then_some(()) }).await;
    }
}

impl Tally {
    /// Whether it is worth to go on. A stream may be left after its first event.
    async fn count(&self, client: &Client, body: &Value, leaves: bool) -> bool {
        let status = if body["stream"] == true {
            let mut stream = client.stream(CHAT, body).await;
            let status = stream.status;
            if leaves && status == 200 {
                stream.event().await.unwrap();
            } else {
                stream.rest().await;
            }
            status
        } else {
            client.post(CHAT, body).await.status
        };
        let counter = match status {
            200 => &self.answered,
            429 => &self.refused,
            503 => &self.unavailable,
            _ => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        // A store that never comes back ends the test, not the clients' patience.
        status == 200 || (status == 503 && self.unavailable.load(Ordering::Relaxed) < 5_000)
    }
}

/// A request of one of the models, for at most so many tokens.
pub(crate) fn request(number: usize, most: u64) -> Value {
    let (model, _) = MODELS.get(number % MODELS.len()).unwrap();
    json!({"model": model, "max_tokens": most, "messages": [{"role": "user", "content": "Hi"}]})
}

/// A key with a budget of its own.
pub(crate) fn key(limit: &Value) -> Manifest {
    manifest::key("fleet", KEY).with("budget", json!([limit]))
}
