//! From bytes to a plugin, from a plugin to a proposal.
//!
//! Compiled and linked once; every call gets a fresh store with its own limits, which is dropped on every outcome:
//! nothing leaks from one call into the next, and nothing that trapped is ever entered again.

use std::sync::Arc;

use holystone_core::proposal::Proposal;
use holystone_core::text;
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::capability::{self, Grants};
use crate::engine::Engine;
use crate::error::{PluginError, Reason};
use crate::limits::{Limits, MAX_COMPONENT, MAX_COPIED, MAX_REMOVALS};
use crate::v0_1::{self, PluginPre, State, View};
use crate::wasi::{self, Output};

/// A component that is compiled, allowed what it imports, and ready to be called.
pub struct Plugin {
    name: String,
    digest: String,
    engine: Engine,
    limits: Limits,
    linked: PluginPre<State>,
}

/// How a call ended when it did not answer.
struct Stopped {
    error: Option<wasmtime::Error>,
    over_memory: bool,
    output: Output,
}

impl Plugin {
    /// Compiles a component, checks that it imports nothing that it is not granted, and links it. Runs none of its code.
    /// Compiling takes from milliseconds to seconds and blocks the calling thread.
    ///
    /// # Errors
    /// With a stable reason: not a component, cannot be compiled, not granted, or of another interface version.
    pub fn load(
        engine: &Engine,
        name: &str,
        bytes: &[u8],
        grants: &Grants,
        limits: Limits,
    ) -> Result<Self, PluginError> {
        let fail = |(reason, message)| PluginError { plugin: name.to_owned(), reason, message };
        check_bytes(bytes).map_err(fail)?;
        let component = Component::from_binary(engine.wasmtime(), bytes)
            .map_err(|error| fail((Reason::CompileFailed, format!("it cannot be compiled: {}", one_line(&error)))))?;
        let component_type = component.component_type();
        let imports: Vec<&str> = component_type.imports(engine.wasmtime()).map(|(import, _)| import).collect();
        capability::check(imports.into_iter(), grants).map_err(fail)?;
        let linked = engine
            .linker()
            .instantiate_pre(&component)
            .and_then(PluginPre::new)
            .map_err(|error| fail((Reason::IncompatibleApi, incompatible(&error))))?;
        let digest = digest(bytes);
        Ok(Self { name: name.to_owned(), digest, engine: engine.clone(), limits, linked })
    }

    /// The plugin's name, as given to [`Plugin::load`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `sha256:` and the digest of the component's bytes.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Lets the plugin check a config (JSON text) and, if it has no objections, plan by it.
    ///
    /// # Errors
    /// With a stable reason. A plugin that failed contributes nothing.
    pub async fn propose(&self, view: &Arc<View>, config: &str) -> Result<Proposal, PluginError> {
        self.validate(view, config).await?;
        let answer = self
            .call(view, async |store, plugin| plugin.holystone_node_cleaner().call_plan(store, config).await)
            .await?;
        let removals = answer.map_err(|problem| {
            self.fail(Reason::PlanRejected, format!("it could not decide: {}", text::shown(&problem)))
        })?;
        if removals.len() > MAX_REMOVALS {
            let message = format!("it wishes {} removals, a plan may have {MAX_REMOVALS}", removals.len());
            return Err(self.fail(Reason::PlanRejected, message));
        }
        let wishes = v0_1::wishes(removals).map_err(|problem| self.fail(Reason::PlanRejected, problem))?;
        Ok(Proposal { plugin: self.name.clone(), wishes })
    }

    async fn validate(&self, view: &Arc<View>, config: &str) -> Result<(), PluginError> {
        let answer = self
            .call(view, async |store, plugin| plugin.holystone_node_cleaner().call_validate(store, config).await)
            .await?;
        answer.map_err(|problems| {
            let shown: Vec<String> = problems.iter().take(20).map(|problem| text::shown(problem)).collect();
            self.fail(Reason::ConfigInvalid, format!("its config is not valid: {}", shown.join("; ")))
        })
    }

