//! Reads the gateway's `SQLite` file as an analyst would: by SQL, from another process.

use std::path::Path;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::wait::eventually;

/// Runs `sql`, which must select one JSON text; `None` while the file, the table or the row is missing.
pub async fn query_json(database: &Path, sql: &str) -> Option<Value> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.ok()?;
    let text: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_optional(&mut connection).await.ok()?;
    // Closing can only fail for writers.
    drop(connection.close().await);
    serde_json::from_str(&text?).ok()
}

/// Rows of a table or view as JSON objects of the named columns, in order of `order`; waits until there are `count`.
pub async fn rows(database: &Path, (table, order): (&str, &str), columns: &[&str], count: usize) -> Vec<Value> {
    let members: Vec<String> = columns.iter().map(|column| format!("'{column}', {column}")).collect();
    let sql = format!(
        "select json_group_array(json_object({})) from (select * from {table} order by {order})",
        members.join(", ")
    );
    let what = format!("{count} rows in {table}: {sql}");
    eventually(&what, || async {
        let rows = query_json(database, &sql).await?;
        rows.as_array().filter(|rows| rows.len() >= count).cloned()
    })
    .await
}

/// The same on a PostgreSQL.
pub async fn postgres_json(url: &str, sql: &str) -> Option<Value> {
    let mut connection = sqlx::PgConnection::connect(url).await.ok()?;
    let text: Option<String> =
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_optional(&mut connection).await.ok()?;
    drop(connection.close().await);
    serde_json::from_str(&text?).ok()
}

/// Changes a gateway's `SQLite` file behind its back.
pub async fn change(database: &Path, sql: &str) {
    let mut connection = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(database))
        .await
        .expect("a file that can be written");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("a statement that works");
}

/// The same on a PostgreSQL.
pub async fn postgres_change(url: &str, sql: &str) {
    let mut connection = sqlx::PgConnection::connect(url).await.expect("a server");
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.expect("a statement that works");
}
