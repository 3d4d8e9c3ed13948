//! The time limits, retries and paths of the calls to a runtime.

use std::time::Duration;

use crate::filesystem::PathMapping;

/// Time limits, retries, concurrency and the path of the images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The time limit for opening the connection.
    pub connect_timeout: Duration,
    /// The time limit of each try of a call other than a removal.
    pub call_timeout: Duration,
    /// The time limit of a removal: an image of many files on a busy disk is slow to remove, which is no failure.
    pub removal_timeout: Duration,
    /// The most tries of a call that does not reach the runtime or loses its answer, the first one included.
    pub tries: u32,
    /// The pause before the second try. The pause doubles with every try, up to 5 s, and up to a quarter is added.
    pub back_off: Duration,
    /// The most status calls at a time for containers, and likewise for sandboxes.
    pub concurrency: usize,
    /// The path of a directory of the image filesystem as this process sees it, if that differs, as in a pod.
    pub image_root: Option<PathMapping>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(30),
            removal_timeout: Duration::from_mins(10),
            tries: 4,
            back_off: Duration::from_millis(250),
            concurrency: 16,
            image_root: None,
        }
    }
}

impl Options {
    /// Returns options to probe whether a runtime answers: one short try.
    pub fn probe(timeout: Duration) -> Self {
        Self { connect_timeout: timeout, call_timeout: timeout, tries: 1, ..Self::default() }
    }
}