    /// Calls into a fresh instance, within the limits.
    async fn call<T>(
        &self,
        view: &Arc<View>,
        function: impl AsyncFnOnce(&mut Store<State>, &v0_1::Bindings) -> wasmtime::Result<T>,
    ) -> Result<T, PluginError> {
        let output = Output::default();
        let mut store = self.store(view, &output);
        let run = async {
            let instance = self.linked.instantiate_async(&mut store).await?;
            function(&mut store, &instance).await
        };
        let result = tokio::time::timeout(self.limits.timeout, run).await;
        let over_memory = store.data().accountant.exceeded();
        drop(store);
        for line in output.lines() {
            tracing::debug!(plugin = self.name, "{}", text::shown(&line));
        }
        let error = match result {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        Err(self.stopped(&Stopped { error, over_memory, output }))
    }

    fn store(&self, view: &Arc<View>, output: &Output) -> Store<State> {
        let wasi = wasi::context(view.now(), output);
        let state = State::new(&self.name, Arc::clone(view), wasi, self.limits.memory);
        let mut store = Store::new(self.engine.wasmtime(), state);
        store.limiter(|state| &mut state.accountant);
        store.set_hostcall_fuel(MAX_COPIED);
        // Every tick hands the thread back for a moment, so that the timer outside can end the call.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store
    }

    fn stopped(&self, stopped: &Stopped) -> PluginError {
        let limits = &self.limits;
        if stopped.over_memory {
            let message = format!("it wanted more than its {} MiB of memory", limits.memory >> 20);
            return self.fail(Reason::MemoryLimit, message);
        }
        let Some(error) = &stopped.error else {
            let message = format!("it did not finish within {} s", limits.timeout.as_secs_f64());
            return self.fail(Reason::Timeout, message);
        };
        self.fail(Reason::Trapped, crash(error, &stopped.output))
    }

    fn fail(&self, reason: Reason, message: String) -> PluginError {
        PluginError { plugin: self.name.clone(), reason, message }
    }
}

/// Says what kind of file it is when it is not a component.
fn check_bytes(bytes: &[u8]) -> Result<(), (Reason, String)> {
    if bytes.len() > MAX_COMPONENT {
        let message = format!("it has {} MiB, at most {} MiB are read", bytes.len() >> 20, MAX_COMPONENT >> 20);
        return Err((Reason::NotAComponent, message));
    }
    let problem = match bytes {
        // The preamble of the component binary format, and that of a core module.
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "it is a core WebAssembly module, not a component: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
        }
        [] => "the file is empty",
        [0x7f, b'E', b'L', b'F', ..] => {
            "it is native code (perhaps precompiled Wasm), which is never accepted: hand over the component itself"
        }
        [b'(', ..] => "it is WebAssembly text: hand over the binary component",
        _ => "it is not WebAssembly",
    };
    Err((Reason::NotAComponent, problem.to_owned()))
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn incompatible(error: &wasmtime::Error) -> String {
    format!("it does not fit holystone:node@0.1.0 (a plugin exports holystone:node/cleaner@0.1.0): {}", one_line(error))
}

/// Says how a plugin crashed, with the last thing that it wrote, which for a panic is the panic's message.
fn crash(error: &wasmtime::Error, output: &Output) -> String {
    let what = if let Some(exit) = error.downcast_ref::<I32Exit>() {
        format!("it ended itself with exit code {}", exit.0)
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => "it panicked or aborted".to_owned(),
            Some(Trap::StackOverflow) => "it ran out of stack".to_owned(),
            Some(Trap::MemoryOutOfBounds) => "it went out of its memory's bounds (deep recursion does that)".to_owned(),
            Some(trap) => format!("it crashed: {}", text::shown(&trap.to_string())),
            None => format!("it crashed: {}", one_line(error)),
        }
    };
    match output.lines().iter().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note: ")) {
        Some(line) => format!("{what}; it last wrote: {}", text::shown(line)),
        None => what,
    }
}

/// The causes of an error without a backtrace, on one line.
fn one_line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    text::shown(&causes.join(": ").replace('\n', " "))
}

#[cfg(test)]
mod tests;
