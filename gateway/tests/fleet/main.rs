//! Several gateways on one PostgreSQL: whether limits hold when everything goes on at once, and when something ends badly.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod books;
mod busy;
mod charged;
mod crashes;
mod deciding;
mod outages;
mod responses;
mod restored;
mod stage;
