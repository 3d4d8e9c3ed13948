//! The limits of a plugin's resources, and the accountant that enforces them.

use std::time::Duration;

use wasmtime::ResourceLimiter;

pub use holystone_core::worker::COMPILE_MEMORY;

/// The limits of one plugin. The operator sets time and memory; the rest is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// The time limit of an answer, start-up included. Default 10 s.
    pub timeout: Duration,
    /// The largest size of all linear memories, tables and instances of the plugin together, in bytes. Default 64 MiB;
    /// interpreted languages need 256 MiB and more.
    pub memory: usize,
    /// The time limit of compiling. Default 2 min: an interpreter takes half a minute on a slow node.
    pub compile: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), memory: 64 << 20, compile: Duration::from_mins(2) }
    }
}

/// The largest component that is accepted, in bytes. Python components have 18 MB.
pub const MAX_COMPONENT: usize = 64 << 20;
/// The largest size of a component's code and declarations, in bytes: all but its data. Each byte takes about a hundred
/// bytes of memory, and up to 10 µs, to compile.
pub(crate) const MAX_CODE: usize = 16 << 20;
/// The largest size of the native code of a component and its description, in bytes. The host has it twice for a
/// moment, when the worker that made it is gone.
pub(crate) const MAX_COMPILED: usize = 192 << 20;
/// The largest number of functions that are compiled. Each takes about 5 KB of memory, however small it is.
pub(crate) const MAX_FUNCTIONS: usize = 100_000;
/// The largest number of segments of data and of tables that are compiled. The compiler generates the code that puts
/// each segment into its place, and any number of data segments would fit into what is not counted as code. Python
/// components have some hundred.
pub(crate) const MAX_SEGMENTS: usize = 100_000;
/// The largest number of instances that components in components may multiply to.
pub(crate) const MAX_NESTING: usize = 10_000;
/// The largest number of instantiated modules. Python's dynamic libraries need about twenty.
pub(crate) const MAX_INSTANCES: usize = 64;
/// The largest number of memories, over all instances.
pub(crate) const MAX_MEMORIES: usize = 16;
/// The largest number of tables, over all instances.
pub(crate) const MAX_TABLES: usize = 64;
/// The largest number of removals in a plan.
pub(crate) const MAX_REMOVALS: usize = 50_000;
/// The largest number of objections to a config that are shown.
pub(crate) const MAX_OBJECTIONS: usize = 20;
/// The largest number of pattern matches that are kept of a plan.
pub(crate) const MAX_MATCHES: usize = 1_000;
/// The largest number of notices that are kept of a plan.
pub(crate) const MAX_NOTICES: usize = 100;
/// The longest name of a target, in bytes. Paths on Linux have at most 4096, and escapes can quadruple them.
pub(crate) const MAX_NAME: usize = 16 << 10;
/// The longest text of a reason that is kept, in bytes.
pub(crate) const MAX_REASON: usize = 1 << 10;
/// The largest amount of data that the host copies out of a plugin at once, in bytes: a full plan with generous texts.
/// Copies of tiny texts take twice as much memory, while the plugin still has its own: together they stay within its
/// memory and 64 MiB.
pub(crate) const MAX_COPIED: usize = 16 << 20;
/// The largest number of messages that a plugin may log per call.
pub(crate) const MAX_LOG_LINES: usize = 1_000;
/// The largest amount of a plugin's standard output and error that is kept, in bytes.
pub(crate) const MAX_OUTPUT: usize = 64 << 10;
/// The largest number of handles that a plugin may hold.
pub(crate) const MAX_HANDLES: usize = 1_000;
/// The largest number of walks through log directories that a plugin may have open.
pub(crate) const MAX_WALKS: usize = 16;
/// The largest number of entries of a walk per call, whatever the plugin asks for.
pub(crate) const MAX_BATCH: usize = 1_000;
/// The largest number of globs of a walk, and their largest size together in bytes: each entry is matched against all
/// of them.
pub(crate) const MAX_GLOBS: usize = 1_000;
pub(crate) const MAX_GLOB_BYTES: usize = 16 << 10;
/// The largest part of a log file per call, in bytes, whatever the plugin asks for.
pub(crate) const MAX_READ: usize = 1 << 20;
/// The largest number of random bytes per call.
pub(crate) const MAX_RANDOM: u64 = 4 << 10;

/// The cost of an element of a table for the host, in bytes.
const TABLE_ELEMENT: usize = 16;

/// An accountant of all memories, tables and instances of a component: wasmtime's own limits are per memory, and a
/// component may have many.
#[derive(Debug)]
pub(crate) struct MemoryLimiter {
    limit: usize,
    used: usize,
    exceeded: bool,
}

/// The error that ends a plugin at its memory limit.
#[derive(Debug, thiserror::Error)]
#[error("more than {limit} bytes of memory")]
struct OverMemory {
    limit: usize,
}

impl MemoryLimiter {
    /// Creates an accountant of a plugin whose instances take that much.
    pub(crate) fn new(limit: usize, instances: usize) -> Self {
        Self { limit, used: instances, exceeded: false }
    }

    /// Returns whether the plugin has been stopped at its memory limit.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Adds the growth of a memory or table. Growth beyond the limit is an error, not a refusal: a guest whose growth
    /// is refused fails later and with a confusing message.
    fn grow(&mut self, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let wanted = self.used.saturating_add(desired.saturating_sub(current));
        if wanted > self.limit {
            self.exceeded = true;
            return Err(wasmtime::Error::new(OverMemory { limit: self.limit }));
        }
        self.used = wanted;
        Ok(true)
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current, desired)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(current.saturating_mul(TABLE_ELEMENT), desired.saturating_mul(TABLE_ELEMENT))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::ResourceLimiter as _;

    use super::MemoryLimiter;

    #[test]
    fn memories_are_summed_and_instances_count() {
        let mut accountant = MemoryLimiter::new(110, 10);
        assert!(accountant.memory_growing(0, 60, None).unwrap());
        assert!(accountant.memory_growing(0, 40, None).unwrap());
        assert!(!accountant.exceeded());
        assert!(accountant.memory_growing(60, 61, None).is_err());
        assert!(accountant.exceeded());
    }

    #[test]
    fn tables_count_as_memory() {
        let mut accountant = MemoryLimiter::new(160, 0);
        assert!(accountant.table_growing(0, 10, None).unwrap());
        assert!(accountant.table_growing(10, usize::MAX, None).is_err());
        assert!(accountant.exceeded());
    }
}
