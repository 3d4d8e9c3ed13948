//! The commands, one in each file, from arguments to output.

pub(crate) mod completion;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod kubectl;
pub(crate) mod operator;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod run;
pub(crate) mod simulate;
pub(crate) mod snapshot;
pub(crate) mod state;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod version;
