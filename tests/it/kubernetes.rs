//! The whole of it on a real Kubernetes: the definition, the operator with its own rights, and its pods on two nodes with
//! containerd 1.6 and 2.4.
//!
//! One test, because a cluster takes a while to start. On a cluster that `HOLYSTONE_KUBECONFIG` names, what would need a
//! way to its nodes is left out, and OpenKruise's controllers, if they are there, do the scheduling.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use holystone_core::cluster::manifest_of;
use holystone_tests::{Cluster, TestImage, holystone_image};
use serde_json::{Value, json};

use crate::support::component;

mod openkruise;

const NAMESPACE: &str = "node-ops";
/// How long the cluster may take for one thing, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
const OPERATOR: &str = "system:serviceaccount:holystone-system:holystone-operator";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

struct Suite {
    cluster: Cluster,
    started: Instant,
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_cleaned_by_kubernetes() -> anyhow::Result<()> {
    let Some(cluster) = Cluster::start("nodes_are_cleaned_by_kubernetes").await? else { return Ok(()) };
    let mut suite = Suite { cluster, started: Instant::now() };
    suite.load().await?;
    suite.definition().await?;
    suite.install().await?;
    suite.dry_run().await?;
    suite.roles_of_users().await?;
    suite.daemons().await?;
    suite.last_words_of_daemons().await?;
    suite.held().await?;
    suite.image_volume().await?;
    suite.a_tenant_reads_and_removes_nothing_else().await?;
    suite.admission_policy().await?;
    suite.drift_and_deletion().await?;
    suite.two_operators().await?;
    suite.names_of_others().await?;
    suite.manifest_of_somebody().await?;
    suite.invalid().await?;
    suite.openkruise().await?;
    suite.failures().await?;
    suite.rights()?;
    suite.said("closing");
    suite.cluster.close()
}

/// A process that ends with the test.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Suite {
    fn said(&self, what: &str) {
        eprintln!("[{:>5.1}s] {what}", self.started.elapsed().as_secs_f64());
    }

    fn is_own(&self) -> bool {
        !self.cluster.nodes().is_empty()
    }

