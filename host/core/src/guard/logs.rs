//! Rail 7: the rules for files and directories under log roots. This module judges one target at a time, by one
//! [`Inspection`]; `review` judges all wishes of a run, with the rails that concern them together.
//!
//! The rules are checked in this order; the first that refuses names the refusal:
//!
//! - The target lies under a declared root, is not the root itself, and is of the proposed kind: a regular file or a
//!   link, or a directory as a whole.
//! - The target has not changed: for a plan, since the snapshot was taken; right before the operation, since it was
//!   judged. A file to truncate may have changed before it was judged, and may have grown since. A content time ahead
//!   of the clock does not count as a change after the snapshot.
//! - The clock is trusted, and the target did not change while the clock was known to be wrong.
//! - The target is not one of the kubelet's directories for all pods' logs and the links to them.
//! - If the target belongs to a pod or a container, the node has settled: see [`Unsettled`].
//! - The target does not belong to the kubelet or a runtime: it is not a live container log, not a file that the
//!   kubelet is compressing, and not in the log directory of a pod that exists, except for rotated logs. A link is
//!   named like the kubelet's in `/var/log/containers`, and neither its container nor its log exists. If the node's
//!   pods and containers are unknown, all of them count as existing.
//! - A directory can be removed as a whole: it was seen completely, and contains only files, directories and links,
//!   but no mount point, no log root, no pods' log directories, and no live log of a pod that may exist.
//! - The target is not in use, in any of the ways of [`Use`](crate::logs::Use); a file that is merely open can be
//!   truncated. If uses cannot be seen, a target that changed within [`LogRails::unknown_open_age`] counts as in use.
//! - A file to truncate has no other name, which may lie outside the root.
//! - A target to remove has settled: no content and no inode, of a directory or of anything in it, has changed within
//!   [`LogRails::settled_for`], and no change time is ahead of the clock. A file to truncate has not just arrived: if
//!   its inode has changed within that time, its content has as well.
//!
//! [`LogGuard::judge`] makes a [`Step`] from a wish, [`LogGuard::clear`] makes a [`Clearance`] from a step right
//! before it is performed. The removing or truncating code takes a clearance by value, and checks the target against
//! it once more, after the file was renamed to a unique name, or through the open descriptor.

mod inspection;
mod judged;
mod links;
mod objection;
mod review;
mod tree;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Clearance, Kind, Limits, Operation, Refusal, Step, Unsettled};
use crate::clock::Misdated;
use crate::logs::kubelet_paths::{self, ContainerLog};
use crate::logs::{FileEntry, FileKind, Identity, InUse, LogPath, OpenState, Place, PodDirectory};
use crate::proposal::{LogLocation, Reason, Target, Verb};
use crate::snapshot::Snapshot;
use crate::text;

pub use inspection::{InspectError, Inspection};
pub use judged::Judged;
pub use links::Links;
pub use objection::{FileObjection, Settling};
pub use review::Inspections;
pub use tree::{DirectoryObstacle, Tree};

/// The maximum difference between content time and inode time after a write: coarse filesystems round both.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(2);

/// The operator's settings for log files and directories. [`GuardRails::for_logs`](super::GuardRails::for_logs)
/// creates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRails {
    /// The time since its last change for which a target counts as in use if uses cannot be seen. Default: one day,
    /// because few programs keep a log open for longer without writing to it.
    pub unknown_open_age: SignedDuration,
    /// The minimum time since the last change of content and inode: of a file to remove, or of a directory and
    /// everything in it. A file to truncate is refused only if its inode alone has changed. Zero disables the check.
    /// Default: 10 minutes.
    pub settled_for: SignedDuration,
    /// The time for which a node has to be up, and to list no pods, before pods count as gone, as for images (rail 5).
    /// Zero disables the check, and the doubts about the clock as well. Default: 10 minutes.
    pub min_age: SignedDuration,
    /// The number of consecutive runs in which a plugin has to propose the same file (rail 6). Default: 1, the current
    /// run.
    pub confirmations: u32,
    /// Limits of one run (rail 8), which count log files and directories separately from images.
    pub limits: Limits,
}

