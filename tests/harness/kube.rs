//! A real Kubernetes with two nodes, on this machine and gone without a trace afterwards.

mod control_plane;
mod daemon;
mod network;
mod node;
mod parts;
mod room;

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::io::AsyncWriteExt as _;

use crate::images::{Imported, TestImage};
use crate::kube::control_plane::ControlPlane;
use crate::kube::parts::{KUBE_VARIABLE, Parts};
use crate::requirements::{skip, text_of};

pub use node::Node;

/// The kubeconfig of a cluster to test on, in place of one that is started.
const KUBECONFIG_VARIABLE: &str = "HOLYSTONE_KUBECONFIG";
/// How long a cluster may take to get ready, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often nodes are looked at until they are ready.
const PAUSE: Duration = Duration::from_millis(300);
/// What nodes have in another place than the machine: nothing that both need may be there.
const HIDDEN: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// A Kubernetes.
///
/// Dropping it ends everything that it started and removes what that left, within bounds. [`Cluster::close`] does the
/// same and tells what went wrong.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    /// Fields are dropped in their order: nodes before what they report to.
    nodes: Vec<Node>,
    /// `None` for a cluster that was there before.
    plane: Option<ControlPlane>,
}

impl Cluster {
    /// Starts a cluster with the nodes `node-a` and `node-b`, and waits until they are ready. Each has one of the
    /// containerds that `HOLYSTONE_CONTAINERD` names. Where something is missing the test is skipped, which is said in
    /// one line; with `HOLYSTONE_REQUIRE_KUBE` set that is an error.
    ///
    /// `HOLYSTONE_KUBECONFIG` names a cluster that is there already and is used instead: it has no nodes that a test
    /// could reach, nothing of it can be stopped, and whoever runs the test has loaded the images.
    pub async fn start(test: &str) -> anyhow::Result<Option<Self>> {
        let given = text_of(KUBECONFIG_VARIABLE)?;
        if !given.is_empty() {
            let kubectl = Kubectl::found(given.into())?;
            return Ok(Some(Self { kubectl, nodes: Vec::new(), plane: None }));
        }
        let Some(parts) = Parts::find(test)? else { return Ok(None) };
        let parent = parent()?;
        let plane = ControlPlane::start(&parts.kube, &parent, true).await?;
        let (a, b) = tokio::join!(Node::start(&plane, &parts, &parent, 1), Node::start(&plane, &parts, &parent, 2));
        let mut cluster = Self { kubectl: plane.kubectl().clone(), nodes: vec![a?, b?], plane: Some(plane) };
        cluster.wait_until_ready().await?;
        Ok(Some(cluster))
    }

    /// Starts etcd and an API server, without nodes, scheduler or controllers: objects stay as they were written. Skips
    /// the test under the same conditions as [`Cluster::start`].
    pub async fn start_api_server_only(test: &str) -> anyhow::Result<Option<Self>> {
        let Some(parts) = Parts::find(test)? else { return Ok(None) };
        let plane = ControlPlane::start(&parts.kube, &parent()?, false).await?;
        Ok(Some(Self { kubectl: plane.kubectl().clone(), nodes: Vec::new(), plane: Some(plane) }))
    }

