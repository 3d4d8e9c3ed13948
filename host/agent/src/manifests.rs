//! Conversion of files to manifests, and of each manifest to a policy. All problems are reported together, each with
//! its field, before anything runs.

mod texts;

use std::path::{Path, PathBuf};

use holystone_core::cluster::{self, Allowed};
use holystone_core::manifest::{Found, LogRoot, NodeCleanup, PluginDraft, PluginSource, Problem};
use holystone_core::text;
use holystone_node::{PathMapping, RootSpec};
use holystone_runtime::Capability;

use crate::checker::{self, Checker};
use crate::error::UsageError;
use crate::notices::notices_of_manifest;
use crate::plugins::{self, CacheDir, ConfigProblem, LoadedPlugin, PluginSpec, Source};
use crate::policy::{Overrides, Policy};

/// The locations of manifests, and of the files that they reference, on this machine.
#[derive(Clone, Debug, Default)]
pub struct Manifests {
    /// Files and directories; `-` is standard input.
    pub filenames: Vec<PathBuf>,
    /// The digest that the one file must have.
    pub digest: Option<String>,
    /// Directory of the `ConfigMaps` that plugins come from.
    pub config_map_dir: Option<PathBuf>,
    /// Directory of the image volumes that plugins come from.
    pub image_volume_dir: Option<PathBuf>,
    /// Directory in which this process sees the log roots.
    pub log_root_dir: Option<PathBuf>,
    /// The directories that log roots must be in; without any, log roots may be anywhere.
    pub log_roots_in: Vec<PathMapping>,
    /// The capabilities that plugins must not have.
    pub deny: Vec<Capability>,
}

/// A valid manifest, with its policy and its plugins.
pub(crate) struct Checked {
    pub(crate) manifest: NodeCleanup,
    /// The manifest's policy on this machine.
    pub(crate) policy: Policy,
    /// The manifest's plugins, loaded by the check.
    pub(crate) plugins: Vec<LoadedPlugin>,
}

/// Manifests, and all problems with them.
pub struct Validated {
    /// The manifests that can be read; not to be acted on when there are problems.
    pub manifests: Vec<NodeCleanup>,
    /// The problems, in the order of the files.
    pub problems: Vec<Problem>,
}

impl Validated {
    /// Returns the manifests.
    ///
    /// # Errors
    /// Fails with all problems together, as wrong usage.
    pub fn usable(self) -> anyhow::Result<Vec<NodeCleanup>> {
        if self.problems.is_empty() { Ok(self.manifests) } else { Err(as_error(&self.problems)) }
    }
}

