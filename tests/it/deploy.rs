//! What installs Holystone on a cluster: the kustomizations and the chart, which come to the same objects.
//!
//! These need `kustomize` and `helm`, in `target/tools/bin` (where `.ci/run` puts them) or on `PATH`.
//! `HOLYSTONE_BLESS=1 cargo test -p holystone --test it deploy` writes the golden file anew; read the diff.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use holystone_core::cluster::Allowed;
use holystone_tests::missing;
use serde_json::{Value, json};

use crate::support::{Ended, end, run, scratch, text};

/// What Helm puts on every object.
const HELM_LABELS: [&str; 3] = ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"];
/// Which Kubernetes the chart is made for here; without a cluster Helm does not know.
const KUBERNETES: [&str; 2] = ["--kube-version", "1.36.0"];

const BASE: &str = "deploy/kustomize/base";
const MONITORING: &str = "deploy/kustomize/monitoring";
const CHART: &str = "deploy/helm/holystone";

/// Objects by what they are: `Service holystone-system/holystone-operator`.
type Objects = BTreeMap<String, Value>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A program that a test needs.
struct Tool(PathBuf);

impl Tool {
    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = Command::new(&self.0);
        end(command.args(arguments).current_dir(root()).env_clear().env("HOME", scratch()).stdin(Stdio::null()))
    }

    /// `kustomize build`.
    fn build(&self, directory: &str) -> String {
        self.run(&["build", directory]).expect(0).stdout
    }

    /// `helm template`, into the namespace that the kustomizations name.
    fn template(&self, more: &[&str]) -> Ended {
        let arguments = ["template", "holystone", CHART, "--namespace", "holystone-system"];
        self.run(&[&arguments[..], &KUBERNETES[..], more].concat())
    }
}

/// Finds programs, or says which are missing.
fn tools<const N: usize>(test: &str, names: [&str; N]) -> anyhow::Result<Option<[Tool; N]>> {
    let mut directories = vec![root().join("target/tools/bin")];
    directories.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let paths = names.map(|name| directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file()));
    let absent: Vec<&str> =
        names.into_iter().zip(&paths).filter(|(_, path)| path.is_none()).map(|(name, _)| name).collect();
    if !absent.is_empty() {
        missing(test, &format!("no {} in target/tools/bin or on PATH", absent.join(", no ")))?;
        return Ok(None);
    }
    Ok(Some(paths.map(|path| Tool(path.unwrap()))))
}

/// The objects of some YAML, each there once, without what Helm says of itself, and without definitions of kinds and
/// namespaces, which Helm handles in its own way.
fn objects(yaml: &str) -> Objects {
    let mut objects = Objects::new();
    for mut object in serde_saphyr::from_multiple::<Value>(yaml).unwrap() {
        let kind = text(&object["kind"]);
        if ["CustomResourceDefinition", "Namespace"].contains(&kind.as_str()) {
            continue;
        }
        if let Some(labels) = object["metadata"]["labels"].as_object_mut() {
            labels.retain(|label, _| !HELM_LABELS.contains(&label.as_str()));
        }
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let name = format!("{kind} {namespace}/{}", text(&object["metadata"]["name"]));
        assert!(objects.insert(name.clone(), object).is_none(), "{name} is there twice");
    }
    objects
}

#[track_caller]
fn assert_same(helm: &Objects, kustomize: &Objects) {
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(helm), names(kustomize), "the chart and the kustomization have other objects");
    for (name, object) in helm {
        assert!(*object == kustomize[name], "{name}\nby Helm: {object:#}\nby kustomize: {:#}", kustomize[name]);
    }
}

