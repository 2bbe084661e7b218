//! What only PostgreSQL has: a server that may be another one, partitions, and several processes that migrate.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use sqlx::Connection as _;
use turnpike_ledger::{
    account::AccountId,
    exchange::Ask,
    spend_log::{SpendStore as _, StoreError},
    store::{LeaseStore as _, PostgresStore},
};
use turnpike_testkit::wait;
use uuid::Uuid;

use crate::fixture::{Fixture, ask, lifetime, now, plain, then};

async fn fixture() -> (Fixture, String) {
    let url = turnpike_testkit::postgres::database().await;
    (Fixture::Postgres(url.clone()), url)
}

#[tokio::test]
async fn many_processes_migrate_at_once() {
    let (fixture, url) = fixture().await;
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresStore::open(&url).await.map(drop) })
        })
        .collect();
    for opened in opening {
        opened.await.unwrap().unwrap();
    }
    assert_eq!(fixture.numbers("SELECT count(*) FROM ledger_epoch").await, [1]);
}

#[tokio::test]
async fn a_schema_of_the_next_version_is_used() {
    let (fixture, url) = fixture().await;
    drop(PostgresStore::open(&url).await.unwrap());
    fixture
        .sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES (9999, 'x', true, '', 0)",
        )
        .await;
    PostgresStore::open(&url).await.unwrap();
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let (fixture, url) = fixture().await;
    let name = url.split(['/', '?']).nth(3).unwrap();
    fixture.sql(&format!("CREATE DATABASE {name}_latin ENCODING 'LATIN1' TEMPLATE template0")).await;
    let error = PostgresStore::open(&url.replace(name, &format!("{name}_latin"))).await.err().unwrap();
    let StoreError::Open { source, .. } = &error else { panic!("{error:?}") };
    assert!(source.to_string().contains("its encoding is LATIN1, and must be UTF8"), "{source}");
}

