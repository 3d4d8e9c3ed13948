//! What keeps a file or directory in use, and by whom.

use std::fmt;
use std::sync::Arc;

use crate::text;

/// A way in which a file or directory is in use. Of several ways the greatest is reported, because it forbids most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// An open descriptor of a task.
    Descriptor,
    /// The working directory of a task.
    WorkingDirectory,
    /// The root directory of a task.
    RootDirectory,
    /// A place in another mount namespace on which something is mounted: its removal detaches that mount.
    MountPoint,
    /// The source of a bind mount.
    MountSource,
    /// A layer of an overlay mount, in a layer or above one: who uses the file there uses it by another identity.
    Layer,
    /// A mapping into memory: its process dies of SIGBUS when the file is truncated.
    Mapping,
    /// A running executable.
    Executable,
    /// Perhaps the backing file of a loop device, of which it cannot be told.
    MayBackLoopDevice,
    /// The backing file of a loop device.
    LoopDevice,
    /// An active swap file.
    Swap,
}

impl Use {
    /// Whether the file can be truncated nevertheless.
    pub fn allows_truncation(self) -> bool {
        self == Self::Descriptor
    }

    /// A stable word for a refusal that names it, to count by.
    pub fn code(self) -> &'static str {
        match self {
            Self::Descriptor | Self::WorkingDirectory | Self::RootDirectory => "HeldOpen",
            Self::MountPoint => "MountPoint",
            Self::MountSource | Self::Layer => "MountSource",
            Self::Executable => "Executing",
            Self::Mapping => "Mapped",
            Self::LoopDevice | Self::MayBackLoopDevice => "LoopDevice",
            Self::Swap => "SwapFile",
        }
    }
}

/// A way in which a file or directory is in use, and what is known of its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// How it is used.
    pub how: Use,
    /// Who uses it, for example `process 17 (nginx)` or `loop3`; empty if unknown. Processes choose their names.
    pub by: Arc<str>,
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = if self.by.is_empty() { "a process".to_owned() } else { text::shown(&self.by) };
        match self.how {
            Use::Descriptor => write!(f, "{by} holds it open"),
            Use::WorkingDirectory => write!(f, "it is the working directory of {by}"),
            Use::RootDirectory => write!(f, "it is the root directory of {by}"),
            Use::MountPoint => write!(
                f,
                "something is mounted on it in the mount namespace of {by}, and its removal would detach that mount"
            ),
            Use::MountSource => write!(f, "it is the source of a bind mount in the mount namespace of {by}"),
            Use::Executable => write!(f, "{by} executes it"),
            Use::Mapping => write!(f, "{by} maps it into memory"),
            Use::Layer => write!(
                f,
                "it is, holds or lies in a layer of an overlay mount in the mount namespace of {by}, which shows the files under other identities"
            ),
            Use::MayBackLoopDevice => {
                write!(f, "the loop device {by} may be backed by it: the kernel does not say by which file it is")
            }
            Use::LoopDevice => write!(f, "the loop device {by} is backed by it, or by a file of the same name"),
            Use::Swap => write!(f, "the kernel swaps to it, or to a file of the same name ({by})"),
        }
    }
}