    async fn get(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        let text = self.cluster.kubectl(&["--namespace", NAMESPACE, "get", kind, name, "--output=json"]).await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The object, once it is so.
    async fn until(&self, kind: &str, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
        let begun = Instant::now();
        loop {
            let last = self.get(kind, name).await;
            match last {
                Ok(object) if is_so(&object) => {
                    self.said(what);
                    return Ok(object);
                }
                last if begun.elapsed() > PATIENCE => {
                    let pods = self.cluster.kubectl(&["get", "pods", "--all-namespaces", "--output=wide"]).await?;
                    let events = self.cluster.kubectl(&["get", "events", "--all-namespaces"]).await?;
                    let logs = self.operator_log().await;
                    anyhow::bail!("{kind} {name} never came to this: {what}\n{last:#?}\n{pods}\n{events}\n{logs}");
                }
                _ => tokio::time::sleep(Duration::from_millis(500)).await,
            }
        }
    }

    async fn operator_log(&self) -> String {
        let log =
            ["--namespace=holystone-system", "logs", "--selector=app.kubernetes.io/component=operator", "--tail=40"];
        self.cluster.kubectl(&log).await.unwrap_or_default()
    }

    async fn gone(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while self.get(kind, name).await.is_ok() {
            ensure!(begun.elapsed() < PATIENCE, "{kind} {name} does not go");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.said(&format!("{kind} {name} is gone"));
        Ok(())
    }

    async fn apply(&self, name: &str, spec: Value) -> anyhow::Result<()> {
        self.cluster.apply(&node_cleanup(name, spec).to_string()).await.map(drop)
    }

    /// The images that there are to be cleaned, and Holystone's own.
    async fn load(&self) -> anyhow::Result<()> {
        self.cluster.load_image(&holystone_image()?).await?;
        self.said("Holystone's image is loaded");
        let old: Vec<TestImage> =
            (1..=4).map(|tag| TestImage::new(&format!("docker.io/minchou/rollout:{tag}"))).collect();
        self.cluster.import(&old).await?;
        let plugin = Arc::from(fs::read(component("unused_images.wasm"))?);
        self.cluster.import(&[TestImage::new("docker.io/cleaners/images:1").program("cleaner.wasm", plugin)]).await?;
        for node in self.cluster.nodes() {
            let logs = node.containerd().directory().join("log/app");
            fs::create_dir_all(&logs)?;
            for file in ["a.log", "a.log.1", "a.log.2"] {
                let path = logs.join(file);
                fs::write(&path, "old")?;
                let time = std::time::SystemTime::now() - Duration::from_hours(168);
                fs::File::options().write(true).open(&path)?.set_modified(time)?;
            }
        }
        Ok(())
    }

    /// The definition is taken, and refuses what it should, with the field's path and a sentence.
    async fn definition(&self) -> anyhow::Result<()> {
        let crd = root().join("deploy/crd/nodecleanups.holystone.dev.yaml");
        let crd = crd.to_str().context("a path in UTF-8")?;
        self.cluster.kubectl(&["apply", "--server-side", "--filename", crd]).await?;
        self.cluster
            .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/nodecleanups.holystone.dev"])
            .await?;
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        self.cluster.apply(&namespace.to_string()).await?;
        self.inputs().await?;
        // What is no rule of ours.
        for (spec, path, sentence) in [
            (
                json!({ "plugins": [{ "name": "p", "source": { "builtin": "a", "configMap": { "name": "a", "key": "b" } } }] }),
                "spec.plugins[0].source",
                "must have exactly one of the fields builtin, file, configMap, imageVolume",
            ),
            (
                json!({ "plugins": [{ "name": "p", "source": {} }] }),
                "spec.plugins[0].source",
                "must have exactly one of the fields builtin, file, configMap, imageVolume",
            ),
            (json!({ "plugins": [] }), "spec.plugins", "should have at least 1 items"),
            (json!({ "mode": "Everything" }), "spec.mode", "\"DryRun\", \"Enforce\""),
            (json!({ "unknown": 1 }), "spec.unknown", "unknown field"),
        ] {
            let said = self.apply("refused", spec.clone()).await.map_err(|error| format!("{error:#}"));
            let Err(said) = said else { anyhow::bail!("{spec} was taken") };
            ensure!(said.contains(path) && said.contains(sentence), "{spec}: {said}");
        }
        let mut long = node_cleanup("x", json!({}));
        for (name, sentence) in [("a".repeat(53), "at most 52 characters"), ("a.b".to_owned(), "no dots")] {
            long["metadata"]["name"] = name.into();
            let said = self.cluster.apply(&long.to_string()).await.map_err(|error| format!("{error:#}"));
            ensure!(said.as_ref().is_err_and(|said| said.contains(sentence)), "{said:?}");
        }
        // The examples are taken as they are, in a namespace.
        for entry in fs::read_dir(root().join("examples/manifests"))? {
            let path = entry?.path();
            let path = path.to_str().context("a path in UTF-8")?;
            self.cluster.kubectl(&["create", "--namespace", NAMESPACE, "--dry-run=server", "--filename", path]).await?;
        }
        self.said("the definition takes and refuses what it should");
        Ok(())
    }

    /// Each input of the table that the reader's tests have is refused with its field and its sentence, or taken.
    async fn inputs(&self) -> anyhow::Result<()> {
        let table = fs::read_to_string(root().join("host/core/src/manifest/tests/inputs.yaml"))?;
        let table: Value = serde_saphyr::from_str(&table)?;
        let list = |name: &str| table[name].as_array().cloned().unwrap_or_default();
        for bad in list("bad") {
            let said = self.try_create(bad["spec"].clone()).await.map_err(|error| format!("{error:#}"));
            let sentence = bad.get("api").unwrap_or(&bad["says"]);
            let Some(sentence) = sentence.as_str() else {
                ensure!(said.is_ok(), "{bad}: {said:?}");
                continue;
            };
            // A key of a map is written in brackets.
            let at = bad["at"].as_str().unwrap_or_default().replace("nodeSelector.a", "nodeSelector[a]");
            let expected = format!("{at}: Invalid value");
            let Err(said) = said else { anyhow::bail!("{bad} was taken") };
            ensure!(said.contains(&expected) && said.contains(sentence) && !said.contains("\n* "), "{bad}: {said}");
        }
        for good in list("good") {
            self.try_create(good.clone()).await.with_context(|| good.to_string())?;
        }
        self.said("the API server takes and refuses what the reader does");
        Ok(())
    }

    /// Asks the API server about a NodeCleanup without a schedule, in which nothing else is given.
    async fn try_create(&self, spec: Value) -> anyhow::Result<()> {
        let file = crate::support::scratch().join("input.json");
        let mut object = node_cleanup("input", spec.clone());
        if spec["schedule"].is_null() {
            object["spec"].as_object_mut().context("a spec")?.remove("schedule");
        }
        fs::write(&file, object.to_string())?;
        let file = file.to_str().context("a path in UTF-8")?;
        self.cluster.kubectl(&["create", "--dry-run=server", "--filename", file]).await.map(drop)
    }

    async fn install(&self) -> anyhow::Result<()> {
        let base = root().join("deploy/kustomize/base");
        self.cluster.kubectl(&["apply", "--server-side", "--kustomize", base.to_str().context("a path")?]).await?;
        let rollout =
            ["--namespace=holystone-system", "rollout", "status", "deployment/holystone-operator", "--timeout=120s"];
        self.cluster.kubectl(&rollout).await?;
        self.said("the operator is there, twice");
        Ok(())
    }

    /// A dry run says what it would remove, on all nodes together, and removes nothing.
    async fn dry_run(&self) -> anyhow::Result<()> {
        let spec = json!({
            "schedule": "@every 10s", "mode": "DryRun", "rollout": { "engine": "DaemonSet" },
            // Each pod finds the runtime of its node.
            "runtime": { "mount": "Run" },
            "guardRails": { "minAge": "0s", "unknownOpenAge": "0s", "settleTime": "0s" },
        });
        self.apply("dry", spec).await?;
        self.until("nodecleanup", "dry", "daemons wait for their time", |object| {
            object["status"]["lastRun"]["phase"] == "Waiting"
        })
        .await?;
        let nodes = self.cluster.nodes().len().max(1);
        let object = self
            .until("nodecleanup", "dry", "a dry run is over", |object| {
                object["status"]["lastRun"]["phase"] == "Complete"
            })
            .await?;
        let run = &object["status"]["lastRun"];
        ensure!(run["planned"].as_u64() >= u64::try_from(nodes).ok() && run["removed"] == 0, "{run:#}");
        ensure!(run["sizePlannedBytes"].as_u64() > Some(0), "{run:#}");
        ensure!(run["plannedRepositories"][0]["name"] == "docker.io/minchou/rollout", "{run:#}");
        ensure!(
            condition(&object, "PluginsResolved")["reason"] == "Resolved",
            "daemons say what they loaded: {object:#}"
        );
        let table = self.cluster.kubectl(&["--namespace", NAMESPACE, "get", "ncl", "dry", "--no-headers"]).await?;
        ensure!(
            table
                .split_whitespace()
                .any(|word| Some(word.to_owned()) == run["planned"].as_u64().map(|planned| planned.to_string())),
            "{table}"
        );
        self.told("dry", "RunCompleted", "a dry run would remove").await?;
        self.delete("dry").await
    }

    /// Waits for an event about a NodeCleanup with these words.
    async fn told(&self, name: &str, reason: &str, words: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        let selector = format!("--field-selector=involvedObject.name={name},reason={reason}");
        loop {
            let events =
                ["--namespace", NAMESPACE, "get", "events", &selector, "--output=jsonpath={.items[*].message}"];
            let events = self.cluster.kubectl(&events).await?;
            if events.contains(words) {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{name}: no event {reason} has {words}: {events}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Deletes a NodeCleanup, and waits until its DaemonSet is gone.
    async fn delete(&self, name: &str) -> anyhow::Result<()> {
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", name]).await?;
        self.gone("daemonset", &format!("holystone-{name}")).await
    }

    /// What only the pod can find out to be wrong reaches the status, though the daemon ends again and again.
    async fn last_words_of_daemons(&self) -> anyhow::Result<()> {
        // The operator has no plugins from ConfigMaps, so it cannot check their configs.
        let plugin = json!({
            "name": "logs", "source": { "configMap": { "name": "plugins", "key": "cleaner.wasm" } },
            "digest": digest(&component("log_retention.wasm"))?, "capabilities": ["logs"], "config": { "ruls": [] },
        });
        let roots = json!([{ "name": "all", "hostPath": "/var/log" }]);
        let spec = json!({ "rollout": { "engine": "DaemonSet" }, "plugins": [plugin], "logRoots": roots });
        self.apply("crashing", spec).await?;
        let object = self
            .until("nodecleanup", "crashing", "the daemon's last words are in the status", |object| {
                object["status"]["lastRun"]["errors"].to_string().contains("the container ends again and again")
            })
            .await?;
        let said = object["status"]["lastRun"]["errors"].to_string();
        ensure!(said.contains("exit code 64") && said.contains("spec.plugins[0].config.ruls"), "{object:#}");
        self.delete("crashing").await
    }

    /// Pods that are not made, or do not start, say why, and what to do about it.
    async fn held(&self) -> anyhow::Result<()> {
        let daemons = |more: Value| {
            let mut spec = json!({ "rollout": { "engine": "DaemonSet" } });
            for (field, value) in more.as_object().cloned().unwrap_or_default() {
                spec[field] = value;
            }
            spec
        };
        let plugin = json!({
            "name": "images", "source": { "configMap": { "name": "nowhere", "key": "cleaner.wasm" } },
            "digest": format!("sha256:{:064}", 0), "capabilities": ["images"],
        });
        let selector = json!({ "engine": "DaemonSet", "nodeSelector": { "no": "node" } });
        for (name, spec, reason, words) in [
            (
                "socket",
                daemons(json!({ "runtime": { "endpoint": "/run/crio/crio.sock" } })),
                "PodsNotStarted",
                &["hostPath type check failed: /run/crio ", "; set spec.runtime.endpoint to what is there"][..],
            ),
            (
                "missing",
                daemons(json!({ "plugins": [plugin] })),
                "PodsNotStarted",
                &["configmap \"nowhere\" not found", "; create the ConfigMap nowhere, or set source.configMap"][..],
            ),
            (
                "selector",
                json!({ "rollout": selector }),
                "NoNodeMatches",
                &["no node matches spec.rollout.nodeSelector no=node "][..],
            ),
        ] {
            self.apply(name, spec).await?;
            self.is_held(name, reason, words).await?;
            self.delete(name).await?;
        }
        if let Some(node) = self.cluster.nodes().iter().find(|node| node.containerd().version().major == 1) {
            let plugin = json!({
                "name": "images", "source": { "imageVolume": { "reference": "docker.io/cleaners/images:1", "path": "cleaner.wasm" } },
                "digest": format!("sha256:{:064}", 0), "capabilities": ["images"],
            });
            let rollout = json!({ "engine": "DaemonSet", "nodeSelector": { "kubernetes.io/hostname": node.name() } });
            self.apply("volume-on-old", json!({ "plugins": [plugin], "rollout": rollout })).await?;
            self.is_held("volume-on-old", "PodsNotStarted", &["the container "]).await?;
            self.delete("volume-on-old").await?;
        }
        self.pod_security().await
    }

    /// Waits until Ready says why nothing of a run starts, and the first error as well.
    async fn is_held(&self, name: &str, reason: &str, words: &[&str]) -> anyhow::Result<()> {
        let is_so = |object: &Value| {
            let error = object["status"]["lastRun"]["errors"][0]["message"].as_str().unwrap_or_default();
            ready(object) == reason && words.iter().all(|word| error.contains(word))
        };
        let object = self.until("nodecleanup", name, &format!("{name} says why"), is_so).await?;
        let message = condition(&object, "Ready")["message"].as_str().unwrap_or_default();
        ensure!(words.iter().all(|word| message.contains(word)), "{message}");
        // It may have been sent before the cause was known, which is in the status.
        self.told(name, reason, &format!("holystone-{name} ")).await
    }

    /// A namespace whose label refuses the pods, and then does not any more.
    async fn pod_security(&self) -> anyhow::Result<()> {
        let label = |label: &'static str| ["label", "namespace", NAMESPACE, "--overwrite", label];
        self.cluster.kubectl(&label("pod-security.kubernetes.io/enforce=baseline")).await?;
        self.apply("secured", json!({ "rollout": { "engine": "DaemonSet" } })).await?;
        let words =
            ["violates PodSecurity \"baseline:", "; label the namespace pod-security.kubernetes.io/enforce=privileged"];
        self.is_held("secured", "PodsNotStarted", &words).await?;
        self.cluster.kubectl(&label("pod-security.kubernetes.io/enforce=privileged")).await?;
        self.until("nodecleanup", "secured", "its pods are made after all", |object| ready(object) == "Applied")
            .await?;
        self.cluster.kubectl(&label("pod-security.kubernetes.io/enforce-")).await?;
        self.delete("secured").await
    }

    /// Users with a usual role in a namespace see or edit its NodeCleanups, and no others.
    async fn roles_of_users(&self) -> anyhow::Result<()> {
        for role in ["view", "edit", "admin"] {
            let (role_flag, user) = (format!("--clusterrole={role}"), format!("--user=user-{role}"));
            let binding = ["--namespace", NAMESPACE, "create", "rolebinding", role, &role_flag, &user];
            self.cluster.kubectl(&binding).await?;
        }
        for (role, verb, namespace, expected) in [
            ("view", "list", NAMESPACE, true),
            ("view", "create", NAMESPACE, false),
            ("edit", "create", NAMESPACE, true),
            ("edit", "delete", NAMESPACE, true),
            ("edit", "create", "default", false),
            ("admin", "watch", NAMESPACE, true),
            ("admin", "patch", NAMESPACE, true),
            ("admin", "list", "default", false),
        ] {
            let user = format!("--as=user-{role}");
            let question =
                ["auth", "can-i", verb, "nodecleanups.holystone.dev", "--namespace", namespace, user.as_str()];
            let begun = Instant::now();
            // A controller adds the rules, which takes a moment; a no ends kubectl with a code of its own.
            while self.cluster.kubectl(&question).await.is_ok() != expected {
                ensure!(begun.elapsed() < PATIENCE, "{role}: {verb} in {namespace} is not {expected}");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        self.said("users have rights by the roles view, edit and admin");
        Ok(())
    }

    /// A DaemonSet sweeps both nodes: images by a builtin, logs by a plugin from a ConfigMap.
    async fn daemons(&self) -> anyhow::Result<()> {
        let plugin = format!("--from-file=cleaner.wasm={}", component("log_retention.wasm").display());
        self.cluster.kubectl(&["--namespace", NAMESPACE, "create", "configmap", "plugins", &plugin]).await?;
        let has_logs = self.is_own();
        let mut plugins = vec![json!({
            "name": "images", "source": { "builtin": "unused-images" }, "capabilities": ["images", "containers"],
            "config": { "repositories": ["docker.io/minchou/*"] },
        })];
        if has_logs {
            plugins.push(json!({
                "name": "logs", "source": { "configMap": { "name": "plugins", "key": "cleaner.wasm" } },
                "digest": digest(&component("log_retention.wasm"))?, "capabilities": ["logs"],
                "config": { "rules": [{ "roots": ["app"], "files": ["**/*.log.*"], "maxAge": "1d" }] },
            }));
        }
        let roots = if has_logs { json!([{ "name": "app", "hostPath": "/var/log/app" }]) } else { json!([]) };
        let spec = json!({
            "schedule": "@every 10s", "mode": "Enforce", "plugins": plugins, "logRoots": roots,
            "guardRails": { "minAge": "0s", "unknownOpenAge": "0s", "settleTime": "0s" }, "rollout": { "engine": "DaemonSet" },
        });
        self.apply("daemons", spec).await?;
        self.until("nodecleanup", "daemons", "the DaemonSet is applied", |object| ready(object) == "Applied").await?;
        let nodes = self.cluster.nodes().len().max(1);
        let object = self
            .until("nodecleanup", "daemons", "all daemons have swept", |object| {
                let run = &object["status"]["lastRun"];
                run["phase"] == "Complete" && run["nodes"]["succeeded"].as_u64() >= u64::try_from(nodes).ok()
            })
            .await?;
        ensure!(object["status"]["nextScheduleTime"].is_string(), "{object:#}");
        for node in self.cluster.nodes() {
            let images = node.containerd().cri()?.list_images().await?;
            let left: Vec<&String> =
                images.iter().flat_map(|image| &image.repo_tags).filter(|tag| tag.contains("minchou")).collect();
            ensure!(left.is_empty(), "{}: {left:?}", node.name());
            let directory = node.containerd().directory().join("log/app");
            let mut files: Vec<String> = fs::read_dir(directory)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<std::io::Result<_>>()?;
            files.sort();
            ensure!(files == ["a.log"], "{}: {files:?}", node.name());
        }
        let table = self.cluster.kubectl(&["--namespace", NAMESPACE, "get", "ncl", "daemons"]).await?;
        for word in [
            "SCHEDULE",
            "MODE",
            "NODES",
            "PLANNED",
            "REMOVED",
            "LAST RUN",
            "READY",
            "AGE",
            "@every 10s",
            "Enforce",
            "True",
        ] {
            ensure!(table.contains(word), "{word}: {table}");
        }
        let events = self
            .cluster
            .kubectl(&["--namespace", NAMESPACE, "get", "events", "--field-selector=involvedObject.kind=NodeCleanup"])
            .await?;
        ensure!(events.contains("Created") && events.contains("RunCompleted"), "{events}");
        if self.is_own() { self.kubectl_plugin() } else { Ok(()) }
    }

    /// `kubectl holystone` asks daemons through the API server.
    fn kubectl_plugin(&self) -> anyhow::Result<()> {
        let run = |words: &str| {
            let mut command = crate::support::holystone();
            command.arg0("kubectl-holystone").args(words.split(' ')).args(["--namespace", NAMESPACE, "--kubeconfig"]);
            let output = command.arg(self.cluster.kubeconfig()).env("NO_PROXY", "*").output()?;
            let complaint = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "kubectl holystone {words}: {complaint}");
            String::from_utf8(output.stdout).context("its output is text")
        };
        let shown: Value = serde_json::from_str(&run("report daemons --output json")?)?;
        let results: Vec<(&Value, &Value)> =
            shown["nodes"].as_array().into_iter().flatten().map(|node| (&node["node"], &node["result"])).collect();
        let succeeded = json!("Succeeded");
        ensure!(results == [(&json!("node-a"), &succeeded), (&json!("node-b"), &succeeded)], "{shown:#}");
        let table = run("status")?;
        ensure!(table.contains("daemons") && table.contains("2/2"), "{table}");
        self.said("kubectl holystone shows what daemons report");
        Ok(())
    }

    /// A plugin that the kubelet mounts from an image, which containerd 1.6 cannot.
    async fn image_volume(&self) -> anyhow::Result<()> {
        let Some(node) = self.cluster.nodes().iter().find(|node| node.containerd().version().major > 1) else {
            return Ok(());
        };
        node.containerd().import(&[TestImage::new("docker.io/minchou/rollout:9")]).await?;
        let spec = json!({
            "schedule": "@every 10s", "mode": "Enforce", "guardRails": { "minAge": "0s" },
            "plugins": [{
                "name": "images", "source": { "imageVolume": { "reference": "docker.io/cleaners/images:1", "path": "cleaner.wasm" } },
                "digest": digest(&component("unused_images.wasm"))?, "capabilities": ["images", "containers"],
                "config": { "repositories": ["docker.io/minchou/*", "docker.io/cleaners/*"] },
            }],
            "rollout": { "engine": "DaemonSet", "nodeSelector": { "kubernetes.io/hostname": node.name() } },
        });
        self.apply("volume", spec).await?;
        self.until("nodecleanup", "volume", "a plugin from an image has decided", |object| {
            object["status"]["lastRun"]["phase"] == "Complete"
        })
        .await?;
        let images = node.containerd().cri()?.list_images().await?;
        let tags: Vec<&String> = images.iter().flat_map(|image| &image.repo_tags).collect();
        ensure!(!tags.iter().any(|tag| tag.contains("minchou")), "{tags:?}");
        ensure!(tags.iter().any(|tag| tag.contains("cleaners/images")), "an image that is mounted stays: {tags:?}");
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "volume"]).await?;
        self.gone("daemonset", "holystone-volume").await
    }

    /// Somebody who may create NodeCleanups and do nothing else asks for more than the operator allows, and leads log
    /// roots elsewhere by links.
    async fn a_tenant_reads_and_removes_nothing_else(&self) -> anyhow::Result<()> {
        let rights = [
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": { "name": "tenant", "namespace": NAMESPACE },
                "rules": [{ "apiGroups": ["holystone.dev"], "resources": ["nodecleanups"], "verbs": ["create"] }] }),
            json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": { "name": "tenant", "namespace": NAMESPACE },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant" },
                "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant" }] }),
        ];
        for object in rights {
            self.cluster.apply(&object.to_string()).await?;
        }
        for (at, (spec, field, option)) in beyond().into_iter().enumerate() {
            let name = format!("tenant-{at}");
            self.create_as_tenant(&name, spec.clone(), &[]).await?;
            let object = self
                .until("nodecleanup", &name, &format!("{field} is refused"), |object| ready(object) == "InvalidSpec")
                .await?;
            let message = condition(&object, "Ready")["message"].as_str().unwrap_or_default();
            ensure!(message.contains(field) && message.contains(option), "{spec}: {message}");
            let made = ["--namespace", NAMESPACE, "get", "configmaps,daemonsets,pods", "--output=name"];
            let label = format!("--selector=holystone.dev/node-cleanup={name}");
            let made = self.cluster.kubectl(&[&made[..], &[&label]].concat()).await?;
            ensure!(made.trim().is_empty(), "{spec}: {made}");
            self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", &name]).await?;
        }
        if self.is_own() { self.links().await } else { Ok(()) }
    }

    async fn create_as_tenant(&self, name: &str, spec: Value, more: &[&str]) -> anyhow::Result<String> {
        let file = crate::support::scratch().join("tenant.json");
        fs::write(&file, node_cleanup(name, spec).to_string())?;
        let create = ["create", "--as=tenant", "--filename", file.to_str().context("a path")?];
        self.cluster.kubectl(&[&create[..], more].concat()).await
    }

    /// Links in the logs of a node to what is none: the kubelet follows them, and the pod finds out.
    async fn links(&self) -> anyhow::Result<()> {
        const SECRET: &str = "top secret content";
        // Where it is beneath /var/log, and what it leads to on the node.
        let links = [
            ("evil", "/var/lib/victim"),
            ("var/lib/victim", "/var/lib/victim"),
            ("middle", "/var/lib"),
            ("in", "/var/log/inner"),
        ];
        let roots = ["/var/log/evil", "/var/log/var/lib/victim", "/var/log/middle/victim", "/var/log/in"];
        let mut victims = Vec::new();
        for node in self.cluster.nodes() {
            let directory = node.containerd().directory();
            let victim = directory.join("lib/victim/secret.log.1");
            fs::create_dir_all(victim.parent().context("a parent")?)?;
            fs::write(&victim, SECRET)?;
            let time = std::time::SystemTime::now() - Duration::from_hours(168);
            fs::File::options().write(true).open(&victim)?.set_modified(time)?;
            let file = directory.join("log/inner/old.log.1");
            fs::create_dir_all(file.parent().context("a parent")?)?;
            fs::write(&file, SECRET)?;
            fs::File::options().write(true).open(&file)?.set_modified(time)?;
            victims.extend([victim, file]);
            for (link, target) in links {
                let link = directory.join("log").join(link);
                fs::create_dir_all(link.parent().context("a parent")?)?;
                std::os::unix::fs::symlink(target, link)?;
            }
        }
        for (at, root) in roots.into_iter().enumerate() {
            let name = format!("link-{at}");
            let spec = json!({
                "schedule": "@every 10s", "mode": "Enforce", "logRoots": [{ "name": "app", "hostPath": root }],
                "guardRails": { "minAge": "0s", "unknownOpenAge": "0s", "settleTime": "0s" },
                "plugins": [{ "name": "logs", "source": { "builtin": "log-retention" }, "capabilities": ["logs"],
                    "config": { "rules": [{ "files": ["**/*.log.*"], "maxAge": "1d" }] } }],
                "rollout": { "engine": "DaemonSet" },
            });
            self.create_as_tenant(&name, spec, &[]).await?;
            let what = format!("{root} is not opened");
            let object = self
                .until("nodecleanup", &name, &what, |object| object["status"]["lastRun"]["nodes"]["failed"] == 2)
                .await?;
            let run = &object["status"]["lastRun"];
            let said = run["errors"].to_string();
            ensure!(said.contains(&format!("what was mounted for {root} is what a symbolic link")), "{run:#}");
            ensure!(run["removed"] == 0 && !object.to_string().contains(SECRET), "{object:#}");
            self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", &name]).await?;
            self.gone("daemonset", &format!("holystone-{name}")).await?;
        }
        for victim in victims {
            ensure!(fs::read_to_string(&victim)? == SECRET, "{} was touched", victim.display());
            if victim.ends_with("log/inner/old.log.1") {
                fs::remove_file(victim)?;
            }
        }
        self.said("what links lead to was neither read nor removed");
        Ok(())
    }

    /// The API server refuses what the operator would not carry out, and nothing else.
    async fn admission_policy(&self) -> anyhow::Result<()> {
        let beyond_the_lists = json!({ "logRoots": [{ "name": "a", "hostPath": "/etc" }] });
        self.create_as_tenant("older", beyond_the_lists, &[]).await?;
        let policy = root().join("deploy/kustomize/components/admission-policy/policy.yaml");
        let policy = policy.to_str().context("a path")?;
        self.cluster.kubectl(&["apply", "--server-side", "--filename", policy]).await?;
        let server = &["--dry-run=server"][..];
        let begun = Instant::now();
        let root = |path: &str| json!({ "logRoots": [{ "name": "a", "hostPath": path }] });
        // It takes a moment until it is in force.
        while self.create_as_tenant("probe", root("/etc"), server).await.is_ok() {
            ensure!(begun.elapsed() < PATIENCE, "the policy does not come into force");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for (spec, field, _) in beyond() {
            let said =
                self.create_as_tenant("refused", spec.clone(), server).await.map_err(|error| format!("{error:#}"));
            let Err(said) = said else { anyhow::bail!("{spec} was taken") };
            let field = field.split('[').next().unwrap_or(field);
            ensure!(said.contains("holystone-allowed") && said.contains(field), "{spec}: {said}");
        }
        let runtime =
            |endpoint: &str, image_root: &str| json!({ "runtime": { "endpoint": endpoint, "imageRoot": image_root } });
        for spec in [
            json!({}),
            root("/var/log"),
            root("/var/log/app/"),
            runtime("none", "/var/lib/containerd"),
            runtime("unix:///run/crio/crio.sock", "/var/lib/containers/storage/"),
            runtime("unix:/run/crio/crio.sock", "/var/lib/docker"),
            runtime("/run/k3s/containerd/containerd.sock", "/var/lib/containerd"),
            json!({ "rollout": { "priorityClassName": "system-node-critical" } }),
            json!({ "rollout": { "podTemplate": { "labels": { "a": "b" }, "hostPID": false } } }),
        ] {
            self.create_as_tenant("taken", spec.clone(), server)
                .await
                .with_context(|| format!("{spec} was refused"))?;
        }
        self.older_than_the_policy().await?;
        self.cluster.kubectl(&["delete", "--filename", policy]).await?;
        self.said("the admission policy takes and refuses what it should");
        Ok(())
    }

    /// An object that is older than the policy can be labelled, paused and deleted, and its spec cannot be edited.
    async fn older_than_the_policy(&self) -> anyhow::Result<()> {
        let older = ["nodecleanup", "older", "--namespace", NAMESPACE];
        self.cluster.kubectl(&[&["label"][..], &older[..], &["a=b"][..]].concat()).await?;
        let cluster = &self.cluster;
        let edit = async |spec: &str| {
            let patch = format!(r#"{{"spec":{spec}}}"#);
            cluster.kubectl(&[&["patch"][..], &older[..], &["--type=merge", "--patch", &patch][..]].concat()).await
        };
        edit(r#"{"paused":true}"#).await?;
        for refused in [
            r#"{"mode":"Enforce","paused":false}"#,
            r#"{"paused":false}"#,
            r#"{"logRoots":[{"name":"a","hostPath":"/root"}]}"#,
            r#"{"runtime":{"endpoint":"/run/other.sock"}}"#,
            r#"{"rollout":{"podTemplate":{"hostPID":true}}}"#,
        ] {
            let error = edit(refused).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
            ensure!(error.contains("holystone-allowed"), "{refused} was taken: {error}");
        }
        let delete = [&["delete"][..], &older[..], &["--cascade=foreground", "--timeout=60s"][..]];
        self.cluster.kubectl(&delete.concat()).await.map(drop)
    }

    async fn drift_and_deletion(&self) -> anyhow::Result<()> {
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "daemonset", "holystone-daemons"]).await?;
        self.until("daemonset", "holystone-daemons", "a DaemonSet that was deleted is back", |_| true).await?;
        let patch =
            r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"docker.io/evil/twin:1"}]"#;
        self.cluster
            .kubectl(&[
                "--namespace",
                NAMESPACE,
                "patch",
                "daemonset",
                "holystone-daemons",
                "--type=json",
                "--patch",
                patch,
            ])
            .await?;
        self.until("daemonset", "holystone-daemons", "drift is put right", |object| {
            !object.to_string().contains("evil/twin\"")
        })
        .await?;
        let patch = r#"{"spec":{"paused":true}}"#;
        self.cluster
            .kubectl(&["--namespace", NAMESPACE, "patch", "nodecleanup", "daemons", "--type=merge", "--patch", patch])
            .await?;
        let object = self
            .until("nodecleanup", "daemons", "an edit is followed", |object| {
                condition(object, "Scheduled")["reason"] == "Paused"
            })
            .await?;
        ensure!(object["status"]["nextScheduleTime"].is_null(), "{object:#}");
        let generation = &object["metadata"]["generation"];
        ensure!(object["status"]["observedGeneration"] == *generation, "{object:#}");
        let daemon_set = self
            .until("daemonset", "holystone-daemons", "all daemons are told", |object| {
                let status = &object["status"];
                object["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == "100%"
                    && status["observedGeneration"] == object["metadata"]["generation"]
                    && status["updatedNumberScheduled"] == status["desiredNumberScheduled"]
            })
            .await?;
        let read = manifest_of(&daemon_set["spec"]["template"]).context("daemons read a manifest")?.to_owned();
        ensure!(self.get("configmap", &read).await?.to_string().contains("paused: true"), "{read}");
        self.pruned("daemons", &[&read]).await?;
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "daemons"]).await?;
        self.gone("daemonset", "holystone-daemons").await?;
        self.gone("configmap", &read).await
    }

    /// The names of the ConfigMaps of a NodeCleanup.
    async fn config_maps(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let label = format!("--selector=holystone.dev/node-cleanup={name}");
        let list =
            self.cluster.kubectl(&["--namespace", NAMESPACE, "get", "configmaps", &label, "--output=name"]).await?;
        Ok(list.lines().filter_map(|line| Some(line.split_once('/')?.1.to_owned())).collect())
    }

    /// Waits until these ConfigMaps of a NodeCleanup are left, and no others.
    async fn pruned(&self, name: &str, left: &[&str]) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let maps = self.config_maps(name).await?;
            if maps == left {
                self.said("manifests that nobody reads any more are gone");
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{maps:?} are not {left:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Of two operators that watch one namespace, the second leaves alone what the first looks after, and says so.
    async fn two_operators(&self) -> anyhow::Result<()> {
        self.apply("claimed", json!({ "rollout": { "engine": "DaemonSet" } })).await?;
        let cleanup =
            self.until("nodecleanup", "claimed", "it is applied", |object| ready(object) == "Applied").await?;
        let first = "holystone-system/holystone-operator";
        ensure!(cleanup["status"]["operator"] == first, "{cleanup:#}");
        let before = self.get("daemonset", "holystone-claimed").await?;
        let mut command = crate::support::holystone();
        command.args(["operator", "--identity=second", "--listen=none", "--namespace", NAMESPACE]);
        // It would make its pods run another image.
        command.arg("--image=docker.io/holystone/second:1").env("KUBECONFIG", self.cluster.kubeconfig());
        let mut second = Killed(command.env("NO_PROXY", "*").stderr(std::process::Stdio::null()).spawn()?);
        self.told("claimed", "OtherOperator", &format!("the operator {first} looks after it, so the operator second"))
            .await?;
        // Long enough for whatever it would do after that.
        tokio::time::sleep(Duration::from_secs(3)).await;
        ensure!(second.0.try_wait()?.is_none(), "the second operator has ended");
        let after = self.get("daemonset", "holystone-claimed").await?;
        ensure!(after["metadata"]["uid"] == before["metadata"]["uid"], "it was made again");
        ensure!(after["spec"] == before["spec"], "{after:#} was {before:#}");
        ensure!(self.get("nodecleanup", "claimed").await?["status"]["operator"] == first, "it was claimed");
        drop(second);
        self.said("a second operator leaves alone what the first looks after");
        self.delete("claimed").await
    }

    /// Objects of somebody else that have the names of a NodeCleanup's are left as they are, and the NodeCleanup says so.
    async fn names_of_others(&self) -> anyhow::Result<()> {
        self.apply("mine", json!({ "rollout": { "engine": "DaemonSet" } })).await?;
        self.until("nodecleanup", "mine", "it is applied", |object| ready(object) == "Applied").await?;
        let config_map = self.config_maps("mine").await?.remove(0);
        let mut daemon_set = self.get("daemonset", "holystone-mine").await?;
        self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "mine"]).await?;
        self.gone("daemonset", "holystone-mine").await?;
        self.gone("configmap", &config_map).await?;
        for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "ownerReferences", "annotations"]
        {
            daemon_set["metadata"].as_object_mut().context("metadata")?.remove(field);
        }
        let labels = json!({ "app": "theirs" });
        daemon_set["metadata"]["labels"] = labels.clone();
        daemon_set["spec"]["selector"]["matchLabels"] = labels.clone();
        daemon_set["spec"]["template"]["metadata"]["labels"] = labels.clone();
        daemon_set["spec"]["template"]["spec"]["nodeSelector"] = json!({ "no": "node" });
        let metadata = json!({ "name": config_map, "namespace": NAMESPACE, "labels": labels });
        let theirs =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "of": "theirs" } });
        for (kind, theirs) in [("ConfigMap", theirs), ("DaemonSet", daemon_set)] {
            self.cluster.apply(&theirs.to_string()).await?;
            let name = theirs["metadata"]["name"].as_str().context("a name")?;
            let before = self.get(kind, name).await?;
            self.apply("mine", json!({ "rollout": { "engine": "DaemonSet" } })).await?;
            let taken = format!("the name of a {kind} is taken");
            let object = self.until("nodecleanup", "mine", &taken, |object| ready(object) == "NameTaken").await?;
            let message = condition(&object, "Ready")["message"].as_str().unwrap_or_default().to_owned();
            ensure!(message.contains(&format!("there is the {kind} {name} already")), "{message}");
            self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "mine"]).await?;
            // The garbage collector has had its time.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let after = self.get(kind, name).await?;
            for field in ["uid", "labels", "ownerReferences", "annotations"] {
                ensure!(before["metadata"][field] == after["metadata"][field], "{field}: {before:#} {after:#}");
            }
            ensure!(before["data"] == after["data"] && before["spec"] == after["spec"], "{before:#} {after:#}");
            self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", kind, name]).await?;
        }
        Ok(())
    }

    /// Who may edit ConfigMaps puts another manifest where pods read theirs: they do nothing, and say why.
    async fn manifest_of_somebody(&self) -> anyhow::Result<()> {
        if !self.is_own() {
            return Ok(());
        }
        let spec = json!({ "schedule": "@every 10s", "rollout": { "engine": "DaemonSet" } });
        self.apply("attacked", spec).await?;
        self.until("nodecleanup", "attacked", "it is applied", |object| ready(object) == "Applied").await?;
        let name = self.config_maps("attacked").await?.remove(0);
        let mut object = self.get("configmap", &name).await?;
        let changed = self
            .cluster
            .kubectl(&[
                "--namespace",
                NAMESPACE,
                "patch",
                "configmap",
                &name,
                "--type=merge",
                "--patch",
                r#"{"data":{"node-cleanup.yaml":"mode: Enforce"}}"#,
            ])
            .await;
        ensure!(changed.is_err(), "it is immutable");
        // A pod of one's own, as it was made, finds the other manifest.
        let daemon_set = self.get("daemonset", "holystone-attacked").await?;
        object["metadata"] = json!({ "name": "other-manifest", "namespace": NAMESPACE });
        object["immutable"] = false.into();
        let text = object["data"]["node-cleanup.yaml"].as_str().unwrap_or_default().replace("DryRun", "Enforce");
        object["data"]["node-cleanup.yaml"] = text.into();
        self.cluster.apply(&object.to_string()).await?;
        let mut pod = daemon_set["spec"]["template"].clone();
        pod["apiVersion"] = "v1".into();
        pod["kind"] = "Pod".into();
        pod["metadata"] = json!({ "name": "attacked", "namespace": NAMESPACE });
        pod["spec"]["restartPolicy"] = "Never".into();
        for volume in pod["spec"]["volumes"].as_array_mut().context("volumes")? {
            if volume["name"] == "manifest" {
                volume["configMap"]["name"] = "other-manifest".into();
            }
        }
        self.cluster.apply(&pod.to_string()).await?;
        let pod = self.until("pod", "attacked", "it refuses", |pod| pod["status"]["phase"] == "Failed").await?;
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        let message = ended["message"].as_str().unwrap_or_default();
        ensure!(ended["exitCode"] == 64 && message.contains("--manifest-digest asks for sha256:"), "{ended:#}");
        for (kind, name) in [("pod", "attacked"), ("configmap", "other-manifest"), ("nodecleanup", "attacked")] {
            self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", kind, name]).await?;
        }
        self.gone("daemonset", "holystone-attacked").await
    }

    /// What CEL cannot say the operator does: the commonest mistakes, each with the field that it is about.
    async fn invalid(&self) -> anyhow::Result<()> {
        let plugin = |builtin: &str, capabilities: Value, config: Value| json!({ "plugins": [{ "name": "p", "source": { "builtin": builtin }, "capabilities": capabilities, "config": config }] });
        let (images, repositories) = (json!(["images"]), json!({ "repositories": ["docker.io/a/*"] }));
        for (spec, words) in [
            (json!({ "schedule": "0 0 30 2 *" }), "spec.schedule:"),
            (
                plugin("unusedimages", images.clone(), repositories.clone()),
                "spec.plugins[0].source.builtin: there is no builtin of this name",
            ),
            (
                plugin("unused-images", images, json!({ "repositorys": ["docker.io/a/*"] })),
                "spec.plugins[0].config.repositorys: there is no such field",
            ),
            (plugin("unused-images", json!([]), repositories), "spec.plugins[0].capabilities"),
            (json!({ "logRoots": [{ "name": "a", "hostPath": "/etc" }] }), "spec.logRoots[0].hostPath: is not among"),
        ] {
            self.apply("invalid", spec.clone()).await?;
            let object = self
                .until("nodecleanup", "invalid", "an invalid spec is told", |object| ready(object) == "InvalidSpec")
                .await?;
            let message = condition(&object, "Ready")["message"].as_str().unwrap_or_default().to_owned();
            ensure!(message.contains(words), "{spec}: {message}");
            self.told("invalid", "InvalidSpec", words).await?;
            self.cluster.kubectl(&["--namespace", NAMESPACE, "delete", "nodecleanup", "invalid"]).await?;
        }
        Ok(())
    }

    async fn patch(&self, name: &str, patch: &str) -> anyhow::Result<()> {
        let arguments = ["--namespace", NAMESPACE, "patch", "nodecleanup", name, "--type=merge", "--patch", patch];
        self.cluster.kubectl(&arguments).await.map(drop)
    }

    async fn annotate(&self, name: &str, annotation: &str) -> anyhow::Result<()> {
        let arguments = ["--namespace", NAMESPACE, "annotate", "--overwrite", "nodecleanup", name, annotation];
        self.cluster.kubectl(&arguments).await.map(drop)
    }

    /// The operator is killed, the API server goes away, a node goes away: it goes on.
    async fn failures(&mut self) -> anyhow::Result<()> {
        if !self.is_own() {
            return Ok(());
        }
        let spec = json!({ "schedule": "@every 10s", "rollout": { "engine": "DaemonSet" } });
        self.apply("lasting", spec).await?;
        self.until("nodecleanup", "lasting", "it is applied", |object| ready(object) == "Applied").await?;
        let kill = [
            "--namespace=holystone-system",
            "delete",
            "pods",
            "--selector=app.kubernetes.io/component=operator",
            "--grace-period=0",
            "--force",
        ];
        let applied = self.applied()?;
        self.cluster.kubectl(&kill).await?;
        let is_over = |object: &Value| object["status"]["lastRun"]["phase"] == "Complete";
        self.until("nodecleanup", "lasting", "another operator goes on", is_over).await?;
        ensure!(self.applied()? == applied, "an operator that starts anew finds everything done");
        self.cluster.stop_api_server()?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.cluster.start_api_server().await?;
        self.cluster.wait_until_ready().await?;
        self.apply("after", json!({ "schedule": "0 0 30 2 *" })).await?;
        self.until("nodecleanup", "after", "the operator is there after the API server was away", |object| {
            ready(object) == "InvalidSpec"
        })
        .await?;
        self.absence_was_reported_once().await?;
        let name = self.cluster.nodes()[1].name().to_owned();
        self.cluster.nodes_mut()[1].containerd_mut().freeze()?;
        self.cluster.stop_node(&name)?;
        self.apply("meanwhile", json!({ "schedule": "0 0 30 2 *" })).await?;
        self.until("nodecleanup", "meanwhile", "the operator goes on while a node is away", |object| {
            ready(object) == "InvalidSpec"
        })
        .await?;
        self.cluster.nodes_mut()[1].containerd_mut().thaw()?;
        self.cluster.start_node(&name)?;
        self.cluster.wait_until_ready().await?;
        self.until("nodecleanup", "lasting", "both nodes sweep again", |object| {
            object["status"]["lastRun"]["nodes"]["succeeded"] == 2
        })
        .await?;
        Ok(())
    }

    /// No operator has more than one line about the API server that was away, with its address and the cause, and at most
    /// one about its return. One that waits for the lease may not have asked meanwhile, and one that lost it has ended.
    async fn absence_was_reported_once(&self) -> anyhow::Result<()> {
        let pods = ["--namespace=holystone-system", "get", "pods", "--output=name"];
        let mut reported = 0;
        for pod in self.cluster.kubectl(&pods).await?.lines().filter(|pod| pod.contains("operator")) {
            for which in ["--previous=false", "--previous=true"] {
                let Ok(log) = self.cluster.kubectl(&["--namespace=holystone-system", "logs", pod, which]).await else {
                    continue;
                };
                let with = |words: &str| log.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
                let (gone, back) = (with(" does not answer: "), with(" answers again, after "));
                ensure!(gone.len() <= 1 && back.len() <= gone.len(), "{pod}:\n{log}");
                // A connection is refused, or reset or closed while it is open.
                let is_whole = |line: &&str| {
                    let causes = ["answer: Connection re", "answer: Connection closed"];
                    line.contains("the API server https://") && causes.iter().any(|cause| line.contains(cause))
                };
                ensure!(gone.iter().all(is_whole), "{pod}: {gone:?}");
                reported += gone.len();
            }
        }
        ensure!(reported > 0, "no operator has reported that the API server was away");
        self.said("the operators have reported once that the API server was away");
        Ok(())
    }

    /// What the operators have asked the API server for, as `GROUP RESOURCE VERB`, and whether they were refused.
    fn asked(&self) -> anyhow::Result<Vec<(String, bool)>> {
        let mut asked = Vec::new();
        for line in self.cluster.audit()?.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["user"]["username"] != OPERATOR || event["objectRef"].is_null() {
                continue;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let reference = &event["objectRef"];
            let sub = reference["subresource"].as_str().map_or_else(String::new, |sub| format!("/{sub}"));
            let (group, resource, verb) =
                (text(&reference["apiGroup"]), text(&reference["resource"]), text(&event["verb"]));
            // An API server that has just been started refuses everybody for a moment.
            asked.push((format!("{group} {resource}{sub} {verb}"), event["responseStatus"]["code"] == 403));
        }
        Ok(asked)
    }

    /// Counts the writes of a NodeCleanup's status by the operators.
    fn status_writes(&self, name: &str) -> anyhow::Result<usize> {
        let is_one = |event: &Value| {
            let reference = &event["objectRef"];
            event["user"]["username"] == OPERATOR
                && reference["resource"] == "nodecleanups"
                && reference["subresource"] == "status"
                && reference["name"] == name
                && ["patch", "update"].iter().any(|verb| event["verb"] == *verb)
        };
        let audit = self.cluster.audit()?;
        Ok(audit.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(is_one).count())
    }

    /// How many objects the operators have asked to be as they should be.
    fn applied(&self) -> anyhow::Result<usize> {
        let asked = self.asked()?;
        Ok(asked
            .iter()
            .filter(|(right, _)| {
                let changes = ["create", "patch", "update", "delete"].iter().any(|verb| right.ends_with(verb));
                changes && !right.contains("/status") && !right.contains("events") && !right.contains("leases")
            })
            .count())
    }

    /// Every right that the operator was given it has used, and it has asked for nothing else.
    fn rights(&self) -> anyhow::Result<()> {
        if !self.is_own() {
            return Ok(());
        }
        let (denied, used): (Vec<_>, Vec<_>) = self.asked()?.into_iter().partition(|(_, is_denied)| *is_denied);
        let [denied, used] =
            [denied, used].map(|rights| rights.into_iter().map(|(right, _)| right).collect::<BTreeSet<_>>());
        // Who applies an event has to have the right to create it, and has patched it all the same.
        let created = used
            .iter()
            .filter(|right| right.contains(" events "))
            .filter_map(|right| Some(format!("{} create", right.strip_suffix(" patch")?)));
        let used: BTreeSet<String> = created.chain(used.iter().cloned()).collect();
        let granted = granted()?;
        let refused: Vec<&String> = denied.difference(&used).collect();
        ensure!(refused.is_empty(), "the operator was refused: {refused:?}");
        let unused: Vec<&String> = granted.iter().filter(|right| !used.contains(*right)).collect();
        ensure!(unused.is_empty(), "granted and never used: {unused:?}; used: {used:?}");
        self.said("every right was used, and no other asked for");
        Ok(())
    }
}

