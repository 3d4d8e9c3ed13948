//! Uses of a file or directory, and their users.

use std::fmt;
use std::sync::Arc;

use crate::text;

/// A way in which a file or directory is in use. Of several ways, the greatest is reported, because it forbids most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Use {
    /// An open descriptor of a task.
    Descriptor,
    /// The working directory of a task.
    WorkingDirectory,
    /// The root directory of a task.
    RootDirectory,
    /// A mount point in another mount namespace: the removal of the entry detaches that mount.
    MountPoint,
    /// The source of a bind mount.
    MountSource,
    /// A layer of an overlay mount, or an entry that holds or lies in one: the mount's users know the file by another
    /// identity.
    Layer,
    /// A mapping into memory: if the file is truncated, its process dies of SIGBUS.
    Mapping,
    /// A running executable.
    Executable,
    /// A possible backing file of a loop device: the kernel does not report which file backs the device.
    MayBackLoopDevice,
    /// The backing file of a loop device.
    LoopDevice,
    /// An active swap file.
    Swap,
}

impl Use {
    /// Returns whether the file can be truncated nevertheless.
    pub fn allows_truncation(self) -> bool {
        self == Self::Descriptor
    }

    /// Returns a stable code for a refusal that names this use, to count by.
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

/// A way in which a file or directory is in use, and its user as far as known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Way of the use.
    pub how: Use,
    /// User, for example `process 17 (nginx)` or `loop3`; empty if unknown. Processes choose their own names.
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
