//! Leaving nothing behind. containerd's shims and their containers outlive it, and so do its mounts.
//!
//! Everything is found on the disk, in the mount table or on command lines and never asked of the daemon, which
//! may be stopped or stuck, and everything found names the one private directory, so that nobody else's container
//! can be hit.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::mount::{UnmountFlags, unmount};

use crate::config::Places;
use crate::containerd::CRI_NAMESPACE;
use crate::disk::mounts_beneath;
use crate::process::{POLL, kill, processes_naming, program_name, run_bounded};

/// How long runc may take to delete one container.
const RUNC_PATIENCE: Duration = Duration::from_secs(10);
/// How long processes may take to be gone after they were killed.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How long mounts and files may take to go.
const REMOVE_PATIENCE: Duration = Duration::from_secs(10);

/// Ends every container and every shim, and removes the sockets the shims leave.
pub(crate) fn end_all(places: &Places, runc: &Path) -> anyhow::Result<()> {
    let sockets = shim_sockets(&tasks(places));
    let containers = delete_containers(places, runc);
    let shims = kill_all(&places.base);
    for socket in sockets {
        // Gone already where the shim ended by itself.
        let _ = fs::remove_file(socket);
    }
    containers.and(shims)
}

/// Where containerd keeps one directory for each task.
fn tasks(places: &Places) -> PathBuf {
    places.state().join("io.containerd.runtime.v2.task").join(CRI_NAMESPACE)
}

/// Has runc kill and forget every container; unlike a bare kill that removes the cgroups as well.
fn delete_containers(places: &Places, runc: &Path) -> anyhow::Result<()> {
    let root = places.runc().join(CRI_NAMESPACE);
    for id in names_in(&root) {
        let mut command = Command::new(runc);
        command.arg("--root").arg(&root).args(["delete", "--force", &id]);
        let deleted = run_bounded(&mut command, RUNC_PATIENCE).with_context(|| format!("delete container {id}"))?;
        ensure!(deleted || !root.join(&id).exists(), "runc cannot delete container {id}");
    }
    Ok(())
}

/// Kills every shim with the private directory on its command line, and a daemon that was not waited for, until
/// there is none. Other programs may name the directory too, such as one under test that was given the socket: they
/// are not ours to end.
fn kill_all(base: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let mut left = processes_naming(base)?;
        left.retain(|process| program_name(*process).starts_with("containerd"));
        if left.is_empty() {
            return Ok(());
        }
        ensure!(start.elapsed() < KILL_PATIENCE, "processes {left:?} do not end");
        for process in left {
            kill(process)?;
        }
        thread::sleep(POLL);
    }
}

/// The sockets on which the shims of these tasks listen: outside the private directory, in a place that all
/// containerds share. containerd 1 writes the address into a file of its own, containerd 2 into a JSON document.
fn shim_sockets(tasks: &Path) -> Vec<PathBuf> {
    let mut sockets = Vec::new();
    for id in names_in(tasks) {
        let plain = fs::read_to_string(tasks.join(&id).join("address")).unwrap_or_default();
        let bootstrap = fs::read(tasks.join(&id).join("bootstrap.json")).unwrap_or_default();
        let parsed: serde_json::Value = serde_json::from_slice(&bootstrap).unwrap_or_default();
        let addresses = [plain.trim(), parsed["address"].as_str().unwrap_or_default()];
        sockets.extend(addresses.iter().filter_map(|address| address.strip_prefix("unix://")).map(PathBuf::from));
    }
    sockets.retain(|path| path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket()));
    sockets
}

/// Unmounts everything beneath a directory, what was mounted last first.
pub(crate) fn unmount_all(base: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let mounts = mounts_beneath(base)?;
        if mounts.is_empty() {
            return Ok(());
        }
        ensure!(start.elapsed() < REMOVE_PATIENCE, "{mounts:?} cannot be unmounted");
        for mount in mounts.iter().rev() {
            // Detached where it is still busy: the last user is a process that is just ending. A mount beneath
            // another may be gone with it; the next look at the table tells.
            let _ = unmount(mount, UnmountFlags::DETACH);
        }
    }
}

/// Removes a directory; what a process that is just ending adds meanwhile makes it try again.
pub(crate) fn remove_directory(path: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    while let Err(error) = fs::remove_dir_all(path) {
        if error.kind() == std::io::ErrorKind::NotFound {
            break;
        }
        if start.elapsed() > REMOVE_PATIENCE {
            return Err(error).with_context(|| format!("remove {}", path.display()));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The names in a directory; none where there is no directory.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
