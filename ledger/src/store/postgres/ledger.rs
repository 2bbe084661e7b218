//! Accounts and leases in PostgreSQL: reading what a plan needs, and writing what it changes, any number in one statement.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::history;
use crate::{
    exchange::{Lease, LeaseId, Standing},
    store::{
        history::Known,
        plan::{Asked, Changes, Kept, Kind, Read, UNHEARD},
    },
};

/// Columns of `ledger_lease` in the order of [`kept`].
macro_rules! lease_columns {
    () => {
        "l.holder::text, l.number, l.account, l.kind, l.slot, l.width, l.granted, l.booked, l.sequence, l.unattributed, \
         l.lost_slot, l.finished, l.closed"
    };
}

/// `None` = an outer join found none.
fn kept(row: &PgRow) -> Result<Option<Kept>, sqlx::Error> {
    let Some(holder) = row.try_get::<Option<String>, _>(0)? else { return Ok(None) };
    let holder = Uuid::parse_str(&holder).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Some(Kept {
        id: LeaseId { holder, number: row.try_get::<i64, _>(1)?.cast_unsigned() },
        account: row.try_get(2)?,
        kind: Kind::from_code(row.try_get(3)?),
        slot: row.try_get(4)?,
        width: row.try_get(5)?,
        lease: Lease {
            granted: row.try_get(6)?,
            booked: row.try_get(7)?,
            sequence: row.try_get::<i64, _>(8)?.cast_unsigned(),
            unattributed: row.try_get(9)?,
            finished: row.try_get(11)?,
            closed: row.try_get(12)?,
        },
        lost_slot: row.try_get(10)?,
    }))
}

/// What asks are decided by, in their order. `counted` has the first slot that counts of each.
pub(super) async fn read(
    connection: &mut PgConnection,
    asked: &[Asked<'_>],
    counted: &[i64],
) -> Result<Vec<Read>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        lease_columns!(),
        ", spent.amount, others.amount, others.holders,
            EXISTS (SELECT 1 FROM ledger_holder h WHERE h.holder = a.holder AND h.ended),
            EXISTS (SELECT 1 FROM ledger_lease u WHERE u.account = a.account AND NOT u.closed)
        FROM unnest($1::bigint[], $2::text[]::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
            WITH ORDINALITY AS a (account, holder, number, slot, counted, position)
        LEFT JOIN ledger_lease l ON l.holder = a.holder AND l.number = a.number
        CROSS JOIN LATERAL (SELECT coalesce(sum(s.amount), 0)::bigint AS amount
            FROM ledger_spent s WHERE s.account = a.account AND s.slot >= a.counted) AS spent
        CROSS JOIN LATERAL (SELECT
            coalesce(sum(greatest(o.granted - o.booked, 0))
                FILTER (WHERE (o.holder, o.number) <> (a.holder, a.number)), 0)::bigint AS amount,
            count(DISTINCT o.holder) FILTER (WHERE o.holder <> a.holder AND NOT o.finished) AS holders
            FROM ledger_lease o WHERE o.account = a.account AND o.slot = a.slot AND NOT o.closed) AS others
        ORDER BY a.position"
    ))
    .bind(asked.iter().map(|asked| asked.account).collect::<Vec<_>>())
    .bind(asked.iter().map(|asked| asked.ask.lease.holder.to_string()).collect::<Vec<_>>())
    .bind(asked.iter().map(|asked| asked.ask.lease.number.cast_signed()).collect::<Vec<_>>())
    .bind(asked.iter().map(|asked| asked.ask.slot.start).collect::<Vec<_>>())
    .bind(counted)
    .fetch_all(connection)
    .await?;
    let read = |row: &PgRow| {
        let holders: i64 = row.try_get(15)?;
        let standing = Standing { spent: row.try_get(13)?, others: row.try_get(14)?, holders: holders + 1 };
        Ok(Read {
            kept: kept(row)?,
            ended: row.try_get(16)?,
            standing,
            in_use: row.try_get(17)?,
            known: Known::default(),
        })
    };
    rows.iter().map(read).collect()
}

