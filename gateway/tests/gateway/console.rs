//! The console of a standalone gateway: the facts of its pages are those of the gateway that serves them.

use bytes::Bytes;
use http::Method;
use serde_json::json;
use turnpike_testkit::{
    Client, Gateway, Script, Upstream,
    gateway::ADMIN_KEY,
    manifest::{self, Manifest},
    postgres,
    wait::eventually,
};

use crate::stage::{ALICE, CHAT, chat, setup};

/// A price that makes 1 USD of a request of the scripted upstream, give or take.
fn priced(name: &str, upstream: &Upstream) -> Manifest {
    manifest::model(name, &upstream.url())
        .with("modelName", "gpt-test")
        .with("price", json!({"inputPerMillion": "10000", "outputPerMillion": "10000"}))
        .with("retry", json!({"attempts": 0}))
}

/// Somebody who has signed in.
struct Person {
    client: Client,
    cookie: String,
}

impl Person {
    async fn sign_in(gateway: &Gateway) -> Self {
        let client = gateway.client();
        let form = client.request(Method::POST, "/ui/sign-in").body(Bytes::from(format!("key={ADMIN_KEY}"))).unwrap();
        let reply = client.send(form).await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/ui")), "{}", reply.text());
        let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { client, cookie }
    }

    /// A page, its white space made one.
    async fn sees(&self, path: &str) -> String {
        let request = self.client.request(Method::GET, path).header("cookie", &self.cookie).body(Bytes::new()).unwrap();
        let reply = self.client.send(request).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.text().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until a page says all of this; returns it.
    async fn finds(&self, path: &str, wanted: &[&str]) -> String {
        eventually(&format!("{path} says {wanted:?}"), || async {
            let page = self.sees(path).await;
            wanted.iter().all(|wanted| page.contains(wanted)).then_some(page)
        })
        .await
    }
}

#[tokio::test]
async fn the_page_of_models_tells_who_is_left_alone_for_how_long_and_why() {
    let (well, ill) = (Upstream::start().await, Upstream::start().await);
    ill.always("ill", Script::error(500, "it broke", "server_error"));
    let models = [
        manifest::model("well", &well.url())
            .with("health", json!({"active": true, "interval": "1s"}))
            .with("limits", json!({"rpm": 1200})),
        manifest::model("ill", &ill.url())
            .with("retry", json!({"attempts": 0}))
            .with("health", json!({"active": false, "allowedFails": 1, "cooldown": "1h"})),
        manifest::model("split", &well.url()).without("provider").with(
            "route",
            json!({"targets": [{"modelRef": {"name": "well"}, "weight": 9}, {"modelRef": {"name": "ill"}}]}),
        ),
        manifest::key("alice", ALICE),
    ];
    let broken = "apiVersion: turnpike.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {name: broken}\nspec: {}\n";
    let gateway = setup().manifests(&models).file("broken.yaml", broken).start().await;
    let person = Person::sign_in(&gateway).await;
    let first = person.finds("/ui/models", &["probe answered"]).await;
    assert!(!first.contains("Cooling down") && first.contains("1,200 requests/min"), "{first}");
    assert!(first.contains("ModelDeployment default/broken") && first.contains("Next step:"), "{first}");
    assert!(first.contains("<code>default/well</code> weight 9, priority 0"), "{first}");
    for _ in 0..2 {
        let asked = json!({"model": "ill", "messages": [{"role": "user", "content": "hi"}]});
        let failed = gateway.client().with_key(ALICE).post(CHAT, &asked).await;
        assert_eq!(failed.status, 500, "{}", failed.text());
    }
    let page = person.finds("/ui/models", &["Cooling down, ", "requests failed"]).await;
    let (_, row) = page.split_once("data-model=\"default/ill\"").unwrap();
    assert!(row.contains(" min") && row.contains("not probed"), "{row}");
    assert!(person.sees("/ui").await.contains("1 of 2</span> backends take requests"));
}

#[tokio::test]
async fn money_that_was_spent_is_on_the_pages_of_budgets_keys_and_requests() {
    let upstream = Upstream::start().await;
    let objects = [
        priced("paid", &upstream),
        manifest::key("alice", ALICE)
            .with("subject", json!({"team": "ml"}))
            .with("budget", json!([{"window": "Lifetime", "usd": "50"}])),
        manifest::budget("all", &json!({"window": "Month", "type": "Rolling", "usd": "1000"})),
        manifest::budget("daily", &json!({"window": "Day", "usd": "2000"})),
    ];
    let gateway = setup().manifests(&objects).start().await;
    let person = Person::sign_in(&gateway).await;
    let reply = gateway.client().with_key(ALICE).post(CHAT, &chat()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let id = reply.header("x-litellm-call-id").unwrap().to_owned();
    let page = person.finds("/ui/requests", &[&id]).await;
    let (_, row) = page.split_once(&id).unwrap();
    let cost = row.split_once('$').unwrap().1.split_once('<').unwrap().0.to_owned();
    assert_ne!(cost, "0.00");
    let cost = format!("${cost}");
    person
        .finds(
            "/ui/budgets",
            &["default/all", &format!("{cost} of $1,000.00"), "any month", "of $2,000.00", "each day, UTC"],
        )
        .await;
    let keys = person.finds("/ui/keys", &["default/alice", &format!("{cost} of $50.00"), "for ever"]).await;
    assert!(keys.contains(&format!("{cost}<span class=\"sub\">1 requests")), "{keys}");
    assert!(!keys.contains(ALICE) && !keys.contains(&manifest::sha256(ALICE)), "no key, and no hash of one");
    let (_, link) = page.split_once("href=\"/ui/requests/").unwrap();
    let one = person.sees(&format!("/ui/requests/{}", link.split_once('"').unwrap().0)).await;
    assert!(one.contains("answered the client") && one.contains(&cost), "{one}");
    let overview = person.sees("/ui").await;
    // In the chart, whatever the time of day.
    assert!(overview.contains(&format!(": {cost}, 1 requests, 0 failed")), "{overview}");
    for (search, found) in [("status=failure", false), ("model=gpt-test", true), ("key=vk_none", false)] {
        assert_eq!(person.sees(&format!("/ui/requests?{search}")).await.contains(&id), found, "{search}");
    }
    assert!(person.sees(&format!("/ui/requests?request={id}&model=default%2Fpaid")).await.contains(&id));
}

#[tokio::test]
async fn every_attempt_of_a_request_is_on_its_page() {
    let upstream = Upstream::start().await;
    upstream.next(Script::error(503, "it is busy", "server_error"));
    let paid = priced("paid", &upstream).with("retry", json!({"attempts": 1}));
    let gateway = setup().manifests(&[paid, manifest::key("alice", ALICE)]).start().await;
    let person = Person::sign_in(&gateway).await;
    let reply = gateway.client().with_key(ALICE).post(CHAT, &chat()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let page = person.finds("/ui/requests", &["2 attempts"]).await;
    assert_eq!(page.matches("<tr>").count(), 2, "a row of heads, and one request: {page}");
    let (_, link) = page.split_once("href=\"/ui/requests/").unwrap();
    let one = person.sees(&format!("/ui/requests/{}", link.split_once('"').unwrap().0)).await;
    for part in ["failed; another followed", "answered the client", "503", ">200<"] {
        assert!(one.contains(part), "{part}: {one}");
    }
}

#[tokio::test]
async fn the_admin_key_opens_the_console_and_no_other_key_does() {
    let upstream = Upstream::start().await;
    let gateway = setup().manifests(&[priced("paid", &upstream), manifest::key("alice", ALICE)]).start().await;
    let client = gateway.client();
    for form in [format!("key={ALICE}"), "key=".to_owned(), String::new()] {
        let request = client.request(Method::POST, "/ui/sign-in").body(Bytes::from(form.clone())).unwrap();
        let reply = client.send(request).await;
        assert_eq!((reply.status, reply.header("set-cookie")), (401, None), "{form}");
    }
    for client in [gateway.admin(), client.with_key(ALICE)] {
        let reply = client.get("/ui/models").await;
        assert_eq!((reply.status, reply.header("location")), (303, Some("/ui/sign-in")));
    }
    let reply = client.get("/ui/unknown").await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn sessions_hold_on_every_runtime() {
    let upstream = Upstream::start().await;
    let gateway = setup().manifests(&[priced("paid", &upstream)]).arg("--runtimes=3").start().await;
    let person = Person::sign_in(&gateway).await;
    for _ in 0..12 {
        // Each on a connection of its own.
        person.sees("/ui/models").await;
    }
}

#[tokio::test]
async fn with_postgresql_budgets_are_told_and_the_log_is_not() {
    let (upstream, database) = (Upstream::start().await, postgres::database().await);
    let objects = [
        priced("paid", &upstream),
        manifest::key("alice", ALICE),
        manifest::budget("all", &json!({"window": "Month", "type": "Rolling", "requests": 70})),
    ];
    let setup = setup().manifests(&objects).arg("--database-url").arg(&database);
    let gateway = setup.start().await;
    let person = Person::sign_in(&gateway).await;
    let reply = gateway.client().with_key(ALICE).post(CHAT, &chat()).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    person.finds("/ui/budgets", &["default/all", "1 of 70 requests"]).await;
    assert!(!person.sees("/ui/keys").await.contains("30 days"));
    assert!(person.sees("/ui").await.contains("keeps its spend log in PostgreSQL"));
    let request = person.client.request(Method::GET, "/ui/requests").header("cookie", &person.cookie);
    let reply = person.client.send(request.body(Bytes::new()).unwrap()).await;
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("litellm_logs"), "{}", reply.text());
}