impl Default for LogRails {
    fn default() -> Self {
        Self {
            unknown_open_age: SignedDuration::from_hours(24),
            settled_for: SignedDuration::from_mins(10),
            min_age: SignedDuration::from_mins(10),
            confirmations: 1,
            limits: Limits::default(),
        }
    }
}

/// Files and directories under log roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logs;

/// A file or directory under a log root, with a path that cannot lead out of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RootedPath {
    /// Name of the log root.
    pub root: String,
    /// Path under the root.
    pub path: LogPath,
    /// True for a directory as a whole, false for a file.
    pub is_directory: bool,
}

/// The facts of a log file or directory that a plan shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFacts {
    entries: u64,
    freeable_bytes: u64,
    hard_links: u64,
    #[serde(skip)]
    judged: Judged,
    #[serde(skip)]
    links: Links,
}

impl Kind for Logs {
    const NOT_FOUND: &'static str = "there is no such file or directory beneath the log root";
    const THINGS: &'static str = "log files and directories";
    const ALL: &'static str = "files and directories beneath the log roots";
    const FREEABLE_BYTES: Option<fn(&FileFacts) -> u64> = Some(|facts| facts.freeable_bytes);

    type Target = RootedPath;
    type Facts = FileFacts;
    type Objection = FileObjection;
    type Permit = Judged;

    fn parse(target: &Target) -> Result<RootedPath, Refusal<Self>> {
        let (LogLocation { root, path }, is_directory) = match target {
            Target::LogFile(place) => (place, false),
            Target::LogDirectory(place) => (place, true),
            _ => return Err(Refusal::NotOffered),
        };
        let path = path.parse::<LogPath>().map_err(|problem| FileObjection::BadPath { problem })?;
        Ok(RootedPath { root: root.clone(), path, is_directory })
    }

    fn operation(target: &RootedPath, verb: Verb) -> Option<Operation> {
        match verb {
            Verb::Remove => Some(Operation::Remove),
            Verb::Truncate if !target.is_directory => Some(Operation::Truncate),
            Verb::Truncate | Verb::Other => None,
        }
    }

    fn name(target: &RootedPath, _: &FileFacts) -> String {
        text::shown(&format!("{}:{}", target.root, target.path))
    }

    fn key(_: &RootedPath, facts: &FileFacts) -> String {
        let Identity { device, inode, born } = facts.judged.identity();
        match born {
            Some(born) => format!("{device}:{inode}:{}", born.as_nanosecond()),
            None => format!("{device}:{inode}"),
        }
    }

    fn entries(facts: &FileFacts) -> u64 {
        facts.entries
    }

    fn is_on(filesystem: &str) -> bool {
        filesystem.starts_with("logs:")
    }
}

impl Step<Logs> {
    /// Returns the expected gain of the filesystem, as far as known: nothing for a file that keeps a name; the step
    /// that removes the last name has all of it.
    pub fn freeable_bytes(&self) -> u64 {
        self.facts.freeable_bytes
    }

    /// Returns the number of hard links of the target.
    pub fn hard_links(&self) -> u64 {
        self.facts.hard_links
    }

    /// Returns device and inode.
    fn file(&self) -> (u64, u64) {
        let Identity { device, inode, .. } = self.facts.judged.identity();
        (device, inode)
    }
}

/// The rules of rail 7, prepared for one state of the node.
#[derive(Debug)]
pub struct LogGuard<'a> {
    rails: LogRails,
    now: Timestamp,
    /// Absent if the node's pods and containers are unknown.
    known: Option<KnownPods<'a>>,
    /// The reason why nothing of pods, or nothing at all, is removed in the node's current state.
    unsettled: Option<Unsettled>,
    /// A span of time in which files were dated wrongly.
    misdated: Option<Misdated>,
}

/// The pods and containers of the node.
#[derive(Debug)]
struct KnownPods<'a> {
    pods: HashSet<&'a str>,
    /// Namespaces and names of the pods whose uid the runtime does not report.
    names: HashSet<(&'a str, &'a str)>,
    containers: HashSet<&'a str>,
}

impl<'a> LogGuard<'a> {
    /// Prepares the rules. `now` is the time of the current state; without a snapshot from the runtime, no pod counts
    /// as gone.
    pub fn new(rails: LogRails, now: Timestamp, snapshot: Option<&'a Snapshot>) -> Self {
        Self { rails, now, known: snapshot.map(KnownPods::of), unsettled: None, misdated: None }
    }

