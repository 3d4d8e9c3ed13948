//! Rail 7: what may be done beneath log roots. Judges one target at a time, by one look at it ([`Sight`]); all wishes of
//! a run, with the rails that concern them together, are reviewed in `review`.
//!
//! In this order; the first that says no names the refusal:
//!
//! - The target is beneath a declared root, is not the root itself, and is of the kind that the wish says: a regular
//!   file, a directory as a whole, or a link in `/var/log/containers`.
//! - Nothing about it has changed since the snapshot was taken; right before it is carried out, since it was judged.
//!   A file that is to be truncated may have grown. A content time ahead of the clock says nothing and is not compared.
//! - The clock is trusted, and the time of the target is not one at which it was known to be wrong.
//! - The node has settled, if it is about a pod or a container: see [`Unsettled`].
//! - It is not the kubelet's to care for: not a live container log, not a file that the kubelet is compressing, not in
//!   the log directory of a pod that exists except for rotated logs, not a link to the log of a container that exists.
//!   Where the pods and containers of the node are not known, all of them exist.
//! - It is not in use, in any of the ways of [`Use`](crate::logs::Use); a file that is merely open can be truncated.
//!   Where uses cannot be seen, what has changed within [`LogRails::unknown_open_age`] counts as in use.
//! - A file to remove has settled: neither its content nor its inode has changed within [`LogRails::settled_for`]. A file
//!   to truncate has not just arrived: if its inode has changed within that time, its content has as well.
//! - A file that is to be truncated has no other name, which may lie outside of the root.
//! - A directory has been seen as a whole: no other filesystem begins in it, it has nothing in it but files, directories
//!   and links, no pods' log directories, and nothing in it has changed within [`LogRails::settled_for`].
//!
//! [`LogGuard::judge`] makes a [`LogStep`] of a wish, [`LogGuard::clear`] makes a [`LogClearance`] of a step right
//! before it is carried out. Whoever removes or truncates takes a clearance by value, and holds what it finds against it
//! once more with the file already in hand.

mod links;
mod refusal;
mod review;
mod tree;

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Limits, Unsettled};
use crate::clock::Misdated;
use crate::logs::place::{self, ContainerLog};
use crate::logs::{FileEntry, FileKind, Identity, InUse, LogPath, OpenState, Place, PodDirectory};
use crate::proposal::{LogLocation, Reason, Target, Verb, Wish};
use crate::snapshot::Snapshot;
use crate::text;

pub use links::Links;
pub use refusal::{LogRefusal, Settling};
pub use review::{LogPlan, LogRefused, Sights};
pub use tree::{Obstacle, Tree};

/// How far the times of a file that is written may lie apart: on coarse filesystems both are rounded.
const SAME_MOMENT: SignedDuration = SignedDuration::from_secs(2);

/// What the operator sets for log files and directories. [`GuardRails::for_logs`](super::GuardRails::for_logs) makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRails {
    /// Where open files cannot be seen, what has changed less than this ago counts as open. Default one day: few
    /// programs keep a log open for longer without a word.
    pub unknown_open_age: SignedDuration,
    /// A file is removed only if neither its content nor its inode has changed for this long, a directory only if nothing
    /// in it has. Zero switches that off. Default 10 minutes.
    pub settled_for: SignedDuration,
    /// For how long a node has to have been up, and to have listed no pods, before pods count as gone, as for images
    /// (rail 5). Zero switches that off, and the doubts about the clock as well. Default 10 minutes.
    pub min_age: SignedDuration,
    /// In how many runs in a row a plugin has to wish the same of the same file (rail 6). Default 1: this one.
    pub confirmations: u32,
    /// Limits of one run (rail 8), which count log files and directories by themselves.
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

/// What a wish about logs is about, with a path that cannot lead out of its root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogTarget {
    /// Name of the log root.
    pub root: String,
    /// Where beneath it.
    pub path: LogPath,
    /// A whole directory and not a file.
    pub is_directory: bool,
}

