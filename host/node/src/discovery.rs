//! The search for a container runtime's socket.
//!
//! [`discover`] reads crictl's settings first, then tries the well-known sockets. Of these, only a socket that answers
//! CRI v1 counts. If several answer, discovery fails, because cleaning the wrong runtime is worse than asking.
//! Processes and the kubelet's configuration are not inspected.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;

use crate::cri::{Cri, Options};
use crate::endpoint::{Endpoint, MalformedEndpoint};

/// The usual sockets of runtimes, most common first, relative to the root.
pub const WELL_KNOWN: [&str; 8] = [
    "run/containerd/containerd.sock",
    "var/run/containerd/containerd.sock",
    // k3s and rke2.
    "run/k3s/containerd/containerd.sock",
    "run/k0s/containerd.sock",
    "var/snap/microk8s/common/run/containerd.sock",
    "run/crio/crio.sock",
    "var/run/crio/crio.sock",
    "run/cri-dockerd.sock",
];

/// The time limit for connecting to a well-known socket, and for each call on it, when all of them are tried.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The reason why discovery found no endpoint to use.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// `CONTAINER_RUNTIME_ENDPOINT` does not hold an endpoint.
    #[error("the environment variable CONTAINER_RUNTIME_ENDPOINT: {0}")]
    Variable(#[source] MalformedEndpoint),
    /// crictl's configuration cannot be used.
    #[error("{}: {problem}; correct it, or choose with --endpoint", .file.display())]
    CrictlYaml {
        /// The file.
        file: PathBuf,
        /// The defect of the file.
        problem: String,
    },
    /// Several runtimes answer.
    #[error("several container runtimes answer here: {}; choose one with --endpoint", list(.0))]
    Several(
        /// The sockets that answer CRI v1.
        Vec<Endpoint>,
    ),
    /// No runtime answers.
    #[error("no container runtime answers here; {}; name its socket with --endpoint", tried(.failed, .missing))]
    None {
        /// Reasons why the existing sockets do not count.
        failed: Vec<String>,
        /// Paths without a socket.
        missing: Vec<PathBuf>,
    },
}

fn list(endpoints: &[Endpoint]) -> String {
    endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(", ")
}

fn tried(failed: &[String], missing: &[PathBuf]) -> String {
    let missing: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
    let missing = format!("there is nothing at {}", missing.join(", "));
    if failed.is_empty() { missing } else { format!("{}; {missing}", failed.join("; ")) }
}

/// The places that [`discover`] searches.
#[derive(Clone, Debug)]
pub struct DiscoveryEnv {
    /// Value of `CONTAINER_RUNTIME_ENDPOINT`, the variable that crictl reads.
    pub variable: Option<String>,
    /// crictl's configuration file.
    pub crictl_yaml: PathBuf,
    /// Root of the well-known sockets.
    pub root: PathBuf,
    /// Path of the node's `/run` as this process sees it, if the two differ. If set, only the sockets in it count.
    pub run_dir: Option<PathBuf>,
}

impl Default for DiscoveryEnv {
    fn default() -> Self {
        Self { variable: None, crictl_yaml: PathBuf::from("/etc/crictl.yaml"), root: PathBuf::from("/"), run_dir: None }
    }
}

impl DiscoveryEnv {
    /// Returns the places of this process, which may see the node's `/run` at another path.
    pub fn from_environment(run_dir: Option<PathBuf>) -> Self {
        Self { variable: std::env::var("CONTAINER_RUNTIME_ENDPOINT").ok(), run_dir, ..Self::default() }
    }

    /// Returns the paths of the well-known sockets.
    fn sockets(&self) -> Vec<PathBuf> {
        match &self.run_dir {
            Some(run) => WELL_KNOWN.iter().filter_map(|path| Some(run.join(path.strip_prefix("run/")?))).collect(),
            None => WELL_KNOWN.iter().map(|path| self.root.join(path)).collect(),
        }
    }
}

/// Finds the runtime: the endpoint of the environment or of crictl's configuration, untried, else the only well-known
/// socket that answers CRI v1. If [`DiscoveryEnv::run_dir`] is set, environment and configuration are ignored.
///
/// # Errors
/// Fails if a setting cannot be read, or if not exactly one runtime answers.
pub async fn discover(env: &DiscoveryEnv) -> Result<Endpoint, DiscoveryError> {
    if env.run_dir.is_some() {
        return probe(env.sockets()).await;
    }
    if let Some(value) = env.variable.as_deref().filter(|value| !value.trim().is_empty()) {
        return value.trim().parse().map_err(DiscoveryError::Variable);
    }
    match from_crictl_yaml(&env.crictl_yaml)? {
        Some(endpoint) => Ok(endpoint),
        None => probe(env.sockets()).await,
    }
}

/// The one crictl setting that discovery uses.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct CrictlYaml {
    runtime_endpoint: Option<String>,
}

fn from_crictl_yaml(file: &Path) -> Result<Option<Endpoint>, DiscoveryError> {
    let broken = |problem: String| DiscoveryError::CrictlYaml { file: file.to_owned(), problem };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(broken(format!("cannot be read: {error}"))),
    };
    let settings: Option<CrictlYaml> =
        serde_saphyr::from_str(&text).map_err(|error| broken(format!("is not crictl's configuration: {error}")))?;
    let value = settings.and_then(|settings| settings.runtime_endpoint).unwrap_or_default();
    match value.trim() {
        "" => Ok(None),
        value => value.parse().map(Some).map_err(|error: MalformedEndpoint| broken(error.to_string())),
    }
}

async fn probe(sockets: Vec<PathBuf>) -> Result<Endpoint, DiscoveryError> {
    let (present, missing) = existing(sockets);
    let answers = join_all(present.iter().map(|endpoint| Cri::connect(endpoint, Options::probe(PROBE_TIMEOUT)))).await;
    let (mut answering, mut failed) = (Vec::new(), Vec::new());
    for (endpoint, answer) in present.into_iter().zip(answers) {
        match answer {
            Ok(_) => answering.push(endpoint),
            Err(error) => failed.push(error.to_string()),
        }
    }
    match answering.len() {
        0 => Err(DiscoveryError::None { failed, missing }),
        1 => Ok(answering.remove(0)),
        _ => Err(DiscoveryError::Several(answering)),
    }
}

/// Splits the paths into existing and missing ones. A file that several paths lead to is returned once.
fn existing(sockets: Vec<PathBuf>) -> (Vec<Endpoint>, Vec<PathBuf>) {
    let (mut present, mut missing, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    for path in sockets {
        let file = match std::fs::metadata(&path) {
            Ok(metadata) => Some((metadata.dev(), metadata.ino())),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                missing.push(path);
                continue;
            }
            // No permission to look: connecting gives the better message.
            Err(_) => None,
        };
        if file.is_none_or(|file| !seen.contains(&file)) {
            seen.extend(file);
            present.push(Endpoint::new(path));
        }
    }
    (present, missing)
}

#[cfg(test)]
mod tests;
