//! What probes and the operator are told.

use std::sync::Arc;

use axum::{Router, body::Body, response::Response};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use turnpike_bundle::report::{FailingCredential, Rejected};
use turnpike_gateway::{
    internal::{Health, Internal, Loaded, router},
    metrics::Metrics,
};
use turnpike_ledger::spend_log::{SpendRow, SpendStore, SpendWriter, StoreError, WriterOptions};

struct Discard;

impl SpendStore for Discard {
    async fn append(&mut self, rows: &[SpendRow]) -> Result<u64, StoreError> {
        Ok(rows.len() as u64)
    }
}

/// The writer is handed back because it stops when dropped.
fn internal() -> (Router, Arc<Health>, SpendWriter) {
    let health = Arc::new(Health::default());
    let (spend, writer) = SpendWriter::start(Discard, WriterOptions::default()).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    (router(Internal { metrics, health: Arc::clone(&health), spend, unhealthy: Arc::default() }, None), health, writer)
}

fn loaded() -> Loaded {
    Loaded { generation: 3, hash: "abc".to_owned(), loaded_at: 1_763_719_200, problems: Vec::new() }
}

async fn text(response: Response) -> (StatusCode, String) {
    let (head, body) = response.into_parts();
    (head.status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    text(router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()).await
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn ready_from_the_first_snapshot_and_an_open_listener_until_shutdown() {
    let health = Health::default();
    assert!(!health.is_ready());
    assert_eq!(health.summary().status(), StatusCode::SERVICE_UNAVAILABLE);
    health.loaded(loaded());
    assert!(health.is_ready());
    assert_eq!(health.summary().status(), StatusCode::SERVICE_UNAVAILABLE, "nobody can connect yet");
    health.open();
    let (status, body) = text(health.summary()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(parse(&body), json!({"status": "healthy", "db": "connected", "problems": 0}));
    health.close();
    assert_eq!(health.summary().status(), StatusCode::SERVICE_UNAVAILABLE);
    // Those who have not heard yet are served.
    assert!(health.is_ready());
}

#[tokio::test]
async fn the_detail_names_the_configuration_and_the_spend_store() {
    let (router, health, _writer) = internal();
    let (status, body) = get(&router, "/health/readiness").await;
    assert_eq!((status, &parse(&body)["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("starting")));
    health.loaded(loaded());
    health.open();
    health.rejected(vec![Rejected { part: "models-00".to_owned(), reason: "torn".to_owned() }]);
    health.failing(vec![FailingCredential { digest: "d".to_owned(), since: 5, reason: "sts answered 403".to_owned() }]);
    let (status, body) = get(&router, "/health/readiness").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        parse(&body),
        json!({
            "status": "healthy",
            "config": {"generation": 3, "hash": "abc", "loaded_at": 1_763_719_200, "problems": []},
            "rejected": [{"part": "models-00", "reason": "torn"}],
            "failing_credentials": [{"digest": "d", "since": 5, "reason": "sts answered 403"}],
            "unhealthy_backends": [],
            "spend": {"backlog": 0, "free": 32_768, "written": 0, "failure": null},
        })
    );
    health.rejected(Vec::new());
    let (_, body) = get(&router, "/health/readiness").await;
    assert_eq!(parse(&body)["rejected"], json!([]));
}

#[tokio::test]
async fn without_a_bundle_nothing_is_said_of_one() {
    let (router, health, _writer) = internal();
    health.loaded(loaded());
    assert_eq!(get(&router, "/bundle").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn alive_and_scraped_before_any_configuration() {
    let (router, _, _writer) = internal();
    assert_eq!(get(&router, "/health/liveness").await, (StatusCode::OK, r#""I'm alive!""#.to_owned()));
    let (status, body) = get(&router, "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("# TYPE turnpike_in_flight_requests gauge\n"), "{body}");
}
