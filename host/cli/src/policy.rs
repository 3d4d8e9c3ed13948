//! What a run is to do, whoever says so: flags alone, or a manifest and the flags that were given on top of it.
//!
//! - `check`: what is wrong with a manifest beyond its own text.
//! - `manifests`: from files to manifests, and from each to a policy.
//! - `notices`: what a policy says that has no effect on this run.

mod check;
mod manifests;
mod notices;

use std::path::Path;
use std::time::Duration;

use holystone_core::guard::GuardRails;
use holystone_core::manifest::{Mode, OnFailure};
use holystone_core::pressure::Disk;
use holystone_core::sweep::Pace;
use holystone_core::text;
use holystone_node::RootSpec;
use holystone_runtime::{Capability, Grants, Limits};
use serde::de::IgnoredAny;

use crate::args::{NodeArguments, PaceArguments, PlanArguments, PolicyArguments, RunArguments};
use crate::exit::{Problems, Usage};
use crate::files;
use crate::plugins::{self, CacheDir, Choice, Complaint, Loaded, Source};

pub(crate) use self::check::{Checker, builtin};
pub(crate) use self::manifests::{Checked, Manifests, Validated};
pub(crate) use self::notices::{of_manifest, without_effect};

/// How long a run may take when nobody says so.
const TIME_LIMIT: Duration = Duration::from_mins(30);

/// What a plugin may see when nobody says so.
const GRANTS: [Capability; 4] = [Capability::Images, Capability::Containers, Capability::Pods, Capability::Logs];

/// Everything that a run needs to know but for how to print its result.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Namespace and name of the manifest; absent when flags alone say what to do.
    pub(crate) name: Option<String>,
    /// Whether to remove anything.
    pub(crate) mode: Mode,
    /// Who decides, in this order.
    pub(crate) plugins: Vec<Choice>,
    pub(crate) rails: GuardRails,
    pub(crate) pace: Pace,
    /// The runtime's socket, `auto`, or `none`.
    pub(crate) endpoint: String,
    /// The log directories that plugins may be shown.
    pub(crate) log_roots: Vec<RootSpec>,
    /// How long the run may take as a whole.
    pub(crate) time_limit: Duration,
    /// What there is to tell about all this.
    pub(crate) notices: Vec<String>,
}

/// A policy and its plugins. Those of a manifest are loaded before anything runs, to check it; those of flags while the
/// node is looked at.
pub(crate) struct Prepared {
    pub(crate) policy: Policy,
    plugins: Option<Vec<Loaded>>,
    cache: CacheDir,
}

impl Prepared {
    /// With plugins that are loaded when they are needed.
    pub(crate) fn later(policy: Policy, cache: CacheDir) -> Self {
        Self { policy, plugins: None, cache }
    }

    /// The plugins, loaded.
    pub(crate) async fn plugins(&mut self) -> anyhow::Result<Vec<Loaded>> {
        match self.plugins.take() {
            Some(loaded) => Ok(loaded),
            None => plugins::load(&self.policy.plugins, &self.cache).await,
        }
    }
}

/// The flags that may stand on top of a manifest.
pub(crate) struct Overrides<'a> {
    pub(crate) policy: Option<&'a PolicyArguments>,
    pub(crate) pace: Option<&'a PaceArguments>,
    pub(crate) node: &'a NodeArguments,
    pub(crate) time_limit: Option<Duration>,
    pub(crate) mode: Option<Mode>,
}

/// Checks that standard input is asked for once only.
pub(crate) fn check_standard_input(arguments: &PlanArguments) -> anyhow::Result<()> {
    let from_stdin = |path: &Path| path.as_os_str() == "-";
    if arguments.snapshot.as_deref().is_some_and(from_stdin)
        && arguments.manifests.filenames.iter().any(|path| from_stdin(path))
    {
        let problem = "standard input cannot be both the manifest (-f -) and the node (--snapshot -)";
        return Err(Usage(problem.to_owned()).into());
    }
    Ok(())
}

/// What `plan` is to plan.
pub(crate) async fn of_plan(arguments: &PlanArguments) -> anyhow::Result<Vec<Prepared>> {
    let policy = &arguments.policy;
    let overrides = Overrides { policy: Some(policy), pace: None, node: &arguments.node, time_limit: None, mode: None };
    prepare(&Manifests::new(&arguments.manifests), policy, &overrides).await
}

