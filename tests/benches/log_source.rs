//! The log directories of a node, as plugins ask for them. Tests and benchmarks wire the two edges together as the
//! binary does.

#![allow(dead_code, reason = "each of them uses its part")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holystone_core::logs::{Batch, LogPath, LogsError, WalkOptions};
use holystone_node::logs::Walk;
use holystone_node::{LogRoots, OpenFiles};
use holystone_runtime::{LogSource, LogWalk};

/// Opened log roots, and the files that were open when they were looked at.
pub(crate) struct NodeLogs {
    pub(crate) roots: LogRoots,
    pub(crate) open_files: Arc<OpenFiles>,
    /// How many entries plugins have been shown.
    pub(crate) walked: Arc<AtomicUsize>,
}

impl LogSource for NodeLogs {
    fn roots(&self) -> Vec<String> {
        self.roots.names().map(str::to_owned).collect()
    }

    fn open(&self, root: &str, options: WalkOptions) -> Result<Box<dyn LogWalk>, LogsError> {
        let walk = self.roots.walk(root, options, &self.open_files)?;
        Ok(Box::new(NodeWalk { walk, walked: Arc::clone(&self.walked) }))
    }

    fn read(&self, root: &str, path: &LogPath, offset: u64, most: usize) -> Result<Vec<u8>, LogsError> {
        self.roots.read(root, path, offset, most)
    }
}

struct NodeWalk {
    walk: Walk,
    walked: Arc<AtomicUsize>,
}

impl LogWalk for NodeWalk {
    fn next(&mut self, most: usize) -> Result<Batch, LogsError> {
        let batch = self.walk.next(most)?;
        self.walked.fetch_add(batch.entries.len(), Ordering::Relaxed);
        Ok(batch)
    }
}

/// Where the build of the binary leaves a shipped plugin: in the folder of plugins beside the profile's folder.
pub(crate) fn component(file: &str) -> PathBuf {
    let profile = std::path::Path::new(env!("CARGO_BIN_EXE_holystone")).parent().expect("a folder of the profile");
    // With --target there is a folder more.
    let built = |target: &std::path::Path| target.join("plugins/wasm32-wasip2/plugin").join(file);
    let mut candidates = profile.ancestors().skip(1).take(2).map(built);
    candidates.find(|path| path.is_file()).unwrap_or_else(|| panic!("{file} was not built"))
}
