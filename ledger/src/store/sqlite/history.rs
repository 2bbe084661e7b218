//! What was spent when: written by quarters of an hour, kept by days, and read for a limit in another window.

use sqlx::SqliteConnection;

use crate::{
    account::Siblings,
    store::{
        history::{self, Days, Known, Old, QUARTER, Quarters, RECENT, Sought, Told, ZONES},
        plan::{FORGOTTEN, Key},
    },
};

/// Quarters that one look makes parts of days: the file is locked meanwhile.
const SOME: i64 = 1000;

/// What is known of the accounts that count the same.
pub(super) async fn siblings(connection: &mut SqliteConnection, siblings: &Siblings<'_>) -> Result<Known, sqlx::Error> {
    // Mostly there is one window, however many pots there are in it.
    let (mut found, mut at) = (Vec::new(), siblings.begins().to_owned());
    while let Some(id) = first(connection, &at, &siblings.end()).await? {
        at = siblings.next(&id);
        found.push(id);
    }
    let sought = Sought::new(siblings, &found);
    let ids: Vec<&String> = sought.ids().collect();
    if ids.is_empty() {
        return Ok(Known::default());
    }
    let rows: Vec<(String, i32, i64, i64, i64, i64)> = sqlx::query_as(
        "WITH sibling AS (SELECT key, id, counted FROM ledger_account
            WHERE id IN (SELECT value FROM json_each(?1)))
         SELECT id, 0, slot, 0, 0, amount FROM sibling JOIN ledger_spent ON account = key AND slot >= counted
         UNION ALL SELECT id, 1, slot, quarter, quarter + ?2, amount FROM sibling JOIN ledger_quarter ON account = key
         UNION ALL SELECT id, 1, slot, start, ends, amount FROM sibling JOIN ledger_part ON account = key
         UNION ALL SELECT id, 2, lost_slot, changed, changed, unattributed FROM sibling JOIN ledger_lease ON account = key
            AND unattributed > 0
         UNION ALL SELECT id, 3, slot, 0, 0, max(granted - booked, 0) FROM sibling JOIN ledger_lease ON account = key
            AND NOT closed AND (slot >= counted OR slot = 0)",
    )
    .bind(serde_json::to_string(&ids).unwrap_or_default())
    .bind(QUARTER)
    .fetch_all(connection)
    .await?;
    Ok(sought.known(&Told::new(rows)))
}

async fn first(connection: &mut SqliteConnection, from: &str, to: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT id FROM ledger_account WHERE id >= ? AND id < ? ORDER BY id LIMIT 1")
        .bind(from)
        .bind(to)
        .fetch_optional(connection)
        .await
}

/// Adds what rows told by quarters of an hour.
pub(super) async fn add_quarters(connection: &mut SqliteConnection, quarters: &Quarters) -> Result<(), sqlx::Error> {
    for ((account, slot, quarter), amount) in quarters {
        sqlx::query(
            "INSERT INTO ledger_quarter VALUES (?, ?, ?, ?)
             ON CONFLICT (account, slot, quarter) DO UPDATE SET amount = amount + excluded.amount",
        )
        .bind(account)
        .bind(slot)
        .bind(quarter)
        .bind(amount)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Adds amounts of days.
pub(super) async fn add_days(connection: &mut SqliteConnection, days: &Days) -> Result<(), sqlx::Error> {
    for ((account, slot, start, end), amount) in days {
        sqlx::query(
            "INSERT INTO ledger_part VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (account, slot, start, ends) DO UPDATE SET amount = amount + excluded.amount",
        )
        .bind(account)
        .bind(slot)
        .bind(start)
        .bind(end)
        .bind(amount)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Makes days of quarters that no day can begin in any more, but for those around the beginning of an open window; forgets
/// what no window reaches back to.
pub(super) async fn tidy(connection: &mut SqliteConnection, now: i64) -> Result<(), sqlx::Error> {
    let rows: Vec<(Key, String, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT q.account, a.id, a.counted, q.slot, q.quarter, q.amount
         FROM ledger_quarter q JOIN ledger_account a ON a.key = q.account
         WHERE q.quarter < ?1
            AND NOT (q.slot >= a.counted AND a.until > ?1 AND q.quarter <= q.slot + ?2 AND a.id LIKE '%/Calendar/%') LIMIT ?3",
    )
    .bind(now - RECENT)
    .bind(ZONES)
    .bind(SOME)
    .fetch_all(&mut *connection)
    .await?;
    let old = |(account, id, counted, slot, quarter, amount)| Old { account, id, counted, slot, quarter, amount };
    let old: Vec<Old> = rows.into_iter().map(old).collect();
    for old in &old {
        sqlx::query("DELETE FROM ledger_quarter WHERE account = ? AND slot = ? AND quarter = ?")
            .bind(old.account)
            .bind(old.slot)
            .bind(old.quarter)
            .execute(&mut *connection)
            .await?;
    }
    add_days(connection, &history::days(&old)).await?;
    sqlx::query("DELETE FROM ledger_part WHERE ends < ?").bind(now - FORGOTTEN).execute(connection).await?;
    Ok(())
}
