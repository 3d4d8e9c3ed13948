//! Work on untrusted input, in a separate process.
//!
//! Compiling a component and checking a config against a JSON Schema take as much time and memory as the author of the
//! component or the schema wants, and no timer and no allocator of this process could end them. Therefore the same
//! program starts once more as a worker: it gives up all rights that it does not need (`child`), reads the input from
//! one pipe and writes the answer to another. The worker is killed when its time is up or when the caller drops the
//! future, and ends by itself when this process does. The kernel enforces its limits of memory and processor time.
//!
//! The protocol: the worker reads a length of eight bytes and the input. It keeps reading, because the end of the pipe
//! means that the caller has stopped waiting. It answers with `ANSWER`, a status, a length of eight bytes and that many
//! bytes. Other output, such as that of an early end, goes to the same pipe and is kept for the error.

mod child;

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use holystone_core::text;
use holystone_core::worker::WORKERS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

pub use child::{Prepared, Task, main};

/// The first argument of a worker.
const MARK: &str = "__worker";
/// The prefix of an answer, which no program prints by accident.
const ANSWER: &[u8] = b"\0holystone answers\0";
/// The bytes before the content of an answer: a status and a length.
const HEADER: usize = ANSWER.len() + 1 + 8;
/// The largest number of bytes that a worker may print before its answer, or instead of one.
const PRINTED: usize = 16 << 10;
/// The interval at which a worker's memory is read, to report how much it took.
const SAMPLE: Duration = Duration::from_millis(20);

/// The status of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AnswerStatus {
    /// A result, which is the content.
    Done = 0,
    /// A problem with the input, which the content says in a sentence.
    Refused = 1,
    /// A lack of memory.
    OverMemory = 2,
}

/// Permits of concurrent workers, which bound the memory of all workers of this process.
static TURNS: Semaphore = Semaphore::const_new(WORKERS);

/// A program that can be started as a worker.
#[derive(Clone, Debug)]
pub struct Worker {
    program: PathBuf,
}

/// The limits of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Writable memory, in bytes.
    pub memory: u64,
    /// Time on the clock, and processor time in whole seconds, rounded up.
    pub time: Duration,
    /// Size of the answer, in bytes.
    pub answer: usize,
}

/// The reason why there is no answer. The message completes a sentence that begins with the task ("compiling it …").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// A problem that the worker found in the input.
    #[error("failed: {0}")]
    Refused(String),
    /// A worker that was stopped at a limit.
    #[error("took {limit} and was stopped{taken}")]
    OverLimit {
        /// The limit that was exceeded.
        limit: Limit,
        /// The time and memory that the worker took.
        taken: Taken,
    },
    /// A worker that ended without an answer.
    #[error("ended without a result: {how}{taken}")]
    Ended {
        /// A description of the end.
        how: String,
        /// The time and memory that the worker took.
        taken: Taken,
    },
    /// A worker that could not be started.
    #[error("could not be started in a process of its own: {0}")]
    NotStarted(String),
}

/// A limit of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Memory, in bytes.
    Memory(u64),
    /// Time on the clock.
    Time(Duration),
    /// Processor time, in seconds.
    Processor(u64),
    /// Size of the answer, in bytes.
    Answer(usize),
}

/// The time and memory that a worker took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The time from the worker's start to its end.
    pub time: Duration,
    /// The largest resident memory that was seen, in bytes; 0 if it was never seen.
    pub memory: u64,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "more than {} MiB of memory", bytes >> 20),
            Self::Time(time) => write!(f, "longer than {} s", time.as_secs_f64()),
            Self::Processor(seconds) => write!(f, "more than {seconds} s of processor time"),
            Self::Answer(bytes) => write!(f, "more than {} MiB for its result", bytes >> 20),
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " after {:.1} s", self.time.as_secs_f64())?;
        if self.memory > 0 {
            write!(f, ", with {} MiB of memory in use", self.memory >> 20)?;
        }
        Ok(())
    }
}

impl Worker {
    /// Creates a worker of this program, whose `main` has to call [`main`] before anything else.
    pub fn this_program() -> Self {
        // A path could have been replaced since this process started.
        Self::at("/proc/self/exe")
    }

    /// Creates a worker of another program that begins like that: tests and benchmarks name the binary.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Runs a task in a worker. Dropping the future kills the worker.
    ///
    /// # Errors
    /// Fails with the reason why there is no result.
    pub async fn run(&self, task: &str, input: &[u8], allowance: Allowance) -> Result<Vec<u8>, WorkError> {
        let not_started = |error: &dyn fmt::Display| WorkError::NotStarted(error.to_string());
        let _turn = TURNS.acquire().await.map_err(|error| not_started(&error))?;
        let started = Instant::now();
        let (mut child, output) = self.start(task, allowance).map_err(|error| not_started(&error))?;
        let (process, mut peak) = (child.id(), 0);
        let ended = tokio::select! {
            ended = exchange(&mut child, output, input, allowance) => Some(ended),
            () = tokio::time::sleep(allowance.time) => None,
            never = watch(process, &mut peak) => match never {},
        };
        let taken = Taken { time: started.elapsed(), memory: peak };
        match ended {
            Some(Ok((printed, status))) => result(&printed, status, allowance, taken),
            Some(Err(error)) => Err(WorkError::Ended { how: error.to_string(), taken }),
            None => {
                // The worker may have ended already.
                let _ = child.kill().await;
                Err(WorkError::OverLimit { limit: Limit::Time(allowance.time), taken })
            }
        }
    }

