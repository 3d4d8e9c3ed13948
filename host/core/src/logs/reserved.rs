//! Which directories are never log roots: those of the system, of container runtimes, of the kubelet and of Holystone
//! itself, what lies beneath them, and what holds one of them.
//!
//! This page judges by paths. The same directory can be reached by another one, so whoever opens a root finds out which
//! of these directories it is, holds or lies in, and asks again with the path that they have there.

/// Whose a directory is, and what may be a log root beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// Nothing beneath it is a log root. The text says who keeps what there.
    Closed(&'static str),
    /// Beneath it only what a component of its path calls logs.
    Logs,
    /// It is no log root itself, what lies beneath it may be.
    Shared,
    /// It and what lies beneath it may be log roots.
    Open,
}

const SYSTEM: &str = "where the system keeps its own files";
const RUNTIME: &str = "where a container runtime keeps its own files";
const KUBERNETES: &str = "where Kubernetes keeps its own files";

/// The directories that there is a rule for. Of several that a path lies in the longest counts.
const RULES: [(&str, Rule); 64] = [
    ("/bin", Rule::Closed(SYSTEM)),
    ("/boot", Rule::Closed(SYSTEM)),
    ("/dev", Rule::Closed(SYSTEM)),
    ("/dev/shm", Rule::Shared),
    ("/efi", Rule::Closed(SYSTEM)),
    ("/etc", Rule::Closed(SYSTEM)),
    ("/home", Rule::Logs),
    ("/lib", Rule::Closed(SYSTEM)),
    ("/lib32", Rule::Closed(SYSTEM)),
    ("/lib64", Rule::Closed(SYSTEM)),
    ("/libx32", Rule::Closed(SYSTEM)),
    ("/lost+found", Rule::Closed(SYSTEM)),
    ("/media", Rule::Shared),
    ("/mnt", Rule::Shared),
    ("/nix", Rule::Closed(SYSTEM)),
    ("/opt", Rule::Shared),
    ("/opt/cni", Rule::Closed(KUBERNETES)),
    ("/opt/containerd", Rule::Closed(RUNTIME)),
    ("/proc", Rule::Closed(SYSTEM)),
    ("/root", Rule::Logs),
    ("/run", Rule::Closed(SYSTEM)),
    ("/run/log", Rule::Open),
    ("/sbin", Rule::Closed(SYSTEM)),
    ("/snap", Rule::Closed(SYSTEM)),
    ("/srv", Rule::Shared),
    ("/sys", Rule::Closed(SYSTEM)),
    ("/tmp", Rule::Shared),
    ("/usr", Rule::Closed(SYSTEM)),
    ("/usr/local", Rule::Logs),
    ("/var/backups", Rule::Logs),
    ("/var/cache", Rule::Logs),
    ("/var/db", Rule::Logs),
    ("/var/lib", Rule::Logs),
    ("/var/lib/apt", Rule::Closed(SYSTEM)),
    ("/var/lib/buildkit", Rule::Closed(RUNTIME)),
    ("/var/lib/calico", Rule::Closed(KUBERNETES)),
    ("/var/lib/cni", Rule::Closed(KUBERNETES)),
    ("/var/lib/containerd", Rule::Closed(RUNTIME)),
    ("/var/lib/containers", Rule::Closed(RUNTIME)),
    ("/var/lib/cri-dockerd", Rule::Closed(RUNTIME)),
    ("/var/lib/crio", Rule::Closed(RUNTIME)),
    ("/var/lib/docker", Rule::Closed(RUNTIME)),
    ("/var/lib/dockershim", Rule::Closed(RUNTIME)),
    ("/var/lib/dpkg", Rule::Closed(SYSTEM)),
    ("/var/lib/etcd", Rule::Closed(KUBERNETES)),
    ("/var/lib/k0s", Rule::Closed(KUBERNETES)),
    ("/var/lib/kubelet", Rule::Closed(KUBERNETES)),
    ("/var/lib/lxc", Rule::Closed(RUNTIME)),
    ("/var/lib/lxd", Rule::Closed(RUNTIME)),
    ("/var/lib/machines", Rule::Closed(RUNTIME)),
    ("/var/lib/minikube", Rule::Closed(KUBERNETES)),
    ("/var/lib/nerdctl", Rule::Closed(RUNTIME)),
    ("/var/lib/pacman", Rule::Closed(SYSTEM)),
    ("/var/lib/rancher", Rule::Closed(KUBERNETES)),
    ("/var/lib/rpm", Rule::Closed(SYSTEM)),
    ("/var/lib/snapd", Rule::Closed(SYSTEM)),
    ("/var/lib/systemd", Rule::Closed(SYSTEM)),
    ("/var/mail", Rule::Logs),
    ("/var/run", Rule::Closed(SYSTEM)),
    ("/var/run/log", Rule::Open),
    ("/var/snap", Rule::Closed(KUBERNETES)),
    ("/var/spool", Rule::Logs),
    ("/var/tmp", Rule::Shared),
    ("/var/yp", Rule::Logs),
];

