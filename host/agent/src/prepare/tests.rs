use holystone_core::guard::GuardRails;
use holystone_core::manifest::OnFailure;
use holystone_core::pressure::Disk;
use holystone_core::sweep::Pace;
use holystone_node::RootSpec;
use holystone_runtime::{Capability, Limits};
use jiff::SignedDuration;

use super::*;
use crate::policy::{PaceOverrides, PluginOverrides, RailOverrides};

const MANIFEST: &str = "
apiVersion: holystone.dev/v1alpha1
kind: NodeCleanup
metadata: {name: all, namespace: node-ops}
spec:
  runtime: {endpoint: /run/a.sock}
  logRoots: [{name: app, hostPath: /var/log/app}, {name: pods, hostPath: /var/log/pods}]
  plugins:
  - name: mine
    source: {builtin: unused-images}
    capabilities: [images, logs]
    config: {repositories: [\"*\"]}
    limits: {timeout: 90s, memory: 256Mi}
    onFailure: FailRun
  guardRails:
    protectImages: [\"a/b\"]
    minAge: 1h
    confirmations: 3
    unknownOpenAge: 6h
    settleTime: 7m
    maxDeletions: {count: 7, bytes: 1Gi, percent: 60}
  pace: {concurrency: 8, pause: 250ms, maxFailures: 5}
  pressure: {filesystem: \"logs:app\", above: 85%, until: 70%}
  rollout:
    parallelism: 1
    completionPolicy: {activeDeadlineSeconds: 600}
";

fn written() -> (tempfile::TempDir, Manifests) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cleanup.yaml");
    std::fs::write(&path, MANIFEST).unwrap();
    (directory, Manifests { filenames: vec![path], ..Manifests::default() })
}

async fn policy(manifests: Manifests, overrides: Overrides) -> anyhow::Result<Policy> {
    let request =
        PolicyRequest { manifests, plugins: Vec::new(), configs: Vec::new(), overrides, cache: CacheDir::Nowhere };
    Ok(prepare(&request).await?.remove(0).policy)
}

#[tokio::test]
async fn a_manifest_says_everything() {
    let (_directory, manifests) = written();
    let policy = policy(manifests, Overrides::default()).await.unwrap();
    assert_eq!((policy.name.as_deref(), policy.mode), (Some("node-ops/all"), Mode::DryRun));
    assert_eq!((policy.endpoint.as_str(), policy.time_limit), ("/run/a.sock", Duration::from_mins(10)));
    assert_eq!((policy.rails.protect.len(), policy.rails.confirmations), (1, 3));
    assert_eq!(policy.rails.min_age, SignedDuration::from_hours(1));
    assert_eq!(policy.rails.unknown_open_age, SignedDuration::from_hours(6));
    assert_eq!(policy.rails.settle_time, SignedDuration::from_mins(7));
    assert_eq!(policy.log_roots, [RootSpec::new("app", "/var/log/app"), RootSpec::new("pods", "/var/log/pods")]);
    assert_eq!(policy.pace.pressure.disk, Disk::LogRoot("app".to_owned()));
    assert_eq!((policy.rails.limits.count, policy.rails.limits.percent), (Some(7), Some(60)));
    assert_eq!((policy.pace.in_flight, policy.pace.max_failures), (8, 5));
    assert_eq!((policy.pace.pressure.above, policy.pace.pressure.until), (Some(85), Some(70)));
    assert_eq!(policy.notices.len(), 1, "parallelism means nothing on one machine: {:?}", policy.notices);
    let [plugin] = &policy.plugins[..] else { panic!("{:?}", policy.plugins) };
    assert_eq!((plugin.name.as_str(), plugin.config.as_str()), ("mine", r#"{"repositories":["*"]}"#));
    assert_eq!(plugin.grants, [Capability::Images, Capability::Logs].into_iter().collect());
    assert_eq!((plugin.limits.timeout, plugin.limits.memory), (Duration::from_secs(90), 256 << 20));
    assert_eq!(plugin.on_failure, OnFailure::FailRun);
}

#[tokio::test]
async fn flags_that_were_given_win_and_others_change_nothing() {
    let (_directory, manifests) = written();
    let overrides = Overrides {
        mode: Some(Mode::Enforce),
        endpoint: Some("/run/b.sock".to_owned()),
        log_roots: vec![RootSpec::new("app", "/data/app")],
        time_limit: Some(Duration::from_secs(5)),
        plugins: PluginOverrides {
            capabilities: vec![Capability::Images],
            timeout: Some(Duration::from_secs(7)),
            memory: Some(8 << 20),
        },
        guard_rails: RailOverrides {
            protect: vec!["c/d".parse().unwrap()],
            min_age: Some(SignedDuration::ZERO),
            confirmations: Some(1),
            unknown_open_age: Some(SignedDuration::ZERO),
            settle_time: Some(SignedDuration::ZERO),
            max_count: Some(1),
            max_bytes: Some(2 << 30),
            max_percent: Some(3),
            ..RailOverrides::default()
        },
        pace: PaceOverrides {
            concurrency: Some(4),
            pause: Some(Duration::from_secs(5)),
            filesystem: Some(Disk::Images),
            above: Some(90),
            until: Some(80),
            max_failures: Some(6),
        },
    };
    let policy = policy(manifests, overrides).await.unwrap();
    assert_eq!((policy.mode, policy.endpoint.as_str()), (Mode::Enforce, "/run/b.sock"));
    assert_eq!(policy.time_limit, Duration::from_secs(5));
    let protected: Vec<&str> = policy.rails.protect.iter().map(|protect| protect.pattern.as_str()).collect();
    assert_eq!(protected, ["a/b", "c/d"], "a flag takes no protection away");
    assert_eq!((policy.rails.min_age, policy.rails.confirmations), (SignedDuration::ZERO, 1));
    let limits = policy.rails.limits;
    assert_eq!((limits.count, limits.bytes, limits.percent), (Some(1), Some(2 << 30), Some(3)));
    assert_eq!((policy.pace.in_flight, policy.pace.pause), (4, Duration::from_secs(5)));
    assert_eq!((policy.pace.pressure.above, policy.pace.pressure.until), (Some(90), Some(80)));
    assert_eq!((policy.pace.pressure.disk, policy.rails.unknown_open_age), (Disk::Images, SignedDuration::ZERO));
    assert_eq!(policy.rails.settle_time, SignedDuration::ZERO);
    assert_eq!(policy.log_roots, [RootSpec::new("pods", "/var/log/pods"), RootSpec::new("app", "/data/app")]);
    let plugin = &policy.plugins[0];
    assert_eq!(plugin.grants, [Capability::Images].into_iter().collect());
    assert_eq!((plugin.limits.timeout, plugin.limits.memory), (Duration::from_secs(7), 8 << 20));
    assert_eq!(plugin.config, r#"{"repositories":["*"]}"#);
}

#[tokio::test]
async fn bounds_are_held_against_each_other_wherever_they_come_from() {
    let (_directory, manifests) = written();
    let pace = PaceOverrides { until: Some(90), ..PaceOverrides::default() };
    let error = policy(manifests, Overrides { pace, ..Overrides::default() }).await.unwrap_err();
    assert!(error.is::<UsageError>() && error.to_string().contains("--until 90 is more than --above 85"), "{error}");
}

#[tokio::test]
async fn flags_alone_enforce_with_the_usual_values() {
    let config = r#"{"repositories":["*"]}"#;
    let request = PolicyRequest {
        manifests: Manifests::default(),
        plugins: vec!["builtin:unused-images".to_owned()],
        configs: vec![config.to_owned()],
        overrides: Overrides::default(),
        cache: CacheDir::Nowhere,
    };
    let policy = prepare(&request).await.unwrap().remove(0).policy;
    assert_eq!((policy.name.as_deref(), policy.mode, policy.endpoint.as_str()), (None, Mode::Enforce, "auto"));
    assert_eq!(policy.rails, GuardRails::default());
    assert_eq!((policy.time_limit, policy.pace.in_flight), (Duration::from_mins(30), Pace::default().in_flight));
    assert_eq!((policy.plugins[0].name.as_str(), policy.plugins[0].config.as_str()), ("unused-images", config));
    let usual = [Capability::Images, Capability::Containers, Capability::Pods, Capability::Logs];
    assert_eq!(policy.plugins[0].grants, usual.into_iter().collect());
    assert_eq!(policy.plugins[0].limits, Limits::default());
}
