//! The row of a finished request.

use bytes::Bytes;
use turnpike_gateway::{
    record::{End, Record},
    spend::row,
};
use turnpike_ledger::spend_log::{Attempt, EventId, SpendRow};
use turnpike_llm::error::ErrorClass;

use crate::finished::{key, model, refused, served, snapshot};

const EVENT: EventId = EventId { incarnation: uuid::Uuid::nil(), sequence: 9 };

fn one() -> Record {
    served(&snapshot(vec![model("gpt")], vec![key("a")]), "a", "gpt")
}

fn row_of(record: &Record, event: EventId) -> SpendRow {
    row(record, event, [].into())
}

#[test]
fn a_success_is_booked_to_its_key_with_all_tokens() {
    let expected = SpendRow {
        event: EVENT,
        started_at_us: 1_763_719_200_000_000,
        request_id: "req-1".into(),
        key_id: "vk_a".into(),
        team: Some("search".into()),
        user: Some("ada".into()),
        end_user: None,
        requested_model: "gpt".into(),
        model: Some("llm/gpt".into()),
        provider: Some("openai"),
        upstream_model: Some("up-gpt".into()),
        operation: "chat",
        stream: true,
        status: 200,
        outcome: "success",
        prompt_tokens: 1000,
        completion_tokens: 200,
        cached_tokens: 100,
        cache_write_tokens: 34,
        reasoning_tokens: 50,
        cost_nano: Some(1_500_000),
        estimated: false,
        first_byte_us: Some(40_000),
        latency_us: 1_500_000,
        upstream_us: Some(1_497_000),
        postings: [].into(),
        tags: Some(r#"["env:prod"]"#.into()),
        metadata: None,
        attempt: Attempt::default(),
    };
    assert_eq!(row_of(&one(), EVENT), expected);
}

#[test]
fn a_refusal_has_no_model_and_no_tokens() {
    let row = row_of(&refused(&snapshot(vec![model("gpt")], vec![key("a")]), "a", "nope"), EVENT);
    assert_eq!((row.model, row.provider, row.upstream_model), (None, None, None));
    assert_eq!((row.prompt_tokens, row.cost_nano, row.status), (0, None, 404));
    assert_eq!((&*row.requested_model, row.outcome), ("nope", "model_not_found"));
}

#[test]
fn every_end_has_its_word() {
    let outcome = |end| row_of(&Record { end, ..one() }, EVENT).outcome;
    assert_eq!(outcome(End::Cancelled), "cancelled");
    assert_eq!(outcome(End::Refused("duplicate_key")), "duplicate_key");
    assert_eq!(outcome(End::Upstream(ErrorClass::RateLimit)), "upstream_rate_limit");
    assert_eq!(outcome(End::Upstream(ErrorClass::ContextWindow)), "upstream_context_window");
}

#[test]
fn tags_of_the_key_come_before_those_of_the_request() {
    let row = row_of(&Record { tags: vec!["a\"b".into(), "c".into()], ..one() }, EVENT);
    assert_eq!(row.tags.as_deref(), Some(r#"["env:prod","a\"b","c"]"#));
}

#[test]
fn what_a_client_chooses_is_bounded() {
    let long = "é".repeat(1000);
    let record = Record {
        requested_model: long.as_str().into(),
        end_user: Some(long.as_str().into()),
        tags: (0..1000).map(|_| long.as_str().into()).collect(),
        metadata: Some(Bytes::from(format!(r#"{{"x":"{long}"}}"#))),
        ..one()
    };
    let kept = row_of(&record, EVENT);
    assert_eq!((kept.requested_model.len(), kept.end_user.unwrap().len()), (256, 256));
    assert!(kept.tags.unwrap().len() < 64 * 260);
    assert_eq!(kept.metadata.as_deref().map(str::len), Some(2008));

    let large = Bytes::from(format!(r#"{{"x":"{}"}}"#, "y".repeat(16 * 1024)));
    let dropped = row_of(&Record { metadata: Some(large), ..one() }, EVENT).metadata.unwrap();
    assert!(dropped.contains("turnpike.dev/dropped") && dropped.len() < 100, "{dropped}");
    let binary = Bytes::from_static(b"{\"x\":\"\xff\"}");
    assert_eq!(row_of(&Record { metadata: Some(binary), ..one() }, EVENT).metadata, None);
}
