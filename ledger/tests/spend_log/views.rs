//! The SQL that people bring from `LiteLLM`, and that for an A/B test.

use tempfile::TempDir;
use turnpike_ledger::{
    spend_log::{Attempt, Role, SpendStore},
    store::SqliteStore,
};

use crate::rows::{event, reader, row};

/// Two variants of one team and a failed call of another, whose model has no price.
async fn written() -> (TempDir, sqlx::SqliteConnection) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let mut rows: Vec<_> = (0..4).map(|n| row(event(n))).collect();
    for (n, row) in rows.iter_mut().enumerate() {
        let variant = if n % 2 == 0 { "a" } else { "b" };
        row.metadata = Some(format!(r#"{{"experiment":"tone","variant":"{variant}"}}"#).into());
        row.completion_tokens = 100 * (n as u64 + 1);
    }
    let mut failed = row(event(4));
    failed.team = Some("eval".into());
    (failed.cost_nano, failed.status, failed.outcome) = (None, 429, "rate_limit");
    failed.upstream_model = None;
    failed.tags = Some(r#"["env:prod","job:nightly"]"#.into());
    rows.push(failed);
    SqliteStore::open(&path).await.unwrap().append(&rows).await.unwrap();
    let connection = reader(&path).await;
    (folder, connection)
}

#[tokio::test]
async fn spend_by_team() {
    let (_folder, mut connection) = written().await;
    let teams: Vec<(String, Option<f64>)> =
        sqlx::query_as("SELECT team, SUM(cost_usd) FROM litellm_logs GROUP BY team ORDER BY team")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(teams, [("eval".to_owned(), None), ("search".to_owned(), Some(0.006))]);
}

#[tokio::test]
async fn the_columns_that_every_request_logs() {
    let (_folder, mut connection) = written().await;
    let rows: Vec<(String, i64, i64, Option<f64>, String, String)> = sqlx::query_as(
        "SELECT model, prompt_tokens, completion_tokens, cost_usd, user, team FROM litellm_logs ORDER BY request_id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(
        rows.first().unwrap(),
        &("gpt-5".to_owned(), 1000, 100, Some(0.0015), "ada".to_owned(), "search".to_owned())
    );
    assert_eq!(rows.last().unwrap(), &("smart".to_owned(), 1000, 200, None, "ada".to_owned(), "eval".to_owned()));
}

#[tokio::test]
async fn variants_of_an_experiment() {
    let (_folder, mut connection) = written().await;
    let variants: Vec<(String, i64, f64)> = sqlx::query_as(
        "SELECT json_extract(metadata, '$.variant') AS variant, COUNT(*), AVG(completion_tokens) FROM litellm_logs
         WHERE json_extract(metadata, '$.experiment') = 'tone' GROUP BY variant ORDER BY variant",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(variants, [("a".to_owned(), 2, 200.0), ("b".to_owned(), 2, 300.0)]);
}

#[tokio::test]
async fn spend_by_tag_and_by_day() {
    let (_folder, mut connection) = written().await;
    let tags: Vec<(String, i64)> = sqlx::query_as(
        "SELECT value, COUNT(*) FROM litellm_logs, json_each(litellm_logs.tags) GROUP BY value ORDER BY value",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(tags, [("env:prod".to_owned(), 1), ("job:nightly".to_owned(), 1)]);
    let days: Vec<(String, i64)> =
        sqlx::query_as("SELECT date(start_time), SUM(total_tokens) FROM litellm_logs GROUP BY 1")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(days, [("2025-11-21".to_owned(), 6200)]);
}

#[tokio::test]
async fn litellms_own_table_name() {
    let (_folder, mut connection) = written().await;
    let rows: Vec<(String, f64, String, String, i64, String)> = sqlx::query_as(
        r#"SELECT request_id, spend, "startTime", "endTime", request_duration_ms, status FROM "LiteLLM_SpendLogs"
           WHERE team_id = 'eval' OR request_id = 'req-0' ORDER BY request_id"#,
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let [first, last] = rows.as_slice() else { panic!("{rows:?}") };
    assert_eq!((first.1, first.4, first.5.as_str()), (0.0015, 250, "success"));
    assert_eq!((first.2.as_str(), first.3.as_str()), ("2025-11-21T10:00:00.123Z", "2025-11-21T10:00:00.373Z"));
    assert_eq!((last.1, last.5.as_str()), (0.0, "failure"));
}

/// A request that failed at one model and was answered by another, with a copy of it to a third.
#[tokio::test]
async fn a_request_of_several_attempts_is_one_row_with_the_cost_of_all() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    let attempts = [(1, Role::Retried, "gpt-5"), (2, Role::Mirror, "candidate"), (3, Role::Answer, "claude")];
    let mut rows: Vec<_> = attempts
        .into_iter()
        .map(|(number, role, model)| {
            let mut row = row(event(number.into()));
            row.request_id = "one".into();
            row.upstream_model = Some(model.into());
            row.cost_nano = Some(i64::from(number) * 1_000_000);
            row.attempt = Attempt { number, of: 3, role };
            row
        })
        .collect();
    // Another request of the same moment.
    rows.push(row(event(9)));
    SqliteStore::open(&path).await.unwrap().append(&rows).await.unwrap();
    let mut connection = reader(&path).await;
    let logs: Vec<(String, String, f64, i64)> =
        sqlx::query_as("SELECT request_id, model, spend, attempts FROM litellm_logs ORDER BY request_id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let expected =
        [("one".to_owned(), "claude".to_owned(), 0.006, 3), ("req-9".to_owned(), "gpt-5".to_owned(), 0.0015, 1)];
    assert_eq!(logs, expected);
    let raw: Vec<(i64, Option<String>)> =
        sqlx::query_as("SELECT attempt, role FROM spend WHERE request_id = 'one' ORDER BY attempt")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(raw, [(1, Some("retried".to_owned())), (2, Some("mirror".to_owned())), (3, None)]);
    let daily: Vec<(String, i64, i64, i64)> =
        sqlx::query_as("SELECT model, requests, failures, cost_nano FROM spend_daily WHERE kind = 'key'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    assert_eq!(daily, [("llm/gpt".to_owned(), 2, 0, 7_500_000)], "two requests, whatever they took");
}
