//! What was spent when: written by quarters of an hour, kept by days, and read for a limit in another window.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use crate::{
    account::Siblings,
    store::{
        history::{Days, Known, Old, QUARTER, Quarters, RECENT, Sought, Told, ZONES},
        plan::{FORGOTTEN, Key},
    },
};

/// Quarters that one transaction makes parts of days.
pub(super) const SOME: usize = 1000;

/// One id of each window that limits have: each step looks for the first one after those of the window before. The windows of
/// a calendar are told apart by the continents of their zones only, as [`Siblings::next`] says.
const WINDOWS: &str = "WITH RECURSIVE found (begins, ends, id) AS (
        SELECT l.begins, l.ends, (SELECT a.id FROM ledger_account a WHERE a.id ~>=~ l.begins AND a.id ~<~ l.ends
            ORDER BY a.id USING ~<~ LIMIT 1)
        FROM unnest($1::text[], $2::text[]) AS l (begins, ends)
        UNION ALL
        SELECT begins, ends, (SELECT a.id FROM ledger_account a WHERE a.id ~>=~ (family.name || '0') AND a.id ~<~ ends
            ORDER BY a.id USING ~<~ LIMIT 1)
        FROM found
        CROSS JOIN LATERAL (SELECT string_to_array(substr(id, length(begins) + 1), '/') AS parts) AS rest
        CROSS JOIN LATERAL (SELECT begins || array_to_string(parts[1:CASE parts[2] WHEN 'Calendar' THEN 3
            WHEN 'Rolling' THEN 2 ELSE 1 END], '/') AS name) AS family
        WHERE id IS NOT NULL)
    SELECT begins, id FROM found WHERE id IS NOT NULL";

/// What is known of the accounts that count the same, for each of these; two statements, however many they are.
pub(super) async fn siblings(
    connection: &mut PgConnection,
    siblings: &[Siblings<'_>],
) -> Result<Vec<Known>, sqlx::Error> {
    let limits: BTreeMap<&str, String> = siblings.iter().map(|of| (of.begins(), of.end())).collect();
    if limits.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<(String, String)> = sqlx::query_as(WINDOWS)
        .bind(limits.keys().copied().collect::<Vec<_>>())
        .bind(limits.values().cloned().collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (begins, id) in rows {
        found.entry(begins).or_default().push(id);
    }
    let sought = siblings.iter().map(|of| Sought::new(of, found.get(of.begins()).map_or(&[], Vec::as_slice)));
    let sought: Vec<Sought> = sought.collect();
    let ids: BTreeSet<&String> = sought.iter().flat_map(Sought::ids).collect();
    // Mostly each limit has one window, however many pots there are in it.
    let told = if ids.is_empty() { Told::default() } else { told(connection, &ids).await? };
    Ok(sought.iter().map(|sought| sought.known(&told)).collect())
}

async fn told(connection: &mut PgConnection, ids: &BTreeSet<&String>) -> Result<Told, sqlx::Error> {
    let rows: Vec<(String, i32, i64, i64, i64, i64)> = sqlx::query_as(
        "WITH sibling AS (SELECT key, id, counted FROM ledger_account WHERE id = ANY($1))
         SELECT id, 0, slot, 0::bigint, 0::bigint, amount FROM sibling JOIN ledger_spent ON account = key AND slot >= counted
         UNION ALL SELECT id, 1, slot, quarter, quarter + $2, amount FROM sibling JOIN ledger_quarter ON account = key
         UNION ALL SELECT id, 1, slot, start, ends, amount FROM sibling JOIN ledger_part ON account = key
         UNION ALL SELECT id, 2, lost_slot, changed, changed, unattributed FROM sibling JOIN ledger_lease ON account = key
            AND unattributed > 0
         UNION ALL SELECT id, 3, slot, 0, 0, greatest(granted - booked, 0) FROM sibling JOIN ledger_lease ON account = key
            AND NOT closed AND (slot >= counted OR slot = 0)",
    )
    .bind(ids.iter().map(|id| id.as_str()).collect::<Vec<_>>())
    .bind(QUARTER)
    .fetch_all(connection)
    .await?;
    Ok(Told::new(rows))
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

/// Adds amounts of days.
pub(super) async fn add_days(connection: &mut PgConnection, days: &Days) -> Result<(), sqlx::Error> {
    if days.is_empty() {
        return Ok(());
    }
    let keys = || days.keys();
    sqlx::query(
        "INSERT INTO ledger_part AS p
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
         ON CONFLICT (account, slot, start, ends) DO UPDATE SET amount = p.amount + excluded.amount",
    )
    .bind(keys().map(|(account, ..)| *account).collect::<Vec<_>>())
    .bind(keys().map(|(_, slot, ..)| *slot).collect::<Vec<_>>())
    .bind(keys().map(|(_, _, start, _)| *start).collect::<Vec<_>>())
    .bind(keys().map(|(.., end)| *end).collect::<Vec<_>>())
    .bind(days.values().copied().collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Takes quarters out that no day can begin in any more, but for those around the beginning of an open window.
pub(super) async fn take_old(connection: &mut PgConnection, now: i64) -> Result<Vec<Old>, sqlx::Error> {
    let rows: Vec<(Key, String, i64, i64, i64, i64)> = sqlx::query_as(
        "WITH old AS (
            SELECT q.account, a.id, a.counted, q.slot, q.quarter
            FROM ledger_quarter q JOIN ledger_account a ON a.key = q.account
            WHERE q.quarter < $1
                AND NOT (q.slot >= a.counted AND a.until > $1 AND q.quarter <= q.slot + $2 AND a.id LIKE '%/Calendar/%')
            LIMIT $3 FOR UPDATE OF q SKIP LOCKED)
         DELETE FROM ledger_quarter q USING old
         WHERE q.account = old.account AND q.slot = old.slot AND q.quarter = old.quarter
         RETURNING old.account, old.id, old.counted, old.slot, old.quarter, q.amount",
    )
    .bind(now - RECENT)
    .bind(ZONES)
    .bind(i64::try_from(SOME).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    let old = |(account, id, counted, slot, quarter, amount)| Old { account, id, counted, slot, quarter, amount };
    Ok(rows.into_iter().map(old).collect())
}

/// Forgets what no window reaches back to.
pub(super) async fn forget(connection: &mut PgConnection, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM ledger_part WHERE ends < $1").bind(now - FORGOTTEN).execute(connection).await?;
    Ok(())
}
