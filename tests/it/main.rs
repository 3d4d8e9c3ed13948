//! Integration tests: the real binary, on simulated and on real nodes. One test binary, so that it links once.
//!
//! - `cli`: what a user types and reads, exit codes, mistakes.
//! - `cluster`: what goes to a cluster, and that it fits there.
//! - `conformance`: the simulated node answers like a real containerd.
//! - `containerd`: the main job on a real containerd.
//! - `crio`: the main job on a real CRI-O, where the machine brings one.
//! - `daemon`: the daemon as a process.
//! - `deploy`: what installs it on a cluster.
//! - `faults`: what a runtime does wrong during a run, on a simulated node.
//! - `furnished`: the node that the tests on a real containerd start from.
//! - `golden`: recorded nodes and the plans they must come to.
//! - `image`: the container image.
//! - `kubectl`: the plugin of kubectl.
//! - `kubernetes`: all of it on a real Kubernetes.
//! - `log_runs`: runs of the binary beneath log roots.
//! - `logs`: log directories, from a plugin to the file that is gone.
//! - `manifest`: the manifest and its reference.
//! - `operator`: the operator as a process, among daemons and strangers that mean it ill.
//! - `outside`: containers that others started beside the kubelet.
//! - `plugins`: plugins that misbehave on a node, and what becomes of it.
//! - `races`: races and faults on a real containerd.
//! - `policy`: `plan` and `run` by manifests.
//! - `pods`: runs as pods of a cluster have them.
//! - `promises`: what the pages promise, and the tests that hold it.
//! - `pressure`: runs that depend on how full the disk is.
//! - `runtimes`: runtimes that are not containerd.
//! - `script`: what the hand-written script gets wrong, done right.
//! - `simulate`: a simulated node as a server.
//! - `simulated`: simulated nodes for tests.
//! - `state`: what is remembered of a node from run to run.
//! - `stopping`: runs that are asked to end, that reach their time limit, or that are killed at any step.
//! - `sweep`: races between the plan and the last removal, on a simulated node.
//! - `terminal`: a run on a terminal, which asks before it removes anything.
//! - `tidy`: the rules of the house that no compiler holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod cluster;
mod conformance;
mod containerd;
mod crio;
mod daemon;
mod deploy;
mod faults;
mod furnished;
mod golden;
mod image;
mod kubectl;
mod kubernetes;
mod log_runs;
mod logs;
mod manifest;
mod operator;
mod outside;
mod plugins;
mod pods;
mod policy;
mod pressure;
mod promises;
mod races;
mod runtimes;
mod script;
mod simulate;
mod simulated;
mod state;
mod stopping;
mod support;
mod sweep;
mod terminal;
mod tidy;
mod words;
