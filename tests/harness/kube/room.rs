//! Namespaces that make a part of this machine look like a machine of its own.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

/// Namespaces that live as long as the process that holds them. What was mounted and what networks were made in them is
/// gone once that process and everything else that runs in them has ended.
#[derive(Debug)]
pub(crate) struct Room {
    holder: Child,
}

impl Room {
    /// Opens one: new namespaces by those options of `unshare`, in which a script is run to its end.
    pub(crate) fn open(options: &[&str], script: &str, argument: &Path) -> anyhow::Result<Self> {
        let holder = Command::new("unshare")
            .args(options)
            .args(["sh", "-ec", &format!("{script}\necho ready\nexec sleep infinity"), "sh"])
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("run unshare")?;
        let mut room = Self { holder };
        let (Some(output), Some(mut errors)) = (room.holder.stdout.take(), room.holder.stderr.take()) else {
            bail!("unshare has no output");
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).context("listen to unshare")?;
        if line.trim() != "ready" {
            let mut complaint = String::new();
            errors.read_to_string(&mut complaint).context("listen to unshare")?;
            bail!("namespaces cannot be made: {}", complaint.trim());
        }
        Ok(room)
    }

    /// The id of the process that holds it.
    pub(crate) fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// What a command line has to start with to be run in here. The process keeps the id that it was spawned with.
    pub(crate) fn entering(&self) -> Vec<OsString> {
        let holder = self.holder.id().to_string();
        ["nsenter", "--target", &holder, "--net", "--mount", "--"].map(OsString::from).into()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
