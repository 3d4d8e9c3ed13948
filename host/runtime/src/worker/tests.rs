use std::os::unix::process::ExitStatusExt as _;

use super::*;

const ALLOWANCE: Allowance = Allowance { memory: 64 << 20, time: Duration::from_secs(3), answer: 10 };
const TAKEN: Taken = Taken { time: Duration::from_millis(1_250), memory: 63 << 20 };

fn framed(status: u8, content: &[u8]) -> Vec<u8> {
    [ANSWER, &[status], &(content.len() as u64).to_le_bytes()[..], content].concat()
}

fn told(printed: &[u8], wait_status: i32) -> String {
    match result(printed, ExitStatus::from_raw(wait_status), ALLOWANCE, TAKEN) {
        Ok(content) => format!("done: {}", String::from_utf8_lossy(&content)),
        Err(error) => error.to_string(),
    }
}

#[test]
fn an_answer_counts_only_as_a_whole() {
    let whole = framed(0, b"content");
    assert_eq!(told(&whole, 0), "done: content");
    assert_eq!(told(&[b"a warning\n", &whole[..]].concat(), 0), "done: content");
    for length in 0..whole.len() {
        assert!(told(&whole[..length], 0).starts_with("ended without a result: it ended with exit code 0"), "{length}");
    }
    assert!(told(&[&whole[..], b"more"].concat(), 0).starts_with("ended without a result"));
    assert!(told(&framed(7, b"content"), 0).starts_with("ended without a result"));
    assert_eq!(told(&framed(1, b"no \x1b[2Jcode"), 0), "failed: no \\u{1b}[2Jcode");
    assert!(told(&framed(1, &[b'x'; 10]), 0).len() < 300);
}

#[test]
fn every_end_says_which_limit_it_was_and_what_was_taken() {
    let taken = " after 1.2 s, with 63 MiB of memory in use";
    for (printed, wait_status, words) in [
        (&b"memory allocation of 4096 bytes failed\n"[..], 6, "took more than 64 MiB of memory and was stopped"),
        (
            b"thread failed: Cannot allocate memory (os error 12)",
            70 << 8,
            "took more than 64 MiB of memory and was stopped",
        ),
        (&framed(2, b""), 0, "took more than 64 MiB of memory and was stopped"),
        (b"", 24, "took more than 3 s of processor time and was stopped"),
        (&framed(0, &[b'x'; 11]), 0, "took more than 0 MiB for its result and was stopped"),
        (&vec![b'x'; PRINTED + HEADER + 11], 9, "took more than 0 MiB for its result and was stopped"),
        (
            b"",
            9,
            "ended without a result: it was killed, perhaps because the machine or the container has no memory left",
        ),
        (b"\nthread 'main' has overflowed its stack\nfatal", 6, "ended without a result: it ran out of stack"),
        (
            b"panicked at x:\nnote: y\n",
            101 << 8,
            "ended without a result: it ended with exit code 101, and said: panicked at x:",
        ),
        (b"", 11, "ended without a result: it crashed with signal 11"),
    ] {
        assert_eq!(told(printed, wait_status), format!("{words}{taken}"));
    }
}

#[test]
fn memory_is_read_as_the_kernel_writes_it() {
    assert_eq!(high_water("Name:\tx\nVmHWM:\t    1234 kB\nVmRSS:\t 1 kB\n"), Some(1234 << 10));
    assert_eq!(high_water("Name:\tx\n"), None);
    assert_eq!(seconds(Duration::from_millis(300)), 1);
    assert_eq!(seconds(Duration::from_mins(2)), 120);
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_told() {
    let error = Worker::at("/nonexistent/worker").run("compile", b"", ALLOWANCE).await.unwrap_err();
    assert!(matches!(&error, WorkError::NotStarted(why) if why.contains("No such file")), "{error}");
}

#[tokio::test]
async fn a_program_that_never_answers_is_killed_in_time() {
    let allowance = Allowance { time: Duration::from_millis(300), ..ALLOWANCE };
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("never");
    std::fs::write(&script, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let error = Worker::at(&script).run("any", b"", allowance).await.unwrap_err();
    let WorkError::OverLimit { limit: Limit::Time(limit), taken } = error else { panic!("{error}") };
    assert_eq!(limit, allowance.time);
    assert!(taken.time >= allowance.time);
}

#[tokio::test]
async fn a_program_that_prints_without_end_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("endless");
    std::fs::write(&script, "#!/bin/sh\nexec cat /dev/zero\n").unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let allowance = Allowance { time: Duration::from_secs(100), ..ALLOWANCE };
    let error = Worker::at(&script).run("any", b"", allowance).await.unwrap_err();
    assert!(matches!(error, WorkError::OverLimit { limit: Limit::Answer(10), .. }), "{error}");
}
