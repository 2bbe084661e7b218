//! Keeps the configuration in force equal to a folder: every change is live within a fraction of a second.
//!
//! ```text
//!  inotify (folder and its parent) ─┐
//!  every 30 s, should one be lost ──┴▶ wait until quiet ─▶ load ─▶ changed? ─▶ publish
//! ```
//! One task owns all of it. Whatever goes wrong is reported and tried again with the next change.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval_at, sleep, timeout},
};
use turnpike_bundle::{
    Contents, Problem,
    entry::ObjectRef,
    problem::{ObjectId, ObjectKind},
};
use turnpike_console::store::{Catalog, Change, StoreError};
use turnpike_crds::Reason;

use super::{
    eyes::Eyes,
    sources::{
        directory::{Directory, Loaded},
        minted::MintedKey,
    },
};

/// A change counts as complete when nothing more happened for so long.
const QUIET: Duration = Duration::from_millis(20);
/// Changes that never end are taken as they are after this.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How long a file that is suddenly gone or empty has to come back.
const HALF_SAVED: Duration = Duration::from_millis(50);
/// Between two looks without any event.
const POLL: Duration = Duration::from_secs(30);
/// The same where the system gives no events.
const POLL_ALONE: Duration = Duration::from_secs(2);

/// A folder being watched; watching ends when this is dropped.
pub struct Watching {
    task: JoinHandle<()>,
    minted: Arc<ArcSwap<Vec<MintedKey>>>,
    editor: Editor,
}

impl Watching {
    /// The client keys that were made for the folder's `VirtualKey`s.
    pub fn minted(&self) -> Arc<Vec<MintedKey>> {
        self.minted.load_full()
    }

    /// Changes what is served beside the folder's objects.
    pub fn editor(&self) -> Editor {
        self.editor.clone()
    }
}

/// Changes what is served beside the folder's objects. To be asked by one task, one thing after the other.
#[derive(Clone)]
pub struct Editor {
    cycle: Arc<Mutex<Cycle>>,
    catalog: Arc<ArcSwap<Catalog>>,
}

impl Editor {
    /// What is served, and from where.
    pub fn catalog(&self) -> &Arc<ArcSwap<Catalog>> {
        &self.catalog
    }

    /// Whether changes could be made.
    ///
    /// # Errors
    /// They could not, and why.
    pub async fn check(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let check = move |cycle: &mut Cycle| {
            cycle.catalog.load().check(&changes)?;
            cycle.directory.trial(&changes)
        };
        on(&self.cycle, check).await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// Makes changes that were checked; they are served when this returns.
    pub async fn make(&self, changes: Vec<Change>) {
        let make = move |cycle: &mut Cycle| {
            cycle.directory.make(changes);
            cycle.again();
        };
        // A panic in there was told by the panic hook; the next change of the folder serves it.
        let _ = on(&self.cycle, make).await;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Loads the folder, publishes what it holds, and goes on doing so with every change.
///
/// `publish` is called off the runtime's threads, and only when something is different.
///
/// # Errors
/// The folder cannot be read at the start. Later that is a problem like others, and the last good state stays.
pub async fn start(directory: Directory, publish: impl FnMut(Loaded) + Send + 'static) -> io::Result<Watching> {
    // Before the first look, so that no change falls between the two.
    let (eyes, events) = Eyes::open(directory.path())?;
    let (minted, catalog) = (Arc::new(ArcSwap::default()), Arc::new(ArcSwap::default()));
    let mut cycle = Cycle {
        directory,
        publish: Box::new(publish),
        published: None,
        minted: Arc::clone(&minted),
        catalog: Arc::clone(&catalog),
    };
    let cycle =
        tokio::task::spawn_blocking(move || cycle.first().map(|()| cycle)).await.map_err(io::Error::other)??;
    let editor = Editor { cycle: Arc::new(Mutex::new(cycle)), catalog };
    let task = tokio::spawn(watch(Arc::clone(&editor.cycle), eyes, events));
    Ok(Watching { task, minted, editor })
}

async fn watch(cycle: Arc<Mutex<Cycle>>, mut eyes: Eyes, mut events: mpsc::Receiver<()>) {
    let period = if eyes.see() { POLL } else { POLL_ALONE };
    let mut poll = interval_at(Instant::now() + period, period);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(()) = events.recv() => until_quiet(&mut events).await,
            _ = poll.tick() => {}
        }
        eyes.refresh();
        if on(&cycle, |cycle| cycle.directory.may_be_half_saved().unwrap_or(true)).await.unwrap_or_default() {
            sleep(HALF_SAVED).await;
        }
        // A panic in there was told by the panic hook; the next change is another try.
        let _ = on(&cycle, Cycle::again).await;
    }
}

/// Files are read and snapshots compiled off the runtime.
async fn on<T: Send + 'static>(
    cycle: &Arc<Mutex<Cycle>>,
    act: impl FnOnce(&mut Cycle) -> T + Send + 'static,
) -> Option<T> {
    let cycle = Arc::clone(cycle);
    let act = move || act(&mut cycle.lock().unwrap_or_else(PoisonError::into_inner));
    tokio::task::spawn_blocking(act).await.ok()
}

