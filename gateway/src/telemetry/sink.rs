//! A bounded buffer with a thread that empties it, so that a slow or stuck reader of the log never stalls a request.

use std::{
    io::{self, Write},
    mem,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// Most bytes that wait. Lines that do not fit are dropped and counted.
const LIMIT: usize = 4 * 1024 * 1024;

/// Enough to write at once.
const ENOUGH: usize = 64 * 1024;

/// How long a lone line waits for others: waking the thread for each would cost more than the line.
const COALESCE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    writing: bool,
    hurry: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
    dropped: AtomicU64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Bytes have no state that a panic could leave half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines from any thread.
#[derive(Clone)]
pub struct Sink(Arc<Shared>);

impl Sink {
    /// Starts the thread that writes to `out`. It lives as long as the process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let sink = Self(Arc::clone(&shared));
        thread::Builder::new().name("log-writer".to_owned()).spawn(move || run(&shared, out))?;
        Ok(sink)
    }

    /// Adds a line that ends with a line feed. Never waits for the writer.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let before = state.buffer.len();
        let after = before + line.len();
        if after > LIMIT {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.buffer.extend_from_slice(line);
        drop(state);
        if before == 0 || (before < ENOUGH && after >= ENOUGH) {
            self.0.filled.notify_one();
        }
    }

    /// Lines that did not fit, since the start.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything pushed so far is written, at most `limit`.
    pub fn flush(&self, limit: Duration) {
        let mut state = self.0.lock();
        state.hurry = true;
        self.0.filled.notify_one();
        let pending = |state: &mut State| state.writing || !state.buffer.is_empty();
        drop(self.0.written.wait_timeout_while(state, limit, pending));
    }
}

fn run(shared: &Shared, mut out: impl Write) {
    let mut taken = Vec::new();
    let mut state = shared.lock();
    loop {
        state =
            shared.filled.wait_while(state, |state| state.buffer.is_empty()).unwrap_or_else(PoisonError::into_inner);
        let few = |state: &mut State| state.buffer.len() < ENOUGH && !state.hurry;
        (state, _) = shared.filled.wait_timeout_while(state, COALESCE, few).unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut state.buffer, &mut taken);
        state.writing = true;
        drop(state);
        // There is nowhere to say that the log cannot be written.
        let _ = out.write_all(&taken).and_then(|()| out.flush());
        taken.clear();
        // What a jam took is given back.
        taken.shrink_to(2 * ENOUGH);
        state = shared.lock();
        state.writing = false;
        state.hurry = state.hurry && !state.buffer.is_empty();
        shared.written.notify_all();
    }
}

/// `tracing` hands over one whole event per write.
impl Write for &Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Sink {
    type Writer = &'a Sink;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}
