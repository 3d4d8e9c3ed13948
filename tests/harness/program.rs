//! The one program that runs inside test containers: a tiny static one, compiled when first asked for.

use std::fs;
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
