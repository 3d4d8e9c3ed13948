//! Limits of worker processes: the runtime keeps them, and a pod's memory limit is made of them.

/// How many bytes of memory compiling one plugin may take. Components in Python and JavaScript take up to 400 MB.
pub const COMPILE_MEMORY: u64 = 512 << 20;
/// How many workers there may be at once.
pub const WORKERS: usize = 2;
