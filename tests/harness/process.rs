//! Looking at, ending and waiting for processes, always one at a time and by id.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often something that has no notification is looked at again.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// The ids of the live processes on whose command line one argument is, or lies beneath, the given path.
///
/// A private containerd is known by its directory: the daemon has its configuration file on its command line, each
/// shim the daemon's socket.
pub fn processes_naming(path: &Path) -> anyhow::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc").context("list /proc")?;
    let ids = entries.filter_map(Result::ok).filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(ids.filter(|id| command_line(*id).iter().any(|argument| names(argument, path))).collect())
}

/// The arguments of a process; none for one that has ended.
fn command_line(id: i32) -> Vec<Vec<u8>> {
    let raw = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    raw.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// What a process was called as, without the directory; empty for one that has ended.
pub(crate) fn program_name(id: i32) -> String {
    let called = command_line(id).into_iter().next().unwrap_or_default();
    let called = String::from_utf8_lossy(&called).into_owned();
    Path::new(&called).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Whether an argument is that path or one beneath it.
fn names(argument: &[u8], path: &Path) -> bool {
    Path::new(std::ffi::OsStr::from_bytes(argument)).starts_with(path)
}

/// Kills one process; one that has already ended is fine.
pub(crate) fn kill(id: i32) -> anyhow::Result<()> {
    let Some(process) = Pid::from_raw(id) else { bail!("{id} is no process id") };
    match kill_process(process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("kill process {id}")),
    }
}

/// Asks a child to end, and kills it where it has not done so within the time.
pub(crate) fn end(child: &mut Child, patience: Duration) -> anyhow::Result<()> {
    if let Some(process) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // A child that has not been waited for keeps its id, so that this cannot hit another process.
        let _ = kill_process(process, Signal::TERM);
    }
    if ends_within(child, patience)? {
        return Ok(());
    }
    child.kill().context("kill a child")?;
    child.wait().context("wait for a killed child")?;
    Ok(())
}

/// Runs a command to its end, but no longer than the time given, and answers whether it succeeded.
pub(crate) fn run_bounded(command: &mut Command, patience: Duration) -> anyhow::Result<bool> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if !ends_within(&mut child, patience)? {
        child.kill()?;
    }
    Ok(child.wait()?.success())
}

/// Whether a child ends within the time.
fn ends_within(child: &mut Child, patience: Duration) -> anyhow::Result<bool> {
    let start = Instant::now();
    while child.try_wait().context("look after a child")?.is_none() {
        if start.elapsed() > patience {
            return Ok(false);
        }
        thread::sleep(POLL);
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_by_a_path_on_its_command_line() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        // The shell does not run `sleep` in its own place because of the second command: it keeps the argument.
        let script = "sleep 60; true";
        let mut child = Command::new("sh").args(["-c", script]).arg(directory.path().join("x")).spawn()?;
        // Between fork and exec the command line is still this process's own.
        let start = Instant::now();
        let mut found = Vec::new();
        while found.is_empty() && start.elapsed() < Duration::from_secs(5) {
            found = processes_naming(directory.path())?;
        }
        let id = i32::try_from(child.id())?;
        let sleeps = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        end(&mut child, Duration::from_secs(2))?;
        for sleep in sleeps.split_whitespace() {
            kill(sleep.parse()?)?;
        }
        assert_eq!(found, [id]);
        Ok(())
    }

    #[test]
    fn a_command_that_never_ends_is_ended() -> anyhow::Result<()> {
        let start = Instant::now();
        assert!(!run_bounded(Command::new("sleep").arg("60"), Duration::from_millis(100))?);
        assert!(start.elapsed() < Duration::from_secs(5));
        Ok(())
    }
}
