//! The objections of rails 1 to 5 to the removal of an image.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Images;
use crate::guard::{Objection, Refusal, Unsettled};
use crate::pattern::Pattern;
use crate::text;

/// The most characters of a runtime's words.
const RUNTIME_WORDS: usize = 300;

/// Why an image stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageObjection {
    /// Rail 1: the runtime said that it removed the image, and lists it all the same.
    KeptByRuntime {
        /// When it was asked.
        since: Timestamp,
    },
    /// Rail 1, right before the removal: the image has a reference that it did not have when it was judged.
    Changed {
        /// The new reference.
        reference: String,
    },
    /// Rail 2: a container, a sandbox or a volume uses it.
    InUse {
        /// Who, in words.
        by: String,
    },
    /// Rail 2: a reference resolves to no image on the node, and may mean this one.
    MayBeInUse {
        /// Who, in words.
        by: String,
        /// The unresolved reference; empty when there is none at all.
        reference: String,
    },
    /// Rail 2, right before the removal: the runtime itself says that the image is in use.
    RuntimeSaysInUse {
        /// The runtime's words.
        message: String,
    },
    /// Rail 2: the runtime takes an image's names one by one before it finds out whether the image is in use, and this
    /// one has several.
    NamesAtRisk {
        /// The number of its names, by [`Image::removable_names`](crate::image::Image::removable_names).
        names: usize,
    },
    /// Rail 3: pinned by the runtime.
    Pinned,
    /// Rail 3: the runtime makes sandboxes from it.
    SandboxImage,
    /// Rail 3: one of [`BUILT_IN`](crate::guard::BUILT_IN).
    BuiltIn {
        /// The pattern that matched.
        pattern: &'static str,
    },
    /// Rail 3: Holystone itself, or one of its plugins, comes in it.
    Own,
    /// Rail 4: one of the operator's patterns.
    Protected {
        /// The pattern that matched.
        pattern: Pattern,
    },
    /// Rail 5: it has not been here for long.
    TooYoung {
        /// When it was first seen.
        first_seen: Timestamp,
        /// The shortest time that an image has to have been here.
        min_age: SignedDuration,
    },
    /// Rail 5: how long it has been here is unknown, and a pod that is starting may need it.
    MayBeYoung {
        /// The pod, in words.
        pod: String,
        /// For how long a pod counts as starting.
        min_age: SignedDuration,
    },
    /// Rail 5: it was in use until a while ago, at the latest.
    UsedLately {
        /// Until when it may have been in use.
        last_used: Timestamp,
        /// The shortest time that an image has to have been unused.
        min_age: SignedDuration,
    },
    /// Rail 5: how long it has been here is unknown, and a schedule brings another run that knows more.
    AgeUnknown {
        /// Since when the node is known.
        since: Timestamp,
        /// The shortest time that an image has to have been here.
        min_age: SignedDuration,
    },
    /// Rail 5: how long it has been here was known and is lost.
    AgeLost {
        /// When that was noticed.
        lost: Timestamp,
        /// For how long every image is young after that.
        min_age: SignedDuration,
    },
    /// Rail 5: nothing is removed from the node as it is.
    Unsettled(Unsettled),
}

impl From<ImageObjection> for Refusal<Images> {
    fn from(objection: ImageObjection) -> Self {
        Self::Own(objection)
    }
}

