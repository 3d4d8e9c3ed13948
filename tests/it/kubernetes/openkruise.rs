//! The engine of OpenKruise: with its definitions, this plays its controllers; on a cluster that has them, they do it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use holystone_core::cluster::manifest_of;
use holystone_tests::TestImage;
use serde_json::{Value, json};

use super::{NAMESPACE, Suite, condition, contains, ready, root};

impl Suite {
    /// Without OpenKruise it says so; with its definitions everything is taken unchanged, and its pods run.
    pub(super) async fn openkruise(&self) -> anyhow::Result<()> {
        let is_there = self.cluster.kubectl(&["get", "crd", "broadcastjobs.apps.kruise.io"]).await.is_ok();
        let spec = json!({ "schedule": "* * * * *", "mode": "Enforce", "guardRails": { "minAge": "0s" } });
        if is_there {
            self.apply("cron", spec).await?;
            return self.scheduled().await;
        }
        self.apply("cron", spec).await?;
        self.until("nodecleanup", "cron", "OpenKruise is missed", |object| ready(object) == "OpenKruiseMissing")
            .await?;
        for release in ["v1.6.4", "v1.9.0"] {
            let definitions = root().join("tests/kruise-crds").join(release);
            for file in ["apps.kruise.io_advancedcronjobs.yaml", "apps.kruise.io_broadcastjobs.yaml"] {
                let file = definitions.join(file);
                self.cluster.kubectl(&["create", "--filename", file.to_str().context("a path")?]).await?;
            }
            self.until("nodecleanup", "cron", &format!("OpenKruise {release} has appeared"), |object| {
                ready(object) == "Applied"
            })
            .await?;
            let cron_job = self.get("advancedcronjob", "cron").await?;
            let want = crate::support::run(&[
                "render",
                "-f",
                self.written("cron").await?.to_str().context("a path")?,
                "-o",
                "json",
            ]);
            let want: Value = serde_json::from_str(&want.stdout).with_context(|| want.stderr.clone())?;
            ensure!(contains(&cron_job["spec"], &want["items"][1]["spec"]), "{release} changed it: {cron_job:#}");
            self.examples().await.context(release)?;
            if release == "v1.9.0" {
                self.broadcast(&cron_job).await?;
            }
            let crds = ["delete", "crd", "advancedcronjobs.apps.kruise.io", "broadcastjobs.apps.kruise.io"];
            self.cluster.kubectl(&crds).await?;
            self.until("nodecleanup", "cron", "OpenKruise is missed again", |object| {
                ready(object) == "OpenKruiseMissing"
            })
            .await?;
        }
        Ok(())
    }

    /// Applies what is rendered from the examples, which is taken unchanged and has no unknown fields.
    async fn examples(&self) -> anyhow::Result<()> {
        let file = crate::support::scratch().join("rendered.json");
        let file = file.to_str().context("a path")?;
        for entry in fs::read_dir(root().join("examples/manifests"))? {
            let example = entry?.path();
            for engine in ["broadcastjob", "daemonset"] {
                let example = example.to_str().context("a path")?;
                let rendered =
                    crate::support::run(&["render", "-f", example, "--engine", engine, "-o", "json"]).expect(0);
                fs::write(file, &rendered.stdout)?;
                let create = ["create", "--namespace", NAMESPACE, "--dry-run=server", "--validate=strict"];
                let taken = self.cluster.kubectl(&[&create[..], &["-o", "json", "-f", file]].concat()).await?;
                // One after the other, and not as a list.
                let taken = serde_json::Deserializer::from_str(&taken).into_iter::<Value>();
                let taken = taken.collect::<Result<Value, _>>()?;
                let rendered: Value = serde_json::from_str(&rendered.stdout)?;
                ensure!(contains(&taken, &rendered["items"]), "{example} by {engine}: {taken:#}");
            }
        }
        Ok(())
    }

    /// The NodeCleanup as a file.
    async fn written(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = crate::support::scratch().join("cluster-manifest.json");
        fs::write(&path, self.get("nodecleanup", name).await?.to_string())?;
        Ok(path)
    }

