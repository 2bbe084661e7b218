//! How `SQLite` reads the views: by time where a time is asked for, and never once per context.

use sqlx::{AssertSqlSafe, Row};
use tempfile::TempDir;
use turnpike_ledger::store::SqliteStore;

use crate::rows::reader;

async fn plan(sql: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spend.db");
    drop(SqliteStore::open(&path).await.unwrap());
    let mut connection = reader(&path).await;
    let steps =
        sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&mut connection).await.unwrap();
    steps.iter().map(|step| step.get("detail")).collect()
}

#[tokio::test]
async fn a_span_of_time_is_found_by_its_index() {
    let steps = plan("SELECT sum(cost_nano) FROM spend WHERE started_at_us BETWEEN 1 AND 2 AND team = 'search'").await;
    let expected = [
        "CO-ROUTINE spend",
        "COMPOUND QUERY",
        "LEFT-MOST SUBQUERY",
        "SEARCH spend_row USING INDEX spend_row_started_at (started_at_us>? AND started_at_us<?)",
        "SEARCH context USING INTEGER PRIMARY KEY (rowid=?)",
        "UNION ALL",
        "SEARCH ledger_lease USING INDEX ledger_lease_lost (changed>? AND changed<?)",
        "SCAN spend",
    ];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn a_report_reads_the_rows_once_and_looks_up_the_rest() {
    let steps = plan("SELECT team, sum(spend) FROM litellm_logs WHERE user = 'ada' GROUP BY team").await;
    let expected = [
        "CO-ROUTINE spend",
        "COMPOUND QUERY",
        "LEFT-MOST SUBQUERY",
        "SCAN spend_row",
        "SEARCH context USING INTEGER PRIMARY KEY (rowid=?)",
        "UNION ALL",
        "SCAN ledger_lease USING INDEX ledger_lease_lost",
        "SCAN spend",
        "USE TEMP B-TREE FOR GROUP BY",
        // Of requests of more than one attempt.
        "CORRELATED SCALAR SUBQUERY 8",
        "SEARCH other USING INDEX spend_row_started_at (started_at_us=?)",
    ];
    assert_eq!(steps, expected);
}