impl Objection for ImageObjection {
    fn rail(&self) -> u8 {
        match self {
            Self::KeptByRuntime { .. } | Self::Changed { .. } => 1,
            Self::InUse { .. } | Self::MayBeInUse { .. } | Self::RuntimeSaysInUse { .. } | Self::NamesAtRisk { .. } => {
                2
            }
            Self::Pinned | Self::SandboxImage | Self::BuiltIn { .. } | Self::Own => 3,
            Self::Protected { .. } => 4,
            Self::TooYoung { .. }
            | Self::MayBeYoung { .. }
            | Self::UsedLately { .. }
            | Self::AgeUnknown { .. }
            | Self::AgeLost { .. }
            | Self::Unsettled(_) => 5,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::KeptByRuntime { .. } => "KeptByRuntime",
            Self::Changed { .. } => "Changed",
            Self::InUse { .. } => "InUse",
            Self::MayBeInUse { .. } => "MayBeInUse",
            Self::RuntimeSaysInUse { .. } => "RuntimeSaysInUse",
            Self::NamesAtRisk { .. } => "NamesAtRisk",
            Self::Pinned => "Pinned",
            Self::SandboxImage => "SandboxImage",
            Self::BuiltIn { .. } => "BuiltIn",
            Self::Own => "Own",
            Self::Protected { .. } => "Protected",
            Self::TooYoung { .. } => "TooYoung",
            Self::MayBeYoung { .. } => "MayBeYoung",
            Self::UsedLately { .. } => "UsedLately",
            Self::AgeUnknown { .. } => "AgeUnknown",
            Self::AgeLost { .. } => "AgeLost",
            Self::Unsettled(unsettled) => unsettled.code(),
        }
    }
}

impl ImageObjection {
    /// Writes the sentences of rail 5.
    fn fmt_age(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooYoung { first_seen, min_age } => {
                write!(f, "first seen at {first_seen:.0}, less than {min_age:#} before this run")
            }
            Self::MayBeYoung { pod, min_age } => {
                write!(
                    f,
                    "its age is unknown, and the pod {}, which is younger than {min_age:#}, may still be starting",
                    text::shown(pod)
                )
            }
            Self::UsedLately { last_used, min_age } => {
                write!(f, "it may have been in use until {last_used:.0}, less than {min_age:#} before this run")
            }
            Self::AgeUnknown { since, min_age } => write!(
                f,
                "its age is unknown: the node is known since {since:.0}, less than {min_age:#} before this run, and a later run of the schedule knows more"
            ),
            Self::AgeLost { lost, min_age } => write!(
                f,
                "its age is unknown: what was remembered of the node was lost before {lost:.0}, less than {min_age:#} before this run"
            ),
            Self::Unsettled(unsettled) => fmt::Display::fmt(unsettled, f),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for ImageObjection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeptByRuntime { since } => write!(
                f,
                "the runtime said at {since:.0} that it removed the image, and lists it all the same; Holystone asks again after a week, or when the image or the version of the runtime has changed"
            ),
            Self::Changed { reference } => {
                write!(f, "it was given the name {} since it was judged", text::shown(reference))
            }
            Self::InUse { by } => write!(f, "in use by {}", text::shown(by)),
            Self::MayBeInUse { by, reference } if reference.is_empty() => {
                write!(f, "may be in use: the runtime does not say which images {} uses", text::shown(by))
            }
            Self::MayBeInUse { by, reference } => {
                write!(
                    f,
                    "may be in use: {} references {}, which resolves to no image on this node",
                    text::shown(by),
                    text::shown(reference)
                )
            }
            Self::RuntimeSaysInUse { message } => {
                write!(f, "in use, says the runtime: {}", text::both_ends(message, RUNTIME_WORDS))
            }
            Self::NamesAtRisk { names } => write!(
                f,
                "it has {names} names, which this runtime removes one by one before it finds out whether the image is in use; allow that with --allow-partial-untag (guardRails.allowPartialUntag)"
            ),
            Self::Pinned => f.write_str("pinned by the runtime"),
            Self::SandboxImage => f.write_str("the runtime makes pod sandboxes from it"),
            Self::BuiltIn { pattern } => write!(f, "always protected: {pattern}"),
            Self::Own => f.write_str("Holystone itself or one of its plugins comes in it"),
            Self::Protected { pattern } => write!(f, "protected: {pattern}"),
            Self::TooYoung { .. }
            | Self::MayBeYoung { .. }
            | Self::UsedLately { .. }
            | Self::AgeUnknown { .. }
            | Self::AgeLost { .. }
            | Self::Unsettled(_) => self.fmt_age(f),
        }
    }
}
