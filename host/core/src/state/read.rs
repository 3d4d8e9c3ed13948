//! Reader of a state, field by field: it keeps the usable fields of a damaged state, or of one in the older format.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{FORMAT, MAX_IMAGES, Seen, State};
use crate::text;

/// The older format, without clocks and with wishes stored by plugin alone.
const BEFORE: u32 = 1;

/// The most problems of one state that are reported.
const MAX_PROBLEMS: usize = 3;

/// An error for a text that is not a state at all.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A text that is not JSON, or not of this shape.
    #[error("it cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A state written by another version.
    #[error("it has format {found}, this version reads formats {BEFORE} and {FORMAT}")]
    Format {
        /// The format that the text claims.
        found: u64,
    },
}

/// A state that was read, and the problems with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The state, as far as it could be read.
    pub state: State,
    /// Sentences about the first problems; empty if there are none.
    pub problems: Vec<String>,
}

/// The fields of a state that have not been read yet.
struct Fields {
    left: Map<String, Value>,
    problems: Vec<String>,
}

impl Fields {
    /// Reads a field. Returns nothing if it is missing or cannot be read.
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.left.remove(name)?;
        self.parse(name, value)
    }

    fn parse<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(value) => value,
            Err(error) => {
                self.problem(format!("{} cannot be read: {error}", text::shown(name)));
                None
            }
        }
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }
}

impl State {
    /// Reads the output of [`State::to_json`], of this version or of the one before. Keeps the readable fields of a
    /// damaged state. A time later than the last change, other than those of runs, becomes the time of that change.
    ///
    /// # Errors
    /// When the text is not a state at all, or has another format.
    pub fn from_json(text: &[u8]) -> Result<Read, StateError> {
        let left: Map<String, Value> = serde_json::from_slice(text)?;
        let mut fields = Fields { left, problems: Vec::new() };
        let found: u64 = fields.take("format").unwrap_or_default();
        if found != u64::from(FORMAT) && found != u64::from(BEFORE) {
            return Err(StateError::Format { found });
        }
        let written_at: Option<Timestamp> = fields.take("writtenAt");
        if written_at.is_none() {
            fields.problem("writtenAt is missing".to_owned());
        }
        let mut state = State::new(written_at.unwrap_or(Timestamp::UNIX_EPOCH));
        state.since = fields.take("since");
        read_images(&mut fields, &mut state);
        state.own_images = fields.take("ownImages").unwrap_or_default();
        state.last_run = fields.take("lastRun");
        state.under_way = fields.take("underWay");
        state.names = fields.take("names").unwrap_or_default();
        state.removals = fields.take("removals").unwrap_or_default();
        if found == u64::from(BEFORE) {
            // These wishes name neither their manifest nor the digest of their plugin.
            fields.left.remove("wishes");
            fields.left.remove("logWishes");
        } else {
            state.revision = fields.take("revision").unwrap_or_default();
            state.clock = fields.take("clock");
            state.lost = fields.take("lost");
            state.pods = fields.take("pods");
            state.confirmations = fields.take("confirmations").unwrap_or_default();
            state.booted = fields.take("booted");
            state.jump = fields.take("jump");
            state.misdated = fields.take("misdated");
        }
        if state.since.is_none() && !state.images.is_empty() {
            fields.problem("since is missing".to_owned());
        }
        if state.clock.as_ref().is_some_and(|clock| clock.wall != state.written_at) {
            fields.problem("writtenAt and clock say different times".to_owned());
            state.clock = None;
        }
        if let Some(name) = fields.left.keys().next().map(|name| text::shown(name)) {
            fields.problem(format!("{name} is no field of it"));
        }
        let latest = state.written_at;
        state.map_times(|time| time.min(latest));
        Ok(Read { state, problems: fields.problems })
    }
}

/// Reads the images one by one.
fn read_images(fields: &mut Fields, state: &mut State) {
    let images: Map<String, Value> = fields.take("images").unwrap_or_default();
    for (id, value) in images.into_iter().take(MAX_IMAGES) {
        if let Some(seen) = fields.parse::<Seen>(&format!("images.{id}"), value) {
            state.images.insert(id, seen);
        }
    }
}