/// What `run` is to do.
pub(crate) async fn of_run(arguments: &RunArguments) -> anyhow::Result<Vec<Prepared>> {
    let policy = &arguments.policy;
    let overrides = Overrides {
        policy: Some(policy),
        pace: Some(&arguments.pace),
        node: &arguments.node,
        time_limit: arguments.time_limit,
        mode: arguments.mode.map(Mode::from),
    };
    prepare(&Manifests::new(&arguments.manifests), policy, &overrides).await
}

async fn prepare(
    manifests: &Manifests,
    arguments: &PolicyArguments,
    overrides: &Overrides<'_>,
) -> anyhow::Result<Vec<Prepared>> {
    let cache = arguments.cache.directory();
    if manifests.is_empty() {
        let policy = overrides.on(Policy::of_flags(arguments)?)?;
        let loaded = plugins::load(&policy.plugins, &cache).await?;
        check_flags(&policy, &loaded).await?;
        return Ok(vec![Prepared { policy, plugins: Some(loaded), cache }]);
    }
    let checked = manifests.read(overrides, &cache).await?;
    let prepared =
        |checked: Checked| Prepared { policy: checked.policy, plugins: Some(checked.plugins), cache: cache.clone() };
    Ok(checked.into_iter().map(prepared).collect())
}

/// Checks the plugins and configs that flags name, as those of a manifest are checked.
async fn check_flags(policy: &Policy, loaded: &[Loaded]) -> anyhow::Result<()> {
    let choices = &policy.plugins;
    let mut complaints = plugins::complaints(loaded).await;
    let (has_roots, has_runtime) = (!policy.log_roots.is_empty(), policy.endpoint != "none");
    complaints.extend(plugins::without_effect(loaded, has_roots, has_runtime, "add one with --log-root NAME=PATH"));
    let several = choices.len() > 1;
    let problem = |complaint: Complaint| {
        let choice = &choices[complaint.plugin];
        let flag = match complaint.path.strip_prefix("config") {
            _ if complaint.path == "source" => format!("--plugin {}", choice.source.shown()),
            Some("") | None if several => format!("--config of {}", choice.name),
            Some("") | None => "--config".to_owned(),
            Some(path) if several => format!("--config of {}: {}", choice.name, path.trim_start_matches('.')),
            Some(path) => format!("--config: {}", path.trim_start_matches('.')),
        };
        let found = complaint.found.map(|found| format!(", found {found}")).unwrap_or_default();
        let meant = complaint.suggestion.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        format!("{flag}: {}{found}{meant}", complaint.message)
    };
    let problems: Vec<String> = complaints.into_iter().map(problem).collect();
    match problems.len() {
        0 => Ok(()),
        1 => Err(Usage(problems.concat()).into()),
        number => {
            Err(Problems { title: format!("the flags cannot be used, there are {number} problems:"), problems }.into())
        }
    }
}

impl Policy {
    /// What is wanted when nothing is said but which plugins decide.
    pub(crate) fn of(plugins: Vec<Choice>) -> Self {
        Self {
            name: None,
            mode: Mode::Enforce,
            plugins,
            rails: GuardRails::default(),
            pace: Pace::default(),
            endpoint: "auto".to_owned(),
            log_roots: Vec::new(),
            time_limit: TIME_LIMIT,
            notices: Vec::new(),
        }
    }

    fn of_flags(arguments: &PolicyArguments) -> anyhow::Result<Self> {
        Ok(Self::of(choices(&arguments.plugins, &arguments.configs)?))
    }
}

impl Overrides<'_> {
    /// Puts the flags that were given on top of a policy.
    pub(crate) fn on(&self, mut policy: Policy) -> anyhow::Result<Policy> {
        if let Some(arguments) = self.policy {
            for plugin in &mut policy.plugins {
                arguments.replace(plugin);
            }
            arguments.rails.replace(&mut policy.rails);
        }
        if let Some(pace) = self.pace {
            pace.replace(&mut policy.pace);
        }
        policy.mode = self.mode.unwrap_or(policy.mode);
        policy.time_limit = self.time_limit.unwrap_or(policy.time_limit);
        policy.endpoint = self.node.endpoint.clone().unwrap_or(policy.endpoint);
        let given = &self.node.log_roots;
        policy.log_roots.retain(|root| given.iter().all(|given| given.name != root.name));
        policy.log_roots.extend(given.iter().cloned());
        match pressure_problem(&policy) {
            Some(problem) => Err(Usage(problem).into()),
            None => Ok(policy),
        }
    }
}

