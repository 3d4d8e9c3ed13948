//! A private CRI-O: its own storage, its own socket, nothing shared with one that serves the machine.
//!
//! CRI-O is no module of a registry and no package of Debian, so a machine has to bring its own:
//! `HOLYSTONE_CRIO=/path/to/crio`, with `pinns` beside it; conmon, runc and skopeo from the distribution.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::cri::Cri;
use crate::disk::mounts_beneath;
use crate::images::{Imported, TestImage};
use crate::layout;
use crate::process::{POLL, end, kill, processes_naming};
use crate::requirements::skip;

/// The CRI-O to test with.
const CRIO_VARIABLE: &str = "HOLYSTONE_CRIO";
/// How long it may take to answer, on a busy machine.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Its configuration. Everything that it would keep elsewhere on the machine lies beneath its own directory.
const CONFIG: &str = r#"[crio]
storage_driver = "overlay"
root = "@BASE@/root"
runroot = "@BASE@/run"
log_dir = "@BASE@/logs"
version_file = "@BASE@/version"
version_file_persist = "@BASE@/version-persist"
clean_shutdown_file = "@BASE@/clean"
[crio.api]
listen = "@BASE@/crio.sock"
stream_address = "127.0.0.1"
stream_port = "0"
[crio.runtime]
default_runtime = "runc"
cgroup_manager = "cgroupfs"
conmon_cgroup = "pod"
namespaces_dir = "@BASE@/ns"
pinns_path = "@PINNS@"
container_exits_dir = "@BASE@/exits"
container_attach_socket_dir = "@BASE@/attach"
hooks_dir = ["@BASE@/hooks"]
cdi_spec_dirs = ["@BASE@/cdi"]
apparmor_profile = "unconfined"
selinux = false
[crio.runtime.runtimes.runc]
runtime_path = "@RUNC@"
runtime_type = "oci"
runtime_root = "@BASE@/runc"
monitor_path = "@CONMON@"
[crio.image]
pause_image = "localhost/pause:1"
pause_command = "/pause"
signature_policy = "@BASE@/policy.json"
[crio.network]
network_dir = "@BASE@/net"
plugin_dirs = ["/usr/lib/cni"]
[crio.nri]
enable_nri = false
"#;

/// A running CRI-O of its own. Dropping it ends everything that it started and removes its directory;
/// [`Crio::close`] does the same and tells what went wrong.
#[derive(Debug)]
pub struct Crio {
    base: PathBuf,
    directory: Option<TempDir>,
    daemon: Option<Child>,
}

/// The CRI-O that the machine brings; `None`, and a line that says so, where it brings none.
pub fn crio(test: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(path) = env::var_os(CRIO_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        skip(test, &format!("no CRI-O; name one in {CRIO_VARIABLE}"))?;
        return Ok(None);
    };
    ensure!(path.is_file(), "{CRIO_VARIABLE}: {} is no file", path.display());
    Ok(Some(path))
}

