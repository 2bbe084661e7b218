//! Kept answers by what their requests mean, on a real PostgreSQL with pgvector.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::sync::OnceCell;
use turnpike_ledger::store::{Alike, AlikeError, AlikeStore, Likest, Wanted};
use turnpike_testkit::postgres::{self, Postgres};

static SERVER: OnceCell<Postgres> = OnceCell::const_new();

const MINE: [u8; 32] = [1; 32];
const OTHERS: [u8; 32] = [2; 32];

async fn store() -> (AlikeStore, String) {
    let url = SERVER.get_or_init(Postgres::with_vector).await.database().await;
    let store = AlikeStore::new(&url).unwrap();
    store.prepare().await.unwrap();
    (store, url)
}

fn alike(partition: [u8; 32], key: u8, vector: &[f32]) -> Alike {
    Alike { partition, key: [key; 32], vector: vector.to_vec(), value: vec![key; 3], until: 100 }
}

fn wanted(vector: &[f32]) -> Wanted {
    Wanted { partition: MINE, vector: vector.to_vec(), threshold: 0.9, now: 50 }
}

async fn key(store: &AlikeStore, wanted: &Wanted) -> Option<u8> {
    store.find(wanted).await.unwrap().map(|likest| likest.key[0])
}

async fn number(url: &str, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn the_likest_of_a_partition_is_found() {
    let (store, _) = store().await;
    assert_eq!(store.find(&wanted(&[0.0, 5.0, 0.0])).await.unwrap(), None);
    for kept in [
        alike(MINE, 1, &[1.0, 0.0, 0.0]),
        alike(MINE, 2, &[0.0, 1.0, 0.1]),
        alike(MINE, 3, &[0.0, 1.0, 0.2]),
        alike(OTHERS, 4, &[0.0, 0.0, 1.0]),
    ] {
        store.put(&kept).await.unwrap();
    }
    let found = store.find(&wanted(&[0.0, 5.0, 0.0])).await.unwrap();
    assert_eq!(found, Some(Likest { key: [2; 32], value: vec![2; 3], likeness: 0.995_037 }));
    assert_eq!(key(&store, &wanted(&[0.0, 0.0, 1.0])).await, None, "of another partition");
    assert_eq!(key(&store, &wanted(&[0.0, 1.0])).await, None, "of another length");
    assert_eq!(key(&store, &wanted(&[-1.0, 0.0, 0.0])).await, None, "the opposite");
    let exact = Wanted { threshold: 1.0, ..wanted(&[3.0, 0.0, 0.0]) };
    let found = store.find(&exact).await.unwrap();
    assert_eq!(found, Some(Likest { key: [1; 32], value: vec![1; 3], likeness: 1.0 }), "as like as can be");
    let late = Wanted { now: 100, ..wanted(&[0.0, 5.0, 0.0]) };
    assert_eq!(key(&store, &late).await, None, "expired");
}

#[tokio::test]
async fn an_answer_that_is_kept_again_replaces_the_former() {
    let (store, url) = store().await;
    store.put(&alike(MINE, 1, &[1.0, 2.0])).await.unwrap();
    let newer = Alike { value: b"newer".to_vec(), until: 200, ..alike(MINE, 1, &[1.0, 2.0]) };
    store.put(&newer).await.unwrap();
    let found = store.find(&Wanted { now: 150, ..wanted(&[1.0, 2.0]) }).await.unwrap().unwrap();
    assert_eq!(found.value, b"newer");
    assert_eq!(number(&url, "SELECT count(*) FROM kept_answer").await, 1);
}

#[tokio::test]
async fn many_answers_have_an_index_and_expired_ones_go() {
    let (store, url) = store().await;
    store.put(&alike(MINE, 1, &[1.0; 8])).await.unwrap();
    let fill = "INSERT INTO kept_answer SELECT $1, decode(md5(n::text), 'hex') || decode(md5(n::text), 'hex'), 8,
        (SELECT array_agg(random() - 0.5) FROM generate_series(1, 8 + 0 * n))::real[]::vector, '', 40 + n % 10 * 2
        FROM generate_series(1, 21000) AS n";
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // Of many rows at once an index is made much faster than it grows.
    let index = "SELECT indexdef FROM pg_indexes WHERE indexname = 'kept_answer_of_8'";
    let index: String = sqlx::query_scalar(index).fetch_one(&mut connection).await.unwrap();
    let begin = "DROP INDEX kept_answer_of_8; SELECT setseed(0.5)";
    sqlx::raw_sql(begin).execute(&mut connection).await.unwrap();
    sqlx::query(fill).bind(&MINE[..]).execute(&mut connection).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("{index}; ANALYZE kept_answer"))).execute(&mut connection).await.unwrap();

    let live = "SELECT key, embedding::real[] FROM kept_answer WHERE until > 50 ORDER BY key LIMIT 100";
    let live: Vec<(Vec<u8>, Vec<f32>)> = sqlx::query_as(live).fetch_all(&mut connection).await.unwrap();
    let mut found = 0;
    for (key, vector) in &live {
        let mut close = vector.clone();
        close[0] += 0.001;
        let likest = store.find(&wanted(&close)).await.unwrap();
        found += usize::from(likest.is_some_and(|likest| likest.key[..] == key[..]));
    }
    // The index is quick, not perfect: what it overlooks is asked anew.
    assert!((95..=100).contains(&found), "{found} of 100");
    let used = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'kept_answer_of_8'";
    turnpike_testkit::wait::eventually("the index is used", || async {
        // A connection tells what it has counted now and then, with its next statement.
        store.find(&wanted(&[1.0; 8])).await.unwrap();
        (number(&url, used).await > 0).then_some(())
    })
    .await;

    // Those until 40, 42, ... 50.
    assert_eq!(store.forget(50).await.unwrap(), 12_600);
    assert_eq!(store.forget(50).await.unwrap(), 0);
    assert_eq!(number(&url, "SELECT count(*) FROM kept_answer").await, 8_401);
}

