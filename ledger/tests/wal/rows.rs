//! Rows to record.

use std::path::Path;

use turnpike_ledger::{
    account::AccountId,
    spend_log::{EventId, Posting, SpendRow},
    wal::{Left, abandoned},
};
use uuid::Uuid;

#[path = "../fixtures/spend_row.rs"]
mod spend_row;

use self::spend_row::spend_row;

pub(crate) const RUN: Uuid = Uuid::from_u128(0x7a11);

/// The row of an attempt that ended well.
pub(crate) fn row(sequence: u64) -> SpendRow {
    let posting = |account: &str, amount| Posting {
        account: AccountId::from_stored(account),
        lease: Some(sequence / 100),
        slot: 1_763_719_200_000_000,
        amount,
    };
    SpendRow {
        stream: true,
        postings: [
            posting("Budget/llm/team/usd/Month/Calendar/UTC/", 1_500_000),
            posting("VirtualKey/llm/a/tokens/Day/Calendar/UTC/", 1_200),
        ]
        .into(),
        tags: Some(r#"["batch"]"#.into()),
        ..spend_row(EventId { incarnation: RUN, sequence })
    }
}

/// The same attempt as it is recorded before dispatch: at its bound.
pub(crate) fn opening(sequence: u64) -> SpendRow {
    let row = row(sequence);
    let postings = row.postings.iter().map(|posting| Posting { amount: posting.amount * 4, ..posting.clone() });
    let postings = postings.collect();
    SpendRow { postings, cost_nano: Some(6_000_000), completion_tokens: 800, latency_us: 0, outcome: "success", ..row }
}

/// What a start finds of an attempt whose end was not recorded.
pub(crate) fn crashed(opening: SpendRow) -> SpendRow {
    SpendRow { outcome: "crashed", estimated: true, ..opening }
}

/// Reads the only folder that a dead process has left in `parent`.
pub(crate) fn left(parent: &Path) -> Left {
    let dead = abandoned(parent).unwrap();
    assert_eq!(dead.len(), 1);
    let left = dead[0].read().unwrap();
    assert_eq!(left, dead[0].read().unwrap(), "reading it again says something else");
    left
}
