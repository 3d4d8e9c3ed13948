//! The objections of rail 7: a stable code to count by, and a sentence for people.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{DirectoryObstacle, Logs};
use crate::guard::{Objection, Refusal, Unsettled};
use crate::logs::{FileKind, InUse, LogPath, PathError};
use crate::text;

/// A reason why a log file or directory is kept unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileObjection {
    /// No log root has this name.
    NoSuchRoot,
    /// The path is not one that the host would have reported.
    BadPath {
        /// The error in the path.
        problem: PathError,
    },
    /// The target is a log root, which is never removed or truncated.
    RootItself,
    /// The target is of another kind than proposed, or a link that is not one of the kubelet's.
    WrongKind {
        /// The actual kind.
        found: FileKind,
    },
    /// A directory on the path is a symbolic link, or no directory.
    ThroughLink,
    /// The target is on another filesystem than its root.
    OtherFilesystem,
    /// The target could not be inspected.
    Unseen {
        /// The system's error.
        problem: String,
    },
    /// The target has changed since it was seen.
    Changed {
        /// The change, in words.
        what: &'static str,
    },
    /// The node has not settled: its clock is not trusted, or its pods may still be starting.
    Unready(Unsettled),
    /// The target changed at a time when the clock was wrong.
    Misdated {
        /// The time of the change.
        changed: Timestamp,
    },
    /// A container's output is written to the target.
    LiveContainerLog,
    /// The target is a file that the kubelet is compressing.
    KubeletTemporary,
    /// The target is, or lies in, the log directory of a pod that exists.
    PodExists {
        /// The pod.
        pod: String,
    },
    /// The target is, or lies in, the log directory of a pod, and the node's pods are unknown.
    PodUnknown {
        /// The pod.
        pod: String,
    },
    /// The target is the kubelet's directory for the logs of all pods, or for the links to them.
    OfAllPods,
    /// The target is a link to the log of a container that exists.
    ContainerExists {
        /// False if the node's containers are unknown, so that all count as existing.
        is_known: bool,
    },
    /// The target is a link to something that exists.
    LinkLeadsSomewhere,
    /// The target is a link to something that the host cannot see.
    LinkUnseen,
    /// The target, or something in it, is in use.
    InUse {
        /// The entry in the target that is in use; absent for the target itself.
        path: Option<LogPath>,
        /// The use and its user.
        in_use: InUse,
    },
    /// The target, or something in it, is in use in an unknown way.
    HeldOpen,
    /// A process may hold the target open.
    MayBeOpen {
        /// The time of the last change.
        touched: Timestamp,
        /// The age up to which the target counts as open.
        age: SignedDuration,
    },
    /// A process may map the target into memory, and would die if it were truncated.
    MayBeMapped {
        /// The time of the last change.
        touched: Timestamp,
        /// The age up to which the target counts as mapped.
        age: SignedDuration,
    },
    /// The target has other names, and a truncation would affect the file under those as well.
    HardLinked {
        /// The number of its names.
        links: u64,
    },
    /// Something in the directory prevents its removal as a whole.
    DirectoryObstacle(DirectoryObstacle),
    /// The target, or something in it, has changed recently.
    Unsettled {
        /// The time of the change.
        touched: Timestamp,
        /// The required time without changes.
        age: SignedDuration,
        /// The kind of the change.
        what: Settling,
    },
    /// A change time is ahead of the clock, so whether the target has settled is unknown.
    AheadOfClock {
        /// The entry in the target that has this time; absent for the target itself.
        path: Option<LogPath>,
        /// The change time.
        at: Timestamp,
    },
}

/// The subject of a recent change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// A directory, or something in it.
    Inside,
    /// The content of a file, or a link.
    Written,
    /// The inode of a file, but not its content.
    Arrived {
        /// The time of the last change of the content.
        modified: Timestamp,
    },
}

impl From<FileObjection> for Refusal<Logs> {
    fn from(objection: FileObjection) -> Self {
        Self::Own(objection)
    }
}

impl Objection for FileObjection {
    fn rail(&self) -> u8 {
        7
    }

    fn code(&self) -> &'static str {
        match self {
            Self::NoSuchRoot => "NoSuchRoot",
            Self::BadPath { .. } => "BadPath",
            Self::RootItself => "RootItself",
            Self::WrongKind { .. } => "WrongKind",
            Self::ThroughLink => "ThroughLink",
            Self::OtherFilesystem => "OtherFilesystem",
            Self::Unseen { .. } => "Unseen",
            Self::Changed { .. } => "Changed",
            Self::Unready(unsettled) => unsettled.code(),
            Self::Misdated { .. } => "Misdated",
            Self::LiveContainerLog => "LiveContainerLog",
            Self::KubeletTemporary => "KubeletTemporary",
            Self::PodExists { .. } => "PodExists",
            Self::PodUnknown { .. } => "PodUnknown",
            Self::OfAllPods => "OfAllPods",
            Self::ContainerExists { .. } => "ContainerExists",
            Self::LinkLeadsSomewhere => "LinkLeadsSomewhere",
            Self::LinkUnseen => "LinkUnseen",
            Self::InUse { in_use, .. } => in_use.how.code(),
            Self::HeldOpen => "HeldOpen",
            Self::MayBeOpen { .. } => "MayBeOpen",
            Self::MayBeMapped { .. } => "MayBeMapped",
            Self::HardLinked { .. } => "HardLinked",
            Self::DirectoryObstacle(_) => "Obstacle",
            Self::Unsettled { .. } => "Unsettled",
            Self::AheadOfClock { .. } => "AheadOfClock",
        }
    }
}

