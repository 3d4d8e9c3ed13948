//! The counters of the daemon, in the text format of Prometheus.

use std::collections::BTreeMap;

use holystone_core::daemon::status::Status;
use holystone_core::daemon::{Record, RunResult};
use jiff::Timestamp;

use crate::prometheus::{Page, count, resident_bytes, seconds};

/// Counts since the daemon was started.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    by_manifest: BTreeMap<String, RunCounts>,
    reloads_failed: u64,
}

#[derive(Clone, Debug, Default)]
struct RunCounts {
    /// Number of runs by result.
    runs: BTreeMap<RunResult, u64>,
    seconds: f64,
    removed: u64,
    logs_removed: u64,
    logs_truncated: u64,
    log_bytes: u64,
    refused: u64,
    failed: u64,
    bytes: u64,
    last: Option<Timestamp>,
}

impl Counters {
    /// Adds a finished run.
    pub(crate) fn add(&mut self, record: &Record) {
        let counts = self.by_manifest.entry(record.node_cleanup.clone()).or_default();
        *counts.runs.entry(record.brief.outcome.result).or_default() += 1;
        // A clock that was set back during the run must not give a negative duration.
        counts.seconds += record.started_at.duration_until(record.finished_at).as_secs_f64().max(0.0);
        counts.last = Some(record.finished_at);
        if let Some(totals) = &record.brief.outcome.logs {
            counts.logs_removed += totals.removed as u64;
            counts.logs_truncated += totals.truncated as u64;
            counts.log_bytes = counts.log_bytes.saturating_add(totals.size_removed_bytes);
            counts.refused += totals.refused as u64;
            counts.failed += totals.failed as u64;
        }
        let Some(totals) = &record.brief.outcome.images else { return };
        counts.removed += totals.removed as u64;
        counts.refused += totals.refused as u64;
        counts.failed += totals.failed as u64;
        counts.bytes = counts.bytes.saturating_add(totals.size_removed_bytes);
    }

    /// Counts a failed reload of the manifests.
    pub(crate) fn reload_failed(&mut self) {
        self.reloads_failed += 1;
    }

    /// Removes the counts of manifests that are gone.
    pub(crate) fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.by_manifest.retain(|name, _| wanted(name));
    }

    /// Formats all counters, with the figures of the status.
    pub(crate) fn text(&self, status: &Status) -> String {
        let mut page = Page::default();
        page.family("holystone_build_info", "gauge", "Version of Holystone.");
        page.value("holystone_build_info", &[("version", &status.version)], 1.0);
        page.family("process_start_time_seconds", "gauge", "When the daemon was started.");
        page.value("process_start_time_seconds", &[], seconds(status.started_at));
        if let Some(bytes) = resident_bytes() {
            page.family("process_resident_memory_bytes", "gauge", "Memory that is resident.");
            page.value("process_resident_memory_bytes", &[], bytes);
        }
        self.reloads(&mut page, status);
        page.family("holystone_next_run_timestamp_seconds", "gauge", "When the next run is due.");
        page.family("holystone_running", "gauge", "Whether a run is going on.");
        for cleanup in &status.node_cleanups {
            let labels = [("node_cleanup", cleanup.name.as_str())];
            page.value("holystone_running", &labels, f64::from(u8::from(cleanup.running_since.is_some())));
            if let Some(next) = cleanup.next_run_at {
                page.value("holystone_next_run_timestamp_seconds", &labels, seconds(next));
            }
        }
        self.runs(&mut page);
        page.text()
    }

    fn reloads(&self, page: &mut Page, status: &Status) {
        let name = "holystone_config_last_reload_successful";
        page.family(name, "gauge", "Whether the manifests could be used when they were last read.");
        page.value(name, &[], f64::from(u8::from(status.reload_problem.is_none())));
        let name = "holystone_config_last_reload_success_timestamp_seconds";
        page.family(name, "gauge", "When the manifests in use were read.");
        page.value(name, &[], seconds(status.read_at));
        let name = "holystone_config_reload_failures_total";
        page.family(name, "counter", "How often the manifests could not be used.");
        page.value(name, &[], count(self.reloads_failed));
    }

    fn runs(&self, page: &mut Page) {
        page.family("holystone_runs_total", "counter", "Runs that are over, by what came of them.");
        for (name, counts) in &self.by_manifest {
            for (result, runs) in &counts.runs {
                let labels = [("node_cleanup", name.as_str()), ("result", result.as_str())];
                page.value("holystone_runs_total", &labels, count(*runs));
            }
        }
        let families: [MetricFamily; 9] = [
            ("holystone_run_seconds_total", "counter", "How long runs took.", |counts| Some(counts.seconds)),
            ("holystone_images_removed_total", "counter", "Images removed.", |counts| Some(count(counts.removed))),
            ("holystone_wishes_refused_total", "counter", "Wishes refused.", |counts| Some(count(counts.refused))),
            ("holystone_removals_failed_total", "counter", "Removals that failed.", |counts| {
                Some(count(counts.failed))
            }),
            (
                "holystone_size_removed_bytes_total",
                "counter",
                "Sizes of the images removed, as the runtime counts; not what the disk gained.",
                |counts| Some(count(counts.bytes)),
            ),
            (
                "holystone_log_files_removed_total",
                "counter",
                "Log files and whole log directories removed.",
                |counts| Some(count(counts.logs_removed)),
            ),
            ("holystone_log_files_truncated_total", "counter", "Log files cut to zero length.", |counts| {
                Some(count(counts.logs_truncated))
            }),
            (
                "holystone_log_size_removed_bytes_total",
                "counter",
                "Lengths of the log files removed or cut; not what the disk gained.",
                |counts| Some(count(counts.log_bytes)),
            ),
            ("holystone_last_run_timestamp_seconds", "gauge", "When the last run was over.", |counts| {
                counts.last.map(seconds)
            }),
        ];
        for (name, kind, help, figure) in families {
            page.family(name, kind, help);
            for (manifest, counts) in &self.by_manifest {
                if let Some(value) = figure(counts) {
                    page.value(name, &[("node_cleanup", manifest)], value);
                }
            }
        }
    }
}

