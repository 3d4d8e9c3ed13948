//! Actions on a cluster, and obstacles to them.

use serde_json::Value;

use super::objects::{kind_of, name_of};

/// An action on the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Creation of the object. An existing object of the same name is left as it is.
    Create(Value),
    /// Server-side apply of the object. The object carries the observed uid, so no other object is changed.
    Apply(Value),
    /// Replacement of exactly the observed version of the object.
    Replace(Value),
    /// Merge patch of these fields of the object. All other fields stay as they are.
    Adjust {
        /// The observed object.
        object: Value,
        /// The fields to change.
        fields: Value,
    },
    /// Pause of the object, so that it starts nothing more: `spec.paused` is set, and all other fields stay as they
    /// are.
    Pause(Value),
    /// Deletion of exactly this object, with its dependents.
    Delete(Value),
}

impl Action {
    /// Returns the object of the action.
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

    /// Converts the failure of the action into an obstacle. `is_there_already` is set when the API server answered that
    /// the object exists; `said` is the error as a sentence.
    pub fn obstacle(&self, is_there_already: bool, said: String) -> Obstacle {
        match self {
            Self::Create(object) if is_there_already => {
                Obstacle::NameTaken { kind: kind_of(object).to_owned(), name: name_of(object).to_owned() }
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
        write!(f, "{verb} {} {}", kind_of(self.object()), name_of(self.object()))
    }
}

/// The reason why a decided action could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// An existing object with the kind and name of the one to create.
    NameTaken {
        /// Kind of the object.
        kind: String,
        /// Name of the object.
        name: String,
    },
    /// Another failure of the request as a sentence, such as a refusal by the API server.
    Refused(String),
}

/// Formats the message for a name that is already taken, with advice.
pub(super) fn name_taken(kind: &str, name: &str) -> String {
    format!(
        "there is the {kind} {name} already, which belongs to another owner and is left as it is; delete or rename it, \
         or give this NodeCleanup another name"
    )
}
