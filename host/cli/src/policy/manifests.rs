//! From files to manifests, and from each to a policy. Everything that is wrong is told at once, with the field that it
//! is wrong in, before anything runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holystone_core::cluster::{self, Allowed};
use holystone_core::manifest::{
    self, Found, LogRoot, MAX_LENGTH, NodeCleanup, PluginDraft, PluginSource, Problem, Text,
};
use holystone_core::sweep::Pace;
use holystone_core::{digest, text};
use holystone_node::{Elsewhere, RootSpec};
use holystone_runtime::{Capability, Limits};

use super::check::{self, Checker};
use super::{Overrides, Policy, TIME_LIMIT};
use crate::args::ManifestArguments;
use crate::exit::{Problems, Usage};
use crate::files;
use crate::plugins::{self, CacheDir, Choice, Complaint, Loaded, Source};

/// The length of a digest as it is shown.
const SHOWN_OF_DIGEST: usize = "sha256:".len() + 16;
/// What the name of a file has to end in, for it to be read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The extension of a plugin's config schema, which is not read from a directory either.
const SCHEMA_ENDING: &str = ".schema.json";

/// Where manifests come from.
#[derive(Clone, Debug)]
pub(crate) struct Manifests {
    filenames: Vec<PathBuf>,
    /// The digest that the one file must have.
    digest: Option<String>,
    config_map_dir: Option<PathBuf>,
    image_volume_dir: Option<PathBuf>,
    log_root_dir: Option<PathBuf>,
    /// Where log roots may be; anywhere without any.
    log_roots_in: Vec<Elsewhere>,
    /// The capabilities that plugins must not have.
    deny: Vec<Capability>,
}

/// A manifest that can be acted on.
pub(crate) struct Checked {
    pub(crate) manifest: NodeCleanup,
    /// What it comes to on this machine.
    pub(crate) policy: Policy,
    /// Its plugins, which have been loaded to check it.
    pub(crate) plugins: Vec<Loaded>,
}

/// Manifests, and everything that is wrong with them.
pub(crate) struct Validated {
    /// Those that can be read; not to be acted on when there are problems.
    pub(crate) manifests: Vec<NodeCleanup>,
    pub(crate) problems: Vec<Problem>,
}

impl Validated {
    /// Returns the manifests.
    ///
    /// # Errors
    /// With everything that is wrong, as wrong usage.
    pub(crate) fn usable(self) -> anyhow::Result<Vec<NodeCleanup>> {
        if self.problems.is_empty() { Ok(self.manifests) } else { Err(told(&self.problems)) }
    }
}

/// A text with manifests, and the directory that relative paths in it start at.
struct File {
    origin: String,
    directory: PathBuf,
    text: String,
    /// Found in a directory, and not named by itself.
    is_listed: bool,
}

impl File {
    fn as_text(&self) -> Text<'_> {
        Text { origin: &self.origin, text: &self.text, skips_others: self.is_listed }
    }
}

impl Manifests {
    /// The ones that these arguments name.
    pub(crate) fn new(arguments: &ManifestArguments) -> Self {
        Self {
            filenames: arguments.filenames.clone(),
            digest: arguments.manifest_digest.clone(),
            config_map_dir: arguments.config_map_dir.clone(),
            image_volume_dir: arguments.image_volume_dir.clone(),
            log_root_dir: arguments.log_root_dir.clone(),
            log_roots_in: arguments.log_roots_in.clone(),
            deny: arguments.deny.clone(),
        }
    }

