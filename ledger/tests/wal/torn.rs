//! A file that ends anywhere: all whole records before its end come back, and nothing else.

use std::{collections::BTreeMap, fs};

use proptest::{collection::vec, prelude::*, sample::Index};
use tempfile::TempDir;
use turnpike_ledger::{
    spend_log::SpendRow,
    wal::{Sync, Wal, WalError, WalOptions, abandoned},
};

use crate::{
    any::any_row,
    files::{records as places, segments},
    rows::{RUN, crashed, left, opening, row},
};

/// OPEN and CLOSE of a few attempts, in any order.
fn records() -> impl Strategy<Value = Vec<(bool, SpendRow)>> {
    vec((any::<bool>(), (0..4_u64).prop_flat_map(any_row)), 1..12)
}

/// What the first `count` records say.
fn expected(records: &[(bool, SpendRow)], count: usize) -> Vec<SpendRow> {
    let mut rows = BTreeMap::new();
    for (close, row) in records.iter().take(count) {
        let sequence = row.event.sequence;
        if *close {
            rows.insert(sequence, (true, row.clone()));
        } else if !rows.get(&sequence).is_some_and(|(closed, _)| *closed) {
            rows.insert(sequence, (false, crashed(row.clone())));
        }
    }
    rows.into_values().map(|(_, row)| row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_records_before_the_cut_come_back(records in records(), cuts in vec(any::<Index>(), 8)) {
        let folder = TempDir::new().unwrap();
        let wal = Wal::create(folder.path(), RUN, WalOptions::default()).unwrap();
        let writer = wal.writer();
        for (close, row) in &records {
            let done = if *close { writer.close(row) } else { writer.open(row) };
            done.unwrap();
        }
        drop((wal, writer));
        let segment = segments(folder.path()).remove(0);
        let bytes = fs::read(&segment).unwrap();
        let places = places(&bytes);
        prop_assert_eq!(places.len(), records.len());
        for cut in cuts {
            let cut = cut.index(places.last().unwrap().end + 1);
            fs::write(&segment, &bytes[..cut]).unwrap();
            let cut_off = left(folder.path());
            let count = places.iter().filter(|place| place.end <= cut).count();
            prop_assert_eq!(cut_off.rows, expected(&records, count));
            prop_assert!(cut_off.whole);

            // Killed while it copied: the record's length and sum are not there, its body is in part.
            let Some(copied) = places.get(count) else { continue };
            let mut killed = bytes.clone();
            killed[copied.start..copied.start + 8].fill(0);
            killed[cut.max(copied.start + 8)..].fill(0);
            fs::write(&segment, &killed).unwrap();
            let killed = left(folder.path());
            prop_assert_eq!(killed.rows, expected(&records, count));
            prop_assert!(killed.whole);
        }
    }

    #[test]
    fn a_changed_byte_never_becomes_a_row(at in any::<Index>(), flip in 1..=u8::MAX) {
        let folder = TempDir::new().unwrap();
        let wal = Wal::create(folder.path(), RUN, WalOptions::default()).unwrap();
        let writer = wal.writer();
        (0..3).for_each(|sequence| { writer.close(&row(sequence)).unwrap(); });
        drop((wal, writer));
        let segment = segments(folder.path()).remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        let at = at.index(places(&bytes).last().unwrap().end);
        bytes[at] ^= flip;
        fs::write(&segment, &bytes).unwrap();
        // A changed header is another format or another boot; a changed record hides itself and those after it.
        match abandoned(folder.path()).unwrap()[0].read() {
            Ok(left) => {
                prop_assert!(left.rows.iter().enumerate().all(|(n, got)| *got == row(n as u64)));
                prop_assert!(left.rows.len() == 3 || at > 22);
            }
            Err(error) => prop_assert!(matches!(error, WalError::Format { .. }) && at < 6, "{error}"),
        }
    }
}

#[test]
fn every_byte_of_a_few_records_is_tried() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, WalOptions::default()).unwrap();
    let writer = wal.writer();
    writer.open(&opening(0)).unwrap();
    writer.close(&row(0)).unwrap();
    writer.open(&opening(1)).unwrap();
    drop((wal, writer));
    let segment = segments(folder.path()).remove(0);
    let bytes = fs::read(&segment).unwrap();
    let seen: Vec<_> = (0..=places(&bytes)[2].end)
        .map(|cut| {
            fs::write(&segment, &bytes[..cut]).unwrap();
            left(folder.path()).rows
        })
        .collect();
    let mut stages = seen.clone();
    stages.dedup();
    let opened = crashed(opening(0));
    assert_eq!(stages, [vec![], vec![opened], vec![row(0)], vec![row(0), crashed(opening(1))]]);
}

#[test]
fn damage_and_a_loss_of_power_are_told() {
    for (sync, at, whole) in [
        (Sync::Never, None::<usize>, true),
        // The boot's id.
        (Sync::Never, Some(10), false),
        (Sync::Group, Some(10), true),
        // In the first record.
        (Sync::Never, Some(60), false),
        (Sync::Group, Some(60), false),
    ] {
        let folder = TempDir::new().unwrap();
        let wal = Wal::create(folder.path(), RUN, WalOptions { sync, ..WalOptions::default() }).unwrap();
        let writer = wal.writer();
        writer.close(&row(0)).unwrap();
        writer.close(&row(1)).unwrap();
        drop((wal, writer));
        let segment = segments(folder.path()).remove(0);
        let mut bytes = fs::read(&segment).unwrap();
        if let Some(at) = at {
            bytes[at] ^= 1;
        }
        fs::write(&segment, &bytes).unwrap();
        assert_eq!(left(folder.path()).whole, whole, "{sync:?} {at:?}");
    }
}

#[test]
fn an_unknown_format_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, WalOptions::default()).unwrap();
    wal.writer().close(&row(0)).unwrap();
    drop(wal);
    let segment = segments(folder.path()).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[5] += 1;
    fs::write(&segment, &bytes).unwrap();
    let dead = abandoned(folder.path()).unwrap();
    assert!(matches!(dead[0].read(), Err(WalError::Format { path }) if path == segment));
    assert_eq!(fs::read(&segment).unwrap(), bytes);
}

#[test]
fn files_of_an_older_version_are_read() {
    let folder = TempDir::new().unwrap();
    let wal = Wal::create(folder.path(), RUN, WalOptions::default()).unwrap();
    let writer = wal.writer();
    writer.close(&row(0)).unwrap();
    writer.open(&opening(1)).unwrap();
    drop((wal, writer));
    let segment = segments(folder.path()).remove(0);
    let bytes = fs::read(&segment).unwrap();
    // Version 2: a header of 23 bytes, and records one behind the other up to the end.
    let mut dense = bytes[..23].to_vec();
    dense[5] = 2;
    for place in places(&bytes) {
        dense.extend_from_slice(&bytes[place]);
    }
    fs::write(&segment, &dense).unwrap();
    let whole = left(folder.path());
    assert_eq!((whole.rows, whole.whole), (vec![row(0), crashed(opening(1))], true));
    // It had no zeros: where they are, something is lost.
    dense.extend_from_slice(&[0; 8]);
    fs::write(&segment, &dense).unwrap();
    let zeros = left(folder.path());
    assert_eq!((zeros.rows.len(), zeros.whole), (2, false));
}
