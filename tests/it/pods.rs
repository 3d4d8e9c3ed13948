//! Runs as pods of a cluster have them: where things are mounted, what is left of them, and another try.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use holystone_core::daemon::RunResult;
use holystone_core::report::{Brief, MAX_BRIEF};
use holystone_node::Faults;
use holystone_node::simulated::{Code, Method};

use crate::simulated::{SMALL, TestNode};
use crate::support::{Ended, cache, component, end, holystone, on};

/// A manifest as a ConfigMap has it, in a directory.
fn written(directory: &Path, spec: &str) -> PathBuf {
    let path = directory.join("node-cleanup.yaml");
    let head = "apiVersion: holystone.dev/v1alpha1\nkind: NodeCleanup\nmetadata: {name: pods, namespace: ops}\nspec:\n";
    fs::write(
        &path,
        format!("{head}  mode: Enforce\n  guardRails: {{minAge: 0s, unknownOpenAge: 0s, settleTime: 0s}}\n{spec}"),
    )
    .unwrap();
    path
}

const IMAGES: &str = "  plugins:
  - name: images
    source: {builtin: unused-images}
    capabilities: [images]
    config: {repositories: [docker.io/minchou/*], keepLast: 1}
";

fn run(node: &TestNode, spec: &str, more: &[&str]) -> (Ended, Brief) {
    let path = written(&node.directory(), spec);
    let last_words = node.directory().join("termination-log");
    let mut command = holystone();
    command
        .arg("run")
        .arg("-f")
        .arg(path)
        .arg("--cache-dir")
        .arg(cache())
        .arg("--termination-message")
        .arg(&last_words)
        .args(more);
    let ended = end(on(&mut command, &node.endpoint()));
    let text = fs::read_to_string(last_words).unwrap();
    assert!(text.len() <= MAX_BRIEF, "{}", text.len());
    (ended, Brief::from_message(&text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_in_the_last_words_and_the_run_took_place() {
    let node =
        TestNode::small(Faults::none().errors_at(&[1], Method::RemoveImage, Code::Internal, "the store is broken"));
    let (ended, brief) = run(&node, IMAGES, &[]);
    ended.expect(0);
    let totals = brief.outcome.images.unwrap();
    assert_eq!((brief.outcome.result, totals.removed, totals.failed), (RunResult::SomeFailed, SMALL.len() - 1, 1));
    assert_eq!((brief.errors.len(), brief.plugins[0].name.as_str()), (1, "images"));
    assert!(brief.plugins[0].digest.as_ref().unwrap().starts_with("sha256:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_take_place_says_why() {
    let node = TestNode::small(Faults::none().error(Method::ListImages, Code::Internal, "the store is gone"));
    let (ended, brief) = run(&node, IMAGES, &[]);
    ended.expect(2);
    assert_eq!(brief.outcome.result, RunResult::NotRun);
    assert!(brief.outcome.message.unwrap().contains("the store is gone"));
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_in_the_last_words_too() {
    let node = TestNode::small(Faults::none());
    let wrong = IMAGES.replace("unused-images", "unusedimages").replace("[images]", "[image]");
    let (ended, brief) = run(&node, &wrong, &[]);
    ended.expect(64);
    assert_eq!(brief.outcome.result, RunResult::NotRun);
    assert!(brief.outcome.message.unwrap().contains("there are 2 problems"));
    let errors: Vec<&str> = brief.errors.iter().map(|error| error.message.as_str()).collect();
    for words in
        ["spec.plugins[0].source.builtin: there is no builtin of this name", "spec.plugins[0].capabilities[0]: "]
    {
        assert!(errors.iter().any(|error| error.contains(words)), "{words} is missing: {errors:?}");
    }
    let (ended, brief) = run(&node, IMAGES, &["--retries", "often"]);
    ended.expect(64);
    let message = brief.outcome.message.unwrap();
    assert!(message.contains("invalid value 'often' for '--retries"), "{message}");
    assert!(node.gone().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_was_changed_is_refused_before_anything_is_done() {
    let node = TestNode::small(Faults::none());
    let path = written(&node.directory(), IMAGES);
    let [digest, other] =
        [fs::read(&path).unwrap(), b"mode: Enforce".to_vec()].map(|bytes| holystone_core::digest::of(&bytes));
    let (ended, brief) = run(&node, IMAGES, &["--manifest-digest", &other]);
    let told = ended.expect(64).stderr;
    let message = brief.outcome.message.unwrap();
    assert_eq!(brief.outcome.result, RunResult::NotRun);
    for text in [&told, &message] {
        for part in ["node-cleanup.yaml was changed", &digest[..23], &other[..23], "delete the ConfigMap"] {
            assert!(text.contains(part), "{part} is missing: {text}");
        }
    }
    assert!(node.gone().is_empty());
    // More beside it is no more than another one.
    let wrong = ["sha256:12".to_owned(), digest.to_uppercase(), digest.replace("sha256:", "")];
    for wrong in &wrong {
        let (ended, _) = run(&node, IMAGES, &["--manifest-digest", wrong]);
        assert!(ended.expect(64).stderr.contains("give sha256: and 64 lower-case hexadecimal digits"), "{wrong}");
    }
    let second = node.directory().join("second.yaml");
    fs::copy(&path, &second).unwrap();
    let (ended, _) = run(&node, IMAGES, &["--manifest-digest", &digest, "-f", second.to_str().unwrap()]);
    assert!(ended.expect(64).stderr.contains("--manifest-digest is about one file, and -f names 2"));
    assert!(node.gone().is_empty());
    let (ended, brief) = run(&node, IMAGES, &["--manifest-digest", &digest]);
    ended.expect(0);
    assert_eq!(brief.outcome.images.unwrap().removed, SMALL.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_tried_again_as_often_as_it_may() {
    let faults = Faults::none().first_errors(1, Method::ListImages, Code::Internal, "not yet");
    let (ended, brief) = run(&TestNode::small(faults), IMAGES, &["--retries", "1"]);
    assert!(ended.expect(0).stderr.contains("not yet"), "what was tried is told");
    assert_eq!(brief.outcome.result, RunResult::Done);
}

/// A node with a link in its directory of logs, as pods see both once the kubelet has followed it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_link_led_to_is_no_log_root_of_a_pod() {
    let node = TestNode::small(Faults::none());
    let base = node.directory().canonicalize().unwrap();
    let (logs, secret) = (base.join("log"), base.join("secret"));
    fs::create_dir_all(logs.join("app")).unwrap();
    fs::create_dir(&secret).unwrap();
    let days_ago = SystemTime::now() - Duration::from_hours(72);
    let old = |path: PathBuf| {
        fs::write(&path, "old").unwrap();
        fs::File::options().write(true).open(&path).unwrap().set_modified(days_ago).unwrap();
        path
    };
    let (kept, gone) = (old(secret.join("a.log.1")), old(logs.join("app/a.log.1")));
    let spec = |name: &str| {
        format!(
            "  logRoots: [{{name: {name}, hostPath: /var/log/{name}}}]
  plugins:
  - name: logs
    source: {{builtin: log-retention}}
    capabilities: [logs]
    config: {{rules: [{{files: [\"**/*.log.1\"], maxAge: 1s}}]}}
"
        )
    };
    let allowed = format!("--log-roots-in=/var/log={}", logs.display());
    let (ended, brief) = run(&node, &spec("secret"), &[&format!("--log-root-dir={}", base.display()), &allowed]);
    ended.expect(64);
    let message = brief.outcome.message.unwrap();
    assert!(message.contains("that /var/log/secret is what was mounted cannot be made sure"), "{message}");
    symlink(&secret, logs.join("secret")).unwrap();
    let (ended, brief) = run(&node, &spec("secret"), &[&format!("--log-root-dir={}", base.display()), &allowed]);
    ended.expect(64);
    let message = brief.outcome.message.unwrap();
    assert!(message.contains("what was mounted for /var/log/secret is what a symbolic link on its path"), "{message}");
    assert!(kept.exists() && gone.exists());
    let (ended, brief) = run(&node, &spec("app"), &[&format!("--log-root-dir={}", logs.display()), &allowed]);
    ended.expect(0);
    assert_eq!(brief.outcome.logs.unwrap().removed, 1);
    assert!(kept.exists() && !gone.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capability_that_is_denied_is_given_to_no_plugin() {
    let node = TestNode::small(Faults::none());
    let spec = IMAGES.replace("[images]", "[images, log-content]");
    let (ended, brief) = run(&node, &spec, &["--deny=log-content"]);
    ended.expect(64);
    let message = "spec.plugins[0].capabilities: must not have log-content, which --deny forbids";
    assert!(brief.errors.iter().any(|error| error.message.contains(message)), "{brief:?}");
    assert!(node.gone().is_empty());
    run(&node, IMAGES, &["--deny=log-content"]).0.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn log_roots_and_image_volumes_are_where_they_are_mounted() {
    let node = TestNode::small(Faults::none());
    let mounted = node.directory().canonicalize().unwrap();
    let (logs, volume) = (mounted.join("logs/app"), mounted.join("volumes/logs/bin"));
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(&volume).unwrap();
    fs::copy(component("log_retention.wasm"), volume.join("cleaner.wasm")).unwrap();
    let old = logs.join("a.log.1");
    fs::write(&old, "old").unwrap();
    let days_ago = SystemTime::now() - Duration::from_hours(72);
    fs::File::options().write(true).open(&old).unwrap().set_modified(days_ago).unwrap();
    let digest = "@sha256:0000000000000000000000000000000000000000000000000000000000000000";
    let spec = format!(
        "  logRoots: [{{name: app, hostPath: /var/log/no-such-app}}]
  plugins:
  - name: logs
    source: {{imageVolume: {{reference: \"docker.io/cleaners/logs{digest}\", path: bin/cleaner.wasm}}}}
    capabilities: [logs]
    config: {{rules: [{{files: [\"**/*.log.1\"], maxAge: 1s}}]}}
"
    );
    let log_roots = format!("--log-root-dir={}", mounted.join("logs").display());
    let volumes = format!("--image-volume-dir={}", mounted.join("volumes").display());
    let (ended, brief) = run(&node, &spec, &[&log_roots, &volumes]);
    ended.expect(0);
    assert_eq!(brief.outcome.logs.unwrap().removed, 1);
    assert!(!old.exists());
    let path = written(&node.directory(), &spec);
    let told = end(holystone().args(["plan", "--endpoint", "none", "-f"]).arg(path)).expect(64).stderr;
    assert!(
        told.contains("spec.plugins[0].source.imageVolume: an image is a directory outside of a cluster"),
        "{told}"
    );
}
