//! The work of Holystone on a node: policy, observation, plan, sweep and report; once or as a daemon.
//!
//! [`prepare()`] builds policies from manifests and flags, and reports all errors together. [`plan()`] shows what a run
//! would do, [`run()`] does it, and [`run_daemon`] keeps running. All of them observe a node, recall its state and
//! decide in one function; the decisions are made in `holystone-core`.
//!
//! This crate knows no command line and prints no results: options are plain values, the confirmation before a removal
//! goes through [`Confirm`], and an error that the user has to fix is a [`UsageError`].

mod builtin;
mod checker;
mod daemon;
mod demo;
mod error;
mod files;
pub mod http;
mod log_access;
mod manifests;
mod node;
mod node_state;
mod notices;
mod plan;
mod plugins;
mod policy;
mod prepare;
pub mod prometheus;
mod recorded;
mod run;
mod run_records;
mod simulate;
mod stop;
mod stopwatch;
mod sweep;

pub use builtin::builtins;
pub use checker::Checker;
pub use daemon::{DaemonOptions, run_daemon};
pub use demo::{Demo, PlannedDemo};
pub use error::UsageError;
pub use manifests::{Manifests, Validated};
pub use node::NodeOptions;
pub use node_state::read_state;
pub use notices::notices_of_manifest;
pub use plan::{plan, plan_recorded};
pub use plugins::{CacheDir, SCHEMA};
pub use policy::{Overrides, PaceOverrides, PluginOverrides, RailOverrides};
pub use prepare::{PolicyRequest, Prepared, prepare, prepare_until};
pub use recorded::{read_snapshot, record};
pub use run::{Confirm, RunOptions, RunOutput, not_run, run};
pub use simulate::{Simulation, SimulationOptions};
pub use stop::StopToken;
