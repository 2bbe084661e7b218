//! The write-ahead file of real processes that are killed, or meet a full disk. The child is this test binary.
//!
//! They are a binary of their own: between `fork` and `exec` a child has the files of its parent open, and so their locks.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "../wal/rows.rs"]
mod rows;

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use turnpike_ledger::wal::{Sync, Wal, WalError, WalOptions, abandoned};

use self::rows::{RUN, crashed, left, opening, row};

/// Said by the child after the record, and only after it.
const OPENED: &str = "opened ";
const CLOSED: &str = "closed ";
const FULL: &str = "full ";

/// A file that tells a child that it is one: without it the children's tests do nothing.
const CHILD: &str = "child";

#[test]
#[ignore = "the child of killed_at_any_moment"]
fn writes_until_killed() {
    if !fs::exists(CHILD).unwrap() {
        return;
    }
    let wal = Wal::create(Path::new("."), RUN, WalOptions { segment: 16 * 1024, keep: 2, sync: Sync::Never }).unwrap();
    let writers = [wal.writer(), wal.writer()];
    for sequence in 0_u64.. {
        let writer = &writers[usize::from(sequence % 2 == 1)];
        writer.open(&opening(sequence)).unwrap();
        println!("{OPENED}{sequence}");
        // Every seventh is still under way when the end comes.
        if sequence % 7 != 0 {
            writer.close(&row(sequence)).unwrap();
            println!("{CLOSED}{sequence}");
        }
    }
}

#[test]
#[ignore = "the child of a_full_disk_is_an_error_and_loses_nothing"]
fn writes_until_the_disk_is_full() {
    if !fs::exists(CHILD).unwrap() {
        return;
    }
    let wal = Wal::create(Path::new("."), RUN, WalOptions::default()).unwrap();
    let writer = wal.writer();
    let mut refused = 0;
    for sequence in 0..1000 {
        match writer.close(&row(sequence)) {
            Ok(_) => println!("{CLOSED}{sequence}"),
            Err(WalError::Write(_)) => {
                refused += 1;
                println!("{FULL}{sequence}");
            }
            Err(error) => unreachable!("{error}"),
        }
    }
    assert!(refused > 0);
}

fn child(test: &str, folder: &Path, shell: &str) -> Child {
    fs::write(folder.join(CHILD), "").unwrap();
    let run = format!("{shell} exec \"$0\" --exact {test} --ignored --nocapture");
    Command::new("sh")
        .args(["-c", &run, env::current_exe().unwrap().to_str().unwrap()])
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the child says, without what the test harness has put before it.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.map(|line| line.rsplit_once("... ").map_or(line.clone(), |(_, rest)| rest.to_owned()))
}

fn numbers(lines: &[String], said: &str) -> Vec<u64> {
    lines.iter().filter_map(|line| line.strip_prefix(said)?.parse().ok()).collect()
}

#[test]
fn killed_at_any_moment() {
    for after in [1, 2, 3, 50, 500, 3000] {
        let folder = TempDir::new().unwrap();
        let mut child = child("writes_until_killed", folder.path(), "");
        let mut heard = Vec::new();
        let mut told = 0;
        for line in said(&mut child) {
            heard.push(line);
            told += 1;
            // The test harness says a little before the first record.
            if told == after + 3 {
                assert!(abandoned(folder.path()).unwrap().is_empty(), "the files of a living process are taken");
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let left = left(folder.path());
        let find = |sequence| left.rows.iter().find(|row| row.event.sequence == sequence);
        for sequence in numbers(&heard, CLOSED) {
            assert_eq!(find(sequence), Some(&row(sequence)));
        }
        for sequence in numbers(&heard, OPENED) {
            assert!(find(sequence).is_some(), "{sequence} is not there");
        }
        for got in &left.rows {
            let sequence = got.event.sequence;
            assert!(*got == row(sequence) || *got == crashed(opening(sequence)), "{got:?}");
        }
        // What was not told is at most the record that was being written.
        assert!(left.rows.len() <= numbers(&heard, OPENED).len() + 1);
        assert!(left.whole);
    }
}

#[test]
fn a_full_disk_is_an_error_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    // A limit of the file's size behaves like a full disk: the file grows once and not again.
    let mut child = child("writes_until_the_disk_is_full", folder.path(), "trap '' XFSZ; ulimit -f 200;");
    let heard: Vec<_> = said(&mut child).collect();
    assert!(child.wait().unwrap().success(), "{heard:?}");
    let (closed, full) = (numbers(&heard, CLOSED), numbers(&heard, FULL));
    assert!(closed.len() > 20 && !full.is_empty(), "{heard:?}");

    let left = left(folder.path());
    let sequences: Vec<_> = left.rows.iter().map(|row| row.event.sequence).collect();
    assert_eq!(sequences, closed);
    assert!(left.whole);
}