    /// Applies the snapshot's doubts about the clock, and the check that the node has settled.
    #[must_use]
    pub fn on(mut self, snapshot: &Snapshot) -> Self {
        self.unsettled = Unsettled::of(snapshot, self.rails.min_age);
        self.misdated = snapshot.memory.misdated.filter(|_| self.rails.min_age > SignedDuration::ZERO);
        self
    }

    /// Judges a target by an inspection made after `now`.
    ///
    /// # Errors
    /// Returns the refusal if a rule refuses.
    pub fn judge(
        &self,
        plugin: &str,
        target: &RootedPath,
        operation: Operation,
        reason: &Reason,
        seen: Result<Inspection, InspectError>,
    ) -> Result<Step<Logs>, Refusal<Logs>> {
        if target.path.is_root() {
            return Err(FileObjection::RootItself.into());
        }
        let inspection = seen?;
        let judged = Judged::of(target, operation, &inspection)?;
        if operation == Operation::Remove && inspection.ahead().is_none() && inspection.touched() > self.now {
            return Err(FileObjection::Changed { what: "it has changed since the snapshot was taken" }.into());
        }
        self.look(target, operation, &inspection)?;
        let entries = inspection.entries();
        let Inspection { entry, mut tree, .. } = inspection;
        let links = tree.as_mut().map_or_else(|| Links::of(&entry), |tree| std::mem::take(&mut tree.links));
        let (size_bytes, freeable_bytes) = match &tree {
            Some(tree) => (tree.size_bytes, tree.freeable_bytes),
            None => (entry.size_bytes, entry.freeable_bytes()),
        };
        let facts = FileFacts { entries, freeable_bytes, hard_links: entry.hard_links, judged, links };
        let (plugin, target, reason) = (plugin.to_owned(), target.clone(), reason.clone());
        Ok(Step { plugin, target, operation, size_bytes, reason, facts })
    }

    /// Checks a step again, right before it is performed: `self` and `seen` must describe the current state.
    ///
    /// # Errors
    /// Returns the refusal if a rule refuses now.
    pub fn clear(
        &self,
        step: &Step<Logs>,
        seen: Result<Inspection, InspectError>,
    ) -> Result<Clearance<Logs>, Refusal<Logs>> {
        let (target, operation, before, inspection) = (&step.target, step.operation, step.facts.judged, seen?);
        before.check(&inspection.entry)?;
        if before.is_outdated_by(&Judged::of(target, operation, &inspection)?) {
            return Err(FileObjection::Changed { what: "something in it has changed" }.into());
        }
        self.look(target, operation, &inspection)?;
        // The first judgement, not the current state: no change between the two may be accepted.
        Ok(Clearance { target: target.clone(), operation, permit: before })
    }

    /// Checks all rules that do not depend on earlier inspections.
    fn look(&self, target: &RootedPath, operation: Operation, inspection: &Inspection) -> Result<(), FileObjection> {
        self.times(inspection)?;
        self.kubelet(target, inspection)?;
        match (&inspection.tree, operation) {
            (Some(tree), _) => self.tree(tree, inspection),
            (None, Operation::Truncate) => self.truncation(inspection),
            (None, Operation::Remove) => {
                // Processes use the target of a link, never the link itself.
                if inspection.entry.kind != FileKind::Symlink {
                    self.unused(
                        inspection.in_use.clone().map(|in_use| (None, in_use)),
                        inspection.entry.open,
                        inspection.touched(),
                    )?;
                }
                self.settled(inspection)
            }
        }
    }

    /// Checks that the times can be trusted, because policies for files depend on them.
    fn times(&self, inspection: &Inspection) -> Result<(), FileObjection> {
        if let Some(unsettled) = self.unsettled.filter(Unsettled::is_of_the_clock) {
            return Err(FileObjection::Unready(unsettled));
        }
        let changed = inspection.tree.as_ref().map_or(inspection.entry.modified, |tree| tree.touched);
        match self.misdated {
            Some(span) if span.covers(changed) => Err(FileObjection::Misdated { changed }),
            _ => Ok(()),
        }
    }