/// A metric family: name, type, help text, and the function that reads its value.
type MetricFamily = (&'static str, &'static str, &'static str, fn(&RunCounts) -> Option<f64>);

#[cfg(test)]
mod tests {
    use holystone_core::daemon::{Cause, RunSummary};
    use holystone_core::report::{Brief, Totals};

    use super::*;

    #[test]
    fn the_page_is_what_prometheus_reads() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut counters = Counters::default();
        for (name, result, removed) in [("a\"b", RunResult::Done, 3), ("a\"b", RunResult::NotRun, 0)] {
            let totals = (removed > 0).then(|| Totals { removed, size_removed_bytes: 1000, ..Totals::default() });
            let logs = Totals { removed: 5, truncated: 1, failed: 2, size_removed_bytes: 70, ..Totals::default() };
            let logs = (removed > 0).then_some(logs);
            counters.add(&Record {
                node_cleanup: name.to_owned(),
                cause: Cause::Schedule,
                attempt: 0,
                tick: None,
                started_at: at(10),
                finished_at: at(12),
                brief: Brief::of_record(RunSummary { result, message: None, images: totals, logs }),
            });
        }
        let status = Status {
            version: "0.1.0".to_owned(),
            started_at: at(1),
            stopping: false,
            read_at: at(2),
            reload_problem: Some("broken".to_owned()),
            node_cleanups: Vec::new(),
        };
        let text = counters.text(&status);
        for line in [
            "holystone_build_info{version=\"0.1.0\"} 1",
            "holystone_runs_total{node_cleanup=\"a\\\"b\",result=\"Done\"} 1",
            "holystone_runs_total{node_cleanup=\"a\\\"b\",result=\"NotRun\"} 1",
            "holystone_run_seconds_total{node_cleanup=\"a\\\"b\"} 4",
            "holystone_images_removed_total{node_cleanup=\"a\\\"b\"} 3",
            "holystone_size_removed_bytes_total{node_cleanup=\"a\\\"b\"} 1000",
            "holystone_log_files_removed_total{node_cleanup=\"a\\\"b\"} 5",
            "holystone_log_files_truncated_total{node_cleanup=\"a\\\"b\"} 1",
            "holystone_log_size_removed_bytes_total{node_cleanup=\"a\\\"b\"} 70",
            "holystone_removals_failed_total{node_cleanup=\"a\\\"b\"} 2",
            "holystone_last_run_timestamp_seconds{node_cleanup=\"a\\\"b\"} 12",
            "holystone_config_last_reload_successful 0",
            "# TYPE holystone_runs_total counter",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing:\n{text}");
        }
        assert!(!text.contains("holystone_running"), "a family without values is left out:\n{text}");
        assert!(text.contains("process_resident_memory_bytes "));
    }
}
