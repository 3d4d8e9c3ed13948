//! Plugins that want too much memory: their own, or the host's for what they hand it.
//!
//! How much the process takes meanwhile is measured by the benchmark `limits`.

use super::{guest, harm};

const OVER: &str = "it wanted more than its 32 MiB of memory";
const COPIED: &str = "it handed the host more than 16 MiB at once";

#[test]
fn one_memory_ends_at_the_limit() {
    harm("allocate").with("--memory 32Mi").is_stopped("MemoryLimit", &[OVER]);
}

#[test]
fn several_memories_end_at_one_limit_together() {
    guest("several-memories").with("--memory 32Mi").is_stopped("MemoryLimit", &[OVER]);
}

#[test]
fn a_memory_that_is_declared_counts() {
    guest("declared-memory").with("--memory 32Mi").is_stopped("MemoryLimit", &[OVER]);
}

#[test]
fn a_table_that_grows_counts() {
    guest("growing-table").with("--memory 32Mi").is_stopped("MemoryLimit", &[OVER]);
}

#[test]
fn a_table_that_is_declared_counts() {
    guest("declared-table").with("--memory 32Mi").is_stopped("MemoryLimit", &[OVER]);
}

#[test]
fn memories_are_counted_however_small_they_are() {
    guest("many-memories").is_stopped("MemoryLimit", &["it has 17 memories, a plugin may have 16"]);
}

#[test]
fn tables_are_counted_however_small_they_are() {
    guest("many-tables").is_stopped("MemoryLimit", &["it has 65 tables, a plugin may have 64"]);
}

#[test]
fn handles_are_counted() {
    guest("handles").is_stopped("Trapped", &["it was stopped: "]);
}

#[test]
fn one_removal_too_many_is_told_by_number() {
    harm("many").is_stopped("PlanRejected", &["it wishes 50001 removals, a plan may have 50000"]);
}

#[test]
fn ten_million_removals_are_not_even_copied() {
    guest("ten-million").with("--memory 1Gi").is_stopped("MemoryLimit", &[COPIED]);
}

#[test]
fn ten_million_removals_do_not_fit_into_a_plugins_memory() {
    guest("ten-million").is_stopped("MemoryLimit", &["it wanted more than its 64 MiB of memory"]);
}

#[test]
fn ten_million_attributes_are_not_even_copied() {
    guest("many-attributes").with("--memory 256Mi").is_stopped("MemoryLimit", &[COPIED]);
}

#[test]
fn ten_million_problems_with_a_config_are_not_even_copied() {
    guest("many-problems").with("--memory 256Mi").is_stopped("MemoryLimit", &[COPIED]);
}

#[test]
fn one_name_of_10_mb_is_no_name() {
    harm("long-name").is_stopped("PlanRejected", &["removal 1 names its target with 10485760 bytes"]);
}

#[test]
fn a_hundred_names_of_10_mb_are_not_all_copied() {
    guest("long-texts").is_stopped("MemoryLimit", &[COPIED]);
    harm("huge").with("--memory 512Mi").is_stopped("MemoryLimit", &[COPIED]);
}

#[test]
fn a_reason_of_10_mb_is_cut() {
    let ended = harm("long-reason").with("--protect * -o json").removes(&[]);
    let report = ended.json();
    assert_eq!(report["images"]["refusals"][0]["wish"]["reason"]["text"].as_str().unwrap().len(), 1024);
    assert!(ended.stdout.len() < 10_000);
}

#[test]
fn a_message_of_100_mb_is_not_copied() {
    guest("long-message").with("--memory 128Mi").is_stopped("MemoryLimit", &[COPIED]);
}

#[test]
fn a_terabyte_of_random_bytes_is_not_made() {
    guest("random-flood").is_stopped("Trapped", &["it was stopped: ", "1099511627776"]);
}
