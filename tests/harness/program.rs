//! What runs inside test containers: a tiny static program, compiled when first asked for, and Holystone itself.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, ensure};

use crate::config::PAUSE;
use crate::images::TestImage;

/// Waits until it is told to end. As the first process of its namespace it has to handle the signal itself: one
/// without a handler would be ignored, and every stop would take the whole grace period.
const SOURCE: &str = r#"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void leave(int signal) { (void)signal; _exit(0); }

int main(int count, char **arguments) {
    if (count == 3 && strcmp(arguments[1], "exit") == 0) return atoi(arguments[2]);
    signal(SIGTERM, leave);
    signal(SIGINT, leave);
    for (;;) pause();
}
"#;

/// The compiled program, once there is one.
static COMPILED: Mutex<Option<Arc<[u8]>>> = Mutex::new(None);

/// The archive of Holystone's image, once there is one.
static IMAGE: Mutex<Option<PathBuf>> = Mutex::new(None);

/// The program as a static executable: it waits for `SIGTERM` and exits with 0; called with `exit N` it exits at
/// once with N. Compiled once in a process, with `gcc -static`.
pub fn program() -> anyhow::Result<Arc<[u8]>> {
    // A poisoned lock means that another test failed while it held it: what is inside is whole all the same.
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(program) = &*compiled {
        return Ok(Arc::clone(program));
    }
    let program: Arc<[u8]> = compile()?.into();
    *compiled = Some(Arc::clone(&program));
    Ok(program)
}

/// The image of pod sandboxes; import it before the first pod is run.
pub fn pause_image() -> anyhow::Result<TestImage> {
    Ok(TestImage::new(PAUSE).program("pause", program()?))
}

/// An image whose containers run until they are stopped, or exit at once with code N for the arguments `exit N`.
pub fn sleep_image(tag: &str) -> anyhow::Result<TestImage> {
    Ok(TestImage::new(tag).program("sleep", program()?))
}

/// Holystone's own image, as an archive: see `deploy/image/build`. It is made once in a process, with the executable of
/// the profile dev, and cargo knows what of that to build anew. Its name is that of the manifests in `deploy`.
pub fn holystone_image() -> anyhow::Result<PathBuf> {
    let mut made = IMAGE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(archive) = &*made {
        return Ok(archive.clone());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let archive = root.join("target/image/holystone-dev.tar");
    let mut command = Command::new(root.join("deploy/image/build"));
    command.args(["--profile", "dev", "--output"]).arg(&archive).stdin(Stdio::null());
    // What cargo tells a test about its package would have build scripts run, and crates built, again.
    for (variable, _) in env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "OUT_DIR"].iter().any(|own| variable.to_string_lossy().starts_with(own)) {
            command.env_remove(variable);
        }
    }
    let output = command.output().context("run deploy/image/build")?;
    ensure!(output.status.success(), "deploy/image/build: {}", String::from_utf8_lossy(&output.stderr));
    Ok(made.insert(archive).clone())
}

/// Compiles the program in a directory that is gone afterwards.
fn compile() -> anyhow::Result<Vec<u8>> {
    let directory = tempfile::tempdir().context("make a directory to compile in")?;
    let source = directory.path().join("program.c");
    let binary = directory.path().join("program");
    fs::write(&source, SOURCE).context("write the program's source")?;
    let output = Command::new("gcc")
        .args(["-static", "-Os", "-s", "-o"])
        .args([&binary, &source])
        .stdin(Stdio::null())
        .output()
        .context("run gcc")?;
    ensure!(output.status.success(), "gcc: {}", String::from_utf8_lossy(&output.stderr));
    fs::read(&binary).context("read the compiled program")
}
