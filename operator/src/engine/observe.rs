//! Watches what engines are made of and sends a picture of it whenever something has changed.

use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::watch;

use crate::{
    context::Context,
    engine::{Engines, observer::Observer, reports::Incoming, watches},
};

/// Events taken at a time.
const EVENTS: usize = 256;

/// Watches until dropped. Nothing is sent before all is known.
pub async fn run(context: Context, mut reports: Incoming, sender: watch::Sender<Arc<Engines>>) {
    let mut observer = Observer::new(watches::kinds(&context), watches::scopes(&context).len());
    let mut events = watches::all(&context).ready_chunks(EVENTS);
    loop {
        tokio::select! {
            Some(chunk) = events.next() => for event in chunk {
                match event {
                    Ok(seen) => observer.observe(seen),
                    // It goes on by itself; until then the picture stays as it is.
                    Err(error) => tracing::warn!(%error, "a watch of engines broke off"),
                }
            },
            Some((model, report)) = reports.recv() => observer.take(&model, report),
        }
        if let Some(picture) = observer.news() {
            sender.send_replace(picture);
        }
    }
}
