//! etcd, the API server, the controller manager and the scheduler.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::kube::daemon::Daemon;
use crate::kube::network::{API_SERVICE, SERVICES, Uplink};
use crate::kube::room::Room;
use crate::kube::{Kubectl, PATIENCE};

/// How often the API server is asked whether it is ready. Asking takes a tenth of a second of computation.
const PAUSE: Duration = Duration::from_millis(100);
/// Who may speak to the API server, by a token: the name and the group. Without a group, roles are bound to the name.
const USERS: [(&str, &str); 5] = [
    ("admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:node:node-a", "system:nodes"),
    ("system:node:node-b", "system:nodes"),
];

/// A control plane. What it keeps lies beneath one directory. Fields are dropped in their order: whatever asks before
/// what it asks.
#[derive(Debug)]
pub(crate) struct ControlPlane {
    /// The scheduler and the controller manager, or none.
    controllers: Vec<Daemon>,
    api_server: Daemon,
    etcd: Daemon,
    pub(crate) room: Room,
    _uplink: Uplink,
    kubectl: Kubectl,
    pub(crate) files: Files,
}

impl ControlPlane {
    /// Starts one, and waits until its API server is ready. The scheduler and the controller manager are optional: without
    /// them, objects stay as they were written.
    pub(crate) async fn start(kube: &Path, parent: &Path, with_controllers: bool) -> anyhow::Result<Self> {
        let (room, uplink) = Uplink::open().context("make a network")?;
        let files = Files::write(kube, parent, &uplink.address())?;
        let start = |program: &str, arguments: Vec<String>| files.start(kube, &room, program, arguments);
        let etcd = start("etcd", etcd(&files))?;
        let mut api_server = start("apiserver", api_server(&files, &uplink.address()))?;
        let kubectl = Kubectl::of(kube, &files.kubeconfig("admin"), &files.path("kubectl"));
        wait_until_ready(&kubectl, &mut api_server).await?;
        let mut running = Vec::new();
        if with_controllers {
            running.push(start("scheduler", scheduler(&files))?);
            running.push(start("controller-manager", controllers(&files))?);
        }
        Ok(Self { controllers: running, api_server, etcd, room, _uplink: uplink, kubectl, files })
    }

    /// Whoever may do everything.
    pub(crate) fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// Every request that was answered, as the API server's audit log has it, one JSON object in a line.
    pub(crate) fn audit(&self) -> anyhow::Result<String> {
        fs::read_to_string(self.files.directory.path().join(AUDIT_LOG)).context("read the audit log")
    }

    /// Ends the API server alone, at once: asked to end, it would wait for those who are connected.
    pub(crate) fn stop_api_server(&mut self) {
        self.api_server.kill();
    }

    /// Starts it again, and waits until it is ready.
    pub(crate) async fn start_api_server(&mut self) -> anyhow::Result<()> {
        self.api_server.resume()?;
        wait_until_ready(&self.kubectl, &mut self.api_server).await
    }

    /// That none of it has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        let all = [&mut self.etcd, &mut self.api_server].into_iter().chain(&mut self.controllers);
        all.into_iter().try_for_each(Daemon::check)
    }

    /// Ends all of it at once.
    pub(crate) fn kill(&mut self) {
        for daemon in self.controllers.iter_mut().chain([&mut self.api_server, &mut self.etcd]) {
            daemon.kill();
        }
    }
}

/// What is written down of each request: who did what, once it has been answered or, of a watch, begun.
const AUDIT: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[{"level":"Metadata"}]}"#;
const AUDIT_POLICY: &str = "audit.json";
const AUDIT_LOG: &str = "audit.log";

/// Where the files of a control plane are.
#[derive(Debug)]
pub(crate) struct Files {
    directory: TempDir,
}

