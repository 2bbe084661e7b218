//! Equal requests at one time ask the model once.

use futures_util::future::join_all;
use serde_json::json;
use turnpike_testkit::{Script, upstream::Gate};

use crate::stage::{CHAT, Stage, cache, chat, is_hit};

#[tokio::test]
async fn equal_requests_wait_for_the_first() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let gate = Gate::default();
    stage.upstream.next(Script::chat("once").head_after(&gate));
    let body = chat("Hi");
    let all = join_all((0..20).map(|_| client.post(CHAT, &body)));
    let open = async {
        stage.gateway.metric_is("turnpike_cache_waited_requests_total", "", 19.0).await;
        gate.open(1);
    };
    let (replies, ()) = tokio::join!(all, open);
    assert_eq!(replies.iter().filter(|reply| is_hit(reply)).count(), 19);
    assert!(replies.iter().all(|reply| reply.json()["choices"][0]["message"]["content"] == "once"));
    assert_eq!(stage.asked(), 1);
}

#[tokio::test]
async fn where_the_first_fails_each_goes_on_by_itself() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let (first, others) = (Gate::default(), Gate::default());
    stage.upstream.next(Script::error(400, "no", "bad").head_after(&first));
    for _ in 0..4 {
        stage.upstream.next(Script::chat("own").head_after(&others));
    }
    let body = chat("Hi");
    let all = join_all((0..5).map(|_| client.post(CHAT, &body)));
    let open = async {
        stage.gateway.metric_is("turnpike_cache_waited_requests_total", "", 4.0).await;
        first.open(1);
        stage.upstream.wait_for("all are sent", |log| log.len() == 5).await;
        others.open(4);
    };
    let (replies, ()) = tokio::join!(all, open);
    assert_eq!(replies.iter().filter(|reply| reply.status == 400).count(), 1);
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 4);
    assert_eq!(stage.asked(), 5);
}

#[tokio::test]
async fn nobody_waits_for_an_answer_that_is_not_kept() {
    let stage = Stage::plain().await;
    let client = stage.alice();
    let gate = Gate::default();
    stage.upstream.next(Script::chat("alone").head_after(&gate));
    stage.upstream.next(Script::chat("own"));
    let alone = cache(chat("Hi"), json!({"no-store": true}));
    let other = async {
        stage.upstream.wait_for("the first is sent", |log| log.len() == 1).await;
        let reply = client.post(CHAT, &chat("Hi")).await;
        gate.open(1);
        reply
    };
    let (first, second) = tokio::join!(client.post(CHAT, &alone), other);
    assert!(!is_hit(&first) && !is_hit(&second));
    assert_eq!(stage.asked(), 2);
}
