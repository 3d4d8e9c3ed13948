//! A private containerd: its own directories, its own socket, nothing shared with one that serves the machine.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::config::{self, NODE_SOCKET, Places};
use crate::cri::Cri;
use crate::disk::du;
use crate::images::{Imported, TestImage};
use crate::layout;
use crate::process::{POLL, end};
use crate::requirements::{Tools, Version};
use crate::teardown;

/// The containerd namespace in which the CRI keeps everything.
pub const CRI_NAMESPACE: &str = "k8s.io";
/// The label by which containerd's CRI knows a pinned image.
const PINNED: &str = "io.cri-containerd.pinned=pinned";
/// A socket's path has 108 bytes with the closing zero; containerd adds `.ttrpc` to ours.
const LONGEST_SOCKET: usize = 100;
/// How long containerd may take to answer, on a busy machine.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// How long it may take to end before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How long an import may take.
const CTR_PATIENCE: Duration = Duration::from_mins(10);
/// How long the CRI may take to notice what `ctr` did.
const NOTICE_PATIENCE: Duration = Duration::from_secs(30);

/// A running containerd of its own.
///
/// Dropping it ends everything it started (containers, shims, the daemon), unmounts everything it mounted and
/// removes its directory, within bounds. [`Containerd::close`] does the same and tells what went wrong.
#[derive(Debug)]
pub struct Containerd {
    tools: Tools,
    places: Places,
    /// `None` once the directory was given up.
    directory: Option<TempDir>,
    daemon: Option<Child>,
    /// What the daemon's command line starts with: a program that runs it elsewhere.
    prefix: Vec<OsString>,
    archives: AtomicU64,
}

impl Containerd {
    /// Starts a containerd in the directory for temporary files and waits until its CRI answers.
    pub async fn start(tools: &Tools) -> anyhow::Result<Self> {
        Self::start_beneath(tools, &env::temp_dir()).await
    }

    /// Starts a containerd in a new directory beneath the one given. On a tmpfs such as `/dev/shm` imports and
    /// removals take a quarter of the time they take on a disk, as containerd waits for the disk at each step.
    pub async fn start_beneath(tools: &Tools, parent: &Path) -> anyhow::Result<Self> {
        let mut containerd = Self::prepare(tools, parent, None)?;
        containerd.resume().await?;
        Ok(containerd)
    }

    /// Makes everything that a containerd needs, for [`Containerd::resume`] to start it. With plugins for networks it is
    /// that of a Kubernetes node.
    pub(crate) fn prepare(tools: &Tools, parent: &Path, network_plugins: Option<PathBuf>) -> anyhow::Result<Self> {
        let (directory, base) = private_directory(parent)?;
        let places = Places { base, network_plugins };
        for part in [places.pod_logs(), places.archives(), places.networks()] {
            fs::create_dir_all(&part).with_context(|| format!("create {}", part.display()))?;
        }
        fs::write(places.config(), config::render(&places, tools.version))
            .context("write containerd's configuration")?;
        Ok(Self {
            tools: tools.clone(),
            places,
            directory: Some(directory),
            daemon: None,
            prefix: Vec::new(),
            archives: AtomicU64::new(0),
        })
    }

    /// Has the daemon run by another program, which takes it as its last arguments and becomes it.
    pub(crate) fn run_by(&mut self, prefix: Vec<OsString>) {
        self.prefix = prefix;
    }

    /// Where the networks of its pods are described.
    pub(crate) fn networks(&self) -> PathBuf {
        self.places.networks()
    }

