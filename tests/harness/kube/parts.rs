//! What a cluster is made of, and what happens where that is missing.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::process::POLL;
use crate::requirements::{Tools, containerds, is_executable, look_up, search_directories, skip, text_of};

/// The Kubernetes to test with, in place of the one that `tests/kube/build` makes.
pub(crate) const KUBE_VARIABLE: &str = "HOLYSTONE_KUBE";
/// When set, whatever a cluster lacks is an error and no longer a skipped test.
const REQUIRE_VARIABLE: &str = "HOLYSTONE_REQUIRE_KUBE";
/// Where Debian puts the plugins for the networks of pods, and where everybody else does.
const PLUGINS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];
/// How long the build may be silent: when there is nothing to do it is done at once.
const QUIET: Duration = Duration::from_secs(5);

/// What a cluster is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// All programs of Kubernetes in one, and etcd.
    pub(crate) kube: PathBuf,
    /// The plugins for the networks of pods.
    pub(crate) network_plugins: PathBuf,
    /// At least one.
    pub(crate) containerds: Vec<Tools>,
}

impl Parts {
    /// Finds them; where one is missing the test is skipped, which is said in one line.
    pub(crate) fn find(test: &str) -> anyhow::Result<Option<Self>> {
        let required = !text_of(REQUIRE_VARIABLE)?.is_empty();
        let containerds = containerds(test)?;
        if containerds.is_empty() {
            ensure!(!required, "{test} must not be skipped ({REQUIRE_VARIABLE} is set)");
            return Ok(None);
        }
        // Naming one that is not there is a mistake and no reason to skip.
        let named = PathBuf::from(text_of(KUBE_VARIABLE)?);
        let is_named = !named.as_os_str().is_empty();
        ensure!(!is_named || is_executable(&named), "{KUBE_VARIABLE} names {}, which is no program", named.display());
        let found = network_plugins().and_then(|plugins| Ok((plugins, if is_named { named } else { build()? })));
        match found {
            Ok((network_plugins, kube)) => Ok(Some(Self { kube, network_plugins, containerds })),
            Err(reason) if required => {
                Err(reason.context(format!("{test} must not be skipped ({REQUIRE_VARIABLE} is set)")))
            }
            Err(reason) => skip(test, &format!("{reason:#}")).map(|()| None),
        }
    }
}

/// The directory of the network plugins, and that there is what sets up networks.
fn network_plugins() -> anyhow::Result<PathBuf> {
    let directories = search_directories(None);
    for program in ["ip", "nsenter", "unshare"] {
        ensure!(
            look_up(program, &directories).is_some(),
            "no {program} on PATH (Debian: apt-get install iproute2 util-linux)"
        );
    }
    let complete = |directory: &PathBuf| {
        ["bridge", "host-local", "loopback"].iter().all(|plugin| is_executable(&directory.join(plugin)))
    };
    let found = PLUGINS.map(PathBuf::from).into_iter().find(complete);
    found.with_context(|| {
        format!("no network plugins in {} (Debian: apt-get install containernetworking-plugins)", PLUGINS.join(", "))
    })
}

/// Has Kubernetes built, which takes minutes the first time.
fn build() -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/build");
    let mut child = Command::new(&script)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("run {}", script.display()))?;
    let start = Instant::now();
    while child.try_wait().context("look after the build")?.is_none() && start.elapsed() < QUIET {
        thread::sleep(POLL);
    }
    if child.try_wait().context("look after the build")?.is_none() {
        // libtest captures the print macros only.
        let notice = "Kubernetes is being built for the tests, once; this takes minutes.";
        writeln!(std::io::stderr(), "{notice}").context("write to standard error")?;
    }
    let output = child.wait_with_output().context("wait for the build")?;
    if !output.status.success() {
        bail!("no Kubernetes: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
