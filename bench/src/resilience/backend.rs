//! An upstream that fails when it is told to.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    net::TcpListener,
    task::{JoinHandle, JoinSet, spawn_local},
    time::sleep,
};

use crate::{
    script::{Answers, Script, Traffic},
    wire::Wire,
};

/// How long a sound upstream takes for an answer, or for the first chunk of a stream.
const TAKES: Duration = Duration::from_millis(20);
/// How long a slow one takes.
const SLOW: Duration = Duration::from_secs(5);
const LIMITED: &str =
    r#"{"error":{"message":"Slow down.","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
/// A stream that never gets to its first event.
const CUT: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\n: hello\n\n\r\n";

/// What is wrong with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// It is gone: its connections break and nobody listens.
    Killed,
    /// It takes 5 s to answer.
    Slow,
    /// It answers 429 and asks for 2 s of rest.
    Limited,
    /// Its streams end before their first event.
    Cut,
}

/// One upstream.
pub(super) struct Backend {
    pub(super) address: SocketAddr,
    fault: Rc<Cell<Fault>>,
    /// Requests that reached it.
    pub(super) asked: Rc<Cell<u64>>,
    serving: JoinHandle<()>,
}

impl Backend {
    /// A sound one; needs a `LocalSet`.
    pub(super) async fn start(answers: &Rc<Answers>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (fault, asked) = (Rc::new(Cell::new(Fault::None)), Rc::new(Cell::new(0)));
        let address = listener.local_addr()?;
        let one = One { answers: Rc::clone(answers), fault: Rc::clone(&fault), asked: Rc::clone(&asked) };
        Ok(Self { address, fault, asked, serving: spawn_local(serve(listener, one)) })
    }

    /// Something is wrong with it from now on.
    pub(super) fn fail(&self, fault: Fault) {
        self.fault.set(fault);
        if fault == Fault::Killed {
            // The listener and all connections go with it.
            self.serving.abort();
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[derive(Clone)]
struct One {
    answers: Rc<Answers>,
    fault: Rc<Cell<Fault>>,
    asked: Rc<Cell<u64>>,
}

async fn serve(listener: TcpListener, one: One) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let one = one.clone();
        connections.spawn_local(async move {
            // A gateway that lets go of a connection is no fault of the upstream's.
            if let Ok(wire) = Wire::new(stream) {
                let _ = one.connection(wire).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

impl One {
    async fn connection(&self, mut wire: Wire) -> anyhow::Result<()> {
        let mut body = Vec::new();
        while let Some(head) = wire.head().await? {
            body.clear();
            wire.body(head.framing, &mut body, || ()).await?;
            self.asked.set(self.asked.get() + 1);
            let script = Script::of(&body)?;
            match self.fault.get() {
                Fault::Limited => {
                    wire.send(limited().as_bytes()).await?;
                    continue;
                }
                Fault::Cut => return wire.send(CUT).await,
                Fault::Slow => sleep(SLOW).await,
                Fault::None | Fault::Killed => sleep(TAKES).await,
            }
            if script.traffic == Traffic::Plain {
                wire.send(&self.answers.plain).await?;
                continue;
            }
            for chunk in &self.answers.chunks {
                wire.send(chunk).await?;
            }
            if script.usage {
                wire.send(&self.answers.usage).await?;
            }
            wire.send(&self.answers.end).await?;
        }
        Ok(())
    }
}

fn limited() -> String {
    let head = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-type: application/json";
    format!("{head}\r\ncontent-length: {}\r\n\r\n{LIMITED}", LIMITED.len())
}
