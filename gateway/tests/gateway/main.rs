//! The gateway from outside: the real binary, a scripted upstream, clients that misbehave. One module a behaviour.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod attempts;
mod auth;
mod bodies;
mod broken_streams;
mod budgets;
mod choosing;
mod cluster;
mod connections;
mod credentials;
mod dialects;
mod early_answers;
mod egress;
mod embeddings;
mod headers;
mod health;
mod limits;
mod media;
mod params;
mod permits;
mod pools;
mod probes;
mod proxy;
mod rates;
mod reload;
mod routes;
mod shutdown;
mod spend;
mod stage;
mod status_table;
mod streams;
mod tls;
mod torn;
mod unattributed;
mod wildcards;
mod write_ahead;
