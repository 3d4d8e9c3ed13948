//! Counts of consecutive runs with the same wish (rail 6), by manifest, plugin and digest, so that no run counts or
//! resets the wishes of another manifest or plugin.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The number of consecutive runs with a wish, by target.
pub type Counts = BTreeMap<String, u32>;

/// The maximum number of manifests with counts. Beyond it, those that ran last are kept.
const MAX_MANIFESTS: usize = 64;

/// The time after which the counts of a manifest that has not run are dropped.
const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The wishes of one plugin of one manifest, counted in consecutive runs up to the manifest's last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Confirmations {
    /// Namespace and name of the manifest; empty for runs without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub manifest: String,
    /// Name of the plugin.
    pub plugin: String,
    /// Digest of the plugin's bytes: another version of a plugin starts over.
    pub digest: String,
    /// The time of the manifest's last run.
    pub counted_at: Timestamp,
    /// Images, by id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: Counts,
    /// Log files and directories, by [key](crate::guard::Step::key).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logs: Counts,
}

/// The sources of a run's wishes: its manifest, and its plugins with their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishers {
    /// Namespace and name of the manifest; empty for runs without one.
    pub manifest: String,
    /// Digest by name of each plugin that could be loaded.
    pub digests: BTreeMap<String, String>,
}

/// The counted wishes of a run's plugins in the runs before it, by plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Images, by id.
    pub images: BTreeMap<String, Counts>,
    /// Log files and directories, by key.
    pub logs: BTreeMap<String, Counts>,
}

impl Wishers {
    /// Selects the earlier wishes of these plugins of this manifest.
    pub fn wishes(&self, known: &[Confirmations]) -> Wishes {
        let ours = known.iter().filter(|one| self.is_one(one));
        let mut wishes = Wishes::default();
        for one in ours {
            wishes.images.insert(one.plugin.clone(), one.images.clone());
            wishes.logs.insert(one.plugin.clone(), one.logs.clone());
        }
        wishes
    }

    fn is_one(&self, known: &Confirmations) -> bool {
        known.manifest == self.manifest && self.digests.get(&known.plugin) == Some(&known.digest)
    }

    /// Counts the wishes of these plugins in a run. A wish that was not repeated starts over; the counts of other
    /// manifests stay unchanged.
    pub(crate) fn count<'a>(
        &self,
        known: &mut Vec<Confirmations>,
        images: impl Iterator<Item = (&'a str, String)>,
        logs: impl Iterator<Item = (&'a str, String)>,
        now: Timestamp,
    ) {
        let before = self.wishes(known);
        let images = repeated(&before.images, images);
        let logs = repeated(&before.logs, logs);
        known.retain(|one| one.manifest != self.manifest);
        for (plugin, digest) in &self.digests {
            let of = |counts: &BTreeMap<String, Counts>| counts.get(plugin).cloned().unwrap_or_default();
            let (images, logs) = (of(&images), of(&logs));
            if !images.is_empty() || !logs.is_empty() {
                let (manifest, plugin, digest) = (self.manifest.clone(), plugin.clone(), digest.clone());
                known.push(Confirmations { manifest, plugin, digest, counted_at: now, images, logs });
            }
        }
    }
}

/// Adds one run to the earlier count of each wish.
fn repeated<'a>(
    before: &BTreeMap<String, Counts>,
    wished: impl Iterator<Item = (&'a str, String)>,
) -> BTreeMap<String, Counts> {
    let mut now: BTreeMap<String, Counts> = BTreeMap::new();
    for (plugin, key) in wished {
        let runs = before.get(plugin).and_then(|counts| counts.get(&key)).copied().unwrap_or(0);
        now.entry(plugin.to_owned()).or_default().insert(key, runs.saturating_add(1));
    }
    now
}

/// Drops the counts of targets that are gone: if a target is recreated, its wishes start over.
pub(crate) fn forget(
    known: &mut Vec<Confirmations>,
    is_gone: impl Fn(&str) -> bool,
    is_gone_log: impl Fn(&str) -> bool,
) {
    for one in known.iter_mut() {
        one.images.retain(|id, _| !is_gone(id));
        one.logs.retain(|key, _| !is_gone_log(key));
    }
    known.retain(|one| !one.images.is_empty() || !one.logs.is_empty());
}

/// Drops manifests that have not run for [`FORGOTTEN_AFTER`], and those beyond [`MAX_MANIFESTS`].
pub(crate) fn bound(known: &mut Vec<Confirmations>, now: Timestamp) {
    known.retain(|one| now.duration_since(one.counted_at) < FORGOTTEN_AFTER);
    let mut manifests: BTreeMap<&str, Timestamp> = BTreeMap::new();
    for one in known.iter() {
        let last = manifests.entry(&one.manifest).or_insert(one.counted_at);
        *last = one.counted_at.max(*last);
    }
    let mut by_time: Vec<(Timestamp, String)> =
        manifests.into_iter().map(|(manifest, last)| (last, manifest.to_owned())).collect();
    by_time.sort_unstable();
    let beyond = by_time.len().saturating_sub(MAX_MANIFESTS);
    let forgotten: Vec<String> = by_time.into_iter().take(beyond).map(|(_, manifest)| manifest).collect();
    known.retain(|one| !forgotten.contains(&one.manifest));
}
