//! The names in a directory, sorted by their bytes, within a memory budget.
//!
//! A directory can have millions of files, and sorting needs all of their names. So the names lie in one allocation,
//! one after the other, which is charged to a budget that all walks share.

use std::ffi::CStr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

/// Size of the buffer for one read of a directory, in bytes.
const BUFFER: usize = 64 << 10;

/// A memory budget for names that all walks share.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Takes this many bytes, and returns whether the budget had them.
    fn take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Sorted names, returned one by one.
#[derive(Debug)]
pub(super) struct Listing {
    /// Records, one per name: a byte for its kind, two for its length with the NUL, its bytes, and a NUL.
    bytes: Vec<u8>,
    /// Offset of each record, in the order of the names.
    starts: Vec<u32>,
    next: usize,
    budget: Budget,
    taken: usize,
}

/// The reason why a directory is not listed.
#[derive(Debug)]
pub(super) enum ListingError {
    /// An exhausted budget.
    Memory,
    /// More names than the caller allows.
    Names,
    /// An error of the system.
    System(Errno),
}

impl Listing {
    /// Reads a directory with at most `most` names.
    pub(super) fn read(directory: BorrowedFd<'_>, most: u64, budget: &Budget) -> Result<Self, ListingError> {
        let mut listing = Self { bytes: Vec::new(), starts: Vec::new(), next: 0, budget: budget.clone(), taken: 0 };
        let mut buffer = Vec::with_capacity(BUFFER);
        let mut names = RawDir::new(directory, buffer.spare_capacity_mut());
        while let Some(entry) = names.next() {
            let entry = entry.map_err(ListingError::System)?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                if listing.starts.len() as u64 >= most {
                    return Err(ListingError::Names);
                }
                listing.push(entry.file_name(), entry.file_type())?;
            }
        }
        listing.sort();
        Ok(listing)
    }

    fn push(&mut self, name: &CStr, kind: FileType) -> Result<(), ListingError> {
        let start = u32::try_from(self.bytes.len()).map_err(|_| ListingError::Memory)?;
        let name = name.to_bytes_with_nul();
        let length = u16::try_from(name.len()).map_err(|_| ListingError::System(Errno::NAMETOOLONG))?;
        self.reserve(HEAD + name.len())?;
        self.bytes.push(code(kind));
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(name);
        self.starts.push(start);
        Ok(())
    }

    /// Reserves room, growing by half. Both allocations are charged to the budget before they are made.
    fn reserve(&mut self, more: usize) -> Result<(), ListingError> {
        let grown = |length: usize, capacity: usize, more: usize| {
            if length + more > capacity { (capacity + capacity / 2).max(length + more).max(64) } else { capacity }
        };
        let bytes = grown(self.bytes.len(), self.bytes.capacity(), more);
        let starts = grown(self.starts.len(), self.starts.capacity(), 1);
        let wanted = bytes + starts * size_of::<u32>();
        if wanted > self.taken {
            if !self.budget.take(wanted - self.taken) {
                return Err(ListingError::Memory);
            }
            self.taken = wanted;
            self.bytes.reserve_exact(bytes - self.bytes.len());
            self.starts.reserve_exact(starts - self.starts.len());
        }
        Ok(())
    }

    fn sort(&mut self) {
        let Self { bytes, starts, .. } = self;
        starts.sort_unstable_by(|one, other| name_at(bytes, *one).cmp(name_at(bytes, *other)));
    }

    /// Returns the number of names.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Returns the next name, and its kind if the filesystem keeps that beside the name.
    pub(super) fn next(&mut self) -> Option<(&CStr, Option<FileType>)> {
        let start = *self.starts.get(self.next)?;
        self.next += 1;
        let kind = self.bytes.get(start as usize).copied().and_then(decode);
        Some((CStr::from_bytes_with_nul(name_at(&self.bytes, start)).ok()?, kind))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

/// Number of bytes before a name.
const HEAD: usize = 3;

/// Returns the name of the record at this offset, with its NUL, which sorts before any other byte.
fn name_at(bytes: &[u8], start: u32) -> &[u8] {
    let start = start as usize;
    let length = |head: &[u8]| Some(usize::from(u16::from_le_bytes([*head.get(1)?, *head.get(2)?])));
    let found = bytes.get(start..).and_then(|rest| rest.get(HEAD..HEAD + length(rest)?));
    found.unwrap_or_default()
}

const KINDS: [FileType; 7] = [
    FileType::RegularFile,
    FileType::Directory,
    FileType::Symlink,
    FileType::Fifo,
    FileType::Socket,
    FileType::BlockDevice,
    FileType::CharacterDevice,
];

fn code(kind: FileType) -> u8 {
    KINDS.iter().zip(1..).find(|(known, _)| **known == kind).map_or(0, |(_, code)| code)
}

fn decode(code: u8) -> Option<FileType> {
    KINDS.get(usize::from(code).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: usize, most: u64, budget: &Budget) -> Result<Vec<String>, ListingError> {
        let directory = tempfile::tempdir().unwrap();
        for name in 0..names {
            std::fs::write(directory.path().join(format!("f{name}")), "").unwrap();
        }
        let handle = std::fs::File::open(directory.path()).unwrap();
        let mut listing = Listing::read(std::os::fd::AsFd::as_fd(&handle), most, budget)?;
        assert_eq!(listing.len(), names);
        let mut all = Vec::new();
        while let Some((name, kind)) = listing.next() {
            assert!(matches!(kind, None | Some(FileType::RegularFile)));
            all.push(name.to_str().unwrap().to_owned());
        }
        Ok(all)
    }

    #[test]
    fn names_come_sorted_and_the_budget_comes_back() {
        let budget = Budget::new(64 << 10);
        let names = list(1_000, 1_000, &budget).unwrap();
        let mut sorted = names.clone();
        sorted.sort();
        assert_eq!((names.len(), &names), (1_000, &sorted));
        assert_eq!(budget.0.load(Ordering::Relaxed), 64 << 10);
        assert!(list(0, 0, &budget).unwrap().is_empty());
    }

    #[test]
    fn limits_are_told_apart() {
        let budget = Budget::new(64 << 10);
        assert!(matches!(list(11, 10, &budget), Err(ListingError::Names)));
        let small = Budget::new(1 << 10);
        assert!(matches!(list(1_000, 1_000, &small), Err(ListingError::Memory)));
        assert_eq!(small.0.load(Ordering::Relaxed), 1 << 10, "what was taken is given back");
    }
}
