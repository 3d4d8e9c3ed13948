//! What rail 7 says no with: a stable word to count by, and a sentence for people.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{DirectoryObstacle, Logs};
use crate::guard::{Objection, Refusal, Unsettled};
use crate::logs::{FileKind, InUse, LogPath, PathError};
use crate::text;

/// Why nothing is done to a log file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileObjection {
    /// No log root has this name.
    NoSuchRoot,
    /// The path is none that the host would have shown.
    BadPath {
        /// What is wrong with it.
        problem: PathError,
    },
    /// A log root is never removed or truncated.
    RootItself,
    /// It is of another kind than the wish says.
    WrongKind {
        /// What it is.
        found: FileKind,
    },
    /// A directory on the way is a link, or no directory.
    ThroughLink,
    /// It is on another filesystem than its root.
    OtherFilesystem,
    /// It could not be looked at.
    Unseen {
        /// What the system said.
        problem: String,
    },
    /// It is not any more what it was.
    Changed {
        /// In what way.
        what: &'static str,
    },
    /// The node has not settled: its clock is not trusted, or its pods may still be starting.
    Unready(Unsettled),
    /// It was changed at a time at which the clock was wrong.
    Misdated {
        /// That time.
        changed: Timestamp,
    },
    /// It is what a container's output is written to.
    LiveContainerLog,
    /// The kubelet is compressing it.
    KubeletTemporary,
    /// It is, or lies in, the log directory of a pod that exists.
    PodExists {
        /// The pod.
        pod: String,
    },
    /// The same, and it is not known which pods exist.
    PodUnknown {
        /// The pod.
        pod: String,
    },
    /// It is where the kubelet keeps the logs of all pods, or links to them.
    OfAllPods,
    /// It is a link to the log of a container that exists.
    ContainerExists {
        /// Whether the containers of the node are known at all.
        is_known: bool,
    },
    /// It is a link to something that is there.
    LinkLeadsSomewhere,
    /// It is a link to something that cannot be seen from here.
    LinkUnseen,
    /// It, or something in it, is in use.
    InUse {
        /// What in it is; absent for itself.
        path: Option<LogPath>,
        /// How, and by whom.
        in_use: InUse,
    },
    /// It is in use, and how is not known.
    HeldOpen,
    /// A process may hold it open.
    MayBeOpen {
        /// When it last changed.
        touched: Timestamp,
        /// What counts as open while it is younger than this.
        age: SignedDuration,
    },
    /// A process may map it into memory, and would die if it were truncated.
    MayBeMapped {
        /// When it last changed.
        touched: Timestamp,
        /// What counts as mapped while it is younger than this.
        age: SignedDuration,
    },
    /// It has other names, so cutting it would cut what is under those.
    HardLinked {
        /// How many names there are.
        links: u64,
    },
    /// Something in the directory keeps it from being removed as a whole.
    DirectoryObstacle(DirectoryObstacle),
    /// It, or something in it, has changed a short while ago.
    Unsettled {
        /// When.
        touched: Timestamp,
        /// For how long nothing may have changed.
        age: SignedDuration,
        /// What has changed.
        what: Settling,
    },
    /// Its change time is ahead of the clock, so it is not known whether it has settled.
    AheadOfClock {
        /// What in it has that time; absent for itself.
        path: Option<LogPath>,
        /// The time.
        at: Timestamp,
    },
}

/// What has changed a short while ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// Something in a directory.
    Inside,
    /// The content of a file.
    Written,
    /// The inode of a file, but not its content.
    Arrived {
        /// The time of its content.
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

/// What in a directory a sentence is about.
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
