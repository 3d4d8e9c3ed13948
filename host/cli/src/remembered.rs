//! What is remembered of this node, for the length of a run: taken out of the state directory, and put back.
//!
//! A state that cannot be written is told and stops nothing: a full disk is exactly when a cleaner is wanted.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use holystone_core::guard::logs::LogStep;
use holystone_core::logs::{AsideDirectory, AsideRecord};
use holystone_core::report::Interrupted;
use holystone_core::snapshot::Snapshot;
use holystone_core::state::{Observed, State};
use holystone_node::{Found, Lock, StateDir, StateDirError};
use jiff::{SignedDuration, Timestamp};

use crate::args::StateDirArguments;
use crate::daemon::books;
use crate::logs::Logs;

/// The file that says where an interrupted run may have left files that it had taken aside.
const ASIDE: &str = "aside.json";
/// The largest one that is read.
const MAX_ASIDE: u64 = 64 << 20;

/// The state of this node, locked for this run.
pub(crate) struct Remembered {
    /// The state.
    pub(crate) state: State,
    /// What there is to tell about it.
    pub(crate) notices: Vec<String>,
    /// Where it is kept; absent when there is no room for it.
    kept: Option<StateDir>,
    /// Absent when there is no room for one.
    _lock: Option<Lock>,
}

impl Remembered {
    /// Takes the lock, for which it waits so long, and reads the state.
    ///
    /// # Errors
    /// When another run keeps the lock, or the directory cannot be used for another reason than a full disk.
    pub(crate) async fn take(arguments: &StateDirArguments, patience: Duration) -> anyhow::Result<Self> {
        let path = directory(arguments)?;
        match StateDir::make(&path) {
            Ok(state_dir) => Ok(Self::locked(state_dir, patience).await?),
            Err(error) if error.is_disk_full() => {
                let mut remembered = Self::nothing();
                remembered.tell(format!("{error}: this run knows no ages and keeps no other run away"));
                Ok(remembered)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Nothing is remembered, and nothing will be.
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
        let mut remembered = Self { state, notices: Vec::new(), kept: Some(state_dir), _lock: lock };
        unlocked.into_iter().chain(notice).for_each(|notice| remembered.tell(notice));
        Ok(remembered)
    }

    /// Takes in a look at the node, and adds to it what is remembered. Answers how an earlier run was cut off.
    pub(crate) fn observe(&mut self, snapshot: &mut Snapshot) -> Option<Interrupted> {
        let Observed { interrupted, notices } = self.state.observe(snapshot);
        for notice in notices {
            self.tell(notice);
        }
        interrupted
    }

    /// Puts the state back.
    pub(crate) fn save(&mut self) {
        let Some(state_dir) = &self.kept else { return };
        match state_dir.save(&self.state) {
            Ok(()) => {}
            Err(error @ StateDirError::Reserved { .. }) => self.tell(error.to_string()),
            Err(error) => self.tell(format!("{error}; the next run will not know of this one")),
        }
    }

    /// Finishes what interrupted runs have begun to remove beneath log roots, or undoes it.
    pub(crate) async fn recover(&mut self, logs: &Logs, unknown_open_age: SignedDuration) -> anyhow::Result<()> {
        let record = self.aside();
        if record.runs.is_empty() {
            return Ok(());
        }
        let recovered = logs.recover(record, unknown_open_age).await?;
        self.keep_aside(&recovered.record);
        recovered.notices.into_iter().for_each(|notice| self.tell(notice));
        Ok(())
    }

    /// Writes down where the run will take files aside, before it does.
    pub(crate) fn begin_logs(&mut self, logs: &Logs, steps: &[LogStep], now: Timestamp) {
        let files = steps.iter().map(LogStep::target).filter(|target| !target.is_directory);
        let directory = |target: &holystone_core::guard::logs::LogTarget| {
            Some(AsideDirectory { root: target.root.clone(), path: target.path.parent()?.to_string() })
        };
        let run = logs.roots.aside_run(files.filter_map(directory), now);
        if !run.directories.is_empty() {
            let mut record = self.aside();
            record.add(run);
            self.keep_aside(&record);
        }
    }

    /// Forgets where the run has taken files aside, once none is left there.
    pub(crate) fn finish_logs(&mut self, logs: &Logs) {
        let mut record = self.aside();
        let before = record.runs.len();
        record.runs.retain(|run| !logs.roots.is_run(&run.run));
        if record.runs.len() < before {
            self.keep_aside(&record);
        }
    }

    /// A record that cannot be read is none: it was written whole, and by this user.
    fn aside(&self) -> AsideRecord {
        let text = self.kept.as_ref().and_then(|state_dir| state_dir.kept(ASIDE, MAX_ASIDE).ok().flatten());
        text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    fn keep_aside(&mut self, record: &AsideRecord) {
        let Some(state_dir) = &self.kept else { return };
        let kept = match serde_json::to_vec(record) {
            _ if record.runs.is_empty() => state_dir.forget(ASIDE),
            Ok(text) => state_dir.keep(ASIDE, &text),
            // There is nothing in it that could not be written.
            Err(_) => Ok(()),
        };
        if let Err(error) = kept {
            self.tell(format!(
                "{error}; if this run is interrupted, files that it has taken aside keep their other names"
            ));
        }
    }

    /// Forgets daemons that were not started on this node for long: their NodeCleanups are gone, or run elsewhere.
    pub(crate) fn forget_unclaimed_daemons(&self, now: Timestamp) {
        let Some(state_dir) = &self.kept else { return };
        match state_dir.forget_unclaimed_daemons(books::is_record, now) {
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

/// Adds what is remembered to a snapshot, for whoever only looks: what a run would see. Answers what there is to tell.
pub(crate) fn recall(arguments: &StateDirArguments, snapshot: &mut Snapshot) -> Vec<String> {
    let found = directory(arguments).and_then(|path| Ok(StateDir::open(&path)?.load(snapshot.taken_at)));
    let (mut state, notice) = match found {
        Ok(Found { state, notice }) => (state, notice),
        Err(error) => {
            if matches!(error.downcast_ref(), Some(StateDirError::Missing { .. })) {
                tracing::info!("ages are unknown: {error:#}");
            } else {
                tracing::warn!("ages are unknown: {error:#}");
            }
            (State::new(snapshot.taken_at), None)
        }
    };
    let observed = state.observe(snapshot);
    notice.into_iter().chain(observed.notices).collect()
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
