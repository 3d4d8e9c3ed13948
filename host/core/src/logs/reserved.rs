//! Rules for directories that are never log roots: those of the system, of container runtimes and of Kubernetes, the
//! directories under them, and the directories that hold one of them. The code that opens roots adds Holystone's own
//! directories.
//!
//! This module judges by paths. Another path can lead to the same directory, so the code that opens a root finds out
//! which of these directories the root is, holds or lies in, and checks again with the path that the root has there.

/// The owner of a directory, and the log roots that are allowed under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReservedRule {
    /// Directory without log roots under it. The text says who keeps what there.
    Closed(&'static str),
    /// Directory with log roots only where a component of the path under it calls them logs.
    Logs,
    /// Directory that is no log root itself, but may hold some.
    Shared,
    /// Directory that is a log root if configured, like the directories in it.
    Open,
}

const SYSTEM: &str = "where the system keeps its own files";
const RUNTIME: &str = "where a container runtime keeps its own files";
const KUBERNETES: &str = "where Kubernetes keeps its own files";

/// The directories with a rule. If a path lies in several of them, the longest one applies.
const RULES: [(&str, ReservedRule); 64] = [
    ("/bin", ReservedRule::Closed(SYSTEM)),
    ("/boot", ReservedRule::Closed(SYSTEM)),
    ("/dev", ReservedRule::Closed(SYSTEM)),
    ("/dev/shm", ReservedRule::Shared),
    ("/efi", ReservedRule::Closed(SYSTEM)),
    ("/etc", ReservedRule::Closed(SYSTEM)),
    ("/home", ReservedRule::Logs),
    ("/lib", ReservedRule::Closed(SYSTEM)),
    ("/lib32", ReservedRule::Closed(SYSTEM)),
    ("/lib64", ReservedRule::Closed(SYSTEM)),
    ("/libx32", ReservedRule::Closed(SYSTEM)),
    ("/lost+found", ReservedRule::Closed(SYSTEM)),
    ("/media", ReservedRule::Shared),
    ("/mnt", ReservedRule::Shared),
    ("/nix", ReservedRule::Closed(SYSTEM)),
    ("/opt", ReservedRule::Shared),
    ("/opt/cni", ReservedRule::Closed(KUBERNETES)),
    ("/opt/containerd", ReservedRule::Closed(RUNTIME)),
    ("/proc", ReservedRule::Closed(SYSTEM)),
    ("/root", ReservedRule::Logs),
    ("/run", ReservedRule::Closed(SYSTEM)),
    ("/run/log", ReservedRule::Open),
    ("/sbin", ReservedRule::Closed(SYSTEM)),
    ("/snap", ReservedRule::Closed(SYSTEM)),
    ("/srv", ReservedRule::Shared),
    ("/sys", ReservedRule::Closed(SYSTEM)),
    ("/tmp", ReservedRule::Shared),
    ("/usr", ReservedRule::Closed(SYSTEM)),
    ("/usr/local", ReservedRule::Logs),
    ("/var/backups", ReservedRule::Logs),
    ("/var/cache", ReservedRule::Logs),
    ("/var/db", ReservedRule::Logs),
    ("/var/lib", ReservedRule::Logs),
    ("/var/lib/apt", ReservedRule::Closed(SYSTEM)),
    ("/var/lib/buildkit", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/calico", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/cni", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/containerd", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/containers", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/cri-dockerd", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/crio", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/docker", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/dockershim", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/dpkg", ReservedRule::Closed(SYSTEM)),
    ("/var/lib/etcd", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/k0s", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/kubelet", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/lxc", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/lxd", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/machines", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/minikube", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/nerdctl", ReservedRule::Closed(RUNTIME)),
    ("/var/lib/pacman", ReservedRule::Closed(SYSTEM)),
    ("/var/lib/rancher", ReservedRule::Closed(KUBERNETES)),
    ("/var/lib/rpm", ReservedRule::Closed(SYSTEM)),
    ("/var/lib/snapd", ReservedRule::Closed(SYSTEM)),
    ("/var/lib/systemd", ReservedRule::Closed(SYSTEM)),
    ("/var/mail", ReservedRule::Logs),
    ("/var/run", ReservedRule::Closed(SYSTEM)),
    ("/var/run/log", ReservedRule::Open),
    ("/var/snap", ReservedRule::Closed(KUBERNETES)),
    ("/var/spool", ReservedRule::Logs),
    ("/var/tmp", ReservedRule::Shared),
    ("/var/yp", ReservedRule::Logs),
];

/// Returns the directories with a rule, to find out whether a root is one of them under another path.
pub fn directories() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(path, _)| *path)
}

