//! What a test needs from the machine it runs on, and what happens where that is missing.

use std::env;
use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};

/// The containerd binaries to test with, separated by colons, in place of the one on `PATH`. `ctr` and the shim lie
/// beside each.
const CONTAINERD_VARIABLE: &str = "HOLYSTONE_CONTAINERD";
/// The versions that must be among them, separated by commas: `1.6,2.4`. When set, whatever is missing is an error
/// and no longer a skipped test.
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

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Version {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let numbers = text.split_once('.').map(|(major, minor)| (major.parse(), minor.parse()));
        let Some((Ok(major), Ok(minor))) = numbers else { bail!("{text:?} is no version such as 1.6") };
        Ok(Self { major, minor })
    }
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

/// Runs the body of a test once for each containerd that [`containerds`] finds. Errors and the output of a failing
/// test say which one it was.
pub async fn on_each_containerd(test: &str, body: impl AsyncFn(Tools) -> anyhow::Result<()>) -> anyhow::Result<()> {
    for tools in containerds(test)? {
        let version = tools.version;
        // libtest shows this when the test fails, also by a panic.
        println!("{test} with containerd {version}:");
        Box::pin(body(tools)).await.with_context(|| format!("with containerd {version}"))?;
    }
    Ok(())
}

/// Finds what private containerds need: containerd with its `ctr` and shim, runc, a C compiler for the program
/// inside the test images, and root.
///
/// `HOLYSTONE_CONTAINERD` names the containerds, in place of the one on `PATH`. One that cannot be run is left out
/// after one line on standard error that says so. With `HOLYSTONE_REQUIRE_CONTAINERD` set that is an error, and so is
/// a version it names that was not found: a CI job that means to run these tests cannot pass without having done so.
pub fn containerds(test: &str) -> anyhow::Result<Vec<Tools>> {
    let required = required(&text_of(REQUIRE_VARIABLE)?)?;
    let mut found = Vec::new();
    for containerd in named(&text_of(CONTAINERD_VARIABLE)?)? {
        match find(containerd) {
            Ok(tools) => found.push(tools),
            Err(reason) if required.is_empty() => skip(test, &format!("{reason:#}"))?,
            Err(reason) => {
                return Err(reason.context(format!("{test} must not be skipped ({REQUIRE_VARIABLE} is set)")));
            }
        }
    }
    let versions: Vec<Version> = found.iter().map(|tools| tools.version).collect();
    if let Some(absent) = required.iter().find(|version| !versions.contains(version)) {
        bail!("{REQUIRE_VARIABLE} wants {test} to run with containerd {absent}: name one in {CONTAINERD_VARIABLE}");
    }
    Ok(found)
}

/// Says that a test, or its part for one containerd, is skipped.
pub fn skip(test: &str, reason: &str) -> anyhow::Result<()> {
    // libtest captures the print macros only: written straight to the stream, the line is always seen.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").context("write to standard error")
}

/// Says that a test is skipped because the machine lacks something other than a containerd. Where containerds are
/// required everything is, and it is an error.
pub fn missing(test: &str, what: &str) -> anyhow::Result<()> {
    ensure!(text_of(REQUIRE_VARIABLE)?.is_empty(), "{test} cannot run: {what}");
    skip(test, what)
}

/// A variable's value; empty where it is not set.
pub(crate) fn text_of(variable: &str) -> anyhow::Result<String> {
    let value = env::var_os(variable).unwrap_or_default();
    value.into_string().map_err(|value| anyhow::anyhow!("{variable} is not UTF-8: {}", value.display()))
}

/// The containerds of a list; nothing stands for the one on `PATH`. Naming one that is not there is a mistake and no
/// reason to skip.
fn named(list: &str) -> anyhow::Result<Vec<Option<PathBuf>>> {
    let paths: Vec<PathBuf> = list.split(':').filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    if let Some(absent) = paths.iter().find(|path| !is_executable(path)) {
        bail!("{CONTAINERD_VARIABLE} names {}, which is no program", absent.display());
    }
    Ok(if paths.is_empty() { vec![None] } else { paths.into_iter().map(Some).collect() })
}

/// The versions of a list.
fn required(list: &str) -> anyhow::Result<Vec<Version>> {
    let versions = list.split(',').map(str::trim).filter(|version| !version.is_empty());
    versions.map(|version| version.parse().context(REQUIRE_VARIABLE)).collect()
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
    ensure!(rustix::process::geteuid().is_root(), "a private containerd needs root");
    let version = version_of(&containerd)?;
    Ok(Tools { containerd, ctr, shim, runc, version })
}

/// Where programs are looked for: beside a named containerd, then `PATH`, then where Debian puts runc, which is
/// not on every user's `PATH`.
pub(crate) fn search_directories(named: Option<&Path>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = named.and_then(Path::parent).map(Path::to_path_buf).into_iter().collect();
    directories.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    directories.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    directories
}

/// The first program of that name.
pub(crate) fn look_up(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|path| is_executable(path))
}

/// Whether there is a file that can be run.
pub(crate) fn is_executable(path: &Path) -> bool {
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
    fn a_list_names_containerds_and_an_empty_one_the_one_on_the_path() -> anyhow::Result<()> {
        assert_eq!(named("")?, [None]);
        assert_eq!(named("/bin/true:/bin/false")?, ["/bin/true", "/bin/false"].map(|path| Some(PathBuf::from(path))));
        let error = named("/bin/true:/no/containerd").map_err(|error| error.to_string());
        assert_eq!(error, Err("HOLYSTONE_CONTAINERD names /no/containerd, which is no program".to_owned()));
        Ok(())
    }

    #[test]
    fn versions_are_required_by_their_numbers() -> anyhow::Result<()> {
        assert_eq!(required("")?, []);
        assert_eq!(required("1.6, 2.4")?, [Version { major: 1, minor: 6 }, Version { major: 2, minor: 4 }]);
        for mistake in ["1", "yes", "1.6.20", "2.x"] {
            assert!(required(mistake).is_err(), "{mistake}");
        }
        Ok(())
    }

    #[test]
    fn a_program_is_found_by_its_name_only_where_it_can_be_run() {
        assert!(look_up("sh", &search_directories(None)).is_some());
        assert!(look_up("passwd", &[PathBuf::from("/etc")]).is_none());
        assert!(look_up("no-such-program", &search_directories(None)).is_none());
    }
}
