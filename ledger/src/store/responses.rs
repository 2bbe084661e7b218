//! Kept answers in either database: the same statements, each over its own kind of connection.

use std::sync::Arc;

use crate::responses::StoredResponse;

/// Most turns of one conversation that are put together.
pub(super) const MOST_TURNS: i64 = 1000;

pub(super) const PUT: &str = "INSERT INTO stored_response (key_id, id, previous_id, input, response, bytes, created_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (key_id, id) DO UPDATE SET previous_id = excluded.previous_id, input = excluded.input,
        response = excluded.response, bytes = excluded.bytes, created_at = excluded.created_at";

pub(super) const GET: &str = "SELECT key_id, id, previous_id, input, response, bytes, created_at
    FROM stored_response WHERE key_id = $1 AND id = $2";

/// From the last turn to the first.
pub(super) const CONVERSATION: &str = "WITH RECURSIVE turn(id, previous_id, depth) AS (
        SELECT id, previous_id, 1 FROM stored_response WHERE key_id = $1 AND id = $2
        UNION ALL
        SELECT earlier.id, earlier.previous_id, turn.depth + 1 FROM turn
        JOIN stored_response AS earlier ON earlier.key_id = $1 AND earlier.id = turn.previous_id
        WHERE turn.depth < $3
    )
    SELECT kept.key_id, kept.id, kept.previous_id, kept.input, kept.response, kept.bytes, kept.created_at
    FROM turn JOIN stored_response AS kept ON kept.key_id = $1 AND kept.id = turn.id
    ORDER BY turn.depth DESC";

pub(super) const DELETE: &str = "DELETE FROM stored_response WHERE key_id = $1 AND id = $2";

/// A part at a time: others write meanwhile.
pub(super) const FORGET: &str = "DELETE FROM stored_response WHERE (key_id, id) IN
    (SELECT key_id, id FROM stored_response WHERE created_at < $1 LIMIT 1000)";

/// The columns, in the order of the statements.
pub(super) type Row = (String, String, Option<String>, String, String, i64, i64);

/// A row as what it stands for.
pub(super) fn read((key_id, id, previous_id, input, response, bytes, created_at): Row) -> StoredResponse {
    StoredResponse { key_id: Arc::from(key_id), id, previous_id, input, response, bytes, created_at }
}

/// The turns of a conversation, or none where its first ones are not there.
pub(super) fn whole(rows: Vec<Row>) -> Vec<StoredResponse> {
    let turns: Vec<_> = rows.into_iter().map(read).collect();
    let begins = turns.first().is_some_and(|first| first.previous_id.is_none());
    if begins { turns } else { Vec::new() }
}

/// Implements [`crate::responses::ResponseStore`] for a store that has `with`, whose session has a `connection`.
macro_rules! keeps_responses {
    ($store:ty) => {
        impl $crate::responses::ResponseStore for $store {
            async fn put(&mut self, it: &$crate::responses::StoredResponse) -> Result<(), StoreError> {
                let done = self.with(async |session| {
                    let put = sqlx::query($crate::store::responses::PUT)
                        .bind(it.key_id.to_string())
                        .bind(it.id.clone())
                        .bind(it.previous_id.clone())
                        .bind(it.input.clone())
                        .bind(it.response.clone())
                        .bind(it.bytes)
                        .bind(it.created_at);
                    put.execute(&mut session.connection).await.map(drop)
                });
                done.await.map_err(StoreError::Response)
            }

            async fn get(
                &mut self,
                key_id: &str,
                id: &str,
            ) -> Result<Option<$crate::responses::StoredResponse>, StoreError> {
                let (key_id, id) = (key_id.to_owned(), id.to_owned());
                let found = self.with(async |session| {
                    let get = sqlx::query_as::<_, $crate::store::responses::Row>($crate::store::responses::GET);
                    get.bind(key_id).bind(id).fetch_optional(&mut session.connection).await
                });
                Ok(found.await.map_err(StoreError::Response)?.map($crate::store::responses::read))
            }

            async fn conversation(
                &mut self,
                key_id: &str,
                id: &str,
            ) -> Result<Vec<$crate::responses::StoredResponse>, StoreError> {
                let (key_id, id) = (key_id.to_owned(), id.to_owned());
                let found = self.with(async |session| {
                    let all =
                        sqlx::query_as::<_, $crate::store::responses::Row>($crate::store::responses::CONVERSATION);
                    let all = all.bind(key_id).bind(id).bind($crate::store::responses::MOST_TURNS);
                    all.fetch_all(&mut session.connection).await
                });
                Ok($crate::store::responses::whole(found.await.map_err(StoreError::Response)?))
            }

            async fn delete(&mut self, key_id: &str, id: &str) -> Result<bool, StoreError> {
                let (key_id, id) = (key_id.to_owned(), id.to_owned());
                let done = self.with(async |session| {
                    let delete = sqlx::query($crate::store::responses::DELETE).bind(key_id).bind(id);
                    Ok(delete.execute(&mut session.connection).await?.rows_affected())
                });
                Ok(done.await.map_err(StoreError::Response)? > 0)
            }

            async fn forget(&mut self, before: i64) -> Result<u64, StoreError> {
                let done = self.with(async |session| {
                    let mut all = 0;
                    loop {
                        let some = sqlx::query($crate::store::responses::FORGET).bind(before);
                        match some.execute(&mut session.connection).await?.rows_affected() {
                            0 => return Ok(all),
                            some => all += some,
                        }
                    }
                });
                done.await.map_err(StoreError::Response)
            }
        }
    };
}
pub(super) use keeps_responses;
