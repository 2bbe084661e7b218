//! Recalls between gateways: whoever needs what others may have idle says so by NOTIFY, and they give it back at once instead of
//! at their next round. What is lost of it costs that time and nothing else.

use std::time::Duration;

use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{CONNECT, session::Session};
use crate::{account::AccountId, store::text};

const CHANNEL: &str = "turnpike_recall";
/// Accounts that are recalled at once; further ones wait for the next round.
const PENDING: usize = 256;
/// Between attempts to listen.
const PAUSE: Duration = Duration::from_secs(1);
/// After so long without a word it is found out, by a new connection, whether the old one still has the other end.
const QUIET: Duration = Duration::from_mins(10);

impl Session {
    /// Tells others that `holder` needs these.
    pub(super) async fn recall(&mut self, holder: Uuid, accounts: &[AccountId]) -> Result<(), sqlx::Error> {
        // As stored it is short enough for a notification; who holds one of another name does not know it by that.
        let told: Vec<String> = accounts.iter().map(|id| format!("{holder} {}", text::id(id.as_str()))).collect();
        sqlx::query("SELECT pg_notify($1, told) FROM unnest($2::text[]) AS told")
            .bind(CHANNEL)
            .bind(told)
            .execute(&mut self.connection)
            .await?;
        Ok(())
    }
}

/// What others recall, over a connection of its own, for as long as the receiver lives.
pub(super) fn listen(options: PgConnectOptions, holder: Uuid) -> mpsc::Receiver<AccountId> {
    let (sender, receiver) = mpsc::channel(PENDING);
    tokio::spawn(async move {
        // Only to connect again: it never has more than the listener's connection.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(CONNECT).max_lifetime(None);
        let pool = pool.idle_timeout(None).connect_lazy_with(options);
        let own = holder.to_string();
        loop {
            tokio::select! {
                () = sender.closed() => return,
                // Why it ended is of no interest: the lease task tells when the store is down.
                _ = hear(&pool, &own, &sender) => sleep(PAUSE).await,
            }
        }
    });
    receiver
}

async fn hear(pool: &PgPool, own: &str, sender: &mpsc::Sender<AccountId>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(CHANNEL).await?;
    while let Ok(heard) = timeout(QUIET, listener.recv()).await {
        let heard = heard?;
        let Some((from, id)) = heard.payload().split_once(' ') else { continue };
        if from != own {
            // Of too many at once the last wait for the next round.
            let _ = sender.try_send(AccountId::from_stored(id));
        }
    }
    Ok(())
}
