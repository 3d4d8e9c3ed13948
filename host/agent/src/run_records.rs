//! The names of the files in which daemons keep their records.

use holystone_core::daemon::Record;

/// The file with the progress of each manifest.
pub(crate) const PROGRESS: &str = "daemon.json";
/// The prefix of the names of run files.
const RUN: &str = "run.";

/// Returns whether a file is a record of a daemon.
pub(crate) fn is_record(file: &str) -> bool {
    file == PROGRESS || is_run(file)
}

/// Returns whether a file holds a run.
pub(crate) fn is_run(file: &str) -> bool {
    file.strip_prefix(RUN).is_some_and(|rest| rest.rsplit_once('.').is_some_and(|(_, ending)| ending == "json"))
}

/// Builds the name of the file of a run. Names of manifests and namespaces have no dots and no underscores.
pub(crate) fn file_name(record: &Record) -> String {
    let (namespace, name) = record.node_cleanup.split_once('/').unwrap_or(("_", &record.node_cleanup));
    format!("{RUN}{namespace}.{name}.{}.json", record.started_at.as_millisecond())
}
