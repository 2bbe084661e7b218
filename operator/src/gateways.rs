//! The gateway pods and what each says that it has loaded.
//!
//! ```text
//!  Pods (watch) ─▶ Fleet ─ a poller for each that runs and has an IP ─▶ reports ─▶ Fleet ─▶ Gateways
//!  Secret with the token (watch) ────────────────▲
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
};

use futures_util::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::{AbortHandle, JoinSet},
};
use turnpike_bundle::{
    Report,
    layout::{PREVIOUS_TOKEN, TOKEN},
    manifest::Kind,
};

use crate::{context::Context, gateways::fleet::Fleet, kit::tell::tell, names::INSTANCE_LABEL};

pub mod ask;
pub mod fleet;
pub mod pod;
pub mod poll;

/// Port of the gateways' internal listener.
pub const INTERNAL_PORT: u16 = 4001;

/// Gateway pods by name.
pub type Gateways = BTreeMap<String, Gateway>;

/// One gateway pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// `metadata.uid`.
    pub uid: String,
    /// Pod IP, once it has one.
    pub ip: Option<IpAddr>,
    /// Its Ready condition is True and it is not being deleted: Services send it traffic.
    pub ready: bool,
    /// Its container runs, ready or not, also while the pod is being deleted: it may still serve a client.
    pub running: bool,
    /// Its last report; `None` = it has not answered yet, or not for a while.
    pub report: Option<Arc<Report>>,
}

impl Gateway {
    /// As [`Report::holds`]; false without a report.
    pub fn holds(&self, kind: Kind, key: &str, version: u64) -> bool {
        self.report.as_ref().is_some_and(|report| report.holds(kind, key, version))
    }
}

/// What gateways accept from the operator.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    /// The current one.
    pub current: Option<String>,
    /// The one before, for gateways whose volume is behind.
    pub previous: Option<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(***)")
    }
}

impl Tokens {
    /// Reads the gateways' Secret.
    pub fn of(secret: Option<&Secret>) -> Self {
        let text = |key: &str| {
            let bytes = secret?.data.as_ref()?.get(key)?;
            let text = std::str::from_utf8(&bytes.0).ok()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self { current: text(TOKEN), previous: text(PREVIOUS_TOKEN) }
    }
}

/// Watches the pods and asks each what it has loaded, until dropped. Nothing is sent before all pods are known. `tokens` learns
/// what gateways accept.
pub async fn run(context: Context, sender: watch::Sender<Arc<Gateways>>, tokens: watch::Sender<Tokens>) {
    let namespace = &context.names.release_namespace;
    let labels = format!("app.kubernetes.io/component=gateway,{INSTANCE_LABEL}={}", context.names.instance);
    let pods = Api::<Pod>::namespaced(context.client.clone(), namespace);
    let mut pods = pin!(watcher(pods, watcher::Config::default().labels(&labels)).default_backoff());
    let name = format!("metadata.name={}", context.names.gateway_secret());
    let secrets = Api::<Secret>::namespaced(context.client.clone(), namespace);
    let mut secrets = pin!(watcher(secrets, watcher::Config::default().fields(&name)).default_backoff());
    let (reporter, mut reports) = mpsc::channel(64);
    let mut pollers = Pollers { tokens: tokens.subscribe(), reporter, running: BTreeMap::new(), tasks: JoinSet::new() };
    let mut fleet = Fleet::default();
    let mut has_sent = false;
    loop {
        tokio::select! {
            Some(event) = pods.next() => match event {
                Ok(event) => fleet.observe(event),
                Err(error) => tracing::warn!(%error, "watching the gateways' pods failed; trying again"),
            },
            Some(event) = secrets.next() => match event {
                Ok(event) => observe_tokens(&tokens, &event),
                Err(error) => tracing::warn!(%error, "watching the gateways' Secret failed; trying again"),
            },
            Some((uid, report)) = reports.recv() => fleet.report(&uid, report.as_ref()),
            // Pollers end only when aborted; this frees what is left of them.
            Some(_) = pollers.tasks.join_next() => {}
        }
        if let Some(gateways) = fleet.complete() {
            pollers.follow(gateways);
            let ready = gateways.values().filter(|gateway| gateway.ready).count();
            context.metrics.gateways(ready, gateways.len() - ready);
            let first = !std::mem::replace(&mut has_sent, true);
            sender.send_if_modified(|sent| {
                // Also when there are none: to know that is something else than not to know.
                let changed = first || sent.as_ref() != gateways;
                if changed {
                    *sent = Arc::new(gateways.clone());
                }
                changed
            });
        }
    }
}

fn observe_tokens(tokens: &watch::Sender<Tokens>, event: &watcher::Event<Secret>) {
    let new = match event {
        watcher::Event::Apply(secret) | watcher::Event::InitApply(secret) => Tokens::of(Some(secret)),
        watcher::Event::Delete(_) => Tokens::default(),
        watcher::Event::Init | watcher::Event::InitDone => return,
    };
    tell(tokens, new);
}

/// The tasks that ask.
struct Pollers {
    tokens: watch::Receiver<Tokens>,
    reporter: mpsc::Sender<(String, Option<Arc<Report>>)>,
    /// By uid.
    running: BTreeMap<String, Running>,
    tasks: JoinSet<()>,
}

struct Running {
    ip: IpAddr,
    ready: bool,
    nudge: Arc<Notify>,
    task: AbortHandle,
}

impl Pollers {
    /// One poller for each pod that runs and has an IP, told when the pod changes.
    fn follow(&mut self, gateways: &Gateways) {
        let wanted: BTreeMap<&str, (IpAddr, bool)> = gateways
            .values()
            .filter(|gateway| gateway.running)
            .filter_map(|gateway| Some((gateway.uid.as_str(), (gateway.ip?, gateway.ready))))
            .collect();
        self.running.retain(|uid, running| {
            let stays = wanted.get(uid.as_str()).is_some_and(|(ip, _)| *ip == running.ip);
            if !stays {
                running.task.abort();
            }
            stays
        });
        for (uid, (ip, ready)) in wanted {
            if let Some(running) = self.running.get_mut(uid) {
                if running.ready != ready {
                    running.ready = ready;
                    running.nudge.notify_one();
                }
                continue;
            }
            let nudge = Arc::new(Notify::new());
            let asker = ask::Asker::new(SocketAddr::new(ip, INTERNAL_PORT), self.tokens.clone());
            let poller = poll::Poller { asker, nudge: Arc::clone(&nudge) };
            let (reporter, id) = (self.reporter.clone(), uid.to_owned());
            let task = self.tasks.spawn(poller.run(reporter, id));
            self.running.insert(uid.to_owned(), Running { ip, ready, nudge, task });
        }
    }
}