impl Manifests {
    /// Lists the files that the manifests are read from now, without standard input.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        texts::paths(&self.filenames)
    }

    /// Returns whether standard input, which can be read only once, is one of the files.
    pub(crate) fn read_standard_input(&self) -> bool {
        self.filenames.iter().any(|path| path.as_os_str() == "-")
    }

    /// Returns whether no file is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.filenames.is_empty()
    }

    /// Reads all manifests, loads their plugins, and checks everything that can be checked without a node.
    ///
    /// # Errors
    /// Fails with all problems together, as wrong usage: then no manifest may be acted on.
    pub(crate) async fn read(&self, overrides: &Overrides, cache: &CacheDir) -> anyhow::Result<Vec<Checked>> {
        let files = texts::read_all(&self.filenames, self.digest.as_deref())?;
        let (drafts, mut problems) = texts::drafts(&files);
        let check = Checker::new(cache.clone());
        let mut checked = Vec::new();
        for draft in &drafts {
            let directory = texts::directory_of(draft.origin, &files);
            let source = |plugin: &PluginDraft| self.source(&plugin.name, &plugin.source, directory).ok();
            let before = problems.len();
            let policy =
                draft.as_found().and_then(|found| Some((self.policy(&found, directory, &mut problems)?, found)));
            let Some((policy, found)) = policy else {
                problems.extend(check.problems(draft, source).await?);
                continue;
            };
            let policy = overrides.apply(policy)?;
            let loaded = plugins::load(&policy.plugins, cache).await?;
            if loaded.iter().any(plugins::is_denied_builtin) {
                problems.extend(check.problems(draft, source).await?);
                continue;
            }
            problems.extend(checker::digest_problems(draft));
            problems.extend(of_loaded(&found, &policy, &loaded).await);
            if problems.len() == before {
                checked.push(Checked { manifest: found.manifest, policy, plugins: loaded });
            }
        }
        if problems.is_empty() {
            self.note_unused(&checked.iter().map(|checked| &checked.manifest));
            Ok(checked)
        } else {
            Err(as_error(&texts::in_order(problems, &files)))
        }
    }

    /// Finds all problems with the manifests: those of this machine, or with `on_cluster` those that an operator with
    /// these permissions would report. `adapt` applies flags to a manifest.
    ///
    /// # Errors
    /// When the files cannot be read, or no plugin can be compiled.
    pub async fn validate(
        &self,
        cache: CacheDir,
        on_cluster: Option<&Allowed>,
        adapt: impl Fn(&mut NodeCleanup),
    ) -> anyhow::Result<Validated> {
        let files = texts::read_all(&self.filenames, self.digest.as_deref())?;
        let (drafts, mut problems) = texts::drafts(&files);
        let check = Checker::new(cache);
        let mut manifests = Vec::new();
        for draft in &drafts {
            let directory = texts::directory_of(draft.origin, &files);
            let here = |plugin: &PluginDraft| self.source(&plugin.name, &plugin.source, directory).ok();
            let source = |plugin: &PluginDraft| {
                if on_cluster.is_some() { checker::builtin_source(plugin) } else { here(plugin) }
            };
            problems.extend(check.problems(draft, source).await?);
            let Some(mut manifest) = draft.manifest.clone() else { continue };
            adapt(&mut manifest);
            for notice in notices_of_manifest(&manifest) {
                tracing::warn!("{}: {notice}", text::shown(&manifest.full_name()));
            }
            if let Some(allowed) = on_cluster {
                let found = cluster::problems(&manifest, allowed).into_iter();
                problems.extend(found.map(|problem| draft.problem(&problem.path, problem.message)));
            }
            manifests.push(manifest);
        }
        self.note_unused(&manifests.iter());
        Ok(Validated { manifests, problems: texts::in_order(problems, &files) })
    }

    /// Warns of directories named by flags that no manifest uses.
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

    /// Builds the policy of a manifest. Problems with it are added to `problems`.
    fn policy(&self, found: &Found<'_>, directory: &Path, problems: &mut Vec<Problem>) -> Option<Policy> {
        let manifest = &found.manifest;
        let before = problems.len();
        let mut plugins = Vec::new();
        for (index, plugin) in manifest.spec.plugins.iter().enumerate() {
            if let Some(denied) = plugin.capabilities.iter().find(|capability| self.deny.contains(capability)) {
                let field = format!("spec.plugins[{index}].capabilities");
                problems.push(found.problem(&field, format!("must not have {denied}, which --deny forbids")));
            }
            match self.source(&plugin.name, &plugin.source, directory) {
                Ok(source) => plugins.push(PluginSpec::of_manifest(plugin, source)),
                Err((field, problem)) => {
                    problems.push(found.problem(&format!("spec.plugins[{index}].source.{field}"), problem));
                }
            }
        }
        let log_roots = manifest.spec.log_roots.iter().map(|root| self.log_root(root)).collect();
        (problems.len() == before).then(|| Policy::of_manifest(manifest, plugins, log_roots))
    }

    fn log_root(&self, root: &LogRoot) -> RootSpec {
        let mounted_at = self.log_root_dir.as_ref().map(|directory| directory.join(&root.name));
        let allowed_in = (!self.log_roots_in.is_empty()).then(|| self.log_roots_in.clone());
        RootSpec { mounted_at, allowed_in, ..RootSpec::new(&root.name, &root.host_path) }
    }

    /// Resolves the source of a plugin on this machine. The error is the field of the source, and a sentence that says
    /// what to do.
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

/// Returns the source of a plugin in a file under a directory, if a directory is given.
fn beneath(directory: Option<&Path>, file: &Path) -> Option<Source> {
    directory.map(|directory| Source::File(directory.join(file)))
}

/// Finds the problems with the plugins of a manifest, which are loaded with the capabilities that it grants.
async fn of_loaded(found: &Found<'_>, policy: &Policy, loaded: &[LoadedPlugin]) -> Vec<Problem> {
    let mut problems = plugins::config_problems(loaded).await;
    problems.extend(policy.supplies(checker::ADD_LOG_ROOT).problems(loaded));
    let placed = |problem: ConfigProblem| {
        let plugin = problem.plugin;
        let source = &found.manifest.spec.plugins[plugin].source;
        checker::of_plugin(source, plugin, problem, |path, message| found.problem(path, message))
    };
    problems.into_iter().map(placed).collect()
}

/// Combines all problems into one error.
fn as_error(problems: &[Problem]) -> anyhow::Error {
    let title = match problems {
        [_] => "the manifest cannot be used, there is a problem:".to_owned(),
        several => format!("the manifest cannot be used, there are {} problems:", several.len()),
    };
    UsageError::Problems { title, problems: problems.iter().map(Problem::to_string).collect() }.into()
}
