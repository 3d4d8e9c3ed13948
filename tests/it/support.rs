//! Running the binary as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// How a run of the binary ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary with a clean environment and a cache of compiled plugins that all tests share.
pub(crate) fn holystone() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", scratch()).stdin(Stdio::null());
    command
}

/// A directory that outlives single tests.
pub(crate) fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The cache of compiled plugins that all tests share.
pub(crate) fn cache() -> PathBuf {
    scratch().join("plugin-cache")
}

/// Runs the binary with these arguments to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    end(holystone().args(arguments))
}

/// Runs a prepared command to its end.
pub(crate) fn end(command: &mut Command) -> Ended {
    let Output { status, stdout, stderr } = command.output().expect("the binary starts");
    Ended {
        code: status.code().unwrap_or(-1),
        stdout: String::from_utf8(stdout).expect("UTF-8 on standard output"),
        stderr: String::from_utf8(stderr).expect("UTF-8 on standard error"),
    }
}

impl Ended {
    /// The result, when JSON was asked for.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }

    /// Checks the exit code; shows everything when it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "\nstdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }
}

/// `run` (or `plan`) of the plugin unused-images on an endpoint, as JSON.
pub(crate) fn unused_images(verb: &str, endpoint: &str, config: &str, more: &[&str]) -> Ended {
    end(unused_images_command(verb, endpoint, config).args(["-o", "json"]).args(more))
}

/// The same, not started and without a format. The node is remembered beside its socket. No image is too young,
/// unless `--min-age` says so: a later one counts.
pub(crate) fn unused_images_command(verb: &str, endpoint: &str, config: &str) -> Command {
    let mut command = holystone();
    command.args([verb, "--plugin", "builtin:unused-images", "--config", config, "--endpoint", endpoint]);
    command.arg("--cache-dir").arg(cache()).arg("--state-dir").arg(state_dir(endpoint)).args(["--min-age", "0s"]);
    command
}

/// Where a node is remembered, for the tests on it: in a directory beside its socket.
pub(crate) fn state_dir(endpoint: &str) -> PathBuf {
    Path::new(endpoint.trim_start_matches("unix://")).with_file_name("state")
}

/// A private containerd for one test, in memory where there is room: containerd waits for the disk at each step.
/// `None`, after a visible line, on a machine that cannot run one.
pub(crate) async fn containerd(test: &str) -> anyhow::Result<Option<holystone_tests::Containerd>> {
    let Some(tools) = holystone_tests::containerd_or_skip(test)? else {
        return Ok(None);
    };
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|it| it.f_bavail.saturating_mul(it.f_frsize) > 1 << 30);
    let parent = if roomy { memory.to_path_buf() } else { std::env::temp_dir() };
    Ok(Some(holystone_tests::Containerd::start_beneath(&tools, &parent).await?))
}
