//! The bindings of `holystone:node@0.1`, and every conversion between them and the core's types.
//!
//! All answers come from a [`View`], made once per run and shared by all plugins. A change to the interface that is
//! not compatible gets a module of its own beside this one.

use std::sync::Arc;

use holystone_core::container::{Container, ContainerState, Sandbox};
use holystone_core::image::Image;
use holystone_core::proposal::{self, LogLocation, Target, Wish};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_core::text;
use holystone_core::usage::Usage;
use jiff::Timestamp;
use wasmtime::component::{ComponentType, HasSelf, Linker, Lower, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits::{Accountant, MAX_HANDLES, MAX_LOG_LINES, MAX_NAME, MAX_REASON};

#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated; the reference is the WIT itself")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        imports: { default: trappable },
        exports: { default: async },
        with: { "holystone:node/logs.walk": super::Walk },
    });
}

use generated::exports::holystone::node::cleaner;
pub(crate) use generated::exports::holystone::node::cleaner::Removal;
use generated::holystone::node::{containers, host, images, log, log_content, logs, pods, types};
pub(crate) use generated::{Plugin as Bindings, PluginIndices as Exports};

/// What plugins see of a node: a snapshot in the interface's own shapes. Lists are shared, not copied, by every
/// plugin that asks for them.
pub struct View {
    now: Timestamp,
    node: host::NodeInfo,
    images: Arc<[images::Image]>,
    containers: Arc<[containers::Container]>,
    pods: Arc<[pods::Sandbox]>,
}

impl View {
    /// Prepares a snapshot for plugins, with who uses which image as the guard rails see it.
    pub fn of(snapshot: &Snapshot, usage: &Usage<'_>) -> Self {
        Self {
            now: snapshot.taken_at,
            node: node_info(snapshot),
            images: snapshot
                .images
                .iter()
                .enumerate()
                .map(|(place, image)| image_record(image, place, usage))
                .collect(),
            containers: snapshot.containers.iter().map(|container| container_record(container, usage)).collect(),
            pods: snapshot.sandboxes.iter().map(sandbox_record).collect(),
        }
    }

    /// What a plugin sees that is asked something else than to look at a node.
    pub(crate) fn of_nothing() -> Self {
        let node = host::NodeInfo {
            name: String::new(),
            labels: Vec::new(),
            snapshot_time: 0,
            runtime_name: String::new(),
            runtime_version: String::new(),
            filesystems: Vec::new(),
            attributes: Vec::new(),
        };
        let now = Timestamp::UNIX_EPOCH;
        Self { now, node, images: Arc::new([]), containers: Arc::new([]), pods: Arc::new([]) }
    }

    /// The snapshot's time, which plugins take as "now".
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }
}

fn timestamp(time: Timestamp) -> i64 {
    // Nanoseconds in 64 bits reach from 1677 to 2262.
    i64::try_from(time.as_nanosecond()).unwrap_or(if time < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX })
}