impl LogTarget {
    /// Reads the target of a wish.
    ///
    /// # Errors
    /// With the refusal, when the wish is about something else, or its path is none.
    pub fn of(wish: &Wish) -> Result<Self, LogRefusal> {
        let (LogLocation { root, path }, is_directory) = match &wish.target {
            Target::LogFile(place) => (place, false),
            Target::LogDirectory(place) => (place, true),
            _ => return Err(LogRefusal::NotOffered),
        };
        let path = path.parse::<LogPath>().map_err(|problem| LogRefusal::BadPath { problem })?;
        Ok(Self { root: root.clone(), path, is_directory })
    }
}

/// What one look at a target found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The target itself.
    pub entry: FileEntry,
    /// Where that is, as far as the kubelet is concerned.
    pub place: Place,
    /// Of a symbolic link, whether what it points to is there; nothing when that cannot be seen from here.
    pub leads_somewhere: Option<bool>,
    /// Of a directory that is wished as a whole, what is in it.
    pub tree: Option<Tree>,
    /// How it is in use, as far as that is known.
    pub in_use: Option<InUse>,
    /// Whether all uses of files on the node were seen.
    pub all_uses_seen: bool,
    /// When the look was over, by the node's clock.
    pub seen_at: Timestamp,
}

impl Sight {
    /// How many entries it is: one, or a directory and all that is in it.
    fn entries(&self) -> u64 {
        self.tree.as_ref().map_or(1, |tree| tree.entries.saturating_add(1))
    }

    /// When anything about it, or in it, last changed.
    fn touched(&self) -> Timestamp {
        self.tree.as_ref().map_or_else(|| self.entry.touched(self.seen_at), |tree| tree.touched)
    }

    /// A change time ahead of the clock, and where in it.
    fn ahead(&self) -> Option<(LogPath, Timestamp)> {
        let itself = || (self.entry.changed > self.seen_at).then(|| (self.entry.path.clone(), self.entry.changed));
        self.tree.as_ref().and_then(|tree| tree.ahead.clone()).or_else(itself)
    }
}

/// Why there is no [`Sight`] of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// No root has this name.
    NoSuchRoot,
    /// It is not there.
    NotFound,
    /// A directory on the way is a link, or no directory.
    ThroughLink,
    /// It is on another filesystem than its root.
    OtherFilesystem,
    /// The system says something else.
    Failed(String),
}

impl From<Unseen> for LogRefusal {
    fn from(unseen: Unseen) -> Self {
        match unseen {
            Unseen::NoSuchRoot => Self::NoSuchRoot,
            Unseen::NotFound => Self::NotFound,
            Unseen::ThroughLink => Self::ThroughLink,
            Unseen::OtherFilesystem => Self::OtherFilesystem,
            Unseen::Failed(problem) => Self::Unseen { problem },
        }
    }
}

/// What to do to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum LogVerb {
    /// Take it away.
    Remove,
    /// Cut it to zero length.
    Truncate,
}

/// An approved wish about a log file or directory. Only this module can make one.
///
/// ```compile_fail,E0451
/// # fn skip(step: holystone_core::guard::logs::LogStep) -> holystone_core::guard::logs::LogStep {
/// holystone_core::guard::logs::LogStep { plugin: "mine".to_owned(), ..step }
/// # }
/// ```
///
/// ```compile_fail,E0277
/// let step: holystone_core::guard::logs::LogStep = serde_json::from_str("{}").unwrap();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogStep {
    plugin: String,
    target: LogTarget,
    verb: LogVerb,
    entries: u64,
    size_bytes: u64,
    freeable_bytes: u64,
    hard_links: u64,
    reason: Reason,
    #[serde(skip)]
    judged: Judged,
    #[serde(skip)]
    links: Links,
}