    /// The files that they are read from now; what cannot be read is left out.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let of = |path: &PathBuf| match entries(path) {
            Ok(Entries { manifests, .. }) => manifests,
            Err(_) => vec![path.clone()],
        };
        self.filenames.iter().filter(|path| path.as_os_str() != "-").flat_map(of).collect()
    }

    /// Whether standard input is one of them, which can be read once.
    pub(crate) fn read_standard_input(&self) -> bool {
        self.filenames.iter().any(|path| path.as_os_str() == "-")
    }

    /// Whether none are named.
    pub(crate) fn is_empty(&self) -> bool {
        self.filenames.is_empty()
    }

    /// Reads them all, loads their plugins, and checks everything that can be checked without a node.
    ///
    /// # Errors
    /// With everything that is wrong, as wrong usage: then none is to be acted on.
    pub(crate) async fn read(&self, overrides: &Overrides<'_>, cache: &CacheDir) -> anyhow::Result<Vec<Checked>> {
        let files = self.files()?;
        let (drafts, mut problems) = drafts(&files);
        let check = Checker::new(cache.clone());
        let mut checked = Vec::new();
        for draft in &drafts {
            let directory = directory_of(draft.origin, &files);
            let source = |plugin: &PluginDraft| self.source(&plugin.name, &plugin.source, directory).ok();
            let before = problems.len();
            let policy =
                draft.as_found().and_then(|found| Some((self.policy(&found, directory, &mut problems)?, found)));
            let Some((policy, found)) = policy else {
                problems.extend(check.problems(draft, source).await?);
                continue;
            };
            let policy = overrides.on(policy)?;
            let loaded = plugins::load(&policy.plugins, cache).await?;
            if loaded.iter().any(plugins::is_denied_builtin) {
                problems.extend(check.problems(draft, source).await?);
                continue;
            }
            problems.extend(of_loaded(&found, &policy, &loaded).await);
            if problems.len() == before {
                checked.push(Checked { manifest: found.manifest, policy, plugins: loaded });
            }
        }
        if problems.is_empty() {
            self.note_unused(&checked.iter().map(|checked| &checked.manifest));
            Ok(checked)
        } else {
            Err(told(&in_order(problems, &files)))
        }
    }

    /// Finds everything that is wrong with all of them: as this machine would find it, or with `on_cluster` as an
    /// operator would that allows this. `adapt` puts flags on top of a manifest.
    ///
    /// # Errors
    /// When they cannot be read, or no plugin can be compiled.
    pub(crate) async fn validate(
        &self,
        cache: CacheDir,
        on_cluster: Option<&Allowed>,
        adapt: impl Fn(&mut NodeCleanup),
    ) -> anyhow::Result<Validated> {
        let files = self.files()?;
        let (drafts, mut problems) = drafts(&files);
        let check = Checker::new(cache);
        let mut manifests = Vec::new();
        for draft in &drafts {
            let directory = directory_of(draft.origin, &files);
            let here = |plugin: &PluginDraft| self.source(&plugin.name, &plugin.source, directory).ok();
            let source =
                |plugin: &PluginDraft| if on_cluster.is_some() { check::builtin(plugin) } else { here(plugin) };
            problems.extend(check.problems(draft, source).await?);
            let Some(mut manifest) = draft.manifest.clone() else { continue };
            adapt(&mut manifest);
            for notice in super::of_manifest(&manifest) {
                tracing::warn!("{}: {notice}", text::shown(&manifest.full_name()));
            }
            if let Some(allowed) = on_cluster {
                let found = cluster::problems(&manifest, allowed).into_iter();
                problems.extend(found.map(|problem| draft.problem(&problem.path, problem.message)));
            }
            manifests.push(manifest);
        }
        self.note_unused(&manifests.iter());
        Ok(Validated { manifests, problems: in_order(problems, &files) })
    }

    /// Says which directories were named that no manifest takes anything from.
    fn note_unused<'a>(&self, manifests: &(impl Iterator<Item = &'a NodeCleanup> + Clone)) {
        let has = |wanted: fn(&PluginSource) -> bool| {
            manifests.clone().flat_map(|manifest| &manifest.spec.plugins).any(|plugin| wanted(&plugin.source))
        };
        let has_log_roots = manifests.clone().any(|manifest| !manifest.spec.log_roots.is_empty());
        for (flag, directory, is_used, missing) in [
            (
                "--config-map-dir",
                &self.config_map_dir,
                has(|source| matches!(source, PluginSource::ConfigMap(_))),
                "no plugin comes from a ConfigMap",
            ),
            (
                "--image-volume-dir",
                &self.image_volume_dir,
                has(|source| matches!(source, PluginSource::ImageVolume(_))),
                "no plugin comes from an image",
            ),
            ("--log-root-dir", &self.log_root_dir, has_log_roots, "no manifest has log roots"),
        ] {
            if directory.is_some() && !is_used {
                tracing::warn!("{flag} has no effect, because {missing}");
            }
        }
    }

    /// The ones in these files and directories.
    pub(crate) fn in_files(filenames: &[PathBuf]) -> Self {
        Self {
            filenames: filenames.to_vec(),
            digest: None,
            config_map_dir: None,
            image_volume_dir: None,
            log_root_dir: None,
            log_roots_in: Vec::new(),
            deny: Vec::new(),
        }
    }

    /// Every file that may hold manifests, with its content as far as it can be read at all.
    fn files(&self) -> anyhow::Result<Vec<File>> {
        let mut files = Vec::new();
        for path in &self.filenames {
            if path.as_os_str() == "-" {
                let bytes = files::standard_input(MAX_LENGTH as u64);
                files.push(file("standard input".to_owned(), Path::new("."), bytes)?);
            } else if path.is_dir() {
                let Entries { manifests, schemas } = entries(path)?;
                schemas.iter().filter(|schema| !has_component(schema)).for_each(|schema| note_schema(schema));
                for path in manifests {
                    files.push(File { is_listed: true, ..read(&path)? });
                }
            } else {
                files.push(read(path)?);
            }
        }
        if let Some(digest) = &self.digest {
            is_the_one(&files, digest)?;
        }
        Ok(files)
    }

    /// What a manifest comes to. What is wrong with it is added to the problems.
    fn policy(&self, found: &Found<'_>, directory: &Path, problems: &mut Vec<Problem>) -> Option<Policy> {
        let manifest = &found.manifest;
        let before = problems.len();
        let mut plugins = Vec::new();
        for (index, plugin) in manifest.spec.plugins.iter().enumerate() {
            let mut grants = plugin.capabilities.iter().copied().map(granted);
            if let Some(denied) = grants.find(|capability| self.deny.contains(capability)) {
                let field = format!("spec.plugins[{index}].capabilities");
                problems.push(found.problem(&field, format!("must not have {denied}, which --deny forbids")));
            }
            match self.source(&plugin.name, &plugin.source, directory) {
                Ok(source) => plugins.push(choice(plugin, source)),
                Err((field, problem)) => {
                    problems.push(found.problem(&format!("spec.plugins[{index}].source.{field}"), problem));
                }
            }
        }
        let deadline = manifest.spec.rollout.completion_policy.active_deadline_seconds;
        (problems.len() == before).then(|| Policy {
            name: Some(manifest.full_name()),
            mode: manifest.spec.mode,
            rails: manifest.rails(),
            pace: pace(manifest),
            endpoint: manifest.spec.runtime.endpoint.clone(),
            log_roots: manifest.spec.log_roots.iter().map(|root| self.log_root(root)).collect(),
            time_limit: deadline.map_or(TIME_LIMIT, |seconds| Duration::from_secs(seconds.into())),
            notices: notices(manifest),
            ..Policy::of(plugins)
        })
    }

    fn log_root(&self, root: &LogRoot) -> RootSpec {
        let mounted_at = self.log_root_dir.as_ref().map(|directory| directory.join(&root.name));
        let allowed_in = (!self.log_roots_in.is_empty()).then(|| self.log_roots_in.clone());
        RootSpec { mounted_at, allowed_in, ..RootSpec::new(&root.name, &root.host_path) }
    }

    /// Where a plugin is on this machine; otherwise the field that says where it is elsewhere, and what to do about it.
    fn source(&self, name: &str, source: &PluginSource, directory: &Path) -> Result<Source, (&'static str, String)> {
        match source {
            PluginSource::Builtin(name) => Ok(Source::Builtin(name.clone())),
            PluginSource::File(path) => Ok(Source::File(directory.join(path))),
            PluginSource::ConfigMap(key) => {
                let problem = "a ConfigMap is a directory outside of a cluster: say where with --config-map-dir \
                               DIRECTORY, which has the file NAME/KEY";
                let file = Path::new(&key.name).join(&key.key);
                beneath(self.config_map_dir.as_deref(), &file).ok_or_else(|| ("configMap", problem.to_owned()))
            }
            PluginSource::ImageVolume(image) => {
                let problem = "an image is a directory outside of a cluster: say where with --image-volume-dir \
                               DIRECTORY, which has the file PLUGIN/PATH";
                let file = Path::new(name).join(&image.path);
                beneath(self.image_volume_dir.as_deref(), &file).ok_or_else(|| ("imageVolume", problem.to_owned()))
            }
        }
    }
}