fn attributes<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> Vec<(String, String)> {
    pairs.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn node_info(snapshot: &Snapshot) -> host::NodeInfo {
    host::NodeInfo {
        name: snapshot.node.name.clone(),
        labels: attributes(&snapshot.node.labels),
        snapshot_time: timestamp(snapshot.taken_at),
        runtime_name: snapshot.node.runtime_name.clone(),
        runtime_version: snapshot.node.runtime_version.clone(),
        filesystems: snapshot.filesystems.iter().map(filesystem_record).collect(),
        attributes: Vec::new(),
    }
}

fn filesystem_record(filesystem: &Filesystem) -> host::Filesystem {
    host::Filesystem {
        name: filesystem.name.clone(),
        capacity_bytes: filesystem.capacity_bytes,
        available_bytes: filesystem.available_bytes,
        used_bytes: filesystem.used_bytes,
        inodes: filesystem.inodes,
        inodes_free: filesystem.inodes_free,
        attributes: Vec::new(),
    }
}

fn image_record(image: &Image, place: usize, usage: &Usage<'_>) -> images::Image {
    let mut in_use_by: Vec<String> = usage.users(place).iter().map(|user| user.holder.id().to_owned()).collect();
    in_use_by.sort();
    images::Image {
        id: image.id.as_str().to_owned(),
        repo_tags: image.repo_tags.clone(),
        repo_digests: image.repo_digests.clone(),
        size_bytes: image.size_bytes,
        pinned: image.pinned,
        in_use_by,
        first_seen: image.first_seen.map(timestamp),
        last_used: image.last_used.map(timestamp),
        attributes: attributes(&image.annotations),
    }
}

fn container_record(container: &Container, usage: &Usage<'_>) -> containers::Container {
    containers::Container {
        id: container.id.clone(),
        name: container.name.clone(),
        sandbox_id: container.sandbox_id.clone(),
        pod_uid: container.pod.uid.clone(),
        pod_namespace: container.pod.namespace.clone(),
        pod_name: container.pod.name.clone(),
        image_id: usage.image_of(container).map(|id| id.as_str().to_owned()),
        state: match container.state {
            ContainerState::Created => containers::ContainerState::Created,
            ContainerState::Running => containers::ContainerState::Running,
            ContainerState::Exited => containers::ContainerState::Exited,
            ContainerState::Unknown => containers::ContainerState::Unknown,
        },
        created: timestamp(container.created_at),
        finished: container.finished_at.map(timestamp),
        exit_code: container.exit_code,
        attributes: attributes(&container.labels),
    }
}

fn sandbox_record(sandbox: &Sandbox) -> pods::Sandbox {
    pods::Sandbox {
        id: sandbox.id.clone(),
        pod_uid: sandbox.pod.uid.clone(),
        pod_namespace: sandbox.pod.namespace.clone(),
        pod_name: sandbox.pod.name.clone(),
        state: if sandbox.ready { pods::SandboxState::Ready } else { pods::SandboxState::NotReady },
        created: timestamp(sandbox.created_at),
        attributes: attributes(&sandbox.labels),
    }
}

/// Turns a plugin's answer into wishes.
///
/// # Errors
/// With a sentence, when a name is longer than any real one.
pub(crate) fn wishes(removals: Vec<Removal>) -> Result<Vec<Wish>, String> {
    removals.into_iter().enumerate().map(|(place, removal)| wish(place, removal)).collect()
}

fn wish(place: usize, removal: Removal) -> Result<Wish, String> {
    let target = match removal.target {
        cleaner::Target::Image(id) => Target::Image(id),
        cleaner::Target::Container(id) => Target::Container(id),
        cleaner::Target::Sandbox(id) => Target::Sandbox(id),
        cleaner::Target::LogFile(place) => Target::LogFile(location(place)),
        cleaner::Target::LogDirectory(place) => Target::LogDirectory(location(place)),
        cleaner::Target::Other((kind, name)) => Target::Other(kind, name),
    };
    let length = target.length();
    if length > MAX_NAME {
        return Err(format!(
            "removal {} names its target with {length} bytes, at most {MAX_NAME} make sense",
            place + 1
        ));
    }
    let verb = match removal.verb {
        cleaner::Verb::Remove => proposal::Verb::Remove,
        cleaner::Verb::Truncate => proposal::Verb::Truncate,
        cleaner::Verb::Other => proposal::Verb::Other,
    };
    Ok(Wish { target, verb, reason: reason(removal.reason), expected_bytes: removal.expected_bytes })
}

fn location(place: cleaner::LogLocation) -> LogLocation {
    LogLocation { root: place.root, path: place.path }
}

fn reason(reason: cleaner::Reason) -> proposal::Reason {
    let kind = match reason.kind {
        cleaner::ReasonKind::Unused => proposal::ReasonKind::Unused,
        cleaner::ReasonKind::Dangling => proposal::ReasonKind::Dangling,
        cleaner::ReasonKind::Superseded => proposal::ReasonKind::Superseded,
        cleaner::ReasonKind::TooOld => proposal::ReasonKind::TooOld,
        cleaner::ReasonKind::TooLarge => proposal::ReasonKind::TooLarge,
        cleaner::ReasonKind::PodGone => proposal::ReasonKind::PodGone,
        cleaner::ReasonKind::Other => proposal::ReasonKind::Other,
    };
    let mut text = reason.text;
    text.truncate(text.floor_char_boundary(MAX_REASON));
    // What is cut off is given back.
    text.shrink_to_fit();
    proposal::Reason { kind, text }
}

/// What the host keeps for one call of a plugin.
pub(crate) struct State {
    plugin: String,
    view: Arc<View>,
    pub(crate) accountant: Accountant,
    wasi: WasiCtx,
    table: ResourceTable,
    log_lines: usize,
}

impl State {
    pub(crate) fn new(plugin: &str, view: Arc<View>, wasi: WasiCtx, accountant: Accountant) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { plugin: plugin.to_owned(), view, accountant, wasi, table, log_lines: 0 }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Links the interfaces of the package.
pub(crate) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    host::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    logs::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    log_content::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    // The generated traits would have to hand out copies of these lists.
    add_list(linker, "images", |view| view.images.clone())?;
    add_list(linker, "containers", |view| view.containers.clone())?;
    add_list(linker, "pods", |view| view.pods.clone())
}

fn add_list<T>(linker: &mut Linker<State>, interface: &str, list: fn(&View) -> Arc<[T]>) -> wasmtime::Result<()>
where
    T: ComponentType + Lower + Send + Sync + 'static,
{
    let name = format!("holystone:node/{interface}@0.1.0");
    linker.instance(&name)?.func_wrap("list", move |store, (): ()| Ok((list(&store.data().view),)))
}

impl types::Host for State {}

impl host::Host for State {
    fn node(&mut self) -> wasmtime::Result<host::NodeInfo> {
        Ok(self.view.node.clone())
    }
}

impl log::Host for State {
    fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        self.log_lines = self.log_lines.saturating_add(1);
        let (plugin, message) = match self.log_lines {
            ..=MAX_LOG_LINES => (&self.plugin, text::shown(&message)),
            // One line says that more were dropped, the rest is silence.
            n if n == MAX_LOG_LINES + 1 => {
                (&self.plugin, format!("more than {MAX_LOG_LINES} messages, the rest is dropped"))
            }
            _ => return Ok(()),
        };
        match level {
            log::Level::Error => tracing::error!(plugin, "{message}"),
            log::Level::Warn => tracing::warn!(plugin, "{message}"),
            log::Level::Info => tracing::info!(plugin, "{message}"),
            log::Level::Debug => tracing::debug!(plugin, "{message}"),
            log::Level::Trace => tracing::trace!(plugin, "{message}"),
        }
        Ok(())
    }
}

/// A walk through a log root. There is none as long as no log root is declared.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum Walk {}

fn no_such_root(root: &str) -> types::Error {
    types::Error::NotFound(format!("no log root is named {}", text::shown(root)))
}

impl logs::Host for State {
    fn roots(&mut self) -> wasmtime::Result<Vec<logs::LogRoot>> {
        Ok(Vec::new())
    }

    fn open(&mut self, root: String, _: logs::WalkOptions) -> wasmtime::Result<Result<Resource<Walk>, types::Error>> {
        Ok(Err(no_such_root(&root)))
    }
}

impl logs::HostWalk for State {
    fn next(&mut self, walk: Resource<Walk>, _: u32) -> wasmtime::Result<Result<Vec<logs::FileEntry>, types::Error>> {
        match *self.table.get(&walk)? {}
    }

    fn drop(&mut self, walk: Resource<Walk>) -> wasmtime::Result<()> {
        self.table.delete(walk)?;
        Ok(())
    }
}

impl log_content::Host for State {
    fn read(&mut self, root: String, _: String, _: u64, _: u32) -> wasmtime::Result<Result<Vec<u8>, types::Error>> {
        Ok(Err(no_such_root(&root)))
    }
}

#[cfg(test)]
mod tests;