    /// The kubeconfig of one who may do everything, from this machine.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubectl.kubeconfig
    }

    /// The nodes; none for a cluster that was there before.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes, to stop and start their containerds.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Imports an archive of images on every node.
    pub async fn load_image(&self, archive: &Path) -> anyhow::Result<()> {
        for node in &self.nodes {
            node.containerd().import_archive(archive).await.with_context(|| format!("on {}", node.name()))?;
        }
        self.note_images(&archive.display().to_string())
    }

    /// Makes and imports images on every node. They are the same everywhere; the answer has their order.
    pub async fn import(&self, images: &[TestImage]) -> anyhow::Result<Vec<Imported>> {
        let mut imported = Vec::new();
        for node in &self.nodes {
            imported = node.containerd().import(images).await.with_context(|| format!("on {}", node.name()))?;
        }
        self.note_images(&images.iter().flat_map(|image| image.tags.clone()).collect::<Vec<_>>().join(", "))?;
        Ok(imported)
    }

    /// Runs `kubectl` as one who may do everything, and answers what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.kubectl.run(arguments).await
    }

    /// Applies manifests.
    pub async fn apply(&self, manifests: &str) -> anyhow::Result<String> {
        self.kubectl.run_with(&["apply", "--filename=-"], manifests).await
    }

    /// Every request that was answered, as the API server's audit log has it: one JSON object in a line. Nothing of a
    /// cluster that was there before.
    pub fn audit(&self) -> anyhow::Result<String> {
        self.plane.as_ref().map_or_else(|| Ok(String::new()), ControlPlane::audit)
    }

    /// Ends the API server, as when its machine fails. Everything else goes on.
    pub fn stop_api_server(&mut self) -> anyhow::Result<()> {
        self.plane()?.stop_api_server();
        Ok(())
    }

    /// Starts it again, and waits until it is ready.
    pub async fn start_api_server(&mut self) -> anyhow::Result<()> {
        self.plane()?.start_api_server().await
    }

    /// Ends a node's kubelet. Its containers go on, and the cluster takes it for lost after twenty seconds.
    pub fn stop_node(&mut self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.kubelet().stop()
    }

    /// Starts it again; the node is ready a few seconds later.
    pub fn start_node(&mut self, name: &str) -> anyhow::Result<()> {
        self.node(name)?.kubelet().resume()
    }

    /// Waits until every node is ready and takes pods, and nothing that the cluster is made of has ended.
    pub async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        // A node that has become ready takes no pods as long as it is tainted.
        const STATES: &str = "jsonpath={range .items[*]}{.metadata.name}={.status.conditions[?(@.type==\"Ready\")].status}{.spec.taints[*].key} {end}";
        let start = Instant::now();
        loop {
            self.plane.as_mut().map_or(Ok(()), ControlPlane::check)?;
            self.nodes.iter_mut().try_for_each(Node::check)?;
            let states = self.kubectl.run(&["get", "nodes", "--output", STATES]).await?;
            let ready = |node: &Node| states.split(' ').any(|state| state == format!("{}=True", node.name()));
            let Some(late) = self.nodes.iter_mut().find(|node| !ready(node)) else { break };
            let log = late.kubelet().last_lines();
            ensure!(start.elapsed() < PATIENCE, "{} is not ready ({states}):\n{log}", late.name());
            tokio::time::sleep(PAUSE).await;
        }
        // As whom pods run that do not say it; without, they are refused.
        self.kubectl.run(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"]).await.map(|_| ())
    }

    /// Ends everything, and tells what could not be ended or removed.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.tear_down()
    }

    /// The directories beneath which everything of it lies.
    pub fn directories(&self) -> Vec<PathBuf> {
        let plane = self.plane.iter().map(|plane| plane.files.directory().to_path_buf());
        plane.chain(self.nodes.iter().map(|node| node.containerd().directory().to_path_buf())).collect()
    }

    /// The control plane, where it is the test's own.
    fn plane(&mut self) -> anyhow::Result<&mut ControlPlane> {
        self.plane.as_mut().with_context(|| format!("the cluster of {KUBECONFIG_VARIABLE} is not the test's own"))
    }

    /// A node by its name.
    fn node(&mut self, name: &str) -> anyhow::Result<&mut Node> {
        self.nodes
            .iter_mut()
            .find(|node| node.name() == name)
            .with_context(|| format!("no node {name} of the test's own"))
    }

    /// Tells whoever runs a test on a cluster of their own what it needs there.
    fn note_images(&self, images: &str) -> anyhow::Result<()> {
        if self.plane.is_some() {
            return Ok(());
        }
        skip("loading images", &format!("the nodes of the given cluster are expected to have {images}"))
    }

    /// Ends everything: the kubelets first, which would otherwise start again what is ended.
    fn tear_down(&mut self) -> anyhow::Result<()> {
        let closed: Vec<anyhow::Result<()>> = self.nodes.drain(..).map(Node::close).collect();
        if let Some(mut plane) = self.plane.take() {
            plane.kill();
        }
        closed.into_iter().collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.tear_down() {
            // There is nobody to tell but whoever reads the test's output, and nothing to do if that fails.
            let _ = writeln!(std::io::stderr(), "a cluster was not cleaned up: {error:#}");
        }
    }
}

/// The directory for the files of a cluster: nodes hide what lies in some others.
fn parent() -> anyhow::Result<PathBuf> {
    let temporary = env::temp_dir().canonicalize().context("find the directory for temporary files")?;
    let hidden = HIDDEN.iter().any(|place| temporary.starts_with(place));
    Ok(if hidden { PathBuf::from("/tmp") } else { temporary })
}

/// The command line client of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    /// The program, and what comes before the arguments.
    words: Vec<OsString>,
    kubeconfig: PathBuf,
}

impl Kubectl {
    /// The one in `kube`, which keeps what it finds out in that directory and not at home.
    fn of(kube: &Path, kubeconfig: &Path, cache: &Path) -> Self {
        let cache = format!("--cache-dir={}", cache.display());
        Self { words: vec![kube.into(), "kubectl".into(), cache.into()], kubeconfig: kubeconfig.into() }
    }

    /// The one in a `kube` that is named, or the one on `PATH`.
    fn found(kubeconfig: PathBuf) -> anyhow::Result<Self> {
        let named = text_of(KUBE_VARIABLE)?;
        let words = if named.is_empty() { vec!["kubectl".into()] } else { vec![named.into(), "kubectl".into()] };
        Ok(Self { words, kubeconfig })
    }

    /// Runs it, and answers what it printed.
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<String> {
        self.run_with(arguments, "").await
    }

    /// The same, with something to read.
    async fn run_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(&self.words[0]);
        command.args(&self.words[1..]).arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A proxy knows no way to this cluster.
        command.env("NO_PROXY", "*");
        let mut child = command.spawn().context("run kubectl")?;
        let Some(mut stdin) = child.stdin.take() else { bail!("kubectl takes no input") };
        stdin.write_all(input.as_bytes()).await.context("tell kubectl")?;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.context("kubectl took too long")?.context("run kubectl")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "kubectl {}: {}", arguments.join(" "), complaint.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
