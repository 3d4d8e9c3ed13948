//! Directories in which a container runtime keeps its files, as the runtime reports them, wherever it is configured to
//! keep them.
//!
//! The runtime reports its image filesystem (CRI `ImageFsInfo`) and, in its configuration, its directories; those are
//! parts of its store and its state. Its socket lies in the directory of its state, or in a shared one.

use super::reserved;

/// A directory in which a container runtime keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeDirectory {
    path: String,
    socket: Option<String>,
}

/// The location of a log root relative to another directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation<'a> {
    /// The same directory.
    Same,
    /// A root that holds the directory.
    Holds,
    /// A root that lies in the directory, with its path there.
    LiesIn(&'a str),
}

impl RuntimeDirectory {
    /// Finds the directory that a directory reported by the runtime is a part of; `None` where others keep files, too.
    pub fn of_part(path: &str) -> Option<Self> {
        let path = path.trim_end_matches('/');
        let name = path.rsplit('/').next().unwrap_or_default();
        let whole = is_part(name).then(|| parent(path)).filter(|whole| !reserved::is_shared(whole)).unwrap_or(path);
        let is_known = whole.starts_with('/') && !reserved::is_shared(whole);
        is_known.then(|| Self { path: whole.to_owned(), socket: None })
    }

    /// Finds the directory of the runtime's socket; `None` where others keep sockets and files, too.
    pub fn of_socket(socket: &str) -> Option<Self> {
        let path = parent(socket);
        let is_known = path.starts_with('/') && !reserved::is_shared(path);
        is_known.then(|| Self { path: path.to_owned(), socket: Some(socket.to_owned()) })
    }

    /// Returns the path of the directory on the node.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path of the socket, if the directory was found by it.
    pub fn socket(&self) -> Option<&str> {
        self.socket.as_deref()
    }

    /// Explains why a directory with this relation cannot be a log root.
    pub fn objection(&self, relation: Relation<'_>) -> Option<String> {
        let path = crate::text::shown(&self.path);
        let what = if self.socket.is_some() { "the runtime's socket is" } else { "the runtime keeps its own files" };
        let whose = format!("{path}, where {what}");
        match relation {
            Relation::Holds => Some(format!("it holds {whose}; give the directory of the logs themselves")),
            // Entries beside a socket need not be the runtime's.
            Relation::LiesIn(beneath) if self.socket.is_some() && !beneath.split('/').any(is_part) => None,
            Relation::Same | Relation::LiesIn(_) => {
                let relation = if relation == Relation::Same { "is" } else { "lies in" };
                Some(format!("it {relation} {whose}; give a directory of logs such as /var/log/app"))
            }
        }
    }
}

/// Returns whether a directory of this name is a part of a runtime's: a plugin of containerd, or CRI-O's record of
/// images or containers.
fn is_part(name: &str) -> bool {
    name.starts_with("io.containerd.") || ["-images", "-containers"].iter().any(|end| name.ends_with(end))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| if parent.is_empty() { "/" } else { parent })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_store_names_the_store() {
        for (part, whole) in [
            ("/data/containerd/io.containerd.snapshotter.v1.overlayfs", Some("/data/containerd")),
            ("/data/containerd/io.containerd.grpc.v1.cri/", Some("/data/containerd")),
            ("/data/storage/overlay-images", Some("/data/storage")),
            ("/data/storage/overlay-containers", Some("/data/storage")),
            ("/data/docker", Some("/data/docker")),
            ("/data/docker/", Some("/data/docker")),
            ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", Some("/var/lib/containerd")),
            // Where nothing but a part is the runtime's.
            ("/mnt/io.containerd.snapshotter.v1.btrfs", Some("/mnt/io.containerd.snapshotter.v1.btrfs")),
            ("/overlay-images", Some("/overlay-images")),
            ("/", None),
            ("", None),
            ("/mnt", None),
            ("/var", None),
            ("relative/overlay-images", None),
        ] {
            let found = RuntimeDirectory::of_part(part);
            assert_eq!(found.as_ref().map(RuntimeDirectory::path), whole, "{part}");
        }
    }

    #[test]
    fn a_socket_names_its_directory_unless_others_have_theirs_there() {
        for (socket, directory) in [
            ("/data/run/containerd.sock", Some("/data/run")),
            ("/run/containerd/containerd.sock", Some("/run/containerd")),
            ("/run/cri-dockerd.sock", Some("/run")),
            ("/tmp/c.sock", None),
            ("/c.sock", None),
            ("c.sock", None),
        ] {
            let found = RuntimeDirectory::of_socket(socket);
            assert_eq!(found.as_ref().map(RuntimeDirectory::path), directory, "{socket}");
            assert_eq!(found.as_ref().and_then(RuntimeDirectory::socket), directory.map(|_| socket));
        }
    }

    #[test]
    fn a_root_that_is_holds_or_lies_in_a_store_is_refused() {
        let store = RuntimeDirectory::of_part("/data/containerd").unwrap();
        assert_eq!(store.socket(), None);
        let sentence = |relation| store.objection(relation).unwrap();
        let whose = "/data/containerd, where the runtime keeps its own files";
        assert_eq!(sentence(Relation::Same), format!("it is {whose}; give a directory of logs such as /var/log/app"));
        assert_eq!(
            sentence(Relation::LiesIn("logs")),
            format!("it lies in {whose}; give a directory of logs such as /var/log/app")
        );
        assert_eq!(sentence(Relation::Holds), format!("it holds {whose}; give the directory of the logs themselves"));
    }

    #[test]
    fn beside_a_socket_only_parts_of_the_runtime_are_its_own() {
        let directory = RuntimeDirectory::of_socket("/data/run/c.sock").unwrap();
        assert!(directory.objection(Relation::Same).is_some() && directory.objection(Relation::Holds).is_some());
        let told = directory.objection(Relation::LiesIn("io.containerd.runtime.v2.task/k8s.io")).unwrap();
        assert!(told.starts_with("it lies in /data/run, where the runtime's socket is; give "), "{told}");
        assert_eq!(directory.objection(Relation::LiesIn("app")), None);
    }
}