    /// Does what the BroadcastJob controller does: runs, with a pod on each node.
    async fn broadcast(&self, cron_job: &Value) -> anyhow::Result<()> {
        for node in self.cluster.nodes() {
            node.containerd().import(&[TestImage::new("docker.io/minchou/rollout:7")]).await?;
        }
        let written = self.status_writes("cron")?;
        let object = self.run_on_all_nodes(cron_job, "cron-1780000000").await?;
        let status = &object["status"];
        ensure!(status["lastRun"]["nodes"]["summary"] == "2/2", "{status:#}");
        ensure!(status["lastRun"]["removed"] == 2, "one image on each node: {status:#}");
        ensure!(condition(&object, "PluginsResolved")["status"] == "True", "{status:#}");
        // The start of the run, its end, and what pods reported in between, or after the end.
        let written = self.status_writes("cron")? - written;
        ensure!(written <= 4, "a run of two nodes costs {written} status writes");
        self.records_of_deleted_daemons(cron_job).await?;
        self.by_hand().await?;
        self.one_manifest().await?;
        self.once().await?;
        self.made_anew(&self.get("advancedcronjob", "cron").await?).await
    }

    /// Makes a run and its pods, and ends it when they have ended.
    async fn run_on_all_nodes(&self, cron_job: &Value, name: &str) -> anyhow::Result<Value> {
        let spec = &cron_job["spec"]["template"]["broadcastJobTemplate"]["spec"];
        let job = json!({
            "apiVersion": "apps.kruise.io/v1alpha1", "kind": "BroadcastJob",
            "metadata": { "name": name, "namespace": NAMESPACE, "ownerReferences": owned_by(cron_job) }, "spec": spec,
        });
        self.cluster.apply(&job.to_string()).await?;
        let job = self.get("broadcastjob", name).await?;
        for node in self.cluster.nodes() {
            self.cluster.apply(&pod_of(&job, node.name()).to_string()).await?;
        }
        let (started, ended) = ("2026-11-26T00:00:00Z", "2026-11-26T00:01:00Z");
        let mut status = json!({ "phase": "running", "desired": 2, "succeeded": 0, "active": 2, "failed": 0, "startTime": started, "conditions": [] });
        self.write_job_status(name, &status).await?;
        for node in self.cluster.nodes() {
            let pod = format!("{name}-{}", node.name());
            let has_ended = |pod: &Value| pod["status"]["phase"] == "Succeeded";
            let pod = self.until("pod", &pod, "a pod of a run has ended", has_ended).await?;
            let terminated = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
            let message = terminated["message"].as_str().unwrap_or_default();
            ensure!(!message.is_empty() && message.len() <= 4096, "{message}");
        }
        for (field, value) in [("phase", json!("completed")), ("completionTime", json!(ended))] {
            status[field] = value;
        }
        for (field, count) in [("succeeded", 2), ("active", 0)] {
            status[field] = count.into();
        }
        self.write_job_status(name, &status).await?;
        self.until("nodecleanup", "cron", "a run is folded", |object| {
            let run = &object["status"]["lastRun"];
            run["phase"] == "Complete" && run["name"] == name
        })
        .await
    }

    /// An enforcing run marks what daemons of deleted NodeCleanups keep on nodes, and removes it when that is long ago.
    async fn records_of_deleted_daemons(&self, cron_job: &Value) -> anyhow::Result<()> {
        let directories: Vec<PathBuf> = self
            .cluster
            .nodes()
            .iter()
            .map(|node| node.containerd().directory().join("lib/holystone/daemons/node-ops.daemons"))
            .collect();
        let long_ago = std::time::SystemTime::now() - Duration::from_hours(24 * 40);
        for directory in &directories {
            let mark = directory.join("unclaimed");
            let marked = fs::read_to_string(&mark).with_context(|| format!("{}", mark.display()))?;
            ensure!(marked.parse::<jiff::Timestamp>().is_ok(), "{marked}");
            for entry in fs::read_dir(directory)? {
                fs::File::options().write(true).open(entry?.path())?.set_modified(long_ago)?;
            }
            fs::write(&mark, jiff::Timestamp::try_from(long_ago)?.to_string())?;
        }
        self.run_on_all_nodes(cron_job, "cron-1780000060").await?;
        for directory in &directories {
            ensure!(!directory.exists(), "{} is still there", directory.display());
        }
        self.said("what deleted daemons kept on nodes is gone");
        Ok(())
    }

