//! Starts a gateway, waits for the signal to end, and ends it without losing anything.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Duration,
};

use anyhow::Context;
use sha2::{Digest, Sha256};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use turnpike_ledger::{limits::EndUsers, store::SqliteStore};

use crate::{
    admin,
    app::App,
    args::{self, Args, Command, Source},
    banner,
    cache::{Cache, remote::Remote, semantic::shared::Shared},
    check,
    config::{
        Live,
        backends::Backends,
        follow::{self, Following},
        reload::{Publication, Reload},
        sources::{
            directory::{Directory, Loaded},
            minted::{Minted, MintedAdminKey},
        },
        watch::{self, Watching},
    },
    console::Console,
    engines::{self, Engines, Resolver},
    import_litellm,
    internal::{self, Health, Internal, Reports},
    limits,
    listener::{self, Serving, Workers},
    metrics::{Metrics, Polled},
    pipeline::{admit::Budget, authenticate::AdminKey, body::BodyLimits},
    probe,
    stores::{self, Books, Places},
    telemetry, unattributed,
    upstream::{
        connect::{Connector, client_config},
        credentials::{Credentials, Exchange},
        fetch::Fetcher,
    },
};

/// How long the end waits for log lines.
const FLUSH_LOG: Duration = Duration::from_secs(1);
/// How long a request may take at least, as the ledger counts it; a longer `timeouts.total` of a model raises it. Beyond it
/// and a minute a silent gateway's leases count as spent.
const LONGEST: Duration = Duration::from_mins(10);
/// How long it waits for answers of the internal listener.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Does what the command line says; returns when it is done.
///
/// # Errors
/// Something that whoever started it must mend.
pub fn run(args: Args) -> anyhow::Result<()> {
    run_with(args, Resolver::System)
}

/// The same, where the names of engines are resolved in another way.
///
/// # Errors
/// As [`run`].
pub fn run_with(args: Args, resolver: Resolver) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command {
        Some(Command::Health { address }) => return check::health(&address),
        Some(Command::Unattributed { data, database_url, void }) => {
            let database = database_url.as_deref().filter(|url| !url.is_empty());
            return runtime.block_on(unattributed::run(&data, database, void));
        }
        Some(Command::ImportLitellm(arguments)) => return import_litellm::run(&arguments),
        None => {}
    }
    let ended = runtime.block_on(serve(args, resolver));
    telemetry::flush(FLUSH_LOG);
    ended
}

async fn serve(args: Args, resolver: Resolver) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    telemetry::init(args.log_format, &args.log)?;
    let source = args.source().context("neither --manifests nor --bundle names a folder")?;
    let minted = Minted::open(&args.data)?;
    let admin = match source {
        Source::Manifests(_) => Some(minted.admin_key(args.given_admin_key())?),
        Source::Bundle { .. } => None,
    };
    let places = Places {
        data: &args.data,
        database: args.database_url.as_deref(),
        redis: args.redis_url.as_deref(),
        sync: args.wal_sync.into(),
        retention: args.spend_retention_days,
        responses: args.response_store_days,
        longest: LONGEST,
    };
    let (mut books, keepers) = stores::open(places).await?;
    let objects = books.objects.take();
    let internal_listener = bind(args.internal_listen)?;
    let tls = client_config(&args.ca_file)?;
    let exchange = Exchange::new(args.clouds.clone(), &args.proxy(), Arc::clone(&tls))?;
    let connector = Connector::new(args.egress(), &args.proxy(), tls)?;
    let app = Arc::new(app(&args, admin.as_ref(), books, (&connector, exchange))?);
    let probing = probe::start(&app, &connector);
    let reload = Arc::new(Reload::new(Arc::clone(&app)));
    let finding = engines::start(&app, Arc::clone(&reload), &connector, resolver);
    let serving =
        Serving { app: Arc::clone(&app), connector, read_timeout: args.read_timeout, grace: args.shutdown_grace };
    let configured = Configured::start(source, reload, (minted, objects)).await?;
    let internal = internal(internal_listener, &app, configured.reports(&app.live))?;

    let ready = tokio::select! {
        () = async {
            configured.ready().await;
            app.engines.looked_for(&app.live.load()).await;
        } => true,
        () = signals.any() => false,
    };
    let ended =
        if ready { serve_clients(&args, serving, &configured, admin.as_ref(), &mut signals).await } else { Ok(()) };
    drop((configured, probing, finding, app));
    internal.stop().await;
    let closed = keepers.close().await;
    ended.and(closed)
}

