//! Conversion of a manifest to the settings of core: timetable, history limits, guard rails, pressure and pace.

use jiff::SignedDuration;

use super::spec::{CompletionType, FailurePolicyType, NodeCleanup, Rollout, Runtime};
use crate::pattern::Pattern;
use crate::pressure::Pressure;
use crate::schedule::{HistoryLimits, Schedule, ScheduleError, Timetable, ZoneError, zone};
use crate::{guard, sweep};

/// An invalid schedule or time zone. [`super::read`] refuses such manifests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// The field `schedule` does not hold a schedule.
    #[error("spec.schedule: {0}")]
    Schedule(#[from] ScheduleError),
    /// The field `timeZone` does not hold a time zone.
    #[error("spec.timeZone: {0}")]
    Zone(#[from] ZoneError),
}

impl NodeCleanup {
    /// Returns the namespace, if there is one, and the name: `node-ops/stale-images`.
    pub fn full_name(&self) -> String {
        match &self.metadata.namespace {
            Some(namespace) => format!("{namespace}/{}", self.metadata.name),
            None => self.metadata.name.clone(),
        }
    }

    /// Returns the timetable of runs, or `None` for a manifest without a schedule, which runs once.
    ///
    /// # Errors
    /// Fails when the schedule or the time zone is invalid.
    pub fn timetable(&self) -> Result<Option<Timetable>, TimetableError> {
        let spec = &self.spec;
        let Some(text) = &spec.schedule else { return Ok(None) };
        let time_zone = spec.time_zone.as_deref().map(zone).transpose()?;
        Ok(Some(Timetable {
            schedule: Schedule::parse(text, time_zone)?,
            starting_deadline: spec.starting_deadline_seconds.map(|seconds| SignedDuration::from_secs(seconds.into())),
            concurrency: spec.concurrency_policy,
            paused: spec.paused,
        }))
    }

    /// Returns the limits on the number of past runs to keep on record.
    pub fn history(&self) -> HistoryLimits {
        HistoryLimits {
            successful: Some(self.spec.successful_jobs_history_limit),
            failed: Some(self.spec.failed_jobs_history_limit),
        }
    }

    /// Converts the guard rails that the manifest asks for.
    pub fn rails(&self) -> guard::GuardRails {
        let rails = &self.spec.guard_rails;
        let most = rails.max_deletions;
        guard::GuardRails {
            lift: named("unprotectImages", rails.unprotect_images.iter().filter_map(|text| text.as_str().parse().ok())),
            protect: named("protectImages", rails.protect_images.iter().cloned()),
            allow_partial_untag: rails.allow_partial_untag,
            min_age: rails.min_age.get(),
            unknown_is_young: self.spec.schedule.is_some(),
            confirmations: rails.confirmations,
            unknown_open_age: rails.unknown_open_age.get(),
            settle_time: rails.settle_time.get(),
            limits: guard::Limits {
                count: most.count,
                bytes: most.bytes.map(super::Bytes::get),
                percent: most.percent.map(super::Percent::get),
            },
        }
    }

    /// Returns the bounds of disk usage for starting and stopping removals. Without the field `pressure`, a run always
    /// starts and never stops early.
    pub fn pressure(&self) -> Pressure {
        let percent = |bound: Option<super::Percent>| bound.map(super::Percent::get);
        self.spec.pressure.as_ref().map_or_else(Pressure::default, |pressure| Pressure {
            disk: pressure.filesystem.clone(),
            above: percent(pressure.above),
            until: percent(pressure.until),
        })
    }

    /// Returns the limits of a sweep: concurrency, pause, disk pressure and failures in a row.
    pub fn pace(&self) -> sweep::Pace {
        let pace = self.spec.pace;
        sweep::Pace {
            in_flight: pace.concurrency.into(),
            pause: pace.pause.get().unsigned_abs(),
            pressure: self.pressure(),
            max_failures: pace.max_failures,
        }
    }

    /// Lists the paths of fields that are set and have no effect on a single machine. They are worth a notice and are
    /// not problems.
    pub fn only_on_a_fleet(&self) -> Vec<&'static str> {
        let (rollout, runtime) = (&self.spec.rollout, &self.spec.runtime);
        let usual = (Rollout::default(), Runtime::default());
        let fields = [
            ("spec.rollout.parallelism", rollout.parallelism.is_some()),
            ("spec.rollout.completionPolicy.type", rollout.completion_policy.kind != CompletionType::default()),
            ("spec.rollout.failurePolicy.type", rollout.failure_policy.kind != FailurePolicyType::default()),
            ("spec.rollout.nodeSelector", !rollout.node_selector.is_empty()),
            ("spec.rollout.tolerations", !rollout.tolerations.is_empty()),
            ("spec.rollout.priorityClassName", rollout.priority_class_name != usual.0.priority_class_name),
            ("spec.rollout.engine", rollout.engine != usual.0.engine),
            ("spec.rollout.podTemplate", !rollout.pod_template.is_empty()),
            ("spec.runtime.mount", runtime.mount.is_some()),
            ("spec.runtime.imageRoot", runtime.image_root != usual.1.image_root),
        ];
        fields.into_iter().filter_map(|(path, set)| set.then_some(path)).collect()
    }
}

/// Pairs each pattern of a list with the path of its entry.
fn named(list: &str, patterns: impl Iterator<Item = Pattern>) -> Vec<guard::RailPattern> {
    let entry = |(index, pattern)| guard::RailPattern::new(format!("guardRails.{list}[{index}]"), pattern);
    patterns.enumerate().map(entry).collect()
}
