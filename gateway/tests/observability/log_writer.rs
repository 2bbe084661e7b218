//! The log never stalls a request, whatever reads it.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use turnpike_gateway::telemetry::sink::Sink;

const LONG: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes nothing until its sender is dropped.
struct Stuck(mpsc::Receiver<()>);

impl Write for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn lines_of_many_threads_stay_whole() {
    let kept = Kept::default();
    let sink = Sink::start(kept.clone()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let sink = &sink;
            scope.spawn(move || {
                for n in 0..500 {
                    sink.push(format!("line {thread} {n}\n").as_bytes());
                }
            });
        }
    });
    sink.flush(LONG);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    assert!(lines.iter().all(|line| line.split(' ').count() == 3));
    lines.sort_unstable();
    lines.dedup();
    assert_eq!((lines.len(), sink.dropped()), (2000, 0));
}

#[test]
fn a_stuck_reader_costs_lines_not_time_or_memory() {
    let (stuck, hold) = mpsc::channel();
    let sink = Sink::start(Stuck(hold)).unwrap();
    let line = vec![b'x'; 64 * 1024];
    // Far more than the buffer and what the writer holds.
    for _ in 0..200 {
        sink.push(&line);
    }
    assert!(sink.dropped() >= 200 - 2 * 64, "{}", sink.dropped());
    sink.flush(Duration::from_millis(1));
    drop(stuck);
    sink.flush(LONG);
    let before = sink.dropped();
    sink.push(&line);
    assert_eq!(sink.dropped(), before);
}
