//! `holystone simulate`: serves a simulated node.

use std::io::Write as _;

use holystone_agent::Simulation;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::SimulateArguments;
use crate::exit::Exit;

/// Serves a node until SIGTERM or SIGINT, and removes its socket.
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
