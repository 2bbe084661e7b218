//! What a limit has booked in other time zones, and what it takes to tell.

use sqlx::PgConnection;

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
    connection: &mut PgConnection,
    zones: &OtherZones<'_>,
    from: i64,
    now: i64,
) -> Result<i64, sqlx::Error> {
    // Nearly always there are none, however many pots there are in the account's own zone.
    let exist: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM ledger_account WHERE id ~>=~ $1 AND id ~<~ $2)
             OR EXISTS (SELECT 1 FROM ledger_account WHERE id ~>=~ (left($2, -1) || '0') AND id ~<~ (left($1, -1) || '0'))",
    )
    .bind(&zones.begins)
    .bind(&zones.own)
    .fetch_one(&mut *connection)
    .await?;
    if !exist {
        return Ok(0);
    }
    sqlx::query_scalar(
        "SELECT coalesce(max(
            CASE WHEN until > $2 AND counted + $5 >= $3 THEN greatest(0,
                (SELECT coalesce(sum(amount), 0) FROM ledger_spent s WHERE s.account = a.key AND s.slot >= a.counted)
                - (SELECT coalesce(sum(amount), 0) FROM ledger_quarter q
                   WHERE q.account = a.key AND q.slot >= a.counted AND q.quarter + $4 <= $3))
            ELSE (SELECT coalesce(sum(amount), 0) FROM ledger_quarter q
               WHERE q.account = a.key AND q.slot >= a.counted AND q.quarter + $4 > $3) END
            + (SELECT coalesce(sum(amount), 0) FROM ledger_quarter q
               WHERE q.account = a.key AND q.slot < a.counted AND a.counted > $3 AND q.quarter + $4 > $3)
            + (SELECT coalesce(sum(greatest(granted - booked, 0)), 0) FROM ledger_lease l
               WHERE l.account = a.key AND l.slot >= a.counted AND NOT closed)
         ), 0)::bigint FROM ledger_account a WHERE id = ANY($1) AND until > $3",
    )
    .bind(zones.ids().map(|id| text::id(id.as_str()).into_owned()).collect::<Vec<_>>())
    .bind(now)
    .bind(from)
    .bind(QUARTER)
    .bind(ZONES)
    .fetch_one(connection)
    .await
}

/// Adds what rows told by quarters of an hour.
pub(super) async fn add_quarters(connection: &mut PgConnection, quarters: &Quarters) -> Result<(), sqlx::Error> {
    if quarters.is_empty() {
        return Ok(());
    }
    let keys = || quarters.keys();
    sqlx::query(
        "INSERT INTO ledger_quarter AS q SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
         ON CONFLICT (account, slot, quarter) DO UPDATE SET amount = q.amount + excluded.amount",
    )
    .bind(keys().map(|(account, _, _)| *account).collect::<Vec<_>>())
    .bind(keys().map(|(_, slot, _)| *slot).collect::<Vec<_>>())
    .bind(keys().map(|(_, _, quarter)| *quarter).collect::<Vec<_>>())
    .bind(quarters.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets quarters that no window of another zone can begin in any more, and those of accounts that are gone.
pub(super) async fn forget_quarters(connection: &mut PgConnection, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "DELETE FROM ledger_quarter q WHERE quarter < $1 AND (quarter > slot + $2
            OR NOT EXISTS (SELECT 1 FROM ledger_account a WHERE a.key = q.account AND a.counted <= q.slot))",
    )
    .bind(now - 2 * ZONES)
    .bind(ZONES)
    .execute(connection)
    .await?;
    Ok(())
}
