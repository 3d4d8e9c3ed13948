//! The manifests of the daemon: read, checked, and reloaded when their files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use holystone_core::daemon::{Duty, delay};
use holystone_core::manifest::NodeCleanup;
use holystone_core::schedule::HistoryLimits;
use jiff::SignedDuration;

use crate::manifests::{Checked, Manifests};
use crate::plugins::CacheDir;
use crate::policy::{Overrides, Policy};

/// A manifest that the daemon runs by.
#[derive(Clone, Debug)]
pub(crate) struct ScheduledCleanup {
    /// Namespace and name.
    pub(crate) name: String,
    pub(crate) policy: Policy,
    pub(crate) duty: Duty,
    /// How many runs to keep.
    pub(crate) limits: HistoryLimits,
    /// How long to keep them.
    pub(crate) ttl: Option<SignedDuration>,
}

/// Where manifests come from, and what this machine adds to them.
#[derive(Clone, Debug)]
pub(crate) struct ManifestSource {
    pub(crate) manifests: Manifests,
    pub(crate) cache: CacheDir,
    pub(crate) overrides: Overrides,
    /// The name of this machine.
    pub(crate) node_name: String,
    /// How much later than its ticks this machine may start.
    pub(crate) jitter: Duration,
    /// Interval between two measurements of disks, if the command line sets one.
    pub(crate) watch_interval: Option<Duration>,
}

/// The identities of files, by which a change is noticed.
pub(crate) type Fingerprint = Vec<(PathBuf, Option<(u64, u64, u64, i64, i64)>)>;

impl ManifestSource {
    /// Reads all manifests and checks them, with their plugins.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<ScheduledCleanup>> {
        let checked = self.manifests.read(&self.overrides, &self.cache).await?;
        checked.into_iter().map(|Checked { manifest, policy, .. }| self.scheduled(&manifest, policy)).collect()
    }

    fn scheduled(&self, manifest: &NodeCleanup, mut policy: Policy) -> anyhow::Result<ScheduledCleanup> {
        // Another run comes, be it by the schedule or because the disk is full.
        policy.rails.unknown_is_young = true;
        let name = manifest.full_name();
        let jitter = SignedDuration::try_from(self.jitter).unwrap_or(SignedDuration::MAX);
        let duty = Duty::of(manifest, delay(&self.node_name, &name, jitter))?;
        let ttl = manifest.spec.rollout.completion_policy.ttl_seconds_after_finished;
        let ttl = ttl.map(|seconds| SignedDuration::from_secs(seconds.into()));
        Ok(ScheduledCleanup { name, policy, duty, limits: manifest.history(), ttl })
    }

    /// Says what of the command line has no effect with these manifests.
    pub(crate) fn without_effect(&self, cleanups: &[ScheduledCleanup]) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.jitter.is_zero() && cleanups.iter().all(|cleanup| cleanup.duty.timetable.is_none()) {
            notices.push("--jitter has no effect, because no manifest has a schedule".to_owned());
        }
        if self.watch_interval.is_some() && !cleanups.iter().any(|cleanup| cleanup.duty.watches) {
            notices.push("--watch-interval has no effect, because no manifest has pressure.above".to_owned());
        }
        notices
    }

    /// Looks at the files. Names are resolved each time, so that a link that is set to another file is noticed: so
    /// Kubernetes replaces what it mounts.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let look = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok();
            let mark = metadata.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
            (path, mark)
        };
        self.manifests.paths().into_iter().map(look).collect()
    }
}
