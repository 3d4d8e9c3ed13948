//! Plugins that break, and plugins whose answers are broken. What they last wrote is told.

use super::{guest, harm};

#[test]
fn a_panic_is_told_with_its_message() {
    harm("panic").is_stopped("Trapped", &["it panicked or aborted", "on purpose\\u{1b}[31m"]);
    harm("validate-panic").is_stopped("Trapped", &["it panicked or aborted", "on purpose"]);
}

#[test]
fn an_abort_is_a_crash() {
    harm("abort").is_stopped("Trapped", &["it panicked or aborted"]);
}

#[test]
fn an_exit_is_no_answer_whatever_its_code() {
    harm("exit-0").is_stopped("Trapped", &["it ended itself with exit code 0"]);
    harm("exit-1").is_stopped("Trapped", &["it ended itself with exit code 1"]);
    harm("exit-in-mid-sentence").is_stopped("Trapped", &["exit code 1", "it last wrote: half a line"]);
}

#[test]
fn recursion_ends_at_the_stacks_end() {
    harm("recurse").is_stopped("Trapped", &["it went out of its memory's bounds (deep recursion does that)"]);
    guest("recursion").is_stopped("Trapped", &["it ran out of stack"]);
}

#[test]
fn a_crash_at_the_start_is_a_crash() {
    guest("start-trap").is_stopped("Trapped", &["it panicked or aborted"]);
}

#[test]
fn an_answer_outside_of_its_memory_is_none() {
    guest("list-outside").is_stopped("Trapped", &["it was stopped: list pointer/length out of bounds of memory"]);
    guest("realloc-outside").is_stopped("Trapped", &["it was stopped: "]);
}

#[test]
fn an_answer_of_a_case_that_there_is_not_is_none() {
    guest("no-such-case").is_stopped("Trapped", &["it was stopped: invalid expected discriminant"]);
}

#[test]
fn an_answer_that_is_no_text_is_none() {
    guest("not-utf-8").is_stopped("Trapped", &["it was stopped: ", "utf-8"]);
}

#[test]
fn a_plugin_may_say_that_it_cannot_decide() {
    harm("error").is_stopped("PlanRejected", &["it could not decide: cannot\\u{1b}[2J decide"]);
    harm("no such harm").is_stopped("PlanRejected", &["it could not decide: no such harm"]);
}

#[test]
fn a_config_that_the_plugin_refuses_is_told_field_by_field() {
    let words = ["  --config: do: is \\u{1b}[31mwrong\n", "  --config: else: too\n"];
    harm("validate-error").is_stopped("ConfigInvalid", &words);
}

#[test]
fn a_problem_without_a_field_or_words_is_told_as_well_and_cut() {
    let words = ["--config: as a whole\n", "x…: y", "a\\u{1b}[31m b: the plugin does not say what is wrong"];
    harm("validate-strange").is_stopped("ConfigInvalid", &words);
}
