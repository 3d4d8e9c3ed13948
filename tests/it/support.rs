//! Running the binary as a user does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use holystone_tests::Containerd;
use rustix::process::{Pid, Signal, kill_process};
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

/// The component of a shipped plugin, where the build of the binary leaves it: in the folder of plugins beside the
/// profile's folder.
pub(crate) fn component(file: &str) -> PathBuf {
    let profile = Path::new(env!("CARGO_BIN_EXE_holystone")).parent().expect("a folder of the profile");
    // With --target there is a folder more.
    let built = |target: &Path| target.join("plugins/wasm32-wasip2/plugin").join(file);
    let mut candidates = profile.ancestors().skip(1).take(2).map(built);
    candidates.find(|path| path.is_file()).unwrap_or_else(|| panic!("{file} was not built"))
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
    command.output().expect("the binary starts").into()
}

impl From<Output> for Ended {
    fn from(Output { status, stdout, stderr }: Output) -> Self {
        Self {
            code: status.code().unwrap_or(-1),
            stdout: String::from_utf8(stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(stderr).expect("UTF-8 on standard error"),
        }
    }
}

/// A run that goes on while a test does something to it or to its node.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary starts"))
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.0.try_wait().expect("the state of the binary").is_some()
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    pub(crate) fn end(self) -> Ended {
        self.0.wait_with_output().expect("the end of the binary").into()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.id().try_into().expect("a process id")).expect("a process id");
        kill_process(id, signal).expect("a running binary");
    }

    /// Ends it at once, without any chance to clean up.
    pub(crate) fn kill(mut self) {
        self.0.kill().expect("a running binary");
        self.0.wait().expect("the end of the binary");
    }
}

/// The ids of the images in a plan's or report's steps; each is there once.
pub(crate) fn steps(result: &Value) -> BTreeSet<String> {
    let steps: Vec<String> =
        result["images"]["steps"].as_array().unwrap().iter().map(|step| text(&step["target"])).collect();
    let set: BTreeSet<String> = steps.iter().cloned().collect();
    assert_eq!(set.len(), steps.len());
    set
}

/// The result of the step about this image.
pub(crate) fn result<'a>(report: &'a Value, image: &str) -> &'a Value {
    let steps = report["images"]["steps"].as_array().unwrap();
    steps.iter().find(|step| step["target"] == image).unwrap_or_else(|| panic!("no step about {image}"))
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
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
    let ended = Ended::from(child.wait_with_output().expect("the binary ends"));
    drop(over);
    watch.join().unwrap();
    ended
}

/// A `run` (or `plan`) in which these plugins decide, each by its config: all but the node and how to
/// print the result. The pods of these nodes have just been started, so no image is too young unless a later
/// `--min-age` says so.
pub(crate) fn deciding(verb: &str, plugins: &[(&Path, &str)]) -> Command {
    let mut command = holystone();
    command.arg(verb).arg("--cache-dir").arg(cache()).args(["--min-age", "0s"]);
    if verb == "run" {
        // Nobody is there to be asked; a test with a terminal takes it away again.
        command.arg("--yes");
    }
    for (plugin, config) in plugins {
        command.arg("--plugin").arg(plugin).args(["--config", config]);
    }
    command
}

/// The same of one plugin.
pub(crate) fn policy(verb: &str, plugin: impl AsRef<OsStr>, config: &str) -> Command {
    deciding(verb, &[(Path::new(plugin.as_ref()), config)])
}

/// The command line of a `run` (or `plan`) of one plugin on an endpoint, with the result as JSON. The node is
/// remembered beside its socket.
pub(crate) fn sweep(verb: &str, plugin: impl AsRef<OsStr>, config: &str, endpoint: &str, more: &[&str]) -> Command {
    let mut command = policy(verb, plugin, config);
    on(&mut command, endpoint).args(["-o", "json"]).args(more);
    command
}

/// Names the node of a command.
pub(crate) fn on<'a>(command: &'a mut Command, endpoint: &str) -> &'a mut Command {
    command.args(["--endpoint", endpoint, "--state-dir"]).arg(state_dir(endpoint))
}

/// Where a node is remembered, for the tests on it: in a directory beside its socket.
pub(crate) fn state_dir(endpoint: &str) -> PathBuf {
    Path::new(endpoint.trim_start_matches("unix://")).with_file_name("holystone-state")
}

/// `run` (or `plan`) of the plugin unused-images on an endpoint, as JSON.
pub(crate) fn unused_images(verb: &str, endpoint: &str, config: &str, more: &[&str]) -> Ended {
    end(&mut sweep(verb, "builtin:unused-images", config, endpoint, more))
}

/// Runs the body of a test with a private containerd of each version that the machine has, see
/// [`holystone_tests::containerds`]; in memory where there is room, for containerd waits for the disk at each step.
pub(crate) async fn on_each_containerd(
    test: &str,
    body: impl AsyncFn(Containerd) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let memory = Path::new("/dev/shm");
    let roomy = rustix::fs::statvfs(memory).is_ok_and(|it| it.f_bavail.saturating_mul(it.f_frsize) > 1 << 30);
    let parent = if roomy { memory.to_path_buf() } else { std::env::temp_dir() };
    holystone_tests::on_each_containerd(test, async |tools| {
        body(Containerd::start_beneath(&tools, &parent).await?).await
    })
    .await
}
