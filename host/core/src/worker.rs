//! Limits of worker processes. The runtime enforces them, and a pod's memory limit includes them.

/// The most memory for compiling one plugin, in bytes. Components in Python and JavaScript take up to 400 MB.
pub const COMPILE_MEMORY: u64 = 512 << 20;
/// The most workers at once.
pub const WORKERS: usize = 2;
