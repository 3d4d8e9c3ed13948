//! The tables of log files. Beyond a few dozen lines, they are aggregated by directory.

use std::collections::BTreeMap;
use std::io::Write;

use comfy_table::Table;
use holystone_core::guard::logs::Logs;
use holystone_core::guard::{Operation, Refusal, Refused, Step};
use holystone_core::report::{Outcome, PlanPart, Report, ReportPart, StepResult};
use holystone_core::text;

use super::tables::{bytes, freed, new_table, other_outcomes, others, print_table};

/// The largest number of lines that are not aggregated.
const LINES: usize = 36;
/// The greatest depth of directories that lines are aggregated by.
const DEEPEST: usize = 16;

/// Prints the planned removals and truncations under log roots, and the refusals.
pub(super) fn plan(out: &mut impl Write, planned: &PlanPart<Logs>, all: bool) -> anyhow::Result<()> {
    let steps = planned.plan.steps.iter().map(|step| {
        let what = if step.operation() == Operation::Remove { "remove" } else { "truncate" };
        Line::of_step(what, step, None)
    });
    let lines: Vec<Line> = steps.chain(planned.plan.refusals.iter().map(Line::of_refusal)).collect();
    print_table(out, &table("PLAN", &lines, all))?;
    let totals = &planned.totals;
    let (truncated, removed) = count(&planned.plan.steps);
    write!(out, "Log files: {removed} to remove")?;
    others(out, [(truncated, "to truncate"), (totals.refused, "refused")])?;
    if let Some(all) = planned.entries {
        let (part, all) = (count_of(totals.entries), count_of(all));
        write!(out, "; {}", text::share(part, all, "entry", "entries"))?;
    }
    Ok(writeln!(
        out,
        "; size {}, which should free {}",
        bytes(totals.size_planned_bytes),
        bytes(totals.freeable_bytes.unwrap_or_default())
    )?)
}

fn count_of(entries: u64) -> usize {
    usize::try_from(entries).unwrap_or(usize::MAX)
}

fn count(steps: &[Step<Logs>]) -> (usize, usize) {
    let truncated = steps.iter().filter(|step| step.operation() == Operation::Truncate).count();
    (truncated, steps.len() - truncated)
}

/// Prints the outcomes of the steps on log files, and the refusals.
pub(super) fn report(out: &mut impl Write, report: &ReportPart<Logs>, all: bool) -> anyhow::Result<()> {
    let step =
        |StepResult { step, outcome, .. }: &StepResult<Logs>| Line::of_step(outcome.as_str(), step, explain(outcome));
    let lines: Vec<Line> = report.steps.iter().map(step).chain(report.refusals.iter().map(Line::of_refusal)).collect();
    print_table(out, &table("RESULT", &lines, all))
}

/// Prints the totals of log files.
pub(super) fn totals(out: &mut impl Write, report: &Report, part: &ReportPart<Logs>) -> anyhow::Result<()> {
    let totals = &part.totals;
    write!(out, "Log files: {} removed", totals.removed)?;
    other_outcomes(out, totals)?;
    writeln!(out, "; size removed {}", bytes(totals.size_removed_bytes))?;
    // Roots on one filesystem share its gain, which is printed once.
    let name = |root: &String| format!("logs:{root}");
    let of = |root: &String| report.filesystems_after.iter().find(|filesystem| filesystem.name == name(root));
    let is_one = |one: &String, other: &String| of(one).zip(of(other)).is_some_and(|(one, other)| one.is_same(other));
    for (place, root) in report.log_roots.iter().enumerate() {
        if report.log_roots.iter().take(place).any(|other| is_one(other, root)) {
            continue;
        }
        let others = report.log_roots.iter().skip(place + 1).filter(|other| is_one(root, other));
        let names: Vec<String> = std::iter::once(root).chain(others).map(|root| text::shown(&name(root))).collect();
        let measured = report.filesystem_freed_bytes.get(&name(root)).copied();
        writeln!(out, "filesystem {} {}", names.join(", "), freed(measured))?;
    }
    Ok(())
}

/// Explains an outcome, if there is more to say than the plugin's reason, with a word to aggregate by.
fn explain(outcome: &Outcome<Logs>) -> Option<(String, &'static str)> {
    match outcome {
        Outcome::Removed | Outcome::Truncated => None,
        Outcome::AlreadyGone => Some(("another process removed it".to_owned(), "")),
        Outcome::StillListed => Some(("it is still there".to_owned(), "")),
        Outcome::NoLongerAllowed(refusal) => Some((because(refusal), refusal.code())),
        Outcome::Failed(why) | Outcome::NotAttempted(why) | Outcome::NotNeeded(why) => Some((text::shown(why), "")),
    }
}

fn because(refusal: &Refusal<Logs>) -> String {
    format!("rail {}: {refusal}", refusal.rail())
}

/// A line of a table, before aggregation.
struct Line {
    what: &'static str,
    root: String,
    /// The components of the path.
    path: Vec<String>,
    is_directory: bool,
    size: Option<u64>,
    why: String,
    /// The word that aggregated lines have in common.
    word: &'static str,
}