#[tokio::test]
async fn a_small_partition_among_large_ones_is_searched_whole() {
    let (store, url) = store().await;
    store.put(&alike(MINE, 1, &[1.0, 0.1, 0.0])).await.unwrap();
    // All are more like what is wanted, and of others.
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let fill = "INSERT INTO kept_answer SELECT $1, decode(md5(n::text), 'hex'), 3, '[1,0,0]'::vector, '', 100
        FROM generate_series(1, 5000) AS n";
    sqlx::query(fill).bind(&OTHERS[..]).execute(&mut connection).await.unwrap();
    sqlx::raw_sql("ANALYZE kept_answer").execute(&mut connection).await.unwrap();
    for _ in 0..8 {
        assert_eq!(key(&store, &wanted(&[1.0, 0.0, 0.0])).await, Some(1));
    }
}

#[tokio::test]
async fn many_gateways_begin_at_once() {
    let url = SERVER.get_or_init(Postgres::with_vector).await.database().await;
    let beginning: Vec<_> = (0..6)
        .map(|number| {
            let store = AlikeStore::new(&url).unwrap();
            tokio::spawn(async move {
                store.prepare().await?;
                store.put(&alike(MINE, number, &[1.0, f32::from(number)])).await
            })
        })
        .collect();
    for begun in beginning {
        begun.await.unwrap().unwrap();
    }
    assert_eq!(number(&url, "SELECT count(*) FROM kept_answer").await, 6);
}

#[tokio::test]
async fn a_database_without_the_extension_says_so() {
    let store = AlikeStore::new(&postgres::database().await).unwrap();
    let refused = store.prepare().await.unwrap_err();
    assert!(matches!(refused, AlikeError::Extension(_)), "{refused:?}");
    assert!(refused.to_string().contains("install pgvector"), "{refused}");
}