    /// An edit reaches no node of a run that goes on: what its pods read stays until the run is over, and goes with it.
    async fn one_manifest(&self) -> anyhow::Result<()> {
        let cron_job = self.get("advancedcronjob", "cron").await?;
        let spec = &cron_job["spec"]["template"]["broadcastJobTemplate"]["spec"];
        let read = manifest_of(&spec["template"]).context("pods read a manifest")?.to_owned();
        let before = self.get("configmap", &read).await?;
        let name = "cron-1790000000";
        let job = json!({ "apiVersion": "apps.kruise.io/v1alpha1", "kind": "BroadcastJob",
            "metadata": { "name": name, "namespace": NAMESPACE, "ownerReferences": owned_by(&cron_job) }, "spec": spec });
        self.cluster.apply(&job.to_string()).await?;
        self.job_status(name, "running").await?;
        self.patch("cron", r#"{"spec":{"mode":"DryRun"}}"#).await?;
        self.until("nodecleanup", "cron", "an edit waits for the run", |object| ready(object) == "WaitingForRun")
            .await?;
        ensure!(self.get("configmap", &read).await? == before, "what its pods read has changed");
        ensure!(self.get("advancedcronjob", "cron").await?["spec"]["paused"] == true, "another run could start");
        let known = self.get("nodecleanup", "cron").await?["status"]["lastRun"]["name"].clone();
        self.job_status(name, "completed").await?;
        let object =
            self.until("nodecleanup", "cron", "the next run has it", |object| ready(object) == "Applied").await?;
        ensure!(object["status"]["lastRun"]["name"] == known, "the status went back: {object:#}");
        let cron_job = self.get("advancedcronjob", "cron").await?;
        let spec = &cron_job["spec"]["template"]["broadcastJobTemplate"]["spec"];
        ensure!(manifest_of(&spec["template"]).is_some_and(|name| name != read), "{cron_job:#}");
        ensure!(self.get("configmap", &read).await.is_ok(), "a run by hand, which is on record, has read it");
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "broadcastjobs", "--all"]).await?;
        self.gone("configmap", &read).await
    }

    /// Without a schedule it runs once: pausing, and what changes nothing of what it does, starts no other run.
    async fn once(&self) -> anyhow::Result<()> {
        self.apply("once", json!({ "schedule": null, "mode": "Enforce" })).await?;
        let object =
            self.until("nodecleanup", "once", "its run is started", |object| object["status"]["once"].is_string());
        let name = object.await?["status"]["once"].as_str().unwrap_or_default().to_owned();
        self.job_status(&name, "paused").await?;
        let object = self
            .until("nodecleanup", "once", "a run that failurePolicy pauses asks for a person", |object| {
                ready(object) == "RunPaused"
            })
            .await?;
        ensure!(object["status"]["lastRun"]["phase"] == "Paused", "{object:#}");
        self.told("once", "RunPaused", &format!("BroadcastJob {name} is paused by failurePolicy Pause")).await?;
        self.job_status(&name, "running").await?;
        self.until("nodecleanup", "once", "its run goes on", |object| ready(object) == "Applied").await?;
        self.patch("once", r#"{"spec":{"paused":true}}"#).await?;
        self.until("broadcastjob", &name, "its run is paused", |job| job["spec"]["paused"] == true).await?;
        self.annotate("once", "holystone.dev/run-now=while-paused").await?;
        let is_done = |object: &Value| object["status"]["runNow"] == "while-paused";
        self.until("nodecleanup", "once", "a run by hand is refused while paused", is_done).await?;
        self.patch("once", r#"{"spec":{"paused":false}}"#).await?;
        self.until("broadcastjob", &name, "its run goes on", |job| job["spec"]["paused"] != true).await?;
        self.job_status(&name, "completed").await?;
        self.until("nodecleanup", "once", "its run is over", |object| {
            matches!(object["status"]["lastRun"]["phase"].as_str(), Some("Complete" | "Failed"))
        })
        .await?;
        for patch in [
            r#"{"spec":{"paused":true}}"#,
            r#"{"spec":{"paused":false,"rollout":{"completionPolicy":{"ttlSecondsAfterFinished":600}}}}"#,
            r#"{"spec":{"rollout":{"parallelism":1}},"metadata":{"labels":{"a":"b"}}}"#,
        ] {
            self.patch("once", patch).await?;
            let generation = self.get("nodecleanup", "once").await?["metadata"]["generation"].clone();
            self.until("nodecleanup", "once", "an edit is followed", |object| {
                object["status"]["observedGeneration"] == generation
            })
            .await?;
        }
        let list = self.cluster.kubectl(&["--namespace", NAMESPACE, "get", "broadcastjobs", "--output=name"]).await?;
        let own: Vec<&str> = list.lines().filter(|line| line.contains("/once-")).collect();
        ensure!(own == [format!("broadcastjob.apps.kruise.io/{name}")], "{own:?}");
        let events = [
            "--namespace",
            NAMESPACE,
            "get",
            "events",
            "--field-selector=involvedObject.name=once,reason=RunNowIgnored",
            "--output=name",
        ];
        let told = self.cluster.kubectl(&events).await?;
        ensure!(told.lines().count() == 1, "{told}");
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "once"]).await?;
        self.gone("broadcastjob", &name).await
    }

    /// Sets the status of a BroadcastJob, as OpenKruise does.
    async fn job_status(&self, name: &str, phase: &str) -> anyhow::Result<()> {
        let mut status = json!({ "phase": phase, "desired": 2, "succeeded": 0, "active": 2, "failed": 0, "conditions": [],
            "startTime": "2026-11-26T10:00:00Z" });
        if phase == "completed" {
            status["succeeded"] = 2.into();
            status["active"] = 0.into();
            status["completionTime"] = "2026-11-26T10:01:00Z".into();
        }
        self.write_job_status(name, &status).await
    }

    async fn write_job_status(&self, name: &str, status: &Value) -> anyhow::Result<()> {
        let patch = json!({ "status": status }).to_string();
        let arguments = [
            "--namespace",
            NAMESPACE,
            "patch",
            "broadcastjob",
            name,
            "--subresource=status",
            "--type=merge",
            "--patch",
            &patch,
        ];
        self.cluster.kubectl(&arguments).await.map(drop)
    }

    /// Runs by the annotation; the oldest that has ended goes, as the limits say.
    async fn by_hand(&self) -> anyhow::Result<()> {
        self.patch("cron", r#"{"spec":{"successfulJobsHistoryLimit":1}}"#).await?;
        let mut names = Vec::new();
        for word in ["one", "two"] {
            let annotation = format!("holystone.dev/run-now={word}");
            self.cluster
                .kubectl(&["--namespace", NAMESPACE, "annotate", "--overwrite", "nodecleanup", "cron", &annotation])
                .await?;
            let object = self
                .until("nodecleanup", "cron", "a run by hand is started", |object| object["status"]["runNow"] == word)
                .await?;
            let list =
                self.cluster.kubectl(&["--namespace", NAMESPACE, "get", "broadcastjobs", "--output=name"]).await?;
            let is_new = |name: &&str| name.contains("/cron-r") && !names.iter().any(|known: &String| known == name);
            let name =
                list.lines().find(is_new).with_context(|| format!("no run by hand: {list}\n{object:#}"))?.to_owned();
            let ended = json!({ "status": { "phase": "completed", "desired": 1, "succeeded": 1, "active": 0, "failed": 0, "conditions": [],
                "startTime": format!("2026-11-26T0{}:00:00Z", names.len() + 1), "completionTime": "2026-11-26T09:00:00Z" } });
            self.cluster
                .kubectl(&[
                    "--namespace",
                    NAMESPACE,
                    "patch",
                    &name,
                    "--subresource=status",
                    "--type=merge",
                    "--patch",
                    &ended.to_string(),
                ])
                .await?;
            names.push(name);
        }
        let (kind, name) = names[0].split_once('/').context("a kind and a name")?;
        self.gone(kind, name).await
    }

    /// A template that has changed, and another engine.
    async fn made_anew(&self, before: &Value) -> anyhow::Result<()> {
        self.patch("cron", r#"{"spec":{"rollout":{"nodeSelector":{"kubernetes.io/arch":"amd64"}}}}"#).await?;
        let uid = &before["metadata"]["uid"];
        self.until("advancedcronjob", "cron", "an AdvancedCronJob is recreated", |object| {
            object["metadata"]["uid"] != *uid
        })
        .await?;
        self.patch("cron", r#"{"spec":{"rollout":{"engine":"DaemonSet"}}}"#).await?;
        self.gone("advancedcronjob", "cron").await?;
        self.until("daemonset", "holystone-cron", "a DaemonSet has taken its place", |_| true).await?;
        self.patch("cron", r#"{"spec":{"rollout":{"engine":"BroadcastJob"}}}"#).await?;
        self.gone("daemonset", "holystone-cron").await
    }

    /// OpenKruise's own controllers do it.
    async fn scheduled(&self) -> anyhow::Result<()> {
        self.until("nodecleanup", "cron", "the AdvancedCronJob is applied", |object| ready(object) == "Applied")
            .await?;
        let object = self
            .until("nodecleanup", "cron", "OpenKruise has run it on all nodes", |object| {
                object["status"]["lastRun"]["phase"] == "Complete"
            })
            .await?;
        let nodes = &object["status"]["lastRun"]["nodes"];
        ensure!(nodes["succeeded"] == nodes["desired"] && nodes["desired"].as_u64() >= Some(1), "{object:#}");
        let now = ["--namespace", NAMESPACE, "annotate", "nodecleanup", "cron", "holystone.dev/run-now=please"];
        self.cluster.kubectl(&now).await?;
        self.until("nodecleanup", "cron", "a run by hand is over", |object| {
            let run = &object["status"]["lastRun"];
            run["phase"] == "Complete" && run["name"].as_str().is_some_and(|name| name.starts_with("cron-r"))
        })
        .await?;
        let patch =
            r#"{"spec":{"rollout":{"nodeSelector":{"kubernetes.io/os":"linux","kubernetes.io/arch":"amd64"}}}}"#;
        self.cluster
            .kubectl(&["--namespace", NAMESPACE, "patch", "nodecleanup", "cron", "--type=merge", "--patch", patch])
            .await?;
        self.until("advancedcronjob", "cron", "a template that changed is recreated", |object| {
            object.to_string().contains("kubernetes.io/arch")
        })
        .await?;
        self.until("nodecleanup", "cron", "it is applied again", |object| ready(object) == "Applied").await?;
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "cron"]).await?;
        self.gone("advancedcronjob", "cron").await
    }
}

fn owned_by(object: &Value) -> Value {
    json!([{ "apiVersion": object["apiVersion"], "kind": object["kind"], "name": object["metadata"]["name"],
        "uid": object["metadata"]["uid"], "controller": true }])
}

/// The pod of a run on a node, as the BroadcastJob controller makes it.
fn pod_of(job: &Value, node: &str) -> Value {
    let name = job["metadata"]["name"].as_str().unwrap_or_default();
    let mut pod = job["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = format!("{name}-{node}").into();
    pod["metadata"]["namespace"] = NAMESPACE.into();
    pod["metadata"]["labels"]["broadcastjob-name"] = name.into();
    pod["metadata"]["ownerReferences"] = owned_by(job);
    pod["spec"]["affinity"] = json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [{ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] }]
    } } });
    pod
}
