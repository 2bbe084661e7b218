//! The byte layer: scanning, splicing, splitting and rewriting, against independent references.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod bytes {
    mod arbitrary;
    mod conversation;
    mod embeddings;
    mod eventstream;
    mod features;
    mod large;
    mod requests;
    mod responses;
    mod scan;
    mod splices;
    mod sse;
    mod streams;
    mod tokens;
    mod usage;
}