/// Says why the bounds of pressure could never have an effect.
fn pressure_problem(policy: &Policy) -> Option<String> {
    let pressure = &policy.pace.pressure;
    if let (Some(above), Some(until)) = (pressure.above, pressure.until)
        && until > above
    {
        return Some(format!("--until {until} is more than --above {above}: it would stop before it begins"));
    }
    for (flag, bound) in [("--above", pressure.above), ("--until", pressure.until)] {
        if bound.is_some_and(|bound| bound >= 100) {
            return Some(format!("{flag} 100: no filesystem is ever fuller, so nothing would ever be removed"));
        }
    }
    let is_bounded = pressure.above.is_some() || pressure.until.is_some();
    match &pressure.disk {
        disk if *disk != Disk::Images && !is_bounded => {
            Some(format!("--filesystem {disk} has no effect without --above or --until"))
        }
        Disk::LogRoot(name) if policy.log_roots.iter().all(|root| root.name != *name) => {
            let known: Vec<String> = policy.log_roots.iter().map(|root| format!("logs:{}", root.name)).collect();
            let meant = text::closest(&format!("logs:{name}"), known.iter().map(String::as_str));
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            Some(format!("--filesystem logs:{}: there is no log root of this name{meant}", text::shown(name)))
        }
        Disk::Images if is_bounded && policy.endpoint == "none" => Some(
            "--above and --until have no effect: without a container runtime images are never measured; \
                  name a log root with --filesystem logs:NAME"
                .to_owned(),
        ),
        _ => None,
    }
}

impl PolicyArguments {
    fn replace(&self, plugin: &mut Choice) {
        if !self.capabilities.is_empty() {
            plugin.grants = self.capabilities.iter().copied().collect();
        }
        plugin.limits.timeout = self.timeout.unwrap_or(plugin.limits.timeout);
        let memory = self.memory.map(|memory| usize::try_from(memory.as_u64()).unwrap_or(usize::MAX));
        plugin.limits.memory = memory.unwrap_or(plugin.limits.memory);
    }
}

/// Pairs plugins with configs.
pub(crate) fn choices(plugins: &[String], configs: &[String]) -> anyhow::Result<Vec<Choice>> {
    if configs.len() > plugins.len() {
        let problem = format!("there are {} --config for {} --plugin", configs.len(), plugins.len());
        return Err(Usage(problem).into());
    }
    let configs = configs.iter().map(|config| read_config(config)).collect::<anyhow::Result<Vec<_>>>()?;
    let configs = configs.into_iter().chain(std::iter::repeat("{}".to_owned()));
    Ok(plugins.iter().map(|plugin| Source::parse(plugin)).zip(configs).map(choice).collect())
}

fn choice((source, config): (Source, String)) -> Choice {
    Choice {
        name: source.name(),
        source,
        digest: None,
        grants: GRANTS.into_iter().collect::<Grants>(),
        config,
        limits: Limits::default(),
        on_failure: OnFailure::Skip,
    }
}

/// Reads a config, given as JSON or as @FILE. Plugins get the text as it is: read and written again, a field that is
/// given twice would quietly lose one of its values.
fn read_config(argument: &str) -> anyhow::Result<String> {
    let (text, origin) = match argument.strip_prefix('@') {
        Some(path) => {
            let read = files::read(Path::new(path), files::MAX_CONFIG);
            let bytes = read.map_err(|error| Usage(format!("--config: {path} {error}")))?;
            let text = String::from_utf8(bytes);
            (text.map_err(|error| Usage(format!("--config: {path} is not UTF-8: {error}")))?, path)
        }
        None => (argument.to_owned(), "--config"),
    };
    let checked: Result<IgnoredAny, _> = serde_json::from_str(&text);
    let Err(error) = checked else { return Ok(text) };
    // YAML says the same with fewer quotes; a field that is given twice is an error in it.
    if let Ok(config) = serde_saphyr::from_str::<serde_json::Value>(&text)
        && config.is_object()
    {
        return Ok(config.to_string());
    }
    let hint = match text.trim() {
        text if origin == "--config" && is_file_name(text) => format!("; to read a file write @{text}"),
        text if text.starts_with("{'") => "; JSON has double quotes, in a shell: --config '{\"field\": 1}'".to_owned(),
        _ => String::new(),
    };
    Err(Usage(format!("{origin} is not JSON: {error}{hint}")).into())
}

