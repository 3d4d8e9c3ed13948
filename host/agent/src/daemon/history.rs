//! The records of the daemon in its directory: the progress of each manifest, and the reports of its runs.
//!
//! - `daemon.json`: by namespace and name, the ticks that are done and the runs to retry.
//! - `run.NAMESPACE.NAME.TIME.json`: a finished run, with its report.
//!
//! A failed write is reported and stops nothing: a full disk is exactly when a cleaner is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use holystone_core::daemon::{Record, ScheduleProgress, excess};
use holystone_core::schedule::HistoryLimits;
use holystone_node::{Lock, StateDir, StateDirError};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run_records::{PROGRESS, file_name, is_run};

/// The version of `daemon.json`.
const FORMAT: u32 = 1;
/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 4 << 20;
/// The largest report that is kept as a whole, in bytes.
const MAX_REPORT: usize = 1 << 20;

/// The content of `daemon.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Standings {
    format: u32,
    manifests: BTreeMap<String, ScheduleProgress>,
}

/// The part of a run file that the daemon reads.
#[derive(Debug, Deserialize)]
struct RunFile {
    record: Record,
}

/// A run and the file that it is kept in.
#[derive(Clone, Debug)]
struct KeptRun {
    file: String,
    record: Record,
}

/// The records of the daemon, in memory and in its directory.
#[derive(Debug)]
pub(crate) struct RunHistory {
    /// The directory and its lock; `None` when the disk had no room for them.
    directory: Option<(StateDir, Lock)>,
    standings: BTreeMap<String, ScheduleProgress>,
    kept: BTreeMap<String, Vec<KeptRun>>,
}

impl RunHistory {
    /// Opens the directory and locks it against other daemons.
    ///
    /// # Errors
    /// When another daemon uses the directory, or it cannot be used for another reason than a full disk.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let directory = match StateDir::make(path).and_then(|directory| Ok((directory.lock_daemon()?, directory))) {
            Ok((lock, directory)) => Some((directory, lock)),
            Err(error) if error.is_disk_full() => {
                tracing::warn!("{error}: nothing is remembered until the daemon is started again");
                None
            }
            Err(error) => return Err(error),
        };
        let mut history = Self { directory, standings: BTreeMap::new(), kept: BTreeMap::new() };
        history.read_standings();
        history.read_runs()?;
        Ok(history)
    }

    fn read_standings(&mut self) {
        let Some((directory, _)) = &self.directory else { return };
        let parsed = |text: Vec<u8>| {
            let standings: Standings = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
            if standings.format == FORMAT {
                Ok(standings.manifests)
            } else {
                Err(format!("it has format {}, and this version reads format {FORMAT}", standings.format))
            }
        };
        let read = directory.kept(PROGRESS, MAX_FILE).map_err(|error| error.to_string());
        match read.and_then(|text| text.map_or_else(|| Ok(BTreeMap::new()), parsed)) {
            Ok(standings) => self.standings = standings,
            Err(problem) => {
                tracing::warn!(
                    "{PROGRESS} is of no use and is started from nothing, ticks count from now on: {problem}"
                );
            }
        }
    }

    fn read_runs(&mut self) -> Result<(), StateDirError> {
        let Some((directory, _)) = &self.directory else { return Ok(()) };
        for file in directory.names()?.into_iter().filter(|name| is_run(name)) {
            let text = directory.kept(&file, MAX_FILE).ok().flatten().unwrap_or_default();
            match serde_json::from_slice::<RunFile>(&text) {
                Ok(RunFile { record }) => {
                    self.kept.entry(record.node_cleanup.clone()).or_default().push(KeptRun { file, record });
                }
                Err(error) => {
                    tracing::warn!("the run kept in {file} is of no use and is forgotten: {error}");
                    forget(directory, &file);
                }
            }
        }
        for runs in self.kept.values_mut() {
            runs.sort_by_key(|kept| kept.record.started_at);
        }
        Ok(())
    }

    /// Returns the progress of a manifest. A new manifest starts now.
    pub(crate) fn standing(&mut self, manifest: &str, now: Timestamp) -> ScheduleProgress {
        *self.standings.entry(manifest.to_owned()).or_insert_with(|| ScheduleProgress::new(now))
    }

    /// Updates the progress of a manifest, and saves it if it has changed.
    pub(crate) fn set_standing(&mut self, manifest: &str, standing: ScheduleProgress) {
        if self.standings.insert(manifest.to_owned(), standing) != Some(standing) {
            self.save();
        }
    }

    /// Saves the progress of all manifests.
    pub(crate) fn save(&self) {
        let Some((directory, _)) = &self.directory else { return };
        let standings = Standings { format: FORMAT, manifests: self.standings.clone() };
        let written = serde_json::to_vec_pretty(&standings).map_err(|error| error.to_string());
        let written = written.and_then(|text| directory.keep(PROGRESS, &text).map_err(|error| error.to_string()));
        if let Err(problem) = written {
            tracing::warn!("{problem}; after a restart a tick may run again");
        }
    }

    /// Removes the records of all manifests but these, with their runs.
    pub(crate) fn retain(&mut self, manifests: &BTreeSet<String>) {
        self.standings.retain(|name, _| manifests.contains(name));
        let gone: Vec<String> = self.kept.keys().filter(|name| !manifests.contains(*name)).cloned().collect();
        for name in gone {
            for kept in self.kept.remove(&name).unwrap_or_default() {
                self.forget(&kept.file);
            }
        }
    }

    /// Stores a run. A report that is too large is stored without its lists.
    pub(crate) fn add(&mut self, record: Record, mut report: Value) {
        let name = record.node_cleanup.clone();
        let file = file_name(&record);
        if report.to_string().len() > MAX_REPORT {
            shorten(&mut report);
        }
        if let Some((directory, _)) = &self.directory {
            let text = serde_json::json!({ "record": &record, "report": report });
            if let Err(error) = directory.keep(&file, format!("{text:#}\n").as_bytes()) {
                tracing::warn!("the report of a run could not be kept: {error}");
            }
        }
        self.kept.entry(name).or_default().push(KeptRun { file, record });
    }

    /// Removes the runs of a manifest that exceed its history limits or its TTL.
    pub(crate) fn tidy(&mut self, manifest: &str, limits: HistoryLimits, ttl: Option<SignedDuration>, now: Timestamp) {
        let Some(kept) = self.kept.get_mut(manifest) else { return };
        let records: Vec<Record> = kept.iter().map(|kept| kept.record.clone()).collect();
        let forgotten: Vec<KeptRun> =
            excess(&records, limits, ttl, now).into_iter().rev().map(|place| kept.remove(place)).collect();
        for run in forgotten {
            self.forget(&run.file);
        }
    }

    /// Returns the stored runs of a manifest, oldest first.
    pub(crate) fn runs(&self, manifest: &str) -> impl DoubleEndedIterator<Item = (&str, &Record)> {
        self.kept.get(manifest).into_iter().flatten().map(|kept| (kept.file.as_str(), &kept.record))
    }

    fn forget(&self, file: &str) {
        if let Some((directory, _)) = &self.directory {
            forget(directory, file);
        }
    }
}