/// From the opening of the listener for clients until the last of their requests has ended.
async fn serve_clients(
    args: &Args,
    serving: Serving,
    configured: &Configured,
    admin: Option<&MintedAdminKey>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let app = &serving.app;
    let workers = Workers::start(args.runtimes.unwrap_or_else(limits::runtimes), &serving)?;
    let listener = bind(args.listen)?;
    let public = listener.local_addr()?;
    app.health.open();
    banner::public(public);
    if let (Some(admin), Configured::Directory(watching, _)) = (admin, configured) {
        let keys = &watching.minted();
        banner::print(&banner::Banner { public, admin, data: &args.data, snapshot: &app.live.load(), keys });
    }
    {
        let mut accepting = std::pin::pin!(workers.accept(listener));
        tokio::select! {
            () = &mut accepting => {}
            () = signals.any() => {}
        }
        tracing::info!("shutting down");
        app.health.close();
        workers.drain();
        // Whoever has not heard yet still gets in; a second signal means now.
        tokio::select! {
            () = &mut accepting => {}
            () = signals.any() => {}
            () = sleep(args.shutdown_delay) => {}
        }
    }
    workers.stop();
    tokio::task::spawn_blocking(move || workers.join()).await?;
    Ok(())
}

/// The signals that end a gateway.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A source that keeps the configuration up to date while this lives.
enum Configured {
    Directory(Watching, #[expect(dead_code, reason = "held for its drop")] Option<admin::Running>),
    Bundle(Following),
}

impl Configured {
    async fn start(
        source: Source<'_>,
        reload: Arc<Reload>,
        (minted, mut objects): (Minted, Option<SqliteStore>),
    ) -> anyhow::Result<Self> {
        match source {
            Source::Manifests(folder) => {
                let kept = match &mut objects {
                    Some(database) => admin::kept(database).await.context("what the admin API has made")?,
                    None => Vec::new(),
                };
                let directory = Directory::new(folder, minted, args::variable).with(kept);
                let app = Arc::clone(reload.app());
                let publish = move |loaded: Loaded| {
                    let Loaded { contents, hash, problems, warnings, .. } = loaded;
                    reload.publish(Publication { contents: &contents, hash, problems, warnings: warnings.len() });
                };
                let watching = watch::start(directory, publish).await?;
                if let Some(console) = &app.console {
                    console.follow(Arc::clone(watching.editor().catalog()));
                }
                let editing = objects.map(|database| {
                    let (store, running) = admin::start(database, watching.editor());
                    // Set once: this is the only place.
                    let _ = app.resources.set(Arc::new(store));
                    running
                });
                Ok(Self::Directory(watching, editing))
            }
            Source::Bundle { bundle, auth } => Ok(Self::Bundle(follow::start(reload, bundle, auth)?)),
        }
    }

    /// Returns when there is something to serve from.
    async fn ready(&self) {
        match self {
            Self::Directory(..) => {}
            Self::Bundle(following) => following.complete().await,
        }
    }