#[test]
fn the_base_is_what_it_was() -> anyhow::Result<()> {
    let Some([kustomize]) = tools("the_base_is_what_it_was", ["kustomize"])? else { return Ok(()) };
    let built = kustomize.build(BASE);
    // The definition of the kind is generated, and its own file is what to compare with.
    let (definitions, others): (Vec<&str>, Vec<&str>) =
        built.split("---\n").partition(|document| document.contains("\nkind: CustomResourceDefinition\n"));
    assert_eq!(definitions.len(), 1, "the base brings the definition of NodeCleanup");
    let others = others.join("---\n");
    let file = root().join("tests/golden/deploy/kustomize.yaml");
    if env::var_os("HOLYSTONE_BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap())?;
        fs::write(&file, &others)?;
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert!(others == expected, "{} is not what {BASE} comes to:\n{others}", file.display());
    Ok(())
}

#[test]
fn the_chart_comes_to_the_objects_of_the_base() -> anyhow::Result<()> {
    const TEST: &str = "the_chart_comes_to_the_objects_of_the_base";
    let Some([kustomize, helm]) = tools(TEST, ["kustomize", "helm"])? else { return Ok(()) };
    let chart = objects(&helm.template(&[]).expect(0).stdout);
    assert_eq!(chart.len(), 11, "{:?}", chart.keys());
    assert_same(&chart, &objects(&kustomize.build(BASE)));
    Ok(())
}

#[test]
fn the_chart_monitors_as_the_overlay_does() -> anyhow::Result<()> {
    const TEST: &str = "the_chart_monitors_as_the_overlay_does";
    let Some([kustomize, helm]) = tools(TEST, ["kustomize", "helm"])? else { return Ok(()) };
    let on = ["--set", "podMonitor.enabled=true,prometheusRule.enabled=true,dashboard.enabled=true"];
    let chart = objects(&helm.template(&on).expect(0).stdout);
    let dashboard = &chart["ConfigMap holystone-system/holystone-dashboard"];
    assert_eq!(dashboard["data"]["holystone.json"], read("deploy/grafana/holystone.json"));
    assert_same(&chart, &objects(&kustomize.build(MONITORING)));
    Ok(())
}

/// The alerts are those that the document explains: expression and duration.
#[test]
fn the_alerts_are_those_of_the_document() {
    let rules: Value = serde_saphyr::from_str(&read("deploy/kustomize/monitoring/prometheusrule.yaml")).unwrap();
    let rules = rules["spec"]["groups"][0]["rules"].as_array().unwrap();
    let document = read("deploy/README.md");
    assert_eq!(rules.len(), 5);
    for rule in rules {
        let row = format!("| `{}` | `{}` | {} |", text(&rule["alert"]), text(&rule["expr"]), text(&rule["for"]));
        assert!(document.contains(&row), "deploy/README.md has no row {row}");
        for annotation in ["summary", "description"] {
            assert!(text(&rule["annotations"][annotation]).ends_with('.'), "{rule:#}");
        }
    }
}

#[test]
fn users_see_and_edit_node_cleanups_by_the_roles_that_they_have() -> anyhow::Result<()> {
    const TEST: &str = "users_see_and_edit_node_cleanups_by_the_roles_that_they_have";
    let Some([helm]) = tools(TEST, ["helm"])? else { return Ok(()) };
    let chart = objects(&helm.template(&[]).expect(0).stdout);
    let aggregated = |name: &str| -> Vec<String> {
        let labels = chart[&format!("ClusterRole /{name}")]["metadata"]["labels"].as_object().unwrap();
        labels.keys().filter_map(|label| Some(label.split_once("aggregate-to-")?.1.to_owned())).collect()
    };
    assert_eq!(
        aggregated("holystone-viewer").into_iter().collect::<BTreeSet<_>>(),
        ["admin", "edit", "view"].map(str::to_owned).into()
    );
    assert_eq!(
        aggregated("holystone-editor").into_iter().collect::<BTreeSet<_>>(),
        ["admin", "edit"].map(str::to_owned).into()
    );
    let without = objects(&helm.template(&["--set", "aggregatedRoles=false"]).expect(0).stdout);
    assert!(
        !without.contains_key("ClusterRole /holystone-viewer")
            && !without.contains_key("ClusterRole /holystone-editor")
    );
    Ok(())
}

#[test]
fn the_namespace_for_node_cleanups_is_that_of_the_chart() -> anyhow::Result<()> {
    const TEST: &str = "the_namespace_for_node_cleanups_is_that_of_the_chart";
    const NAME: &str = "NetworkPolicy holystone-nodes/holystone-nodes";
    let Some([helm]) = tools(TEST, ["helm"])? else { return Ok(()) };
    let spec = r#"nodeCleanups={"a":{"plugins":[]}}"#;
    let chart = objects(&helm.template(&["--set-json", spec]).expect(0).stdout);
    let component = objects(&read("deploy/kustomize/components/node-namespace/namespace.yaml"));
    assert_eq!(chart[NAME], component[NAME]);
    let monitored = helm.template(&["--set-json", spec, "--set", "podMonitor.enabled=true"]).expect(0).stdout;
    let peers = &objects(&monitored)[NAME]["spec"]["ingress"][0]["from"];
    let prometheus = json!({ "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "monitoring" } } });
    assert_eq!((peers.as_array().map(Vec::len), &peers[1]), (Some(2), &prometheus));
    Ok(())
}

#[test]
fn the_chart_has_no_mistakes_that_helm_knows() -> anyhow::Result<()> {
    let Some([helm]) = tools("the_chart_has_no_mistakes_that_helm_knows", ["helm"])? else { return Ok(()) };
    helm.run(&[&["lint", "--strict", CHART], &KUBERNETES[..]].concat()).expect(0);
    Ok(())
}

#[test]
fn the_chart_refuses_values_that_it_does_not_know_or_that_are_wrong() -> anyhow::Result<()> {
    const TEST: &str = "the_chart_refuses_values_that_it_does_not_know_or_that_are_wrong";
    let Some([helm]) = tools(TEST, ["helm"])? else { return Ok(()) };
    for (value, said) in [
        ("replica=3", "additional properties 'replica' not allowed"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("podMonitor.enable=true", "at '/podMonitor': additional properties 'enable' not allowed"),
        ("networkPolicy.from[0].pods=all", "at '/networkPolicy/from/0': additional properties 'pods' not allowed"),
        ("allowed.logRoots[0]=/var/../etc", "at '/allowed/logRoots/0': '/var/../etc' does not match pattern"),
        ("allowed.logRoots[0]=/a'b", "at '/allowed/logRoots/0': '/a\\'b' does not match pattern"),
        ("allowed.sockets[0]=/", "at '/allowed/sockets/0': '/' does not match pattern"),
        ("allowed.sockets=null", "at '/allowed': missing property 'sockets'"),
        ("networkPolicy.enabled=null", "at '/networkPolicy': missing property 'enabled'"),
        ("admissionPolicy.enabled=null", "at '/admissionPolicy': missing property 'enabled'"),
        ("allowed=null", "at '': missing property 'allowed'"),
        ("allowed.podAnnotations[0]=a*", "at '/allowed/podAnnotations/0': 'a*' does not match pattern"),
        ("priorityClassName=a: b", "at '/priorityClassName': 'a: b' does not match pattern"),
        ("allowed.logContents=true", "at '/allowed': additional properties 'logContents' not allowed"),
        ("image.digest=latest", "at '/image/digest': 'latest' does not match pattern"),
        ("nodeCleanups.Builds.plugins=", "at '/nodeCleanups': additional properties 'Builds' not allowed"),
        ("nodeCleanups.builds.spec.mode=DryRun", "at '/nodeCleanups/builds': missing property 'plugins'"),
    ] {
        let refused = helm.template(&["--set", value]).expect(1);
        assert!(refused.stderr.contains(said), "{value}: {}", refused.stderr);
    }
    Ok(())
}

/// What the manifests that install the operator allow is what it allows by itself.
#[test]
fn what_is_allowed_is_what_the_operator_allows_by_itself() -> anyhow::Result<()> {
    const TEST: &str = "what_is_allowed_is_what_the_operator_allows_by_itself";
    let Some([kustomize, helm]) = tools(TEST, ["kustomize", "helm"])? else { return Ok(()) };
    let usual = Allowed::default();
    let expected = [
        format!("--allow-log-roots={}", usual.log_roots.join(",")),
        format!("--allow-sockets={}", usual.sockets.join(",")),
        format!("--allow-image-roots={}", usual.image_roots.join(",")),
        format!("--allow-priority-classes={}", usual.priority_classes.join(",")),
    ];
    let allowed = |objects: &Objects| -> Vec<String> {
        let operator = &objects["Deployment holystone-system/holystone-operator"]["spec"]["template"]["spec"];
        let arguments = operator["containers"][0]["args"].as_array().unwrap();
        arguments.iter().map(text).filter(|argument| argument.starts_with("--allow-")).collect()
    };
    assert_eq!(allowed(&objects(&kustomize.build(BASE))), expected);
    let chart = |more: &[&str]| objects(&helm.template(more).expect(0).stdout);
    assert_eq!(allowed(&chart(&[])), expected);
    let other = ["--set-json", r#"allowed={"logRoots":[],"priorityClasses":["a","b"],"logContent":true}"#];
    let given = allowed(&chart(&other));
    assert_eq!((given[0].as_str(), given[3].as_str()), ("--allow-log-roots=", "--allow-priority-classes=a,b"));
    assert_eq!(given[4], "--allow-log-content");
    let pods = r#"allowed={"serviceAccounts":["a","b"],"seLinuxTypes":["spc_t"],"podAnnotations":["a/b","c.d/*"],"hostPID":true}"#;
    assert_eq!(
        allowed(&chart(&["--set-json", pods]))[4..],
        [
            "--allow-service-accounts=a,b",
            "--allow-selinux-types=spc_t",
            "--allow-pod-annotations=a/b,c.d/*",
            "--allow-host-pid"
        ]
    );
    let lists = [usual.service_accounts, usual.selinux_types, usual.pod_annotations];
    assert!(lists.iter().all(Vec::is_empty) && !usual.host_pid, "nothing of it without an option");
    Ok(())
}

#[test]
fn the_admission_policy_of_the_chart_is_that_of_the_component() -> anyhow::Result<()> {
    const TEST: &str = "the_admission_policy_of_the_chart_is_that_of_the_component";
    const NAME: &str = "ValidatingAdmissionPolicy /holystone-allowed";
    let Some([helm]) = tools(TEST, ["helm"])? else { return Ok(()) };
    let chart = |more: &[&str]| {
        let mut chart =
            objects(&helm.template(&[&["--set", "admissionPolicy.enabled=true"], more].concat()).expect(0).stdout);
        chart.retain(|name, _| name.starts_with("ValidatingAdmissionPolicy"));
        chart
    };
    assert_same(&chart(&[]), &objects(&read("deploy/kustomize/components/admission-policy/policy.yaml")));
    let variables = |chart: &Objects| {
        let variables = chart[NAME]["spec"]["variables"].as_array().unwrap().clone();
        variables.iter().take(9).map(|variable| text(&variable["expression"])).collect::<Vec<_>>()
    };
    let other = r#"allowed={"logRoots":[],"sockets":["/x"],"imageRoots":["/a","/b"],"priorityClasses":["c"],"logContent":true,"serviceAccounts":["d"],"seLinuxTypes":["e_t"],"podAnnotations":["f/*"],"hostPID":true}"#;
    let expected = ["[]", "['/x']", "['/a', '/b']", "['c']", "true", "['d']", "['e_t']", "['f/*']", "true"];
    assert_eq!(variables(&chart(&["--set-json", other])), expected);
    let here = chart(&["--set", "watchNamespace=node-ops"]);
    let selector = &here[NAME]["spec"]["matchConstraints"]["namespaceSelector"];
    assert_eq!(*selector, json!({ "matchLabels": { "kubernetes.io/metadata.name": "node-ops" } }));
    Ok(())
}

#[test]
fn who_may_ask_the_operator_is_a_value() -> anyhow::Result<()> {
    const NAME: &str = "NetworkPolicy holystone-system/holystone-operator";
    let Some([helm]) = tools("who_may_ask_the_operator_is_a_value", ["helm"])? else { return Ok(()) };
    let template = |value: &str| objects(&helm.template(&["--set-json", value]).expect(0).stdout);
    let peers = json!([{ "podSelector": { "matchLabels": { "app": "prometheus" } } }]);
    let given = &template(&format!("networkPolicy.from={peers}"))[NAME]["spec"];
    assert_eq!(given["ingress"], json!([{ "from": peers, "ports": [{ "port": "http", "protocol": "TCP" }] }]));
    let nobody = &template("networkPolicy.from=[]")[NAME]["spec"];
    assert_eq!((&nobody["policyTypes"], &nobody["ingress"]), (&json!(["Ingress"]), &Value::Null));
    assert!(!template("networkPolicy.enabled=false").contains_key(NAME));
    Ok(())
}

#[test]
fn with_a_namespace_to_watch_there_are_no_rights_beyond_it() -> anyhow::Result<()> {
    const TEST: &str = "with_a_namespace_to_watch_there_are_no_rights_beyond_it";
    let Some([helm]) = tools(TEST, ["helm"])? else { return Ok(()) };
    let rules = |objects: &Objects, name: &str| objects[name]["rules"].as_array().unwrap().clone();
    let anywhere = objects(&helm.template(&[]).expect(0).stdout);
    let cleaning = rules(&anywhere, "ClusterRole /holystone-operator");
    let leading = rules(&anywhere, "Role holystone-system/holystone-operator");

    let elsewhere = objects(&helm.template(&["--set", "watchNamespace=node-ops"]).expect(0).stdout);
    assert_eq!(rules(&elsewhere, "Role node-ops/holystone-operator"), cleaning);
    assert_eq!(rules(&elsewhere, "Role holystone-system/holystone-operator"), leading);
    let subject = &elsewhere["RoleBinding node-ops/holystone-operator"]["subjects"][0];
    assert_eq!(subject["namespace"], "holystone-system");

    let here = objects(&helm.template(&["--set", "watchNamespace=holystone-system"]).expect(0).stdout);
    assert_eq!(rules(&here, "Role holystone-system/holystone-operator"), [leading, cleaning].concat());

    for (objects, namespace) in [(elsewhere, "node-ops"), (here, "holystone-system")] {
        assert!(objects.keys().all(|name| !name.starts_with("ClusterRole")), "{:?}", objects.keys());
        let operator = &objects["Deployment holystone-system/holystone-operator"]["spec"]["template"]["spec"];
        let argument = Value::from(format!("--namespace={namespace}"));
        assert!(operator["containers"][0]["args"].as_array().unwrap().contains(&argument), "{operator:#}");
    }
    Ok(())
}

/// Whether Pod Security lets pods run is said by labels of their namespaces.
#[test]
fn the_operator_is_restricted_and_node_cleanups_live_elsewhere() -> anyhow::Result<()> {
    const TEST: &str = "the_operator_is_restricted_and_node_cleanups_live_elsewhere";
    let Some([kustomize, helm]) = tools(TEST, ["kustomize", "helm"])? else { return Ok(()) };
    let enforced = |yaml: &str, name: &str| {
        let all = serde_saphyr::from_multiple::<Value>(yaml).unwrap();
        let namespace =
            all.into_iter().find(|object| object["kind"] == "Namespace" && object["metadata"]["name"] == name);
        namespace.map(|namespace| text(&namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]))
    };
    assert_eq!(enforced(&kustomize.build(BASE), "holystone-system").as_deref(), Some("restricted"));
    let spec = r#"nodeCleanups={"a":{"plugins":[]}}"#;
    let chart = helm.template(&["--set-json", spec]).expect(0).stdout;
    assert_eq!(enforced(&chart, "holystone-nodes").as_deref(), Some("privileged"));
    assert_eq!(enforced(&helm.template(&[]).expect(0).stdout, "holystone-nodes"), None, "nothing would live there");
    Ok(())
}

#[test]
fn node_cleanups_come_with_the_chart() -> anyhow::Result<()> {
    let Some([helm]) = tools("node_cleanups_come_with_the_chart", ["helm"])? else { return Ok(()) };
    let example: Value = serde_saphyr::from_str(&read("examples/manifests/crictl-script-redone.yaml"))?;
    let values = tempfile::NamedTempFile::with_suffix(".json")?;
    let cleanups = json!({"script": example["spec"], "7": example["spec"]});
    fs::write(&values, serde_json::to_vec(&json!({"nodeCleanups": cleanups}))?)?;
    let chart = objects(&helm.template(&["--values", values.path().to_str().unwrap()]).expect(0).stdout);
    for name in ["script", "7"] {
        let cleanup = &chart[&format!("NodeCleanup holystone-nodes/{name}")];
        assert_eq!(cleanup["apiVersion"], example["apiVersion"]);
        assert_eq!(cleanup["spec"], example["spec"]);
    }
    let policy = &chart["NetworkPolicy holystone-nodes/holystone-nodes"]["spec"];
    let peer = json!({
        "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "holystone-system" } },
        "podSelector": { "matchLabels": { "app.kubernetes.io/name": "holystone", "app.kubernetes.io/component": "operator" } },
    });
    assert_eq!(policy["ingress"], json!([{ "from": [peer], "ports": [{ "port": 9823, "protocol": "TCP" }] }]));
    assert_eq!(policy["podSelector"]["matchLabels"]["app.kubernetes.io/component"], "node");
    let elsewhere = ["--set", "nodeCleanupNamespace.name=ops,nodeCleanupNamespace.create=false", "--values"];
    let elsewhere = helm.template(&[&elsewhere[..], &[values.path().to_str().unwrap()]].concat()).expect(0).stdout;
    assert!(!elsewhere.contains("kind: Namespace\n") && elsewhere.contains("  namespace: ops\n"), "{elsewhere}");
    assert!(objects(&elsewhere).contains_key("NodeCleanup ops/script"));
    Ok(())
}

/// What the operator makes of a NodeCleanup is the same whichever way it came to the cluster, and what `render` shows.
#[test]
fn what_runs_on_the_nodes_is_what_render_shows_however_it_is_installed() -> anyhow::Result<()> {
    const TEST: &str = "what_runs_on_the_nodes_is_what_render_shows_however_it_is_installed";
    const NAME: &str = "minchou-images";
    let Some([kustomize, helm]) = tools(TEST, ["kustomize", "helm"])? else { return Ok(()) };
    let directory = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = directory.path().join(name);
        fs::write(&path, text)?;
        Ok(path.to_str().context("a path")?.to_owned())
    };
    let manifest = read("examples/manifests/crictl-script-redone.yaml");
    let example: Value = serde_saphyr::from_str(&manifest)?;
    let values = json!({ "nodeCleanups": { (NAME): example["spec"] } });
    let chart = helm.template(&["--values", &file("values.json", &values.to_string())?]).expect(0).stdout;
    file("cleanup.yaml", &manifest)?;
    file("kustomization.yaml", "namespace: holystone-nodes\nresources: [cleanup.yaml]\n")?;
    let overlay = kustomize.build(directory.path().to_str().context("a path")?);

    let render = |cleanup: &str, more: &[&str]| {
        let path = file("installed.yaml", cleanup)?;
        anyhow::Ok(run(&[&["render", "-f", &path], more].concat()).expect(0).stdout)
    };
    let golden = "tests/golden/deploy/rendered.yaml";
    let shown = render(&manifest.replacen("metadata:\n", "metadata:\n  namespace: holystone-nodes\n", 1), &[])?;
    if env::var_os("HOLYSTONE_BLESS").is_some() {
        fs::write(root().join(golden), &shown)?;
    }
    assert!(shown == read(golden), "{golden} is not what is rendered:\n{shown}");
    for (way, installed, operator) in [("helm", &chart, &chart), ("kustomize", &overlay, &kustomize.build(BASE))] {
        let cleanup = &objects(installed)[&format!("NodeCleanup holystone-nodes/{NAME}")];
        let operator = &objects(operator)["Deployment holystone-system/holystone-operator"];
        let arguments = operator["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("args")?;
        let image =
            arguments.iter().find_map(|argument| argument.as_str()?.strip_prefix("--image=")).context("image")?;
        let rendered = render(&cleanup.to_string(), &["--image", image])?;
        assert!(rendered == shown, "installed by {way}, another thing runs on the nodes:\n{rendered}");
    }
    Ok(())
}

#[test]
fn copies_are_the_same_file() {
    for (original, copy) in [
        ("deploy/grafana/holystone.json", "dashboards/holystone.json"),
        ("deploy/crd/nodecleanups.holystone.dev.yaml", "crds/nodecleanups.holystone.dev.yaml"),
    ] {
        assert!(read(original) == read(&format!("{CHART}/{copy}")), "{CHART}/{copy} is not {original}: copy it");
    }
}

#[test]
fn what_is_installed_is_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let chart: Value = serde_saphyr::from_str(&read(&format!("{CHART}/Chart.yaml"))).unwrap();
    assert_eq!((&chart["version"], &chart["appVersion"]), (&version.into(), &version.into()));
    let operator = read(&format!("{BASE}/operator.yaml"));
    let tags: Vec<&str> = operator.split("docker.io/holystone/holystone:").skip(1).collect();
    assert_eq!(tags.len(), 2);
    assert!(tags.iter().all(|tag| tag.lines().next() == Some(version)), "{BASE}/operator.yaml is not of {version}");
}

#[test]
fn the_document_tells_of_every_metric_in_the_dashboard() {
    let (dashboard, document) = (read("deploy/grafana/holystone.json"), read("deploy/README.md"));
    let rest = |start: &str| start.split(|c: char| c != '_' && !c.is_ascii_lowercase()).next().unwrap().to_owned();
    let mut metrics: Vec<String> =
        dashboard.split("holystone_").skip(1).map(|start| format!("holystone_{}", rest(start))).collect();
    metrics.sort();
    metrics.dedup();
    assert!(metrics.len() >= 12, "{metrics:?}");
    for metric in metrics {
        assert!(document.contains(&format!("`{metric}")), "deploy/README.md does not tell of {metric}");
    }
}

#[test]
fn the_document_shows_the_manifest_of_the_examples() {
    let document = read("deploy/README.md");
    let manifest = read("examples/manifests/crictl-script-redone.yaml");
    assert!(document.contains(manifest.trim_end()), "deploy/README.md shows another manifest:\n{manifest}");
}
