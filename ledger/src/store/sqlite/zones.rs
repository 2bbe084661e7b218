//! What a limit has booked in other time zones, and what it takes to tell.

use sqlx::SqliteConnection;

use crate::{
    account::OtherZones,
    store::{
        plan::{QUARTER, Quarters, ZONES},
        text,
    },
};

/// The most that one of these accounts has booked since `from`, when the window of the limit in another zone began: what
/// rows told that ended after it, what is booked of an open window without a row's telling, and what gateways hold. Where one
/// zone's window has ended and the other's has not, only what ended since `from` is told apart from the rest.
pub(super) async fn elsewhere(
    connection: &mut SqliteConnection,
    zones: &OtherZones<'_>,
    from: i64,
    now: i64,
) -> Result<i64, sqlx::Error> {
    // Nearly always there are none, however many pots there are in the account's own zone.
    let (exist,): (bool,) = sqlx::query_as(
        "SELECT EXISTS (SELECT 1 FROM ledger_account WHERE id >= ?1 AND id < ?2)
             OR EXISTS (SELECT 1 FROM ledger_account WHERE id >= substr(?2, 1, length(?2) - 1) || '0'
                AND id < substr(?1, 1, length(?1) - 1) || '0')",
    )
    .bind(&zones.begins)
    .bind(&zones.own)
    .fetch_one(&mut *connection)
    .await?;
    if !exist {
        return Ok(0);
    }
    let ids: Vec<_> = zones.ids().map(|id| text::id(id.as_str()).into_owned()).collect();
    sqlx::query_scalar(
        "SELECT coalesce(max(
            CASE WHEN until > ?2 AND counted + ?5 >= ?3 THEN max(0,
                (SELECT coalesce(sum(amount), 0) FROM ledger_spent s WHERE s.account = a.key AND s.slot >= a.counted)
                - (SELECT coalesce(sum(amount), 0) FROM ledger_quarter q
                   WHERE q.account = a.key AND q.slot >= a.counted AND q.quarter + ?4 <= ?3))
            ELSE (SELECT coalesce(sum(amount), 0) FROM ledger_quarter q
               WHERE q.account = a.key AND q.slot >= a.counted AND q.quarter + ?4 > ?3) END
            + (SELECT coalesce(sum(amount), 0) FROM ledger_quarter q
               WHERE q.account = a.key AND q.slot < a.counted AND a.counted > ?3 AND q.quarter + ?4 > ?3)
            + (SELECT coalesce(sum(max(granted - booked, 0)), 0) FROM ledger_lease l
               WHERE l.account = a.key AND l.slot >= a.counted AND NOT closed)
         ), 0) FROM ledger_account a WHERE id IN (SELECT value FROM json_each(?1)) AND until > ?3",
    )
    .bind(serde_json::to_string(&ids).unwrap_or_default())
    .bind(now)
    .bind(from)
    .bind(QUARTER)
    .bind(ZONES)
    .fetch_one(connection)
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

/// Forgets quarters that no window of another zone can begin in any more, and those of accounts that are gone.
pub(super) async fn forget_quarters(connection: &mut SqliteConnection, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM ledger_quarter WHERE quarter < ?1 AND (quarter > slot + ?2
            OR NOT EXISTS (SELECT 1 FROM ledger_account a WHERE a.key = ledger_quarter.account AND a.counted <= slot))",
    )
    .bind(now - 2 * ZONES)
    .bind(ZONES)
    .execute(connection)
    .await?;
    Ok(())
}
