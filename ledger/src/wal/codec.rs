//! A spend row as bytes: its fields in their order, numbers little-endian, texts after their length.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use uuid::Uuid;

use crate::{
    account::AccountId,
    spend_log::{Attempt, EventId, Posting, Role, SpendRow},
};

pub(super) fn put(out: &mut Vec<u8>, row: &SpendRow) {
    out.extend_from_slice(row.event.incarnation.as_bytes());
    put_u64(out, row.event.sequence);
    put_i64(out, row.started_at_us);
    put_text(out, &row.request_id);
    put_text(out, &row.key_id);
    for text in [&row.team, &row.user, &row.end_user] {
        put_option(out, text.as_deref(), put_text);
    }
    put_text(out, &row.requested_model);
    put_option(out, row.model.as_deref(), put_text);
    put_option(out, row.provider, put_text);
    put_option(out, row.upstream_model.as_deref(), put_text);
    put_text(out, row.operation);
    out.push(row.stream.into());
    out.extend_from_slice(&row.status.to_le_bytes());
    put_text(out, row.outcome);
    for count in [row.prompt_tokens, row.completion_tokens, row.cached_tokens, row.cache_write_tokens] {
        put_u64(out, count);
    }
    put_u64(out, row.reasoning_tokens);
    put_option(out, row.cost_nano, put_i64);
    out.push(row.estimated.into());
    put_option(out, row.first_byte_us, put_i64);
    put_i64(out, row.latency_us);
    put_option(out, row.upstream_us, put_i64);
    put_u64(out, row.postings.len() as u64);
    for posting in &*row.postings {
        put_text(out, posting.account.as_str());
        put_option(out, posting.lease, put_u64);
        put_i64(out, posting.slot);
        put_i64(out, posting.amount);
    }
    put_option(out, row.tags.as_deref(), put_text);
    put_option(out, row.metadata.as_deref(), put_text);
    out.extend_from_slice(&row.attempt.number.to_le_bytes());
    out.extend_from_slice(&row.attempt.of.to_le_bytes());
    out.push(row.attempt.role.code());
}

/// The row of these bytes; `None` = they are not one.
pub(super) fn get(mut bytes: &[u8]) -> Option<SpendRow> {
    let from = &mut bytes;
    let mut row = SpendRow {
        attempt: Attempt::default(),
        event: EventId { incarnation: Uuid::from_bytes(array(from)?), sequence: get_u64(from)? },
        started_at_us: get_i64(from)?,
        request_id: get_text(from)?,
        key_id: get_text(from)?,
        team: get_option(from, get_text)?,
        user: get_option(from, get_text)?,
        end_user: get_option(from, get_text)?,
        requested_model: get_text(from)?,
        model: get_option(from, get_text)?,
        provider: get_option(from, get_word)?,
        upstream_model: get_option(from, get_text)?,
        operation: get_word(from)?,
        stream: get_bool(from)?,
        status: array(from).map(u16::from_le_bytes)?,
        outcome: get_word(from)?,
        prompt_tokens: get_u64(from)?,
        completion_tokens: get_u64(from)?,
        cached_tokens: get_u64(from)?,
        cache_write_tokens: get_u64(from)?,
        reasoning_tokens: get_u64(from)?,
        cost_nano: get_option(from, get_i64)?,
        estimated: get_bool(from)?,
        first_byte_us: get_option(from, get_i64)?,
        latency_us: get_i64(from)?,
        upstream_us: get_option(from, get_i64)?,
        postings: (0..get_u64(from)?).map(|_| get_posting(from)).collect::<Option<_>>()?,
        tags: get_option(from, get_text)?,
        metadata: get_option(from, get_text)?,
    };
    // Rows of the version before end here.
    if !from.is_empty() {
        row.attempt = get_attempt(from)?;
    }
    from.is_empty().then_some(row)
}

fn get_attempt(from: &mut &[u8]) -> Option<Attempt> {
    let number = array(from).map(u16::from_le_bytes)?;
    let of = array(from).map(u16::from_le_bytes)?;
    let [role] = array(from)?;
    Some(Attempt { number, of, role: Role::of_code(role)? })
}

fn get_posting(from: &mut &[u8]) -> Option<Posting> {
    Some(Posting {
        account: AccountId::from_stored(text(from)?),
        lease: get_option(from, get_u64)?,
        slot: get_i64(from)?,
        amount: get_i64(from)?,
    })
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u64(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        put(out, value);
    }
}

fn array<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*taken)
}

fn get_u64(from: &mut &[u8]) -> Option<u64> {
    array(from).map(u64::from_le_bytes)
}

fn get_i64(from: &mut &[u8]) -> Option<i64> {
    array(from).map(i64::from_le_bytes)
}

fn get_bool(from: &mut &[u8]) -> Option<bool> {
    match array(from)? {
        [0] => Some(false),
        [1] => Some(true),
        [_] => None,
    }
}

fn text<'b>(from: &mut &'b [u8]) -> Option<&'b str> {
    let length = usize::try_from(get_u64(from)?).ok()?;
    let (taken, rest) = from.split_at_checked(length)?;
    *from = rest;
    str::from_utf8(taken).ok()
}

fn get_text(from: &mut &[u8]) -> Option<Arc<str>> {
    text(from).map(Arc::from)
}

#[expect(clippy::option_option, reason = "outside: whether it can be read; inside: what it says")]
fn get_option<T>(from: &mut &[u8], get: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<Option<T>> {
    if get_bool(from)? { get(from).map(Some) } else { Some(None) }
}

/// A word of a closed set, which the program knows as a constant. Each is kept once, for as long as the process lives.
fn get_word(from: &mut &[u8]) -> Option<&'static str> {
    static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let word = text(from)?;
    let mut words = WORDS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = words.get(word) {
        return Some(known);
    }
    let word = Box::leak(word.into());
    words.insert(word);
    Some(word)
}
