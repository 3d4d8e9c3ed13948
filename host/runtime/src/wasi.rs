//! WASI without any rights: linked so that the standard library of every language loads, and granting nothing.
//!
//! Plugins have no files, no environment, no arguments and no network. Standard input is closed; standard output and
//! error are kept up to a limit and written to the log. Clocks stand still at the snapshot's time and random numbers
//! come from a fixed seed, so that a replay produces the same plan.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::random::Deterministic;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock, WasiCtx};

use crate::limits::{MAX_OUTPUT, MAX_RANDOM};

/// Builds the context for one call.
pub(crate) fn context(now: Timestamp, output: &Output) -> WasiCtx {
    let mut builder = WasiCtx::builder();
    builder
        .stdout(output.clone())
        .stderr(output.clone())
        .wall_clock(Still(now))
        .monotonic_clock(Still(now))
        .secure_random(seeded())
        .insecure_random(seeded())
        .insecure_random_seed(0)
        .max_random_size(MAX_RANDOM)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

/// Builds a fixed sequence that is long enough not to look like a constant to a hash table.
fn seeded() -> Deterministic {
    Deterministic::new((0..=255_u8).map(|byte| byte.wrapping_mul(167).wrapping_add(13)).collect())
}

/// A clock that stands still.
struct Still(Timestamp);

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        // WASI cannot express times before 1970.
        Duration::try_from(self.0.as_duration()).unwrap_or_default()
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// The standard output and error of a plugin. Output beyond the limit is dropped: a closed pipe would make well-behaved
/// but talkative plugins fail.
#[derive(Clone, Default)]
pub(crate) struct Output(Arc<KeptOutput>);

#[derive(Default)]
struct KeptOutput {
    bytes: Mutex<Vec<u8>>,
    /// Set at the limit, so that a plugin that keeps printing does not hold the lock when its time is over.
    full: AtomicBool,
}

impl Output {
    fn append(&self, bytes: &[u8]) {
        if self.0.full.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(mut kept) = self.0.bytes.lock() {
            let room = MAX_OUTPUT - kept.len();
            kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            self.0.full.store(kept.len() == MAX_OUTPUT, Ordering::Relaxed);
        }
    }

    /// Returns the lines written so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let kept = self.0.bytes.lock().map(|kept| kept.clone()).unwrap_or_default();
        String::from_utf8_lossy(&kept).lines().map(str::to_owned).collect()
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(4096)
    }
}
