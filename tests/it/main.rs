//! Integration tests: the real binary, on simulated and on real nodes. One test binary, so that it links once.
//!
//! - `cli`: what a user types and reads, exit codes, mistakes.
//! - `conformance`: the simulated node answers like a real containerd.
//! - `containerd`: the main job on a real containerd.
//! - `furnished`: the node that the tests on a real containerd start from.
//! - `golden`: recorded nodes and the plans they must come to.
//! - `logs`: log directories, from a plugin to the file that is gone.
//! - `plugins`: plugins that misbehave, and the reason that each is stopped with.
//! - `races`: races and faults on a real containerd.
//! - `script`: what the hand-written script gets wrong, done right.
//! - `sweep`: races and faults between the plan and the last removal, on a simulated node.
//! - `terminal`: a run on a terminal, which asks before it removes anything.
//! - `tidy`: the rules of the house that no compiler holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod conformance;
mod containerd;
mod furnished;
mod golden;
mod logs;
mod plugins;
mod races;
mod script;
mod support;
mod sweep;
mod terminal;
mod tidy;
