//! The bindings of `holystone:node@0.1`, and all conversions between them and the core's types.
//!
//! All answers come from a [`View`], built once per run and shared by all plugins. An incompatible change to the
//! interface gets a separate module beside this one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use holystone_core::config;
use holystone_core::container::{Container, ContainerState, Sandbox};
use holystone_core::image::Image;
use holystone_core::logs::{
    EntrySource, FileEntry, FileKind, Glob, GlobCounts, LogPath, LogsError, OpenState, WalkOptions,
};
use holystone_core::matches::PatternMatch;
use holystone_core::proposal::{self, LogLocation, Target, Wish};
use holystone_core::snapshot::{Filesystem, Snapshot};
use holystone_core::text;
use holystone_core::usage::Usage;
use jiff::Timestamp;
use wasmtime::component::{ComponentType, HasSelf, Linker, Lower, Resource, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::limits::{
    MAX_BATCH, MAX_GLOB_BYTES, MAX_GLOBS, MAX_HANDLES, MAX_LOG_LINES, MAX_MATCHES, MAX_NAME, MAX_NOTICES,
    MAX_OBJECTIONS, MAX_READ, MAX_REASON, MAX_REMOVALS, MAX_WALKS, MemoryLimiter,
};
use crate::logs::OpenWalk;

#[allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated; the reference is the WIT itself")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "plugin",
        imports: {
            "holystone:node/logs": async | trappable,
            "holystone:node/log-content": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        with: { "holystone:node/logs.walk": super::Walk },
    });
}

use generated::exports::holystone::node::cleaner;
pub(crate) use generated::exports::holystone::node::cleaner::Decision;
use generated::holystone::node::{containers, host, images, log, log_content, logs, pods, types};
pub(crate) use generated::{Plugin as Bindings, PluginIndices as Exports};

/// A plugin's view of a node: a snapshot in the types of the interface. Lists are shared, not copied, by all plugins
/// that ask for them.
pub struct View {
    now: Timestamp,
    node: host::NodeInfo,
    images: Arc<[images::Image]>,
    containers: Arc<[containers::Container]>,
    pods: Arc<[pods::Sandbox]>,
    logs: Option<Arc<dyn EntrySource>>,
}

impl View {
    /// Converts a snapshot for plugins, with the users of each image as the guard rails see them.
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
            logs: None,
        }
    }

    /// Creates an empty view, for a plugin that is asked about something other than a node.
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
        Self { now, node, images: Arc::new([]), containers: Arc::new([]), pods: Arc::new([]), logs: None }
    }

    /// Adds log directories; a view has none by default.
    #[must_use]
    pub fn with_logs(mut self, logs: Arc<dyn EntrySource>) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Returns the snapshot's time, which plugins take as "now".
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
        identity: Some(filesystem.identity.clone()).filter(|identity| !identity.is_empty()),
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

/// The plan of a plugin, in the core's types and within the limits.
pub(crate) struct Answered {
    pub(crate) wishes: Vec<Wish>,
    pub(crate) matches: Vec<PatternMatch>,
    pub(crate) notices: Vec<String>,
}

/// Converts a plugin's answer to wishes, matches and notices.
///
/// # Errors
/// Fails with a sentence, when there are too many removals, or a name is longer than any real name.
pub(crate) fn answered(decision: Decision) -> Result<Answered, String> {
    let Decision { removals, matches, notices, attributes: _ } = decision;
    if removals.len() > MAX_REMOVALS {
        return Err(format!("it wishes {} removals, a plan may have {MAX_REMOVALS}", removals.len()));
    }
    let wishes = removals.into_iter().enumerate().map(|(place, removal)| wish(place, removal));
    Ok(Answered {
        wishes: wishes.collect::<Result<_, _>>()?,
        notices: kept_notices(&notices, matches.len()),
        matches: pattern_matches(&matches),
    })
}

