//! The filesystems that cleaning concerns, as measured.

use serde::{Deserialize, Serialize};

use crate::percent;

/// One filesystem at one instant. All figures are in bytes or in inodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Filesystem {
    /// The content: `images` or `containers`, with `-2` and so on for further ones, or `logs:NAME`.
    pub name: String,
    /// Identity, equal exactly for entries of one snapshot that are the same filesystem. Empty if unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// The mount point that the runtime reports; not shown to plugins.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mountpoint: String,
    /// Size, by statvfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity_bytes: Option<u64>,
    /// The space that unprivileged writers can still use, by statvfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    /// The size of the store that the runtime reports (CRI `ImageFsInfo`), which may lag behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    /// Number of inodes, by statvfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    /// Inodes not in use, by statvfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inodes_free: Option<u64>,
}

impl Filesystem {
    /// Returns the share of the bytes in use, in percent, rounded up.
    pub fn bytes_used(&self) -> Option<u64> {
        let (capacity, available) = (self.capacity_bytes?, self.available_bytes?);
        percent::rounded_up(capacity.saturating_sub(available), capacity)
    }

    /// Returns the share of the inodes in use, in percent, rounded up; `None` if their number is not fixed.
    pub fn inodes_used(&self) -> Option<u64> {
        let (all, free) = (self.inodes?, self.inodes_free?);
        percent::rounded_up(all.saturating_sub(free), all)
    }

    /// Returns whether both are known to be the same filesystem.
    pub fn is_same(&self, other: &Self) -> bool {
        !self.identity.is_empty() && self.identity == other.identity
    }
}

/// Gives each later name of a filesystem the statvfs figures of the first name that has any: names are measured one
/// after the other, and a busy disk would show different figures.
pub fn share_figures(filesystems: &mut [Filesystem]) {
    for place in 1..filesystems.len() {
        let (before, rest) = filesystems.split_at_mut(place);
        let Some(filesystem) = rest.first_mut() else { return };
        if let Some(first) = before.iter().find(|other| other.is_same(filesystem) && other.capacity_bytes.is_some()) {
            let Filesystem { capacity_bytes, available_bytes, inodes, inodes_free, .. } = *first;
            *filesystem = Filesystem { capacity_bytes, available_bytes, inodes, inodes_free, ..filesystem.clone() };
        }
    }
}
