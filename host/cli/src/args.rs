//! The command line. No other module uses clap.

#![expect(clippy::doc_markdown, reason = "these doc comments are the help texts")]

mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use holystone_core::guard::LIFTABLE;
use holystone_core::pattern::Pattern;
use holystone_core::pressure::Disk;
use holystone_node::{PathMapping, RootSpec};
use holystone_runtime::Capability;
use jiff::SignedDuration;

pub(crate) use self::values::Listen;
use self::values::{
    absolute, age, allowed_annotation, allowed_name, allowed_path, allowed_selinux_type, digest, duration, elsewhere,
    image, image_root, images, listen, log_root, memory, namespace, object_name, percent,
};

/// Scrubs the disks of Kubernetes nodes: WebAssembly plugins propose what to remove, guard rails that they cannot
/// bypass review every wish, and the host removes what is allowed.
#[derive(Debug, Parser)]
#[command(name = "holystone", version, max_term_width = 120)]
#[command(
    after_help = "Exit codes: 0 the run took place, 1 it took place and something failed, 2 no run took place, 64 wrong usage."
)]
pub(crate) struct Arguments {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Log more to standard error; twice for debugging. The variable HOLYSTONE_LOG takes filters as well.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole sweep on a simulated node. Needs no container runtime and no privileges.
    Demo(DemoArguments),
    /// Show what a run would remove or refuse, and why. Touches nothing.
    Plan(PlanArguments),
    /// Remove what the plugins propose and the guard rails allow.
    Run(RunArguments),
    /// Record the node as JSON, to be replayed anywhere with `plan --snapshot`.
    Snapshot(SnapshotArguments),
    /// Serve a simulated node on a socket until SIGTERM or SIGINT, to try plugins or crictl on.
    Simulate(SimulateArguments),
    /// Show the recorded state of this node: images and their ages, wishes, the last run.
    State(StateArguments),
    /// Carry out manifests repeatedly: on their schedules, and when the disk is full.
    Daemon(DaemonArguments),
    /// Show the status of a daemon on this machine: next runs, last runs.
    Status(StatusArguments),
    /// Explain the manifest, or one of its fields.
    Explain(ExplainArguments),
    /// Check manifests and report all problems, with line and field. Needs no node and no cluster.
    Validate(ValidateArguments),
    /// Print the objects that carry out manifests on a Kubernetes cluster, for `kubectl apply -f -`. Needs no cluster.
    Render(RenderArguments),
    /// Print the CustomResourceDefinition of NodeCleanup.
    Crd,
    /// Carry out the NodeCleanups of a Kubernetes cluster.
    Operator(OperatorArguments),
    /// Print a shell script that completes commands and options.
    Completion(CompletionArguments),
    /// Print the versions of Holystone, of the plugin interface, of the engine, and of the plugins that come with
    /// Holystone.
    Version(VersionArguments),
}

/// Show and control the NodeCleanups of a cluster, with your own permissions.
#[derive(Debug, Parser)]
#[command(name = "kubectl-holystone", bin_name = "kubectl holystone", version, max_term_width = 120)]
#[command(after_help = "Exit codes: 0 done, 2 not done, 64 wrong usage.")]
pub(crate) struct KubectlArguments {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: KubectlCommand,

    /// Kubeconfig file. Default: the files in KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig. Default: the current one.
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) context: Option<String>,

    /// Namespace. Default: that of the context.
    #[arg(short, long, value_name = "NAMESPACE", global = true, value_parser = namespace)]
    pub(crate) namespace: Option<String>,
}

/// The command.
#[derive(Debug, Subcommand)]
pub(crate) enum KubectlCommand {
    /// Show NodeCleanups with their last and next runs, or one of them in full.
    Status {
        /// Name of the NodeCleanup; all of them by default.
        #[arg(value_parser = object_name)]
        name: Option<String>,

        /// Show the NodeCleanups of all namespaces.
        #[arg(short = 'A', long, conflicts_with_all = ["name", "namespace"])]
        all_namespaces: bool,

        /// Output format.
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Show the last run node by node, as far as its pods still exist.
    Report {
        /// Name of the NodeCleanup.
        #[arg(value_parser = object_name)]
        name: String,

        /// Show this node only.
        #[arg(long, value_name = "NODE")]
        node: Option<String>,

        /// Output format.
        #[arg(short, long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Start a run now, in addition to the schedule.
    RunNow {
        /// Name of the NodeCleanup.
        #[arg(value_parser = object_name)]
        name: String,
    },
    /// Set spec.paused: start no further run, and no further node of a run in progress.
    Pause {
        /// Name of the NodeCleanup.
        #[arg(value_parser = object_name)]
        name: String,
    },
    /// Unset spec.paused. Runs of the schedule that were missed are not made up for.
    Resume {
        /// Name of the NodeCleanup.
        #[arg(value_parser = object_name)]
        name: String,
    },
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Config of the image plugin, as JSON or as @FILE.
    #[arg(long, value_name = "JSON|@FILE", default_value = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#)]
    pub(crate) config: String,

    /// Show every log file instead of sums by directory.
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) rails: RailArguments,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) manifests: ManifestArguments,

