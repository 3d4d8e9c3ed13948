//! The manifests of the daemon: read, checked, and reloaded when their files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use holystone_core::daemon::{Triggers, delay};
use holystone_core::manifest::NodeCleanup;
use holystone_core::schedule::HistoryLimits;
use jiff::SignedDuration;

use crate::manifests::{Checked, Manifests};
use crate::plugins::CacheDir;
use crate::policy::{Overrides, Policy};

/// A manifest that the daemon carries out.
#[derive(Clone, Debug)]
pub(crate) struct ScheduledCleanup {
    /// Namespace and name of the manifest.
    pub(crate) name: String,
    pub(crate) policy: Policy,
    pub(crate) duty: Triggers,
    /// The number of runs to keep.
    pub(crate) limits: HistoryLimits,
    /// The time to keep finished runs.
    pub(crate) ttl: Option<SignedDuration>,
}

/// The source of the manifests, and the settings that this machine adds to them.
#[derive(Clone, Debug)]
pub(crate) struct ManifestSource {
    pub(crate) manifests: Manifests,
    pub(crate) cache: CacheDir,
    pub(crate) overrides: Overrides,
    /// The name of this machine.
    pub(crate) node_name: String,
    /// The longest delay of scheduled starts on this machine.
    pub(crate) jitter: Duration,
    /// The interval between two measurements of disks, if the command line sets one.
    pub(crate) watch_interval: Option<Duration>,
}

/// The identities of files, compared to notice a change.
pub(crate) type Fingerprint = Vec<(PathBuf, Option<(u64, u64, u64, i64, i64)>)>;

impl ManifestSource {
    /// Reads all manifests and checks them, with their plugins.
    ///
    /// # Errors
    /// Fails with all problems together.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<ScheduledCleanup>> {
        let checked = self.manifests.read(&self.overrides, &self.cache).await?;
        checked.into_iter().map(|Checked { manifest, policy, .. }| self.scheduled(&manifest, policy)).collect()
    }

    fn scheduled(&self, manifest: &NodeCleanup, mut policy: Policy) -> anyhow::Result<ScheduledCleanup> {
        // A later run follows, by the schedule or because the disk is full, so images of unknown age can wait.
        policy.rails.unknown_is_young = true;
        let name = manifest.full_name();
        let jitter = SignedDuration::try_from(self.jitter).unwrap_or(SignedDuration::MAX);
        let duty = Triggers::of(manifest, delay(&self.node_name, &name, jitter))?;
        let ttl = manifest.spec.rollout.completion_policy.ttl_seconds_after_finished;
        let ttl = ttl.map(|seconds| SignedDuration::from_secs(seconds.into()));
        Ok(ScheduledCleanup { name, policy, duty, limits: manifest.history(), ttl })
    }

    /// Lists the flags that have no effect with these manifests.
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

    /// Reads the identities of the files. Links are resolved each time, so that a link to another file is noticed:
    /// Kubernetes replaces mounted files that way.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let look = |path: PathBuf| {
            let metadata = std::fs::metadata(&path).ok();
            let mark = metadata.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
            (path, mark)
        };
        self.manifests.paths().into_iter().map(look).collect()
    }
}
