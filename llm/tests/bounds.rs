//! What a request may use at most, against what it is counted as.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bounds {
    mod output;
    mod prompt;
    mod random;
    mod units;
}
