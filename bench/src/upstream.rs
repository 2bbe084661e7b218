//! The scripted upstream: a provider that costs as little as a socket allows.

use std::{net::SocketAddr, rc::Rc};

use tokio::{net::TcpListener, task::spawn_local};

mod pacer;

use crate::{
    script::{Answers, Script, Traffic},
    wire::Wire,
};
use pacer::Pacer;

const NOT_FOUND: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";

/// Listens, prints `listening on ADDRESS` as the first line of stdout, and serves until the process ends.
pub async fn announce_and_serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    serve(listener).await
}

/// Serves `listener` for ever; needs a `LocalSet`. Errors only where accepting does.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    let answers = Rc::new(Answers::build());
    let pacer = Rc::new(Pacer::start()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (answers, pacer) = (answers.clone(), pacer.clone());
        spawn_local(async move {
            let served = match Wire::new(stream) {
                Ok(wire) => connection(wire, &answers, &pacer).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                eprintln!("upstream: {error:#}");
            }
        });
    }
}

async fn connection(mut wire: Wire, answers: &Answers, pacer: &Pacer) -> anyhow::Result<()> {
    let mut body = Vec::new();
    while let Some(head) = wire.head().await? {
        body.clear();
        wire.body(head.framing, &mut body, || ()).await?;
        if !head.starts_with("POST /v1/chat/completions ") {
            wire.send(NOT_FOUND).await?;
            continue;
        }
        let script = Script::of(&body)?;
        match script.traffic {
            Traffic::Plain => wire.send(&answers.plain).await?,
            Traffic::Burst => stream(&mut wire, answers, script, None).await?,
            Traffic::Paced => stream(&mut wire, answers, script, Some(pacer)).await?,
        }
    }
    Ok(())
}

async fn stream(wire: &mut Wire, answers: &Answers, script: Script, pacer: Option<&Pacer>) -> anyhow::Result<()> {
    let beat = pacer.map(Pacer::join);
    for (index, chunk) in answers.chunks.iter().enumerate() {
        // The first goes out at once, so that the time to it is the gateway's.
        if index > 0
            && let Some(beat) = &beat
        {
            beat.next().await;
        }
        wire.send(chunk).await?;
    }
    if script.usage {
        wire.send(&answers.usage).await?;
    }
    wire.send(&answers.end).await
}