    /// Checks a file to truncate: its use, its other names, and its arrival.
    fn truncation(&self, inspection: &Inspection) -> Result<(), FileObjection> {
        let (entry, age) = (&inspection.entry, self.rails.unknown_open_age);
        let touched = entry.touched(inspection.seen_at);
        if let Some(in_use) = inspection.in_use.clone().filter(|in_use| !in_use.how.allows_truncation()) {
            return Err(FileObjection::InUse { path: None, in_use });
        }
        if !inspection.all_uses_seen && self.is_younger(touched, age) {
            return Err(FileObjection::MayBeMapped { touched, age });
        }
        if entry.hard_links > 1 {
            return Err(FileObjection::HardLinked { links: entry.hard_links });
        }
        match self.unsettled(entry.changed) {
            Some(age) if has_arrived(entry) => Err(arrived(entry, age)),
            _ => Ok(()),
        }
    }

    /// Checks that a file or link to remove has settled.
    fn settled(&self, inspection: &Inspection) -> Result<(), FileObjection> {
        let entry = &inspection.entry;
        if let Some((_, at)) = inspection.ahead() {
            return Err(FileObjection::AheadOfClock { path: None, at });
        }
        match self.unsettled(inspection.touched()) {
            Some(age) if has_arrived(entry) => Err(arrived(entry, age)),
            Some(age) => Err(FileObjection::Unsettled { touched: inspection.touched(), age, what: Settling::Written }),
            None => Ok(()),
        }
    }

    /// Returns the required time without changes if something that changed at `touched` has not reached it yet.
    fn unsettled(&self, touched: Timestamp) -> Option<SignedDuration> {
        let age = self.rails.settled_for;
        (!age.is_zero() && self.is_younger(touched, age)).then_some(age)
    }

    fn unused(
        &self,
        in_use: Option<(Option<LogPath>, InUse)>,
        open: OpenState,
        touched: Timestamp,
    ) -> Result<(), FileObjection> {
        if let Some((path, in_use)) = in_use {
            return Err(FileObjection::InUse { path, in_use });
        }
        match open {
            OpenState::Open => Err(FileObjection::HeldOpen),
            OpenState::Unknown if self.is_younger(touched, self.rails.unknown_open_age) => {
                Err(FileObjection::MayBeOpen { touched, age: self.rails.unknown_open_age })
            }
            OpenState::Unknown | OpenState::Closed => Ok(()),
        }
    }

    fn is_younger(&self, touched: Timestamp, age: SignedDuration) -> bool {
        self.now.duration_since(touched) < age
    }

    fn tree(&self, tree: &Tree, inspection: &Inspection) -> Result<(), FileObjection> {
        let inside = |path: LogPath| (path != inspection.entry.path).then_some(path);
        // If the pod is known to be gone, its last live log is like any other file.
        let is_of_gone_pod = inspection.place.pod.is_some() && self.known.is_some();
        let obstacle = tree.obstacle.as_ref();
        if let Some(obstacle) = obstacle.filter(|_| tree.is_hindered() || !is_of_gone_pod) {
            return Err(FileObjection::DirectoryObstacle(obstacle.clone()));
        }
        let in_use = tree.in_use.clone().map(|(path, in_use)| (inside(path), in_use));
        self.unused(in_use, tree.open, tree.touched)?;
        if let Some((path, at)) = inspection.ahead() {
            return Err(FileObjection::AheadOfClock { path: inside(path), at });
        }
        let unsettled = |age| FileObjection::Unsettled { touched: tree.touched, age, what: Settling::Inside };
        self.unsettled(tree.touched).map_or(Ok(()), |age| Err(unsettled(age)))
    }