impl LogStep {
    /// The plugin that wished it.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// What it is about.
    pub fn target(&self) -> &LogTarget {
        &self.target
    }

    /// What will be done to it.
    pub fn verb(&self) -> LogVerb {
        self.verb
    }

    /// How many entries it is: one, or a directory and all that is in it.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Apparent size in bytes, in sum for a directory. Of a file with several names the first step about it has the size,
    /// the others have none.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What the filesystem should gain, as far as one can tell: nothing for a file that keeps a name; the step that takes
    /// the last one has all of it.
    pub fn freeable_bytes(&self) -> u64 {
        self.freeable_bytes
    }

    /// How many names the file has.
    pub fn hard_links(&self) -> u64 {
        self.hard_links
    }

    /// Why the plugin wished it.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// What to call the target in a message.
    pub fn name(&self) -> String {
        text::shown(&format!("{}:{}", self.target.root, self.target.path))
    }

    /// Device and inode.
    fn file(&self) -> (u64, u64) {
        let Identity { device, inode, .. } = self.judged.identity();
        (device, inode)
    }

    /// Which file or directory it is, whatever it is called, to remember it by from run to run.
    pub fn key(&self) -> String {
        let Identity { device, inode, born } = self.judged.identity();
        match born {
            Some(born) => format!("{device}:{inode}:{}", born.as_nanosecond()),
            None => format!("{device}:{inode}"),
        }
    }
}

/// What a target was when it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    /// A file or link to remove: it must be the same, with the same content.
    Whole { identity: Identity, kind: FileKind, size_bytes: u64, modified: Timestamp },
    /// A file to truncate: it may have grown.
    Growing { identity: Identity, size_bytes: u64 },
    /// A directory: nothing in it may have changed since.
    Tree { identity: Identity, touched: Timestamp, seen_at: Timestamp },
}

impl Judged {
    fn identity(&self) -> Identity {
        match *self {
            Self::Whole { identity, .. } | Self::Growing { identity, .. } | Self::Tree { identity, .. } => identity,
        }
    }

    fn check(&self, entry: &FileEntry) -> Result<(), LogRefusal> {
        let changed = |what| Err(LogRefusal::Changed { what });
        match *self {
            Self::Whole { identity, kind, .. } if (identity, kind) != (entry.identity, entry.kind) => {
                changed("it is another one by now")
            }
            Self::Whole { size_bytes, modified, .. }
                if (size_bytes, modified) != (entry.size_bytes, entry.modified) =>
            {
                changed("its content has changed")
            }
            Self::Growing { identity, .. } if (identity, FileKind::File) != (entry.identity, entry.kind) => {
                changed("it is another one by now")
            }
            Self::Growing { size_bytes, .. } if entry.size_bytes < size_bytes => changed("it has been cut already"),
            Self::Growing { .. } if entry.hard_links > 1 => Err(LogRefusal::HardLinked { links: entry.hard_links }),
            Self::Tree { identity, .. } if (identity, FileKind::Directory) != (entry.identity, entry.kind) => {
                changed("it is another one by now")
            }
            Self::Tree { touched, seen_at, .. } if !is_as_judged(entry, touched, seen_at) => {
                changed("something in it has changed")
            }
            _ => Ok(()),
        }
    }
}

/// Whether an entry has not changed since it was judged. A content time ahead of the clock was so already, unless its
/// inode has changed as well.
fn is_as_judged(entry: &FileEntry, touched: Timestamp, seen_at: Timestamp) -> bool {
    entry.changed <= touched && (entry.modified <= touched || entry.modified > seen_at)
}

