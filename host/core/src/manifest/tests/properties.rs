//! Whatever is written is read again as it was, and whatever is read never panics and is never half understood.

use std::collections::BTreeMap;

use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::{collection, option, prop_assert, prop_assert_eq, prop_oneof, proptest, sample, string};
use serde_json::{Map, Value, json};

use super::super::*;
use super::{FULL, LEAST, text, walk};
use crate::pattern::Pattern;
use crate::pressure::Disk;
use crate::schedule::ConcurrencyPolicy;

fn name(longest: usize) -> impl Strategy<Value = String> {
    string::string_regex(&format!("[a-z0-9]([-a-z0-9]{{0,{}}}[a-z0-9])?", longest - 2)).unwrap()
}

fn duration() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(Duration::from_millis)
}

fn percent() -> impl Strategy<Value = Percent> {
    (0..=100_u8).prop_map(|percent| percent.to_string().parse().unwrap())
}

/// Settings of a plugin: anything that JSON can say and that YAML keeps.
fn config() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1_000_i32..1_000).prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "[ -~]{0,12}".prop_map(Value::from),
        sample::select(vec![
            "yes",
            "null",
            "~",
            "1e3",
            "0x10",
            "012",
            "1:30",
            "- a",
            "# b",
            "@x",
            "*x",
            "ä🧽\u{85}\t\n",
            "\\"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            collection::btree_map("[ -~]{1,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn source() -> impl Strategy<Value = PluginSource> {
    let text = "[!-~][ -~]{0,20}";
    prop_oneof![
        text.prop_map(PluginSource::Builtin),
        text.prop_map(PluginSource::File),
        (name(63), "[-_a-zA-Z0-9]{1,20}")
            .prop_map(|(name, key)| PluginSource::ConfigMap(ConfigMapKey { name, key: format!("{key}.wasm") })),
        (name(20), "[a-z]{1,8}/[-_a-zA-Z0-9]{1,20}").prop_map(|(name, path)| {
            PluginSource::ImageVolume(ImagePath { reference: format!("{name}@sha256:{}", "0".repeat(64)), path })
        }),
    ]
}

fn plugin() -> impl Strategy<Value = Plugin> {
    let capabilities = sample::subsequence(
        vec![Capability::Images, Capability::Containers, Capability::Pods, Capability::Logs, Capability::LogContent],
        0..=5,
    );
    let limits = (1..1_000_000_u32, 1_u64 << 20..=4 << 30).prop_map(|(timeout, memory)| PluginLimits {
        timeout: Duration::from_millis(timeout),
        memory: Bytes::new(memory),
    });
    let config =
        collection::btree_map("[ -~]{1,8}", config(), 0..4).prop_map(|map| map.into_iter().collect::<Map<_, _>>());
    (source(), option::of("[0-9a-f]{64}"), capabilities, config, limits, any::<bool>()).prop_map(
        |(source, digest, capabilities, config, limits, fail)| Plugin {
            name: String::new(),
            digest: digest.or_else(|| source.config_map().map(|_| "0".repeat(64))).map(|hex| format!("sha256:{hex}")),
            source,
            capabilities,
            config,
            limits,
            on_failure: if fail { OnFailure::FailRun } else { OnFailure::Skip },
        },
    )
}

fn rails() -> impl Strategy<Value = GuardRails> {
    let patterns = collection::vec("[a-z*?]{1,8}/[a-z*?]{1,8}(:[a-z0-9*]{1,6})?", 0..4);
    let patterns = patterns.prop_map(|texts| texts.iter().filter_map(|text| text.parse::<Pattern>().ok()).collect());
    let most = (option::of(any::<u64>()), option::of(any::<u64>().prop_map(Bytes::new)), option::of(percent()));
    let most = most.prop_map(|(count, bytes, percent)| MaxDeletions { count, bytes, percent });
    let built_in = sample::subsequence(vec![BuiltIn::Localhost, BuiltIn::Pause], 0..=2);
    (patterns, (built_in, any::<bool>()), duration(), 1..=u32::MAX, (duration(), duration()), most).prop_map(
        |(protect_images, built_in, min_age, confirmations, ages, max_deletions)| GuardRails {
            protect_images,
            unprotect_images: built_in.0,
            allow_partial_untag: built_in.1,
            min_age,
            confirmations,
            unknown_open_age: ages.0,
            settle_time: ages.1,
            max_deletions,
        },
    )
}

fn tolerations() -> impl Strategy<Value = Vec<Toleration>> {
    use TaintEffect::{NoExecute, NoSchedule, PreferNoSchedule};

    let effect = option::of(sample::select(vec![NoSchedule, PreferNoSchedule, NoExecute]));
    let one = (option::of("[a-z]{1,5}"), option::of("[a-z0-9]{1,5}"), effect, option::of(any::<i64>()));
    let one = one.prop_map(|(key, value, effect, seconds)| Toleration {
        operator: if value.is_some() && key.is_some() { TolerationOperator::Equal } else { TolerationOperator::Exists },
        value: value.filter(|_| key.is_some()),
        key,
        effect,
        toleration_seconds: seconds.filter(|_| effect == Some(NoExecute)),
    });
    collection::vec(one, 0..3)
}

fn rollout() -> impl Strategy<Value = Rollout> {
    use FailurePolicyType::{Continue, FailFast, Pause};

    let parallelism = prop_oneof![
        (1..=u32::MAX).prop_map(Parallelism::Nodes),
        percent().prop_filter("none", |share| share.get() > 0).prop_map(Parallelism::Share),
    ];
    let completion =
        (option::of(1..=u32::MAX), option::of(any::<u32>())).prop_map(|(deadline, ttl)| CompletionPolicy {
            kind: CompletionType::Always,
            active_deadline_seconds: deadline,
            ttl_seconds_after_finished: ttl,
        });
    let failure = (sample::select(vec![Continue, FailFast, Pause]), any::<u32>())
        .prop_map(|(kind, restart_limit)| FailurePolicy { kind, restart_limit });
    let labels = collection::btree_map(
        "([a-z]{1,3}(\\.[a-z]{1,3})?/)?[a-zA-Z0-9]{1,8}",
        "([A-Za-z0-9]([-A-Za-z0-9_.]{0,9}[A-Za-z0-9])?)?",
        0..3,
    );
    (option::of(parallelism), completion, failure, labels, tolerations()).prop_map(
        |(parallelism, completion_policy, failure_policy, node_selector, tolerations)| Rollout {
            parallelism,
            completion_policy,
            failure_policy,
            node_selector,
            tolerations,
            ..Rollout::default()
        },
    )
}

fn pressure() -> impl Strategy<Value = Pressure> {
    let below = || percent().prop_filter("nothing is fuller than full", |percent| percent.get() < 100);
    (below(), below(), 0..3_u8).prop_map(|(one, other, bounds)| Pressure {
        filesystem: Disk::Images,
        above: (bounds != 1).then_some(one.max(other)),
        until: (bounds != 0).then_some(one.min(other)),
    })
}

type Time = (Option<String>, Option<String>, Option<u32>, ConcurrencyPolicy, bool);

fn time() -> impl Strategy<Value = Time> {
    use ConcurrencyPolicy::{Allow, Forbid, Replace};

    let schedule = option::of(sample::select(vec!["*/5 * * * *", "@daily", "0 3 * * MON-FRI", "@every 90s"]));
    let zone = option::of(sample::select(vec!["UTC", "Europe/Berlin", "Asia/Shanghai"]));
    let policy = sample::select(vec![Allow, Forbid, Replace]);
    (schedule, zone, option::of(90..=u32::MAX), policy, any::<bool>()).prop_map(
        |(schedule, zone, deadline, policy, paused)| match schedule {
            Some(schedule) => (Some(schedule.to_owned()), zone.map(str::to_owned), deadline, policy, paused),
            // The others have no effect.
            None => (None, None, None, Forbid, paused),
        },
    )
}

fn spec() -> impl Strategy<Value = NodeCleanupSpec> {
    let roots = collection::btree_map(name(63), "(/[a-z]{1,5}){1,3}", 0..3)
        .prop_map(|roots| roots.into_iter().map(|(name, host_path)| LogRoot { name, host_path }).collect::<Vec<_>>());
    let plugins = collection::btree_map(name(63), plugin(), 1..4)
        .prop_map(|plugins| plugins.into_iter().map(|(name, plugin)| Plugin { name, ..plugin }).collect::<Vec<_>>());
    let pace = (1..=1_024_u16, duration(), 1..=u32::MAX).prop_map(|(concurrency, pause, max_failures)| Pace {
        concurrency,
        pause,
        max_failures,
    });
    let endpoint = sample::select(vec!["auto", "/run/crio/crio.sock", "unix:///run/containerd/containerd.sock"]);
    let rest = (any::<u32>(), any::<u32>(), any::<bool>(), endpoint);
    (time(), rest, roots, plugins, rails(), pace, option::of(pressure()), rollout()).prop_map(
        |(time, (successful, failed, enforce, endpoint), log_roots, plugins, guard_rails, pace, pressure, rollout)| {
            let (schedule, time_zone, starting_deadline_seconds, concurrency_policy, paused) = time;
            NodeCleanupSpec {
                schedule,
                time_zone,
                starting_deadline_seconds,
                concurrency_policy,
                paused,
                successful_jobs_history_limit: successful,
                failed_jobs_history_limit: failed,
                mode: if enforce { Mode::Enforce } else { Mode::DryRun },
                runtime: Runtime { endpoint: endpoint.to_owned(), ..Runtime::default() },
                log_roots,
                plugins,
                guard_rails,
                pace,
                pressure,
                rollout,
            }
        },
    )
}

fn manifest() -> impl Strategy<Value = NodeCleanup> {
    let notes = || collection::btree_map("[a-z./]{1,12}", "[ -~]{0,12}", 0..3);
    (name(52), option::of(name(63)), notes(), notes(), spec()).prop_map(
        |(name, namespace, labels, annotations, spec)| {
            let metadata = Metadata { name, namespace, labels, annotations, other: BTreeMap::new() };
            NodeCleanup { api_version: ApiVersion::V1Alpha1, kind: Kind::NodeCleanup, metadata, spec, status: None }
        },
    )
}

/// Every name of a field that the schema knows.
fn names() -> Vec<String> {
    let mut names = Vec::new();
    walk(schema(), "", &mut |_, path| names.extend(path.rsplit('.').next().map(|name| name.replace("[]", ""))));
    names
}

/// A tree that looks a little like a manifest: known names, plausible texts, in all the wrong places.
fn tree() -> impl Strategy<Value = Value> {
    let texts =
        ["auto", "Never", "Exists", "@every 1h", "TZ=", "10%", "5Gi", "10m", "", "sha256:", "holystone.dev/v1alpha1"];
    let leaf = prop_oneof![
        config(),
        any::<f64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(Value::from),
        sample::select(texts.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 8, |inner| {
        prop_oneof![
            1 => collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => collection::btree_map(sample::select(names()), inner, 0..8).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Replaces the value at a place of the tree, counted in depth-first order.
fn replaced(value: Value, place: &mut usize, by: &Value) -> Value {
    let here = *place == 0;
    *place = place.wrapping_sub(1);
    if here {
        return by.clone();
    }
    match value {
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, replaced(value, place, by))).collect(),
        Value::Array(items) => items.into_iter().map(|item| replaced(item, place, by)).collect(),
        scalar => scalar,
    }
}

fn only_manifests(found: &[Found<'_>]) -> Vec<NodeCleanup> {
    found.iter().map(|found| found.manifest.clone()).collect()
}

/// That a problem is one a person can do something about, and that no internal error shows through.
fn is_useful(problem: &Problem) -> bool {
    let told = problem.to_string();
    !problem.message.is_empty() && !told.contains("cannot be used") && !told.chars().any(char::is_control)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again(manifest in manifest()) {
        let read = |text: &str| Ok::<_, Vec<Problem>>(only_manifests(&read(&self::text(text))?));
        let json = serde_json::to_string(&manifest).unwrap();
        prop_assert_eq!(read(&json), Ok(vec![manifest.clone()]), "{}", json);
        let yaml = serde_saphyr::to_string(&manifest).unwrap();
        prop_assert_eq!(read(&yaml), Ok(vec![manifest.clone()]), "{}", yaml);
        prop_assert_eq!(from_value(&serde_json::to_value(&manifest).unwrap()), Ok(manifest));
    }

    #[test]
    fn one_wrong_value_is_told_or_fine_and_serde_thinks_the_same(manifest in manifest(), place in 0..120_usize, by in tree()) {
        let mut place = place;
        let value = replaced(serde_json::to_value(&manifest).unwrap(), &mut place, &by);
        match from_value(&value) {
            Ok(read) => prop_assert_eq!(from_value(&serde_json::to_value(&read).unwrap()), Ok(read)),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.iter().all(is_useful), "{problems:#?}");
            }
        }
    }

    #[test]
    fn no_tree_makes_it_panic_or_give_up(tree in tree()) {
        let document = json!({
            "apiVersion": "holystone.dev/v1alpha1", "kind": "NodeCleanup", "metadata": tree.clone(), "spec": tree,
        });
        if let Err(problems) = from_value(&document) {
            prop_assert!(problems.iter().all(is_useful), "{problems:#?}");
        }
        let _ = from_value(&tree);
        let yaml = serde_saphyr::to_string(&document).unwrap();
        let _ = read(&text(&yaml));
    }

    #[test]
    fn no_text_makes_it_panic(junk in "(?s).{0,200}", yaml in "([a-z]{1,5}: ?|- |\\[|\\]|\\{|\\}|,|\n|  |&a |\\*a|<<: |\"|'|\\||>|!!?[a-z]* |#|---\n|[0-9.]+|~){0,60}") {
        let _ = (read(&text(&junk)), read(&text(&yaml)));
    }

    #[test]
    fn no_change_to_a_good_text_makes_it_panic(
        full in any::<bool>(),
        cut in any::<sample::Index>(),
        length in 0..30_usize,
        by in "(?s).{0,12}|[-*&!%@`'\"{}\\[\\]:,#|>?\t\n ]{0,6}",
    ) {
        let good = if full { FULL } else { LEAST };
        let start = cut.index(good.len());
        let end = (start + length).min(good.len());
        let changed = format!("{}{by}{}", &good[..start], &good[end..]);
        if let Err(problems) = read(&text(&changed)) {
            prop_assert!(problems.iter().all(is_useful), "{problems:#?}");
        }
    }
}
