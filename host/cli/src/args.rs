//! The command line. clap is seen nowhere else.

#![expect(clippy::doc_markdown, reason = "these doc comments are the help texts")]

use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand, ValueEnum};
use holystone_core::guard::{GuardRails, Limits};
use holystone_core::pattern::Pattern;
use holystone_runtime::Capability;

/// Scrubs the disks of Kubernetes nodes: WebAssembly plugins decide what to remove, guard rails that they cannot get
/// around review every wish, and the host removes what is left.
#[derive(Debug, Parser)]
#[command(name = "holystone", version, max_term_width = 120)]
#[command(
    after_help = "Exit codes: 0 the run took place, 1 it took place and something failed, 2 no run took place, 64 wrong usage."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Log more to standard error; twice for debugging. The variable HOLYSTONE_LOG takes filters as well.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show a whole sweep on a simulated node: no container runtime and no rights needed.
    Demo(DemoArguments),
    /// Show what a run would remove and what it would not, and why. Touches nothing.
    Plan(PlanArguments),
    /// Remove what the plugins wish and the guard rails allow.
    Run(RunArguments),
    /// Record the node as JSON, to be replayed by `plan --snapshot` anywhere.
    Snapshot(SnapshotArguments),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Config of the plugin, as JSON or as @FILE.
    #[arg(long, value_name = "JSON|@FILE", default_value = r#"{"repositories":["docker.io/minchou/*"],"keepLast":1}"#)]
    pub(crate) config: String,

    #[command(flatten)]
    pub(crate) rails: RailArguments,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,

    /// Decide about a recorded node instead of this one; - reads standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "endpoint")]
    pub(crate) snapshot: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) node: NodeArguments,

    /// How to print the plan.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) policy: PolicyArguments,

    #[command(flatten)]
    pub(crate) node: NodeArguments,

    /// Do not ask. Only a run on a terminal asks.
    #[arg(short, long)]
    pub(crate) yes: bool,

    /// How to print the report.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArguments {
    #[command(flatten)]
    pub(crate) node: NodeArguments,
}

/// Which node.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// Socket of the container runtime, for example /run/containerd/containerd.sock; `auto` asks
    /// CONTAINER_RUNTIME_ENDPOINT, then /etc/crictl.yaml, then the well-known sockets.
    #[arg(long, value_name = "SOCKET", default_value = "auto")]
    pub(crate) endpoint: String,

    /// Name of this node in reports; the host name by default.
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    pub(crate) node_name: Option<String>,
}

/// Who decides, and within what.
#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    /// Plugin that decides: builtin:NAME, or the path of a component. May be repeated; plugins run in this order.
    #[arg(long = "plugin", value_name = "builtin:NAME|PATH", required = true)]
    pub(crate) plugins: Vec<String>,

    /// Config of a plugin, as JSON or as @FILE: the first --config is for the first --plugin, and so on.
    #[arg(long = "config", value_name = "JSON|@FILE")]
    pub(crate) configs: Vec<String>,

    /// What plugins may see of the node: images, containers, pods, logs, log-content.
    #[arg(long = "allow", value_name = "CAPABILITY", value_delimiter = ',', default_value = "images,containers,pods")]
    pub(crate) capabilities: Vec<Capability>,

    /// How long a plugin may take.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,

    /// How much memory a plugin may take. Plugins in JavaScript or Python need 256Mi and more.
    #[arg(long, value_name = "SIZE", default_value = "64Mi", value_parser = memory)]
    pub(crate) memory: ByteSize,

    /// Directory for compiled plugins; it must be this user's alone. Default: /var/lib/holystone/cache for root,
    /// else ~/.cache/holystone.
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) cache_dir: Option<PathBuf>,

    /// Compile plugins anew at every run.
    #[arg(long, conflicts_with = "cache_dir")]
    pub(crate) no_cache: bool,

    #[command(flatten)]
    pub(crate) rails: RailArguments,
}

/// The guard rails that the operator sets.
#[derive(Clone, Debug, Args)]
pub(crate) struct RailArguments {
    /// Keep every image with a reference that matches, for example docker.io/minchou/base:* or an image id. May be
    /// repeated. Images in use, pinned, or of pods' sandboxes are kept in any case.
    #[arg(long, value_name = "PATTERN")]
    protect: Vec<Pattern>,

    /// Remove at most so many images per run.
    #[arg(long, value_name = "N")]
    max_count: Option<u64>,

    /// Remove images of at most so many bytes per run, by the runtime's sizes, for example 20Gi.
    #[arg(long, value_name = "SIZE")]
    max_bytes: Option<ByteSize>,

    /// Reject a plugin's whole proposal when it comes to more than this share of all images.
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_percent: Option<u8>,
}

impl RailArguments {
    /// Protects this pattern, if the user protects none.
    pub(crate) fn or_protect(mut self, pattern: Pattern) -> Self {
        if self.protect.is_empty() {
            self.protect.push(pattern);
        }
        self
    }

    /// The guard rails that these arguments ask for.
    pub(crate) fn rails(&self) -> GuardRails {
        GuardRails {
            protect: self.protect.clone(),
            limits: Limits {
                count: self.max_count,
                bytes: self.max_bytes.map(|size| size.as_u64()),
                percent: self.max_percent,
            },
        }
    }
}

/// How to print a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

fn memory(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size < ByteSize::mib(1) || size > ByteSize::gib(4) {
        return Err("a plugin can have between 1Mi and 4Gi".to_owned());
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Arguments;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
