//! Starts a gateway, waits for the signal to end, and ends it without losing anything.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use turnpike_ledger::spend_log::{SpendSink, SpendWriter, SqliteStore, WriterOptions};

use crate::{
    app::App,
    args::{self, Args, Command},
    banner, check,
    config::{
        Live,
        reload::Reload,
        sources::{directory::Directory, minted::Minted},
        watch,
    },
    internal::{self, Health, Internal},
    limits,
    listener::{self, Serving, Workers},
    metrics::{Metrics, Polled},
    pipeline::{admit::Budget, authenticate::AdminKey, body::BodyLimits},
    telemetry,
    upstream::connect::{Connector, client_config},
};

/// The spend database within the data folder.
const DATABASE: &str = "turnpike.db";
/// How long the end waits for spend rows to be written, after the grace time of requests.
const FLUSH: Duration = Duration::from_secs(10);
/// How long it waits for log lines.
const FLUSH_LOG: Duration = Duration::from_secs(1);

/// Does what the command line says; returns when it is done.
///
/// # Errors
/// Something that whoever started it must mend.
pub fn run(args: Args) -> anyhow::Result<()> {
    if let Some(Command::Health { address }) = args.command {
        return check::health(address);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(args));
    telemetry::flush(FLUSH_LOG);
    ended
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    telemetry::init(args.log_format, &args.log)?;
    let manifests = args.manifests.as_deref().context("--manifests names no folder")?;
    let minted = Minted::open(&args.data)?;
    let admin = minted.admin_key(args.given_admin_key())?;
    let (spend, writer) = spend_log(&args.data).await?;
    let (listener, internal_listener) = (bind(args.listen)?, bind(args.internal_listen)?);
    let app = Arc::new(app(&args, &admin.key, spend)?);

    let reload = Reload::new(Arc::clone(&app));
    let directory = Directory::new(manifests, minted, args::variable);
    let watching = watch::start(directory, move |loaded| reload.publish(loaded)).await?;

    let connector = Connector::new(args.egress(), &args.proxy(), client_config(&args.ca_file)?)?;
    let serving =
        Serving { app: Arc::clone(&app), connector, read_timeout: args.read_timeout, grace: args.shutdown_grace };
    let workers = Workers::start(args.runtimes.unwrap_or_else(limits::runtimes), &serving)?;
    let internal =
        Internal { metrics: Arc::clone(&app.metrics), health: Arc::clone(&app.health), spend: app.spend.clone() };
    banner::print(&banner::Banner {
        public: listener.local_addr()?,
        internal: internal_listener.local_addr()?,
        admin: &admin,
        data: &args.data,
        snapshot: &app.live.load(),
        keys: &watching.minted(),
    });
    let internal = tokio::spawn(axum::serve(internal_listener, internal::router(internal)).into_future());
    tokio::select! {
        () = workers.accept(listener) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("shutting down");
    app.health.close();
    workers.stop();
    tokio::task::spawn_blocking(move || workers.join()).await?;
    drop((watching, serving, app));
    let flushed = writer.flush(FLUSH).await;
    internal.abort();
    flushed.context("spend rows could not be written before the end")
}

async fn spend_log(data: &Path) -> anyhow::Result<(SpendSink, SpendWriter)> {
    let path = data.join(DATABASE);
    let store = SqliteStore::open(&path)
        .await
        .with_context(|| format!("the spend database {} cannot be opened", path.display()))?;
    Ok(SpendWriter::start(store, WriterOptions::default())?)
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn app(args: &Args, admin: &str, spend: SpendSink) -> anyhow::Result<App> {
    let buffered = args.max_buffered_bytes.unwrap_or_else(limits::buffered_bytes);
    anyhow::ensure!(
        buffered >= args.max_body_bytes,
        "--max-body-bytes ({}) is more than the {buffered} bytes that may be buffered at once; lower it, or raise \
         --max-buffered-bytes (a quarter of the memory limit by default)",
        args.max_body_bytes
    );
    let app = App {
        live: Live::default(),
        admin: AdminKey::new(admin),
        in_flight: Budget::new(args.max_in_flight, "requests in flight"),
        settling: Budget::new(usize::MAX, "requests being settled"),
        bodies: BodyLimits {
            most: args.max_body_bytes,
            idle: args.read_timeout,
            buffered: Budget::new(buffered, "bytes of buffered requests"),
        },
        spend,
        metrics: Arc::new(Metrics::new()?),
        health: Arc::new(Health::default()),
        nameless: "".into(),
    };
    let in_flight = app.in_flight.clone();
    app.metrics.poll(Polled::InFlight, move || in_flight.used() as u64);
    let spend = app.spend.clone();
    app.metrics.poll(Polled::SpendBacklog, move || spend.backlog() as u64);
    let spend = app.spend.clone();
    app.metrics.poll(Polled::SpendWritten, move || spend.written());
    app.metrics.poll(Polled::LogLinesDropped, telemetry::lines_dropped);
    Ok(app)
}
