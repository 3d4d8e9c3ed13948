//! One of the programs that a cluster is made of.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::containerd::last_lines;
use crate::process::end;

/// How long a program may take to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// What would send programs of this machine to talk to each other somewhere else.
const PROXIES: [&str; 6] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// A program that runs until it is stopped, and can be started again.
#[derive(Debug)]
pub(crate) struct Daemon {
    name: String,
    command: Vec<OsString>,
    log: PathBuf,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one by its command line; what it prints is appended to the log.
    pub(crate) fn start(name: &str, command: Vec<OsString>, log: PathBuf) -> anyhow::Result<Self> {
        let mut daemon = Self { name: name.to_owned(), command, log, child: None };
        daemon.resume()?;
        Ok(daemon)
    }

    /// Starts it again after [`Daemon::stop`].
    pub(crate) fn resume(&mut self) -> anyhow::Result<()> {
        if self.child.is_some() {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(&self.log).context("open a log")?;
        let Some((program, arguments)) = self.command.split_first() else { bail!("{} has no program", self.name) };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone().context("share a log")?).stderr(log);
        for variable in PROXIES {
            command.env_remove(variable);
        }
        self.child = Some(command.spawn().with_context(|| format!("start {}", self.name))?);
        Ok(())
    }

    /// Ends it.
    pub(crate) fn stop(&mut self) -> anyhow::Result<()> {
        match self.child.take() {
            Some(mut child) => end(&mut child, STOP_PATIENCE).with_context(|| format!("stop {}", self.name)),
            None => Ok(()),
        }
    }

    /// Kills it: there is nothing that it would have to put in order.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // One that has ended by itself is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// That it has not ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let ended = self.child.as_mut().map(Child::try_wait).transpose().context("look after a child")?.flatten();
        match ended {
            Some(status) => bail!("{} ended with {status}:\n{}", self.name, self.last_lines()),
            None => Ok(()),
        }
    }

    /// The last that it printed.
    pub(crate) fn last_lines(&self) -> String {
        let raw = fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&raw))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}
