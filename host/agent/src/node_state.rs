//! The state of this node: locked during a run and saved at its end, or only read.
//!
//! A failed write of the state is reported and stops nothing: a full disk is exactly when a cleaner is needed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use holystone_core::guard::Step;
use holystone_core::guard::logs::Logs;
use holystone_core::logs::{AsideDirectory, AsideRecord};
use holystone_core::report::Interrupted;
use holystone_core::snapshot::Snapshot;
use holystone_core::state::{Observed, State};
use holystone_node::{Found, Lock, StateDir, StateDirError};
use jiff::{SignedDuration, Timestamp};

use crate::log_access::RootAccess;
use crate::run_records;

/// The file that records where an interrupted run may have left files that it had taken aside.
const ASIDE: &str = "aside.json";
/// The largest such record that is read, in bytes.
const MAX_ASIDE: u64 = 64 << 20;

/// The state of this node, locked for this run.
pub(crate) struct LockedState {
    /// The state.
    pub(crate) state: State,
    /// Notices for the user about the state.
    pub(crate) notices: Vec<String>,
    /// The directory of the state; `None` when the disk has no room for it.
    kept: Option<StateDir>,
    /// The lock; `None` when the disk has no room for it.
    _lock: Option<Lock>,
}

impl LockedState {
    /// Takes the lock, waiting at most `patience`, and reads the state.
    ///
    /// # Errors
    /// When another run holds the lock, or the directory cannot be used for another reason than a full disk.
    pub(crate) async fn take(state_dir: Option<&Path>, patience: Duration) -> anyhow::Result<Self> {
        let path = directory(state_dir)?;
        match StateDir::make(&path) {
            Ok(state_dir) => Ok(Self::locked(state_dir, patience).await?),
            Err(error) if error.is_disk_full() => {
                let mut locked_state = Self::nothing();
                locked_state.tell(format!("{error}: this run knows no ages and keeps no other run away"));
                Ok(locked_state)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Creates a state that is never saved.
    pub(crate) fn nothing() -> Self {
        Self { state: State::new(Timestamp::now()), notices: Vec::new(), kept: None, _lock: None }
    }

    async fn locked(state_dir: StateDir, patience: Duration) -> Result<Self, StateDirError> {
        let (lock, unlocked) = match state_dir.lock(patience).await {
            Ok(lock) => (Some(lock), None),
            Err(error) if error.is_disk_full() => (None, Some(format!("{error}: this run keeps no other run away"))),
            Err(error) => return Err(error),
        };
        let Found { state, notice } = state_dir.load(Timestamp::now());
        let mut locked_state = Self { state, notices: Vec::new(), kept: Some(state_dir), _lock: lock };
        unlocked.into_iter().chain(notice).for_each(|notice| locked_state.tell(notice));
        Ok(locked_state)
    }

    /// Updates the state with a snapshot, and completes the snapshot from the state. Returns the earlier run that was
    /// interrupted, if there is one.
    pub(crate) fn observe(&mut self, snapshot: &mut Snapshot) -> Option<Interrupted> {
        let Observed { interrupted, notices } = self.state.observe(snapshot);
        for notice in notices {
            self.tell(notice);
        }
        interrupted
    }

    /// Saves the state.
    pub(crate) fn save(&mut self) {
        let Some(state_dir) = &self.kept else { return };
        match state_dir.save(&self.state) {
            Ok(()) => {}
            Err(error @ StateDirError::Reserved { .. }) => self.tell(error.to_string()),
            Err(error) => self.tell(format!("{error}; the next run will not know of this one")),
        }
    }

    /// Finishes or undoes removals under log roots that interrupted runs have begun.
    pub(crate) async fn recover(&mut self, logs: &RootAccess, unknown_open_age: SignedDuration) -> anyhow::Result<()> {
        let record = self.aside();
        if record.runs.is_empty() {
            self.tell_of_garbled_aside();
            return Ok(());
        }
        let recovered = logs.recover(record, unknown_open_age).await?;
        self.keep_aside(&recovered.record);
        recovered.notices.into_iter().for_each(|notice| self.tell(notice));
        Ok(())
    }

    /// Records where the run will take files aside, before it does.
    pub(crate) fn begin_logs(&mut self, logs: &RootAccess, steps: &[Step<Logs>], now: Timestamp) {
        let files = steps.iter().map(Step::<Logs>::target).filter(|target| !target.is_directory);
        let directory = |target: &holystone_core::guard::logs::RootedPath| {
            Some(AsideDirectory { root: target.root.clone(), path: target.path.parent()?.to_string() })
        };
        let run = logs.roots.aside_run(files.filter_map(directory), now);
        if !run.directories.is_empty() {
            let mut record = self.aside();
            record.add(run);
            self.keep_aside(&record);
        }
    }

    /// Removes the run from the record of files taken aside, once none of them is left.
    pub(crate) fn finish_logs(&mut self, logs: &RootAccess) {
        let mut record = self.aside();
        let before = record.runs.len();
        record.runs.retain(|run| !logs.roots.is_run(&run.run));
        if record.runs.len() < before {
            self.keep_aside(&record);
        }
    }

    /// Reads the record of files taken aside. A record that cannot be read counts as empty, and
    /// [`LockedState::tell_of_garbled_aside`] reports it.
    fn aside(&self) -> AsideRecord {
        let text = self.kept.as_ref().and_then(|state_dir| state_dir.kept(ASIDE, MAX_ASIDE).ok().flatten());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// Reports a record that cannot be read, and removes it. An empty record is never kept.
    fn tell_of_garbled_aside(&mut self) {
        let Some(state_dir) = &self.kept else { return };
        let is_none = matches!(state_dir.kept(ASIDE, MAX_ASIDE), Ok(None));
        if !is_none {
            let forgotten = state_dir.forget(ASIDE);
            self.tell(format!("the record {ASIDE} of an interrupted run cannot be read: files that it had taken aside keep their names, .holystone-RUN-…"));
            if let Err(error) = forgotten {
                self.tell(error.to_string());
            }
        }
    }

    fn keep_aside(&mut self, record: &AsideRecord) {
        let Some(state_dir) = &self.kept else { return };
        let kept = match serde_json::to_vec(record) {
            _ if record.runs.is_empty() => state_dir.forget(ASIDE),
            Ok(text) => state_dir.keep(ASIDE, &text),
            // Every record can be serialized.
            Err(_) => Ok(()),
        };
        if let Err(error) = kept {
            self.tell(format!(
                "{error}; if this run is interrupted, files that it has taken aside keep their other names"
            ));
        }
    }

    /// Removes the records of daemons that were not started on this node for long: their NodeCleanups are gone, or run
    /// elsewhere.
    pub(crate) fn forget_unclaimed_daemons(&self, now: Timestamp) {
        let Some(state_dir) = &self.kept else { return };
        match state_dir.forget_unclaimed_daemons(run_records::is_record, now) {
            Ok(forgotten) => {
                for name in forgotten {
                    tracing::info!("the records of the daemon {name} are forgotten: it has not run here for long");
                }
            }
            Err(error) => tracing::warn!("records of daemons that are gone stay: {error}"),
        }
    }

    fn tell(&mut self, notice: String) {
        if !self.notices.contains(&notice) {
            tracing::warn!("{notice}");
            self.notices.push(notice);
        }
    }
}

/// The source of the state that completes a snapshot.
pub(crate) enum Recall<'a> {
    /// An empty state: nothing is known of the node.
    Nothing,
    /// The state directory as the last run left it, which is only read.
    ReadOnly(Option<&'a Path>),
    /// The state that this run has locked.
    Locked(&'a mut LockedState),
}

/// The findings of a recall, besides the completed snapshot.
#[derive(Default)]
pub(crate) struct Recalled {
    /// The earlier run that was interrupted.
    pub(crate) interrupted: Option<Interrupted>,
    /// Notices that are not kept with a locked state.
    pub(crate) notices: Vec<String>,
}

impl Recall<'_> {
    /// Finishes or undoes removals in log roots that interrupted runs have begun, if this run may touch anything.
    pub(crate) async fn recover(&mut self, logs: &RootAccess, unknown_open_age: SignedDuration) -> anyhow::Result<()> {
        match self {
            Self::Locked(state) => state.recover(logs, unknown_open_age).await,
            Self::Nothing | Self::ReadOnly(_) => Ok(()),
        }
    }

    /// Completes a snapshot from the state.
    pub(crate) fn complete(self, snapshot: &mut Snapshot) -> Recalled {
        match self {
            Self::Nothing => Recalled::default(),
            Self::ReadOnly(directory) => Recalled { notices: recall(directory, snapshot), ..Recalled::default() },
            Self::Locked(state) => Recalled { interrupted: state.observe(snapshot), ..Recalled::default() },
        }
    }
}

/// Completes a snapshot from the state, as a run would, and changes nothing. Returns notices.
pub(crate) fn recall(state_dir: Option<&Path>, snapshot: &mut Snapshot) -> Vec<String> {
    let found = directory(state_dir).and_then(|path| Ok(StateDir::open(&path)?.load(snapshot.taken_at)));
    let (mut state, notice) = match found {
        Ok(Found { state, notice }) => (state, notice),
        Err(error) if matches!(error.downcast_ref(), Some(StateDirError::Missing { .. })) => {
            tracing::info!("ages are unknown: {error:#}");
            (State::new(snapshot.taken_at), None)
        }
        Err(error) => {
            tracing::warn!("ages are unknown: {error:#}");
            let notice =
                format!("{error:#}; until that is mended a run ends with this error, and this plan knows no ages");
            (State::new(snapshot.taken_at), Some(notice))
        }
    };
    let observed = state.observe(snapshot);
    notice.into_iter().chain(observed.notices).collect()
}

/// Returns the state directory: the given one, or the default.
pub(crate) fn directory(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(directory) = given {
        return Ok(directory.to_owned());
    }
    if rustix::process::geteuid().is_root() {
        return Ok("/var/lib/holystone".into());
    }
    // The XDG specification says that relative paths are ignored.
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    Ok(base
        .context("there is no home directory to keep the state in; name a directory with --state-dir")?
        .join("holystone"))
}

/// Reads the state for display. An unusable state is an error here: there is nothing to show.
///
/// # Errors
/// When there is no state, or it is unusable.
pub fn read_state(state_dir: Option<&Path>) -> anyhow::Result<State> {
    let state_dir = StateDir::open(&directory(state_dir)?)?;
    let Found { state, notice } = state_dir.load(Timestamp::now());
    if let Some(notice) = notice {
        anyhow::bail!(notice);
    }
    let file = state_dir.file();
    let known = file.try_exists().with_context(|| file.display().to_string())?;
    anyhow::ensure!(known, "nothing is remembered yet: {} comes with the first run", file.display());
    Ok(state)
}
