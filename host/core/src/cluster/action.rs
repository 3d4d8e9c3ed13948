//! What is done to a cluster, and why it could not be done.

use serde_json::Value;

use super::decide::name_of;

/// Something to be done to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create the object. Where another has its name already, that one is left as it is.
    Create(Value),
    /// Make the object so by server-side apply. It names the uid that was looked at, so no other is changed.
    Apply(Value),
    /// Put this in the place of exactly the version that was looked at.
    Replace(Value),
    /// Change these fields of the object, and leave everything else (a merge patch).
    Adjust {
        /// The object that was looked at.
        object: Value,
        /// The fields.
        fields: Value,
    },
    /// Start nothing more: set `spec.paused`, and leave everything else.
    Pause(Value),
    /// Delete exactly this object, with what belongs to it.
    Delete(Value),
}

impl Action {
    /// The object that it is about.
    pub fn object(&self) -> &Value {
        match self {
            Self::Create(object)
            | Self::Apply(object)
            | Self::Replace(object)
            | Self::Adjust { object, .. }
            | Self::Pause(object)
            | Self::Delete(object) => object,
        }
    }

    /// Why it could not be done, by what the API server said to it.
    pub fn obstacle(&self, is_there_already: bool, said: String) -> Obstacle {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match self {
            Self::Create(object) if is_there_already => {
                Obstacle::NameTaken { kind: text(&object["kind"]), name: name_of(object).to_owned() }
            }
            _ => Obstacle::Refused(said),
        }
    }
}

/// Names the action and its object.
impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verb = match self {
            Self::Create(_) => "create",
            Self::Apply(_) => "apply",
            Self::Replace(_) => "replace",
            Self::Adjust { .. } => "adjust",
            Self::Pause(_) => "pause",
            Self::Delete(_) => "delete",
        };
        write!(f, "{verb} {} {}", self.object()["kind"].as_str().unwrap_or_default(), name_of(self.object()))
    }
}

/// Why something that was decided could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// An object of this kind and name was to be created, and there is one already.
    NameTaken {
        /// The kind.
        kind: String,
        /// The name.
        name: String,
    },
    /// The API server's words.
    Refused(String),
}

/// Says that a name is taken, and what to do about it.
pub(super) fn name_taken(kind: &str, name: &str) -> String {
    format!(
        "there is the {kind} {name} already, which belongs to another owner and is left as it is; delete or rename it, \
         or give this NodeCleanup another name"
    )
}
