//! The poller against a server that follows a script, good or bad.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use turnpike_bundle::Report;
use turnpike_operator::{
    gateways::{
        Tokens,
        ask::Asker,
        poll::{FORGET_AFTER, Poller},
    },
    kit::ask::MAX_BODY,
};

type Reports = mpsc::Receiver<(String, Option<Arc<Report>>)>;

/// A server whose answers the test gives one by one, and the poller that asks it.
struct Scene {
    listener: TcpListener,
    reports: Reports,
    tokens: watch::Sender<Tokens>,
    nudge: Arc<Notify>,
    tasks: JoinSet<()>,
}

fn tokens(current: &str, previous: Option<&str>) -> Tokens {
    Tokens { current: Some(current.to_owned()), previous: previous.map(str::to_owned) }
}

impl Scene {
    async fn new(known: Tokens) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let (tokens, watched) = watch::channel(known);
        let nudge = Arc::new(Notify::new());
        let (sender, reports) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let poller = Poller { asker: Asker::new(address, watched), nudge: Arc::clone(&nudge) };
        tasks.spawn(poller.run(sender, "uid-1".to_owned()));
        Self { listener, reports, tokens, nudge, tasks }
    }

    async fn connection(&self) -> TcpStream {
        timeout(Duration::from_secs(20), self.listener.accept()).await.unwrap().unwrap().0
    }

    /// The version in the next report; `None` = the last report is worth nothing any more.
    async fn version(&mut self) -> Option<u64> {
        let (uid, report) = timeout(Duration::from_secs(20), self.reports.recv()).await.unwrap().unwrap();
        assert_eq!(uid, "uid-1");
        report.map(|report| report.version)
    }
}

/// The head of the next request.
async fn request(connection: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn answer(connection: &mut TcpStream, status: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    // A client that has had enough closes early.
    let _ = connection.write_all(body).await;
}

fn report(state: &str, version: u64) -> Vec<u8> {
    let body = json!({"state": state, "oldestFormat": 1, "newestFormat": 1, "version": version, "shards": {}});
    body.to_string().into_bytes()
}

#[tokio::test]
async fn each_report_is_asked_for_after_the_one_before_on_one_connection() {
    let mut scene = Scene::new(tokens("sesame", None)).await;
    let mut connection = scene.connection().await;
    let head = request(&mut connection).await;
    assert!(head.starts_with("GET /bundle?after=&wait=30s HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: Bearer sesame\r\n"), "{head}");
    answer(&mut connection, "200 OK", &report("s1", 7)).await;
    assert_eq!(scene.version().await, Some(7));
    assert!(request(&mut connection).await.starts_with("GET /bundle?after=s1&wait=30s "));
    answer(&mut connection, "200 OK", &report("s2", 8)).await;
    assert_eq!(scene.version().await, Some(8));
    assert!(request(&mut connection).await.starts_with("GET /bundle?after=s2&wait=30s "));
}

#[tokio::test]
async fn a_gateway_with_the_token_before_is_asked_with_that() {
    let mut scene = Scene::new(tokens("new", Some("old"))).await;
    let mut connection = scene.connection().await;
    assert!(request(&mut connection).await.contains("Bearer new\r\n"));
    answer(&mut connection, "401 Unauthorized", b"").await;
    let mut connection = scene.connection().await;
    assert!(request(&mut connection).await.contains("Bearer old\r\n"));
    answer(&mut connection, "200 OK", &report("s1", 7)).await;
    assert_eq!(scene.version().await, Some(7));
}

#[tokio::test]
async fn a_new_token_is_tried_at_once() {
    let mut scene = Scene::new(Tokens::default()).await;
    assert!(timeout(Duration::from_millis(300), scene.listener.accept()).await.is_err(), "it came without a token");
    scene.tokens.send(tokens("sesame", None)).unwrap();
    let mut connection = scene.connection().await;
    request(&mut connection).await;
    answer(&mut connection, "200 OK", &report("s1", 7)).await;
    assert_eq!(scene.version().await, Some(7));
}

#[tokio::test]
async fn redirects_are_not_followed_and_other_answers_are_no_reports() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let redirect = format!("302 Found\r\nlocation: http://{}/bundle", elsewhere.local_addr().unwrap());
    let huge = vec![b' '; MAX_BODY + 1];
    let mut scene = Scene::new(tokens("sesame", None)).await;
    for (status, body) in [
        (redirect.as_str(), b"".as_slice()),
        ("500 Internal Server Error", b"{}"),
        ("200 OK", b"no json"),
        ("200 OK", &huge),
        ("401 Unauthorized", &report("s1", 1)),
    ] {
        let mut connection = scene.connection().await;
        request(&mut connection).await;
        answer(&mut connection, status, body).await;
        // Every one of them costs the connection, and is tried again after a pause.
        scene.nudge.notify_one();
    }
    let mut connection = scene.connection().await;
    request(&mut connection).await;
    answer(&mut connection, "200 OK", &report("s1", 7)).await;
    assert_eq!(scene.version().await, Some(7), "the first report is the first good one");
    assert!(timeout(Duration::from_millis(50), elsewhere.accept()).await.is_err(), "the redirect was followed");
}

