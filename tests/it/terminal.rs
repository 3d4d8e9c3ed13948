//! Running the binary on a terminal, where a run shows its plan and asks before it removes anything. Between the
//! question and the answer a test has all the time it needs to change the node.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};

use crate::support::Ended;

/// How the question ends.
const QUESTION: &str = "[y/N] ";

/// The same command, which was started with a clean environment, as a user types it who wants to be asked.
fn without_yes(command: &Command) -> Command {
    with_arguments(command, |argument| argument != "--yes")
}

/// The same command with those of its arguments that are wanted.
fn with_arguments(command: &Command, is_wanted: impl Fn(&OsStr) -> bool) -> Command {
    let mut other = Command::new(command.get_program());
    other.args(command.get_args().filter(|argument| is_wanted(argument))).env_clear();
    other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    other
}

/// Runs a command on a terminal of its own to its end, without an answer there.
pub(crate) fn run_on_terminal(command: &Command) -> Ended {
    let mut started = Asking::started(with_arguments(command, |_| true));
    // Should it ask all the same, that is no answer; it may be over already.
    let _ = started.terminal.write_all(b"\x04");
    started.rest()
}

/// A run that has shown its plan and waits for an answer.
pub(crate) struct Asking {
    child: Child,
    terminal: File,
    /// What it has said on the terminal.
    said: String,
}

impl Asking {
    /// Starts a run on a terminal of its own, with its result on a pipe, and waits for the question.
    pub(crate) fn start(command: &Command) -> Self {
        let mut asking = Self::started(without_yes(command));
        asking.wait();
        asking
    }

    fn started(mut command: Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).expect("a new terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("the terminal's other side");
        let other_side = || Stdio::from(ioctl_tiocgptpeer(&terminal, flags).expect("the terminal's other side"));
        let child = command.stdin(other_side()).stderr(other_side()).stdout(Stdio::piped()).spawn();
        // Only the child may hold the other side, or its end would go unnoticed.
        drop(command);
        let child = child.expect("the binary starts");
        Self { child, terminal: terminal.into(), said: String::new() }
    }

    fn wait(&mut self) {
        while !self.said.ends_with(QUESTION) {
            let more = self.read();
            assert!(!more.is_empty(), "it ended without a question: {}", self.said);
            self.said += &more;
        }
    }

    /// Answers, and waits for the next question.
    pub(crate) fn answer_and_wait(&mut self, answer: &str) {
        self.said.clear();
        writeln!(self.terminal, "{answer}").expect("the terminal takes the answer");
        self.wait();
    }

    /// Its output since the last answer: the plan.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Answers, and waits for the end.
    pub(crate) fn answer(mut self, answer: &str) -> Ended {
        writeln!(self.terminal, "{answer}").expect("the terminal takes the answer");
        self.rest()
    }

    /// Ends the input without an answer.
    pub(crate) fn end_of_input(mut self) -> Ended {
        // What Ctrl-D types.
        self.terminal.write_all(b"\x04").expect("the terminal takes it");
        self.rest()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.child.id().try_into().ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).expect("a running binary");
    }

    /// Waits for the end.
    pub(crate) fn rest(mut self) -> Ended {
        // The report may be larger than a pipe holds, and so may what is said on the terminal.
        let mut report = self.child.stdout.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let mut stdout = String::new();
            report.read_to_string(&mut stdout).expect("UTF-8 on standard output");
            stdout
        });
        let mut stderr = String::new();
        loop {
            match self.read() {
                more if more.is_empty() => break,
                more => stderr += &more,
            }
        }
        let code = self.child.wait().expect("the end of the binary").code().unwrap_or(-1);
        Ended { code, stdout: reader.join().expect("the reader ends"), stderr }
    }

    /// Ends it at once, without any chance to clean up.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a running binary");
        self.child.wait().expect("the end of the binary");
    }

    /// What it says next; nothing when it has ended, which a terminal reports as an error.
    fn read(&mut self) -> String {
        let mut buffer = [0; 4096];
        let length = self.terminal.read(&mut buffer).unwrap_or(0);
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}