/// A plugin in a file beneath a directory, if that has been named.
fn beneath(directory: Option<&Path>, file: &Path) -> Option<Source> {
    directory.map(|directory| Source::File(directory.join(file)))
}

fn choice(plugin: &manifest::Plugin, source: Source) -> Choice {
    let timeout = plugin.limits.timeout.get().unsigned_abs();
    let memory = usize::try_from(plugin.limits.memory.get()).unwrap_or(usize::MAX);
    Choice {
        name: plugin.name.clone(),
        source,
        digest: plugin.digest.clone(),
        grants: plugin.capabilities.iter().copied().map(granted).collect(),
        config: serde_json::Value::Object(plugin.config.clone()).to_string(),
        limits: Limits { timeout, memory, ..Limits::default() },
        on_failure: plugin.on_failure,
    }
}

/// The same capability in the words of the plugin runtime, which core knows nothing of.
pub(super) fn granted(capability: manifest::Capability) -> Capability {
    match capability {
        manifest::Capability::Images => Capability::Images,
        manifest::Capability::Containers => Capability::Containers,
        manifest::Capability::Pods => Capability::Pods,
        manifest::Capability::Logs => Capability::Logs,
        manifest::Capability::LogContent => Capability::LogContent,
    }
}

pub(super) fn pace(manifest: &NodeCleanup) -> Pace {
    let pace = manifest.spec.pace;
    Pace {
        in_flight: pace.concurrency.into(),
        pause: pace.pause.get().unsigned_abs(),
        pressure: manifest.pressure(),
        max_failures: pace.max_failures,
    }
}

