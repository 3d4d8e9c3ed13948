//! Plugins that do not end: the time limit ends them, wherever they are.
//!
//! How exactly is measured by the benchmark `limits`.

use super::{Attack, guest, harm};

#[track_caller]
fn is_timed_out(attack: Attack) {
    attack.with("--timeout 300ms").is_stopped("Timeout", &["it did not finish within 0.3 s"]);
}

#[test]
fn a_loop_in_plan_ends() {
    is_timed_out(harm("loop"));
}

#[test]
fn a_loop_in_validate_ends() {
    is_timed_out(harm("validate-loop"));
}

#[test]
fn a_loop_in_the_start_function_ends() {
    is_timed_out(guest("start-loop"));
}

#[test]
fn a_loop_in_a_constructor_ends() {
    is_timed_out(guest("initialize-loop"));
}

#[test]
fn a_loop_where_the_host_asks_for_room_ends() {
    is_timed_out(guest("realloc-loop"));
}

#[test]
fn a_loop_after_the_answer_ends() {
    is_timed_out(guest("post-return-loop"));
}

#[test]
fn a_loop_of_small_host_calls_ends() {
    is_timed_out(harm("loop-in-host"));
}

#[test]
fn a_loop_of_large_host_calls_ends() {
    is_timed_out(harm("loop-listing"));
}

#[test]
fn a_loop_that_prints_ends() {
    is_timed_out(harm("loop-printing"));
}

#[test]
fn a_loop_that_logs_ends() {
    is_timed_out(harm("loop-logging"));
}

#[test]
fn a_sleep_ends() {
    is_timed_out(harm("sleep"));
}
