//! How records lie in a segment, and what is left of one that was cut off.
//!
//! ```text
//!  segment  "TPWAL" · version · sync (0 never, 1 group) · boot id (16) · 0, then records, then zeros or the end of the file
//!  record   length of the body (u32) · crc32 of the body (u32) · body: kind (1 open, 2 close) · row, then zeros to a multiple of 8
//! ```
//!
//! Until version 2 there were no zeros: records lay one behind the other, from byte 23 to the end of the file.

use std::{fs, sync::OnceLock};

use uuid::Uuid;

use super::{Sync, codec};
use crate::spend_log::SpendRow;

const MAGIC: &[u8; 5] = b"TPWAL";
const VERSION: u8 = 3;
/// The last one whose records lie without zeros between and behind them.
const DENSE_VERSION: u8 = 2;
/// Its rows say nothing of attempts.
const FIRST_VERSION: u8 = 1;

/// Bytes of a segment before its first record.
pub(super) const HEADER: usize = DENSE_HEADER + 1;
const DENSE_HEADER: usize = MAGIC.len() + 2 + 16;
/// Bytes of a record before its body.
pub(super) const FRAME: usize = 8;
/// Every record begins at a multiple of this.
pub(super) const ALIGN: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open = 1,
    Close = 2,
}

/// What can be read of a segment.
pub(super) struct Segment {
    pub(super) records: Vec<(Kind, SpendRow)>,
    /// All that was ever recorded in it is here.
    pub(super) whole: bool,
}

/// Another version of the program wrote it.
pub(super) struct Unknown;

pub(super) fn header(sync: Sync) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let version = [VERSION, u8::from(sync == Sync::Group)];
    let parts = MAGIC.iter().chain(&version).chain(boot().as_bytes());
    header.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
    header
}

/// Puts the whole record into `out`, in place of what is there.
pub(super) fn encode(out: &mut Vec<u8>, kind: Kind, row: &SpendRow) {
    out.clear();
    out.extend_from_slice(&[0; FRAME]);
    out.push(kind as u8);
    codec::put(out, row);
    let Some((frame, body)) = out.split_first_chunk_mut::<FRAME>() else { return };
    // A row's texts are all bounded, far below 4 GiB.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let sum = crc32fast::hash(body);
    *frame = ((u64::from(sum) << 32) | u64::from(length)).to_le_bytes();
}

/// Reads a segment up to its end or its first fault.
pub(super) fn read(bytes: &[u8]) -> Result<Segment, Unknown> {
    let Some((header, _)) = bytes.split_first_chunk::<DENSE_HEADER>() else {
        // The process ended while it made the file, which has no record yet.
        return Ok(Segment { records: Vec::new(), whole: true });
    };
    let Some((magic, [version, sync, booted @ ..])) = header.split_first_chunk() else { return Err(Unknown) };
    if header.iter().all(|byte| *byte == 0) {
        return Ok(Segment { records: Vec::new(), whole: true });
    }
    if magic != MAGIC || !(FIRST_VERSION..=VERSION).contains(version) {
        return Err(Unknown);
    }
    let mut segment = Segment { records: Vec::new(), whole: *sync == 1 || booted == boot().as_bytes() };
    let dense = *version <= DENSE_VERSION;
    let mut at = if dense { DENSE_HEADER } else { HEADER };
    while let Some(rest @ [_, ..]) = bytes.get(at..) {
        match next(rest) {
            Ok((record, length)) => {
                segment.records.push(record);
                at += length;
                if !dense {
                    at = at.next_multiple_of(ALIGN);
                }
            }
            Err(fault) => {
                segment.whole &= fault == Fault::Torn || (fault == Fault::Empty && !dense);
                break;
            }
        }
    }
    Ok(segment)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing was recorded here, or the process ended while it recorded this.
    Empty,
    /// The process ended while it wrote this one: whoever wanted it recorded was never told that it is.
    Torn,
    /// There may be more records after it.
    Damaged,
}

type Record = (Kind, SpendRow);

/// The first record, and its length.
fn next(bytes: &[u8]) -> Result<(Record, usize), Fault> {
    let (frame, rest) = bytes.split_first_chunk::<FRAME>().ok_or(Fault::Torn)?;
    let frame = u64::from_le_bytes(*frame);
    if frame == 0 {
        return Err(Fault::Empty);
    }
    let (length, sum) = (frame & u64::from(u32::MAX), frame >> 32);
    let length = usize::try_from(length).map_err(|_| Fault::Torn)?;
    let body = rest.get(..length).ok_or(Fault::Torn)?;
    if u64::from(crc32fast::hash(body)) != sum {
        return Err(Fault::Damaged);
    }
    let (kind, row) = match body {
        [1, row @ ..] => (Kind::Open, row),
        [2, row @ ..] => (Kind::Close, row),
        _ => return Err(Fault::Damaged),
    };
    let row = codec::get(row).ok_or(Fault::Damaged)?;
    Ok(((kind, row), FRAME + length))
}

/// Names this run of the machine, at whose end what was not synced may be lost. Nil where the kernel does not tell.
fn boot() -> &'static Uuid {
    static BOOT: OnceLock<Uuid> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        id.and_then(|id| id.trim().parse().ok()).unwrap_or_default()
    })
}
