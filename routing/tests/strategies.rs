//! Who may serve a request, who does, and how evenly: on drawn luck, so each run sees the same.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_precision_loss, reason = "tests")]

mod strategies {
    mod filters;
    mod fixture;
    mod hashing;
    mod prices;
    mod replicas;
    mod shares;
    mod speed;
    mod statistics;
    mod tiers;
}