    /// Checks that the target does not belong to the kubelet or a runtime.
    fn kubelet(&self, target: &RootedPath, inspection: &Inspection) -> Result<(), FileObjection> {
        let name = target.path.name().unwrap_or_default();
        if inspection.place.is_of_all_pods {
            return Err(FileObjection::OfAllPods);
        }
        let is_link = inspection.entry.kind == FileKind::Symlink;
        if let Some(unsettled) = self.unsettled.filter(|_| is_link || inspection.place.pod.is_some()) {
            return Err(FileObjection::Unready(unsettled));
        }
        if is_link {
            return self.link(name, inspection);
        }
        if inspection.entry.kind == FileKind::File && kubelet_paths::is_docker_log(name) {
            return Err(FileObjection::LiveContainerLog);
        }
        let Some(pod) = &inspection.place.pod else { return Ok(()) };
        let exists = self.pod_exists(pod);
        let what = ContainerLog::of(name);
        match exists {
            Some(false) if !target.is_directory && pod.has_real_uid() && what == ContainerLog::Temporary => {
                Err(FileObjection::KubeletTemporary)
            }
            Some(false) => Ok(()),
            None if !may_be_of_pod(pod, inspection, name) => Ok(()),
            _ if target.is_directory || inspection.place.depth != 2 => Err(pod_stays(pod, exists)),
            _ => match what {
                ContainerLog::Rotated => Ok(()),
                ContainerLog::Live => Err(FileObjection::LiveContainerLog),
                ContainerLog::Temporary => Err(FileObjection::KubeletTemporary),
                ContainerLog::Other => Err(pod_stays(pod, exists)),
            },
        }
    }

    /// Checks a link: it must be one of the kubelet's to a container's log, and both container and log must be gone.
    fn link(&self, name: &[u8], inspection: &Inspection) -> Result<(), FileObjection> {
        let Some(container) = kubelet_paths::container_of_link(name) else {
            return Err(FileObjection::WrongKind { found: FileKind::Symlink });
        };
        let exists = self.known.as_ref().is_none_or(|known| known.containers.contains(container));
        match inspection.leads_somewhere {
            _ if exists => Err(FileObjection::ContainerExists { is_known: self.known.is_some() }),
            Some(false) => Ok(()),
            Some(true) => Err(FileObjection::LinkLeadsSomewhere),
            None => Err(FileObjection::LinkUnseen),
        }
    }

    /// Returns whether the pod exists on the node; `None` if the pods are unknown.
    fn pod_exists(&self, pod: &PodDirectory) -> Option<bool> {
        let known = self.known.as_ref()?;
        let names = (pod.namespace.as_str(), pod.name.as_str());
        Some(known.pods.contains(pod.uid.as_str()) || known.names.contains(&names))
    }
}

impl<'a> KnownPods<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let sandboxes = snapshot.sandboxes.iter().map(|sandbox| &sandbox.pod);
        let pods = sandboxes.chain(snapshot.containers.iter().map(|container| &container.pod));
        let (nameless, told): (Vec<_>, Vec<_>) = pods.partition(|pod| pod.uid.is_empty());
        Self {
            pods: told.into_iter().map(|pod| pod.uid.as_str()).collect(),
            names: nameless.into_iter().map(|pod| (pod.namespace.as_str(), pod.name.as_str())).collect(),
            containers: snapshot.containers.iter().map(|container| container.id.as_str()).collect(),
        }
    }
}

/// Returns whether an entry in a directory named like a pod's counts as the pod's while the pods are unknown. Any
/// directory can have a name of three parts. The kubelet's directories lie in one called `pods` or have a Kubernetes
/// uid; a file at the place of a container's log, with such a name, counts as well.
fn may_be_of_pod(pod: &PodDirectory, inspection: &Inspection, name: &[u8]) -> bool {
    let Place { depth, is_among_pods, .. } = inspection.place;
    pod.has_real_uid()
        || is_among_pods
        || depth == 2 && inspection.entry.kind == FileKind::File && kubelet_paths::is_live_name(name)
}

fn pod_stays(pod: &PodDirectory, exists: Option<bool>) -> FileObjection {
    let pod = format!("{}/{}", pod.namespace, pod.name);
    if exists.is_some() { FileObjection::PodExists { pod } } else { FileObjection::PodUnknown { pod } }
}

/// Returns whether a file's inode has changed without its content: the file was moved, renamed, unpacked, restored, or
/// got new attributes. A write changes both times at once.
fn has_arrived(entry: &FileEntry) -> bool {
    entry.changed.duration_since(entry.modified).abs() > SAME_MOMENT
}

fn arrived(entry: &FileEntry, age: SignedDuration) -> FileObjection {
    FileObjection::Unsettled { touched: entry.changed, age, what: Settling::Arrived { modified: entry.modified } }
}

#[cfg(test)]
mod tests;
