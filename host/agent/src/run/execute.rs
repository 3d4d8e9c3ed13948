//! Execution of a plan: the steps before, during and after the sweep, up to the report.

use holystone_core::guard::Plan;
use holystone_core::report::{Outcome, PlanReport, Report};
use holystone_core::snapshot::Filesystem;
use holystone_core::state::LastRun;

use crate::node::LiveNode;
use crate::node_state::LockedState;
use crate::plan;
use crate::stop::Stop;
use crate::stopwatch::Stopwatch;
use crate::sweep::{self, SweepContext};

/// Carries out a plan and returns the report. The state is written before the first removal, so that the next run can
/// report an interrupted one, and again at the end.
pub(crate) async fn carry_out(
    context: SweepContext<'_>,
    planned: PlanReport,
    locked: &mut LockedState,
    mut clock: Stopwatch,
) -> Report {
    let log_plan = planned.logs.as_ref().map(|logs| &logs.plan);
    let wishers = plan::wishers(planned.node_cleanup.as_deref(), &planned.plugins);
    locked.state.count_wishes(&wishers, &planned.images.plan, log_plan.unwrap_or(&Plan::default()));
    if !planned.is_empty() {
        locked.state.begin(planned.taken_at, planned.image_steps(), planned.log_steps());
        locked.save();
        locked.begin_logs(&context.node.logs, planned.log_steps(), planned.taken_at);
        clock.lap("remember");
    }
    let (swept, log_swept) = sweep::sweep(context, &locked.state, &planned).await;
    clock.lap("sweep");
    // After a failure, a file may still have the name by which it was taken aside.
    let log_outcomes_are_certain = !log_swept.outcomes.iter().any(Outcome::is_failure);
    let after = filesystems(context.node, context.stop).await;
    let mut report = Report::new(planned, (swept, log_swept), context.node.clock.now(), after, clock.laps());
    locked.state.removals.learn(&report);
    report.notices.extend(kept_notice(&report));
    locked.state.finish(last_run(&report), report.images.gone(), report.gone_logs());
    locked.save();
    if log_outcomes_are_certain {
        locked.finish_logs(&context.node.logs);
    }
    report.notices.extend(locked.notices.iter().cloned());
    report
}

/// Reports the images that the runtime kept although it said that it removed them. That is no failure, but the user has
/// to see it.
fn kept_notice(report: &Report) -> Option<String> {
    match report.kept().count() {
        0 => None,
        1 => Some("the runtime said that it removed an image that it lists all the same; it is refused from now on (KeptByRuntime)".to_owned()),
        kept => Some(format!(
            "the runtime said that it removed {kept} images that it lists all the same; they are refused from now on (KeptByRuntime)"
        )),
    }
}

async fn filesystems(node: &LiveNode, stop: &Stop) -> Vec<Filesystem> {
    let problem = match stop.at_the_end(node.filesystems()).await {
        Some(Ok(filesystems)) => return filesystems,
        Some(Err(error)) => error.to_string(),
        None => "the run was over before".to_owned(),
    };
    tracing::warn!("the filesystems could not be measured after the run: {problem}");
    Vec::new()
}

fn last_run(report: &Report) -> LastRun {
    LastRun {
        started_at: report.taken_at,
        finished_at: report.finished_at,
        ending: report.ending.clone(),
        images: report.images.totals,
        logs: report.logs.as_ref().map(|logs| logs.totals),
    }
}
