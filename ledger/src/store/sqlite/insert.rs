//! Inserts of many rows in few statements: what a statement costs outweighs a row many times.

use std::sync::Arc;

use sqlx::{Arguments, AssertSqlSafe, SqliteConnection, error::BoxDynError, sqlite::SqliteArguments};

/// Rows of one statement, largest first. Each size is prepared once per connection.
const SIZES: [usize; 3] = [128, 16, 1];

/// Prepared for one table.
pub(super) struct Insert {
    columns: usize,
    statements: [(usize, Arc<str>); SIZES.len()],
}

impl Insert {
    /// `then` follows the values: what to do about a conflict.
    pub(super) fn new(table: &str, columns: &[&str], then: &str) -> Self {
        let row = format!("({})", vec!["?"; columns.len()].join(","));
        let sql = |rows| {
            let values = vec![row.as_str(); rows].join(",");
            format!("INSERT INTO {table} ({}) VALUES {values} {then}", columns.join(",")).into()
        };
        Self { columns: columns.len(), statements: SIZES.map(|rows| (rows, sql(rows))) }
    }

    /// Inserts `rows`, each by the values that `bind` adds for it, and returns how many were new.
    pub(super) async fn run<T>(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[T],
        bind: impl Fn(&T, &mut SqliteArguments) -> Result<(), BoxDynError>,
    ) -> Result<u64, sqlx::Error> {
        let mut new = 0;
        for (size, sql) in &self.statements {
            while let Some((now, later)) = rows.split_at_checked(*size) {
                let mut values = SqliteArguments::default();
                values.reserve(size * self.columns, 0);
                for row in now {
                    bind(row, &mut values).map_err(sqlx::Error::Encode)?;
                }
                let done = sqlx::query_with(AssertSqlSafe(Arc::clone(sql)), values).execute(&mut *connection).await?;
                new += done.rows_affected();
                rows = later;
            }
        }
        Ok(new)
    }
}
