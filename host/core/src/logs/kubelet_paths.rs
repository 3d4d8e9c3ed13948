//! Names under a log root that belong to the kubelet, which keeps its containers' logs like this:
//!
//! ```text
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log                      the live log, 0 being the number of restarts
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log.20260102-030405      rotated
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log.20260102-030405.tmp  being compressed
//! /var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log.20260102-030405.gz   compressed
//! /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log                   a link to the live log
//! ```
//!
//! Names are recognized by their shape and not by their location: several paths can lead to the same directory, and the
//! kubelet can be configured to use another one.

use super::FileKind;
use super::path::LogPath;

/// The name of a pod's log directory, as the kubelet builds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodDirectory {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Uid of the pod.
    pub uid: String,
}

/// The place of an entry relative to the kubelet's log directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Pod whose log directory the entry is, or lies in.
    pub pod: Option<PodDirectory>,
    /// Number of path components below the pod's directory; 0 for that directory.
    pub depth: usize,
    /// Set for the directory of all pods' logs, and for that of the links to them.
    pub is_of_all_pods: bool,
    /// Set when the pod's directory lies in one called `pods`, as the kubelet's does.
    pub is_among_pods: bool,
}

/// The kubelet's own directories.
const OF_ALL_PODS: [&[u8]; 2] = [b"/var/log/pods", b"/var/log/containers"];

impl Place {
    /// Computes the place of a path under a root that the node knows by `host_path`.
    pub fn of(host_path: &[u8], path: &LogPath) -> Self {
        let whole = || host_path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).chain(path.components());
        let found = whole().enumerate().find_map(|(at, name)| Some((at, PodDirectory::parse(name)?)));
        let is = |own: &&[u8]| whole().eq(own.split(|byte| *byte == b'/').filter(|name| !name.is_empty()));
        let is_of_all_pods = OF_ALL_PODS.iter().any(is);
        let Some((at, pod)) = found else { return Self { is_of_all_pods, ..Self::default() } };
        let is_among_pods = at > 0 && whole().nth(at - 1) == Some(b"pods");
        Self { pod: Some(pod), depth: whole().count() - at - 1, is_of_all_pods, is_among_pods }
    }

    /// Returns the uid of the pod that an entry here belongs to, if the name leaves no doubt.
    pub fn pod_uid(&self) -> Option<&str> {
        self.pod.as_ref().filter(|pod| pod.has_real_uid()).map(|pod| pod.uid.as_str())
    }
}

impl PodDirectory {
    /// Parses `NAMESPACE_POD_UID`.
    pub fn parse(name: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(name).ok()?.splitn(3, '_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        let is_label = |text: &str| !text.is_empty() && text.bytes().all(is_label_byte);
        // The file that a static pod comes from can set any uid.
        let fits = is_label(namespace) && is_label(pod) && !uid.is_empty();
        fits.then(|| Self { namespace: namespace.to_owned(), name: pod.to_owned(), uid: uid.to_owned() })
    }

    /// Returns whether the uid has a form that Kubernetes generates: a UUID or, for static pods, 32 hexadecimal digits.
    /// Any program may create other names of three parts.
    pub fn has_real_uid(&self) -> bool {
        let groups: Vec<&str> = self.uid.split('-').collect();
        let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
        [&[8, 4, 4, 4, 12][..], &[32]].contains(&lengths.as_slice())
            && groups.iter().all(|group| is_hex(group.as_bytes()))
    }
}

fn is_label_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.".contains(&byte)
}

fn is_hex(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte))
}

/// The kind of a file in a container's log directory, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerLog {
    /// `0.log`: the file that the runtime writes to, or wrote to.
    Live,
    /// `0.log.20260102-030405`, or the same with `.gz`.
    Rotated,
    /// `….tmp`: a file that the kubelet is compressing.
    Temporary,
    /// A file that neither the kubelet nor a runtime puts there.
    Other,
}

impl ContainerLog {
    /// Classifies a file by its name.
    pub fn of(name: &[u8]) -> Self {
        if name.ends_with(b".tmp") {
            return Self::Temporary;
        }
        let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match name[digits..].strip_prefix(b".log").filter(|_| digits > 0) {
            Some(b"") => Self::Live,
            Some(rest) if is_rotation(rest.strip_suffix(b".gz").unwrap_or(rest)) => Self::Rotated,
            _ => Self::Other,
        }
    }
}

/// Returns whether a path ends like that of a container's live log, `NAMESPACE_POD_UID/CONTAINER/0.log`, or of a log
/// that the kubelet is compressing.
pub fn is_live_log(path: &LogPath) -> bool {
    let components: Vec<&[u8]> = path.components().collect();
    let [.., pod, _, name] = components[..] else { return false };
    PodDirectory::parse(pod).is_some() && is_live_name(name)
}

/// Returns whether a file in a container's log directory has the name of one that is written to.
pub fn is_live_name(name: &[u8]) -> bool {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is_log = digits > 0 && name[digits..].starts_with(b".log");
    is_log && matches!(ContainerLog::of(name), ContainerLog::Live | ContainerLog::Temporary)
}

/// Returns whether a text is the suffix of a rotation, such as `.20260102-030405`.
fn is_rotation(text: &[u8]) -> bool {
    let digit_or_dash = |(at, byte): (usize, &u8)| if at == 8 { *byte == b'-' } else { byte.is_ascii_digit() };
    text.strip_prefix(b".").is_some_and(|time| time.len() == 15 && time.iter().enumerate().all(digit_or_dash))
}

/// Returns the id of the container that a link in `/var/log/containers` belongs to; `None` if the name is not that of
/// such a link.
pub fn container_of_link(name: &[u8]) -> Option<&str> {
    let stem = std::str::from_utf8(name).ok()?.strip_suffix(".log")?;
    let (rest, id) = stem.rsplit_once('-')?;
    let is_id = id.len() == 64 && is_hex(id.as_bytes());
    let parts: Vec<&str> = rest.split('_').collect();
    (is_id && parts.len() == 3 && parts.iter().all(|part| !part.is_empty())).then_some(id)
}

/// Returns whether a name is that of a file to which Docker writes a container's output.
pub fn is_docker_log(name: &[u8]) -> bool {
    name.strip_suffix(b"-json.log").is_some_and(|id| id.len() == 64 && is_hex(id))
}

/// Returns whether an entry of this name and kind within a directory belongs to the kubelet or a runtime: a pod's log
/// directory, a link to a container's log, or a file to which Docker writes.
pub fn is_kept(name: &[u8], kind: FileKind) -> bool {
    match kind {
        FileKind::Directory => PodDirectory::parse(name).is_some_and(|pod| pod.has_real_uid()),
        FileKind::Symlink => container_of_link(name).is_some(),
        _ => is_docker_log(name),
    }
}

#[cfg(test)]
mod tests;