fn forget(directory: &StateDir, file: &str) {
    if let Err(error) = directory.forget(file) {
        tracing::warn!("a run that is over cannot be forgotten: {error}");
    }
}

fn shorten(report: &mut Value) {
    for part in ["/images", "/logs"] {
        let Some(fields) = report.pointer_mut(part).and_then(Value::as_object_mut) else { continue };
        for list in ["steps", "refusals"] {
            fields.remove(list);
        }
    }
    let Some(fields) = report.as_object_mut() else { return };
    fields.insert("shortened".to_owned(), Value::Bool(true));
}

#[cfg(test)]
mod tests {
    use holystone_core::daemon::{Cause, RunResult, RunSummary};
    use holystone_core::report::Brief;
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn record(name: &str, second: i64) -> Record {
        Record {
            node_cleanup: name.to_owned(),
            cause: Cause::Schedule,
            attempt: 0,
            tick: Some(at(second)),
            started_at: at(second),
            finished_at: at(second + 1),
            brief: Brief::of_record(RunSummary { result: RunResult::Done, message: None, images: None, logs: None }),
        }
    }

    fn times(history: &RunHistory, name: &str) -> Vec<i64> {
        history.runs(name).map(|(_, record)| record.started_at.as_second()).collect()
    }

    #[test]
    fn what_is_kept_is_there_after_a_restart() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let standing = ScheduleProgress { pressed: Some(at(7)), ..ScheduleProgress::new(at(5)) };
        {
            let mut history = RunHistory::open(&path).unwrap();
            history.set_standing("ops/a", standing);
            for second in [30, 10, 20] {
                history.add(record("ops/a", second), json!({ "images": {} }));
            }
            history.add(record("b", 10), Value::Null);
            let error = RunHistory::open(&path).unwrap_err().to_string();
            assert!(error.contains("another daemon is under way"), "{error}");
        }
        let mut history = RunHistory::open(&path).unwrap();
        assert_eq!(history.standing("ops/a", at(99)), standing);
        assert_eq!(history.standing("b", at(99)), ScheduleProgress::new(at(99)));
        assert_eq!((times(&history, "ops/a"), times(&history, "b")), (vec![10, 20, 30], vec![10]));
        let limits = HistoryLimits { successful: Some(2), failed: Some(0) };
        history.tidy("ops/a", limits, None, at(31));
        assert_eq!(times(&history, "ops/a"), [20, 30]);
        history.retain(&BTreeSet::from(["ops/a".to_owned()]));
        drop(history);
        let history = RunHistory::open(&path).unwrap();
        assert_eq!((times(&history, "ops/a"), times(&history, "b")), (vec![20, 30], vec![]));
    }

    #[test]
    fn files_that_are_of_no_use_are_told_and_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        drop(RunHistory::open(&path).unwrap());
        for text in ["", "{", "[]", r#"{"format":2,"manifests":{}}"#, "\u{0}"] {
            std::fs::write(path.join(PROGRESS), text).unwrap();
            std::fs::write(path.join("run.x.y.1.json"), text).unwrap();
            let mut history = RunHistory::open(&path).unwrap();
            assert_eq!(history.standing("a", at(1)), ScheduleProgress::new(at(1)), "{text}");
            assert!(!path.join("run.x.y.1.json").exists(), "{text}");
            history.save();
        }
        assert_eq!(RunHistory::open(&path).unwrap().standing("a", at(9)), ScheduleProgress::new(at(1)));
    }

    #[test]
    fn a_large_report_is_kept_without_its_lists() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("state");
        let mut history = RunHistory::open(&path).unwrap();
        let many = vec!["x".repeat(1000); 2000];
        let report =
            json!({ "images": { "steps": many, "totals": { "removed": 2000 } }, "logs": { "refusals": many } });
        history.add(record("a", 1), report);
        let text = std::fs::read(path.join("run._.a.1000.json")).unwrap();
        assert!(text.len() < 2000, "{}", text.len());
        let kept: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            (&kept["report"]["images"]["totals"]["removed"], &kept["report"]["shortened"]),
            (&json!(2000), &json!(true))
        );
        assert_eq!(times(&history, "a"), [1]);
    }
}
