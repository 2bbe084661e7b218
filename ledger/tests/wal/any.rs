//! Rows of every kind.

use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*, sample::select};
use turnpike_ledger::{
    account::AccountId,
    spend_log::{Attempt, EventId, Posting, Role, SpendRow},
};

use crate::rows::RUN;

fn text() -> impl Strategy<Value = Arc<str>> {
    "\\PC{0,24}".prop_map(Arc::from)
}

fn posting() -> impl Strategy<Value = Posting> {
    (text(), option::of(any::<u64>()), any::<i64>(), any::<i64>()).prop_map(|(account, lease, slot, amount)| Posting {
        account: AccountId::from_stored(&account),
        lease,
        slot,
        amount,
    })
}

/// Any row of this event.
pub(crate) fn any_row(sequence: u64) -> impl Strategy<Value = SpendRow> {
    let texts = (text(), text(), option::of(text()), option::of(text()), option::of(text()), text());
    let models = (option::of(text()), option::of(select(vec!["openai", "aws.bedrock"])), option::of(text()));
    let roles = select(vec![Role::Answer, Role::Retried, Role::Hedged, Role::Mirror]);
    let words = (select(vec!["chat", "embeddings"]), select(vec!["success", "cancelled", "upstream_timeout"]), roles);
    let counts = (any::<[u64; 5]>(), any::<[Option<i64>; 3]>(), any::<[i64; 2]>());
    let flags = (any::<bool>(), any::<bool>(), any::<u16>());
    let rest = (vec(posting(), 0..4), option::of(text()), option::of(text()));
    (texts, models, words, counts, flags, rest).prop_map(
        move |(texts, models, words, (counts, options, times), flags, (postings, tags, metadata))| SpendRow {
            event: EventId { incarnation: RUN, sequence },
            started_at_us: times[0],
            request_id: texts.0,
            key_id: texts.1,
            team: texts.2,
            user: texts.3,
            end_user: texts.4,
            requested_model: texts.5,
            model: models.0,
            provider: models.1,
            upstream_model: models.2,
            operation: words.0,
            stream: flags.0,
            status: flags.2,
            outcome: words.1,
            prompt_tokens: counts[0],
            completion_tokens: counts[1],
            cached_tokens: counts[2],
            cache_write_tokens: counts[3],
            reasoning_tokens: counts[4],
            cost_nano: options[0],
            estimated: flags.1,
            first_byte_us: options[1],
            latency_us: times[1],
            upstream_us: options[2],
            postings: postings.into(),
            tags,
            metadata,
            attempt: Attempt { number: flags.2, of: flags.2.wrapping_mul(3), role: words.2 },
        },
    )
}
