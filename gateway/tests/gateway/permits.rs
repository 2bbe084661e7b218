//! Whatever goes wrong, no permit is lost: after every failure the gateway has nothing in flight.

use serde_json::{Value, json};
use turnpike_testkit::{
    Script,
    raw::Raw,
    upstream::{Cut, Gate},
};

use crate::stage::{ALICE, CHAT, Stage, chat, streamed, with};

#[tokio::test]
async fn every_failure_gives_its_permit_back() {
    let timeouts = json!({"firstByte": "1s", "idle": "1s", "total": "1s"});
    let stage =
        Stage::with_model(|model| model.with("timeouts", timeouts), |setup, _| setup.arg("--max-in-flight").arg("1"))
            .await;
    let never = Gate::default();
    let scripts = [
        Script::hang_up(),
        Script::reset(),
        Script::garbage("nonsense\r\n\r\n"),
        Script::html(),
        Script::error(500, "it broke", "x"),
        Script::error(429, "slow down", "x"),
        Script::chat("late").head_after(&never),
        Script::pieces(5).cut(400, Cut::Close),
        Script::pieces(5).cut(400, Cut::Reset),
        Script::pieces(5).cut(400, Cut::Stall),
        Script::pieces(5).trickle(),
        Script::raw("application/json", "{"),
    ];
    for script in scripts {
        for body in [chat(), streamed()] {
            stage.upstream.next(script.clone());
            let sent: &Value = &body;
            let reply = stage.alice().post(CHAT, sent).await;
            assert_ne!(
                (reply.status, reply.header("retry-after")),
                (503, Some("1")),
                "a permit is missing before {script:?}"
            );
            // With room for one request only, a lost permit would refuse the next.
            stage.settles().await;
        }
    }
    for body in ["not json".to_owned(), with(chat(), "model", json!("nope")).to_string(), String::new()] {
        stage.alice().post_bytes(CHAT, body).await;
        stage.settles().await;
    }
    stage.still_serves().await;
}

#[tokio::test]
async fn clients_that_leave_at_any_moment_give_their_permits_back() {
    let stage = Stage::new().await;
    let gate = Gate::default();
    let body = streamed().to_string();
    let request = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {ALICE}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // Leaves while the upstream has not answered, has sent some, or is about to end.
    for opened in 0..8 {
        stage.upstream.next(Script::pieces(4).paced(&gate));
        let mut raw = Raw::connect(stage.gateway.public).await;
        raw.write(request.as_bytes()).await;
        let before = stage.upstream.log().len();
        stage
            .upstream
            .wait_for("it is there", |log| log.len() > before || log.last().is_some_and(|seen| !seen.body.is_empty()))
            .await;
        gate.open(opened);
        if opened % 2 == 0 {
            raw.reset();
        } else {
            raw.finish().await;
            drop(raw);
        }
        // What is left of the permits must not pace the next.
        gate.open(8);
        stage.settles().await;
    }
    stage.still_serves().await;
}
