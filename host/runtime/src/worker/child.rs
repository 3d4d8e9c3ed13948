//! The worker's side: gives up the rights that it does not need, does one task, and ends.
//!
//! The worker has no secrets to keep from its input. Giving up rights limits the harm that a worker, once its input has
//! taken it over, can do to the machine. Whether the answer can be trusted is a question for the caller; see `code`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::sync::mpsc;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities, set_no_new_privs};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{ANSWER, AnswerStatus, MARK, out_of_memory};

/// The largest number of threads of a worker for its task.
const THREADS: usize = 4;
/// Address space that takes no memory, in bytes: the program itself, stacks, and reservations of allocators.
const UNTOUCHED: u64 = 1 << 30;
/// The exit code of a worker that could not start.
const FAILED: u8 = 70;

/// A task that a worker can do.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// The task's name, for [`Worker::run`](super::Worker::run).
    pub name: &'static str,
    /// The preparation to run on so many threads, while files can still be opened and threads be started.
    pub prepare: fn(usize) -> Result<Prepared, String>,
}

/// The rest of a task, once the input is there. The error says what is wrong with the input.
pub type Prepared = Box<dyn FnOnce(Vec<u8>) -> Result<Vec<u8>, String>>;

/// The task and the limits that a worker was given.
#[derive(Debug)]
struct Order {
    task: OsString,
    memory: u64,
    seconds: u64,
}

/// Runs a task, if this process was started as a worker. A program that starts workers calls this before anything else.
pub fn main(tasks: &[Task]) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != MARK {
        return None;
    }
    let number = |text: Option<OsString>| text?.to_str()?.parse::<u64>().ok();
    let order = (arguments.next(), number(arguments.next()), number(arguments.next()));
    let (Some(task), Some(memory), Some(seconds)) = order else {
        return Some(failed("a worker is started by Holystone itself"));
    };
    Some(match work(&Order { task, memory, seconds }, tasks) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => failed(&problem),
    })
}

fn failed(problem: &str) -> ExitCode {
    // A failed write is ignored: the reader may be gone.
    let _ = writeln!(std::io::stderr(), "{problem}");
    ExitCode::from(FAILED)
}

fn work(order: &Order, tasks: &[Task]) -> Result<(), String> {
    let task = tasks.iter().find(|task| order.task == task.name).ok_or("there is no such task")?;
    limit(order).map_err(|error| format!("the limits cannot be set: {error}"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let prepared = (task.prepare)(threads)?;
    let input = reader().map_err(|error| format!("no thread for the input: {error}"))?;
    lock()?;
    let bytes = input.recv().map_err(|_| "no input")?;
    let (status, content) = match prepared(bytes) {
        Ok(content) => (AnswerStatus::Done, content),
        Err(problem) if out_of_memory(&problem) => (AnswerStatus::OverMemory, Vec::new()),
        Err(problem) => (AnswerStatus::Refused, problem.into_bytes()),
    };
    answer(status, &content).map_err(|error| format!("no answer could be written: {error}"))
}

fn answer(status: AnswerStatus, content: &[u8]) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(ANSWER)?;
    output.write_all(&[status as u8])?;
    output.write_all(&(content.len() as u64).to_le_bytes())?;
    output.write_all(content)?;
    output.flush()
}

/// Reads the input on a separate thread, which then waits for the end of the pipe: that is the end of the process that
/// waits for the answer.
fn reader() -> std::io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut input = std::io::stdin().lock();
        let mut length = [0; 8];
        let mut bytes = Vec::new();
        let read = input.read_exact(&mut length).and_then(|()| {
            let length = u64::from_le_bytes(length);
            bytes.reserve_exact(usize::try_from(length).unwrap_or(usize::MAX));
            input.by_ref().take(length).read_to_end(&mut bytes).map(|read| read as u64 == length)
        });
        if matches!(read, Ok(true)) && sender.send(bytes).is_ok() {
            let _ = input.read(&mut [0]);
        }
        std::process::exit(FAILED.into());
    };
    std::thread::Builder::new().name("input".to_owned()).spawn(read)?;
    Ok(receiver)
}

/// Sets the limits for everything that follows, and drops all rights that a user id does not have by itself.
fn limit(order: &Order) -> rustix::io::Result<()> {
    let limit = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set_no_new_privs(true)?;
    limit(Resource::Data, order.memory)?;
    limit(Resource::As, order.memory.saturating_add(UNTOUCHED))?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, 0)?;
    // The second limit kills a worker that ignores the signal of the first.
    let processor = Rlimit { current: Some(order.seconds), maximum: Some(order.seconds.saturating_add(1)) };
    setrlimit(Resource::Cpu, processor)?;
    let none = CapabilitySet::empty();
    // If the call is forbidden, the process has no capabilities.
    let _ = set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none });
    Ok(())
}

/// Gives up what is not needed any more once all threads are started: files, processes, and every system call except
/// those for computing. On a kernel without seccomp, only the limits apply.
fn lock() -> Result<(), String> {
    let limit = |resource| setrlimit(resource, Rlimit { current: Some(0), maximum: Some(0) });
    limit(Resource::Nofile).and_then(|()| limit(Resource::Nproc)).map_err(|error| error.to_string())?;
    if let Ok(filter) = filter() {
        let _ = seccompiler::apply_filter_all_threads(&filter);
    }
    Ok(())
}

/// Builds the filter of system calls, which allows those for computing. Other calls fail as on a kernel that does not
/// know them.
fn filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in [
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_clock_nanosleep,
        libc::SYS_close,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_nanosleep,
        libc::SYS_restart_syscall,
        libc::SYS_rseq,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_getaffinity,
        libc::SYS_sched_yield,
        libc::SYS_set_robust_list,
        libc::SYS_sigaltstack,
    ] {
        rules.insert(call, Vec::new());
    }
    // Allowed are only the two pipes, whatever else this process may have inherited; only memory that is not a file;
    // and only signals to this process, which it needs to abort.
    let is = |argument, operator, value| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value);
    let anonymous = u64::from(libc::MAP_ANONYMOUS.cast_unsigned());
    let own = u64::from(std::process::id());
    for (call, condition) in [
        (libc::SYS_read, is(0, SeccompCmpOp::Eq, 0)?),
        (libc::SYS_write, is(0, SeccompCmpOp::Le, 2)?),
        (libc::SYS_writev, is(0, SeccompCmpOp::Le, 2)?),
        (libc::SYS_mmap, is(3, SeccompCmpOp::MaskedEq(anonymous), anonymous)?),
        (libc::SYS_tgkill, is(0, SeccompCmpOp::Eq, own)?),
    ] {
        rules.insert(call, vec![SeccompRule::new(vec![condition])?]);
    }
    let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(rules, unknown, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?;
    filter.try_into()
}
