//! The load generator against the scripted upstream, and against targets that misbehave.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::{LocalSet, spawn_local},
};
use turnpike_bench::{
    load::{self, Plan, Watched},
    process::{self, Running, Stat},
    script::Traffic,
    upstream,
};

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn scripted() -> SocketAddr {
    let (listener, address) = listen().await;
    spawn_local(upstream::serve(listener));
    address
}

/// A target that gives every request the same answer.
async fn answering(answer: &'static str) -> SocketAddr {
    let (listener, address) = listen().await;
    spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            spawn_local(async move {
                while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn plan(target: SocketAddr, traffic: Traffic) -> Plan {
    Plan {
        target,
        key: "sk-bench".to_owned(),
        traffic,
        connections: 4,
        rate: None,
        warm_up: Duration::from_millis(100),
        measure: Duration::from_millis(400),
        watch: vec![Watched { name: "this".to_owned(), pid: std::process::id() }],
    }
}

fn on_one_thread<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test))
}

#[test]
fn a_closed_loop_counts_what_it_sent() {
    on_one_thread(async {
        let outcome = load::run(&plan(scripted().await, Traffic::Plain)).await.unwrap();
        assert!(outcome.requests > 0 && outcome.requests_in_all > outcome.requests, "{outcome:?}");
        assert!(outcome.latency.p50 <= outcome.latency.p99 && outcome.latency.p99 <= outcome.latency.max);
        assert!(outcome.first_chunk.is_none() && outcome.gap.is_none() && outcome.late_start.is_none());
        let names: Vec<&str> = outcome.used.iter().map(|used| used.name.as_str()).collect();
        assert_eq!(names, ["this", "client"]);
        assert!(
            outcome.used.iter().all(|used| used.at_end.rss_kib > 0 && used.cpu_us_per_request > 0.0),
            "{outcome:?}"
        );
    });
}

#[test]
fn a_paced_stream_takes_its_time_and_a_burst_does_not() {
    on_one_thread(async {
        let target = scripted().await;
        let paced = Plan { measure: Duration::from_millis(700), ..plan(target, Traffic::Paced) };
        let paced = load::run(&paced).await.unwrap();
        // 63 gaps of 4 ms; never faster, whatever else the machine does.
        assert!(paced.latency.p50 > 240_000.0, "{paced:?}");
        assert!(paced.gap.unwrap().p50 > 3_000.0, "{paced:?}");
        let burst = load::run(&plan(target, Traffic::Burst)).await.unwrap();
        assert!(burst.latency.p50 < 240_000.0, "{burst:?}");
        assert!(burst.first_chunk.unwrap().p50 <= burst.latency.max, "{burst:?}");
    });
}

#[test]
fn an_open_loop_sends_at_its_rate() {
    on_one_thread(async {
        let open = Plan { rate: Some(200.0), ..plan(scripted().await, Traffic::Plain) };
        let outcome = load::run(&open).await.unwrap();
        assert_eq!(outcome.requests_in_all, 100, "200 a second for half a second");
        assert!(outcome.late_start.is_some());
    });
}

#[test]
fn an_open_loop_counts_the_wait_behind_a_slow_answer() {
    on_one_thread(async {
        let (listener, target) = listen().await;
        // Each answer takes 50 ms on the only connection, while a request is due every 10 ms.
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut seen = vec![0; 4096];
            while stream.read(&mut seen).await.is_ok_and(|read| read > 0) {
                tokio::time::sleep(Duration::from_millis(50)).await;
                if stream.write_all(&turnpike_bench::script::Answers::build().plain).await.is_err() {
                    return;
                }
            }
        });
        let open = Plan { rate: Some(100.0), connections: 1, warm_up: Duration::ZERO, ..plan(target, Traffic::Plain) };
        let outcome = load::run(&open).await.unwrap();
        // The 40th request was due after 0.39 s and is answered after 2 s: far more than the 50 ms it took by itself.
        assert!(outcome.latency.max > 1_500_000.0, "{outcome:?}");
    });
}

#[test]
fn a_wrong_answer_fails_the_run() {
    on_one_thread(async {
        for (answer, expected) in [
            ("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", "status"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "wrong answer"),
            ("HTTP/1.1 200 OK\r\ncontent-length: abc\r\n\r\n{}", "content-length"),
        ] {
            let error = load::run(&plan(answering(answer).await, Traffic::Plain)).await.unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        }
        let (listener, gone) = listen().await;
        drop(listener);
        assert!(load::run(&plan(gone, Traffic::Plain)).await.is_err());
    });
}

#[test]
fn a_process_ends_with_its_owner_and_its_children_are_counted() {
    let mut command = Running::command(Path::new("sh"));
    command.args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 60 & wait"]);
    let running = Running::start("sh", &mut command).unwrap();
    let pid = running.pid();
    let mut used = process::used(pid).unwrap();
    for _ in 0..500 {
        if used.cpu_s > 0.0 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(20));
        used = process::used(pid).unwrap();
    }
    assert!(used.cpu_s > 0.0 && used.rss_kib > 0, "{used:?}");
    drop(running);
    assert!(process::used(pid).is_err(), "{pid} is still there");
}

#[test]
fn a_stat_line_with_a_strange_name_is_read() {
    let line = "42 (a ) b) S 7 42 42 0 -1 4194560 9 9 0 0 11 22 33 44 20 0 1 0 1 2 3";
    assert_eq!(Stat::parse(line), Some(Stat { parent: 7, ticks: 110 }));
    assert_eq!(Stat::parse("42 (cut) S 7"), None);
}
