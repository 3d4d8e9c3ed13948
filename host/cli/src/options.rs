//! Conversion of arguments to the options of the agent and of the operator. Only flags that were given override
//! anything.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytesize::ByteSize;
use holystone_agent::{
    CacheDir, DaemonOptions, Manifests, NodeOptions, Overrides, PaceOverrides, PluginOverrides, PolicyRequest,
    RailOverrides, SimulationOptions,
};
use holystone_core::cluster::Allowed;
use holystone_core::manifest;
use holystone_node::OwnDirectory;
use holystone_node::simulated::Flavour;

use crate::args::{
    AllowedArguments, CacheArguments, DaemonArguments, EngineWord, Listen, ManifestArguments, Mode, NodeArguments,
    PaceArguments, PlanArguments, PolicyArguments, RailArguments, RunArguments, RuntimeWord, SimulateArguments,
};

impl PlanArguments {
    /// Builds the request of policies to plan.
    pub(crate) fn request(&self) -> PolicyRequest {
        request(&self.manifests, &self.policy, self.policy.overrides(&self.node))
    }

    /// Builds the options to reach this node.
    pub(crate) fn node_options(&self) -> NodeOptions {
        self.node.options(own_directories(&self.policy.cache, None))
    }
}

impl RunArguments {
    /// Builds the request of policies to run.
    pub(crate) fn request(&self) -> PolicyRequest {
        let overrides = Overrides {
            mode: self.mode.map(manifest::Mode::from),
            time_limit: self.time_limit,
            pace: self.pace.overrides(),
            ..self.policy.overrides(&self.node)
        };
        request(&self.manifests, &self.policy, overrides)
    }

    /// Builds the options to reach this node.
    pub(crate) fn node_options(&self) -> NodeOptions {
        self.node.options(own_directories(&self.policy.cache, None))
    }
}

fn request(manifests: &ManifestArguments, policy: &PolicyArguments, overrides: Overrides) -> PolicyRequest {
    PolicyRequest {
        manifests: manifests.manifests(),
        plugins: policy.plugins.clone(),
        configs: policy.configs.clone(),
        overrides,
        cache: policy.cache.directory(),
    }
}

impl DaemonArguments {
    /// Builds the settings of the daemon.
    pub(crate) fn options(&self) -> DaemonOptions {
        DaemonOptions {
            manifests: self.manifests.manifests(),
            overrides: Overrides { mode: self.mode.map(manifest::Mode::from), ..self.node.overrides() },
            node: self.node.options(own_directories(&self.cache, self.history_dir.as_ref())),
            cache: self.cache.directory(),
            history_dir: self.history_dir.clone(),
            listen: self.listen.address(),
            jitter: self.jitter,
            watch_interval: self.watch_interval,
        }
    }
}

impl SimulateArguments {
    /// Builds the options of the node to serve.
    pub(crate) fn options(&self) -> SimulationOptions {
        SimulationOptions {
            socket: self.socket.clone(),
            snapshot: self.snapshot.clone(),
            images: self.images,
            runtime: self.runtime.map(Flavour::from),
            faults: self.faults.clone(),
        }
    }
}

impl ManifestArguments {
    /// Builds the description of the named manifests.
    pub(crate) fn manifests(&self) -> Manifests {
        Manifests {
            filenames: self.filenames.clone(),
            digest: self.manifest_digest.clone(),
            config_map_dir: self.config_map_dir.clone(),
            image_volume_dir: self.image_volume_dir.clone(),
            log_root_dir: self.log_root_dir.clone(),
            log_roots_in: self.log_roots_in.clone(),
            deny: self.deny.clone(),
        }
    }
}

impl NodeArguments {
    /// Builds the options to reach this node, with these directories as Holystone's own.
    pub(crate) fn options(&self, own_directories: Vec<OwnDirectory>) -> NodeOptions {
        NodeOptions {
            node_name: self.node_name.clone(),
            pod_uid: self.pod_uid.clone(),
            trust_pid_namespace: self.trust_pid_namespace,
            image_root: self.image_root.clone(),
            run_dir: self.run_dir.clone(),
            state_dir: self.state.state_dir.clone(),
            own_directories,
        }
    }

    fn overrides(&self) -> Overrides {
        Overrides { endpoint: self.endpoint.clone(), log_roots: self.log_roots.clone(), ..Overrides::default() }
    }
}

