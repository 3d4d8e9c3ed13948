//! What a user may give for a plugin that is none.

use std::fs::{self, File};
use std::path::PathBuf;

use holystone_tests::misbehave;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::json;
use tempfile::TempDir;

use super::{attack, guest};

/// A file with this content, and the directory that it goes away with.
fn file(content: &[u8]) -> (PathBuf, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("plugin.wasm");
    fs::write(&path, content).unwrap();
    (path, directory)
}

#[track_caller]
fn is_refused(content: &[u8], reason: &str, words: &str) {
    let (path, _directory) = file(content);
    attack(path).is_stopped(reason, &[words]);
}

#[test]
fn an_empty_file_is_no_plugin() {
    is_refused(b"", "NotAComponent", "the file is empty");
}

#[test]
fn text_is_no_plugin() {
    is_refused(b"hello", "NotAComponent", "it is not WebAssembly");
    is_refused(b"(component)", "NotAComponent", "it is WebAssembly text");
    is_refused("\u{1b}[31m".as_bytes(), "NotAComponent", "it is not WebAssembly");
}

#[test]
fn a_core_module_is_no_plugin() {
    is_refused(b"\0asm\x01\0\0\0", "NotAComponent", "build it for wasm32-wasip2");
}

/// What `wasmtime compile` writes begins like this; a unit test of the runtime has a whole one.
#[test]
fn precompiled_code_is_no_plugin() {
    is_refused(b"\x7fELF\x02\x01\x01 and so on", "NotAComponent", "it is native code (perhaps precompiled Wasm)");
}

#[test]
fn half_a_plugin_is_no_plugin() {
    let component = fs::read(misbehave()).unwrap();
    is_refused(&component[..component.len() / 2], "CompileFailed", "it cannot be compiled");
    is_refused(&component[..9], "CompileFailed", "it cannot be compiled");
}

#[test]
fn a_component_that_is_no_plugin_is_told_what_it_lacks() {
    is_refused(b"\0asm\x0d\0\x01\0", "IncompatibleApi", "holystone:node/cleaner@0.1.0");
}

#[test]
fn components_that_multiply_are_not_compiled() {
    guest("nested").is_stopped("CompileFailed", &["multiply to more than can be compiled"]);
}

#[test]
fn a_file_of_200_mb_is_not_read() {
    let (path, _directory) = file(b"");
    // Of which nothing takes place on the disk.
    File::options().write(true).open(&path).unwrap().set_len(200_000_000).unwrap();
    attack(path).is_stopped("FetchFailed", &["has more than 64 MiB, which is the most that is read"]);
}

#[test]
fn what_is_not_a_regular_file_is_not_read() {
    let (path, directory) = file(b"");
    let pipe = directory.path().join("pipe.wasm");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    for (path, words) in [
        (pipe, "is a pipe, not a regular file"),
        (directory.path().to_owned(), "is a directory, not a regular file"),
        ("/dev/zero".into(), "is a device, not a regular file"),
        (path.join("below"), "cannot be read"),
        (directory.path().join("missing.wasm"), "cannot be read"),
        ("builtin:missing".into(), "the builtins are: log-retention, orphan-pod-logs, unused-images"),
    ] {
        attack(path).config(json!({})).is_stopped("FetchFailed", &[words]);
    }
}

#[test]
fn a_file_that_may_not_be_read_is_not_read() {
    let (path, _directory) = file(b"");
    std::os::unix::fs::symlink(&path, path.with_extension("loop")).unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(path.with_extension("loop"), &path).unwrap();
    attack(path).is_stopped("FetchFailed", &["cannot be read: Too many levels of symbolic links"]);
}
