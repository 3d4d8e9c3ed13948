//! The `holystone` binary, which scrubs the disks of Kubernetes nodes. Plugins propose, the guard rails review, the
//! host removes.
//!
//! This crate is the composition root: it parses the command line, wires the crates together and prints results.
//! Results go to standard output, everything else to standard error.

mod args;
mod commands;
mod exit;
mod options;
mod output;
mod question;
mod results;
mod termination_message;

use std::fmt;
use std::process::ExitCode;

use clap::Parser as _;
use holystone_core::text;
use holystone_runtime::worker;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{self, Writer};

use crate::args::{Arguments, Command, KubectlArguments};
use crate::commands::{
    completion, daemon, demo, explain, kubectl, operator, plan, render, run, simulate, snapshot, state, status,
    validate, version,
};
use crate::exit::Exit;

/// The tasks of this program as a worker.
const TASKS: [worker::Task; 2] = [holystone_runtime::COMPILE, holystone_agent::SCHEMA];

fn main() -> ExitCode {
    if let Some(code) = worker::main(&TASKS) {
        return code;
    }
    if kubectl::is_plugin(std::env::args_os().next().as_deref()) {
        return match KubectlArguments::try_parse() {
            Ok(arguments) => {
                start_log(0);
                exit::code(on_runtime(kubectl::kubectl(&arguments)))
            }
            Err(error) => exit::usage(&error),
        };
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            if error.use_stderr() {
                let command_line: Vec<_> = std::env::args_os().collect();
                termination_message::write_usage(&command_line, &error);
            }
            return exit::usage(&error);
        }
    };
    start_log(arguments.verbose);
    exit::code(dispatch(arguments.command))
}

fn on_runtime(work: impl Future<Output = anyhow::Result<Exit>>) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let exit = runtime.block_on(work);
    // A plugin that is still being compiled must not hold up the exit.
    runtime.shutdown_background();
    exit
}

fn dispatch(command: Command) -> anyhow::Result<Exit> {
    on_runtime(async {
        match command {
            Command::Demo(arguments) => Box::pin(demo::demo(&arguments)).await,
            Command::Plan(arguments) => plan::plan(&arguments).await,
            Command::Run(arguments) => Box::pin(run::run(&arguments)).await,
            Command::Snapshot(arguments) => snapshot::snapshot(&arguments).await,
            Command::Simulate(arguments) => simulate::simulate(&arguments).await,
            Command::State(arguments) => state::state(&arguments),
            Command::Daemon(arguments) => daemon::daemon(&arguments).await,
            Command::Status(arguments) => status::status(&arguments).await,
            Command::Explain(arguments) => explain::explain(&arguments),
            Command::Validate(arguments) => validate::validate(&arguments).await,
            Command::Render(arguments) => render::render(&arguments).await,
            Command::Crd => render::crd(),
            Command::Operator(arguments) => operator::operator(&arguments).await,
            Command::Completion(arguments) => completion::completion(&arguments),
            Command::Version(arguments) => version::version(&arguments),
        }
    })
}

fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let default = format!(
        "warn,holystone={level},holystone_agent={level},holystone_core={level},holystone_node={level},holystone_runtime={level}"
    );
    let wanted = std::env::var("HOLYSTONE_LOG").ok().filter(|filter| !filter.is_empty());
    let parsed = wanted.as_deref().map(EnvFilter::try_new).transpose();
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.ok().flatten().unwrap_or_else(|| EnvFilter::new(default));
    let filter = if wanted.is_some_and(|wanted| wanted.contains("kube")) { filter } else { without_kube(filter) };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colours(&std::io::stderr()))
        .with_target(false)
        .fmt_fields(format::debug_fn(log_field).delimited(" "))
        .init();
    if let Some(problem) = problem {
        tracing::warn!("HOLYSTONE_LOG is ignored: {problem}");
    }
}

/// Silences what the libraries log about the API server: the operator reports it as well, once and in sentences.
fn without_kube(filter: EnvFilter) -> EnvFilter {
    let directives = ["kube_client::client=off", "kube_client::client::tls=warn", "kube_runtime::watcher=off"];
    let directives = directives.into_iter().filter_map(|directive| directive.parse().ok());
    directives.fold(filter, EnvFilter::add_directive)
}

/// Writes a message, or a field of one, on one line and without characters that move the cursor, whatever its source.
fn log_field(out: &mut Writer<'_>, field: &tracing::field::Field, value: &dyn fmt::Debug) -> fmt::Result {
    let value = format!("{value:?}");
    let value = text::escaped(&value);
    if field.name() == "message" { write!(out, "{value}") } else { write!(out, "{}={value}", field.name()) }
}
