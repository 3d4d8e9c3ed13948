//! What is remembered of this node, for the length of a run: taken out of the state directory, and put back.
//!
//! A state that cannot be written is told and stops nothing: a full disk is exactly when a cleaner is wanted.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use holystone_core::snapshot::Snapshot;
use holystone_core::state::State;
use holystone_node::{Found, Lock, StateDir, StateDirError};
use jiff::Timestamp;

use crate::args::StateDirArguments;

/// The state of this node, locked for this run.
pub(crate) struct Remembered {
    /// The state.
    pub(crate) state: State,
    /// What there is to tell about it.
    pub(crate) notices: Vec<String>,
    /// Absent when there is no room for one.
    kept: Option<(StateDir, Lock)>,
}

impl Remembered {
    /// Takes the lock, for which it waits so long, and reads the state.
    ///
    /// # Errors
    /// When another run keeps the lock, or the directory cannot be used for another reason than a full disk.
    pub(crate) async fn take(arguments: &StateDirArguments, patience: Duration) -> anyhow::Result<Self> {
        let path = directory(arguments)?;
        match Self::locked(&path, patience).await {
            Err(error) if error.is_disk_full() => {
                let mut remembered = Self::nothing();
                remembered.tell(format!("{error}: this run knows no ages and keeps no other run away"));
                Ok(remembered)
            }
            result => Ok(result?),
        }
    }

    /// Nothing is remembered, and nothing will be.
    pub(crate) fn nothing() -> Self {
        Self { state: State::new(Timestamp::now()), notices: Vec::new(), kept: None }
    }

    async fn locked(path: &Path, patience: Duration) -> Result<Self, StateDirError> {
        let state_dir = StateDir::make(path)?;
        let lock = state_dir.lock(patience).await?;
        let Found { state, notice } = state_dir.load(Timestamp::now());
        let mut remembered = Self { state, notices: Vec::new(), kept: Some((state_dir, lock)) };
        if let Some(notice) = notice {
            remembered.tell(notice);
        }
        Ok(remembered)
    }

    /// Puts the state back.
    pub(crate) fn save(&mut self) {
        let Some((state_dir, _)) = &self.kept else { return };
        if let Err(error) = state_dir.save(&self.state) {
            self.tell(format!("{error}; the next run will not know of this one"));
        }
    }

    fn tell(&mut self, notice: String) {
        tracing::warn!("{notice}");
        self.notices.push(notice);
    }
}

/// Adds what is remembered to a snapshot, for whoever only looks. Without a state ages stay unknown.
pub(crate) fn recall(arguments: &StateDirArguments, snapshot: &mut Snapshot) {
    let found = directory(arguments).and_then(|path| Ok(StateDir::open(&path)?.load(snapshot.taken_at)));
    match found {
        Ok(Found { mut state, notice: None }) => drop(state.observe(snapshot)),
        Ok(Found { notice: Some(notice), .. }) => tracing::warn!("{notice}"),
        Err(error) if matches!(error.downcast_ref(), Some(StateDirError::Missing { .. })) => {
            tracing::info!("ages are unknown: {error:#}");
        }
        Err(error) => tracing::warn!("ages are unknown: {error:#}"),
    }
}

/// The state directory that was named, or the one that is used by default.
pub(crate) fn directory(arguments: &StateDirArguments) -> anyhow::Result<PathBuf> {
    if let Some(directory) = &arguments.state_dir {
        return Ok(directory.clone());
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/holystone".into());
    }
    // Others are as good as none, says the XDG specification.
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    Ok(base
        .context("there is no home directory to keep the state in; name a directory with --state-dir")?
        .join("holystone"))
}