/// Lists Holystone's own directories that arguments name, so that none of them becomes a log root.
fn own_directories(cache: &CacheArguments, history: Option<&PathBuf>) -> Vec<OwnDirectory> {
    let own = |what: &str, path: &PathBuf| OwnDirectory { what: what.to_owned(), path: path.clone() };
    let cache = cache.cache_dir.iter().map(|path| own("the cache of compiled plugins", path));
    cache.chain(history.map(|path| own("the daemon's history", path))).collect()
}

impl PolicyArguments {
    fn overrides(&self, node: &NodeArguments) -> Overrides {
        let plugins = PluginOverrides {
            capabilities: self.capabilities.clone(),
            timeout: self.timeout,
            memory: self.memory.map(|memory| usize::try_from(memory.as_u64()).unwrap_or(usize::MAX)),
        };
        Overrides { plugins, guard_rails: self.rails.overrides(), ..node.overrides() }
    }
}

impl RailArguments {
    /// Builds the overrides of the guard rails.
    pub(crate) fn overrides(&self) -> RailOverrides {
        RailOverrides {
            protect: self.protect.clone(),
            unprotect: self.unprotect.iter().filter_map(|text| text.parse().ok()).collect(),
            allow_partial_untag: self.allow_partial_untag,
            min_age: self.min_age,
            confirmations: self.confirmations,
            unknown_open_age: self.unknown_open_age,
            settle_time: self.settle_time,
            max_count: self.max_count,
            max_bytes: self.max_bytes.map(|size: ByteSize| size.as_u64()),
            max_percent: self.max_percent,
        }
    }
}

impl PaceArguments {
    fn overrides(&self) -> PaceOverrides {
        PaceOverrides {
            concurrency: self.concurrency.map(usize::from),
            pause: self.pause,
            filesystem: self.filesystem.clone(),
            above: self.above,
            until: self.until,
            max_failures: self.max_failures,
        }
    }
}

impl CacheArguments {
    /// Returns the location of compiled plugins.
    pub(crate) fn directory(&self) -> CacheDir {
        match &self.cache_dir {
            Some(directory) => CacheDir::At(directory.clone()),
            None if self.no_cache => CacheDir::Nowhere,
            None => CacheDir::Usual,
        }
    }
}

impl Listen {
    /// Returns the address to listen on, if there is one.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::At(address) => Some(address),
            Self::Nowhere => None,
        }
    }
}

impl AllowedArguments {
    /// Builds the permissions, with the defaults of the lists that are not given.
    pub(crate) fn lists(&self) -> Allowed {
        let usual = Allowed::default();
        let list = |given: &Option<Vec<String>>, usual: Vec<String>| {
            given.as_ref().map_or(usual, |given| given.iter().filter(|text| !text.is_empty()).cloned().collect())
        };
        Allowed {
            log_roots: list(&self.allow_log_roots, usual.log_roots),
            sockets: list(&self.allow_sockets, usual.sockets),
            image_roots: list(&self.allow_image_roots, usual.image_roots),
            priority_classes: list(&self.allow_priority_classes, usual.priority_classes),
            log_content: self.allow_log_content,
            service_accounts: list(&self.allow_service_accounts, usual.service_accounts),
            selinux_types: list(&self.allow_selinux_types, usual.selinux_types),
            pod_annotations: list(&self.allow_pod_annotations, usual.pod_annotations),
            host_pid: self.allow_host_pid,
        }
    }
}

impl From<RuntimeWord> for Flavour {
    fn from(word: RuntimeWord) -> Self {
        match word {
            RuntimeWord::Containerd => Self::Containerd,
            RuntimeWord::CriO => Self::CriO,
            RuntimeWord::Docker => Self::Docker,
        }
    }
}

impl From<EngineWord> for manifest::RolloutEngine {
    fn from(word: EngineWord) -> Self {
        match word {
            EngineWord::BroadcastJob => Self::BroadcastJob,
            EngineWord::DaemonSet => Self::DaemonSet,
        }
    }
}

impl From<Mode> for manifest::Mode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::DryRun => Self::DryRun,
            Mode::Enforce => Self::Enforce,
        }
    }
}

#[cfg(test)]
mod tests;
