//! What a test needs from the machine it runs on, and what happens where that is missing.

use std::env;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Names a containerd binary to use in place of the one on `PATH`; `ctr` and the shim lie beside it.
const CONTAINERD_VARIABLE: &str = "HOLYSTONE_CONTAINERD";
/// When set and not empty, a missing requirement is an error and no longer a skipped test.
const REQUIRE_VARIABLE: &str = "HOLYSTONE_REQUIRE_CONTAINERD";
/// The name of containerd's shim for runc.
const SHIM: &str = "containerd-shim-runc-v2";

/// The major and minor version of a containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1 or 2.
    pub major: u32,
    /// 6 for containerd 1.6.20.
    pub minor: u32,
}

/// The programs a private containerd is made of.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The daemon.
    pub containerd: PathBuf,
    /// Its command line client, which imports images.
    pub ctr: PathBuf,
    /// The shim of the runc runtime.
    pub shim: PathBuf,
    /// The OCI runtime.
    pub runc: PathBuf,
    /// Which containerd it is.
    pub version: Version,
}

/// Finds what a private containerd needs: containerd with its `ctr` and shim, runc, a C compiler for the program
/// inside the test images, and root.
///
/// `HOLYSTONE_CONTAINERD` names another containerd than the one on `PATH`. Where something is missing the answer
/// is `None` after one line on standard error that says so, and the test is to return; with
/// `HOLYSTONE_REQUIRE_CONTAINERD` set it is an error, so that a CI job that means to run these tests cannot pass
/// without having done so.
pub fn containerd_or_skip(test: &str) -> anyhow::Result<Option<Tools>> {
    let reason = match find(named()?) {
        Ok(tools) => return Ok(Some(tools)),
        Err(reason) => reason,
    };
    if env::var_os(REQUIRE_VARIABLE).is_some_and(|value| !value.is_empty()) {
        return Err(reason.context(format!("{test} needs a containerd ({REQUIRE_VARIABLE} is set)")));
    }
    // libtest captures the print macros only: written straight to the stream, the line is always seen.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason:#}").context("write to standard error")?;
    Ok(None)
}

/// The containerd the environment names. Naming one that is not there is a mistake and no reason to skip.
fn named() -> anyhow::Result<Option<PathBuf>> {
    let value = env::var_os(CONTAINERD_VARIABLE).filter(|value| !value.is_empty());
    let Some(path) = value.map(PathBuf::from) else {
        return Ok(None);
    };
    ensure!(is_executable(&path), "{CONTAINERD_VARIABLE} names {}, which is no program", path.display());
    Ok(Some(path))
}

/// Finds every program, or says what is missing.
fn find(named: Option<PathBuf>) -> anyhow::Result<Tools> {
    let directories = search_directories(named.as_deref());
    let containerd = named.or_else(|| look_up("containerd", &directories));
    let found = ["ctr", SHIM, "runc", "gcc"].map(|name| (name, look_up(name, &directories)));
    let mut missing: Vec<&str> = found.iter().filter(|(_, path)| path.is_none()).map(|(name, _)| *name).collect();
    if containerd.is_none() {
        missing.insert(0, "containerd");
    }
    let [(_, ctr), (_, shim), (_, runc), _] = found;
    let (Some(containerd), Some(ctr), Some(shim), Some(runc), true) = (containerd, ctr, shim, runc, missing.is_empty())
    else {
        bail!("no {} on PATH (Debian: apt-get install containerd runc gcc)", missing.join(", no "));
    };
    if !rustix::process::geteuid().is_root() {
        bail!("a private containerd needs root");
    }
    let version = version_of(&containerd)?;
    Ok(Tools { containerd, ctr, shim, runc, version })
}

/// Where programs are looked for: beside a named containerd, then `PATH`, then where Debian puts runc, which is
/// not on every user's `PATH`.
fn search_directories(named: Option<&Path>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = named.and_then(Path::parent).map(Path::to_path_buf).into_iter().collect();
    directories.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    directories.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    directories
}

/// The first program of that name.
fn look_up(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|path| is_executable(path))
}

/// Whether there is a file that can be run.
fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Asks a containerd which version it is.
fn version_of(containerd: &Path) -> anyhow::Result<Version> {
    let output = Command::new(containerd)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("run {} --version", containerd.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("no version in what {} says: {text:?}", containerd.display()))
}

/// Reads `containerd github.com/containerd/containerd 1.6.20~ds1 …`: the first word that looks like a version.
fn parse_version(text: &str) -> Option<Version> {
    text.split_whitespace().find_map(|word| {
        let mut numbers = word.trim_start_matches('v').split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Version { major, minor })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_containerd_prints() {
        let debian = "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n";
        assert_eq!(parse_version(debian), Some(Version { major: 1, minor: 6 }));
        let upstream = "containerd github.com/containerd/containerd/v2 v2.4.2 0123abc\n";
        assert_eq!(parse_version(upstream), Some(Version { major: 2, minor: 4 }));
        assert_eq!(parse_version("containerd"), None);
    }

    #[test]
    fn a_program_is_found_by_its_name_only_where_it_can_be_run() {
        assert!(look_up("sh", &search_directories(None)).is_some());
        assert!(look_up("passwd", &[PathBuf::from("/etc")]).is_none());
        assert!(look_up("no-such-program", &search_directories(None)).is_none());
    }
}