fn notices(manifest: &NodeCleanup) -> Vec<String> {
    let fields = manifest.only_on_a_fleet();
    if fields.is_empty() {
        return Vec::new();
    }
    vec![format!("on one machine these fields mean nothing and are ignored: {}", fields.join(", "))]
}

fn directory_of<'a>(origin: &str, files: &'a [File]) -> &'a Path {
    let file = files.iter().find(|file| file.origin == origin);
    file.map_or(Path::new("."), |file| &file.directory)
}

/// Finds what is wrong with the plugins of a manifest, which are loaded with what it grants them.
async fn of_loaded(found: &Found<'_>, policy: &Policy, loaded: &[Loaded]) -> Vec<Problem> {
    let mut complaints = plugins::complaints(loaded).await;
    let (has_roots, has_runtime) = (!policy.log_roots.is_empty(), policy.endpoint != "none");
    complaints.extend(plugins::without_effect(loaded, has_roots, has_runtime, check::ADD_LOG_ROOT));
    let placed = |complaint: Complaint| {
        let plugin = complaint.plugin;
        let source = &found.manifest.spec.plugins[plugin].source;
        check::of_plugin(source, plugin, complaint, |path, message| found.problem(path, message))
    };
    complaints.into_iter().map(placed).collect()
}

/// Sorts problems as they stand in the files.
fn in_order(mut problems: Vec<Problem>, files: &[File]) -> Vec<Problem> {
    let place = |problem: &Problem| files.iter().position(|file| file.origin == problem.origin);
    problems.sort_by_key(|problem| (place(problem), problem.line));
    problems
}

fn read(path: &Path) -> anyhow::Result<File> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    file(path.display().to_string(), directory, files::read(path, MAX_LENGTH as u64))
}