    #[command(flatten)]
    pub(crate) policy: PolicyArguments,

    /// Plan for a recorded node instead of this one; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["endpoint", "state_dir", "log_roots"])]
    pub(crate) snapshot: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) node: NodeArguments,

    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) manifests: ManifestArguments,

    /// Mode of the run: only report, or remove. Default: the mode of the manifest; without a manifest, Enforce.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) mode: Option<Mode>,

    #[command(flatten)]
    pub(crate) policy: PolicyArguments,

    #[command(flatten)]
    pub(crate) node: NodeArguments,

    #[command(flatten)]
    pub(crate) pace: PaceArguments,

    /// Wait at most this long for another run on this node to end. By default, a run that finds another one ends at
    /// once.
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_default_value = true, value_parser = duration)]
    pub(crate) wait: Duration,

    /// Time limit of the whole run. Once it is reached, nothing more is removed, and the report says what was. Default:
    /// 30m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) time_limit: Option<Duration>,

    /// Also write the result of the run to this file, as JSON of at most 4096 bytes: the termination message of a pod.
    /// The exit code is then 0 whenever the run took place, because the file reports the failures.
    #[arg(long, value_name = "FILE", requires = "filenames")]
    pub(crate) termination_message: Option<PathBuf>,

    /// Number of retries if no run could take place, for example because the runtime does not answer.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) retries: u32,

    /// Do not ask for confirmation. A run on a terminal asks before it removes anything. Without a terminal, a run by
    /// flags needs this option, and a run by a manifest does not.
    #[arg(short, long)]
    pub(crate) yes: bool,

    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// The output of a plan or a report.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct OutputArguments {
    /// Output format.
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,

    /// Show every log file in the table; by default, many of them are aggregated by directory. JSON and YAML list them
    /// all.
    #[arg(long)]
    pub(crate) all: bool,
}

/// The default address of the daemon and the operator.
const ADDRESS: &str = "127.0.0.1:9823";

/// Arguments of `daemon`.
#[derive(Clone, Debug, Args)]
pub(crate) struct DaemonArguments {
    #[command(flatten)]
    pub(crate) manifests: ManifestArguments,

    /// Mode of the runs, which overrides the manifests: only report, or remove.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) mode: Option<Mode>,

    #[command(flatten)]
    pub(crate) node: NodeArguments,

    #[command(flatten)]
    pub(crate) cache: CacheArguments,

    /// Directory for the daemon's records: what it has run and when. Each daemon on a machine needs a separate
    /// directory. Default: the state directory, which is shared with all runs.
    #[arg(long, value_name = "DIRECTORY", value_parser = absolute)]
    pub(crate) history_dir: Option<PathBuf>,

    /// Write the result of the daemon to this file when it ends, as JSON of at most 4096 bytes: the termination message
    /// of a pod. The result is the error that ended the daemon, or else that of its last run.
    #[arg(long, value_name = "FILE", requires = "filenames")]
    pub(crate) termination_message: Option<PathBuf>,

    /// Address for /healthz, /readyz, /metrics and /status, or none. Every client that reaches it can read image names.
    #[arg(long, value_name = "ADDRESS:PORT|none", default_value = ADDRESS, value_parser = listen)]
    pub(crate) listen: Listen,

    /// Delay scheduled starts by up to DURATION; constant per machine, spread across machines.
    #[arg(long, value_name = "DURATION", default_value = "0s", hide_default_value = true, value_parser = duration)]
    pub(crate) jitter: Duration,

