//! The compilation of crates of this workspace to WebAssembly components. Two build scripts share it: that of the
//! binary, which embeds the shipped plugins, and that of the tests, which have guests of their own.
//!
//! A second cargo compiles the crates, with a target directory of its own inside the first one's: the outer build holds
//! the lock of its own directory. No heavy dependency is in both builds.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Target that plugins are compiled for.
const TARGET: &str = "wasm32-wasip2";

/// Compiles every crate in a folder of the workspace. Returns their names, sorted, and the directory of the components.
pub(crate) fn components(workspace: &Path, folder: &str) -> Result<(Vec<String>, PathBuf), Box<dyn Error>> {
    let packages = packages(&workspace.join(folder))?;
    watch(workspace, folder);
    check_target()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let directory = compile(workspace, &target_directory(&out)?, &packages)?;
    Ok((packages, directory))
}

/// Returns the name of the component file that a crate compiles to.
pub(crate) fn file_name(package: &str) -> String {
    format!("{}.wasm", package.replace('-', "_"))
}

/// Lists the crates in a folder, sorted by name. Each has the name of its own folder.
fn packages(directory: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Makes cargo rerun the build script when a source of a plugin changes; the inner cargo then knows what to rebuild.
fn watch(workspace: &Path, folder: &str) {
    for part in
        [folder, "plugins/components.rs", "wit", "host/core/src", "host/core/Cargo.toml", "Cargo.toml", "Cargo.lock"]
    {
        println!("cargo::rerun-if-changed={}", workspace.join(part).display());
    }
}

/// Checks that the target is installed, and otherwise tries to add it. rustup installs the target with the toolchain
/// that `rust-toolchain.toml` names, but does not add it to a toolchain that was there before.
fn check_target() -> Result<(), Box<dyn Error>> {
    if has_target()? {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).output();
    if added.is_ok_and(|output| output.status.success()) && has_target()? {
        return Ok(());
    }
    Err(format!("Rust's target {TARGET}, which the plugins are compiled for, is missing: run `rustup target add {TARGET}` and build again.").into())
}

fn has_target() -> Result<bool, Box<dyn Error>> {
    let rustc = env::var("RUSTC")?;
    let output = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    let directory = String::from_utf8(output.stdout)?;
    Ok(output.status.success() && Path::new(directory.trim()).is_dir())
}

/// Returns a directory inside the outer build's target directory, the same for all of its profiles.
fn target_directory(out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    // OUT_DIR is <target>/[<triple>/]<profile>/build/<package>/out.
    let profile = out.ancestors().nth(3).ok_or("OUT_DIR is not where cargo puts it")?;
    let parent = profile.parent().ok_or("OUT_DIR is not where cargo puts it")?;
    let triple = env::var("TARGET")?;
    let target = if parent.ends_with(&triple) { parent.parent().unwrap_or(parent) } else { parent };
    Ok(target.join("plugins"))
}

fn compile(workspace: &Path, target_directory: &Path, plugins: &[String]) -> Result<PathBuf, Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    cargo.current_dir(workspace).args(["build", "--lib", "--profile", "plugin", "--target", TARGET]);
    cargo.arg("--target-dir").arg(target_directory);
    for plugin in plugins {
        cargo.args(["--package", plugin]);
    }
    // Panic messages contain paths, which reveal details of the build machine and do not help a reader.
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))?;
    let remap = |from: &str, to: &str| format!("--remap-path-prefix={from}={to}");
    let flags = [remap(&home, "/cargo"), remap(&workspace.display().to_string(), "/holystone")];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    // Wrappers and targets of the outer build are meant for native code (clippy, a cross build).
    for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(variable);
    }
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(format!(
            "the plugins do not compile: {}",
            String::from_utf8_lossy(&output.stderr).replace('\n', " ")
        )
        .into());
    }
    Ok(target_directory.join(TARGET).join("plugin"))
}
