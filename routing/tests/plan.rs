//! What comes after each kind of failure: another member, a pause, another group, or the end.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod plan {
    mod fixture;
    mod groups;
    mod health;
    mod members;
    mod ways;
}