/// What people and tools bring from `LiteLLM`.
#[tokio::test]
async fn the_views_read_as_in_sqlite() {
    let (_, url) = fixture().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    let mut row = plain(Uuid::from_u128(1), 1);
    row.started_at_us = 1_763_719_200_123_456;
    store.append(&[row]).await.unwrap();
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let spent: (String, f64, i64, String) = sqlx::query_as(
        r#"SELECT team, sum(cost_usd), sum(total_tokens)::bigint, max("user") FROM litellm_logs
           WHERE day = '2025-11-21' AND metadata->>'variant' = 'a' GROUP BY team"#,
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(spent, ("search".to_owned(), 0.0015, 1200, "ada".to_owned()));
    let logged: (f64, String, String, i32, String) = sqlx::query_as(
        r#"SELECT spend, to_char("startTime", 'YYYY-MM-DD"T"HH24:MI:SS.US'), to_char("endTime", 'HH24:MI:SS.MS'),
                request_duration_ms, status
           FROM "LiteLLM_SpendLogs" WHERE team_id = 'search' AND request_tags ? 'env:prod'"#,
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let expected = ("2025-11-21T10:00:00.123456".to_owned(), "10:00:00.373".to_owned());
    assert_eq!(logged, (0.0015, expected.0, expected.1, 250, "success".to_owned()));
}

#[tokio::test]
async fn an_error_of_opening_does_not_tell_the_password() {
    let error = PostgresStore::open("postgres://me:secret@127.0.0.1:1/ledger").await.err().unwrap();
    let StoreError::Open { path, source } = &error else { panic!("{error:?}") };
    assert_eq!(path, "ledger at 127.0.0.1:1");
    assert!(!format!("{error:?} {error} {source} {source:?}").contains("secret"));
}

#[tokio::test]
async fn another_server_grants_nothing_until_holders_have_told_what_they_hold() {
    let (fixture, url) = fixture().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    let granted = async |store: &mut PostgresStore, ask: &Ask| {
        store.exchange(std::slice::from_ref(ask)).await.unwrap().replies[0].granted
    };
    assert_eq!(granted(&mut store, &lease).await, 100, "a new database has nobody to wait for");
    let epoch = store.epoch().await.unwrap();
    // A restored dump brings the identity of the server that it came from.
    fixture.sql("UPDATE ledger_epoch SET identity = 'another/00000001'").await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    assert_eq!(store.epoch().await.unwrap(), epoch + 1);
    assert_eq!(granted(&mut store, &then(&lease, 100, 200)).await, 100);
    let told = Ask { held: 300, target: 300, ..ask(Uuid::from_u128(2), 1, lifetime()) };
    assert_eq!(granted(&mut store, &told).await, 300);
    fixture.sql("UPDATE ledger_epoch SET changed = changed - 10000000").await;
    assert_eq!(granted(&mut store, &Ask { sequence: 3, ..then(&lease, 100, 200) }).await, 200);
}

#[tokio::test]
async fn a_user_without_rights_on_the_server_can_use_it() {
    let (fixture, url) = fixture().await;
    let database: &str = url.split(['/', '?']).nth(3).unwrap();
    fixture.sql(&format!("CREATE USER app_{database}; ALTER DATABASE {database} OWNER TO app_{database}")).await;
    let mut store = PostgresStore::open(&url.replace("postgres@", &format!("app_{database}@"))).await.unwrap();
    store.append(&[plain(Uuid::from_u128(1), 1)]).await.unwrap();
    assert_eq!(store.epoch().await.unwrap(), 1);
}

#[tokio::test]
async fn each_day_has_a_partition_ahead_and_is_dropped_as_a_whole() {
    let (fixture, url) = fixture().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    let mut other = PostgresStore::open(&url).await.unwrap();
    let day = 86_400_000_000;
    let holder = Uuid::from_u128(1);
    let mut rows: Vec<_> = (0..4).map(|n| plain(holder, n)).collect();
    (rows[1].started_at_us, rows[2].started_at_us) = (now() - day, now() - 40 * day);
    let (first, second) = tokio::join!(store.append(&rows), other.append(&rows));
    assert_eq!(first.unwrap() + second.unwrap(), 4, "written at once by two");
    let of = "(SELECT count(*) FROM pg_partition_tree('spend_row') WHERE isleaf)";
    assert!(fixture.numbers(&format!("SELECT {of}")).await[0] >= 6);
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend_row_default").await, [1], "forty days late");
    let mut keeping = PostgresStore::open(&url).await.unwrap().keeping(Some(0));
    keeping.append(&rows).await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend").await, [2]);
    assert_eq!(
        fixture
            .numbers(
                "SELECT count(*) FROM pg_class WHERE relname LIKE 'spend_row_2%' AND relkind = 'r'
        AND relname < 'spend_row_' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD')"
            )
            .await,
        [0]
    );
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend_row_default").await, [0]);
    assert!(fixture.numbers("SELECT sum(requests)::bigint FROM spend_daily WHERE kind = 'key'").await == [4]);
    // The same rows again are new now, and nothing is in their way.
    assert_eq!(other.append(&rows).await.unwrap(), 2);
}

/// Counts what is logged as a warning or worse.
struct Warnings(Arc<AtomicUsize>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        eprintln!("{event:?}");
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn gateways_that_start_together_make_each_partition_once_and_without_a_word() {
    let warnings = Arc::new(AtomicUsize::new(0));
    let _quiet = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
    let (fixture, url) = fixture().await;
    let mut stores = Vec::new();
    for _ in 0..4 {
        stores.push(PostgresStore::open(&url).await.unwrap());
    }
    let appends = stores.into_iter().zip(1..).map(|(mut store, number)| {
        tokio::spawn(async move { store.append(&[plain(Uuid::from_u128(number), 1)]).await.unwrap() })
    });
    let appends: Vec<_> = appends.collect();
    for append in appends {
        assert_eq!(append.await.unwrap(), 1);
    }
    let partitions = "SELECT count(*) FROM pg_partition_tree('spend_row') WHERE isleaf";
    assert_eq!(fixture.numbers(partitions).await, [5], "today, three days ahead, and the default one");
    assert_eq!(warnings.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_store_that_was_ended_is_found_again() {
    let server = turnpike_testkit::postgres::Postgres::start().await;
    let url = server.database().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    store.append(&[plain(Uuid::from_u128(1), 1)]).await.unwrap();
    server.stop();
    let error = store.append(&[plain(Uuid::from_u128(1), 2)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Write(_)), "{error:?}");
    assert!(store.append(&[plain(Uuid::from_u128(1), 2)]).await.is_err());
    server.resume().await;
    assert_eq!(store.append(&[plain(Uuid::from_u128(1), 1), plain(Uuid::from_u128(1), 2)]).await.unwrap(), 1);
    assert_eq!(store.epoch().await.unwrap(), 2, "it may have been put back to an older state meanwhile");
}

#[tokio::test]
async fn an_older_state_of_the_same_server_grants_nothing_until_holders_have_told_what_they_hold() {
    let server = turnpike_testkit::postgres::Postgres::start().await;
    let url = server.database().await;
    let fixture = Fixture::Postgres(url.clone());
    let mut stores = [PostgresStore::open(&url).await.unwrap(), PostgresStore::open(&url).await.unwrap()];
    let [first, second] = [1, 2].map(|holder| ask(Uuid::from_u128(holder), 1, lifetime()));
    let restart = async |is_restored: bool| {
        server.stop();
        if is_restored {
            server.restore();
        } else {
            server.save();
        }
        server.resume().await;
    };
    let granted = async |store: &mut PostgresStore, ask: &Ask| {
        // The connection broke with the server.
        drop(store.beat(ask.lease.holder, Duration::ZERO).await);
        store.exchange(std::slice::from_ref(ask)).await.unwrap().replies[0].granted
    };
    let past_the_wait = "UPDATE ledger_epoch SET changed = changed - 10000000";
    assert_eq!(granted(&mut stores[0], &first).await, 100);
    restart(false).await;
    assert_eq!(granted(&mut stores[0], &then(&first, 100, 100)).await, 100);
    fixture.sql(past_the_wait).await;
    let most = Ask { sequence: 3, least: 900, ..then(&first, 100, 1000) };
    assert_eq!(granted(&mut stores[0], &most).await, 1000, "all of the limit, which the saved state does not know");
    restart(true).await;
    let wanted = Ask { least: 1, ..second };
    assert_eq!(granted(&mut stores[1], &wanted).await, 0, "900 are free, as far as it knows");
    assert_eq!(granted(&mut stores[0], &Ask { sequence: 4, held: 1000, target: 1000, ..most }).await, 1000);
    fixture.sql(past_the_wait).await;
    assert_eq!(granted(&mut stores[1], &then(&wanted, 0, 100)).await, 0);
}

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_made_ready_when_it_is() {
    let server = turnpike_testkit::postgres::Postgres::start().await;
    let url = server.database().await;
    server.stop();
    assert!(PostgresStore::open(&url).await.is_err());
    let mut store = PostgresStore::new(&url).unwrap();
    let row = plain(Uuid::from_u128(1), 1);
    assert!(store.append(std::slice::from_ref(&row)).await.is_err());
    server.resume().await;
    assert_eq!(store.append(&[row]).await.unwrap(), 1);
}

#[tokio::test]
async fn a_caller_that_gives_up_leaves_nothing_behind() {
    let (fixture, url) = fixture().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.exchange(std::slice::from_ref(&lease)).await.unwrap();
    // Somebody holds the account; the exchange waits for it and is dropped.
    let mut blocker = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM ledger_account FOR UPDATE").execute(&mut blocker).await.unwrap();
    let more = then(&lease, 100, 200);
    let asked = tokio::time::timeout(std::time::Duration::from_millis(50), store.exchange(std::slice::from_ref(&more)));
    assert!(asked.await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    assert_eq!(store.exchange(&[Ask { sequence: 3, ..more }]).await.unwrap().replies[0].granted, 200);
    assert_eq!(fixture.numbers("SELECT granted FROM ledger_lease").await, [200]);
}

#[tokio::test]
async fn an_exchange_does_not_wait_long_for_an_account() {
    let (fixture, url) = fixture().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    let lease = ask(Uuid::from_u128(1), 1, lifetime());
    store.exchange(std::slice::from_ref(&lease)).await.unwrap();
    let process = "SELECT pid::bigint FROM pg_stat_activity WHERE application_name = 'turnpike'
        AND datname = current_database()";
    let before = fixture.numbers(process).await;
    let mut blocker = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM ledger_account FOR UPDATE").execute(&mut blocker).await.unwrap();
    let error = store.exchange(&[then(&lease, 100, 200)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Exchange(sqlx::Error::Database(_))), "{error:?}");
    sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
    assert_eq!(store.exchange(&[then(&lease, 100, 200)]).await.unwrap().replies[0].granted, 200);
    assert_eq!(fixture.numbers(process).await, before, "over the same connection");
}

#[tokio::test]
async fn rows_that_came_before_their_partition_move_to_it() {
    let (fixture, url) = fixture().await;
    let mut store = PostgresStore::open(&url).await.unwrap();
    // A reader of the default partition is in the way, so that the first batch goes there.
    let mut reader = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM spend_row_default").execute(&mut reader).await.unwrap();
    let holder = Uuid::from_u128(1);
    store.append(&[plain(holder, 1)]).await.unwrap();
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend_row_default").await, [1]);
    sqlx::raw_sql("COMMIT").execute(&mut reader).await.unwrap();
    // Another gateway, which need not wait to try again.
    let mut other = PostgresStore::open(&url).await.unwrap();
    assert_eq!(other.append(&[plain(holder, 1), plain(holder, 2)]).await.unwrap(), 1);
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend_row_default").await, [0]);
    assert_eq!(fixture.numbers("SELECT count(*) FROM spend").await, [2]);
}

#[tokio::test]
async fn a_recall_reaches_the_other_gateways() {
    let (_, url) = fixture().await;
    let (first, second) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut store = PostgresStore::open(&url).await.unwrap();
    let mut own = store.recalls(first);
    let mut others = PostgresStore::open(&url).await.unwrap().recalls(second);
    let of = |name: &str| AccountId::from_stored(name);
    let account = of("Budget/ns/b/usd/Month/Calendar/UTC/user:ann lee");
    let accounts = [account.clone(), of(&"x".repeat(9_000))];
    // Until both listen.
    for (listener, from) in [(&mut others, first), (&mut own, second)] {
        let heard = wait::within("a recall is heard", async {
            loop {
                store.recall(from, &accounts).await.unwrap();
                match listener.try_recv() {
                    Ok(heard) => return heard,
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        assert_eq!(heard.await, account);
    }
    // All that came is of others: a last one of each is behind it.
    let last = of("last");
    for from in [first, second] {
        store.recall(from, std::slice::from_ref(&last)).await.unwrap();
    }
    for listener in [&mut own, &mut others] {
        let mut lasts = 0;
        while lasts == 0 {
            lasts += usize::from(wait::within("the last", listener.recv()).await.unwrap() == last);
        }
    }
    store.recall(first, std::slice::from_ref(&account)).await.unwrap();
    store.recall(second, std::slice::from_ref(&last)).await.unwrap();
    assert_eq!(wait::within("only what others recall", own.recv()).await, Some(last));
}