    /// Interval of checks whether the disk is fuller than a manifest's pressure.above, which starts a run. 0s disables
    /// them. Default: 1m.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) watch_interval: Option<Duration>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// Address that the daemon listens on.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = ADDRESS)]
    pub(crate) address: SocketAddr,

    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArguments {
    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

/// Arguments of `state`.
#[derive(Debug, Args)]
pub(crate) struct StateArguments {
    #[command(flatten)]
    pub(crate) directory: StateDirArguments,

    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// Arguments of `simulate`.
#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    /// Path of the socket. An existing file is not replaced, unless it is a socket that this command left behind.
    #[arg(long, value_name = "PATH", value_parser = absolute)]
    pub(crate) socket: PathBuf,

    /// Serve this recorded node (`holystone snapshot`) instead of the default one of 125 images; - reads standard
    /// input.
    #[arg(long, value_name = "FILE")]
    pub(crate) snapshot: Option<PathBuf>,

    /// Number of images on the node; those in use are always there.
    #[arg(long, value_name = "N", conflicts_with = "snapshot", value_parser = images)]
    pub(crate) images: Option<usize>,

    /// Runtime to imitate. Default: the runtime that the recorded node names.
    #[arg(long, value_enum)]
    pub(crate) runtime: Option<RuntimeWord>,

    /// Faults as JSON: lists of image ids in inUse, artifacts and readOnly, parents by child, errors, delays and more;
    /// see host/node/src/simulated/faults.rs.
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
}

/// The runtimes that a simulated node can imitate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuntimeWord {
    /// containerd: removes an image with all its names, even if it is in use.
    Containerd,
    /// CRI-O: ids without sha256:, artifacts, read-only stores.
    #[value(alias = "crio")]
    CriO,
    /// Docker behind cri-dockerd: removes an image name by name.
    #[value(alias = "cri-dockerd")]
    Docker,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Path of a field, for example spec.plugins.source; the whole manifest by default.
    pub(crate) field: Option<String>,

    /// Print the JSON Schema of the manifest instead, for editors and other programs.
    #[arg(long, conflicts_with = "field")]
    pub(crate) schema: bool,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    #[command(flatten)]
    pub(crate) manifests: ManifestArguments,

    /// Also check the requirements of a cluster, as `render` and the operator do. Of plugins, only those that come with
    /// Holystone are then checked.
    #[arg(long)]
    pub(crate) cluster: bool,

    #[command(flatten)]
    pub(crate) allowed: AllowedArguments,

    #[command(flatten)]
    pub(crate) cache: CacheArguments,

    /// Output format.
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub(crate) format: OutputFormat,
}

/// Image that the pods on the nodes run.
const IMAGE: &str = concat!("docker.io/holystone/holystone:", env!("CARGO_PKG_VERSION"));

/// Arguments of `render`.
#[derive(Debug, Args)]
pub(crate) struct RenderArguments {
    /// Manifests, YAML or JSON: a file, a directory with files that end in .yaml, .yml or .json (but not in
    /// .schema.json, as schemas of plugins do), or - for standard input. May be repeated.
    #[arg(short, long = "filename", value_name = "FILE|DIRECTORY|-", required = true)]
    pub(crate) filenames: Vec<PathBuf>,

    /// Engine that starts runs on the nodes, which overrides the manifests: OpenKruise, or a DaemonSet.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) engine: Option<EngineWord>,

    /// Image that the pods run.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, value_parser = image)]
    pub(crate) image: String,

    #[command(flatten)]
    pub(crate) allowed: AllowedArguments,

    /// Output format.
    #[arg(short = 'o', long = "output", value_enum, default_value_t = OutputFormat::Yaml)]
    pub(crate) format: OutputFormat,
}

/// The engines that start runs on the nodes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lowercase")]
pub(crate) enum EngineWord {
    /// OpenKruise: AdvancedCronJob, or BroadcastJob without a schedule.
    #[value(alias = "advancedcronjob")]
    BroadcastJob,
    /// A DaemonSet of daemons.
    DaemonSet,
}

/// Arguments of `operator`.
#[derive(Clone, Debug, Args)]
pub(crate) struct OperatorArguments {
    /// Manage the NodeCleanups of this namespace only; of all namespaces by default.
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    pub(crate) namespace: Option<String>,

