//! Asks every running gateway each second what its clients want of engines.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use turnpike_bundle::report::Demands;

use crate::gateways::{Gateways, INTERNAL_PORT, Tokens, ask::Asker};

/// Time between questions to one gateway.
const EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const WITHIN: Duration = Duration::from_secs(2);

/// What a gateway said, and when.
#[derive(Clone, Debug)]
pub struct Heard {
    /// When it came.
    pub at: Instant,
    /// What it said.
    pub demands: Arc<Demands>,
}

/// The tasks that ask, and the last answers.
pub struct Askers {
    tokens: watch::Receiver<Tokens>,
    answers: mpsc::Receiver<(String, Heard)>,
    sender: mpsc::Sender<(String, Heard)>,
    /// By uid of the pod.
    running: BTreeMap<String, (IpAddr, AbortHandle)>,
    tasks: JoinSet<()>,
    heard: BTreeMap<String, Heard>,
}

impl Askers {
    /// Asks nobody yet.
    pub fn new(tokens: watch::Receiver<Tokens>) -> Self {
        let (sender, answers) = mpsc::channel(64);
        Self { tokens, answers, sender, running: BTreeMap::new(), tasks: JoinSet::new(), heard: BTreeMap::new() }
    }

    /// Asks these gateways from now on, and forgets what others said.
    pub fn follow(&mut self, gateways: &Gateways) {
        let wanted: BTreeMap<&str, IpAddr> = gateways
            .values()
            .filter(|gateway| gateway.running)
            .filter_map(|gateway| Some((gateway.uid.as_str(), gateway.ip?)))
            .collect();
        self.running.retain(|uid, (ip, task)| {
            let stays = wanted.get(uid.as_str()) == Some(ip);
            if !stays {
                task.abort();
            }
            stays
        });
        self.heard.retain(|uid, _| wanted.contains_key(uid.as_str()));
        for (uid, ip) in wanted {
            if !self.running.contains_key(uid) {
                let asker = Asker::new(SocketAddr::new(ip, INTERNAL_PORT), self.tokens.clone());
                let task = self.tasks.spawn(ask(asker, uid.to_owned(), self.sender.clone()));
                self.running.insert(uid.to_owned(), (ip, task));
            }
        }
    }

    /// Takes in what was answered; returns at once.
    pub fn heard(&mut self) -> &BTreeMap<String, Heard> {
        while let Ok((uid, heard)) = self.answers.try_recv() {
            // Of a pod that has gone an answer may still have been under way.
            if self.running.contains_key(&uid) {
                self.heard.insert(uid, heard);
            }
        }
        // Askers end only when aborted; this frees what is left of them.
        while self.tasks.try_join_next().is_some() {}
        &self.heard
    }
}

async fn ask(mut asker: Asker, uid: String, answers: mpsc::Sender<(String, Heard)>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_silent = false;
    loop {
        ticks.tick().await;
        match asker.get::<Demands>("/demand", WITHIN).await {
            Ok(demands) => {
                is_silent = false;
                let heard = Heard { at: Instant::now(), demands: Arc::new(demands) };
                if answers.send((uid.clone(), heard)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_silent, true) {
                    tracing::debug!(address = %asker.address, %error, "a gateway did not tell its demand");
                }
            }
        }
    }
}
