//! The tables of images.

use std::io::Write;

use comfy_table::Table;
use holystone_core::guard::Refused;
use holystone_core::guard::images::{ImageFacts, Images};
use holystone_core::report::{Outcome, PlanReport, Remark, Report, StepResult};
use holystone_core::text;

use super::tables::{bytes, freed, new_table, other_outcomes, print_table};

/// Prints the planned removals of images, and the refusals.
pub(super) fn plan(out: &mut impl Write, planned: &PlanReport) -> anyhow::Result<()> {
    let mut table = new_table(["PLAN", "IMAGE", "SIZE", "REASON"]);
    for step in planned.image_steps() {
        let names = names(step.references(), &step.name());
        table.add_row(["remove", &names, &bytes(step.size_bytes()), &step.reason().line()]);
    }
    refusals(&mut table, &planned.images.plan.refusals);
    print_table(out, &table)?;
    let totals = &planned.images.totals;
    if planned.has_image_part() {
        writeln!(
            out,
            "{} to remove, {} refused; size to remove {}",
            totals.planned,
            totals.refused,
            bytes(totals.size_planned_bytes)
        )?;
    }
    Ok(())
}

/// Prints the outcomes of the steps on images, and the refusals.
pub(super) fn report(out: &mut impl Write, report: &Report) -> anyhow::Result<()> {
    let mut table = new_table(["RESULT", "IMAGE", "SIZE", "REASON"]);
    for StepResult { step, outcome, remark } in &report.images.steps {
        let why = explain(outcome, remark).unwrap_or_else(|| step.reason().line());
        let names = names(step.references(), &step.name());
        table.add_row([outcome.as_str(), &names, &bytes(step.size_bytes()), &why]);
    }
    refusals(&mut table, &report.images.refusals);
    print_table(out, &table)
}

/// Prints the totals of images.
pub(super) fn totals(out: &mut impl Write, report: &Report) -> anyhow::Result<()> {
    let totals = &report.images.totals;
    write!(out, "{} removed", totals.removed)?;
    other_outcomes(out, totals)?;
    writeln!(out, "; size removed {} (as the runtime counts; layers are shared)", bytes(totals.size_removed_bytes))?;
    Ok(writeln!(out, "filesystem {}", freed(totals.filesystem_freed_bytes))?)
}

/// Formats the tags of an image, all of which go or stay together; its other name, if it has no tag.
fn names(references: &[String], otherwise: &str) -> String {
    let tags = references.iter().filter(|reference| !reference.contains('@'));
    let tags: Vec<String> = tags.map(|tag| text::shown(tag)).collect();
    if tags.is_empty() { text::shown(otherwise) } else { tags.join(", ") }
}

/// The largest number of characters of a runtime's message in a table row.
const ROW: usize = 300;

/// Explains an outcome, if there is more to say than the plugin's reason.
fn explain(outcome: &Outcome<Images>, remark: &Remark) -> Option<String> {
    let answer = remark
        .answer
        .as_ref()
        .map(|answer| format!("not listed any more, though the runtime answered: {}", text::both_ends(answer, ROW)));
    let lost: Vec<String> = remark.lost_names.iter().map(|name| text::shown(name)).collect();
    let lost = (!lost.is_empty()).then(|| format!("it has lost the names {}", lost.join(", ")));
    let parts: Vec<String> = reason_of(outcome).into_iter().chain(answer).chain(lost).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Returns the reason for an outcome other than the intended one.
fn reason_of(outcome: &Outcome<Images>) -> Option<String> {
    match outcome {
        Outcome::Removed | Outcome::Truncated => None,
        Outcome::AlreadyGone => Some("another process removed it".to_owned()),
        Outcome::NoLongerAllowed(refusal) => Some(format!("rail {}: {refusal}", refusal.rail())),
        Outcome::StillListed => Some("by the runtime's word it is gone, and it is listed all the same".to_owned()),
        Outcome::Failed(why) | Outcome::NotAttempted(why) | Outcome::NotNeeded(why) => Some(text::both_ends(why, ROW)),
    }
}

fn refusals(table: &mut Table, refusals: &[Refused<Images>]) {
    let mut rejected: Vec<&str> = Vec::new();
    for refused in refusals {
        let Refused { plugin, name, facts, size_bytes, refusal, .. } = refused;
        if refusal.rejects_the_proposal() {
            if !rejected.contains(&plugin.as_str()) {
                rejected.push(plugin);
                table.add_row(whole_proposal(refusals, refused));
            }
            continue;
        }
        let references = facts.as_ref().map_or(&[][..], ImageFacts::references);
        let size = size_bytes.map_or_else(String::new, bytes);
        table.add_row(["refuse", &names(references, name), &size, &format!("rail {}: {refusal}", refusal.rail())]);
    }
}

/// Makes one row of all images of a proposal that was rejected as a whole: they have one reason.
fn whole_proposal(refusals: &[Refused<Images>], first: &Refused<Images>) -> [String; 4] {
    let of_it = |refused: &&Refused<Images>| refused.plugin == first.plugin && refused.refusal.rejects_the_proposal();
    let (count, size) = refusals.iter().filter(of_it).fold((0, 0), |(count, size): (usize, u64), refused| {
        (count + 1, size.saturating_add(refused.size_bytes.unwrap_or_default()))
    });
    let images = text::counted(count, "image", "images");
    let reason = format!("rail {}: {}", first.refusal.rail(), first.refusal);
    ["refuse".to_owned(), format!("{images} of plugin {}", text::shown(&first.plugin)), bytes(size), reason]
}
