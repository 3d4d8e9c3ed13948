//! `holystone run`: the main job. Observe, propose, review, sweep, report.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use holystone_core::daemon::{Outcome, RunResult, back_off};
use holystone_core::guard::logs::LogPlan;
use holystone_core::manifest::Mode;
use holystone_core::report::{
    Brief, LogOutcome, LogPlanTotals, LogTotals, Milliseconds, PlanReport, PlanTotals, Report, Totals,
};
use holystone_core::snapshot::Filesystem;
use holystone_core::state::LastRun;
use holystone_core::text;

use crate::args::{NodeArguments, OutputArguments, RunArguments};
use crate::exit::{Exit, Problems, Usage};
use crate::observe::LiveNode;
use crate::output;
use crate::plan;
use crate::policy::{self, Prepared};
use crate::remembered::Remembered;
use crate::series::Series;
use crate::stop::{Asked, Stop};
use crate::sweep::{self, Job};

/// How long reading and checking of manifests may take, with all of their plugins.
const PREPARATION: Duration = Duration::from_mins(30);

/// Runs once on this node, by one policy after the other.
pub(crate) async fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let prepared = Box::pin(prepare(arguments)).await.inspect_err(|error| {
        if let Some(path) = &arguments.brief {
            write_brief(path, &not_run(error));
        }
    });
    let (asked, ask, prepared) = prepared?;
    let how = How { node: &arguments.node, wait: arguments.wait, ask };
    let mut series = Series::new(prepared.len(), arguments.output);
    for mut one in prepared {
        let stop = Stop::within(one.policy.time_limit, &asked);
        let came = tried(&mut one, how, arguments.retries, &stop).await;
        if let Some(path) = &arguments.brief {
            write_brief(path, &came.as_ref().map_or_else(not_run, Came::brief));
        }
        let has_failures = |came: &Came| came.has_failures() && arguments.brief.is_none();
        series.add(&one.policy, came, Came::print, has_failures)?;
    }
    series.end()
}

/// Reads and checks what is to be run, and finds out whether to ask before anything is removed.
async fn prepare(arguments: &RunArguments) -> anyhow::Result<(Asked, bool, Vec<Prepared>)> {
    let asked = Asked::by_signals()?;
    let stop = Stop::within(PREPARATION, &asked);
    let prepared = stop.before_removals(Box::pin(policy::of_run(arguments))).await?;
    Ok((asked, asks(arguments, &prepared)?, prepared))
}

/// Tries again while no run can take place, and there is time.
async fn tried(prepared: &mut Prepared, how: How<'_>, retries: u32, stop: &Stop) -> anyhow::Result<Came> {
    let mut attempt = 0;
    loop {
        match once(prepared, how, stop).await {
            Err(error) if attempt < retries && !error.is::<Usage>() => {
                let pause = back_off(attempt).unsigned_abs();
                tracing::warn!(
                    "no run took place, which is tried again in {}: {error:#}",
                    humantime::format_duration(pause)
                );
                let waited = stop
                    .before_removals(async {
                        tokio::time::sleep(pause).await;
                        anyhow::Ok(())
                    })
                    .await;
                if waited.is_err() {
                    return Err(error);
                }
                attempt += 1;
            }
            came => return came,
        }
    }
}

/// Returns whether to ask on a terminal before anything is removed. A manifest that runs where nobody watches was
/// meant; flags alone have to say so.
fn asks(arguments: &RunArguments, prepared: &[Prepared]) -> anyhow::Result<bool> {
    let has_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let by_manifest = !arguments.manifests.filenames.is_empty();
    let removes = prepared.iter().any(|one| one.policy.mode == Mode::Enforce);
    if removes && !arguments.yes && !by_manifest && !has_terminal {
        let problem = "--yes is missing: a run by flags asks before it removes anything, and there is no terminal to ask \
                       on; add --yes, or see what it would remove with holystone plan";
        return Err(Usage(problem.to_owned()).into());
    }
    Ok(!arguments.yes && has_terminal)
}

/// Summarises an error that kept a run from taking place.
pub(crate) fn not_run(error: &anyhow::Error) -> Brief {
    match error.downcast_ref::<Problems>() {
        Some(Problems { title, problems }) => Brief::not_run(title).with_errors(problems),
        None => Brief::not_run(&format!("{error:#}")),
    }
}

/// Writes the brief that a command line asks for that cannot be parsed.
pub(crate) fn write_brief_of_usage(command_line: &[OsString], error: &clap::Error) {
    let next = |place: usize| command_line.get(place + 1).map(PathBuf::from);
    let path = command_line.iter().enumerate().find_map(|(place, argument)| match argument.to_str() {
        Some("--brief") => next(place),
        Some(argument) => argument.strip_prefix("--brief=").map(PathBuf::from),
        None => None,
    });
    if let Some(path) = path {
        let text = error.to_string();
        let sentence: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
        write_brief(&path, &Brief::not_run(&sentence.join(" ")));
    }
}

