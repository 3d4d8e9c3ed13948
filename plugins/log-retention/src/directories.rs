//! Directories that are empty, or contain only empty directories, and that have not changed for a while.
//!
//! Entries arrive in the order of a walk, so a directory comes right before its content, and only the directories on
//! the way down to the last entry are kept in memory.

use holystone_core::logs::{Glob, LogPath};

/// A directory as this plugin sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Path under the log root.
    pub path: String,
    /// Time of the last change of the content, in nanoseconds since 1970.
    pub modified: i64,
    /// Time of the last change of the content or the inode, in nanoseconds since 1970.
    pub changed: i64,
    /// Size on disk, in bytes.
    pub allocated_bytes: u64,
}

/// The directories that a rule covers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Globs, one of which must match the directory.
    pub include: Vec<Glob>,
    /// Globs that must match neither the directory nor one that it lies in.
    pub exclude: Vec<Glob>,
    /// Time before which the directory must have changed last, in nanoseconds since 1970.
    pub before: i64,
}

impl Scope {
    fn has(&self, directory: &Directory) -> bool {
        let Ok(path) = directory.path.parse::<LogPath>() else { return false };
        let is_left_out = || {
            let mut above = std::iter::successors(Some(path.clone()), LogPath::parent);
            above.any(|path| self.exclude.iter().any(|glob| glob.matches(&path)))
        };
        directory.modified.max(directory.changed) < self.before
            && self.include.iter().any(|glob| glob.matches(&path))
            && !is_left_out()
    }
}

/// A search for empty directories.
#[derive(Debug)]
pub struct Search<'a> {
    scope: &'a Scope,
    /// Directories on the way down.
    open: Vec<Open>,
    found: Vec<Directory>,
    /// Number of directories that each glob has matched.
    include: Vec<u64>,
    exclude: Vec<u64>,
}

#[derive(Debug)]
struct Open {
    directory: Directory,
    /// Set while the directory contains nothing but directories that were found.
    is_empty: bool,
    /// Number of directories that had been found before this one.
    found_before: usize,
}

impl<'a> Search<'a> {
    /// Starts a search of one log root.
    pub fn new(scope: &'a Scope) -> Self {
        let (include, exclude) = (vec![0; scope.include.len()], vec![0; scope.exclude.len()]);
        Self { scope, open: Vec::new(), found: Vec::new(), include, exclude }
    }

    /// Processes a directory. A directory that cannot be entered, or that is a pod's, is not known to be empty.
    pub fn directory(&mut self, directory: Directory, is_known: bool) {
        self.leave_all_but(&directory.path);
        if let Ok(path) = directory.path.parse::<LogPath>() {
            let Self { scope, include, exclude, .. } = self;
            for (globs, counts) in [(&scope.include, include), (&scope.exclude, exclude)] {
                for (glob, count) in globs.iter().zip(counts) {
                    *count += u64::from(glob.matches(&path));
                }
            }
        }
        let found_before = self.found.len();
        self.open.push(Open { directory, is_empty: is_known, found_before });
    }

    /// Processes any other entry.
    pub fn other(&mut self, path: &str) {
        self.leave_all_but(path);
        if let Some(parent) = self.open.last_mut() {
            parent.is_empty = false;
        }
    }

    /// Returns the number of directories that each glob has matched.
    pub fn counts(&self) -> (&[u64], &[u64]) {
        (&self.include, &self.exclude)
    }

    /// Returns the directories that were found, without those inside another one of them. If the walk ended early, the
    /// directories on the way down to its last entry are not known to be empty.
    pub fn finish(mut self, is_whole: bool) -> Vec<Directory> {
        if !is_whole {
            for open in &mut self.open {
                open.is_empty = false;
            }
        }
        while self.leave() {}
        self.found
    }

    fn leave_all_but(&mut self, path: &str) {
        let holds = |open: &Open| path.strip_prefix(&open.directory.path).is_some_and(|rest| rest.starts_with('/'));
        while self.open.last().is_some_and(|open| !holds(open)) {
            self.leave();
        }
    }

    /// Leaves the innermost directory. Its parent is not empty unless this directory was found.
    fn leave(&mut self) -> bool {
        let Some(Open { directory, is_empty, found_before }) = self.open.pop() else { return false };
        if is_empty && self.scope.has(&directory) {
            self.found.truncate(found_before);
            self.found.push(directory);
        } else if let Some(parent) = self.open.last_mut() {
            parent.is_empty = false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(include: &[&str], exclude: &[&str]) -> Scope {
        let globs = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Scope { include: globs(include), exclude: globs(exclude), before: 100 }
    }

    /// Shows a walk in which directories end with a slash, and young ones with two.
    fn found(scope: &Scope, walk: &[&str], is_whole: bool) -> Vec<String> {
        let mut search = Search::new(scope);
        for entry in walk {
            match entry.strip_suffix('/') {
                Some(path) => {
                    let (path, modified) = path.strip_suffix('/').map_or((path, 99), |path| (path, 100));
                    let directory = Directory { path: path.to_owned(), modified, changed: 1, allocated_bytes: 1 };
                    search.directory(directory, !path.ends_with("locked"));
                }
                None => search.other(entry),
            }
        }
        search.finish(is_whole).into_iter().map(|directory| directory.path).collect()
    }

    #[test]
    fn empty_directories_are_found_with_those_that_hold_nothing_else() {
        let all = scope(&["**"], &[]);
        assert_eq!(found(&all, &["a/", "b/", "b/x", "c/", "c/d/", "c/d/e/", "c/f/"], true), ["a", "c"]);
        assert_eq!(found(&all, &["a/", "a/b/", "a/b/x", "a/c/"], true), ["a/c"]);
        assert_eq!(found(&all, &["a/", "a-b/", "a-b/x"], true), ["a"], "names that begin alike");
        assert!(found(&all, &["x"], true).is_empty());
        assert!(found(&all, &[], true).is_empty());
    }

    #[test]
    fn what_each_glob_matches_is_counted() {
        let scope = scope(&["a/**", "x"], &["**/keep"]);
        let mut search = Search::new(&scope);
        for path in ["a", "a/b", "a/keep", "c"] {
            let directory = Directory { path: path.to_owned(), modified: 100, changed: 1, allocated_bytes: 1 };
            search.directory(directory, true);
        }
        assert_eq!(search.counts(), (&[2, 0][..], &[1][..]));
    }

    #[test]
    fn what_is_young_left_out_or_unknown_keeps_what_it_is_in() {
        let all = scope(&["**"], &[]);
        assert_eq!(found(&all, &["a//"], true), [""; 0]);
        assert_eq!(found(&all, &["a/", "a/b//", "a/c/"], true), ["a/c"]);
        assert_eq!(found(&all, &["a/", "a/locked/", "b/"], true), ["b"]);
        assert_eq!(found(&scope(&["**"], &["a/keep"]), &["a/", "a/b/", "a/keep/", "a/keep/c/"], true), ["a/b"]);
        assert_eq!(found(&scope(&["*/old"], &[]), &["a/", "a/new/", "a/old/", "b/old/"], true), ["a/old", "b/old"]);
    }

    #[test]
    fn a_walk_that_ended_early_says_nothing_of_where_it_was() {
        let all = scope(&["**"], &[]);
        assert_eq!(found(&all, &["a/", "b/", "b/c/"], false), ["a"]);
        assert_eq!(found(&all, &["a/", "b/", "b/c/", "b/d/"], false), ["a", "b/c"]);
    }
}
