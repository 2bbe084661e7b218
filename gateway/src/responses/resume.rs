//! A request of Responses with all that was said before it.

use std::sync::Arc;

use turnpike_ledger::responses::StoredResponse;
use turnpike_llm::{
    conversation::{self, Stored, Turn},
    request::Request,
};

use super::{
    Name, Responses,
    saver::{Plan, Saver},
};
use crate::{
    config::snapshot::Caller,
    error::Error,
    pipeline::body::{BodyLimits, Buffered, INLINE},
};

/// Puts the earlier turns before the request's own items, and prepares to store its answer where the client lets it.
///
/// # Errors
/// There is no such answer of this key, the conversation is too long, or the store does not answer.
pub async fn resume(
    store: &Responses,
    caller: &Caller,
    buffered: Buffered,
    limits: &BodyLimits,
) -> Result<(Buffered, Option<Box<Saver>>), Error> {
    let Buffered { request, mut permit } = buffered;
    let previous = conversation::previous(&request).map(|id| Name::new(&caller.key_id, &id));
    let turns = match &previous {
        Some(name) => store.conversation(name).await?,
        None => Vec::new(),
    };
    let previous: Option<Arc<str>> = previous.map(|name| name.id.into());
    let before = turns.last().map_or(0, |last| last.bytes);
    let added = usize::try_from(before).unwrap_or(usize::MAX);
    if request.bytes().len().saturating_add(added) > limits.most {
        return Err(Error::BodyTooLarge { limit: limits.most });
    }
    permit.grow(&limits.buffered, added)?;
    let is_kept = conversation::wants_kept(&request);
    let input: Option<Arc<str>> = is_kept.then(|| conversation::input(&request).into());
    let mut request = if turns.is_empty() { request } else { put_together(request, turns, added).await? };
    request.keep(Stored { is_kept, previous: previous.clone() });
    let plan = |input| Plan { key_id: Arc::clone(&caller.key_id), previous, input, before };
    let saver = input.map(|input| Box::new(Saver::new(store, plan(input))));
    Ok((Buffered { request, permit }, saver))
}

async fn put_together(request: Request, turns: Vec<StoredResponse>, added: usize) -> Result<Request, Error> {
    let turns: Vec<Turn> = turns.into_iter().map(|turn| Turn { input: turn.input, response: turn.response }).collect();
    if request.bytes().len().saturating_add(added) <= INLINE {
        return Ok(conversation::resumed(&request, &turns)?);
    }
    let work = move || conversation::resumed(&request, &turns);
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| Error::Internal)??)
}
