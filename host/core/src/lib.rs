//! What Holystone decides, without any I/O: the same values in give the same values out.
//!
//! The main job is a chain of values, and this crate holds all of them. In reading order:
//!
//! 1. [`snapshot`]: what a node looks like, once per run, made of [`image`]s and [`container`]s.
//! 2. [`usage`]: who uses which image; a reference that cannot be resolved protects what it may mean.
//! 3. [`proposal`]: what a plugin wishes. Untrusted.
//! 4. [`guard`]: the guard rails. The only place where a wish becomes a [`guard::Step`].
//! 5. [`pressure`]: whether there is a need to remove anything, and when it is met.
//! 6. [`report`]: what became of it.
//! 7. [`state`]: what is remembered of a node for the next run.
//!
//! Beside it, [`manifest`] reads what people write, [`schedule`] says when a run is due, [`daemon`] what to do about it on
//! one machine, and [`cluster`] what it becomes on many.
//!
//! [`logs`] knows log directories: paths beneath them, globs, and which names are the kubelet's.
//! [`config`] is how shipped plugins read what the operator gives them.
//! [`mod@reference`] and [`pattern`] know how image references are spelt and matched.
//! Whoever observes nodes, runs plugins or prints things does so in another crate and converts at its door.

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
