//! Holystone's decisions, without any I/O: equal inputs give equal outputs.
//!
//! A run is a chain of values, all defined in this crate. In reading order:
//!
//! 1. [`snapshot`]: the state of a node at one instant, made of [`image`]s and [`container`]s.
//! 2. [`usage`]: the users of each image; an unresolved reference protects every image that it may mean.
//! 3. [`proposal`]: the wishes of a plugin. Untrusted.
//! 4. [`guard`]: the guard rails. Only they turn a wish into a [`guard::Step`].
//! 5. [`pressure`]: the need to remove anything, and the goal that ends it.
//! 6. [`report`]: plans and their outcomes.
//! 7. [`state`]: the state of a node that is kept for the next run.
//!
//! In addition, [`manifest`] parses NodeCleanups, [`schedule`] decides when a run is due, [`daemon`] decides which runs
//! to start on one machine, and [`cluster`] turns NodeCleanups into Kubernetes objects.
//!
//! [`logs`] covers log directories: the paths in them, globs, and the kubelet's file names.
//! [`config`] parses the configs of the shipped plugins.
//! [`mod@reference`] and [`pattern`] parse and match image references.
//! Other crates observe nodes, run plugins and print, and convert to and from these values.

pub mod clock;
pub mod cluster;
pub mod config;
pub mod confirmation;
pub mod container;
pub mod daemon;
pub mod digest;
pub mod document;
#[cfg(test)]
mod fixture;
pub mod guard;
pub mod image;
pub mod logs;
pub mod manifest;
pub mod matches;
pub mod pattern;
pub mod percent;
pub mod pressure;
pub mod proposal;
pub mod reference;
pub mod removals;
pub mod report;
pub mod schedule;
pub mod snapshot;
pub mod state;
pub mod sweep;
pub mod text;
pub mod usage;
pub mod worker;
