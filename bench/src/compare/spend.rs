//! What the gateway wrote down. Read through the view that users' own queries go through.

use std::path::Path;

use anyhow::Context as _;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

const QUERY: &str = "SELECT count(*), coalesce(sum(total_tokens), 0), coalesce(sum(spend), 0.0)
    FROM litellm_logs WHERE status = 'success'";

pub(crate) struct Spend {
    /// Requests logged as served well.
    pub(crate) rows: i64,
    /// Tokens that they used together.
    pub(crate) tokens: i64,
    /// What they cost together.
    pub(crate) usd: f64,
}

pub(crate) async fn read(data: &Path) -> anyhow::Result<Spend> {
    let file = data.join("turnpike.db");
    let mut database = SqliteConnectOptions::new()
        .filename(&file)
        .connect()
        .await
        .with_context(|| format!("opening {}", file.display()))?;
    let (rows, tokens, usd) = sqlx::query_as(QUERY).fetch_one(&mut database).await.context("reading the spend log")?;
    database.close().await?;
    Ok(Spend { rows, tokens, usd })
}