/// Writes the termination message of a pod. A report that cannot be left must not undo the run.
pub(crate) fn write_brief(path: &Path, brief: &Brief) {
    if let Err(error) = std::fs::write(path, brief.to_message()) {
        tracing::error!("--brief: {} cannot be written: {error}", path.display());
    }
}

/// How a run is done, besides what it is to do.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    /// The node, and where it is remembered.
    pub(crate) node: &'a NodeArguments,
    /// How long to wait for another run on this node.
    pub(crate) wait: Duration,
    /// Whether to ask on a terminal before anything is removed.
    pub(crate) ask: bool,
}

/// What a run comes to.
pub(crate) enum Came {
    /// Its mode is not to remove anything.
    Planned(Box<PlanReport>),
    /// It has removed what it could.
    Swept(Box<Report>),
}

impl Came {
    /// Whether something did not go as it should.
    pub(crate) fn has_failures(&self) -> bool {
        match self {
            Self::Planned(planned) => plan::has_failures(planned),
            Self::Swept(report) => report.has_failures(),
        }
    }

    /// What there is to say of it in a sentence.
    fn remark(&self) -> Option<String> {
        match self {
            Self::Planned(_) => Some("the mode is DryRun, so nothing was removed".to_owned()),
            Self::Swept(report) => report.ending.as_ref().map(|ending| ending.message.clone()),
        }
    }

    /// What is kept on record of it.
    fn outcome(&self) -> Outcome {
        let result = if self.has_failures() { RunResult::SomeFailed } else { RunResult::Done };
        Outcome { result, message: self.remark(), totals: Some(self.totals()), log_totals: self.log_totals() }
    }

    /// The report in few bytes.
    pub(crate) fn brief(&self) -> Brief {
        match self {
            Self::Planned(planned) => Brief::of_plan(planned, self.outcome()),
            Self::Swept(report) => Brief::of_report(report),
        }
    }

    /// Counts and sums; nothing is removed by one that only plans.
    fn totals(&self) -> Totals {
        match self {
            Self::Planned(planned) => {
                let PlanTotals { planned, refused, .. } = planned.totals;
                Totals { planned, refused, ..Totals::default() }
            }
            Self::Swept(report) => report.totals,
        }
    }

    /// The same of log files, where there are log roots.
    fn log_totals(&self) -> Option<LogTotals> {
        match self {
            Self::Planned(planned) => planned.logs.as_ref().map(|logs| {
                let LogPlanTotals { planned, refused, .. } = logs.totals;
                LogTotals { planned, refused, ..LogTotals::default() }
            }),
            Self::Swept(report) => report.logs.as_ref().map(|logs| logs.totals),
        }
    }

    /// The report as it is printed for programs.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        // Nothing in it cannot be written.
        match self {
            Self::Planned(planned) => serde_json::to_value(planned),
            Self::Swept(report) => serde_json::to_value(report),
        }
        .unwrap_or_default()
    }

    fn print(&self, how: OutputArguments) -> anyhow::Result<()> {
        match self {
            Self::Planned(planned) => output::plan(planned, how),
            Self::Swept(report) => output::report(report, how),
        }
    }
}

/// One run by a policy, from the lock to the report.
///
/// # Errors
/// When no run takes place; then nothing has been touched.
pub(crate) async fn once(prepared: &mut Prepared, how: How<'_>, stop: &Stop) -> anyhow::Result<Came> {
    match prepared.policy.mode {
        Mode::DryRun => {
            let mut planned = stop.before_removals(Box::pin(plan::of_live(prepared, how.node))).await?;
            planned.notices.push("the mode is DryRun, so nothing was removed".to_owned());
            Ok(Came::Planned(Box::new(planned)))
        }
        Mode::Enforce => Ok(Came::Swept(Box::new(Box::pin(enforce(prepared, how, stop)).await?))),
    }
}