async fn until_quiet(events: &mut mpsc::Receiver<()>) {
    let end = Instant::now() + LONGEST_WAIT;
    while Instant::now() < end && timeout(QUIET, events.recv()).await.is_ok() {}
}

/// Load, compare, publish.
struct Cycle {
    directory: Directory,
    publish: Box<dyn FnMut(Loaded) + Send>,
    published: Option<Loaded>,
    minted: Arc<ArcSwap<Vec<MintedKey>>>,
    catalog: Arc<ArcSwap<Catalog>>,
}

impl Cycle {
    fn first(&mut self) -> io::Result<()> {
        let loaded = self.directory.load().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("the manifests in {} cannot be read: {error}", self.directory.path().display()),
            )
        })?;
        self.publish(loaded);
        Ok(())
    }

    fn again(&mut self) {
        match self.directory.load() {
            Ok(loaded) => self.publish(loaded),
            Err(error) => {
                let mut loaded = self.directory.again();
                loaded.problems.push(unreadable(self.directory.path(), &error));
                self.publish(loaded);
            }
        }
    }

    fn publish(&mut self, loaded: Loaded) {
        let is_new = self.published.as_ref() != Some(&loaded);
        let contents = if is_new {
            // Whoever looks at it has no use for the providers' credentials.
            Arc::new(Contents { credentials: BTreeMap::new(), ..loaded.contents.clone() })
        } else {
            Arc::clone(&self.catalog.load().contents)
        };
        // Also where only words changed that requests are not served by.
        self.catalog.store(Arc::new(self.directory.catalog(contents)));
        if !is_new {
            return;
        }
        tell(self.published.as_ref(), &loaded);
        self.minted.store(Arc::new(loaded.minted.clone()));
        self.published = Some(loaded.clone());
        (self.publish)(loaded);
    }
}

fn unreadable(folder: &Path, error: &io::Error) -> Problem {
    let object = ObjectRef { namespace: String::new(), name: folder.display().to_string() };
    Problem {
        object: ObjectId { kind: ObjectKind::File, object },
        field: "folder".to_owned(),
        reason: Reason::Invalid,
        message: format!("the folder cannot be read: {error}"),
        next_step: "restore it; until then all goes on as it was".to_owned(),
    }
}

/// Each problem, warning and new key once, when it comes up.
fn tell(before: Option<&Loaded>, now: &Loaded) {
    let (problems, warnings) = before.map_or((&[][..], &[][..]), |before| (&before.problems, &before.warnings));
    for problem in now.problems.iter().filter(|problem| !problems.contains(problem)) {
        let Problem { object, field, reason, message, next_step } = problem;
        // What waits for a Secret or a variable is no mistake yet.
        if *reason == Reason::RefNotFound {
            tracing::warn!(%object, field, %reason, next_step, "{message}");
        } else {
            tracing::error!(%object, field, %reason, next_step, "{message}");
        }
    }
    for Problem { object, field, reason, message, next_step } in now.warnings.iter().filter(|it| !warnings.contains(it))
    {
        tracing::warn!(%object, field, %reason, next_step, "{message}");
    }
    for key in now.minted.iter().filter(|key| !before.is_some_and(|before| before.minted.contains(key))) {
        tracing::info!(object = %key.object, path = %key.path.display(), "the client key lies in a file");
    }
}
