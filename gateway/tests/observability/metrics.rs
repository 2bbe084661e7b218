//! Numbers, labels, and how many series there can be.

use std::time::Duration;

use http::StatusCode;
use turnpike_gateway::{
    metrics::{Metrics, Polled},
    record::{End, Record},
};
use turnpike_llm::{error::ErrorClass, provider::Operation};

use crate::finished::{key, model, refused, served, snapshot};

/// The value of the one series of `name` that has all `labels`.
#[track_caller]
fn value(text: &str, name: &str, labels: &[&str]) -> f64 {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let found: Vec<_> =
        text.lines().filter(of_name).filter(|line| labels.iter().all(|label| line.contains(label))).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:#?}\n{text}");
    found.first().unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

fn series(text: &str, label: &str) -> usize {
    text.lines().filter(|line| line.contains(label)).count()
}

#[test]
fn one_request_counts_under_every_name() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let metrics = Metrics::new().unwrap();
    metrics.observe(&served(&snapshot, "a", "gpt"));
    metrics.observe(&served(&snapshot, "a", "gpt-alias"));
    let text = metrics.render();

    let of_key = [
        r#"hashed_api_key="vk_a""#,
        r#"api_key_alias="a""#,
        r#"team="search""#,
        r#"user="ada""#,
        r#"requested_model="gpt""#,
        r#"model="up-gpt""#,
        r#"model_id="llm/gpt""#,
        r#"api_provider="openai""#,
    ];
    for (name, expected) in [
        ("litellm_requests_metric_total", 2.0),
        ("litellm_spend_metric_total", 0.003),
        ("litellm_total_tokens_metric_total", 2400.0),
        ("litellm_input_tokens_metric_total", 2000.0),
        ("litellm_output_tokens_metric_total", 400.0),
        ("litellm_input_cached_tokens_metric_total", 200.0),
        ("litellm_input_cache_creation_tokens_metric_total", 68.0),
        ("litellm_output_reasoning_tokens_metric_total", 100.0),
    ] {
        assert!((value(&text, name, &of_key) - expected).abs() < 1e-9, "{name}");
    }
    let total = "litellm_proxy_total_requests_metric_total";
    assert!(value(&text, total, &[r#"status_code="200""#, r#"route="/v1/chat/completions""#]) > 1.9);
    for (name, expected) in [
        ("litellm_tokens_total", 2000.0),
        ("gen_ai_client_token_usage_sum", 2000.0),
        ("gen_ai_client_token_usage_count", 2.0),
    ] {
        assert!((value(&text, name, &[r#"type="input""#]) - expected).abs() < 1e-9, "{name}");
    }
    let gen_ai = [
        r#"gen_ai_operation_name="chat""#,
        r#"gen_ai_provider_name="openai""#,
        r#"gen_ai_request_model="gpt""#,
        r#"gen_ai_response_model="up-gpt""#,
    ];
    for (name, expected) in
        [("gen_ai_server_request_duration_seconds_sum", 3.0), ("gen_ai_server_time_to_first_token_seconds_sum", 0.08)]
    {
        assert!((value(&text, name, &gen_ai) - expected).abs() < 1e-9, "{name}");
    }
    for (name, expected) in [
        ("litellm_request_total_latency_metric_sum", 3.0),
        ("litellm_request_duration_seconds_sum", 3.0),
        ("litellm_llm_api_latency_metric_sum", 2.994),
        ("litellm_llm_api_time_to_first_token_metric_sum", 0.08),
        ("litellm_overhead_latency_metric_sum", 0.006),
        ("litellm_spend_total", 0.003),
        ("litellm_requests_total", 2.0),
    ] {
        assert!((value(&text, name, &[]) - expected).abs() < 1e-9, "{name}");
    }
}

#[test]
fn buckets_are_cumulative_and_include_their_bound() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let metrics = Metrics::new().unwrap();
    for total in [5, 6, 1000, 700_000] {
        metrics.observe(&Record { total: Duration::from_millis(total), ..served(&snapshot, "a", "gpt") });
    }
    let text = metrics.render();
    let buckets: Vec<_> = ["0.005", "0.01", "1", "600", "+Inf"]
        .map(|bound| value(&text, "litellm_request_duration_seconds_bucket", &[&format!(r#"le="{bound}""#)]))
        .into();
    assert_eq!(buckets, [1.0, 2.0, 3.0, 3.0, 4.0]);
}

#[test]
fn failures_are_told_apart_by_cause() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let metrics = Metrics::new().unwrap();
    let end = End::Upstream(ErrorClass::RateLimit);
    metrics.observe(&Record { end, status: StatusCode::TOO_MANY_REQUESTS, ..served(&snapshot, "a", "gpt") });
    metrics.observe(&Record { end: End::Cancelled, ..served(&snapshot, "a", "gpt") });
    metrics.refused(Operation::Chat, StatusCode::UNAUTHORIZED, "invalid_api_key");
    let text = metrics.render();
    let failed = "litellm_proxy_failed_requests_metric_total";
    let limited = [r#"exception_status="429""#, r#"exception_class="RateLimitError""#];
    assert!((value(&text, failed, &limited) - 1.0).abs() < 1e-9);
    let nobody = [r#"exception_status="401""#, r#"exception_class="invalid_api_key""#, r#"hashed_api_key="""#];
    assert!((value(&text, failed, &nobody) - 1.0).abs() < 1e-9);
    assert_eq!(series(&text, "litellm_proxy_failed_requests_metric_total{"), 2);
    assert!((value(&text, "litellm_errors_total", &[r#"error_type="upstream_rate_limit""#]) - 1.0).abs() < 1e-9);
    assert!((value(&text, "litellm_deployment_total_requests_total", &[]) - 2.0).abs() < 1e-9);
    assert!(!text.contains("litellm_deployment_success_responses_total{"));
}

#[test]
fn clients_cannot_make_series() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let metrics = Metrics::new().unwrap();
    for n in 0..100 {
        metrics.observe(&refused(&snapshot, "a", &format!("made-up-{n}")));
        let record = Record { end_user: Some(format!("user-{n}").into()), ..served(&snapshot, "a", "gpt") };
        metrics.observe(&Record { request_id: format!("id-{n}").into(), ..record });
    }
    let text = metrics.render();
    assert_eq!(series(&text, "made-up") + series(&text, "user-") + series(&text, "id-"), 0);
    let unknown = value(&text, "litellm_requests_metric_total", &[r#"requested_model="unknown""#]);
    assert!((unknown - 100.0).abs() < 1e-9);
    assert_eq!(series(&text, "litellm_requests_metric_total{"), 2);
}

#[test]
fn a_reload_keeps_counts_and_drops_what_is_gone() {
    let before = snapshot(vec![model("gpt"), model("old")], vec![key("a"), key("bb")]);
    let metrics = Metrics::new().unwrap();
    metrics.config_loaded(&before, 0, 1);
    for (key, name) in [("a", "gpt"), ("bb", "gpt"), ("a", "old")] {
        metrics.observe(&served(&before, key, name));
    }
    assert!(series(&metrics.render(), "vk_bb") > 0);

    let after = snapshot(vec![model("gpt")], vec![key("a")]);
    metrics.config_loaded(&after, 2, 5);
    // Both were still running at the reload: one may go on counting, the other leaves nothing behind.
    metrics.observe(&served(&before, "bb", "old"));
    metrics.observe(&served(&after, "a", "gpt"));
    metrics.render();
    let text = metrics.render();
    assert_eq!((series(&text, "vk_bb"), series(&text, "old")), (0, 0), "{text}");
    let kept = value(&text, "litellm_requests_metric_total", &[r#"hashed_api_key="vk_a""#]);
    assert!((kept - 2.0).abs() < 1e-9);
    // What follows models only still has the calls of the deleted key.
    assert!((value(&text, "litellm_requests_total", &[]) - 3.0).abs() < 1e-9);
}

#[test]
fn configuration_and_polled_numbers() {
    let metrics = Metrics::new().unwrap();
    metrics.poll(Polled::InFlight, || 7);
    metrics.poll(Polled::SpendBacklog, || 8);
    metrics.poll(Polled::SpendWritten, || 9);
    metrics.poll(Polled::LogLinesDropped, || 10);
    metrics.poll(Polled::LedgerOverdrawn, || 1_250_000_000);
    metrics.config_loaded(&snapshot(vec![model("gpt")], vec![key("a")]), 3, 1_763_719_200);
    metrics.config_rejected();
    metrics.render();
    let text = metrics.render();
    for (name, labels, expected) in [
        ("turnpike_in_flight_requests", "", 7.0),
        ("litellm_in_flight_requests", "", 7.0),
        ("turnpike_spend_backlog_rows", "", 8.0),
        ("turnpike_spend_rows_written_total", "", 9.0),
        ("turnpike_log_lines_dropped_total", "", 10.0),
        ("turnpike_ledger_overdrawn_usd_total", "", 1.25),
        ("turnpike_config_problems", "", 3.0),
        ("turnpike_config_last_success_timestamp_seconds", "", 1_763_719_200.0),
        ("turnpike_config_reloads_total", r#"result="success""#, 1.0),
        ("turnpike_config_reloads_total", r#"result="failure""#, 1.0),
        ("turnpike_build_info", concat!(r#"version=""#, env!("CARGO_PKG_VERSION"), r#"""#), 1.0),
    ] {
        assert!((value(&text, name, &[labels]) - expected).abs() < 1e-9, "{name}");
    }
    assert!(value(&text, "process_resident_memory_bytes", &[]) > 0.0);
}

#[test]
fn threads_count_together() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let metrics = Metrics::new().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| metrics.observe(&served(&snapshot, "a", "gpt"))));
        }
    });
    assert!((value(&metrics.render(), "litellm_requests_total", &[]) - 4000.0).abs() < 1e-9);
}