/// Permission to do one thing to one log file or directory now. Whoever removes or truncates takes one by value.
///
/// ```compile_fail,E0451
/// # fn forge(clearance: holystone_core::guard::logs::LogClearance, target: holystone_core::guard::logs::LogTarget) {
/// let forged = holystone_core::guard::logs::LogClearance { target, ..clearance };
/// # }
/// ```
///
/// ```compile_fail,E0382
/// # fn twice(clearance: holystone_core::guard::logs::LogClearance, remove: fn(holystone_core::guard::logs::LogClearance)) {
/// remove(clearance);
/// remove(clearance);
/// # }
/// ```
#[derive(Debug)]
pub struct LogClearance {
    target: LogTarget,
    verb: LogVerb,
    judged: Judged,
}

impl LogClearance {
    /// What it is about.
    pub fn target(&self) -> &LogTarget {
        &self.target
    }

    /// What may be done to it.
    pub fn verb(&self) -> LogVerb {
        self.verb
    }

    /// Whether the target, looked at with the file in hand, is still what was judged.
    ///
    /// # Errors
    /// With the refusal, when it is not.
    pub fn still_fits(&self, entry: &FileEntry) -> Result<(), LogRefusal> {
        self.judged.check(entry)
    }

    /// Whether something within a directory that is being removed was there, as it is, when the directory was judged.
    ///
    /// # Errors
    /// With the refusal, when it was not.
    pub fn covers(&self, entry: &FileEntry) -> Result<(), LogRefusal> {
        match self.judged {
            Judged::Tree { touched, seen_at, .. } if is_as_judged(entry, touched, seen_at) => Ok(()),
            _ => Err(LogRefusal::Changed { what: "something in it has changed" }),
        }
    }
}

/// Rail 7, ready to judge by one look at the node.
#[derive(Debug)]
pub struct LogGuard<'a> {
    rails: LogRails,
    now: Timestamp,
    /// Absent when the node's pods and containers are not known.
    known: Option<Known<'a>>,
    /// Why nothing of pods, or nothing at all, is removed from the node as it is.
    unsettled: Option<Unsettled>,
    /// A span of time in which files were dated wrongly.
    misdated: Option<Misdated>,
}

/// The pods and containers of the node.
#[derive(Debug)]
struct Known<'a> {
    pods: HashSet<&'a str>,
    /// Those whose uid the runtime does not tell.
    names: HashSet<(&'a str, &'a str)>,
    containers: HashSet<&'a str>,
}

impl<'a> LogGuard<'a> {
    /// Prepares to judge. `now` is when the look was taken; without a snapshot of the runtime's no pod counts as gone.
    pub fn new(rails: LogRails, now: Timestamp, snapshot: Option<&'a Snapshot>) -> Self {
        Self { rails, now, known: snapshot.map(Known::of), unsettled: None, misdated: None }
    }

    /// Heeds what this look says of the clock, and of whether the node has settled.
    #[must_use]
    pub fn on(mut self, snapshot: &Snapshot) -> Self {
        self.unsettled = Unsettled::of(snapshot, self.rails.min_age);
        self.misdated = snapshot.memory.misdated.filter(|_| self.rails.min_age > SignedDuration::ZERO);
        self
    }

    /// Judges a wish by a look at its target, taken after `now`.
    ///
    /// # Errors
    /// With the refusal, when the rail says no.
    pub fn judge(&self, plugin: &str, wish: &Wish, seen: Result<Sight, Unseen>) -> Result<LogStep, LogRefusal> {
        let target = LogTarget::of(wish)?;
        let verb = verb(&target, wish.verb)?;
        let sight = seen?;
        let judged = judged(&target, verb, &sight)?;
        if verb == LogVerb::Remove && sight.ahead().is_none() && sight.touched() > self.now {
            return Err(LogRefusal::Changed { what: "it has changed since the snapshot was taken" });
        }
        self.look(&target, verb, &sight)?;
        let entries = sight.entries();
        let Sight { entry, mut tree, .. } = sight;
        let links = tree.as_mut().map_or_else(|| Links::of(&entry), |tree| std::mem::take(&mut tree.links));
        let (size_bytes, freeable_bytes) = match &tree {
            Some(tree) => (tree.size_bytes, tree.freeable_bytes),
            None => (entry.size_bytes, entry.freeable_bytes()),
        };
        let (plugin, reason, hard_links) = (plugin.to_owned(), wish.reason.clone(), entry.hard_links);
        Ok(LogStep { plugin, target, verb, entries, size_bytes, freeable_bytes, hard_links, reason, judged, links })
    }

