//! Plugins that want to know more than they are shown, or to do more than to answer.

use std::path::Path;

use super::{guest, harm, node};

#[test]
fn a_plugin_finds_out_nothing_and_the_same_each_time() {
    let plan = || {
        let mut command = crate::support::deciding("plan", &[(holystone_tests::misbehave(), r#"{"do":"confess"}"#)]);
        command.args(["--snapshot", SNAPSHOT, "--allow", "images,logs,log-content"]);
        crate::support::end(&mut command).expect(2).stderr
    };
    let said = plan();
    assert_eq!(said, plan(), "clocks and random numbers are fixed");
    // 2026-11-24T06:00:00Z, the time of the recorded snapshot.
    let nothing = [
        "env=0 args=0 cwd=false passwd=false write=false remove=false",
        "tcp=false listen=false udp=false dns=false stdin=false roots=0",
    ];
    for words in ["now=Ok(1795500000000000000)", "elapsed=0ns", nothing[0], nothing[1]] {
        assert!(said.contains(words), "{words} is missing: {said}");
    }
}

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/snapshots/rollout-node.json");

#[test]
fn files_network_and_environment_are_out_of_reach_on_a_node() {
    harm("confess").is_stopped("PlanRejected", &["env=0 args=0 cwd=false passwd=false write=false remove=false"]);
    assert!(Path::new("/etc/passwd").exists() && !Path::new("/tmp/holystone-was-here").exists());
}

#[test]
fn without_declared_log_roots_there_are_none() {
    harm("logs").is_stopped("PlanRejected", &["0 roots; Err(Error::NotFound", "no log root is named app"]);
}

#[test]
fn what_is_not_granted_is_denied_before_anything_runs() {
    let words = ["capability images", "capability logs", "capability log-content", "--allow grants"];
    harm("loop").with("--allow pods").is_stopped("CapabilityDenied", &words);
    harm("loop").with("--allow images,logs").is_stopped("CapabilityDenied", &["capability log-content"]);
}

#[test]
fn http_is_denied() {
    guest("http").is_stopped("CapabilityDenied", &["wasi:http/outgoing-handler@0.2.0"]);
}

#[test]
fn foreign_interfaces_are_denied() {
    guest("foreign").is_stopped("CapabilityDenied", &["evil:host/exec@1.0.0"]);
}

#[test]
fn other_versions_of_the_interface_are_told_as_such() {
    guest("newer-interface").is_stopped("IncompatibleApi", &["holystone:node/images@0.2.0"]);
    guest("other-signature").is_stopped("IncompatibleApi", &["holystone:node/cleaner@0.1.0"]);
}

#[test]
fn the_runtimes_socket_does_not_hear_of_a_plugin_that_fails() {
    let (node, _runtime) = node();
    let before = node.simulated.calls(holystone_node::simulated::Method::ListImages);
    harm("loop").with("--timeout 100ms").run(&node).expect(2);
    let after = node.simulated.calls(holystone_node::simulated::Method::ListImages);
    assert_eq!(after - before, 1, "one look, for the snapshot");
}
