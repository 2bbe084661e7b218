//! Client connections: one acceptor, one runtime per core, each socket handed to the runtime with the least to do.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    app::{App, Routes, Worker},
    upstream::{connect::Connector, pool::Pool},
};

/// Connections waiting to be accepted.
const BACKLOG: u32 = 4096;
/// Pause after an accept that failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(2);
/// How often a runtime looks whether its last calls have ended, at shutdown.
const DRAIN_CHECK: Duration = Duration::from_millis(10);
/// How long the rows of requests that were cut off at shutdown may take.
const SETTLE: Duration = Duration::from_secs(10);
/// First bytes of an HTTP/2 connection (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI";
/// Concurrent requests on one HTTP/2 connection.
const HTTP2_STREAMS: u32 = 256;

/// What a runtime needs to serve.
#[derive(Clone)]
pub struct Serving {
    /// Shared state.
    pub app: Arc<App>,
    /// For upstream connections.
    pub connector: Connector,
    /// Longest wait for a request's headers.
    pub read_timeout: Duration,
    /// How long requests may go on once stopping.
    pub grace: Duration,
}

/// How far a gateway is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Connections and requests are welcome.
    Serving,
    /// They are taken, but clients are told to go elsewhere next time.
    Draining,
    /// No more of them.
    Stopping,
}

/// Runtimes under way.
pub struct Workers {
    handles: Vec<Handle>,
    threads: Vec<thread::JoinHandle<()>>,
    phase: watch::Sender<Phase>,
}

struct Handle {
    sockets: mpsc::UnboundedSender<std::net::TcpStream>,
    busy: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

/// Binds an address.
///
/// # Errors
/// It is taken, or not ours.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { tokio::net::TcpSocket::new_v6() } else { tokio::net::TcpSocket::new_v4() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

impl Workers {
    /// Starts `count` runtimes.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(count: usize, serving: &Serving) -> io::Result<Self> {
        let (phase, phases) = watch::channel(Phase::Serving);
        let mut workers = Self { handles: Vec::new(), threads: Vec::new(), phase };
        for index in 0..count.max(1) {
            let (sockets, incoming) = mpsc::unbounded_channel();
            let busy = Arc::new(AtomicUsize::new(0));
            let connections = Arc::new(AtomicUsize::new(0));
            let worker = Arc::new(Worker {
                app: Arc::clone(&serving.app),
                pool: Pool::new(serving.connector.clone()),
                wal: Arc::new(serving.app.wal.writer()),
                busy: Arc::clone(&busy),
            });
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build()?;
            let run =
                Run { worker, serving: serving.clone(), phases: phases.clone(), connections: Arc::clone(&connections) };
            let thread = thread::Builder::new()
                .name(format!("gateway-{index}"))
                .spawn(move || runtime.block_on(run.serve(incoming)))?;
            workers.handles.push(Handle { sockets, busy, connections });
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Accepts until told to stop. Never returns otherwise.
    pub async fn accept(&self, listener: TcpListener) {
        let mut phases = self.phase.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = reached(&mut phases, Phase::Stopping) => return,
            };
            match accepted.and_then(|(socket, _)| socket.into_std()) {
                Ok(socket) => self.hand_over(socket),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn hand_over(&self, socket: std::net::TcpStream) {
        let load = |handle: &&Handle| (handle.busy.load(Ordering::Relaxed), handle.connections.load(Ordering::Relaxed));
        if let Some(handle) = self.handles.iter().min_by_key(load) {
            handle.connections.fetch_add(1, Ordering::Relaxed);
            // A runtime that has ended takes no more sockets: the process is going down.
            handle.sockets.send(socket).ok();
        }
    }

    /// Has every answer tell its client to use another connection for the next request.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Tells the acceptor and all connections to finish.
    pub fn stop(&self) {
        self.phase.send_replace(Phase::Stopping);
    }

    /// Waits until every runtime has ended; each ends when its requests have, or after the grace time.
    pub fn join(self) {
        drop(self.handles);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a runtime's thread panicked");
            }
        }
    }
}

async fn reached(phases: &mut watch::Receiver<Phase>, phase: Phase) {
    // Without a sender the process is going down.
    let _ = phases.wait_for(|now| *now >= phase).await;
}

/// One runtime's life.
struct Run {
    worker: Arc<Worker>,
    serving: Serving,
    phases: watch::Receiver<Phase>,
    connections: Arc<AtomicUsize>,
}

impl Run {
    async fn serve(self, mut incoming: mpsc::UnboundedReceiver<std::net::TcpStream>) {
        let mut phases = self.phases.clone();
        let routes = Routes::new(Arc::clone(&self.worker));
        let mut connections = JoinSet::new();
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                socket = incoming.recv() => match socket.map(TcpStream::from_std) {
                    Some(Ok(socket)) => {
                        let open = Open::of(&self, socket, &routes);
                        connections.spawn(open.serve());
                    }
                    Some(Err(error)) => {
                        tracing::warn!(error = &error as &dyn std::error::Error, "cannot use a connection");
                    }
                    None => break,
                },
                Some(_) = connections.join_next() => {}
                _ = sweep.tick() => self.worker.pool.sweep(),
                () = reached(&mut phases, Phase::Stopping) => break,
            }
        }
        let end = Instant::now() + self.serving.grace;
        let finish = async {
            while connections.join_next().await.is_some() {}
            // Calls whose clients left may still be counting tokens.
            let app = &self.worker.app;
            while app.in_flight.used() > 0 || app.settling.used() > 0 {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
        };
        tokio::time::timeout_at(end, finish).await.ok();
        // Dropped bodies settle their requests as cancelled; their rows must not end with this runtime.
        connections.shutdown().await;
        let settled = async {
            while self.worker.app.settling.used() > 0 {
                tokio::time::sleep(DRAIN_CHECK).await;
            }
        };
        tokio::time::timeout(SETTLE, settled).await.ok();
    }
}

