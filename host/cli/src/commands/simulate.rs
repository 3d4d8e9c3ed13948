//! `holystone simulate`: a simulated node as a server.

use std::io::Write as _;

use holystone_agent::Simulation;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::SimulateArguments;
use crate::exit::Exit;

/// Serves a node until SIGTERM or SIGINT, and takes its socket away.
pub(crate) async fn simulate(arguments: &SimulateArguments) -> anyhow::Result<Exit> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let simulation = Simulation::start(&arguments.options())?;
    writeln!(std::io::stdout(), "{} images are served on {}", simulation.images(), simulation.endpoint())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    simulation.end();
    Ok(Exit::Done)
}
