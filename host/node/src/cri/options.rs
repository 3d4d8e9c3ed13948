//! The time limits, repetitions and paths by which a runtime is asked.

use std::time::Duration;

use crate::filesystem::PathMapping;

/// Time limits, and the number of tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// For opening the connection.
    pub connect_timeout: Duration,
    /// For every call but a removal, each time it is tried.
    pub call_timeout: Duration,
    /// For a removal: an image of many files on a busy disk takes its time, and being slow is no failure.
    pub removal_timeout: Duration,
    /// The most tries of a call that is not answered, the first one included.
    pub tries: u32,
    /// The pause before the second try; it doubles from try to try.
    pub back_off: Duration,
    /// The most containers and sandboxes that are asked about at a time.
    pub concurrency: usize,
    /// Where a part of the image filesystem is for this process, if its mount point is elsewhere: in a pod.
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
    /// Returns options for finding out whether a runtime answers at all: one short try.
    pub fn probe(timeout: Duration) -> Self {
        Self { connect_timeout: timeout, call_timeout: timeout, tries: 1, ..Self::default() }
    }
}
