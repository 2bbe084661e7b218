//! Files that clients give by URL: fetched within bounds, and from where clients may have them from.

use axum::{Router, body::Body, response::Redirect, routing::get};
use http::header;
use tokio::net::TcpListener;
use turnpike_gateway::{
    pipeline::admit::Budget,
    upstream::{
        connect::{ConnectError, Connector, client_config},
        egress::Egress,
        fetch::{FetchError, Fetcher, File},
        proxy::ProxyVariables,
    },
};

/// More than one file may have.
const TOO_MUCH: usize = 21 * 1024 * 1024;

struct Site {
    base: String,
    buffered: Budget,
}

impl Site {
    async fn start() -> Self {
        let png = |bytes: Vec<u8>| ([(header::CONTENT_TYPE, "image/PNG; charset=binary")], Body::from(bytes));
        let router = Router::new()
            .route("/cat.png", get(move || async move { png(b"meow".to_vec()) }))
            .route("/here/moved.png", get(|| async { Redirect::temporary("../cat.png") }))
            .route("/moved.png", get(|| async { Redirect::permanent("/cat.png") }))
            .route("/inner.png", get(|| async { Redirect::temporary("http://169.254.169.254/latest/meta-data") }))
            .route("/loop.png", get(|| async { Redirect::temporary("/loop.png") }))
            .route("/page", get(|| async { ([(header::CONTENT_TYPE, "application/json")], "{}") }))
            .route("/huge.png", get(move || async move { png(vec![0; TOO_MUCH]) }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, buffered: Budget::new(64 * 1024 * 1024, "bytes") }
    }

    async fn fetch(&self, path: &str, allow: &[&str]) -> Result<File, FetchError> {
        let allow = allow.iter().map(|range| range.parse().unwrap()).collect();
        let config = client_config(&[] as &[&str]).unwrap();
        let connector = Connector::new(Egress::Public { allow }, &ProxyVariables::default(), config).unwrap();
        Fetcher::new(connector, self.buffered.clone()).fetch(&format!("{}{path}", self.base)).await
    }
}

const LOOPBACK: &[&str] = &["127.0.0.0/8"];

#[tokio::test]
async fn a_file_comes_with_its_type_and_is_counted_while_it_is_held() {
    let site = Site::start().await;
    for path in ["/cat.png", "/moved.png", "/here/moved.png"] {
        let file = site.fetch(path, LOOPBACK).await.unwrap();
        assert_eq!((file.media_type.as_str(), &file.bytes[..]), ("image/png", &b"meow"[..]), "{path}");
        assert_eq!(site.buffered.used(), 4, "{path}");
        drop(file);
        assert_eq!(site.buffered.used(), 0, "{path}");
    }
}

#[tokio::test]
async fn inner_addresses_are_refused_at_first_and_behind_a_redirect() {
    let site = Site::start().await;
    let refused = |result: Result<File, FetchError>| matches!(result, Err(FetchError::Connect(ConnectError::Refused)));
    assert!(refused(site.fetch("/cat.png", &[]).await), "loopback, which nobody allowed");
    assert!(refused(site.fetch("/inner.png", LOOPBACK).await), "a redirect to the metadata service");
}

#[tokio::test]
async fn what_is_too_large_or_no_medium_or_nowhere_is_refused() {
    let site = Site::start().await;
    assert!(matches!(site.fetch("/huge.png", LOOPBACK).await, Err(FetchError::TooLarge)));
    assert!(matches!(site.fetch("/page", LOOPBACK).await, Err(FetchError::Type(kind)) if kind == "application/json"));
    assert!(matches!(site.fetch("/nothing", LOOPBACK).await, Err(FetchError::Status(status)) if status == 404));
    assert!(matches!(site.fetch("/loop.png", LOOPBACK).await, Err(FetchError::Redirects)));
    assert_eq!(site.buffered.used(), 0);
}

#[tokio::test]
async fn no_room_is_told_as_such() {
    let site = Site { buffered: Budget::new(3, "bytes"), ..Site::start().await };
    assert!(matches!(site.fetch("/cat.png", LOOPBACK).await, Err(FetchError::Busy)));
    assert_eq!(site.buffered.used(), 0);
}
