//! A check that a log root is in a directory that log roots may be in, whatever path leads to it.
//!
//! In a pod, the kubelet resolves every link on the path of a root before the pod can look, so the path does not
//! identify the mounted directory. The directories that roots may be in are therefore mounted as well, and the root is
//! looked up under one of them without following links. The root is accepted only if that lookup finds the same
//! directory, by device and inode.

use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};

use holystone_core::logs::Identity;
use holystone_core::text;
use rustix::io::Errno;

use super::root::{RootSpec, open_directory};
use super::stat;
use crate::filesystem::PathMapping;

/// Explains why a root with this identity is not in one of the directories that it may be in.
pub(super) fn objection(spec: &RootSpec, identity: Identity) -> Option<String> {
    let allowed = spec.allowed_in.as_deref()?;
    let beneath = |directory: &'_ PathMapping| {
        let rest = spec.host_path.strip_prefix(&directory.host_path).ok()?;
        let is_plain = rest.components().all(|part| matches!(part, Component::Normal(_)));
        is_plain.then(|| directory.mounted_at.join(rest).components().collect())
    };
    let Some(expected): Option<PathBuf> = allowed.iter().find_map(beneath) else {
        let names: Vec<_> = allowed.iter().map(|directory| directory.host_path.to_string_lossy()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { text::shown(&names.join(", ")) };
        let path = text::shown(&spec.host_path.to_string_lossy());
        return Some(format!("{path} is not in a directory that log roots may be in here: {names}"));
    };
    match found(&expected) {
        Ok(there) if (there.device, there.inode) == (identity.device, identity.inode) => None,
        Ok(_) => Some(elsewhere(spec, "another directory")),
        Err(Errno::LOOP | Errno::NOTDIR) => Some(elsewhere(spec, "what a symbolic link on its path leads to")),
        Err(error) => {
            let path = text::shown(&spec.host_path.to_string_lossy());
            Some(format!("that {path} is what was mounted cannot be made sure: {error}"))
        }
    }
}

fn found(path: &Path) -> rustix::io::Result<Identity> {
    let handle = open_directory(path)?;
    stat::by_handle(handle.as_fd()).map(|file| file.identity())
}

fn elsewhere(spec: &RootSpec, what: &str) -> String {
    let path = text::shown(&spec.host_path.to_string_lossy());
    format!("what was mounted for {path} is {what}; give the path of the directory itself")
}
