//! A copy of the state in space that was allocated beforehand, so that a full disk does not prevent writing it.
//!
//! The file has two slots of the same size, which are written in turn. Each slot has a header with the revision, the
//! length and a checksum of its text. An interrupted write is therefore detected, and the other slot still holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// The beginning of every slot that was written, which names the layout.
const MAGIC: &[u8; 8] = b"HOLYST01";
/// Length of the header of a slot, in bytes.
const HEADER: usize = 32;
/// The smallest slot, in bytes.
const SMALLEST: usize = 4096;
/// The largest slot that is used, in bytes.
const LARGEST: u64 = 128 << 20;

/// The content of a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) revision: u64,
    pub(super) text: Vec<u8>,
}

/// Returns the size of slots that a text fits into, with room to grow.
pub(super) fn slot_for(text: &[u8]) -> usize {
    let wanted = text.len().saturating_add(HEADER);
    wanted.saturating_add(wanted / 2).div_ceil(SMALLEST) * SMALLEST
}

/// Makes an empty file with two slots of this size.
pub(super) fn empty(slot: usize) -> Vec<u8> {
    vec![0; slot.saturating_mul(2)]
}

/// Reads the newer of the undamaged copies.
pub(super) fn read(file: &File) -> io::Result<Option<Copy>> {
    let slot = slot_size(file)?;
    let mut newest: Option<Copy> = None;
    for place in 0..2 {
        let copy = read_slot(file, place * slot, slot)?;
        let newest_before = newest.as_ref().map(|copy| copy.revision);
        newest = match copy {
            Some(copy) if newest_before.is_none_or(|before| copy.revision > before) => Some(copy),
            _ => newest,
        };
    }
    Ok(newest)
}

/// Writes a copy in place over the older one. Returns whether it fits.
pub(super) fn write(file: &File, copy: &Copy) -> io::Result<bool> {
    let slot = slot_size(file)?;
    let needed = (copy.text.len() + HEADER) as u64;
    if needed > slot {
        return Ok(false);
    }
    // The newer slot has to stay undamaged.
    let revision = |place: u64| Ok::<_, io::Error>(read_slot(file, place * slot, slot)?.map(|copy| copy.revision));
    let place = u64::from(revision(0)? > revision(1)?);
    let mut bytes = Vec::with_capacity(copy.text.len() + HEADER);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&copy.revision.to_le_bytes());
    bytes.extend_from_slice(&(copy.text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&checksum(copy.revision, &copy.text).to_le_bytes());
    bytes.extend_from_slice(&copy.text);
    file.write_all_at(&bytes, place * slot)?;
    file.sync_data()?;
    Ok(true)
}

fn slot_size(file: &File) -> io::Result<u64> {
    Ok((file.metadata()?.len() / 2).min(LARGEST))
}

fn read_slot(file: &File, start: u64, slot: u64) -> io::Result<Option<Copy>> {
    if slot < HEADER as u64 {
        return Ok(None);
    }
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, start)?;
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let (revision, length, sum) = (number(8), number(16), number(24));
    if header[..8] != *MAGIC || length > slot - HEADER as u64 {
        return Ok(None);
    }
    let mut text = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    file.read_exact_at(&mut text, start + HEADER as u64)?;
    Ok((checksum(revision, &text) == sum).then_some(Copy { revision, text }))
}

/// Computes FNV-1a, which only has to detect interrupted writes.
fn checksum(revision: u64, text: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let sum = revision.to_le_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    text.iter().fold(sum, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(slot: usize) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&empty(slot), 0).unwrap();
        file
    }

    fn copy(revision: u64, text: &str) -> Copy {
        Copy { revision, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn the_newest_copy_is_read_and_the_one_before_it_stays() {
        let file = file(SMALLEST);
        assert_eq!(read(&file).unwrap(), None);
        for revision in 1..6 {
            let written = copy(revision, &format!("state {revision}"));
            assert!(write(&file, &written).unwrap());
            assert_eq!(read(&file).unwrap(), Some(written));
            let size = file.metadata().unwrap().len();
            assert_eq!(size, 2 * SMALLEST as u64, "it never grows");
        }
    }

    #[test]
    fn of_a_write_that_was_cut_off_at_any_byte_the_copy_before_it_holds() {
        let file = file(SMALLEST);
        let (old, new) = (copy(1, "the state before"), copy(2, "another state, and a longer one"));
        write(&file, &old).unwrap();
        let mut before = vec![0; 2 * SMALLEST];
        file.read_exact_at(&mut before, 0).unwrap();
        write(&file, &new).unwrap();
        let mut after = vec![0; 2 * SMALLEST];
        file.read_exact_at(&mut after, 0).unwrap();
        let changed: Vec<usize> = (0..after.len()).filter(|place| before[*place] != after[*place]).collect();
        for cut in &changed {
            file.write_all_at(&before, 0).unwrap();
            let start = changed[0];
            file.write_all_at(&after[start..*cut], start as u64).unwrap();
            assert_eq!(read(&file).unwrap().as_ref(), Some(&old), "cut off at {cut}");
            let again = copy(3, "and goes on");
            write(&file, &again).unwrap();
            assert_eq!(read(&file).unwrap(), Some(again));
        }
    }

    #[test]
    fn any_damaged_byte_costs_one_copy_at_most() {
        let file = file(SMALLEST);
        let (old, new) = (copy(7, "older"), copy(8, "newer"));
        write(&file, &old).unwrap();
        write(&file, &new).unwrap();
        let mut whole = vec![0; 2 * SMALLEST];
        file.read_exact_at(&mut whole, 0).unwrap();
        for place in (0..64).chain(SMALLEST..SMALLEST + 64) {
            let damaged = [whole[place] ^ 0xff];
            file.write_all_at(&damaged, place as u64).unwrap();
            let read = read(&file).unwrap().unwrap();
            assert!(read == old || read == new, "byte {place}: {read:?}");
            file.write_all_at(&whole, 0).unwrap();
        }
    }

    #[test]
    fn what_does_not_fit_is_said_and_not_written() {
        let file = file(SMALLEST);
        let kept = copy(1, "kept");
        write(&file, &kept).unwrap();
        let large = Copy { revision: 2, text: vec![b'x'; SMALLEST - HEADER + 1] };
        assert!(!write(&file, &large).unwrap());
        assert!(write(&file, &Copy { revision: 2, text: vec![b'x'; SMALLEST - HEADER] }).unwrap());
        assert_eq!((slot_for(b""), slot_for(&[0; 4096])), (SMALLEST, 2 * SMALLEST));
        file.set_len(10).unwrap();
        assert_eq!(read(&file).unwrap(), None, "too short for anything");
    }
}
