//! The glue between WIT and the decision.

#[allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, clippy::pedantic, reason = "generated code")]
mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "plugin" });
    export!(UnusedImages with_types_in self);

    pub(super) struct UnusedImages;
}

use bindings::exports::holystone::node::cleaner::{
    Decision, Guest, PatternMatch, Problem, Reason, ReasonKind, Removal, Target, Verb,
};
use bindings::holystone::node::images::Image;
use bindings::holystone::node::{host, images, log};
use holystone_core::{config, matches};

use crate::select::{ImageView, Kind};
use crate::tally::Tally;
use crate::{Config, select, tally};

impl From<config::Problem> for Problem {
    fn from(problem: config::Problem) -> Self {
        Self { field: problem.field, message: problem.message }
    }
}

impl From<matches::PatternMatch> for PatternMatch {
    fn from(one: matches::PatternMatch) -> Self {
        Self { field: one.field, pattern: one.pattern, matches: one.matches }
    }
}

impl Guest for bindings::UnusedImages {
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        Config::parse(&config).map(|_| ()).map_err(|problems| problems.into_iter().map(Problem::from).collect())
    }

    fn plan(config: String) -> Result<Decision, String> {
        let config = Config::parse(&config).map_err(|problems| config::Problem::line(&problems))?;
        let mut images = images::list();
        let Tally { matches, notices } = tally(&images, &config);
        let selection = select(&images, host::node().snapshot_time, &config);
        if selection.unknown_age > 0 {
            let message = format!("images kept because their age is not known: {}", selection.unknown_age);
            log::log(log::Level::Warn, &message);
        }
        let notices = notices.into_iter().chain(selection.kept_for_unknown_order()).collect();
        let choices = selection.choices.into_iter();
        let removals = choices.map(|choice| {
            let image = &mut images[choice.image];
            let kind = match choice.kind {
                Kind::Unused => ReasonKind::Unused,
                Kind::Dangling => ReasonKind::Dangling,
                Kind::Superseded => ReasonKind::Superseded,
            };
            Removal {
                // Moved, not copied: the id is not needed again.
                target: Target::Image(std::mem::take(&mut image.id)),
                verb: Verb::Remove,
                reason: Reason { kind, text: choice.text },
                expected_bytes: Some(image.size_bytes),
                attributes: Vec::new(),
            }
        });
        let removals = removals.collect();
        let matches = matches.into_iter().map(PatternMatch::from).collect();
        Ok(Decision { removals, matches, notices, attributes: Vec::new() })
    }
}

impl ImageView for Image {
    fn id(&self) -> &str {
        &self.id
    }
    fn tags(&self) -> &[String] {
        &self.repo_tags
    }
    fn digests(&self) -> &[String] {
        &self.repo_digests
    }
    fn is_pinned(&self) -> bool {
        self.pinned
    }
    fn is_in_use(&self) -> bool {
        !self.in_use_by.is_empty()
    }
    fn first_seen(&self) -> Option<i64> {
        self.first_seen
    }
    fn last_used(&self) -> Option<i64> {
        self.last_used
    }
}

/// JSON Schema of the config, for tools that inspect the component without running it.
#[used]
#[expect(
    unsafe_code,
    reason = "naming a section is unsafe in general; a custom section of a Wasm module is not even loaded"
)]
#[unsafe(link_section = "holystone:config-schema")]
static CONFIG_SCHEMA: [u8; crate::SCHEMA.len()] = {
    let mut bytes = [0; crate::SCHEMA.len()];
    bytes.copy_from_slice(crate::SCHEMA.as_bytes());
    bytes
};
