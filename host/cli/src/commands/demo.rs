//! `holystone demo`: a whole sweep on a simulated node.

use std::io::Write as _;

use holystone_agent::Demo;

use crate::args::{DemoArguments, OutputArguments};
use crate::exit::Exit;
use crate::output;

/// Starts the simulated node, sweeps it, and prints each part.
pub(crate) async fn demo(arguments: &DemoArguments) -> anyhow::Result<Exit> {
    let how = OutputArguments { all: arguments.all, ..OutputArguments::default() };
    let demo = Demo::start(&arguments.config, arguments.rails.overrides()).await?;
    say("A simulated node. The runtime's disk before:")?;
    output::filesystems(&demo.filesystems())?;
    say(
        "\nThe plan: what builtin:unused-images and builtin:log-retention wish, after the guard rails have looked at it.\n",
    )?;
    let demo = demo.plan().await?;
    output::plan(demo.planned(), how)?;
    say("\nThe sweep: every image and every file is looked at once more right before it is removed.\n")?;
    let (report, filesystems) = Box::pin(demo.sweep()).await?;
    output::report(&report, how)?;
    say("\nThe runtime's disk after:")?;
    output::filesystems(&filesystems)?;
    Ok(if report.has_failures() { Exit::SomeFailed } else { Exit::Done })
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
