//! What probes and scrapers are told.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::watch;
use tower::ServiceExt;
use turnpike_operator::{
    health::{Health, Readiness, router},
    metrics::Metrics,
};

async fn get(readiness: Readiness, path: &str) -> (StatusCode, String) {
    let health = Health { readiness: watch::channel(readiness).1, metrics: Arc::new(Metrics::new().unwrap()) };
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router(health).oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn readiness_says_why_not_and_health_and_metrics_answer_all_the_same() {
    let blocked = || Readiness::Blocked("the CRD x is not installed".to_owned());
    assert_eq!(get(Readiness::Ready, "/readyz").await.0, StatusCode::OK);
    assert_eq!(get(Readiness::Starting, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    let (status, why) = get(blocked(), "/readyz").await;
    assert_eq!((status, why.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the CRD x is not installed\n"));
    assert_eq!(get(blocked(), "/healthz").await.0, StatusCode::OK, "a restart would not help");
    let (status, text) = get(blocked(), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("turnpike_operator_leader 0"), "{text}");
}