/// Converts as many matches as reports show.
fn pattern_matches(matches: &[cleaner::PatternMatch]) -> Vec<PatternMatch> {
    let convert = |one: &cleaner::PatternMatch| PatternMatch {
        field: text::shown(&one.field),
        pattern: text::shown(&one.pattern),
        matches: one.matches,
    };
    matches.iter().take(MAX_MATCHES).map(convert).collect()
}

/// Sanitizes as many notices as reports show, and adds a notice about those that were dropped.
fn kept_notices(notices: &[String], matches: usize) -> Vec<String> {
    let mut kept: Vec<String> = notices.iter().take(MAX_NOTICES).map(|notice| text::shown(notice)).collect();
    for (given, limit, what) in [(notices.len(), MAX_NOTICES, "notices"), (matches, MAX_MATCHES, "matches of patterns")]
    {
        if given > limit {
            kept.push(format!("{given} {what} were given, of which the first {limit} are shown"));
        }
    }
    kept
}

/// Converts as many problems with a config as are shown, and sanitizes them.
pub(crate) fn problems(problems: &[cleaner::Problem]) -> Vec<config::Problem> {
    let convert = |problem: &cleaner::Problem| config::Problem {
        field: text::shown(&problem.field),
        message: match problem.message.as_str() {
            "" => "the plugin does not say what is wrong".to_owned(),
            message => text::shown(message),
        },
    };
    problems.iter().take(MAX_OBJECTIONS).map(convert).collect()
}

fn wish(place: usize, removal: cleaner::Removal) -> Result<Wish, String> {
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
    // The memory of the text that was cut off is released.
    text.shrink_to_fit();
    proposal::Reason { kind, text }
}

/// The state that the host keeps for one call of a plugin.
pub(crate) struct State {
    view: Arc<View>,
    pub(crate) accountant: MemoryLimiter,
    wasi: WasiCtx,
    table: ResourceTable,
    messages: Messages,
    open_walks: usize,
}

/// Counters of the messages of a plugin in one call, and of those that the host logs because of it.
#[derive(Clone)]
pub(crate) struct Messages {
    plugin: Arc<str>,
    said: Arc<AtomicUsize>,
    handed_on: Arc<AtomicUsize>,
}

impl Messages {
    pub(crate) fn new(plugin: &str) -> Self {
        Self { plugin: plugin.into(), said: Arc::default(), handed_on: Arc::default() }
    }

    /// Logs a message, unless there have been too many.
    fn say(&self, level: log::Level, message: &str) {
        let plugin = &*self.plugin;
        let message = match self.said.fetch_add(1, Ordering::Relaxed) {
            ..MAX_LOG_LINES => text::shown(message),
            // One line reports the dropped messages, and the others are silent.
            MAX_LOG_LINES => format!("more than {MAX_LOG_LINES} messages, the rest is dropped"),
            _ => return,
        };
        self.handed_on.fetch_add(1, Ordering::Relaxed);
        match level {
            log::Level::Error => tracing::error!(plugin, "{message}"),
            log::Level::Warn => tracing::warn!(plugin, "{message}"),
            log::Level::Info => tracing::info!(plugin, "{message}"),
            log::Level::Debug => tracing::debug!(plugin, "{message}"),
            log::Level::Trace => tracing::trace!(plugin, "{message}"),
        }
    }

    /// Returns the number of messages.
    #[cfg(test)]
    fn said(&self) -> usize {
        self.said.load(Ordering::Relaxed)
    }

    /// Returns the number of logged messages, including the one that reports dropped messages.
    #[cfg(test)]
    fn handed_on(&self) -> usize {
        self.handed_on.load(Ordering::Relaxed)
    }

    /// Logs a warning about something that the plugin has caused.
    pub(crate) fn warn(&self, message: &str) {
        self.say(log::Level::Warn, message);
    }
}

impl State {
    pub(crate) fn new(plugin: &str, view: Arc<View>, wasi: WasiCtx, accountant: MemoryLimiter) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        Self { view, accountant, wasi, table, messages: Messages::new(plugin), open_walks: 0 }
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
    // The generated traits would require copies of these lists.
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
        self.messages.say(level, &message);
        Ok(())
    }
}

