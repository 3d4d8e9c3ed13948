//! Loading of plugins, and calls to them.
//!
//! A plugin is compiled and linked once. Every call gets a new store with separate limits, which is dropped on every
//! outcome: nothing leaks from one call into the next, and an instance that trapped is never entered again.

use std::fmt::Debug;
use std::sync::Arc;

use holystone_core::config;
use holystone_core::manifest::Capability;
use holystone_core::matches::PatternMatch;
use holystone_core::proposal::Proposal;
use holystone_core::text;
use tokio::task::JoinSet;
use wasmtime::component::{Component, InstancePre};
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::capability::{self, Grants};
use crate::code;
use crate::engine::Engine;
use crate::error::{PluginError, Reason};
use crate::limits::{Limits, MAX_COMPONENT, MAX_COPIED, MAX_HANDLES, MAX_MEMORIES, MAX_TABLES, MemoryLimiter};
use crate::preflight;
use crate::v0_1::{self, Answered, Bindings, Decision, Exports, State, View};
use crate::wasi::{self, Output};

/// A compiled component that is granted its imports and ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    engine: Engine,
    limits: Limits,
    compiled: Arc<Compiled>,
}

/// The answer of a plugin about a node.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The wishes of the plugin.
    pub proposal: Proposal,
    /// The number of entries that each pattern of the config has matched, as reported by the plugin.
    pub matches: Vec<PatternMatch>,
    /// Notices to the operator, one sentence each, sanitized.
    pub notices: Vec<String>,
}

/// A component after loading.
struct Compiled {
    digest: String,
    /// The granted capabilities that the component uses.
    uses: Vec<Capability>,
    linked: InstancePre<State>,
    exports: Exports,
    /// The memory that the component's instances take, in bytes.
    instances: usize,
}

/// A stable reason and a sentence, without the name of the plugin.
type UnnamedError = (Reason, String);

impl Plugin {
    /// Compiles a component, checks that it imports only what it is granted, and links it. None of its code runs.
    /// Compiling takes from milliseconds to seconds, in a separate process; dropping the future ends it.
    ///
    /// # Errors
    /// Fails with a stable reason: not a component, not compilable, not granted, or of another interface version.
    pub async fn load(
        engine: &Engine,
        name: &str,
        bytes: impl AsRef<[u8]> + Send + 'static,
        grants: &Grants,
        limits: Limits,
    ) -> Result<Self, PluginError> {
        let fail = |(reason, message)| PluginError { plugin: name.to_owned(), reason, message };
        let compiled = Arc::new(Box::pin(Compiled::new(engine, bytes, grants, limits)).await.map_err(fail)?);
        Ok(Self { name: name.to_owned(), engine: engine.clone(), limits, compiled })
    }

    /// Returns the plugin's name, as given to [`Plugin::load`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns `sha256:` and the digest of the component's bytes.
    pub fn digest(&self) -> &str {
        &self.compiled.digest
    }

    /// Returns the capabilities that the plugin uses: those of the interfaces that it imports.
    pub fn uses(&self) -> &[Capability] {
        &self.compiled.uses
    }

    /// Calls the plugin to check a config (JSON text) and, if the plugin has no objections, to plan by it.
    ///
    /// # Errors
    /// Fails with a stable reason. A plugin that fails contributes nothing.
    pub async fn propose(&self, view: &Arc<View>, config: &str) -> Result<Answer, PluginError> {
        let output = Output::default();
        let answer = self.clone().answer(Arc::clone(view), config.to_owned(), output.clone());
        let Answered { wishes, matches, notices } = self.within_limits(answer, output).await?;
        Ok(Answer { proposal: Proposal { plugin: self.name.clone(), wishes }, matches, notices })
    }

    /// Calls the plugin to check a config (JSON text), without showing it a node. Returns the problems.
    ///
    /// # Errors
    /// Fails with a stable reason, when the plugin cannot be called.
    pub async fn problems(&self, config: &str) -> Result<Vec<config::Problem>, PluginError> {
        let output = Output::default();
        let (plugin, config, to) = (self.clone(), config.to_owned(), output.clone());
        let answer = async move { plugin.validate(&Arc::new(View::of_nothing()), &config, &to).await };
        self.within_limits(answer, output).await
    }

