//! The adapter over the provider table: what each provider is sent, and what its errors mean.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod providers {
    mod as_responses;
    mod bedrock;
    mod capping;
    mod charges;
    mod contents;
    mod failures;
    mod fixture;
    mod frames;
    mod gemini;
    mod lossless;
    mod matrix;
    mod parameters;
    mod pass;
    mod recorded;
    mod relay;
    mod rerank;
    mod survival;
    mod table;
    mod thinking;
    mod urls;
    mod vertex;
}