/// One client connection.
struct Open {
    socket: TcpStream,
    routes: Routes,
    read_timeout: Duration,
    phases: watch::Receiver<Phase>,
    _counted: Counted,
}

struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Open {
    fn of(run: &Run, socket: TcpStream, routes: &Routes) -> Self {
        Self {
            socket,
            routes: routes.clone(),
            read_timeout: run.serving.read_timeout,
            phases: run.phases.clone(),
            _counted: Counted(Arc::clone(&run.connections)),
        }
    }

    async fn serve(mut self) {
        // Its failures are the client's: it left, or did not speak HTTP.
        if self.socket.set_nodelay(true).is_err() {
            return;
        }
        let mut first = [0; 3];
        let peek = tokio::time::timeout(self.read_timeout, self.socket.peek(&mut first));
        let read = tokio::select! {
            read = peek => read,
            () = reached(&mut self.phases, Phase::Stopping) => return,
        };
        if !matches!(read, Ok(Ok(1..))) {
            return;
        }
        if first == HTTP2_PREFACE { self.http2().await } else { self.http1().await }
    }

    async fn http1(mut self) {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.read_timeout);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(self.socket), self.routes));
        if !ended_before(connection.as_mut(), &mut self.phases, Phase::Stopping).await {
            connection.as_mut().graceful_shutdown();
            connection.await.ok();
        }
    }

    async fn http2(mut self) {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(HTTP2_STREAMS).keep_alive_interval(self.read_timeout);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(self.socket), self.routes));
        // HTTP/2 can say at once that there will be no more, and loses nothing. One that has only just come gets its chance.
        let last = if *self.phases.borrow() == Phase::Serving { Phase::Draining } else { Phase::Stopping };
        if !ended_before(connection.as_mut(), &mut self.phases, last).await {
            connection.as_mut().graceful_shutdown();
            connection.await.ok();
        }
    }
}

/// Whether the connection ended before the phase was reached.
///
/// The signal is asked for once, with the task's waker, and then looked at when the task is woken: asking again with each
/// of a stream's chunks would take its lock each time.
async fn ended_before(
    mut connection: Pin<&mut impl Future>,
    phases: &mut watch::Receiver<Phase>,
    phase: Phase,
) -> bool {
    let signal = phases.clone();
    let mut reached = pin!(reached(phases, phase));
    let mut asked = false;
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        let changed = signal.has_changed().unwrap_or(true);
        if (changed || !std::mem::replace(&mut asked, true)) && reached.as_mut().poll(cx).is_ready() {
            return Poll::Ready(false);
        }
        Poll::Pending
    })
    .await
}
