//! The log roots of one run: opened once, shown to plugins, inspected for the guard rails, and swept.
//!
//! Access to files blocks, so it runs on threads that may block.

use std::sync::Arc;

use anyhow::Context as _;
use holystone_core::guard::ParsedProposal;
use holystone_core::guard::logs::{Inspections, Logs, RootedPath};
use holystone_core::logs::{AsideRecord, EntrySource};
use holystone_core::snapshot::Filesystem;
use holystone_node::{Cri, LogRoots, OpenFiles, OwnDirectory, Processes, Recovered, RootReader, RootSpec, WalkLimits};
use jiff::SignedDuration;

use crate::error::UsageError;

/// The open log roots of one run.
#[derive(Clone)]
pub(crate) struct RootAccess {
    pub(crate) roots: Arc<LogRoots>,
    pub(crate) processes: Processes,
}

impl RootAccess {
    /// Opens all roots, or none. A root must not be, contain or lie in one of Holystone's own directories.
    pub(crate) fn open(specs: &[RootSpec], own: &[OwnDirectory]) -> anyhow::Result<Self> {
        let roots = LogRoots::open_apart_from(own, specs, WalkLimits::default(), None);
        let roots = roots.map_err(|error| UsageError::new(error.to_string()))?;
        Ok(Self { roots: Arc::new(roots), processes: Processes::default() })
    }

    /// Checks that no root is, contains or lies in a directory of the container runtime.
    pub(crate) async fn keep_apart_from(&self, runtime: &Cri) -> anyhow::Result<()> {
        if self.roots.is_empty() {
            return Ok(());
        }
        let (logs, directories) = (self.clone(), runtime.directories().await?);
        let apart = blocking(move || logs.roots.keep_apart_from(&directories)).await?;
        Ok(apart.map_err(|error| UsageError::Invalid(error.to_string()))?)
    }

    /// Returns the names of the roots, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.roots.names().map(str::to_owned).collect()
    }

    /// Measures the filesystems of the roots.
    pub(crate) fn filesystems(&self) -> Vec<Filesystem> {
        self.roots.filesystems()
    }

    /// Returns the view of the roots that plugins get.
    pub(crate) async fn source(&self) -> anyhow::Result<Arc<dyn EntrySource>> {
        let logs = self.clone();
        blocking(move || -> Arc<dyn EntrySource> { Arc::new(RootReader::new(logs.roots.clone(), logs.open_files())) })
            .await
    }

    /// Inspects all proposed targets. With `counted`, also counts all entries of the roots.
    pub(crate) async fn inspections(
        &self,
        proposals: &[ParsedProposal<Logs>],
        counted: bool,
    ) -> anyhow::Result<Inspections> {
        let targets: Vec<RootedPath> = proposals.iter().flat_map(ParsedProposal::targets).cloned().collect();
        if targets.is_empty() {
            return Ok(Inspections::default());
        }
        let logs = self.clone();
        blocking(move || {
            let entries = counted.then(|| logs.roots.count()).flatten();
            Inspections { targets: logs.roots.look_at(targets, &logs.open_files()), entries }
        })
        .await
    }

    /// Finishes or undoes removals that interrupted runs have begun.
    pub(crate) async fn recover(
        &self,
        record: AsideRecord,
        unknown_open_age: SignedDuration,
    ) -> anyhow::Result<Recovered> {
        let logs = self.clone();
        blocking(move || logs.roots.recover(record, &logs.open_files(), unknown_open_age)).await
    }

    /// Lists the files that are in use now.
    pub(crate) fn open_files(&self) -> Arc<OpenFiles> {
        if self.roots.is_empty() { Arc::default() } else { Arc::new(self.roots.open_files(&self.processes)) }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("looking at log directories ended early")
}