impl Line {
    fn of_step(what: &'static str, step: &Step<Logs>, explained: Option<(String, &'static str)>) -> Self {
        let target = step.target();
        let (why, word) = match explained {
            Some((why, word)) => (why, word),
            None => (step.reason().line(), step.reason().kind.as_str()),
        };
        Self {
            what,
            root: target.root.clone(),
            path: target.path.to_string().split('/').map(str::to_owned).collect(),
            is_directory: target.is_directory,
            size: Some(step.size_bytes()),
            why,
            word,
        }
    }

    fn of_refusal(refused: &Refused<Logs>) -> Self {
        let (root, path) = refused.wish.target.log_location().map_or(("", ""), |place| (&place.root, &place.path));
        Self {
            what: "refuse",
            root: root.to_owned(),
            path: path.split('/').map(str::to_owned).collect(),
            is_directory: refused.wish.target.is_log_directory(),
            size: None,
            why: because(&refused.refusal),
            word: refused.refusal.code(),
        }
    }

    fn name(&self) -> String {
        let slash = if self.is_directory { "/" } else { "" };
        text::shown(&format!("{}:{}{slash}", self.root, self.path.join("/")))
    }

    /// Returns the directory of the entry, at most `depth` components deep.
    fn directory(&self, depth: usize) -> &[String] {
        let own = self.path.len().saturating_sub(1);
        self.path.get(..own.min(depth)).unwrap_or_default()
    }
}

/// Lines that are aggregated into one.
#[derive(Default)]
struct Sum<'a> {
    count: usize,
    size: Option<u64>,
    first: Option<&'a Line>,
}

type GroupKey<'a> = (&'static str, &'a str, &'a [String], &'static str);

fn table(header: &str, lines: &[Line], all: bool) -> Table {
    let mut table = new_table([header, "LOG FILE", "SIZE", "REASON"]);
    if all || lines.len() <= LINES {
        for line in lines {
            table.add_row(row(line));
        }
        return table;
    }
    for ((what, root, directory, word), sum) in sums(lines) {
        let Some(first) = sum.first else { continue };
        if sum.count == 1 {
            table.add_row(row(first));
            continue;
        }
        let name = directory.iter().fold(format!("{root}:"), |path, part| format!("{path}{part}/"));
        let name = format!("{} ({} entries)", text::shown(&name), sum.count);
        let why = if word.is_empty() {
            first.why.clone()
        } else {
            format!("{word}, for example {}: {}", first.name(), first.why)
        };
        table.add_row([what, &name, &sum.size.map_or_else(String::new, bytes), &why]);
    }
    table
}

fn row(line: &Line) -> [String; 4] {
    [line.what.to_owned(), line.name(), line.size.map_or_else(String::new, bytes), line.why.clone()]
}

/// Aggregates lines by the deepest directories that give few enough lines.
fn sums(lines: &[Line]) -> Vec<(GroupKey<'_>, Sum<'_>)> {
    (0..=DEEPEST)
        .rev()
        .map(|depth| summed_up(lines, depth))
        .find(|sums| sums.len() <= LINES)
        .unwrap_or_else(|| summed_up(lines, 0))
}

/// Aggregates lines by directories of this depth, in the order of the first line of each.
fn summed_up(lines: &[Line], depth: usize) -> Vec<(GroupKey<'_>, Sum<'_>)> {
    let mut places = BTreeMap::new();
    let mut sums: Vec<(GroupKey<'_>, Sum<'_>)> = Vec::new();
    for line in lines {
        let key = (line.what, line.root.as_str(), line.directory(depth), line.word);
        let place = *places.entry(key).or_insert(sums.len());
        if place == sums.len() {
            sums.push((key, Sum { first: Some(line), ..Sum::default() }));
        }
        if let Some((_, sum)) = sums.get_mut(place) {
            sum.count += 1;
            sum.size = line.size.map(|size| sum.size.unwrap_or(0).saturating_add(size)).or(sum.size);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &str, what: &'static str, word: &'static str) -> Line {
        Line {
            what,
            root: "app".to_owned(),
            path: path.split('/').map(str::to_owned).collect(),
            is_directory: false,
            size: Some(10),
            why: format!("because of {path}"),
            word,
        }
    }

    fn text(lines: &[Line], all: bool) -> Vec<String> {
        let shown = table("PLAN", lines, all).trim_fmt();
        shown.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    fn many(count: usize, directories: usize) -> Vec<Line> {
        (0..count).map(|number| line(&format!("d/{}/{number}", number % directories), "remove", "too old")).collect()
    }

    #[test]
    fn a_few_dozen_lines_are_shown_one_by_one() {
        assert_eq!(text(&many(LINES, 2), false).len(), LINES);
        assert_eq!(text(&many(500, 2), true).len(), 500, "or all, where that is asked for");
    }

    #[test]
    fn more_are_summed_up_by_directory() {
        let mut lines = many(40, 2);
        lines.push(line("d/0/x", "truncate", "too large"));
        lines.push(line("d/0/y", "remove", "too large"));
        let expected = [
            "remove app:d/0/ (20 entries) 200 B too old, for example app:d/0/0: because of d/0/0",
            "remove app:d/1/ (20 entries) 200 B too old, for example app:d/1/1: because of d/1/1",
            "truncate app:d/0/x 10 B because of d/0/x",
            "remove app:d/0/y 10 B because of d/0/y",
        ];
        assert_eq!(text(&lines, false), expected);
    }

    #[test]
    fn many_directories_are_summed_up_by_the_one_above() {
        let told = text(&many(1_000, 100), false);
        assert_eq!(told, ["remove app:d/ (1000 entries) 9.8 KiB too old, for example app:d/0/0: because of d/0/0"]);
    }
}
