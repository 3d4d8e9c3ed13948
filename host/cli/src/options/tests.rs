use std::time::Duration;

use clap::Parser as _;
use holystone_core::pressure::Disk;
use holystone_node::RootSpec;
use holystone_runtime::Capability;
use jiff::SignedDuration;

use super::*;
use crate::args::{Arguments, Command};

fn run(flags: &[&str]) -> RunArguments {
    let arguments = [&["holystone", "run"], flags].concat();
    match Arguments::try_parse_from(arguments).unwrap().command {
        Command::Run(run) => run,
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_that_are_not_given_override_nothing() {
    assert_eq!(run(&["-f", "a.yaml"]).request().overrides, Overrides::default());
}

#[test]
fn every_flag_overrides_its_setting() {
    let flags = "-f a.yaml --mode enforce --endpoint /run/b.sock --time-limit 5s --protect c/d --unprotect *pause* \
                 --allow-partial-untag --min-age 0s --confirmations 1 --max-count 1 --max-bytes 2Gi --max-percent 3 \
                 --concurrency 4 --pause 5s --max-failures 6 --above 90 --until 80 --filesystem images \
                 --log-root app=/data/app --unknown-open-age 2s --settle-time 0s --allow images --timeout 7s --memory 8Mi";
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let expected = Overrides {
        mode: Some(manifest::Mode::Enforce),
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
            unprotect: vec!["*pause*".parse().unwrap()],
            allow_partial_untag: true,
            min_age: Some(SignedDuration::ZERO),
            confirmations: Some(1),
            unknown_open_age: Some(SignedDuration::from_secs(2)),
            settle_time: Some(SignedDuration::ZERO),
            max_count: Some(1),
            max_bytes: Some(2 << 30),
            max_percent: Some(3),
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
    assert_eq!(run(&flags).request().overrides, expected);
}

#[test]
fn directories_that_are_named_are_holystones_own() {
    let arguments = ["holystone", "daemon", "-f", "a.yaml", "--cache-dir", "/c", "--history-dir", "/h"];
    let Command::Daemon(daemon) = Arguments::try_parse_from(arguments).unwrap().command else { panic!() };
    let own: Vec<PathBuf> = daemon.options().node.own_directories.into_iter().map(|own| own.path).collect();
    assert_eq!(own, [PathBuf::from("/c"), PathBuf::from("/h")]);
}

#[test]
fn a_manifest_takes_the_place_of_plugins() {
    let parse = |flags: &[&str]| Arguments::try_parse_from([&["holystone", "run"], flags].concat());
    assert!(parse(&["-f", "a.yaml", "--plugin", "b.wasm"]).is_err());
    assert!(parse(&["-f", "a.yaml", "--config", "{}"]).is_err());
    assert!(parse(&["--plugin", "b.wasm", "--config-map-dir", "/c"]).is_err());
    assert!(parse(&[]).is_err());
}
