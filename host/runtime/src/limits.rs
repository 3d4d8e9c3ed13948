//! What a plugin may use up, and the accountant that keeps it to that.

use std::time::Duration;

use wasmtime::ResourceLimiter;

pub use holystone_core::worker::COMPILE_MEMORY;

/// Limits of one plugin. Time and memory are the operator's to set; the rest is fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// How long it may take to come to an answer, start-up included. Default 10 s.
    pub timeout: Duration,
    /// How many bytes all linear memories, tables and instances of the plugin may have together. Default 64 MiB;
    /// interpreted languages need 256 MiB and more.
    pub memory: usize,
    /// How long compiling it may take. Default 2 min: an interpreter takes half a minute on a slow node.
    pub compile: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), memory: 64 << 20, compile: Duration::from_mins(2) }
    }
}

/// The largest component that is taken, in bytes. Python components have 18 MB.
pub const MAX_COMPONENT: usize = 64 << 20;
/// How many bytes of a component may be code and declarations: all but its data. Each takes about a hundred bytes of
/// memory, and up to 10 µs, to compile.
pub(crate) const MAX_CODE: usize = 16 << 20;
/// How many bytes of native code, and what describes it, a component may become. The host has it twice for a moment,
/// when the worker that made it is gone.
pub(crate) const MAX_COMPILED: usize = 192 << 20;
/// How many functions are compiled. Each takes about 5 KB of memory, however small it is.
pub(crate) const MAX_FUNCTIONS: usize = 100_000;
/// The most segments of data and of tables that are compiled: the code that puts each into its place is the compiler's to
/// make, and of data any number would fit into what is not counted as code. Python components have some hundred.
pub(crate) const MAX_SEGMENTS: usize = 100_000;
/// How many instances components in components may multiply to.
pub(crate) const MAX_NESTING: usize = 10_000;
/// How many modules may be instantiated. Python's dynamic libraries come to some twenty.
pub(crate) const MAX_INSTANCES: usize = 64;
/// How many memories there may be, over all instances.
pub(crate) const MAX_MEMORIES: usize = 16;
/// How many tables there may be, over all instances.
pub(crate) const MAX_TABLES: usize = 64;
/// How many removals a plan may have.
pub(crate) const MAX_REMOVALS: usize = 50_000;
/// How many objections to a config are shown.
pub(crate) const MAX_OBJECTIONS: usize = 20;
/// How many matches of patterns are kept of a plan.
pub(crate) const MAX_MATCHES: usize = 1_000;
/// How many notices are kept of a plan.
pub(crate) const MAX_NOTICES: usize = 100;
/// How many bytes a target's name may have. Paths on Linux have at most 4096, escapes can quadruple them.
pub(crate) const MAX_NAME: usize = 16 << 10;
/// How many bytes of a reason are kept.
pub(crate) const MAX_REASON: usize = 1 << 10;
/// How many bytes the host copies out of a plugin at once: a full plan with generous texts. Copies of tiny texts take
/// twice as much memory, while the plugin still has its own: together they stay within its memory and 64 MiB.
pub(crate) const MAX_COPIED: usize = 16 << 20;
/// How many messages a plugin may log per call.
pub(crate) const MAX_LOG_LINES: usize = 1_000;
/// How many bytes of a plugin's standard output and error are kept.
pub(crate) const MAX_OUTPUT: usize = 64 << 10;
/// How many handles a plugin may hold.
pub(crate) const MAX_HANDLES: usize = 1_000;
/// How many walks through log directories a plugin may have open.
pub(crate) const MAX_WALKS: usize = 16;
/// How many entries of a walk it gets at once, whatever it asks for.
pub(crate) const MAX_BATCH: usize = 1_000;
/// How many globs a walk may have, and how many bytes they may have together: each entry is held against all of them.
pub(crate) const MAX_GLOBS: usize = 1_000;
pub(crate) const MAX_GLOB_BYTES: usize = 16 << 10;
/// How many bytes of a log file it gets at once, whatever it asks for.
pub(crate) const MAX_READ: usize = 1 << 20;
/// How many random bytes a plugin may ask for at once.
pub(crate) const MAX_RANDOM: u64 = 4 << 10;

/// What an element of a table costs the host, in bytes.
const TABLE_ELEMENT: usize = 16;

/// Sums over all memories, tables and instances of a component: wasmtime's own limits are per memory, and a component
/// may have many.
#[derive(Debug)]
pub(crate) struct Accountant {
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

impl Accountant {
    /// Of a plugin whose instances take that much.
    pub(crate) fn new(limit: usize, instances: usize) -> Self {
        Self { limit, used: instances, exceeded: false }
    }

    /// Whether the plugin has been stopped at its memory limit.
    pub(crate) fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Adds what a memory or table grows by. Beyond the limit it is an error, not a refused growth: a guest that is
    /// told "no" fails later and with a confusing message.
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

impl ResourceLimiter for Accountant {
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

    use super::Accountant;

    #[test]
    fn memories_are_summed_and_instances_count() {
        let mut accountant = Accountant::new(110, 10);
        assert!(accountant.memory_growing(0, 60, None).unwrap());
        assert!(accountant.memory_growing(0, 40, None).unwrap());
        assert!(!accountant.exceeded());
        assert!(accountant.memory_growing(60, 61, None).is_err());
        assert!(accountant.exceeded());
    }

    #[test]
    fn tables_count_as_memory() {
        let mut accountant = Accountant::new(160, 0);
        assert!(accountant.table_growing(0, 10, None).unwrap());
        assert!(accountant.table_growing(10, usize::MAX, None).is_err());
        assert!(accountant.exceeded());
    }
}
