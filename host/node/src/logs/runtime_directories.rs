//! Separation of log roots from the directories that a container runtime reports as its own.
//!
//! A directory of the runtime is identified by its path on the node, and by its location on its filesystem, as this
//! process and the runtime's process see it. In a pod, and for a runtime with mounts of its own, these differ.

use std::path::Path;

use holystone_core::logs::{Relation, RuntimeDirectory};

use super::LogRoots;
use super::root::{Root, RootError};
use crate::mounts::{MountView, Spot, Table};

/// The directories that a container runtime reports as its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeDirectories {
    /// Directories of the runtime.
    pub directories: Vec<RuntimeDirectory>,
    /// Id of the process that listens on the runtime's socket, if it is visible.
    pub process: Option<u32>,
}

impl LogRoots {
    /// Checks that no root is, holds or lies in a directory of the runtime, whatever path or mount leads there.
    ///
    /// # Errors
    /// Fails if a root is, holds or lies in one.
    pub fn keep_apart_from(&self, runtime: &RuntimeDirectories) -> Result<(), RootError> {
        let Some(first) = self.roots.first() else { return Ok(()) };
        let own = Table::own().map_err(|error| {
            first.error(format!(
                "whether it belongs to the runtime cannot be checked: the table of mounts cannot be read: {error}"
            ))
        })?;
        let process = runtime.process.and_then(|id| MountView::of(format!("/proc/{id}").into()));
        for directory in &runtime.directories {
            let spots = spots(directory, &own, process.as_ref());
            for root in &self.roots {
                if let Some(problem) = objection(root, directory, &spots) {
                    return Err(root.error(problem));
                }
            }
        }
        Ok(())
    }
}

/// Finds the possible locations of a runtime directory, as this process and the runtime's process see it.
fn spots(directory: &RuntimeDirectory, own: &Table, process: Option<&MountView>) -> Vec<Spot> {
    let path = Path::new(directory.path());
    // In a pod, the socket alone may be mounted; its location still shows that of its directory.
    let socket = directory.socket().and_then(|socket| own.find(Path::new(socket)));
    let of_socket = socket.and_then(|spot| Some(Spot { path: spot.path.parent()?.to_owned(), ..spot }));
    let of_process = process.and_then(|process| process.find(path, own));
    [own.find(path), of_socket, of_process].into_iter().flatten().collect()
}

fn objection(root: &Root, directory: &RuntimeDirectory, spots: &[Spot]) -> Option<String> {
    let path = Path::new(directory.path());
    let by_path =
        related(directory, root.host_path().strip_prefix(path).ok(), path.strip_prefix(root.host_path()).ok());
    let by_spot = |spot: &Spot| related(directory, root.spot().beneath(spot), spot.beneath(root.spot()));
    by_path.or_else(|| spots.iter().find_map(by_spot))
}

/// Explains the conflict, given the path from the directory down to the root and that from the root down to the
/// directory.
fn related(directory: &RuntimeDirectory, to_root: Option<&Path>, from_root: Option<&Path>) -> Option<String> {
    let beneath = to_root.map(Path::to_string_lossy).unwrap_or_default();
    let relation = match (to_root, from_root) {
        (Some(_), Some(_)) => Relation::Same,
        (Some(_), None) => Relation::LiesIn(&beneath),
        (None, Some(_)) => Relation::Holds,
        (None, None) => return None,
    };
    directory.objection(relation)
}
