//! The real decisions over scripted backends, on a virtual clock: each run sees the same requests, luck and failures.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod simulate {
    mod backend;
    mod fallbacks;
    mod health;
    mod outages;
    mod report;
    mod spread;
    mod world;
}