    fn start(&self, task: &str, allowance: Allowance) -> std::io::Result<(Child, pipe::Receiver)> {
        let (reader, writer) = std::io::pipe()?;
        let child = Command::new(&self.program)
            .arg0("holystone")
            .args([OsStr::new(MARK), task.as_ref()])
            .args([allowance.memory.to_string(), seconds(allowance.time).to_string()])
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .kill_on_drop(true)
            .spawn()?;
        Ok((child, pipe::Receiver::from_owned_fd(reader.into())?))
    }
}

fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Writes the input and reads until the worker has closed its output or has printed too much.
async fn exchange(
    child: &mut Child,
    output: pipe::Receiver,
    input: &[u8],
    allowance: Allowance,
) -> std::io::Result<(Vec<u8>, ExitStatus)> {
    let mut stdin = child.stdin.take();
    let hand_over = async {
        if let Some(stdin) = &mut stdin {
            // If the worker ended early, its output shows it.
            let _ = stdin.write_all(&(input.len() as u64).to_le_bytes()).await;
            let _ = stdin.write_all(input).await;
        }
    };
    let read = async {
        let mut printed = Vec::new();
        let most = allowance.answer.saturating_add(HEADER + PRINTED + 1);
        output.take(most as u64).read_to_end(&mut printed).await?;
        Ok::<_, std::io::Error>((printed, most))
    };
    let ((), read) = tokio::join!(hand_over, read);
    let (printed, most) = read?;
    if printed.len() >= most {
        child.start_kill()?;
    }
    // The input stays open until here, because its end would mean that the caller has stopped waiting.
    drop(stdin);
    Ok((printed, child.wait().await?))
}

/// Samples the memory of a process until it is dropped.
async fn watch(process: Option<u32>, peak: &mut u64) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(SAMPLE).await;
        let Some(process) = process else { continue };
        if let Ok(status) = std::fs::read_to_string(format!("/proc/{process}/status")) {
            *peak = (*peak).max(high_water(&status).unwrap_or_default());
        }
    }
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Determines the result of a worker from its output and its exit status.
fn result(printed: &[u8], ended: ExitStatus, allowance: Allowance, taken: Taken) -> Result<Vec<u8>, WorkError> {
    let over = |limit| Err(WorkError::OverLimit { limit, taken });
    if let Some((status, content)) = answer(printed) {
        return match status {
            AnswerStatus::Done if content.len() > allowance.answer => over(Limit::Answer(allowance.answer)),
            AnswerStatus::Done => Ok(content.to_vec()),
            AnswerStatus::Refused => Err(WorkError::Refused(text::shown(&String::from_utf8_lossy(content)))),
            AnswerStatus::OverMemory => over(Limit::Memory(allowance.memory)),
        };
    }
    if printed.len() > allowance.answer.saturating_add(HEADER + PRINTED) {
        return over(Limit::Answer(allowance.answer));
    }
    over_a_limit(printed, ended, allowance).map_or_else(
        || Err(WorkError::Ended { how: how_it_ended(printed, ended), taken }),
        |limit| Err(WorkError::OverLimit { limit, taken }),
    )
}

/// Finds the answer in the output of a worker, if it is complete.
fn answer(printed: &[u8]) -> Option<(AnswerStatus, &[u8])> {
    let start = printed.windows(ANSWER.len()).take(PRINTED).position(|window| window == ANSWER)?;
    let (status, rest) = printed.get(start + ANSWER.len()..)?.split_first()?;
    let (length, content) = rest.split_first_chunk::<8>()?;
    let status = [AnswerStatus::Done, AnswerStatus::Refused, AnswerStatus::OverMemory]
        .into_iter()
        .find(|it| *it as u8 == *status)?;
    (u64::from_le_bytes(*length) == content.len() as u64).then_some((status, content))
}

fn over_a_limit(printed: &[u8], ended: ExitStatus, allowance: Allowance) -> Option<Limit> {
    use std::os::unix::process::ExitStatusExt as _;

    let said = String::from_utf8_lossy(printed);
    if out_of_memory(&said) {
        return Some(Limit::Memory(allowance.memory));
    }
    let processor = ended.signal() == Some(rustix::process::Signal::XCPU.as_raw());
    processor.then(|| Limit::Processor(seconds(allowance.time)))
}

/// Returns whether a text has the words of Rust's allocator, or those of the system, for a lack of memory.
fn out_of_memory(words: &str) -> bool {
    ["memory allocation of ", "Cannot allocate memory", "out of memory"].iter().any(|it| words.contains(it))
}

fn how_it_ended(printed: &[u8], ended: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;

    let said = String::from_utf8_lossy(printed);
    let how = match ended.signal() {
        Some(signal) if signal == rustix::process::Signal::KILL.as_raw() => {
            "it was killed, perhaps because the machine or the container has no memory left".to_owned()
        }
        Some(_) if said.contains("has overflowed its stack") => return "it ran out of stack".to_owned(),
        Some(signal) => format!("it crashed with signal {signal}"),
        None => format!("it ended with exit code {}", ended.code().unwrap_or_default()),
    };
    match said.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with("note: ")) {
        Some(line) => format!("{how}, and said: {}", text::shown(line)),
        None => how,
    }
}

#[cfg(test)]
mod tests;
