//! Names of files that a run sets aside before it removes them, and the record by which the next run finds those that
//! an interrupted run has left.
//!
//! A name carries the data that a run needs to finish the removal or to restore the name:
//! `.holystone-RUN-NUMBER-INODE.NAME`. The record carries the directories to look in, since the files may be anywhere
//! under the log roots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const PREFIX: &str = ".holystone-";
/// Maximum length of a name on Linux filesystems, in bytes.
const LONGEST: usize = 255;
/// Maximum number of interrupted runs in the record.
const MOST_RUNS: usize = 16;

/// Builds the name under which a file is set aside. If the original name is too long to be carried, it is left out.
pub fn aside_name(run: &str, number: u64, inode: u64, name: &[u8]) -> Vec<u8> {
    let head = format!("{PREFIX}{run}-{number}-{inode:x}.").into_bytes();
    let name = if head.len() + name.len() > LONGEST { &[] } else { name };
    [head.as_slice(), name].concat()
}

/// The data in the name of a file that a run has set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside<'a> {
    /// Inode of the file that was to be removed.
    pub inode: u64,
    /// Original name of the file; absent if it was too long.
    pub name: Option<&'a [u8]>,
}

impl<'a> Aside<'a> {
    /// Parses a name that this run has given to a file; returns `None` for any other name.
    pub fn parse(run: &str, name: &'a [u8]) -> Option<Self> {
        let rest = name.strip_prefix(PREFIX.as_bytes())?.strip_prefix(run.as_bytes())?.strip_prefix(b"-")?;
        let dot = rest.iter().position(|byte| *byte == b'.')?;
        let (number, inode) = std::str::from_utf8(rest.get(..dot)?).ok()?.split_once('-')?;
        let is_plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_plain(number) || !is_plain(inode) {
            return None;
        }
        let name = rest.get(dot + 1..).filter(|name| !name.is_empty() && !matches!(*name, b"." | b".."));
        Some(Self { inode: u64::from_str_radix(inode, 16).ok()?, name })
    }
}

/// Runs that may have left files aside.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AsideRecord {
    /// Runs, the earliest first.
    pub runs: Vec<AsideRun>,
}

/// A run that may have left files aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AsideRun {
    /// Id of the run, as in the names of its files.
    pub run: String,
    /// Time when the run began to remove files.
    pub started_at: Timestamp,
    /// Directories in which the run was to remove files.
    pub directories: Vec<AsideDirectory>,
    /// Directories that the roots were, by the roots' names: the next run may know one by another name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roots: BTreeMap<String, AsideRoot>,
}

/// The directory that a log root was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AsideRoot {
    /// Device of the directory.
    pub device: u64,
    /// Inode of the directory.
    pub inode: u64,
}

/// A directory under a log root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AsideDirectory {
    /// Name of the root.
    pub root: String,
    /// Path under the root, as plugins see it.
    pub path: String,
}

impl AsideRecord {
    /// Adds a run; if there are too many, drops the earliest.
    pub fn add(&mut self, run: AsideRun) {
        self.runs.push(run);
        let over = self.runs.len().saturating_sub(MOST_RUNS);
        self.runs.drain(..over);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_carries_the_one_before() {
        for name in [&b"a.log.1"[..], b".hidden", b"\xff\n", b"-", b"a.b.c", b"..."] {
            let aside = aside_name("7-1f", 3, 0xab, name);
            assert!(aside.starts_with(b".holystone-7-1f-3-ab."));
            assert_eq!(Aside::parse("7-1f", &aside), Some(Aside { inode: 0xab, name: Some(name) }));
            assert_eq!(Aside::parse("7-2f", &aside), None, "of another run");
        }
    }

    #[test]
    fn a_name_that_is_too_long_is_not_carried_in_part() {
        let head = aside_name("r", 1, 2, b"").len();
        for (length, is_carried) in [(255 - head, true), (256 - head, false), (255, false)] {
            let name = vec![b'x'; length];
            let aside = aside_name("r", 1, 2, &name);
            assert!(aside.len() <= 255);
            let expected = Aside { inode: 2, name: is_carried.then_some(name.as_slice()) };
            assert_eq!(Aside::parse("r", &aside), Some(expected));
        }
    }

    #[test]
    fn other_names_are_none_of_ours() {
        let names = [
            "a.log",
            ".holystone-",
            ".holystone-r",
            ".holystone-r-1",
            ".holystone-r-1-2",
            ".holystone-r--2.a",
            ".holystone-r-1-.a",
            ".holystone-r-x-2.a",
            ".holystone-r-1-zz.a",
            ".holystone-rr-1-2.a",
            ".holystone-r-1-11112222333344445.a",
        ];
        for name in names {
            assert_eq!(Aside::parse("r", name.as_bytes()), None, "{name}");
        }
        for name in [".holystone-r-1-2.", ".holystone-r-1-2..", ".holystone-r-1-2..."] {
            assert_eq!(Aside::parse("r", name.as_bytes()).unwrap().name, None, "{name} leads nowhere");
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written_and_does_not_grow_for_ever() {
        let mut record = AsideRecord::default();
        for number in 0..20 {
            let directories = vec![AsideDirectory { root: "app".to_owned(), path: "d".to_owned() }];
            let roots = [("app".to_owned(), AsideRoot { device: 1, inode: number })].into();
            record.add(AsideRun { run: number.to_string(), started_at: Timestamp::UNIX_EPOCH, directories, roots });
        }
        let runs: Vec<&str> = record.runs.iter().map(|run| run.run.as_str()).collect();
        assert_eq!((runs.len(), runs[0], runs[15]), (16, "4", "19"));
        let json = serde_json::to_vec(&record).unwrap();
        assert_eq!(serde_json::from_slice::<AsideRecord>(&json).unwrap(), record);
    }
}
