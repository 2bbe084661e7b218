//! The databases of tests: they answer, can be stopped and started again, and never outlive the process that needed them.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use sqlx::{Connection as _, PgConnection};
use turnpike_testkit::{
    postgres::{self, Postgres},
    redis::Redis,
    wait::{eventually, within},
};

#[tokio::test]
async fn each_database_is_new_and_empty() {
    for _ in 0..2 {
        let mut connection = PgConnection::connect(&postgres::database().await).await.unwrap();
        sqlx::raw_sql("CREATE TABLE t (n integer)").execute(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash() {
    let server = Postgres::start().await;
    let url = server.database().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("CREATE TABLE t AS SELECT 7 AS n").execute(&mut connection).await.unwrap();
    server.stop();
    assert!(PgConnection::connect(&url).await.is_err());
    server.resume().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let n: i32 = sqlx::query_scalar("SELECT n FROM t").fetch_one(&mut connection).await.unwrap();
    assert_eq!(n, 7);
}

#[tokio::test]
async fn a_frozen_redis_does_not_answer_until_it_is_thawed() {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::UnixStream,
    };
    let server = Redis::start().await;
    let mut stream = UnixStream::connect(server.url().strip_prefix("redis+unix://").unwrap()).await.unwrap();
    server.freeze();
    stream.write_all(b"PING\r\n").await.unwrap();
    let mut answer = [0; 7];
    let early = tokio::time::timeout(std::time::Duration::from_millis(50), stream.read_exact(&mut answer)).await;
    assert!(early.is_err());
    server.thaw();
    within("an answer", stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

/// What the next test runs as a process of its own.
#[tokio::test]
#[ignore = "waits to be killed"]
async fn a_process_that_is_killed() {
    let server = Postgres::start().await;
    println!("{}", server.database().await);
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn servers_end_with_the_process_that_started_them() {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_that_is_killed", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let url = lines.map_while(Result::ok).find_map(|line| line.find("postgres://").map(|at| line[at..].to_owned()));
    let url = url.unwrap();
    PgConnection::connect(&url).await.unwrap();
    process.kill().unwrap();
    process.wait().unwrap();
    let folder = Path::new(url.split_once("host=").unwrap().1);
    eventually("its folder is gone", || async { (!folder.exists()).then_some(()) }).await;
    assert!(PgConnection::connect(&url).await.is_err());
}
