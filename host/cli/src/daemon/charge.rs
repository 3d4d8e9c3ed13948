//! The manifests that the daemon has in charge: read, checked, and read again when their files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use holystone_core::daemon::{Duty, delay};
use holystone_core::manifest::{Mode, NodeCleanup};
use holystone_core::schedule::HistoryLimits;
use jiff::SignedDuration;

use crate::args::NodeArguments;
use crate::plugins::CacheDir;
use crate::policy::{Checked, Manifests, Overrides, Policy};

/// A manifest in charge.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
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
pub(crate) struct Charging {
    pub(crate) manifests: Manifests,
    pub(crate) cache: CacheDir,
    pub(crate) node: NodeArguments,
    /// What this machine is called.
    pub(crate) node_name: String,
    pub(crate) mode: Option<Mode>,
    /// How much later than its ticks this machine may start.
    pub(crate) jitter: Duration,
    /// Interval between two measurements of disks, if the command line sets one.
    pub(crate) watch_interval: Option<Duration>,
}

/// What tells that a file is not the one that it was.
pub(crate) type Fingerprint = Vec<(PathBuf, Option<(u64, u64, u64, i64, i64)>)>;

impl Charging {
    /// Reads all manifests and checks them, with their plugins.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub(crate) async fn read(&self) -> anyhow::Result<Vec<Charge>> {
        let overrides = Overrides { policy: None, pace: None, node: &self.node, time_limit: None, mode: self.mode };
        let checked = self.manifests.read(&overrides, &self.cache).await?;
        checked.into_iter().map(|Checked { manifest, policy, .. }| self.charge(&manifest, policy)).collect()
    }

    fn charge(&self, manifest: &NodeCleanup, mut policy: Policy) -> anyhow::Result<Charge> {
        // Another run comes, be it by the schedule or because the disk is full.
        policy.rails.unknown_is_young = true;
        let name = manifest.full_name();
        let jitter = SignedDuration::try_from(self.jitter).unwrap_or(SignedDuration::MAX);
        let duty = Duty::of(manifest, delay(&self.node_name, &name, jitter))?;
        let ttl = manifest.spec.rollout.completion_policy.ttl_seconds_after_finished;
        let ttl = ttl.map(|seconds| SignedDuration::from_secs(seconds.into()));
        Ok(Charge { name, policy, duty, limits: manifest.history(), ttl })
    }

    /// Says what of the command line has no effect with these manifests.
    pub(crate) fn without_effect(&self, charges: &[Charge]) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.jitter.is_zero() && charges.iter().all(|charge| charge.duty.timetable.is_none()) {
            notices.push("--jitter has no effect, because no manifest has a schedule".to_owned());
        }
        if self.watch_interval.is_some() && !charges.iter().any(|charge| charge.duty.watches) {
            notices.push("--watch-interval has no effect, because no manifest has pressure.above".to_owned());
        }
        notices
    }

    /// What the files are now. Names are resolved each time, so that a link that is set to another file is noticed: so
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
