//! What goes to a cluster: the definition, and what is rendered, held against OpenKruise's own definitions.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::holystone;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn yaml_documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn rendered(arguments: &[&str]) -> Vec<Value> {
    let output = holystone().arg("render").args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    yaml_documents(&String::from_utf8(output.stdout).unwrap())
}

fn examples() -> Vec<String> {
    let mut paths: Vec<String> = fs::read_dir(root().join("examples/manifests"))
        .unwrap()
        .map(|entry| format!("examples/manifests/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    paths.sort();
    paths
}

/// The schema of a version of a definition, as strict as the API server is with `--validate=strict`.
fn schema(release: &str, plural: &str) -> Value {
    let path = root().join(format!("tests/kruise-crds/{release}/apps.kruise.io_{plural}.yaml"));
    let definition = yaml_documents(&fs::read_to_string(&path).unwrap()).remove(0);
    let versions = definition["spec"]["versions"].as_array().unwrap();
    let version = versions.iter().find(|version| version["name"] == "v1alpha1").unwrap();
    assert_eq!(version["served"], true, "{release} does not serve what is rendered");
    let mut schema = version["schema"]["openAPIV3Schema"].clone();
    strict(&mut schema, true);
    schema
}

/// What the API server would prune is refused; its own formats mean nothing to JSON Schema.
fn strict(schema: &mut Value, is_root: bool) {
    let Some(fields) = schema.as_object_mut() else { return };
    fields.remove("format");
    if fields.get("x-kubernetes-int-or-string") == Some(&json!(true)) {
        fields.remove("type");
    }
    let keeps = fields.get("x-kubernetes-preserve-unknown-fields") == Some(&json!(true));
    let is_open = keeps || is_root || fields.contains_key("additionalProperties");
    if fields.get("type") == Some(&json!("object")) && !is_open {
        fields.insert("additionalProperties".to_owned(), false.into());
    }
    for (name, part) in fields.iter_mut() {
        match name.as_str() {
            "properties" => part.as_object_mut().unwrap().iter_mut().for_each(|(name, part)| {
                // Metadata of the object itself is the API server's; that of a template is pruned.
                if !(is_root && name == "metadata") {
                    strict(part, false);
                }
            }),
            "items" | "additionalProperties" => strict(part, false),
            _ => {}
        }
    }
}

#[test]
fn generated_files_are_the_ones_that_the_code_makes() {
    let output = holystone().arg("crd").output().unwrap();
    let made = String::from_utf8(output.stdout).unwrap();
    for path in
        ["deploy/crd/nodecleanups.holystone.dev.yaml", "deploy/helm/holystone/crds/nodecleanups.holystone.dev.yaml"]
    {
        if std::env::var_os("HOLYSTONE_BLESS").is_some() {
            fs::write(root().join(path), &made).unwrap();
        }
        let kept = fs::read_to_string(root().join(path)).unwrap_or_default();
        assert!(kept == made, "{path} is not what `holystone crd` prints; write it anew with HOLYSTONE_BLESS=1");
    }
}

#[test]
fn everything_rendered_fits_openkruise() {
    for release in ["v1.6.4", "v1.9.0"] {
        let validators: Vec<(&str, jsonschema::Validator)> =
            [("AdvancedCronJob", "advancedcronjobs"), ("BroadcastJob", "broadcastjobs")]
                .map(|(kind, plural)| (kind, jsonschema::validator_for(&schema(release, plural)).unwrap()))
                .into();
        let mut seen = 0;
        for example in examples() {
            for object in rendered(&["-f", &example]) {
                let Some((_, validator)) = validators.iter().find(|(kind, _)| object["kind"] == *kind) else {
                    continue;
                };
                let problems: Vec<String> =
                    validator.iter_errors(&object).map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(problems.is_empty(), "{example} on {release}: {problems:?}");
                seen += 1;
            }
        }
        assert!(seen >= 6, "{seen}");
    }
    // The check can fail: what OpenKruise would prune does not fit.
    let validator = jsonschema::validator_for(&schema("v1.9.0", "advancedcronjobs")).unwrap();
    let mut object = rendered(&["-f", "examples/manifests/old-builds.yaml"]).remove(1);
    object["spec"]["template"]["broadcastJobTemplate"]["metadata"] = json!({ "labels": { "a": "b" } });
    assert!(!validator.is_valid(&object));
}

#[test]
fn a_daemon_set_needs_no_openkruise() {
    for example in examples() {
        for object in rendered(&["-f", &example, "--engine", "daemonset"]) {
            assert!(object["kind"] == "ConfigMap" || object["kind"] == "DaemonSet", "{example}");
            let selector = &object["spec"]["selector"]["matchLabels"];
            assert_eq!(selector, &object["spec"]["template"]["metadata"]["labels"]);
        }
    }
}

#[test]
fn the_image_and_the_form_are_chosen() {
    let example = ["render", "-f", "examples/manifests/old-builds.yaml", "--image", "localhost/mine:1", "-o", "json"];
    let output = holystone().args(example).current_dir(root()).output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 2));
    assert!(list.to_string().contains("\"image\":\"localhost/mine:1\""));
}

#[test]
fn an_image_that_no_pod_could_pull_is_refused() {
    let example = "examples/manifests/old-builds.yaml";
    for arguments in [&["render", "-f", example, "--image="][..], &["operator", "--image", "Docker.io/Mine:1 "]] {
        let output = holystone().args(arguments).current_dir(root()).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("is not an image reference"), "{arguments:?}");
    }
}

#[test]
fn what_is_wrong_on_a_cluster_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cleanup.yaml");
    let text = "apiVersion: holystone.dev/v1alpha1\nkind: NodeCleanup\nmetadata: {name: a}\nspec:\n  schedule: '@daily'\n  \
                concurrencyPolicy: Allow\n  plugins:\n  - name: p\n    source: {file: p.wasm}\n";
    fs::write(&path, text).unwrap();
    let output = holystone().args(["render", "-f"]).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(":6: spec.concurrencyPolicy: must be Forbid or Replace"), "{told}");
    assert!(told.contains(":9: spec.plugins[0].source.file: is a file of one machine"), "{told}");
    assert!(output.stdout.is_empty());
}
