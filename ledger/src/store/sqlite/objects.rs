//! Resources that were made over the admin API, and what it tells of spend.

use sqlx::Connection;

use super::SqliteStore;
use crate::{
    objects::{Rewrite, StoredObject},
    spend_log::StoreError,
};

const DAY: i64 = 86_400_000_000;

impl SqliteStore {
    /// What a key has cost since a time (microseconds since the epoch), in nano-USD. Sums of days are kept longer than rows, so
    /// that a time at midnight reaches further back than another.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn key_cost(&mut self, key_id: &str, from: i64) -> Result<i64, StoreError> {
        let key_id = key_id.to_owned();
        let (sum, from) = if from % DAY == 0 {
            let days =
                "SELECT coalesce(sum(cost_nano), 0) FROM spend_daily WHERE kind = 'key' AND name = ? AND day >= ?";
            (days, from / DAY)
        } else {
            let rows = "SELECT coalesce(sum(cost_nano), 0) FROM spend_row
                JOIN spend_context AS context ON context.id = spend_row.context WHERE key_id = ? AND started_at_us >= ?";
            (rows, from)
        };
        let found = self.with(async |session| {
            sqlx::query_scalar(sum).bind(key_id).bind(from).fetch_one(&mut session.connection).await
        });
        found.await.map_err(StoreError::Object)
    }

    /// All resources that are kept.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn objects(&mut self) -> Result<Vec<StoredObject>, StoreError> {
        let found = self.with(async |session| {
            let all = "SELECT kind, namespace, name, object FROM api_object ORDER BY kind, namespace, name";
            sqlx::query_as(all).fetch_all(&mut session.connection).await
        });
        found.await.map_err(StoreError::Object)
    }

    /// Writes and removes resources in one transaction.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn rewrite(&mut self, rewrite: &Rewrite) -> Result<(), StoreError> {
        let Rewrite { put, delete } = rewrite.clone();
        let done = self.with(async |session| {
            let mut transaction = session.connection.begin_with("BEGIN IMMEDIATE").await?;
            for [kind, namespace, name] in delete {
                sqlx::query("DELETE FROM api_object WHERE kind = ? AND namespace = ? AND name = ?")
                    .bind(kind)
                    .bind(namespace)
                    .bind(name)
                    .execute(&mut *transaction)
                    .await?;
            }
            for StoredObject { kind, namespace, name, object } in put {
                sqlx::query("INSERT OR REPLACE INTO api_object (kind, namespace, name, object) VALUES (?, ?, ?, ?)")
                    .bind(kind)
                    .bind(namespace)
                    .bind(name)
                    .bind(object)
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        });
        done.await.map_err(StoreError::Object)
    }
}