/// Explains why the directory at this path of a node cannot be a log root, whether or not it exists.
pub fn objection(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if !path.starts_with('/') || parts.iter().any(|part| [".", ".."].contains(part)) {
        return Some("give an absolute path without .. in it".to_owned());
    }
    let of = |path: &'static str| path.split('/').skip(1).collect::<Vec<_>>();
    let lies_in = RULES.iter().filter(|(other, _)| parts.starts_with(&of(other)));
    let rule = lies_in.max_by_key(|(other, _)| other.len()).copied();
    let beneath = rule.and_then(|(directory, _)| parts.get(of(directory).len()..)).unwrap_or_default();
    if let Some((directory, ReservedRule::Closed(who))) = rule {
        let relation = if beneath.is_empty() { "is" } else { "lies in" };
        return Some(format!(
            "it {relation} {directory}, {who}; no logs are kept there, so give a directory of logs such as /var/log/app"
        ));
    }
    let held = RULES.iter().find(|(other, rule)| *rule != ReservedRule::Open && of(other).starts_with(&parts));
    if let Some((other, _)) = held {
        let example = if of(other) == parts { String::new() } else { format!(", for example {other}") };
        return Some(format!("it holds more than logs{example}; give the directory of the logs themselves"));
    }
    match rule {
        Some((directory, ReservedRule::Logs)) if !beneath.iter().any(|part| says_logs(part)) => Some(format!(
            "it lies in {directory}, which holds more than logs: there, log roots are taken only with a directory called log or logs on their path"
        )),
        _ => None,
    }
}

/// Returns whether the directory at this path serves more than one purpose: it is or holds a directory with a rule, and
/// lies in none that is `Closed`.
pub(super) fn is_shared(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let of = |path: &'static str| path.split('/').skip(1).collect::<Vec<_>>();
    let closed = |(other, rule): &(&'static str, ReservedRule)| {
        matches!(rule, ReservedRule::Closed(_)) && parts.starts_with(&of(other))
    };
    !RULES.iter().any(closed) && RULES.iter().any(|(other, _)| of(other).starts_with(&parts))
}