    /// Looks once more, right before a step is carried out: `self` and `seen` must come from looks taken just now.
    ///
    /// # Errors
    /// With the refusal, when the rail says no by now.
    pub fn clear(&self, step: &LogStep, seen: Result<Sight, Unseen>) -> Result<LogClearance, LogRefusal> {
        let (target, verb, sight) = (&step.target, step.verb, seen?);
        step.judged.check(&sight.entry)?;
        let now = judged(target, verb, &sight)?;
        if let (Judged::Tree { touched: before, .. }, Judged::Tree { touched, .. }) = (step.judged, now)
            && touched > before
        {
            return Err(LogRefusal::Changed { what: "something in it has changed" });
        }
        self.look(target, verb, &sight)?;
        // What was judged first, not what is there now: nothing may slip in between the two looks.
        Ok(LogClearance { target: target.clone(), verb, judged: step.judged })
    }

    /// What does not depend on earlier looks.
    fn look(&self, target: &LogTarget, verb: LogVerb, sight: &Sight) -> Result<(), LogRefusal> {
        self.times(sight)?;
        self.kubelet(target, sight)?;
        match (&sight.tree, verb) {
            (Some(tree), _) => self.tree(tree, sight),
            (None, LogVerb::Truncate) => self.truncation(sight),
            (None, LogVerb::Remove) => {
                // No process uses a link, only what it leads to.
                if sight.entry.kind != FileKind::Symlink {
                    self.unused(sight.in_use.clone().map(|in_use| (None, in_use)), sight.entry.open, sight.touched())?;
                }
                self.settled(sight)
            }
        }
    }

    /// Whether times mean anything: policies for files go by them.
    fn times(&self, sight: &Sight) -> Result<(), LogRefusal> {
        if let Some(unsettled) = self.unsettled.filter(Unsettled::is_of_the_clock) {
            return Err(LogRefusal::Unready(unsettled));
        }
        let changed = sight.tree.as_ref().map_or(sight.entry.modified, |tree| tree.touched);
        match self.misdated {
            Some(span) if span.covers(changed) => Err(LogRefusal::Misdated { changed }),
            _ => Ok(()),
        }
    }

    /// A file to truncate.
    fn truncation(&self, sight: &Sight) -> Result<(), LogRefusal> {
        let (entry, age) = (&sight.entry, self.rails.unknown_open_age);
        let touched = entry.touched(sight.seen_at);
        if let Some(in_use) = sight.in_use.clone().filter(|in_use| !in_use.how.allows_truncation()) {
            return Err(LogRefusal::InUse { path: None, in_use });
        }
        if !sight.all_uses_seen && self.is_younger(touched, age) {
            return Err(LogRefusal::MayBeMapped { touched, age });
        }
        if entry.hard_links > 1 {
            return Err(LogRefusal::HardLinked { links: entry.hard_links });
        }
        match self.unsettled(entry.changed) {
            Some(age) if has_arrived(entry) => Err(arrived(entry, age)),
            _ => Ok(()),
        }
    }

    /// A file or link to remove.
    fn settled(&self, sight: &Sight) -> Result<(), LogRefusal> {
        let entry = &sight.entry;
        if let Some((_, at)) = sight.ahead() {
            return Err(LogRefusal::AheadOfClock { path: None, at });
        }
        match self.unsettled(sight.touched()) {
            Some(age) if has_arrived(entry) => Err(arrived(entry, age)),
            Some(age) => Err(LogRefusal::Unsettled { touched: sight.touched(), age, what: Settling::Written }),
            None => Ok(()),
        }
    }

