//! Running the binary as a user does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

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
    Ended::of(command.output().expect("the binary starts"))
}

impl Ended {
    fn of(Output { status, stdout, stderr }: Output) -> Self {
        Self {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(stderr).expect("UTF-8 on standard error"),
        }
    }

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

/// Runs a prepared command, and kills it when it takes longer.
pub(crate) fn end_within(command: &mut Command, limit: Duration) -> Ended {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let pid = rustix::process::Pid::from_child(&child);
    let (over, waiting) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if waiting.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let ended = Ended::of(child.wait_with_output().expect("the binary ends"));
    drop(over);
    watch.join().unwrap();
    ended
}

/// A `run` (or `plan`) in which these plugins decide, each by its config.
pub(crate) fn deciding(verb: &str, plugins: &[(&Path, &str)]) -> Command {
    let mut command = holystone();
    command.arg(verb).arg("--cache-dir").arg(cache());
    for (plugin, config) in plugins {
        command.arg("--plugin").arg(plugin).args(["--config", config]);
    }
    command
}

/// `run` (or `plan`) of the plugin unused-images on an endpoint, as JSON.
pub(crate) fn unused_images(verb: &str, endpoint: &str, config: &str, more: &[&str]) -> Ended {
    let mut command = deciding(verb, &[(Path::new("builtin:unused-images"), config)]);
    end(command.args(["--endpoint", endpoint, "-o", "json"]).args(more))
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