    fn reports(&self, live: &Live) -> Option<Reports> {
        match self {
            Self::Directory(..) => None,
            Self::Bundle(following) => {
                let (latest, auth) = (following.reports.clone(), Arc::clone(&following.auth));
                Some(Reports { live: live.clone(), latest, auth })
            }
        }
    }
}

/// The internal listener under way.
struct InternalServer {
    serving: JoinHandle<io::Result<()>>,
    stop: oneshot::Sender<()>,
}

fn internal(listener: TcpListener, app: &App, reports: Option<Reports>) -> io::Result<InternalServer> {
    banner::internal(listener.local_addr()?);
    let internal = Internal {
        metrics: Arc::clone(&app.metrics),
        health: Arc::clone(&app.health),
        spend: app.spend.clone(),
        unhealthy: Arc::clone(&app.unhealthy),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(listener, internal::router(internal, reports)).with_graceful_shutdown(async move {
        // A sender that is gone means the same.
        let _ = stopped.await;
    });
    Ok(InternalServer { serving: tokio::spawn(serving.into_future()), stop })
}

impl InternalServer {
    /// Answers what is under way. Reports that are waited for must have ended.
    async fn stop(self) {
        drop(self.stop);
        let _ = timeout(LAST_ANSWERS, self.serving).await;
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

fn app(
    args: &Args,
    admin: Option<&MintedAdminKey>,
    books: Books,
    (connector, exchange): (&Connector, Exchange),
) -> anyhow::Result<App> {
    let buffered = args.max_buffered_bytes.unwrap_or_else(limits::buffered_bytes);
    anyhow::ensure!(
        buffered >= args.max_body_bytes,
        "--max-body-bytes ({}) is more than the {buffered} bytes that may be buffered at once; lower it, or raise \
         --max-buffered-bytes (a quarter of the memory limit by default)",
        args.max_body_bytes
    );
    let Books { spend, ledger, wal, responses, objects: _, unreadable, reader } = books;
    let buffered = Budget::new(buffered, "bytes of buffered requests");
    let app = App {
        live: Live::default(),
        admin: AdminKey::new(admin.map(|admin| Sha256::digest(admin.key.as_bytes()).into())),
        in_flight: Budget::new(args.max_in_flight, "requests in flight"),
        queue_wait: args.queue_wait,
        settling: Budget::new(usize::MAX, "requests being settled"),
        media: Fetcher::new(connector.under(args.media_egress()), buffered.clone()),
        bodies: BodyLimits { most: args.max_body_bytes, idle: args.read_timeout, buffered },
        spend,
        ledger,
        end_users: EndUsers::new(args.max_end_users),
        exhausted: args.budget_exceeded_status.code(),
        wal,
        cache: Arc::new(cache(args)?),
        responses,
        backends: Backends::default(),
        engines: Arc::new(Engines::default()),
        credentials: Arc::new(Credentials::new(exchange, Handle::current())),
        unhealthy: Arc::default(),
        probed: Arc::default(),
        console: admin.map(|_| Arc::new(Console::new(reader))),
        metrics: Arc::new(Metrics::new()?),
        health: Arc::new(Health::default()),
        nameless: "".into(),
        resources: OnceLock::new(),
        pass_through: args.pass_through.clone().into(),
    };
    let in_flight = app.in_flight.clone();
    app.metrics.poll(Polled::InFlight, move || in_flight.used() as u64);
    let spend = app.spend.clone();
    app.metrics.poll(Polled::SpendBacklog, move || spend.backlog() as u64);
    let spend = app.spend.clone();
    app.metrics.poll(Polled::SpendWritten, move || spend.written());
    let credentials = Arc::clone(&app.credentials);
    app.metrics.poll(Polled::CredentialsFailing, move || credentials.failing().len() as u64);
    let health = Arc::clone(&app.health);
    app.credentials.tell(move |credentials| health.failing(credentials.failing()));
    let ledger = app.ledger.clone();
    app.metrics.poll(Polled::LedgerAccounts, move || ledger.accounts() as u64);
    let engines = Arc::clone(&app.engines);
    app.metrics.poll_engines(move || engines.counts());
    let ledger = app.ledger.clone();
    app.metrics.poll_queues(move || ledger.queued());
    let ledger = app.ledger.clone();
    app.metrics.poll_rates(move |account| ledger.remaining(account));
    let ledger = app.ledger.clone();
    app.metrics.poll(Polled::LedgerExchanges, move || ledger.exchanges());
    let ledger = app.ledger.clone();
    app.metrics.poll(Polled::LedgerOverdrawn, move || ledger.overdrawn().unsigned_abs());
    poll_cache(&app);
    app.metrics.poll(Polled::UnreadableRuns, move || unreadable.load(Ordering::Relaxed));
    app.metrics.poll(Polled::LogLinesDropped, telemetry::lines_dropped);
    Ok(app)
}

/// Kept answers, and where else they are.
fn cache(args: &Args) -> anyhow::Result<Cache> {
    let is_kept = args.cache_bytes > 0;
    let redis = args.redis_url.as_deref().filter(|_| is_kept);
    let remote = redis.map(|url| Remote::open(url, Handle::current())).transpose().context("--redis-url")?;
    anyhow::ensure!(
        args.database_url.is_some() || !args.semantic_cache_pgvector,
        "--semantic-cache-pgvector shares answers by way of PostgreSQL; name it with --database-url"
    );
    let database = args.database_url.as_deref().filter(|_| is_kept && args.semantic_cache_pgvector);
    let shared = database.map(|url| Shared::open(url, Handle::current())).transpose().context("--database-url")?;
    Ok(Cache::new(args.cache_bytes, remote, shared))
}

fn poll_cache(app: &App) {
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheAnswers, move || cache.answers() as u64);
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheBytes, move || cache.bytes());
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheEmbeddings, move || cache.embeddings() as u64);
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheWaited, move || cache.waited());
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheFailures, move || cache.remote().map_or(0, Remote::failures));
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheDatabaseFailures, move || cache.shared().map_or(0, Shared::failures));
    let cache = Arc::clone(&app.cache);
    app.metrics.poll(Polled::CacheUnusable, move || cache.unusable());
}