    /// Image that the pods on the nodes run.
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, value_parser = image)]
    pub(crate) image: String,

    #[command(flatten)]
    pub(crate) allowed: AllowedArguments,

    /// Address for /healthz, /readyz and /metrics, or none.
    #[arg(long, value_name = "ADDRESS:PORT|none", default_value = ADDRESS, value_parser = listen)]
    pub(crate) listen: Listen,

    /// Namespace of the Lease by which replicas elect the one that acts. Without it, this replica acts.
    #[arg(long, value_name = "NAMESPACE", env = "POD_NAMESPACE", value_parser = namespace)]
    pub(crate) lease_namespace: Option<String>,

    /// Name of this replica in the Lease; the host name by default.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pub(crate) identity: Option<String>,
}

/// The permissions of NodeCleanups on the nodes of a cluster.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "What NodeCleanups may ask of nodes")]
#[expect(clippy::struct_field_names, reason = "the names of the options")]
pub(crate) struct AllowedArguments {
    /// Directories that log roots may be or lie in, separated by commas; empty for none. Default: /var/log.
    #[arg(long, value_name = "DIRECTORY,…", value_delimiter = ',', value_parser = allowed_path)]
    pub(crate) allow_log_roots: Option<Vec<String>>,

    /// Sockets of container runtimes that may be used. Default: those of the known runtimes in their usual places.
    #[arg(long, value_name = "SOCKET,…", value_delimiter = ',', value_parser = allowed_path)]
    pub(crate) allow_sockets: Option<Vec<String>>,

    /// Directories that may be given as runtime.imageRoot. Default: those of the known runtimes.
    #[arg(long, value_name = "DIRECTORY,…", value_delimiter = ',', value_parser = allowed_path)]
    pub(crate) allow_image_roots: Option<Vec<String>>,

    /// Priority classes that pods may have. Default: system-node-critical, which NodeCleanups get that name none.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = allowed_name)]
    pub(crate) allow_priority_classes: Option<Vec<String>>,

    /// Allow plugins the capability log-content: they can then read the files under log roots, and disclose their
    /// content.
    #[arg(long)]
    pub(crate) allow_log_content: bool,

    /// Service accounts that pods may have (rollout.podTemplate.serviceAccountName). Default: none.
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = allowed_name)]
    pub(crate) allow_service_accounts: Option<Vec<String>>,

    /// SELinux types that pods may run as (rollout.podTemplate.seLinuxOptions), such as spc_t. Default: none.
    #[arg(long, value_name = "TYPE,…", value_delimiter = ',', value_parser = allowed_selinux_type)]
    pub(crate) allow_selinux_types: Option<Vec<String>>,

    /// Annotations that pods may have (rollout.podTemplate.annotations): keys, or a domain and /* such as example.com/*.
    /// Default: none.
    #[arg(long, value_name = "KEY,…", value_delimiter = ',', value_parser = allowed_annotation)]
    pub(crate) allow_pod_annotations: Option<Vec<String>>,

    /// Allow pods to share the process ids of their node (rollout.podTemplate.hostPID), to see which log files are in
    /// use.
    #[arg(long)]
    pub(crate) allow_host_pid: bool,
}

impl AllowedArguments {
    /// Returns whether any of these options is given.
    pub(crate) fn is_given(&self) -> bool {
        let lists = [
            &self.allow_log_roots,
            &self.allow_sockets,
            &self.allow_image_roots,
            &self.allow_priority_classes,
            &self.allow_service_accounts,
            &self.allow_selinux_types,
            &self.allow_pod_annotations,
        ];
        self.allow_log_content || self.allow_host_pid || lists.into_iter().any(Option::is_some)
    }
}

/// The location of the state of this node.
#[derive(Clone, Debug, Args)]
pub(crate) struct StateDirArguments {
    /// Directory for the recorded state of this node, and for the lock that prevents two runs at the same time; it must
    /// belong to this user alone. Default: /var/lib/holystone for root, else ~/.local/state/holystone.
    #[arg(long, value_name = "DIRECTORY", overrides_with = "state_dir", value_parser = absolute)]
    pub(crate) state_dir: Option<PathBuf>,
}