    /// For how long something that changed at this time would have to be left alone, if that is not over.
    fn unsettled(&self, touched: Timestamp) -> Option<SignedDuration> {
        let age = self.rails.settled_for;
        (!age.is_zero() && self.is_younger(touched, age)).then_some(age)
    }

    fn unused(
        &self,
        in_use: Option<(Option<LogPath>, InUse)>,
        open: OpenState,
        touched: Timestamp,
    ) -> Result<(), LogRefusal> {
        if let Some((path, in_use)) = in_use {
            return Err(LogRefusal::InUse { path, in_use });
        }
        match open {
            OpenState::Open => Err(LogRefusal::HeldOpen),
            OpenState::Unknown if self.is_younger(touched, self.rails.unknown_open_age) => {
                Err(LogRefusal::MayBeOpen { touched, age: self.rails.unknown_open_age })
            }
            OpenState::Unknown | OpenState::Closed => Ok(()),
        }
    }

    fn is_younger(&self, touched: Timestamp, age: SignedDuration) -> bool {
        self.now.duration_since(touched) < age
    }

    fn tree(&self, tree: &Tree, sight: &Sight) -> Result<(), LogRefusal> {
        let inside = |path: LogPath| (path != sight.entry.path).then_some(path);
        // Of a pod that is known to be gone the last log is like any other.
        let is_of_gone_pod = sight.place.pod.is_some() && self.known.is_some();
        let obstacle = tree.obstacle.as_ref();
        if let Some(obstacle) = obstacle.filter(|_| tree.is_hindered() || !is_of_gone_pod) {
            return Err(LogRefusal::Obstacle(obstacle.clone()));
        }
        let in_use = tree.in_use.clone().map(|(path, in_use)| (inside(path), in_use));
        self.unused(in_use, tree.open, tree.touched)?;
        if let Some((path, at)) = sight.ahead() {
            return Err(LogRefusal::AheadOfClock { path: inside(path), at });
        }
        let unsettled = |age| LogRefusal::Unsettled { touched: tree.touched, age, what: Settling::Inside };
        self.unsettled(tree.touched).map_or(Ok(()), |age| Err(unsettled(age)))
    }

    /// What the kubelet and the runtimes care for.
    fn kubelet(&self, target: &LogTarget, sight: &Sight) -> Result<(), LogRefusal> {
        let name = target.path.name().unwrap_or_default();
        if sight.place.is_of_all_pods {
            return Err(LogRefusal::OfAllPods);
        }
        let is_link = sight.entry.kind == FileKind::Symlink;
        if let Some(unsettled) = self.unsettled.filter(|_| is_link || sight.place.pod.is_some()) {
            return Err(LogRefusal::Unready(unsettled));
        }
        if is_link {
            return self.link(name, sight);
        }
        if sight.entry.kind == FileKind::File && place::is_docker_log(name) {
            return Err(LogRefusal::LiveContainerLog);
        }
        let Some(pod) = &sight.place.pod else { return Ok(()) };
        let exists = self.pod_exists(pod);
        let what = ContainerLog::of(name);
        match exists {
            Some(false) if !target.is_directory && pod.has_real_uid() && what == ContainerLog::Temporary => {
                Err(LogRefusal::KubeletTemporary)
            }
            Some(false) => Ok(()),
            None if !may_be_of_pod(pod, sight, name) => Ok(()),
            _ if target.is_directory || sight.place.depth != 2 => Err(pod_stays(pod, exists)),
            _ => match what {
                ContainerLog::Rotated => Ok(()),
                ContainerLog::Live => Err(LogRefusal::LiveContainerLog),
                ContainerLog::Temporary => Err(LogRefusal::KubeletTemporary),
                ContainerLog::Other => Err(pod_stays(pod, exists)),
            },
        }
    }

