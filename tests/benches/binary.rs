//! The binary as a process: how long it runs and how much memory it takes.

#![allow(dead_code, reason = "each benchmark uses its part")]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::Memory;

/// Runs `holystone plan` with the shipped plugin.
pub(crate) struct Planner {
    cache: PathBuf,
    config: String,
}

impl Planner {
    /// With a cache in that directory.
    pub(crate) fn new(cache: &Path, config: &str) -> Self {
        Self { cache: cache.to_owned(), config: config.to_owned() }
    }

    /// From start to end.
    pub(crate) fn run(&self, source: &[&Path]) -> Duration {
        let mut command = self.command(source);
        let start = Instant::now();
        let status = command.stdout(Stdio::null()).status().unwrap();
        let elapsed = start.elapsed();
        assert!(status.success(), "holystone plan ended with {status}");
        elapsed
    }

    /// How much memory a run takes, while it prints.
    pub(crate) fn memory(&self, source: &[&Path]) -> Option<Memory> {
        memory(&mut self.command(source), 0)
    }

    fn command(&self, source: &[&Path]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holystone"));
        command.args(["plan", "--plugin", "builtin:unused-images", "--config", &self.config, "-o", "json"]);
        command.arg("--cache-dir").arg(&self.cache).args(source);
        command.stdin(Stdio::null());
        command
    }
}

/// How much memory a process takes that ends with this code.
///
/// The kernel's own high-water mark is gone with the process, and what `wait4` answers counts this process in, of
/// which the child is a copy until it starts the binary. So the child is stopped by a pipe that nobody reads, and
/// looked at each time before it is let go on: the last look comes when all but the last bytes are printed.
/// An output that fits into a pipe as a whole does not stop it: then there may be no figure.
pub(crate) fn memory(command: &mut Command, code: i32) -> Option<Memory> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut memory = None;
    let mut buffer = vec![0; 4096];
    while output.read(&mut buffer).unwrap() > 0 {
        memory = Memory::of(child.id()).or(memory);
    }
    assert_eq!(child.wait().unwrap().code(), Some(code));
    memory
}