/// A walk that a plugin has opened.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Walk(OpenWalk);

impl State {
    /// Returns the node's log directories, if they have this root.
    fn logs(&self, root: &str) -> Result<&Arc<dyn EntrySource>, types::Error> {
        let missing = || types::Error::NotFound(format!("no log root is named {}", text::shown(root)));
        self.view.logs.as_ref().ok_or_else(missing)
    }
}

impl logs::Host for State {
    async fn roots(&mut self) -> wasmtime::Result<Vec<logs::LogRoot>> {
        let Some(logs) = &self.view.logs else { return Ok(Vec::new()) };
        let root = |name: String| logs::LogRoot { filesystem: logs.filesystem(&name), name, attributes: Vec::new() };
        Ok(logs.roots().into_iter().map(root).collect())
    }

    async fn open(&mut self, root: String, options: logs::WalkOptions) -> HostResult<Resource<Walk>> {
        if self.open_walks >= MAX_WALKS {
            let sentence = format!("{MAX_WALKS} walks are open; end one before another is started");
            return Ok(Err(types::Error::Limit(sentence)));
        }
        let asked = self.logs(&root).and_then(|source| Ok((source, walk_options(options)?)));
        let (source, options) = match asked {
            Ok(asked) => asked,
            Err(error) => return Ok(Err(error)),
        };
        match crate::logs::open(source, root, options, self.messages.clone()).await? {
            Ok(walk) => {
                self.open_walks += 1;
                Ok(Ok(self.table.push(Walk(walk))?))
            }
            Err(error) => Ok(Err(logs_error(error))),
        }
    }
}

impl logs::HostWalk for State {
    async fn next(&mut self, walk: Resource<Walk>, max: u32) -> HostResult<Vec<logs::FileEntry>> {
        if max == 0 {
            // An empty list would mean that the walk is over.
            return Ok(Err(types::Error::Invalid("max: must be at least 1, found 0".to_owned())));
        }
        let most = usize::try_from(max).unwrap_or(usize::MAX).min(MAX_BATCH);
        let entries = self.table.get_mut(&walk)?.0.next(most).await?;
        Ok(entries.map(|entries| entries.into_iter().map(file_record).collect()).map_err(logs_error))
    }

    async fn counts(&mut self, walk: Resource<Walk>) -> wasmtime::Result<logs::GlobCounts> {
        let GlobCounts { include, exclude } = self.table.get(&walk)?.0.counts().clone();
        Ok(logs::GlobCounts { include, exclude })
    }

    async fn drop(&mut self, walk: Resource<Walk>) -> wasmtime::Result<()> {
        self.table.delete(walk)?;
        self.open_walks = self.open_walks.saturating_sub(1);
        Ok(())
    }
}

impl log_content::Host for State {
    async fn read(&mut self, root: String, path: String, offset: u64, max: u32) -> HostResult<Vec<u8>> {
        let asked = self.logs(&root).and_then(|source| Ok((source, log_path("path", &path)?)));
        let (source, path) = match asked {
            Ok(asked) => asked,
            Err(error) => return Ok(Err(error)),
        };
        let most = usize::try_from(max).unwrap_or(usize::MAX).min(MAX_READ);
        Ok(crate::logs::read(source, root, path, offset, most).await?.map_err(logs_error))
    }
}

/// The answer of a function of the interface: the outer error ends the plugin, the inner one is for the plugin to
/// handle.
type HostResult<T> = wasmtime::Result<Result<T, types::Error>>;

fn logs_error(error: LogsError) -> types::Error {
    match error {
        LogsError::NotFound(sentence) => types::Error::NotFound(sentence),
        LogsError::Invalid(sentence) => types::Error::Invalid(sentence),
        LogsError::Limit(sentence) => types::Error::Limit(sentence),
        LogsError::Unavailable(sentence) => types::Error::Unavailable(sentence),
    }
}