fn file(origin: String, directory: &Path, bytes: Result<Vec<u8>, files::FileError>) -> anyhow::Result<File> {
    let bytes = bytes.map_err(|error| Usage(format!("-f: {origin} {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| Usage(format!("-f: {origin} is not UTF-8: {error}")))?;
    Ok(File { origin, directory: directory.to_owned(), text, is_listed: false })
}

/// Refuses every file but one with this digest. In a pod a ConfigMap may have been put in the place of the one that it
/// was made for.
fn is_the_one(files: &[File], digest: &str) -> anyhow::Result<()> {
    let [file] = files else {
        let problem = format!("--manifest-digest is about one file, and -f names {}", files.len());
        return Err(Usage(problem).into());
    };
    let found = digest::of(file.text.as_bytes());
    if found == digest {
        return Ok(());
    }
    // A termination message has few bytes.
    let short = |digest: &str| digest.chars().take(SHOWN_OF_DIGEST).collect::<String>();
    let problem = format!(
        "-f: {} was changed: --manifest-digest asks for {}…, and it has {}…; nothing is done; on a cluster, delete the \
         ConfigMap, and the operator makes it again",
        file.origin,
        short(digest),
        short(&found)
    );
    Err(Usage(problem).into())
}

/// The documents of these files. What else lies in a directory is skipped with a note; a directory with nothing but
/// that is a problem.
fn drafts(files: &[File]) -> (Vec<manifest::Draft<'_>>, Vec<Problem>) {
    let texts: Vec<Text<'_>> = files.iter().map(File::as_text).collect();
    let notes = manifest::skipped(&texts);
    for note in &notes {
        tracing::warn!("-f: {note}");
    }
    let (drafts, mut problems) = manifest::drafts(&texts);
    if drafts.is_empty() && problems.is_empty() && !notes.is_empty() {
        problems.push(manifest::nothing());
    }
    (drafts, problems)
}

/// Lists the files in a directory, by name.
#[derive(Default)]
struct Entries {
    manifests: Vec<PathBuf>,
    /// Schemas of the configs of plugins, which lie beside the plugins.
    schemas: Vec<PathBuf>,
}

/// Sorts the files of a directory. What Kubernetes mounts has hidden entries besides.
fn entries(directory: &Path) -> anyhow::Result<Entries> {
    let unreadable = |error: std::io::Error| Usage(format!("-f: {} cannot be read: {error}", directory.display()));
    let mut entries = Entries::default();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = path.extension().is_some_and(|ending| ENDINGS.iter().any(|wanted| ending == *wanted));
        if !wanted || hidden || path.is_dir() {
            continue;
        }
        let is_schema = path.as_os_str().as_encoded_bytes().ends_with(SCHEMA_ENDING.as_bytes());
        let list = if is_schema { &mut entries.schemas } else { &mut entries.manifests };
        list.push(path);
    }
    if entries.manifests.is_empty() {
        let problem = format!(
            "-f: {} has no file that ends in .yaml, .yml or .json, besides {SCHEMA_ENDING}",
            directory.display()
        );
        return Err(Usage(problem).into());
    }
    entries.manifests.sort();
    entries.schemas.sort();
    Ok(entries)
}

/// Says whether the plugin that a schema belongs to lies beside it.
fn has_component(schema: &Path) -> bool {
    // From cleaner.schema.json over cleaner.schema to cleaner.wasm.
    schema.with_extension("").with_extension("wasm").exists()
}

fn note_schema(schema: &Path) {
    tracing::warn!(
        "-f: {}: by its name the JSON Schema of a plugin's config, not a NodeCleanup: skipped; give the file itself to -f to have it read",
        text::shown(&schema.display().to_string())
    );
}

/// All problems as one error.
fn told(problems: &[Problem]) -> anyhow::Error {
    let title = match problems {
        [_] => "the manifest cannot be used, there is a problem:".to_owned(),
        several => format!("the manifest cannot be used, there are {} problems:", several.len()),
    };
    Problems { title, problems: problems.iter().map(Problem::to_string).collect() }.into()
}
