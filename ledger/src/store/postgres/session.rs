//! One connection: its settings, the accounts that it has met, and whether the server is still the same.

use std::collections::{BTreeMap, HashMap};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, postgres::PgConnectOptions};

use tokio::time::Instant;

use super::partitions::Through;
use crate::{
    account::AccountId,
    store::{
        LONGEST_EXCHANGE,
        plan::{Key, Seen},
        text,
    },
};

/// Ids to remember. Subjects come and go, so the number must have a bound: at it, all are forgotten.
const REMEMBERED: usize = 65_536;

/// A gateway that stops in the midst of a transaction must not hold others up for long; one that has died is noticed.
const SETTINGS: &str = "SET statement_timeout = '10s'; SET lock_timeout = '2s';
    SET idle_in_transaction_session_timeout = '2s'; SET client_connection_check_interval = '1s';
    SET default_transaction_isolation = 'read committed'; SET timezone = 'UTC'; SET jit = off";

/// To be dropped after any error.
pub(super) struct Session {
    pub(super) connection: PgConnection,
    pub(super) keys: HashMap<AccountId, Key>,
    pub(super) partitions: Through,
    /// Whether this connection has its staging table.
    pub(super) staging: bool,
    /// When idle accounts are to be looked for.
    pub(super) tidy: Instant,
}

/// What a transaction begins with.
pub(super) struct Begun {
    /// The database's clock, after all locks were had.
    pub(super) clock: i64,
    /// When the server became what it is.
    pub(super) changed: i64,
    /// The accounts that were locked.
    pub(super) seen: HashMap<Key, Seen>,
}

impl Session {
    pub(super) async fn open(options: &PgConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = PgConnection::connect_with(options).await?;
        sqlx::raw_sql(SETTINGS).execute(&mut connection).await?;
        note_identity(&mut connection).await?;
        Ok(Self {
            connection,
            keys: HashMap::new(),
            partitions: Through::default(),
            staging: false,
            tidy: Instant::now(),
        })
    }

    /// The keys of accounts; those that are new are made, outside of any transaction.
    pub(super) async fn keys(&mut self, ids: &[&AccountId]) -> Result<Vec<Key>, sqlx::Error> {
        if self.keys.len() > REMEMBERED {
            self.keys.clear();
        }
        let unknown = ids.iter().filter(|id| !self.keys.contains_key(**id));
        let unknown: BTreeMap<String, AccountId> =
            unknown.map(|id| (text::id(id.as_str()).into_owned(), (*id).clone())).collect();
        if !unknown.is_empty() {
            self.look_up(unknown).await?;
        }
        // An account that is still missing was deleted at this moment, which nobody does.
        ids.iter().map(|id| self.keys.get(*id).copied().ok_or(sqlx::Error::RowNotFound)).collect()
    }

    /// `unknown`: ids by how they are stored.
    async fn look_up(&mut self, mut unknown: BTreeMap<String, AccountId>) -> Result<(), sqlx::Error> {
        let ids: Vec<String> = unknown.keys().cloned().collect();
        // In the order of their ids, so that two who make the same accounts wait for each other in one direction only.
        let made = "INSERT INTO ledger_account (id) SELECT id FROM unnest($1::text[]) AS id
            WHERE NOT EXISTS (SELECT 1 FROM ledger_account AS known WHERE known.id = id.id)
            ORDER BY id ON CONFLICT (id) DO NOTHING";
        sqlx::query(made).bind(&ids).execute(&mut self.connection).await?;
        let found: Vec<(String, Key)> = sqlx::query_as("SELECT id, key FROM ledger_account WHERE id = ANY($1)")
            .bind(&ids)
            .fetch_all(&mut self.connection)
            .await?;
        self.keys.extend(found.into_iter().filter_map(|(id, key)| Some((unknown.remove(&id)?, key))));
        Ok(())
    }