/// The manifests, and the directories of what they reference.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManifestArguments {
    /// Manifests, YAML or JSON: a file, a directory with files that end in .yaml, .yml or .json (but not in
    /// .schema.json, as schemas of plugins do), or - for standard input. May be repeated. Flags override the manifest;
    /// `holystone explain` documents the fields.
    #[arg(short, long = "filename", value_name = "FILE|DIRECTORY|-")]
    pub(crate) filenames: Vec<PathBuf>,

    /// Digest that the file of -f must have, as sha256: and 64 hexadecimal digits. A file with another digest is
    /// refused before it is parsed. For one file.
    #[arg(long, value_name = "DIGEST", requires = "filenames", value_parser = digest)]
    pub(crate) manifest_digest: Option<String>,

    /// Directory with the ConfigMaps that plugins of a manifest come from: DIRECTORY/NAME/KEY.
    #[arg(long, value_name = "DIRECTORY", requires = "filenames")]
    pub(crate) config_map_dir: Option<PathBuf>,

    /// Directory with the image volumes that plugins of a manifest come from: DIRECTORY/PLUGIN/PATH.
    #[arg(long, value_name = "DIRECTORY", requires = "filenames")]
    pub(crate) image_volume_dir: Option<PathBuf>,

    /// Directory in which this process sees the log roots of a manifest, if not at their paths on the node:
    /// DIRECTORY/NAME.
    #[arg(long, value_name = "DIRECTORY", requires = "filenames")]
    pub(crate) log_root_dir: Option<PathBuf>,

    /// Directory of the node that log roots of a manifest must be in, and the path at which this process sees it. May
    /// be repeated. Each root is resolved under it without following links, and must be the very directory that is
    /// found. Without this option, log roots may be anywhere.
    #[arg(long, value_name = "DIRECTORY=SEEN_AT", requires = "filenames", value_parser = elsewhere)]
    pub(crate) log_roots_in: Vec<PathMapping>,

    /// Capability that plugins of a manifest must not be given. May be repeated.
    #[arg(long, value_name = "CAPABILITY", requires = "filenames")]
    pub(crate) deny: Vec<Capability>,
}

/// The node.
#[derive(Clone, Debug, Args)]
pub(crate) struct NodeArguments {
    /// Socket of the container runtime, for example /run/containerd/containerd.sock; `auto`, the default, tries
    /// CONTAINER_RUNTIME_ENDPOINT, then /etc/crictl.yaml, then the well-known sockets. `none` uses no runtime: for log
    /// roots alone.
    #[arg(long, value_name = "SOCKET")]
    pub(crate) endpoint: Option<String>,

    /// Directory with logs that plugins may inspect and clean, under a name that they use, for example
    /// app=/var/log/app. May be repeated. Plugins do not see the path, only what the directory contains.
    #[arg(long = "log-root", value_name = "NAME=PATH", value_parser = log_root)]
    pub(crate) log_roots: Vec<RootSpec>,

    /// Assume that this pid namespace has all processes of the node, as on a node that is a container itself (kind): a
    /// file that none of them uses then counts as unused. By default, only the machine's first pid namespace proves
    /// that.
    #[arg(long)]
    pub(crate) trust_pid_namespace: bool,

    /// Path at which this process sees a directory of the image filesystem, if it does not see the runtime's path, as
    /// in a pod: what the runtime keeps under HOST is measured at PATH.
    #[arg(long, value_name = "HOST=PATH", value_parser = image_root)]
    pub(crate) image_root: Option<PathMapping>,

    /// Path at which this process sees /run of the node, if it is not its own, as in a pod: `--endpoint auto` then
    /// tries only the well-known sockets in it.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) run_dir: Option<PathBuf>,

    /// Name of this node in reports; the host name by default.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub(crate) node_name: Option<String>,

    /// Uid of the pod that this process runs in, whose images are Holystone's own; detected where the kubelet mounts
    /// /etc/hosts.
    #[arg(long, value_name = "UID", env = "POD_UID")]
    pub(crate) pod_uid: Option<String>,

    #[command(flatten)]
    pub(crate) state: StateDirArguments,
}

/// The speed and the bounds of removals.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PaceArguments {
    /// Largest number of removals in flight. One by one takes several times as long: runtimes clean up after each
    /// removal, and concurrent removals share one cleanup. Default: 1024.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) concurrency: Option<u16>,

    /// Start removals one by one, and wait this long after each start.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) pause: Option<Duration>,

    /// Filesystem that --above and --until refer to: images, the default, or that of a log root.
    #[arg(long, value_name = "images|logs:NAME")]
    pub(crate) filesystem: Option<Disk>,

    /// Remove only if the filesystem of the images, or --filesystem, is fuller than this.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) above: Option<u8>,

    /// Stop once that filesystem is no fuller than this.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) until: Option<u8>,

    /// Stop after so many failed removals in a row. Default: 20.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_failures: Option<u32>,
}