impl Crio {
    /// Starts a CRI-O beneath a directory and waits until it answers. `additional` are stores that it only reads.
    pub async fn start(crio: &Path, parent: &Path, additional: &[PathBuf]) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("crio-").tempdir_in(parent).context("a private directory")?;
        let base = directory.path().to_path_buf();
        for part in ["root", "run", "logs", "net", "exits", "attach", "ns", "hooks", "cdi"] {
            fs::create_dir_all(base.join(part)).with_context(|| format!("create {part}"))?;
        }
        fs::write(base.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)?;
        fs::write(base.join("registries.conf"), "unqualified-search-registries = [\"docker.io\"]\n")?;
        fs::write(base.join("storage.conf"), storage(&base, additional))?;
        fs::write(base.join("crio.conf"), config(&base, crio)?)?;
        let mut started = Self { base, directory: Some(directory), daemon: None };
        started.daemon = Some(started.spawn(crio)?);
        started.wait_until_ready().await?;
        Ok(started)
    }

    /// The CRI endpoint: `unix:///…`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// The path of the CRI socket.
    pub fn socket(&self) -> PathBuf {
        self.base.join("crio.sock")
    }

    /// The directory beneath which everything of this CRI-O lies.
    pub fn directory(&self) -> &Path {
        &self.base
    }

    /// A client of the CRI.
    pub fn cri(&self) -> anyhow::Result<Cri> {
        Cri::new(&self.socket(), &self.base.join("logs"))
    }

    /// Makes images and puts them into the storage, each under all its names.
    pub async fn import(&self, images: &[TestImage]) -> anyhow::Result<Vec<Imported>> {
        import(images, &self.base, &self.base.join("root")).await
    }

    /// Makes an OCI artifact of one small file and puts it into the store of artifacts.
    pub async fn add_artifact(&self, name: &str) -> anyhow::Result<()> {
        let made = tempfile::tempdir_in(&self.base)?;
        layout::write_artifact(name, made.path())?;
        let artifacts = self.base.join("root/artifacts");
        fs::create_dir_all(&artifacts)?;
        let (from, to) = (made.path().display(), artifacts.display());
        copy(&self.base, &format!("oci:{from}:{name}"), &format!("oci:{to}:{name}")).await
    }

    /// Everything the daemon has printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.base.join("log")).unwrap_or_default()).into_owned()
    }

    /// Ends everything and removes the directory.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.tear_down()
    }

    fn spawn(&self, crio: &Path) -> anyhow::Result<Child> {
        let log = File::create(self.base.join("log")).context("open CRI-O's log")?;
        let mut command = Command::new(crio);
        command
            .arg("--config")
            .arg(self.base.join("crio.conf"))
            .args(["--config-dir", ""])
            .env("CONTAINERS_STORAGE_CONF", self.base.join("storage.conf"))
            .env("CONTAINERS_REGISTRIES_CONF", self.base.join("registries.conf"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        command.spawn().with_context(|| format!("start {}", crio.display()))
    }

    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let cri = self.cri()?;
        loop {
            let ended = self.daemon.as_mut().map(Child::try_wait).transpose().context("look after CRI-O")?.flatten();
            if let Some(status) = ended {
                self.daemon = None;
                bail!("CRI-O ended with {status}:\n{}", self.log());
            }
            match cri.version().await {
                Ok(_) => return Ok(()),
                Err(refused) if start.elapsed() > START_PATIENCE => {
                    return Err(refused.context(format!("CRI-O does not answer:\n{}", self.log())));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    fn tear_down(&mut self) -> anyhow::Result<()> {
        if let Some(mut daemon) = self.daemon.take() {
            end(&mut daemon, STOP_PATIENCE).context("stop CRI-O")?;
        }
        let Some(directory) = self.directory.take() else { return Ok(()) };
        // conmon outlives CRI-O, and has the directory on its command line; so has nothing else that is not ours.
        for id in processes_naming(&self.base)? {
            kill(id)?;
        }
        let root = self.base.join("runc");
        for entry in fs::read_dir(&root).into_iter().flatten().filter_map(Result::ok) {
            let mut delete = Command::new("runc");
            delete.arg("--root").arg(&root).args(["delete", "--force"]).arg(entry.file_name());
            drop(delete.stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
        for mount in mounts_beneath(&self.base)?.into_iter().rev() {
            rustix::mount::unmount(&mount, rustix::mount::UnmountFlags::DETACH)
                .with_context(|| format!("unmount {}", mount.display()))?;
        }
        directory.close().context("remove CRI-O's directory")
    }
}

impl Drop for Crio {
    fn drop(&mut self) {
        if let Err(error) = self.tear_down() {
            eprintln!("a private CRI-O left something behind: {error:#}");
        }
    }
}

/// Makes images and puts them into a storage that no daemon has to serve, as an additional store is made.
pub async fn import(images: &[TestImage], scratch: &Path, root: &Path) -> anyhow::Result<Vec<Imported>> {
    let layout = tempfile::tempdir_in(scratch)?;
    let archive = layout.path().join("images.tar");
    let imported = layout::write(images, &archive)?;
    let unpacked = layout.path().join("layout");
    tar::Archive::new(File::open(&archive)?).unpack(&unpacked)?;
    let storage = format!("containers-storage:[overlay@{}+{}]", root.display(), scratch.join("run").display());
    for image in &imported {
        for name in image.tags.iter().chain(&image.repo_digests) {
            copy(scratch, &format!("oci:{}:{name}", unpacked.display()), &format!("{storage}{name}")).await?;
        }
    }
    Ok(imported)
}

async fn copy(base: &Path, from: &str, to: &str) -> anyhow::Result<()> {
    let output = tokio::process::Command::new("skopeo")
        .args(["--policy", &base.join("policy.json").to_string_lossy(), "copy", "--quiet", from, to])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("run skopeo")?;
    ensure!(output.status.success(), "skopeo copy {from} {to}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn storage(base: &Path, additional: &[PathBuf]) -> String {
    let stores: Vec<String> = additional.iter().map(|store| format!("{:?}", store.display().to_string())).collect();
    format!(
        "[storage]\ndriver = \"overlay\"\ngraphroot = {:?}\nrunroot = {:?}\n[storage.options]\nadditionalimagestores = [{}]\n",
        base.join("root").display().to_string(),
        base.join("run").display().to_string(),
        stores.join(", ")
    )
}

fn config(base: &Path, crio: &Path) -> anyhow::Result<String> {
    let text = |path: PathBuf| path.display().to_string();
    let pinns = crio.parent().context("CRI-O lies in a directory")?.join("pinns");
    let config = CONFIG
        .replace("@BASE@", &text(base.to_path_buf()))
        .replace("@PINNS@", &text(pinns))
        .replace("@RUNC@", &text(found("runc")?))
        .replace("@CONMON@", &text(found("conmon")?));
    Ok(config)
}

/// A program on `PATH`.
fn found(program: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut places = env::split_paths(&path).map(|directory| directory.join(program));
    places.find(|place| place.is_file()).with_context(|| format!("{program} is not on PATH"))
}
