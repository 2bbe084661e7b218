//! The line of a finished request.

use turnpike_gateway::{
    record::Record,
    telemetry::{LogFormat, access::with_line},
};

use crate::finished::{key, model, refused, served, snapshot};

fn line(format: LogFormat, record: &Record) -> String {
    with_line(format, record, |line| String::from_utf8(line.to_vec()).unwrap())
}

#[test]
fn json() {
    let line = line(LogFormat::Json, &served(&snapshot(vec![model("gpt")], vec![key("a")]), "a", "gpt"));
    assert_eq!(
        line,
        concat!(
            r#"{"timestamp":"2025-11-21T10:00:01.500000Z","level":"INFO","message":"request","request_id":"req-1","#,
            r#""key_id":"vk_a","operation":"chat","requested_model":"gpt","model":"llm/gpt","upstream_model":"up-gpt","#,
            r#""stream":true,"status":200,"outcome":"success","prompt_tokens":1000,"completion_tokens":200,"#,
            r#""cached_tokens":100,"cost_usd":0.001500000,"ttft_ms":40.000,"latency_ms":1500.000,"#,
            r#""upstream_ms":1497.000,"target":"access"}"#,
            "\n"
        )
    );
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
}

#[test]
fn text() {
    let line = line(LogFormat::Text, &refused(&snapshot(vec![model("gpt")], vec![key("a")]), "a", "nope"));
    assert_eq!(
        line,
        "2025-11-21T10:00:00.001000Z  INFO access: request request_id=req-1 key_id=vk_a operation=chat \
         requested_model=nope stream=false status=404 outcome=model_not_found latency_ms=1.000\n"
    );
}

#[test]
fn numbers_and_clocks_of_every_size() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let cases = [
        (1_763_719_200_000_001, 7, 0, ("2025-11-21T10:00:00.000008Z", "0.007", "0.000000000")),
        (1_763_719_200_999_990, 9, 1, ("2025-11-21T10:00:00.999999Z", "0.009", "0.000000001")),
        (1_763_719_200_999_990, 10, -2_500_000_000, ("2025-11-21T10:00:01.000000Z", "0.010", "-2.500000000")),
        (1_763_719_200_999_990, 1_000, i64::MAX, ("2025-11-21T10:00:01.000990Z", "1.000", "9223372036.854775807")),
        (-1_000_001, 0, i64::MIN, ("1969-12-31T23:59:58.999999Z", "0.000", "-9223372036.854775808")),
    ];
    for (started_at_us, total, cost, (timestamp, latency, usd)) in cases {
        let total = std::time::Duration::from_micros(total);
        let record = Record { started_at_us, total, cost: Some(cost), ..served(&snapshot, "a", "gpt") };
        let line = line(LogFormat::Text, &record);
        assert!(line.starts_with(&format!("{timestamp}  INFO ")), "{line}");
        assert!(
            line.contains(&format!(" cost_usd={usd} ")) && line.contains(&format!(" latency_ms={latency} ")),
            "{line}"
        );
    }
}

#[test]
fn no_client_can_forge_a_line_or_make_it_long() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let hostile = format!("x\n{{\"level\":\"ERROR\"}} \u{1b}[2J {}", "y".repeat(10_000));
    let record = Record { requested_model: hostile.as_str().into(), ..served(&snapshot, "a", "gpt") };
    for format in [LogFormat::Json, LogFormat::Text] {
        let line = line(format, &record);
        assert_eq!(line.matches('\n').count(), 1, "{line}");
        assert!(!line.contains('\u{1b}') && line.len() < 1200, "{line}");
    }
    let parsed: serde_json::Value = serde_json::from_str(&line(LogFormat::Json, &record)).unwrap();
    assert_eq!(parsed.get("requested_model").and_then(|name| name.as_str()), hostile.get(..256));
}

#[test]
fn neither_prompts_nor_metadata_are_logged() {
    let snapshot = snapshot(vec![model("gpt")], vec![key("a")]);
    let record = Record {
        metadata: Some(bytes::Bytes::from_static(br#"{"secret":"s3cr3t"}"#)),
        end_user: Some("s3cr3t".into()),
        tags: vec!["s3cr3t".into()],
        ..served(&snapshot, "a", "gpt")
    };
    for format in [LogFormat::Json, LogFormat::Text] {
        assert!(!line(format, &record).contains("s3cr3t"));
    }
}