    /// Waits for an answer of the guest until its time limit.
    async fn within_limits<T: Send + 'static>(
        &self,
        answer: impl Future<Output = Result<T, UnnamedError>> + Send + 'static,
        output: Output,
    ) -> Result<T, PluginError> {
        // The guest runs on a separate task: on a busy machine it waits long for a processor, and its time is over all
        // the same. A guest that is left behind ends at the next tick.
        let mut guest = JoinSet::new();
        guest.spawn(answer);
        let answer = match tokio::time::timeout(self.limits.timeout, guest.join_next()).await {
            Ok(Some(Ok(answer))) => answer,
            Ok(_) => Err((Reason::Trapped, "it ended without an answer".to_owned())),
            Err(_) => {
                let message = format!("it did not finish within {} s", self.limits.timeout.as_secs_f64());
                Err((Reason::Timeout, message))
            }
        };
        for line in output.lines() {
            tracing::debug!(plugin = self.name, "{}", text::shown(&line));
        }
        answer.map_err(|(reason, message)| PluginError { plugin: self.name.clone(), reason, message })
    }

    async fn answer(self, view: Arc<View>, config: String, output: Output) -> Result<Answered, UnnamedError> {
        let problems = self.validate(&view, &config, &output).await?;
        if !problems.is_empty() {
            let message = format!("its config is not valid: {}", config::Problem::line(&problems));
            return Err((Reason::ConfigInvalid, message));
        }
        let decision = self.plan(&view, &config, &output).await?;
        v0_1::answered(decision).map_err(|problem| (Reason::PlanRejected, problem))
    }

    /// Calls the plugin to check a config, and sanitizes the answer.
    async fn validate(
        &self,
        view: &Arc<View>,
        config: &str,
        output: &Output,
    ) -> Result<Vec<config::Problem>, UnnamedError> {
        let (mut store, plugin) = self.instance(view, output).await?;
        let answer = plugin.holystone_node_cleaner().call_validate(&mut store, config).await;
        Ok(match answer.map_err(|error| self.stopped(&error, &store, output))? {
            Ok(()) => Vec::new(),
            Err(problems) if problems.is_empty() => {
                let message = "the plugin rejects it and does not say why".to_owned();
                vec![config::Problem { field: String::new(), message }]
            }
            Err(problems) => v0_1::problems(&problems),
        })
    }

    async fn plan(&self, view: &Arc<View>, config: &str, output: &Output) -> Result<Decision, UnnamedError> {
        let (mut store, plugin) = self.instance(view, output).await?;
        let answer = plugin.holystone_node_cleaner().call_plan(&mut store, config).await;
        answer
            .map_err(|error| self.stopped(&error, &store, output))?
            .map_err(|problem| (Reason::PlanRejected, format!("it could not decide: {}", text::shown(&problem))))
    }

    /// Creates a new instance, within the limits.
    async fn instance(&self, view: &Arc<View>, output: &Output) -> Result<(Store<State>, Bindings), UnnamedError> {
        let mut store = self.store(view, output);
        let instance = self.compiled.linked.instantiate_async(&mut store).await;
        let instance = instance.map_err(|error| self.stopped(&error, &store, output))?;
        // The types of the exports are only checked here.
        let plugin = self.compiled.exports.load(&mut store, &instance);
        Ok((store, plugin.map_err(|error| (Reason::IncompatibleApi, incompatible(&error)))?))
    }

    fn stopped(&self, error: &wasmtime::Error, store: &Store<State>, output: &Output) -> UnnamedError {
        if store.data().accountant.exceeded() { over_memory(self.limits) } else { stopped(error, output) }
    }

    fn store(&self, view: &Arc<View>, output: &Output) -> Store<State> {
        let wasi = wasi::context(view.now(), output);
        let accountant = MemoryLimiter::new(self.limits.memory, self.compiled.instances);
        let state = State::new(&self.name, Arc::clone(view), wasi, accountant);
        let mut store = Store::new(self.engine.wasmtime(), state);
        store.limiter(|state| &mut state.accountant);
        store.set_hostcall_fuel(MAX_COPIED);
        store.set_max_component_handles(MAX_HANDLES);
        // Every tick makes the guest yield for a moment, so that the timer outside can end the call.
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
        store
    }
}

impl Compiled {
    async fn new(
        engine: &Engine,
        bytes: impl AsRef<[u8]> + Send + 'static,
        grants: &Grants,
        limits: Limits,
    ) -> Result<Self, UnnamedError> {
        let check = move || {
            let checked = check_bytes(bytes.as_ref()).and_then(|()| preflight::check(bytes.as_ref()));
            checked.map(|instances| (holystone_core::digest::of(bytes.as_ref()), instances, bytes))
        };
        let (digest, instances, bytes) = in_time(limits, check).await?;
        if instances > limits.memory {
            return Err(over_memory(limits));
        }
        let component = code::component(engine, &digest, bytes.as_ref(), limits).await;
        let component = component.map_err(|error| (Reason::CompileFailed, format!("compiling it {error}")))?;
        let (engine, grants) = (engine.clone(), grants.clone());
        in_time(limits, move || Self::link(&engine, &component, digest, &grants, instances)).await
    }