fn is_file_name(text: &str) -> bool {
    let endings = [".json", ".yaml", ".yml"];
    !text.contains(char::is_whitespace) && endings.iter().any(|ending| text.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command};
    use clap::Parser as _;

    fn run(flags: &[&str]) -> RunArguments {
        let arguments = [&["holystone", "run"], flags].concat();
        match Arguments::try_parse_from(arguments).unwrap().command {
            Command::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    async fn policy(flags: &[&str]) -> anyhow::Result<Policy> {
        Ok(of_run(&run(flags)).await?.remove(0).policy)
    }

    const MANIFEST: &str = "
apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {name: all, namespace: node-ops}
spec:
  runtime: {endpoint: /run/a.sock}
  logRoots: [{name: app, hostPath: /var/log/app}, {name: pods, hostPath: /var/log/pods}]
  plugins:
  - name: mine
    source: {builtin: unused-images}
    capabilities: [images, logs]
    config: {repositories: [\"*\"]}
    limits: {timeout: 90s, memory: 256Mi}
    onFailure: FailRun
  guardRails:
    protectImages: [\"a/b\"]
    minAge: 1h
    confirmations: 3
    unknownOpenAge: 6h
    settleTime: 7m
    maxDeletions: {count: 7, bytes: 1Gi, percent: 60}
  pace: {concurrency: 8, pause: 250ms, maxFailures: 5}
  pressure: {filesystem: \"logs:app\", above: 85%, until: 70%}
  rollout:
    parallelism: 1
    completionPolicy: {activeDeadlineSeconds: 600}
";

    fn written() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cleanup.yaml");
        std::fs::write(&path, MANIFEST).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (directory, path)
    }

    #[tokio::test]
    async fn a_manifest_says_everything() {
        let (_directory, path) = written();
        let policy = policy(&["-f", &path, "--no-cache"]).await.unwrap();
        assert_eq!((policy.name.as_deref(), policy.mode), (Some("node-ops/all"), Mode::DryRun));
        assert_eq!((policy.endpoint.as_str(), policy.time_limit), ("/run/a.sock", Duration::from_mins(10)));
        assert_eq!((policy.rails.protect.len(), policy.rails.confirmations), (1, 3));
        assert_eq!(policy.rails.min_age, jiff::SignedDuration::from_hours(1));
        assert_eq!(policy.rails.unknown_open_age, jiff::SignedDuration::from_hours(6));
        assert_eq!(policy.rails.settle_time, jiff::SignedDuration::from_mins(7));
        assert_eq!(policy.log_roots, [RootSpec::new("app", "/var/log/app"), RootSpec::new("pods", "/var/log/pods")]);
        assert_eq!(policy.pace.pressure.disk, Disk::LogRoot("app".to_owned()));
        assert_eq!((policy.rails.limits.count, policy.rails.limits.percent), (Some(7), Some(60)));
        assert_eq!((policy.pace.in_flight, policy.pace.max_failures), (8, 5));
        assert_eq!((policy.pace.pressure.above, policy.pace.pressure.until), (Some(85), Some(70)));
        assert_eq!(policy.notices.len(), 1, "parallelism means nothing on one machine: {:?}", policy.notices);
        let [plugin] = &policy.plugins[..] else { panic!("{:?}", policy.plugins) };
        assert_eq!((plugin.name.as_str(), plugin.config.as_str()), ("mine", r#"{"repositories":["*"]}"#));
        assert_eq!(plugin.grants, [Capability::Images, Capability::Logs].into_iter().collect());
        assert_eq!((plugin.limits.timeout, plugin.limits.memory), (Duration::from_secs(90), 256 << 20));
        assert_eq!(plugin.on_failure, OnFailure::FailRun);
    }

    #[tokio::test]
    async fn flags_that_were_given_win_and_others_change_nothing() {
        let (_directory, path) = written();
        let flags = "--mode enforce --endpoint /run/b.sock --time-limit 5s --protect c/d --min-age 0s --confirmations 1 \
                     --max-count 1 --max-bytes 2Gi --max-percent 3 --concurrency 4 --pause 5s --max-failures 6 \
                     --above 90 --until 80 --filesystem images --log-root app=/data/app --unknown-open-age 0s --settle-time 0s \
                     --allow images --timeout 7s --memory 8Mi --no-cache";
        let given: Vec<&str> = ["-f", &path].into_iter().chain(flags.split_whitespace()).collect();
        let policy = policy(&given).await.unwrap();
        assert_eq!((policy.mode, policy.endpoint.as_str()), (Mode::Enforce, "/run/b.sock"));
        assert_eq!(policy.time_limit, Duration::from_secs(5));
        let protected: Vec<&str> = policy.rails.protect.iter().map(|protect| protect.pattern.as_str()).collect();
        assert_eq!(protected, ["a/b", "c/d"], "a flag takes no protection away");
        assert_eq!((policy.rails.min_age, policy.rails.confirmations), (jiff::SignedDuration::ZERO, 1));
        let limits = policy.rails.limits;
        assert_eq!((limits.count, limits.bytes, limits.percent), (Some(1), Some(2 << 30), Some(3)));
        assert_eq!((policy.pace.in_flight, policy.pace.pause), (4, Duration::from_secs(5)));
        assert_eq!((policy.pace.pressure.above, policy.pace.pressure.until), (Some(90), Some(80)));
        assert_eq!(
            (policy.pace.pressure.disk, policy.rails.unknown_open_age),
            (Disk::Images, jiff::SignedDuration::ZERO)
        );
        assert_eq!(policy.rails.settle_time, jiff::SignedDuration::ZERO);
        assert_eq!(policy.log_roots, [RootSpec::new("pods", "/var/log/pods"), RootSpec::new("app", "/data/app")]);
        let plugin = &policy.plugins[0];
        assert_eq!(plugin.grants, [Capability::Images].into_iter().collect());
        assert_eq!((plugin.limits.timeout, plugin.limits.memory), (Duration::from_secs(7), 8 << 20));
        assert_eq!(plugin.config, r#"{"repositories":["*"]}"#);
    }

    #[tokio::test]
    async fn bounds_are_held_against_each_other_wherever_they_come_from() {
        let (_directory, path) = written();
        let error = policy(&["-f", &path, "--until", "90", "--no-cache"]).await.unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("--until 90 is more than --above 85"), "{error}");
    }

    #[tokio::test]
    async fn flags_alone_enforce_with_the_usual_values() {
        let config = r#"{"repositories":["*"]}"#;
        let flags = ["--plugin", "builtin:unused-images", "--config", config, "--no-cache"];
        let policy = policy(&flags).await.unwrap();
        assert_eq!((policy.name.as_deref(), policy.mode, policy.endpoint.as_str()), (None, Mode::Enforce, "auto"));
        assert_eq!(policy.rails, GuardRails::default());
        assert_eq!((policy.time_limit, policy.pace.in_flight), (TIME_LIMIT, Pace::default().in_flight));
        assert_eq!((policy.plugins[0].name.as_str(), policy.plugins[0].config.as_str()), ("unused-images", config));
        assert_eq!(policy.plugins[0].grants, GRANTS.into_iter().collect());
        assert_eq!(policy.plugins[0].limits, Limits::default());
    }

    #[test]
    fn a_manifest_takes_the_place_of_plugins() {
        let parse = |flags: &[&str]| Arguments::try_parse_from([&["holystone", "run"], flags].concat());
        assert!(parse(&["-f", "a.yaml", "--plugin", "b.wasm"]).is_err());
        assert!(parse(&["-f", "a.yaml", "--config", "{}"]).is_err());
        assert!(parse(&["--plugin", "b.wasm", "--config-map-dir", "/c"]).is_err());
        assert!(parse(&[]).is_err());
    }
}
