//! Integration tests: the real binary, on simulated and on real nodes. One test binary, so that it links once.
//!
//! - `cli`: what a user types and reads, exit codes, mistakes.
//! - `conformance`: the simulated node answers like a real containerd.
//! - `containerd`: the main job on a real containerd.
//! - `golden`: recorded nodes and the plans they must come to.
//! - `plugins`: plugins that misbehave on a node, and what becomes of it.
//! - `script`: what the hand-written script gets wrong, done right.
//! - `sweep`: races and faults between the plan and the last removal.
//! - `tidy`: the rules of the house that no compiler holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod conformance;
mod containerd;
mod golden;
mod node;
mod plugins;
mod script;
mod support;
mod sweep;
mod tidy;
