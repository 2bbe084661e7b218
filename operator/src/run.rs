//! Starts the operator: health at once, watching always, writing while leading; and ends it.
//!
//! ```text
//!  always          health, events, world, engines' watches, gateways, election
//!  while leading   publish, spend, status, virtual_key, engine, scale
//!  SIGTERM         stop writing, give the Lease back, write the last events, exit 0
//!  Lease lost      exit 1 at once: another process may write already
//! ```

use std::{io, pin::pin, sync::Arc, time::Duration};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Client, Config};
use tokio::{
    net::TcpListener,
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    args::{Args, Command, LogFormat},
    context::Context,
    engine,
    error::RunError,
    gateways, gauges,
    guard::{self, Guard},
    health::{self, Health, Readiness},
    install,
    kit::{
        backoff::{Backoff, Failure, brief, jitter},
        events::Events,
    },
    leader::Election,
    metrics::Metrics,
    names::Names,
    publish::{self, Published},
    spend::{self, Spend, Store},
    status, uninstall, virtual_key, world,
};

/// How long the end waits for events to be written.
const LAST_EVENTS: Duration = Duration::from_secs(1);

/// Runs the operator until a signal ends it.
///
/// # Errors
/// It cannot start, or must not go on.
pub fn run(args: &Args) -> Result<(), RunError> {
    // Two: rendering a large bundle must not hold up the Lease.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(RunError::Runtime)?;
    let ended = runtime.block_on(serve(args));
    // Tasks that are still under way must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn serve(args: &Args) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Runtime)?;
    log(args)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    // Both providers' crates may be linked; this one is meant. It fails only where it is set already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_from(Config::infer().await.map_err(RunError::Config)?)?;
    let Some(command) = args.command else { return Box::pin(operate(args, client, stop)).await };
    tokio::select! {
        ended = once(command, args, &client) => ended,
        () = stop => Err(RunError::Interrupted),
    }
}

/// Does what ends by itself.
async fn once(command: Command, args: &Args, client: &Client) -> Result<(), RunError> {
    match command {
        Command::InstallCrds => install::run(client).await?,
        Command::ReleaseFinalizers => uninstall::run(client, &args.names(), &args.settings()).await?,
    }
    Ok(())
}

/// Works until `stop`.
async fn operate(args: &Args, client: Client, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let mut stop = pin!(stop);
    let (names, identity, metrics) = (Arc::new(args.names()), args.identity(), Arc::new(Metrics::new()?));
    let (events, writer) = Events::new(client.clone(), &names, identity.clone(), Arc::clone(&metrics));
    let writer = tokio::spawn(writer);
    let readiness = Arc::new(watch::Sender::new(Readiness::Starting));
    let mut always = JoinSet::new();
    let listener = TcpListener::bind(args.listen).await.map_err(|error| RunError::Listen(args.listen, error))?;
    let health = Health { readiness: readiness.subscribe(), metrics: Arc::clone(&metrics) };
    spawn(&mut always, "health", async { drop(axum::serve(listener, health::router(health)).await) });

    let root = tokio::select! {
        root = first_contact(&client, &names) => root,
        () = &mut stop => return Ok(()),
    };
    let (observed, published, polled) = (watch::Sender::default(), watch::Sender::default(), watch::Sender::default());
    let (engines, (engine_reports, reported)) = (watch::Sender::default(), engine::Reports::new());
    let store = if args.database_url.is_some() { Store::Waiting } else { Store::Absent };
    let spent = watch::Sender::new(Arc::new(Spend { store, ..Spend::default() }));
    let context = Context {
        client,
        names,
        settings: Arc::new(args.settings()),
        metrics,
        events,
        root,
        world: observed.subscribe(),
        published: published.subscribe(),
        gateways: polled.subscribe(),
        spend: spent.subscribe(),
        engines: engines.subscribe(),
        engine_reports,
    };

    spawn(&mut always, "world", world::run(context.clone(), observed));
    spawn(&mut always, "engines", engine::observe::run(context.clone(), reported, engines));
    let (tokens, accepted) = watch::channel(gateways::Tokens::default());
    spawn(&mut always, "gateways", gateways::run(context.clone(), polled, tokens));
    spawn(&mut always, "gauges", gauges::run(context.clone()));

    let spending = spend::run(context.clone(), args.database_url.clone(), spent);
    let mut guard = Guard::new(context.clone(), readiness);
    let election = Election::new(context.clone(), identity);
    let mut leading = JoinSet::new();
    let ended = tokio::select! {
        () = &mut stop => Ok(()),
        Some(ended) = always.join_next() => Err(ended_early(ended)),
        error = lead(&election, &mut guard, &mut leading, |leading| start(leading, &context, published, spending, accepted)) => Err(error),
    };
    context.metrics.leader.set(0);
    // Whoever has the Lease by now may write already: nothing may come between.
    if matches!(ended, Err(RunError::Lost(_))) {
        return ended;
    }
    leading.shutdown().await;
    election.release().await;
    always.shutdown().await;
    drop((guard, election, context));
    if timeout(LAST_EVENTS, writer).await.is_err() {
        tracing::warn!("some events were not written");
    }
    ended
}