/// The directories that there is a rule for, to find out whether a root is one of them under another path.
pub fn directories() -> impl Iterator<Item = &'static str> {
    RULES.iter().map(|(path, _)| *path)
}

/// Says why the directory at this path of a node is no log root, whether or not it exists.
pub fn objection(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if !path.starts_with('/') || parts.iter().any(|part| [".", ".."].contains(part)) {
        return Some("give an absolute path without .. in it".to_owned());
    }
    let of = |path: &'static str| path.split('/').skip(1).collect::<Vec<_>>();
    let held = RULES.iter().find(|(other, rule)| *rule != Rule::Open && of(other).starts_with(&parts));
    if let Some((other, _)) = held {
        let example = if of(other) == parts { String::new() } else { format!(", for example {other}") };
        return Some(format!("it holds more than logs{example}; give the directory of the logs themselves"));
    }
    let lies_in = RULES.iter().filter(|(other, _)| parts.starts_with(&of(other)));
    let (directory, rule) = lies_in.max_by_key(|(other, _)| other.len())?;
    let beneath = parts.get(of(directory).len()..).unwrap_or_default();
    match rule {
        Rule::Closed(who) => Some(format!("it lies in {directory}, {who}; no logs are kept there")),
        Rule::Logs if !beneath.iter().any(|part| says_logs(part)) => Some(format!(
            "it lies in {directory}, which holds more than logs: there, log roots are taken only with a directory called log or logs on their path"
        )),
        Rule::Logs | Rule::Shared | Rule::Open => None,
    }
}

/// Whether a name says that logs are kept there: `logs`, `app-log`, `LOGS.old`.
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
            "/etc",
            "/var/lib",
            "/home",
            "/dev",
            "/usr",
            "/usr/local",
            "/run",
            "/opt",
            "/srv",
            "/tmp",
            "/var/tmp",
            "/mnt",
            "/root",
            "/var/run",
            "/var/cache",
            "/lib64",
            "/boot",
            "/var/lib/",
            "//usr//local/",
        ] {
            let problem = objection(path).unwrap_or_default();
            assert!(problem.ends_with("give the directory of the logs themselves"), "{path}: {problem}");
        }
        assert_eq!(
            objection("/var").unwrap(),
            "it holds more than logs, for example /var/backups; give the directory of the logs themselves"
        );
    }

    #[test]
    fn nothing_in_the_directories_of_others_is_a_root() {
        for (path, who) in [
            ("/usr/bin", SYSTEM),
            ("/usr/lib/x", SYSTEM),
            ("/usr/share/logs", SYSTEM),
            ("/bin/x", SYSTEM),
            ("/lib/modules", SYSTEM),
            ("/lib64/x", SYSTEM),
            ("/proc/self", SYSTEM),
            ("/sys/x", SYSTEM),
            ("/dev/disk", SYSTEM),
            ("/etc/app", SYSTEM),
            ("/etc/kubernetes/logs", SYSTEM),
            ("/boot/efi", SYSTEM),
            ("/var/lib/dpkg", SYSTEM),
            ("/var/lib/dpkg/info", SYSTEM),
            ("/run/containerd", SYSTEM),
            ("/run/k3s/containerd/logs", SYSTEM),
            ("/var/run/docker", SYSTEM),
            ("/var/lib/containerd", RUNTIME),
            ("/var/lib/docker/containers", RUNTIME),
            ("/var/lib/containers/storage", RUNTIME),
            ("/opt/containerd/bin", RUNTIME),
            ("/var/lib/kubelet/pods/x/volumes/logs", KUBERNETES),
            ("/var/lib/rancher/k3s/agent/logs", KUBERNETES),
            ("/var/lib/etcd/member", KUBERNETES),
            ("/opt/cni/bin", KUBERNETES),
        ] {
            // The directories themselves hold something else as well.
            let problem = objection(path).unwrap_or_default();
            assert!(problem.contains(who) || problem.starts_with("it holds more than logs"), "{path}: {problem}");
        }
        assert_eq!(objection("//usr/./bin").unwrap(), "give an absolute path without .. in it");
        assert_eq!(
            objection("/usr/bin/").unwrap(),
            "it lies in /usr, where the system keeps its own files; no logs are kept there"
        );
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
    fn paths_that_mean_another_place_are_none() {
        for path in ["relative", "", "/var/log/../lib", "./x", "/var/log/./app"] {
            assert_eq!(objection(path).as_deref(), Some("give an absolute path without .. in it"), "{path}");
        }
    }
}
