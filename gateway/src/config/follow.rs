//! Keeps the configuration in force equal to a mounted bundle, and the hashes of keys equal to the mounted Secret.
//!
//! ```text
//!  inotify on the volume ─┐
//!  every 2 s ─────────────┴▶ link swapped? ─▶ parse ─▶ first complete, or later changed? ─▶ publish ─▶ report
//! ```
//! One task per volume owns what is known of it. Nothing in a volume ends a gateway: what it has stays in force.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle},
    time::{Instant, MissedTickBehavior, interval_at},
};
use turnpike_bundle::{
    Report,
    entry::EndpointEntry,
    parse::{Reason, Rejection},
};

use super::{
    eyes::Eyes,
    reload::{Publication, Reload},
    sources::{
        auth::{Auth, MountedAuth},
        mounted::{Look, Mounted},
    },
};
use crate::app::App;

/// Between two looks without any event; a look at a link that still points to the same place costs nothing.
const POLL: Duration = Duration::from_secs(2);

/// Two volumes being followed; that ends when this is dropped, and with it every wait for another report.
pub struct Following {
    tasks: [JoinHandle<()>; 2],
    told: [AbortHandle; 2],
    /// What the gateway has loaded.
    pub reports: watch::Receiver<Arc<Report>>,
    /// Who may ask for that.
    pub auth: Arc<ArcSwap<Auth>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.told.iter().for_each(AbortHandle::abort);
    }
}

impl Following {
    /// Returns once every part of some manifest is loaded and in force.
    pub async fn complete(&self) {
        let mut reports = self.reports.clone();
        if reports.wait_for(|report| report.hash.is_some()).await.is_err() {
            // The task is gone, which a panic was told for; there is nothing to wait for any more.
            std::future::pending::<()>().await;
        }
    }
}

/// Follows the bundle and the Secret for the gateway that `reload` belongs to. Neither needs to be there yet.
///
/// # Errors
/// The current folder is gone, and a path is relative to it.
pub fn start(reload: Arc<Reload>, bundle: &Path, auth: &Path) -> io::Result<Following> {
    let mounted = Mounted::new(bundle);
    let (sender, reports) = watch::channel(Arc::new(Report::default()));
    let app = reload.app();
    let told = sender.clone();
    // What fails is read within, so that the last word is the latest.
    let failing = app.credentials.tell(move |credentials| {
        told.send_modify(|report| *report = Arc::new(Report::clone(report).with_failing(credentials.failing())));
    });
    let told = sender.clone();
    let unhealthy = app.unhealthy.tell(move |unhealthy| {
        told.send_modify(|report| *report = Arc::new(Report::clone(report).with_unhealthy(unhealthy)));
    });
    let known = Arc::new(ArcSwap::default());
    let mut secret = Secret { mounted: MountedAuth::new(auth), app: Arc::clone(app), known: Arc::clone(&known) };
    let app = Arc::clone(app);
    let mut cycle =
        Cycle { mounted, app, reload, reports: sender, serving: false, endpoints: Vec::new(), told: Vec::new() };
    let tasks = [spawn(bundle, move || cycle.look())?, spawn(auth, move || secret.look())?];
    Ok(Following { tasks, told: [failing, unhealthy], reports, auth: known })
}

/// Calls `look` now and after each change, off the runtime's threads.
fn spawn(folder: &Path, look: impl FnMut() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let (eyes, events) = Eyes::open(folder)?;
    Ok(tokio::spawn(keep_looking(eyes, events, Arc::new(Mutex::new(look)))))
}

async fn keep_looking(mut eyes: Eyes, mut events: mpsc::Receiver<()>, look: Arc<Mutex<impl FnMut() + Send + 'static>>) {
    let mut poll = interval_at(Instant::now() + POLL, POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let look = Arc::clone(&look);
        let look = move || {
            let mut look = look.lock().unwrap_or_else(PoisonError::into_inner);
            (*look)();
        };
        // A panic in there was told by the panic hook; the next change is another try.
        let _ = tokio::task::spawn_blocking(look).await;
        eyes.refresh();
        tokio::select! {
            Some(()) = events.recv() => {}
            _ = poll.tick() => {}
        }
    }
}

/// Look, publish, report.
struct Cycle {
    mounted: Mounted,
    app: Arc<App>,
    reload: Arc<Reload>,
    reports: watch::Sender<Arc<Report>>,
    /// A complete bundle has come; from then on each part counts alone.
    serving: bool,
    /// As last taken.
    endpoints: Vec<EndpointEntry>,
    told: Vec<Rejection>,
}

impl Cycle {
    fn look(&mut self) {
        let Some(Look { report, rejections, changed }) = self.mounted.look() else { return };
        self.tell(&rejections);
        self.hint();
        let first = !self.serving && report.hash.is_some();
        if first || (self.serving && changed) {
            self.serving = true;
            let hash = report.state.clone();
            let contents = self.mounted.contents();
            self.reload.publish(Publication { contents, hash, problems: Vec::new(), warnings: 0 });
        }
        self.app.health.rejected(report.rejections.clone());
        // Last, so that whoever reads it can rely on it.
        self.reports.send_modify(|known| {
            let report = report.with_failing(self.app.credentials.failing());
            *known = Arc::new(report.with_unhealthy(&self.app.unhealthy.all()));
        });
    }

    /// Passes on where pods of engines are, whenever that is news. What lay there when the gateway started may be of any age, and
    /// DNS is asked then as well.
    fn hint(&mut self) {
        let endpoints = &self.mounted.contents().endpoints;
        if *endpoints == self.endpoints {
            return;
        }
        if self.serving {
            self.app.engines.hint(endpoints);
        }
        self.endpoints.clone_from(endpoints);
    }

    /// Each rejection once, when it comes up.
    fn tell(&mut self, rejections: &[Rejection]) {
        let mut counts = false;
        for rejection in rejections.iter().filter(|rejection| !self.told.contains(rejection)) {
            let Rejection { part, reason } = rejection;
            if on_its_way(reason) {
                tracing::info!(part, %reason, "a part of the bundle has not arrived yet");
            } else {
                tracing::error!(part, %reason, "a part of the bundle was not taken; its last good content stays");
                counts = true;
            }
        }
        if counts {
            self.app.metrics.config_rejected();
        }
        self.told = rejections.to_vec();
    }
}

/// Kubelets bring the objects of a volume one by one, so these pass by themselves.
fn on_its_way(reason: &Reason) -> bool {
    match reason {
        Reason::Absent | Reason::Missing | Reason::Stale { .. } | Reason::CredentialMissing => true,
        Reason::Manifest(_)
        | Reason::Older { .. }
        | Reason::Conflict(_)
        | Reason::Torn
        | Reason::Format(_)
        | Reason::Unreadable(_) => false,
    }
}

/// The mounted Secret and where its hashes go.
struct Secret {
    mounted: MountedAuth,
    app: Arc<App>,
    known: Arc<ArcSwap<Auth>>,
}

impl Secret {
    fn look(&mut self) {
        match self.mounted.look() {
            Ok(None) => {}
            Ok(Some(auth)) => {
                if **self.known.load() != auth {
                    tracing::info!(admin = auth.admin.is_some(), "keys of the operator and the admin loaded");
                }
                self.app.admin.set(auth.admin);
                self.known.store(Arc::new(auth));
            }
            Err(error) => tracing::debug!(%error, "the Secret with the operator's token cannot be read"),
        }
    }
}