/// The plugins, their limits, and the guard rails.
#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    /// Plugin that proposes removals: builtin:NAME, or the path of a component. May be repeated; plugins run in this
    /// order.
    #[arg(long = "plugin", value_name = "builtin:NAME|PATH", required_unless_present = "filenames")]
    #[arg(conflicts_with_all = ["filenames", "manifest_digest", "config_map_dir", "image_volume_dir", "log_root_dir"])]
    pub(crate) plugins: Vec<String>,

    /// Config of a plugin, as JSON or as @FILE: the first --config is for the first --plugin, and so on.
    #[arg(long = "config", value_name = "JSON|@FILE", conflicts_with = "filenames")]
    pub(crate) configs: Vec<String>,

    /// Capabilities of the plugins: images, containers, pods, logs, log-content. Default: those in the manifest;
    /// without a manifest, images,containers,pods,logs.
    #[arg(long = "allow", value_name = "CAPABILITY", value_delimiter = ',')]
    pub(crate) capabilities: Vec<Capability>,

    /// Time limit of a plugin. Default: 10s.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,

    /// Memory limit of a plugin. Plugins in JavaScript or Python need 256Mi and more. Default: 64Mi.
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub(crate) memory: Option<ByteSize>,

    #[command(flatten)]
    pub(crate) cache: CacheArguments,

    #[command(flatten)]
    pub(crate) rails: RailArguments,
}

/// The cache of compiled plugins.
#[derive(Clone, Debug, Args)]
pub(crate) struct CacheArguments {
    /// Directory for compiled plugins; it must belong to this user alone. Default: /var/lib/holystone/cache for root,
    /// else ~/.cache/holystone.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Compile plugins at every run.
    #[arg(long, conflicts_with = "cache_dir")]
    pub(crate) no_cache: bool,
}

/// The guard rails that the operator sets.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RailArguments {
    /// Keep every image with a matching reference, for example docker.io/minchou/base:* or an image id. May be
    /// repeated; adds to the patterns of a manifest. Images in use, pinned images and sandbox images are kept in any
    /// case.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) protect: Vec<Pattern>,

    /// Do not protect images by this built-in pattern: localhost/* or *pause*. May be repeated.
    #[arg(long, value_name = "PATTERN", value_parser = clap::builder::PossibleValuesParser::new(LIFTABLE))]
    pub(crate) unprotect: Vec<String>,

    /// Also remove images with several names on a runtime that removes the names one by one and may then refuse the
    /// rest (Docker with cri-dockerd). By default, such images are refused there.
    #[arg(long)]
    pub(crate) allow_partial_untag: bool,

    /// Keep images that were first seen less than this ago. While ages are unknown, because this node has not been seen
    /// before, images are kept only while a pod younger than this may be starting. 0s keeps none. Default: 10m.
    #[arg(long, value_name = "DURATION", value_parser = age, overrides_with = "min_age")]
    pub(crate) min_age: Option<SignedDuration>,

    /// Remove an image only if the same plugin proposed it in so many consecutive runs, this one included. Default: 1.
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) confirmations: Option<u32>,

    /// If Holystone cannot see which log files are in use, as in a pod without hostPID, keep those that changed less
    /// than this ago. Default: 1d.
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) unknown_open_age: Option<SignedDuration>,

    /// Keep log files and directories that were changed, moved, unpacked or restored less than this ago, whatever their
    /// dates say. 0s keeps none. Default: 10m.
    #[arg(long, value_name = "DURATION", value_parser = age)]
    pub(crate) settle_time: Option<SignedDuration>,

    /// Remove at most so many images, and at most so many log files, per run.
    #[arg(long, value_name = "N")]
    pub(crate) max_count: Option<u64>,

    /// Remove at most so many bytes of images per run, by the runtime's sizes, for example 20Gi; and at most so many
    /// bytes of log files.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_bytes: Option<ByteSize>,

    /// Reject a plugin's whole proposal if it exceeds this share of all images, or of all entries under the log roots.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub(crate) max_percent: Option<u8>,
}

/// The mode of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum Mode {
    /// Only report what would be removed.
    DryRun,
    /// Remove it.
    Enforce,
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// Shell to complete in. Source the script where the shell starts, for example
    /// `source <(holystone completion bash)`.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

impl CompletionArguments {
    /// Returns the script.
    pub(crate) fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "holystone", &mut script);
        script
    }
}

/// Arguments of `version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArguments {
    /// Output format.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: OutputFormat,
}

/// The format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// A table for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
    /// YAML for programs and people.
    Yaml,
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