/// Returns whether a name indicates logs: `logs`, `app-log`, `LOGS.old`.
fn says_logs(name: &str) -> bool {
    let mut words = name.split(|character: char| !character.is_alphanumeric());
    words.any(|word| ["log", "logs"].iter().any(|logs| word.eq_ignore_ascii_case(logs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_more_than_logs_is_no_root() {
        for path in [
            "/",
            "//",
            "/var",
            "/var/lib",
            "/home",
            "/usr/local",
            "/opt",
            "/srv",
            "/tmp",
            "/var/tmp",
            "/mnt",
            "/root",
            "/var/cache",
            "/var/lib/",
            "//usr//local/",
            "/media",
            "/dev/shm",
        ] {
            let problem = objection(path).unwrap_or_default();
            assert!(problem.starts_with("it holds more than logs"), "{path}: {problem}");
            assert!(problem.ends_with("; give the directory of the logs themselves"), "{path}: {problem}");
        }
        assert_eq!(
            objection("/var").unwrap(),
            "it holds more than logs, for example /var/backups; give the directory of the logs themselves"
        );
    }

    #[test]
    fn nothing_in_the_directories_of_others_is_a_root() {
        for (path, directory, who) in [
            ("/usr", "/usr", SYSTEM),
            ("/usr/bin", "/usr", SYSTEM),
            ("/usr/bin/", "/usr", SYSTEM),
            ("/usr/lib/x", "/usr", SYSTEM),
            ("/usr/share/logs", "/usr", SYSTEM),
            ("/bin/x", "/bin", SYSTEM),
            ("/lib/modules", "/lib", SYSTEM),
            ("/lib64/x", "/lib64", SYSTEM),
            ("/proc/self", "/proc", SYSTEM),
            ("/sys/x", "/sys", SYSTEM),
            ("/dev", "/dev", SYSTEM),
            ("/dev/disk", "/dev", SYSTEM),
            ("/etc", "/etc", SYSTEM),
            ("/etc/app", "/etc", SYSTEM),
            ("/etc/kubernetes/logs", "/etc", SYSTEM),
            ("/boot", "/boot", SYSTEM),
            ("/boot/efi", "/boot", SYSTEM),
            ("/var/lib/dpkg", "/var/lib/dpkg", SYSTEM),
            ("/var/lib/dpkg/info", "/var/lib/dpkg", SYSTEM),
            ("/run", "/run", SYSTEM),
            ("/run/containerd", "/run", SYSTEM),
            ("/run/k3s/containerd/logs", "/run", SYSTEM),
            ("/var/run", "/var/run", SYSTEM),
            ("/var/run/docker", "/var/run", SYSTEM),
            ("/var/lib/containerd", "/var/lib/containerd", RUNTIME),
            ("/var/lib/docker/containers", "/var/lib/docker", RUNTIME),
            ("/var/lib/containers/storage", "/var/lib/containers", RUNTIME),
            ("/opt/containerd/bin", "/opt/containerd", RUNTIME),
            ("/var/lib/kubelet", "/var/lib/kubelet", KUBERNETES),
            ("/var/lib/kubelet/pods/x/volumes/logs", "/var/lib/kubelet", KUBERNETES),
            ("/var/lib/rancher/k3s/agent/logs", "/var/lib/rancher", KUBERNETES),
            ("/var/lib/etcd/member", "/var/lib/etcd", KUBERNETES),
            ("/opt/cni/bin", "/opt/cni", KUBERNETES),
        ] {
            let relation = if path.trim_end_matches('/') == directory { "is" } else { "lies in" };
            let expected = format!(
                "it {relation} {directory}, {who}; no logs are kept there, so give a directory of logs such as /var/log/app"
            );
            assert_eq!(objection(path), Some(expected), "{path}");
        }
        assert_eq!(objection("//usr/./bin").unwrap(), "give an absolute path without .. in it");
    }

    #[test]
    fn among_other_things_only_what_is_called_logs_is_a_root() {
        for path in
            ["/var/lib/app", "/var/lib/catalog", "/home/user", "/root/.ssh", "/usr/local/bin", "/var/spool/cron"]
        {
            assert!(objection(path).unwrap().ends_with("a directory called log or logs on their path"), "{path}");
        }
        for path in [
            "/var/log",
            "/var/log/app",
            "/var/log/pods",
            "/data/logs",
            "/home/app/logs",
            "/var/lib/app/log",
            "/tmp/x",
            "/logs",
            "/srv/app/logs",
            "/opt/app/logs",
            "/opt/app",
            "/usr/local/tomcat/logs",
            "/var/lib/app/logs/audit",
            "/home/admin/app-logs/x",
            "/run/log/journal",
            "/run/log",
            "/mnt/disk1/log",
            "/dev/shm/app",
            "/var/lib/app/Log.old",
            "/varlib",
            "/usrlocal",
            "/host/logs/app",
        ] {
            assert_eq!(objection(path), None, "{path}");
        }
    }

    #[test]
    fn every_directory_with_a_rule_is_listed_once() {
        let listed: Vec<&str> = directories().collect();
        for directory in ["/etc", "/run/log", "/tmp", "/usr", "/var/lib/etcd", "/var/lib/kubelet", "/var/yp"] {
            assert_eq!(listed.iter().filter(|listed| **listed == directory).count(), 1, "{directory}");
        }
        assert!(listed.iter().all(|directory| directory.starts_with('/') && !directory.ends_with('/')));
    }

    #[test]
    fn paths_that_mean_another_place_are_none() {
        for path in ["relative", "", "/var/log/../lib", "./x", "/var/log/./app"] {
            assert_eq!(objection(path).as_deref(), Some("give an absolute path without .. in it"), "{path}");
        }
    }
}