    /// Undoes a transaction that the server has refused. False = the connection is of no use any more.
    pub(super) async fn recover(&mut self) -> bool {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.connection).await.is_ok()
    }

    /// Begins a transaction and locks accounts, in one round trip: numbers can stand in the text of the statement.
    pub(super) async fn begin(&mut self, accounts: &[Key]) -> Result<Begun, sqlx::Error> {
        // Whoever asked has given up by then, and must not stand in the way of others.
        let patience = LONGEST_EXCHANGE.as_millis();
        let sql = format!("BEGIN; SET LOCAL lock_timeout = {patience}; {}; {EPOCH}", lock(accounts));
        self.locked(sql, accounts).await
    }

    /// Locks accounts within a transaction.
    pub(super) async fn lock(&mut self, accounts: &[Key]) -> Result<Begun, sqlx::Error> {
        let sql = format!("{}; {EPOCH}", lock(accounts));
        self.locked(sql, accounts).await
    }

    async fn locked(&mut self, sql: String, accounts: &[Key]) -> Result<Begun, sqlx::Error> {
        let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await?;
        let last = rows.pop().ok_or(sqlx::Error::RowNotFound)?;
        let (clock, changed) = (last.try_get(0)?, last.try_get(1)?);
        let mut seen = HashMap::with_capacity(rows.len());
        for row in rows {
            let account = Seen { time: row.try_get(1)?, counted: row.try_get(2)?, until: row.try_get(3)? };
            seen.insert(row.try_get(0)?, account);
        }
        // An account was forgotten, or the database replaced, under this connection: a new one looks them up anew.
        if accounts.iter().any(|key| !seen.contains_key(key)) {
            return Err(sqlx::Error::RowNotFound);
        }
        Ok(Begun { clock, changed, seen })
    }

    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(&mut self.connection).await.map(drop)
    }

    pub(super) async fn clock(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
            .fetch_one(&mut self.connection)
            .await
    }

    pub(super) async fn epoch(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT epoch FROM ledger_epoch").fetch_one(&mut self.connection).await
    }
}

const EPOCH: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, changed FROM ledger_epoch";

fn lock(accounts: &[Key]) -> String {
    let keys: Vec<String> = accounts.iter().map(Key::to_string).collect();
    format!(
        "SELECT key, seen, counted, until FROM ledger_account WHERE key = ANY('{{{}}}'::bigint[]) ORDER BY key FOR NO KEY UPDATE",
        keys.join(",")
    )
}

/// A failover goes on in another timeline, a restored dump in another system, and an older state that was put back into the same
/// server in one that was started anew; each breaks every connection, so that a new connection is when to look. A server that
/// was only started again cannot be told from the last of them: its state is whole either way, and nobody knows who else was
/// granted what.
async fn note_identity(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (is_replica, may): (bool, bool) = sqlx::query_as(
        "SELECT pg_is_in_recovery(), has_function_privilege('pg_control_system()', 'execute')
            AND has_function_privilege('pg_walfile_name(pg_lsn)', 'execute')",
    )
    .fetch_one(&mut *connection)
    .await?;
    if is_replica {
        return Ok(());
    }
    // Where it may not be read it is left as it is: another user of the same database may read it.
    let server = if may {
        "(SELECT system_identifier FROM pg_control_system()) || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)"
    } else {
        "split_part(identity, '/', 1) || '/' || split_part(identity, '/', 2)"
    };
    let note = format!(
        "WITH server AS (
            SELECT {server} || '/' || (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint AS identity
            FROM ledger_epoch)
        UPDATE ledger_epoch SET identity = server.identity, epoch = epoch + 1,
            changed = CASE ledger_epoch.identity WHEN '' THEN 0
                ELSE (extract(epoch FROM clock_timestamp()) * 1000000)::bigint END
        FROM server WHERE ledger_epoch.identity <> server.identity"
    );
    sqlx::query(AssertSqlSafe(note)).execute(connection).await?;
    Ok(())
}