    /// Ends the daemon and leaves its containers running, as an upgrade of containerd on a node does.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        match self.daemon.take() {
            Some(mut daemon) => end(&mut daemon, STOP_PATIENCE).context("stop containerd"),
            None => Ok(()),
        }
    }

    /// Kills the daemon, as the kernel does when memory runs out. Its containers go on.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        match self.daemon.take() {
            Some(mut daemon) => {
                daemon.kill().context("kill containerd")?;
                daemon.wait().context("wait for a killed containerd").map(|_| ())
            }
            None => Ok(()),
        }
    }

    /// Makes the daemon hang: it takes connections, for the kernel does, and answers nothing.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.send(Signal::STOP)?;
        // Its threads on other processors run on for a moment.
        let until = Instant::now() + Duration::from_secs(10);
        while !self.is_frozen()? {
            ensure!(Instant::now() < until, "containerd was told to stop and runs on");
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    fn is_frozen(&self) -> anyhow::Result<bool> {
        let daemon = self.daemon.as_ref().context("containerd does not run")?;
        for thread in fs::read_dir(format!("/proc/{}/task", daemon.id())).context("list containerd's threads")? {
            // One that has just ended is looked for again.
            let status = fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
            if !status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Lets it go on after [`Containerd::freeze`].
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.send(Signal::CONT)
    }

    /// Starts the daemon again after [`Containerd::stop`] or [`Containerd::kill`], on the same socket and with the same
    /// images.
    pub async fn resume(&mut self) -> anyhow::Result<()> {
        if self.daemon.is_none() {
            self.daemon = Some(self.spawn()?);
        }
        self.wait_until_ready().await
    }

    /// [`Containerd::stop`] and [`Containerd::resume`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.resume().await
    }

    /// The CRI endpoint: `unix:///…`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.places.socket().display())
    }

    /// The path of the CRI socket.
    pub fn socket(&self) -> PathBuf {
        self.places.socket()
    }

    /// The directory beneath which everything of this containerd lies.
    pub fn directory(&self) -> &Path {
        &self.places.base
    }

    /// The directory beneath which container logs go, laid out as the kubelet's `/var/log/pods`.
    pub fn pod_logs(&self) -> PathBuf {
        self.places.pod_logs()
    }

    /// Which containerd it is.
    pub fn version(&self) -> Version {
        self.tools.version
    }

    /// The daemon's process id, while it runs.
    pub fn daemon_id(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// A client of the CRI. It may be kept over a restart.
    pub fn cri(&self) -> anyhow::Result<Cri> {
        Cri::new(&self.places.socket(), &self.places.pod_logs())
    }

    /// Makes and imports images, all in one archive, and waits until the CRI lists them. The answer has the order
    /// of the images.
    pub async fn import(&self, images: &[TestImage]) -> anyhow::Result<Vec<Imported>> {
        let (archive, imported) = self.archive(images).await?;
        self.ctr(&["images", "import", &archive.to_string_lossy()]).await?;
        fs::remove_file(&archive).with_context(|| format!("remove {}", archive.display()))?;
        self.wait_until_listed(&imported).await?;
        for (image, known) in images.iter().zip(&imported) {
            if image.pinned {
                self.pin(known).await?;
            }
        }
        Ok(imported)
    }

    /// Writes an archive of images beneath this containerd's directory, for `ctr images import`.
    pub async fn archive(&self, images: &[TestImage]) -> anyhow::Result<(PathBuf, Vec<Imported>)> {
        let number = self.archives.fetch_add(1, Ordering::Relaxed);
        let archive = self.places.archives().join(format!("{number}.tar"));
        let (wanted, target) = (images.to_vec(), archive.clone());
        // Making gigabytes of images takes seconds of computation, which do not belong among asynchronous tasks.
        let imported = tokio::task::spawn_blocking(move || layout::write(&wanted, &target)).await??;
        Ok((archive, imported))
    }

    /// Imports an archive of images, and waits until the CRI lists every image that there is.
    pub async fn import_archive(&self, archive: &Path) -> anyhow::Result<()> {
        self.ctr(&["images", "import", &archive.to_string_lossy()]).await?;
        let names = self.ctr(&["images", "list", "--quiet"]).await?;
        let start = Instant::now();
        let cri = self.cri()?;
        loop {
            let images = cri.list_images().await?;
            let known: HashSet<&str> = images
                .iter()
                .flat_map(|image| image.repo_tags.iter().chain(&image.repo_digests).chain([&image.id]))
                .map(String::as_str)
                .collect();
            let Some(absent) = names.lines().find(|name| !known.contains(name)) else {
                return Ok(());
            };
            ensure!(start.elapsed() < NOTICE_PATIENCE, "the CRI does not list {absent}, but {known:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Runs `ctr` against this containerd, in the CRI's namespace, and answers what it printed.
    pub async fn ctr(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let command = tokio::process::Command::new(&self.tools.ctr)
            .args(["-n", CRI_NAMESPACE, "-a"])
            .arg(self.places.socket())
            .args(arguments)
            .env("TMPDIR", &self.places.base)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output =
            tokio::time::timeout(CTR_PATIENCE, command).await.context("ctr took too long")?.context("run ctr")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ctr {}: {complaint}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// What content and snapshots occupy on the disk. It grows and shrinks with the images, and unlike the CRI's
    /// `ImageFsInfo` it is measured now.
    pub fn image_bytes(&self) -> anyhow::Result<u64> {
        let root = self.places.root();
        let content = du(&root.join("io.containerd.content.v1.content"))?;
        Ok(content + du(&root.join("io.containerd.snapshotter.v1.overlayfs"))?)
    }

    /// Everything the daemon has printed.
    pub fn log(&self) -> String {
        let raw = fs::read(self.places.log()).unwrap_or_default();
        String::from_utf8_lossy(&raw).into_owned()
    }

    /// Ends everything and removes the directory, and tells what could not be ended, unmounted or removed.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.tear_down()
    }

    /// Sends the daemon a signal.
    fn send(&self, signal: Signal) -> anyhow::Result<()> {
        let daemon = self.daemon.as_ref().context("containerd does not run")?;
        // A child that has not been waited for keeps its id, so that this cannot hit another process.
        kill_process(Pid::from_child(daemon), signal).context("send containerd a signal")
    }

    /// Starts the daemon's process.
    fn spawn(&self) -> anyhow::Result<Child> {
        let log = File::options().create(true).append(true).open(self.places.log()).context("open containerd's log")?;
        let mut words = self.prefix.clone();
        words.push(self.tools.containerd.clone().into());
        Command::new(&words[0])
            .args(&words[1..])
            .arg("--config")
            .arg(self.places.config())
            .env("PATH", self.search_path()?)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("share containerd's log")?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", self.tools.containerd.display()))
    }

    /// The `PATH` on which containerd finds its own shim, and the shim finds runc, before any other.
    fn search_path(&self) -> anyhow::Result<OsString> {
        let own =
            [&self.tools.shim, &self.tools.runc].map(|tool| tool.parent().unwrap_or(Path::new("/")).to_path_buf());
        let inherited = env::var_os("PATH").unwrap_or_default();
        let all: Vec<PathBuf> = own.into_iter().chain(env::split_paths(&inherited)).collect();
        env::join_paths(all).context("make a PATH for containerd")
    }

    /// Pins an imported image, as an administrator does with `ctr images label`.
    ///
    /// containerd 1.6 takes the label but knows no pinned images: its CRI goes on to say that the image is not
    /// pinned, also after a restart. A test of pinned images needs a newer one, see [`Containerd::can_pin`].
    pub async fn pin(&self, image: &Imported) -> anyhow::Result<()> {
        for name in image.tags.iter().chain(&image.repo_digests) {
            self.ctr(&["images", "label", name, PINNED]).await?;
        }
        // The CRI takes note of labels by an event; a test sees for itself when it never does.
        let (start, cri) = (Instant::now(), self.cri()?);
        while self.can_pin()
            && start.elapsed() < NOTICE_PATIENCE
            && !cri.image_status(&image.id).await?.unwrap_or_default().pinned
        {
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Whether this containerd's CRI reports pinned images.
    pub fn can_pin(&self) -> bool {
        self.tools.version >= Version { major: 1, minor: 7 }
    }

    /// Whether containers of this containerd can mount images.
    pub fn can_mount_images(&self) -> bool {
        self.tools.version >= Version { major: 2, minor: 1 }
    }

    /// Waits until the CRI answers, or containerd has given up.
    async fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = Instant::now();
        let cri = self.cri()?;
        loop {
            let ended = match &mut self.daemon {
                Some(daemon) => daemon.try_wait().context("look after containerd")?,
                None => bail!("containerd was not started"),
            };
            if let Some(status) = ended {
                self.daemon = None;
                bail!("containerd ended with {status}:\n{}", last_lines(&self.log()));
            }
            // The image service answers a moment after the runtime service.
            let Err(refused) = cri.version().await.and(cri.list_images().await) else {
                return Ok(());
            };
            if start.elapsed() > START_PATIENCE {
                return Err(refused.context(format!("containerd does not answer:\n{}", last_lines(&self.log()))));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The CRI learns by events of what `ctr` did, and so a moment later.
    async fn wait_until_listed(&self, imported: &[Imported]) -> anyhow::Result<()> {
        let start = Instant::now();
        let cri = self.cri()?;
        loop {
            let images = cri.list_images().await?;
            let listed = |wanted: &&Imported| {
                images.iter().any(|image| {
                    image.id == wanted.id
                        && wanted.tags.iter().all(|tag| image.repo_tags.contains(tag))
                        && wanted.repo_digests.iter().all(|name| image.repo_digests.contains(name))
                })
            };
            let Some(absent) = imported.iter().find(|wanted| !listed(wanted)) else {
                return Ok(());
            };
            ensure!(start.elapsed() < NOTICE_PATIENCE, "the CRI does not list {absent:?}, but {images:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends everything, unmounts everything, removes the directory.
    fn tear_down(&mut self) -> anyhow::Result<()> {
        let Some(directory) = self.directory.take() else {
            return Ok(());
        };
        let stopped = self.stop();
        let ended = teardown::end_all(&self.places, &self.tools.runc);
        if let Err(error) = teardown::unmount_all(&self.places.base) {
            // Removing a directory in which something is mounted would remove what is mounted.
            let kept = directory.keep();
            return Err(error.context(format!("{} is left behind", kept.display())));
        }
        let removed = teardown::remove_directory(&directory.keep());
        stopped.and(ended).and(removed)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Err(error) = self.tear_down() {
            // There is nobody to tell but whoever reads the test's output, and nothing to do if that fails.
            let _ = writeln!(std::io::stderr(), "a private containerd was not cleaned up: {error:#}");
        }
    }
}

/// Makes the directory of a private containerd, and answers its path free of symbolic links, which is how mounts
/// are listed.
fn private_directory(parent: &Path) -> anyhow::Result<(TempDir, PathBuf)> {
    let make = |parent: &Path| -> anyhow::Result<(TempDir, PathBuf)> {
        let directory = tempfile::Builder::new().prefix("holystone-").tempdir_in(parent)?;
        let path = directory.path().canonicalize()?;
        Ok((directory, path))
    };
    let named = make(parent).with_context(|| format!("make a directory in {}", parent.display()))?;
    if named.1.as_os_str().len() + "/".len() + NODE_SOCKET.len() <= LONGEST_SOCKET {
        return Ok(named);
    }
    make(Path::new("/tmp")).context("make a directory in /tmp")
}

/// The end of a log, for an error message.
pub(crate) fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