/// Leads as soon as it may, for as long as it may.
async fn lead(
    election: &Election,
    guard: &mut Guard,
    leading: &mut JoinSet<&'static str>,
    start: impl FnOnce(&mut JoinSet<&'static str>),
) -> RunError {
    let held = election.acquire(guard).await;
    let lease = held.lease.clone();
    start(leading);
    tokio::select! {
        lost = election.hold(held) => lost.into(),
        blocker = guard.wait_until_blocked(&lease) => blocker.into(),
        Some(ended) = leading.join_next() => ended_early(ended),
    }
}

/// Starts what only the leader does.
fn start(
    leading: &mut JoinSet<&'static str>,
    context: &Context,
    published: watch::Sender<Arc<Published>>,
    spending: impl Future<Output = ()> + Send + 'static,
    tokens: watch::Receiver<gateways::Tokens>,
) {
    context.metrics.leader.set(1);
    spawn(leading, "publish", publish::run(context.clone(), published));
    spawn(leading, "spend", spending);
    spawn(leading, "engines' cost", engine::cost::run(context.clone()));
    spawn(leading, "status", status::run(context.clone()));
    spawn(leading, "scale", engine::scale::run(context.clone(), tokens));
    spawn(leading, "virtual_key", virtual_key::run(context.clone()));
    spawn(leading, "engine", engine::run(context.clone()));
}

/// Reads the root ConfigMap, as often as it takes until the apiserver answers.
async fn first_contact(client: &Client, names: &Names) -> Option<OwnerReference> {
    let mut backoff = Backoff::default();
    loop {
        match guard::read_root(client, names).await {
            Ok(root) => {
                if root.is_none() {
                    tracing::warn!(
                        name = names.root(),
                        "there is no root ConfigMap: what the operator makes stays behind when it is uninstalled"
                    );
                }
                return root;
            }
            Err(error) => {
                tracing::warn!(error = brief(&error), "the apiserver cannot be used yet");
                sleep(backoff.fail(Failure::Error, jitter())).await;
            }
        }
    }
}

/// Starts a task that is to work until the process ends.
fn spawn(tasks: &mut JoinSet<&'static str>, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(async move {
        work.await;
        name
    });
}

fn ended_early(ended: Result<&'static str, JoinError>) -> RunError {
    RunError::Ended(ended.unwrap_or("that panicked"))
}

fn log(args: &Args) -> Result<(), RunError> {
    let registry = tracing_subscriber::registry().with(EnvFilter::try_new(&args.log)?);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init()?,
        LogFormat::Text => registry.with(lines).try_init()?,
    }
    Ok(())
}
