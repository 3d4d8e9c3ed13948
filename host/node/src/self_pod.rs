//! The pod of this process. Its images are Holystone's own, and its sandbox is no sign of a starting pod.

use std::path::Path;

/// The files that the kubelet mounts into every container from the directory of its pod.
const OF_THE_KUBELET: [&str; 2] = ["/etc/hosts", "/dev/termination-log"];

/// Returns the uid of the pod that this process runs in; `None` outside of pods.
pub fn own_pod() -> Option<String> {
    let mounts = std::fs::read(Path::new("/proc/self/mountinfo")).ok()?;
    pod_of(&String::from_utf8_lossy(&mounts))
}

/// Finds the uid in `/proc/self/mountinfo` (proc(5)): the fourth field of a line is the mounted part of the
/// filesystem, the fifth is the mount point. The kubelet keeps a pod's files in `…/pods/UID/`.
fn pod_of(mounts: &str) -> Option<String> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(3);
        let (part, place) = (fields.next()?, fields.next()?);
        let (_, beneath) = part.rsplit_once("/pods/").filter(|_| OF_THE_KUBELET.contains(&place))?;
        let (uid, _) = beneath.split_once('/')?;
        (!uid.is_empty()).then(|| uid.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::pod_of;

    #[test]
    fn a_container_of_the_kubelet_knows_its_pod() {
        let mounts = "\
            1204 1187 0:151 / / rw,relatime - overlay overlay rw,lowerdir=/x\n\
            1210 1204 254:1 /var/lib/kubelet/pods/0f3a-11/volumes/kubernetes.io~empty-dir/t /t rw - ext4 /dev/vda1 rw\n\
            1211 1204 254:1 /var/lib/kubelet/pods/5e1f2a4c-6d0b-4c57-9e53-7f1a3c2b1d00/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw\n";
        assert_eq!(pod_of(mounts).as_deref(), Some("5e1f2a4c-6d0b-4c57-9e53-7f1a3c2b1d00"));
        // If /var/lib is a separate filesystem, or the kubelet's directory is elsewhere.
        let elsewhere = "1 2 254:1 /k/pods/abc/containers/main/0a1b /dev/termination-log rw - ext4 /dev/vda1 rw";
        assert_eq!(pod_of(elsewhere).as_deref(), Some("abc"));
    }

    #[test]
    fn elsewhere_there_is_none() {
        for mounts in [
            "",
            "nonsense",
            "1 2 254:1 /docker/containers/abc/hosts /etc/hosts rw - ext4 /dev/vda1 rw",
            "1 2 254:1 /var/lib/kubelet/pods/abc/etc-hosts /mnt/etc/hosts rw - ext4 /dev/vda1 rw",
            "1 2 254:1 /var/lib/kubelet/pods//etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw",
        ] {
            assert_eq!(pod_of(mounts), None, "{mounts}");
        }
    }
}
