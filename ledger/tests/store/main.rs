//! The ledger's stores: one suite, run on `SQLite` and on a real PostgreSQL.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

/// Runs each of these tests, functions of a [`fixture::Fixture`], on every store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::fixture::Fixture::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::fixture::Fixture::postgres().await).await;
            })*
        }
    };
}

mod alike;
mod booking;
mod concurrent;
mod edits;
mod fixture;
mod holders;
mod leases;
mod measure;
mod postgres_only;
mod redis_only;
mod responses;
mod standing;
mod windows;