/// Those of the leases that there are.
pub(super) async fn leases(
    connection: &mut PgConnection,
    ids: &[LeaseId],
) -> Result<BTreeMap<LeaseId, Kept>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = sqlx::query(concat!(
        "SELECT ",
        lease_columns!(),
        " FROM ledger_lease l JOIN unnest($1::text[]::uuid[], $2::bigint[]) AS a (holder, number) USING (holder, number)"
    ))
    .bind(ids.iter().map(|id| id.holder.to_string()).collect::<Vec<_>>())
    .bind(ids.iter().map(|id| id.number.cast_signed()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    collect(&rows)
}

/// All leases of holders.
pub(super) async fn leases_of_holders(
    connection: &mut PgConnection,
    holders: &[Uuid],
) -> Result<BTreeMap<LeaseId, Kept>, sqlx::Error> {
    let rows = sqlx::query(concat!(
        "SELECT ",
        lease_columns!(),
        " FROM ledger_lease l WHERE holder = ANY($1::text[]::uuid[])"
    ))
    .bind(texts(holders))
    .fetch_all(connection)
    .await?;
    collect(&rows)
}

pub(super) fn texts(holders: &[Uuid]) -> Vec<String> {
    holders.iter().map(Uuid::to_string).collect()
}

fn collect(rows: &[PgRow]) -> Result<BTreeMap<LeaseId, Kept>, sqlx::Error> {
    let mut leases = BTreeMap::new();
    for row in rows {
        leases.extend(kept(row)?.map(|kept| (kept.id, kept)));
    }
    Ok(leases)
}

/// Writes what a plan changes.
pub(super) async fn write(connection: &mut PgConnection, changes: &Changes, now: i64) -> Result<(), sqlx::Error> {
    if changes.is_empty() {
        return Ok(());
    }
    history::add_quarters(connection, &changes.quarters).await?;
    history::add_days(connection, &changes.days).await?;
    let leases = || changes.leases.values();
    let column = |of: fn(&Kept) -> i64| leases().map(of).collect::<Vec<i64>>();
    sqlx::query(
        "WITH leases AS (
            INSERT INTO ledger_lease AS l
            SELECT *, $14::bigint FROM unnest($1::text[]::uuid[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[],
                $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::boolean[],
                $13::boolean[])
            ON CONFLICT (holder, number) DO UPDATE SET account = excluded.account, kind = excluded.kind,
                slot = excluded.slot, width = excluded.width, granted = excluded.granted, booked = excluded.booked,
                sequence = excluded.sequence, unattributed = excluded.unattributed, lost_slot = excluded.lost_slot,
                finished = excluded.finished, closed = excluded.closed, changed = excluded.changed
        ), holders AS (
            INSERT INTO ledger_holder SELECT holder, $14, $15 FROM unnest($16::text[]::uuid[]) AS holder
            ON CONFLICT DO NOTHING
        ), spent AS (
            INSERT INTO ledger_spent AS s SELECT * FROM unnest($17::bigint[], $18::bigint[], $19::bigint[])
            ON CONFLICT (account, slot) DO UPDATE SET amount = s.amount + excluded.amount
        ), seen AS (
            SELECT * FROM unnest($20::bigint[], $21::bigint[], $22::bigint[], $23::bigint[]) AS n (key, seen, counted, until)
        ), past AS (
            DELETE FROM ledger_spent AS s USING seen WHERE s.account = seen.key AND s.slot <> 0 AND s.slot < seen.counted
        )
        UPDATE ledger_account AS a SET seen = seen.seen, counted = seen.counted, until = seen.until
        FROM seen WHERE a.key = seen.key",
    )
    .bind(leases().map(|kept| kept.id.holder.to_string()).collect::<Vec<_>>())
    .bind(column(|kept| kept.id.number.cast_signed()))
    .bind(column(|kept| kept.account))
    .bind(leases().map(|kept| kept.kind.code()).collect::<Vec<i16>>())
    .bind(column(|kept| kept.slot))
    .bind(column(|kept| kept.width))
    .bind(column(|kept| kept.lease.granted))
    .bind(column(|kept| kept.lease.booked))
    .bind(column(|kept| kept.lease.sequence.cast_signed()))
    .bind(column(|kept| kept.lease.unattributed))
    .bind(column(|kept| kept.lost_slot))
    .bind(leases().map(|kept| kept.lease.finished).collect::<Vec<bool>>())
    .bind(leases().map(|kept| kept.lease.closed).collect::<Vec<bool>>())
    .bind(now)
    .bind(i64::try_from(UNHEARD.as_micros()).unwrap_or(i64::MAX))
    .bind(texts(&changes.holders))
    .bind(changes.spent.keys().map(|(account, _)| *account).collect::<Vec<_>>())
    .bind(changes.spent.keys().map(|(_, slot)| *slot).collect::<Vec<_>>())
    .bind(changes.spent.values().copied().collect::<Vec<_>>())
    .bind(changes.seen.keys().copied().collect::<Vec<_>>())
    .bind(changes.seen.values().map(|seen| seen.time).collect::<Vec<_>>())
    .bind(changes.seen.values().map(|seen| seen.counted).collect::<Vec<_>>())
    .bind(changes.seen.values().map(|seen| seen.until).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