    /// A link: only one of the kubelet's to a container's log, if both are gone.
    fn link(&self, name: &[u8], sight: &Sight) -> Result<(), LogRefusal> {
        let Some(container) = place::container_of_link(name) else {
            return Err(LogRefusal::WrongKind { found: FileKind::Symlink });
        };
        let exists = self.known.as_ref().is_none_or(|known| known.containers.contains(container));
        match sight.leads_somewhere {
            _ if exists => Err(LogRefusal::ContainerExists { is_known: self.known.is_some() }),
            Some(false) => Ok(()),
            Some(true) => Err(LogRefusal::LinkLeadsSomewhere),
            None => Err(LogRefusal::LinkUnseen),
        }
    }

    /// Whether there is such a pod on the node, if that is known.
    fn pod_exists(&self, pod: &PodDirectory) -> Option<bool> {
        let known = self.known.as_ref()?;
        let names = (pod.namespace.as_str(), pod.name.as_str());
        Some(known.pods.contains(pod.uid.as_str()) || known.names.contains(&names))
    }
}

impl<'a> Known<'a> {
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

/// Whether something in a directory that is called like a pod's is taken for a pod's where the pods are not known. Any
/// directory can have a name of three parts; what the kubelet makes lies in a directory called `pods`, has a uid of
/// Kubernetes, or is called like a container's log in its place.
fn may_be_of_pod(pod: &PodDirectory, sight: &Sight, name: &[u8]) -> bool {
    let Place { depth, is_among_pods, .. } = sight.place;
    pod.has_real_uid() || is_among_pods || depth == 2 && sight.entry.kind == FileKind::File && place::is_live_name(name)
}

fn pod_stays(pod: &PodDirectory, exists: Option<bool>) -> LogRefusal {
    let pod = format!("{}/{}", pod.namespace, pod.name);
    if exists.is_some() { LogRefusal::PodExists { pod } } else { LogRefusal::PodUnknown { pod } }
}

/// Whether the inode of a file has changed without its content: it was moved, renamed, unpacked, restored, or got new
/// attributes. Whoever writes to a file changes both at once.
fn has_arrived(entry: &FileEntry) -> bool {
    entry.changed.duration_since(entry.modified).abs() > SAME_MOMENT
}

fn arrived(entry: &FileEntry, age: SignedDuration) -> LogRefusal {
    LogRefusal::Unsettled { touched: entry.changed, age, what: Settling::Arrived { modified: entry.modified } }
}

fn verb(target: &LogTarget, verb: Verb) -> Result<LogVerb, LogRefusal> {
    match verb {
        _ if target.path.is_root() => Err(LogRefusal::RootItself),
        Verb::Remove => Ok(LogVerb::Remove),
        Verb::Truncate if !target.is_directory => Ok(LogVerb::Truncate),
        Verb::Truncate | Verb::Other => Err(LogRefusal::NotOffered),
    }
}

/// What to hold later looks against.
fn judged(target: &LogTarget, verb: LogVerb, sight: &Sight) -> Result<Judged, LogRefusal> {
    let entry = &sight.entry;
    let (identity, size_bytes, kind) = (entry.identity, entry.size_bytes, entry.kind);
    match (verb, kind, &sight.tree) {
        (LogVerb::Remove, FileKind::Directory, Some(tree)) if target.is_directory => {
            let touched = tree.touched.max(entry.touched(sight.seen_at));
            Ok(Judged::Tree { identity, touched, seen_at: sight.seen_at })
        }
        // Directories are not offered to be cut.
        (LogVerb::Truncate, FileKind::File, None) => Ok(Judged::Growing { identity, size_bytes }),
        (LogVerb::Remove, FileKind::File | FileKind::Symlink, None) if !target.is_directory => {
            Ok(Judged::Whole { identity, kind, size_bytes, modified: entry.modified })
        }
        _ => Err(LogRefusal::WrongKind { found: kind }),
    }
}

#[cfg(test)]
mod tests;