async fn enforce(prepared: &mut Prepared, how: How<'_>, stop: &Stop) -> anyhow::Result<Report> {
    let mut clock = Stopwatch::start();
    let mut remembered = stop.before_removals(Remembered::take(&how.node.state, how.wait)).await?;
    clock.lap("lock");
    let (endpoint, log_roots) = (prepared.policy.endpoint.clone(), prepared.policy.log_roots.clone());
    let unknown_open_age = prepared.policy.rails.unknown_open_age;
    let look = async {
        let node = LiveNode::connect(&endpoint, &log_roots, how.node).await?;
        remembered.recover(&node.logs, unknown_open_age).await?;
        let mut snapshot = node.observe().await?;
        let interrupted = remembered.observe(&mut snapshot);
        anyhow::Ok((node, snapshot, interrupted))
    };
    let look = Box::pin(async { tokio::try_join!(prepared.plugins(), look) });
    let (loaded, (node, snapshot, interrupted)) = stop.before_removals(look).await?;
    clock.lap("observe");
    let policy = &prepared.policy;
    let planned = stop.before_removals(Box::pin(plan::decide(policy, &loaded, &snapshot, &node.logs))).await?;
    // Neither is needed any more, and they are what takes memory.
    drop((loaded, snapshot));
    clock.lap("plan");
    if how.ask {
        stop.before_removals(confirmed(&planned)).await?;
    }
    let job = Job { node: &node, rails: &policy.rails, pace: &policy.pace, stop };
    let mut report = carry_out(job, planned, &mut remembered, clock).await;
    report.interrupted = interrupted;
    remembered.forget_unclaimed_daemons(jiff::Timestamp::now());
    Ok(report)
}

/// From a plan to a report. What is remembered is put back twice: before the first removal, so that a run that is cut
/// off is known to the next one, and at the end.
pub(crate) async fn carry_out(
    job: Job<'_>,
    planned: PlanReport,
    remembered: &mut Remembered,
    mut clock: Stopwatch,
) -> Report {
    let log_plan = planned.logs.as_ref().map(|logs| &logs.plan);
    let wishers = plan::wishers(planned.node_cleanup.as_deref(), &planned.plugins);
    remembered.state.count_wishes(&wishers, &planned.plan, log_plan.unwrap_or(&LogPlan::default()));
    if !planned.is_empty() {
        remembered.state.begin(planned.taken_at, &planned.plan.steps, planned.log_steps());
        remembered.save();
        remembered.begin_logs(&job.node.logs, planned.log_steps(), planned.taken_at);
        clock.lap("remember");
    }
    let (swept, log_swept) = sweep::sweep(job, &remembered.state, &planned).await;
    clock.lap("sweep");
    // After a failure a file may still be under its other name.
    let log_outcomes_are_certain = !log_swept.outcomes.iter().any(LogOutcome::is_failure);
    let after = filesystems(job.node, job.stop).await;
    let mut report = Report::new(planned, swept, log_swept, job.node.clock.now(), after, clock.laps());
    remembered.state.removals.learn(&report);
    report.notices.extend(kept_notice(&report));
    remembered.state.finish(last_run(&report), report.gone(), report.gone_logs());
    remembered.save();
    if log_outcomes_are_certain {
        remembered.finish_logs(&job.node.logs);
    }
    report.notices.extend(remembered.notices.iter().cloned());
    report
}

/// Says what the runtime kept, which is no failure, so that somebody sees it.
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
        totals: report.totals,
        log_totals: report.logs.as_ref().map(|logs| logs.totals),
    }
}

/// Shows the plan on the terminal and asks whether to carry it out.
async fn confirmed(planned: &PlanReport) -> anyhow::Result<()> {
    let mut stderr = std::io::stderr();
    if planned.is_empty() {
        return Ok(());
    }
    output::plan_to(&mut stderr, planned, OutputArguments::default())?;
    write!(stderr, "{} [y/N] ", question(planned))?;
    stderr.flush()?;
    // On a thread of its own, so that a signal ends the run and not only the line.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    match answer.await??.as_str() {
        "" => anyhow::bail!("nothing was touched: the plan was not confirmed, the input ended without an answer"),
        answer if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => anyhow::bail!("nothing was touched: the plan was not confirmed"),
    }
}

fn question(planned: &PlanReport) -> String {
    let (images, logs) = (planned.plan.steps.len(), planned.log_steps().len());
    let images = text::share(images, planned.images, "image", "images");
    let entries = text::counted(logs, "log file or directory", "log files and directories");
    match (planned.plan.steps.len(), logs) {
        (_, 0) => format!("Remove {images}?"),
        (0, _) => format!("Remove or truncate {entries}?"),
        _ => format!("Remove {images}, and remove or truncate {entries}?"),
    }
}

/// How long each part of a run takes.
pub(crate) struct Stopwatch {
    last: Instant,
    laps: BTreeMap<&'static str, Milliseconds>,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { last: Instant::now(), laps: BTreeMap::new() }
    }

    /// Ends a part.
    pub(crate) fn lap(&mut self, part: &'static str) {
        let now = Instant::now();
        self.laps.insert(part, Milliseconds(now - self.last));
        self.last = now;
    }

    fn laps(self) -> BTreeMap<&'static str, Milliseconds> {
        self.laps
    }
}