/// What the operator does not allow, the field that it is about, and the option that would allow it.
fn beyond() -> Vec<(Value, &'static str, &'static str)> {
    let root =
        |path: &str| json!({ "rollout": { "engine": "DaemonSet" }, "logRoots": [{ "name": "a", "hostPath": path }] });
    let runtime =
        |field: &str, path: &str| json!({ "rollout": { "engine": "DaemonSet" }, "runtime": { (field): path } });
    let roots = ["/etc", "/var/lib/kubelet", "/var/logs", "/var", "/home/x/logs"]
        .map(|path| (root(path), "spec.logRoots[0].hostPath", "--allow-log-roots"));
    let sockets = ["/etc/shadow", "unix:///run/containerd/containerd.sock.ttrpc", "/run/containerd/../docker.sock"]
        .map(|path| (runtime("endpoint", path), "spec.runtime.endpoint", "--allow-sockets"));
    let image_roots = ["/etc", "/var/lib/containerd/io.containerd.content.v1.content"]
        .map(|path| (runtime("imageRoot", path), "spec.runtime.imageRoot", "--allow-image-roots"));
    let class = json!({ "rollout": { "engine": "DaemonSet", "priorityClassName": "system-cluster-critical" } });
    let pod = |template: Value| json!({ "rollout": { "engine": "DaemonSet", "podTemplate": template } });
    let plugin = json!({ "rollout": { "engine": "DaemonSet" }, "logRoots": [{ "name": "a", "hostPath": "/var/log" }],
        "plugins": [{ "name": "p", "source": { "builtin": "log-retention" }, "capabilities": ["logs", "log-content"],
            "config": { "rules": [{ "files": ["**"], "maxAge": "1d" }] } }] });
    let others = [
        (class, "spec.rollout.priorityClassName", "--allow-priority-classes"),
        (
            pod(json!({ "serviceAccountName": "node-agent" })),
            "spec.rollout.podTemplate.serviceAccountName",
            "--allow-service-accounts",
        ),
        (
            pod(json!({ "seLinuxOptions": { "type": "spc_t" } })),
            "spec.rollout.podTemplate.seLinuxOptions.type",
            "--allow-selinux-types",
        ),
        (
            pod(json!({ "annotations": { "a.b/c": "d" } })),
            "spec.rollout.podTemplate.annotations",
            "--allow-pod-annotations",
        ),
        (pod(json!({ "hostPID": true })), "spec.rollout.podTemplate.hostPID", "--allow-host-pid"),
        (plugin, "spec.plugins[0].capabilities", "--allow-log-content"),
    ];
    roots.into_iter().chain(sockets).chain(image_roots).chain(others).collect()
}