fn log_path(field: &str, text: &str) -> Result<LogPath, types::Error> {
    let told = |problem| types::Error::Invalid(format!("{field}: {} is no log path: {problem}", text::shown(text)));
    text.parse().map_err(told)
}

fn walk_options(options: logs::WalkOptions) -> Result<WalkOptions, types::Error> {
    let logs::WalkOptions { prefix, include, exclude, kinds, max_depth, attributes } = options;
    if let Some((name, _)) = attributes.first() {
        return Err(types::Error::Invalid(format!("attributes: there is no option named {}", text::shown(name))));
    }
    let bytes: usize = include.iter().chain(&exclude).map(String::len).sum();
    if include.len().saturating_add(exclude.len()) > MAX_GLOBS || bytes > MAX_GLOB_BYTES {
        return Err(too_many_globs());
    }
    // Globs are longer once their braces are expanded.
    let mut room = MAX_GLOB_BYTES;
    let mut wanted = Vec::new();
    for kind in kinds.into_iter().map(wanted_kind) {
        if !wanted.contains(&kind) {
            wanted.push(kind);
        }
    }
    Ok(WalkOptions {
        prefix: log_path("prefix", &prefix)?,
        include: globs("include", &include, &mut room)?,
        exclude: globs("exclude", &exclude, &mut room)?,
        kinds: wanted,
        max_depth,
    })
}

fn too_many_globs() -> types::Error {
    types::Error::Limit(format!(
        "a walk may have {MAX_GLOBS} globs with {MAX_GLOB_BYTES} bytes together, their braces written out"
    ))
}

fn globs(field: &str, texts: &[String], room: &mut usize) -> Result<Vec<Glob>, types::Error> {
    let parse = |(place, text): (usize, &String)| {
        let told = |problem| types::Error::Invalid(format!("{field}[{place}]: {problem}"));
        let glob: Glob = text.parse().map_err(told)?;
        *room = room.checked_sub(glob.weight()).ok_or_else(too_many_globs)?;
        Ok(glob)
    };
    texts.iter().enumerate().map(parse).collect()
}

fn wanted_kind(kind: logs::FileKind) -> FileKind {
    match kind {
        logs::FileKind::File => FileKind::File,
        logs::FileKind::Directory => FileKind::Directory,
        logs::FileKind::Symlink => FileKind::Symlink,
        logs::FileKind::Fifo => FileKind::Fifo,
        logs::FileKind::Socket => FileKind::Socket,
        logs::FileKind::BlockDevice => FileKind::BlockDevice,
        logs::FileKind::CharacterDevice => FileKind::CharacterDevice,
        logs::FileKind::Other => FileKind::Other,
    }
}

fn file_record(entry: FileEntry) -> logs::FileEntry {
    let why = entry.not_entered.map(|why| ("not-entered".to_owned(), why.as_str().to_owned()));
    logs::FileEntry {
        path: entry.path.to_string(),
        identity: format!("{:x}:{:x}", entry.identity.device, entry.identity.inode),
        kind: match entry.kind {
            FileKind::File => logs::FileKind::File,
            FileKind::Directory => logs::FileKind::Directory,
            FileKind::Symlink => logs::FileKind::Symlink,
            FileKind::Fifo => logs::FileKind::Fifo,
            FileKind::Socket => logs::FileKind::Socket,
            FileKind::BlockDevice => logs::FileKind::BlockDevice,
            FileKind::CharacterDevice => logs::FileKind::CharacterDevice,
            FileKind::Other => logs::FileKind::Other,
        },
        size_bytes: entry.size_bytes,
        allocated_bytes: entry.allocated_bytes,
        modified: timestamp(entry.modified),
        changed: timestamp(entry.changed),
        hard_links: entry.hard_links,
        open: match entry.open {
            OpenState::Open => logs::OpenState::Open,
            OpenState::Closed => logs::OpenState::Closed,
            OpenState::Unknown => logs::OpenState::Unknown,
        },
        pod_uid: entry.pod_uid,
        attributes: why.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests;