impl fmt::Display for FileObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchRoot => f.write_str("no log root has this name"),
            Self::BadPath { problem } => write!(f, "the path is none that the host would have shown: {problem}"),
            Self::RootItself => f.write_str("it is the log root itself"),
            Self::WrongKind { found } => write!(f, "it is {}, which the wish does not fit", found.as_str()),
            Self::ThroughLink => f.write_str("a directory on its path is a symbolic link, or is no directory"),
            Self::OtherFilesystem => f.write_str("it is on another filesystem than its log root"),
            Self::Unseen { problem } => write!(f, "it could not be looked at: {}", text::shown(problem)),
            Self::Changed { what } => f.write_str(what),
            Self::Unready(unsettled) => unsettled.fmt(f),
            Self::Misdated { changed } => {
                write!(f, "its age is unknown: it changed at {changed:.0} by a clock that was set ahead since")
            }
            Self::LiveContainerLog => f.write_str("it is what the output of a container is written to"),
            Self::KubeletTemporary => f.write_str("the kubelet makes it while it compresses a log"),
            Self::PodExists { pod } => write!(f, "it belongs to the pod {}, which exists", text::shown(pod)),
            Self::PodUnknown { pod } => {
                write!(f, "it belongs to the pod {}, and it is not known which pods exist", text::shown(pod))
            }
            Self::OfAllPods => f.write_str("it is where the kubelet keeps the logs of all pods"),
            Self::ContainerExists { is_known: true } => f.write_str("it leads to the log of a container that exists"),
            Self::ContainerExists { is_known: false } => {
                f.write_str("it leads to the log of a container, and it is not known which containers exist")
            }
            Self::LinkLeadsSomewhere => f.write_str("it is a link to something that is there"),
            Self::LinkUnseen => f.write_str("it is a link to something that cannot be seen from here"),
            Self::InUse { path, in_use } => write!(f, "{}{in_use}", of(path.as_ref())),
            Self::HeldOpen => f.write_str("a process holds it open"),
            Self::MayBeOpen { touched, age } => may_be(f, "hold it open", *touched, *age),
            Self::MayBeMapped { touched, age } => {
                may_be(f, "map it into memory and would die if it were truncated", *touched, *age)
            }
            Self::HardLinked { links } => {
                write!(f, "it has {links} names, and cutting it would cut what is under the others as well")
            }
            Self::DirectoryObstacle(obstacle) => write!(f, "it cannot be removed as a whole: {obstacle}"),
            Self::Unsettled { touched, age, what } => what.sentence(f, *touched, *age),
            Self::AheadOfClock { path, at } => ahead(f, path.as_ref(), *at),
        }
    }
}

fn may_be(f: &mut fmt::Formatter<'_>, what: &str, touched: Timestamp, age: SignedDuration) -> fmt::Result {
    write!(
        f,
        "a process may {what}: which files are in use cannot be seen here, and it changed at {touched:.0}, less than {age:#} ago"
    )
}

fn ahead(f: &mut fmt::Formatter<'_>, path: Option<&LogPath>, at: Timestamp) -> fmt::Result {
    let of = of(path);
    write!(f, "{of}its change time, {at:.0}, is ahead of this node's clock, so whether it has settled is unknown")
}

/// Returns the start of a sentence about an entry in a directory.
fn of(path: Option<&LogPath>) -> String {
    path.map(|path| format!("{} in it: ", text::shown(&path.to_string()))).unwrap_or_default()
}

impl Settling {
    fn sentence(self, f: &mut fmt::Formatter<'_>, touched: Timestamp, age: SignedDuration) -> fmt::Result {
        match self {
            Self::Inside => write!(f, "something in it changed at {touched:.0}, less than {age:#} ago"),
            Self::Written => write!(f, "it was written at {touched:.0}, less than {age:#} ago"),
            Self::Arrived { modified } => write!(
                f,
                "its name, place or attributes changed at {touched:.0}, less than {age:#} ago, though its content is dated {modified:.0}: it may just have been moved, unpacked or restored"
            ),
        }
    }
}

impl fmt::Display for DirectoryObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &LogPath| text::shown(&path.to_string());
        match self {
            Self::Kind(path, kind) => write!(f, "{} in it is {}", shown(path), kind.as_str()),
            Self::ContainerLog(path) => write!(f, "{} in it may be the log of a container that exists", shown(path)),
            Self::Kubelet(path) => write!(f, "{} in it is for the kubelet or a container runtime to keep", shown(path)),
            Self::Root(path) => write!(f, "{} in it is a log root itself", shown(path)),
            Self::Filesystem(path) => write!(f, "another filesystem begins at {} in it", shown(path)),
            Self::Unseen(path, problem) => {
                write!(f, "{} in it could not be looked at: {}", shown(path), text::shown(problem))
            }
            Self::TooMuch(path) => {
                write!(f, "it has more in it than this host looks at, which ended at {}", shown(path))
            }
        }
    }
}