#[tokio::test]
async fn a_connection_that_ends_is_opened_again() {
    let mut scene = Scene::new(tokens("sesame", None)).await;
    for version in 1..4 {
        let mut connection = scene.connection().await;
        request(&mut connection).await;
        answer(&mut connection, "200 OK", &report(&format!("s{version}"), version)).await;
        assert_eq!(scene.version().await, Some(version));
    }
    // Half an answer.
    let mut connection = scene.connection().await;
    request(&mut connection).await;
    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{").await.unwrap();
    drop(connection);
    let mut connection = scene.connection().await;
    request(&mut connection).await;
    answer(&mut connection, "200 OK", &report("s9", 9)).await;
    assert_eq!(scene.version().await, Some(9));
}

#[tokio::test]
async fn a_gateway_that_is_gone_for_ten_seconds_has_said_nothing() {
    let mut scene = Scene::new(tokens("sesame", None)).await;
    let mut connection = scene.connection().await;
    request(&mut connection).await;
    answer(&mut connection, "200 OK", &report("s1", 7)).await;
    assert_eq!(scene.version().await, Some(7));
    let address = scene.listener.local_addr().unwrap();
    drop((connection, scene.listener));
    tokio::time::pause();
    let start = Instant::now();
    let (_, forgotten) = scene.reports.recv().await.unwrap();
    assert_eq!(forgotten, None);
    assert!(start.elapsed() >= FORGET_AFTER && start.elapsed() < FORGET_AFTER * 2, "{:?}", start.elapsed());
    tokio::time::resume();
    // It is back: all of its state is asked for, not only what is new.
    let listener = TcpListener::bind(address).await.unwrap();
    scene.nudge.notify_one();
    let (mut connection, _) = listener.accept().await.unwrap();
    assert!(request(&mut connection).await.starts_with("GET /bundle?after=&"));
    answer(&mut connection, "200 OK", &report("s1", 7)).await;
    assert_eq!(scene.reports.recv().await.unwrap().1.unwrap().version, 7);
    drop(scene.tasks);
}

#[tokio::test]
async fn a_gateway_that_repeats_itself_at_once_is_not_asked_in_a_hurry() {
    let mut scene = Scene::new(tokens("sesame", None)).await;
    let mut connection = scene.connection().await;
    for _ in 0..2 {
        request(&mut connection).await;
        answer(&mut connection, "200 OK", &report("s1", 7)).await;
        assert_eq!(scene.version().await, Some(7));
    }
    assert!(timeout(Duration::from_millis(500), request(&mut connection)).await.is_err());
    assert!(timeout(Duration::from_secs(20), request(&mut connection)).await.is_ok());
}