/// The rights that the deployment gives, as `GROUP RESOURCE VERB`.
fn granted() -> anyhow::Result<BTreeSet<String>> {
    let text = fs::read_to_string(root().join("deploy/kustomize/base/rbac.yaml"))?;
    let mut granted = BTreeSet::new();
    for object in serde_saphyr::from_multiple::<Value>(&text)? {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let list = |name: &str| rule[name].as_array().cloned().unwrap_or_default();
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in list("verbs") {
                        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                        granted.insert(format!("{} {} {}", word(&group), word(&resource), word(&verb)));
                    }
                }
            }
        }
    }
    Ok(granted)
}

#[expect(clippy::needless_pass_by_value, reason = "tests write it in place")]
fn node_cleanup(name: &str, spec: Value) -> Value {
    let mut whole = json!({
        "schedule": "@daily",
        "plugins": [{
            "name": "images", "source": { "builtin": "unused-images" }, "capabilities": ["images", "containers"],
            "config": { "repositories": ["docker.io/minchou/*"] },
        }],
    });
    for (field, value) in spec.as_object().cloned().unwrap_or_default() {
        whole[field] = value;
    }
    json!({
        "apiVersion": "holystone.dev/v1alpha1", "kind": "NodeCleanup",
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": whole,
    })
}

fn condition<'a>(object: &'a Value, kind: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

fn ready(object: &Value) -> &str {
    condition(object, "Ready")["reason"].as_str().unwrap_or_default()
}

/// Whether everything that was given is there as it was given.
fn contains(live: &Value, given: &Value) -> bool {
    match (live, given) {
        (Value::Object(live), Value::Object(given)) => {
            let live: BTreeMap<&String, &Value> = live.iter().collect();
            given.iter().all(|(name, given)| live.get(name).is_some_and(|live| contains(live, given)))
        }
        (Value::Array(live), Value::Array(given)) => {
            live.len() == given.len() && live.iter().zip(given).all(|(live, given)| contains(live, given))
        }
        (live, given) => live == given,
    }
}

fn digest(path: &Path) -> anyhow::Result<String> {
    let output = std::process::Command::new("sha256sum").arg(path).output().context("run sha256sum")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(format!("sha256:{}", text.split(' ').next().unwrap_or_default()))
}