impl Files {
    /// Makes the certificate of the API server, the tokens, and a kubeconfig for everybody.
    fn write(kube: &Path, parent: &Path, address: &str) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("holystone-").tempdir_in(parent).context("make a directory")?;
        let files = Self { directory };
        let made = Command::new(kube)
            .arg("certificate")
            .arg(files.directory.path())
            .args([address, API_SERVICE])
            .output()
            .context("run kube certificate")?;
        fs::write(files.directory.path().join(AUDIT_POLICY), AUDIT).context("write an audit policy")?;
        ensure!(made.status.success(), "kube certificate: {}", String::from_utf8_lossy(&made.stderr).trim());
        let mut tokens = Vec::new();
        for (number, (user, group)) in USERS.iter().enumerate() {
            let token = token()?;
            tokens.push(format!("{token},{user},{number},\"{group}\""));
            // What this machine sees is for those outside of the cluster.
            let server = if *user == "admin" { address } else { API_SERVICE };
            let config = kubeconfig(&files.path("certificate.pem"), server, &token);
            fs::write(files.kubeconfig(user), config).context("write a kubeconfig")?;
        }
        fs::write(files.path("tokens.csv"), tokens.join("\n")).context("write the tokens")?;
        Ok(files)
    }

    /// One of the files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where everything is.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The kubeconfig of one who may speak to the API server.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.path(&format!("{}.kubeconfig", user.replace(':', "-")))
    }

    /// A flag that names one of the files.
    fn flag(&self, flag: &str, name: &str) -> String {
        format!("--{flag}={}", self.path(name).display())
    }

    /// Starts one of the programs in the control plane's network.
    fn start(&self, kube: &Path, room: &Room, program: &str, arguments: Vec<String>) -> anyhow::Result<Daemon> {
        let mut command = room.entering();
        command.extend([kube.as_os_str().to_owned(), program.into()]);
        command.extend(arguments.into_iter().map(OsString::from));
        Daemon::start(program, command, self.path(&format!("{program}.log")))
    }
}

/// etcd, which may lose everything when the machine crashes.
fn etcd(files: &Files) -> Vec<String> {
    let (clients, peers) = ("http://127.0.0.1:2379", "http://127.0.0.1:2380");
    vec![
        files.flag("data-dir", "etcd"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
    ]
}

/// The API server. The key of its certificate signs the tokens of service accounts as well.
fn api_server(files: &Files, address: &str) -> Vec<String> {
    vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--bind-address=0.0.0.0".to_owned(),
        "--secure-port=443".to_owned(),
        format!("--advertise-address={address}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        files.flag("tls-cert-file", "certificate.pem"),
        files.flag("tls-private-key-file", "key.pem"),
        files.flag("token-auth-file", "tokens.csv"),
        files.flag("service-account-key-file", "key.pem"),
        files.flag("service-account-signing-key-file", "key.pem"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        files.flag("audit-policy-file", AUDIT_POLICY),
        files.flag("audit-log-path", AUDIT_LOG),
    ]
}

/// The controller manager. It looks at nodes often, and takes half as long as usual to notice that one is gone: they
/// report often, too.
fn controllers(files: &Files) -> Vec<String> {
    vec![
        kubeconfig_flag(files, "system:kube-controller-manager"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        "--use-service-account-credentials=true".to_owned(),
        "--node-monitor-grace-period=20s".to_owned(),
        "--node-monitor-period=1s".to_owned(),
        files.flag("service-account-private-key-file", "key.pem"),
        files.flag("root-ca-file", "certificate.pem"),
    ]
}

/// The scheduler.
fn scheduler(files: &Files) -> Vec<String> {
    let kubeconfig = kubeconfig_flag(files, "system:kube-scheduler");
    vec![kubeconfig, "--leader-elect=false".to_owned(), "--secure-port=0".to_owned()]
}

/// As whom a program speaks to the API server.
fn kubeconfig_flag(files: &Files, user: &str) -> String {
    format!("--kubeconfig={}", files.kubeconfig(user).display())
}

/// A kubeconfig, which may be written in JSON.
fn kubeconfig(certificate: &Path, server: &str, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{ "name": "test", "cluster": {
            "server": format!("https://{server}:443"), "certificate-authority": certificate } }],
        "users": [{ "name": "test", "user": { "token": token } }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    })
    .to_string()
}

/// What nobody guesses.
fn token() -> anyhow::Result<String> {
    // A new one for each read.
    fs::read_to_string("/proc/sys/kernel/random/uuid").map(|text| text.trim().to_owned()).context("make a token")
}

/// Waits until the API server is ready, or has given up.
async fn wait_until_ready(kubectl: &Kubectl, api_server: &mut Daemon) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        api_server.check()?;
        let Err(refused) = kubectl.run(&["get", "--raw=/readyz"]).await else { return Ok(()) };
        if start.elapsed() > PATIENCE {
            return Err(refused.context(format!("the API server is not ready:\n{}", api_server.last_lines())));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