    fn link(
        engine: &Engine,
        component: &Component,
        digest: String,
        grants: &Grants,
        instances: usize,
    ) -> Result<Self, UnnamedError> {
        let component_type = component.component_type();
        let imports: Vec<&str> = component_type.imports(engine.wasmtime()).map(|(import, _)| import).collect();
        let uses = capability::used(imports.iter().copied());
        capability::check(imports.into_iter(), grants)?;
        check_counts(component)?;
        let incompatible = |error| (Reason::IncompatibleApi, incompatible(&error));
        let linked = engine.linker().instantiate_pre(component).map_err(incompatible)?;
        let exports = Exports::new(&linked).map_err(incompatible)?;
        Ok(Self { digest, uses, linked, exports, instances })
    }
}

/// Runs work that grows with the size of a component on a separate thread, within the time limit of compiling.
async fn in_time<T: Send + 'static>(
    limits: Limits,
    work: impl FnOnce() -> Result<T, UnnamedError> + Send + 'static,
) -> Result<T, UnnamedError> {
    let fail = |message| Err((Reason::CompileFailed, message));
    match tokio::time::timeout(limits.compile, tokio::task::spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(lost)) => fail(format!("reading it ended early: {lost}")),
        Err(_) => fail(format!("it was not read within {} s", limits.compile.as_secs_f64())),
    }
}

fn over_memory(limits: Limits) -> UnnamedError {
    (Reason::MemoryLimit, format!("it wanted more than its {} MiB of memory", limits.memory >> 20))
}

/// Checks the numbers of memories and tables, because each memory takes address space and each table takes a place in
/// the host, however small they are.
fn check_counts(component: &Component) -> Result<(), UnnamedError> {
    // The numbers are unknown only for a component that imports modules, and no component is offered one.
    let Some(wanted) = component.resources_required() else { return Ok(()) };
    for (count, what, limit) in
        [(wanted.num_memories, "memories", MAX_MEMORIES), (wanted.num_tables, "tables", MAX_TABLES)]
    {
        if count as usize > limit {
            return Err((Reason::MemoryLimit, format!("it has {count} {what}, a plugin may have {limit}")));
        }
    }
    Ok(())
}

/// Checks that a file is a component, and otherwise explains what kind of file it is.
fn check_bytes(bytes: &[u8]) -> Result<(), UnnamedError> {
    if bytes.len() > MAX_COMPONENT {
        let message = format!("it has {} MiB, at most {} MiB are read", bytes.len() >> 20, MAX_COMPONENT >> 20);
        return Err((Reason::FetchFailed, message));
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

fn incompatible(error: &wasmtime::Error) -> String {
    format!("it does not fit holystone:node@0.1.0 (a plugin exports holystone:node/cleaner@0.1.0): {}", one_line(error))
}

/// Explains the end of a plugin, with its last line of output, which for a panic is the panic's message.
fn stopped(error: &wasmtime::Error, output: &Output) -> UnnamedError {
    let cause = error.root_cause();
    if is_out_of_copies(cause) {
        let message =
            format!("it handed the host more than {} MiB at once, in its plan or in a message", MAX_COPIED >> 20);
        return (Reason::MemoryLimit, message);
    }
    let what = if let Some(exit) = error.downcast_ref::<I32Exit>() {
        format!("it ended itself with exit code {}", exit.0)
    } else {
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => "it panicked or aborted".to_owned(),
            Some(Trap::StackOverflow) => "it ran out of stack".to_owned(),
            Some(Trap::MemoryOutOfBounds) => "it went out of its memory's bounds (deep recursion does that)".to_owned(),
            Some(trap) => format!("it crashed: {}", text::shown(&trap.to_string())),
            None => format!("it was stopped: {}", text::shown(&cause.to_string())),
        }
    };
    match output.lines().iter().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note: ")) {
        Some(line) => (Reason::Trapped, format!("{what}; it last wrote: {}", text::shown(line))),
        None => (Reason::Trapped, what),
    }
}

/// Returns whether an error is wasmtime's for data past [`MAX_COPIED`]. Its type is private, so it is recognised by the
/// name of the type, which is all that its debugging form consists of.
fn is_out_of_copies(error: &(impl Debug + ?Sized)) -> bool {
    format!("{error:?}") == "HostcallFuelExhausted"
}

/// Formats the causes of an error on one line, without a backtrace.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    text::shown(&causes.join(": ").replace('\n', " "))
}

#[cfg(test)]
mod tests;
