//! The objections of rails 1 to 5 to the removal of an image.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Images;
use crate::guard::{Objection, Refusal, Unsettled};
use crate::pattern::Pattern;
use crate::text;

/// The maximum length of a runtime's message, in characters.
const RUNTIME_WORDS: usize = 300;

/// A reason why an image is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageObjection {
    /// Rail 1: the runtime reported that it removed the image, but still lists it.
    KeptByRuntime {
        /// The time of the inspection that still listed the image.
        since: Timestamp,
    },
    /// Rail 1, right before the removal: the image has a reference that it did not have when it was judged.
    Changed {
        /// The new reference.
        reference: String,
    },
    /// Rail 2: a container, a sandbox or an image volume uses the image.
    InUse {
        /// The user, in words.
        by: String,
    },
    /// Rail 2: a reference resolves to no image on the node, and may mean this image.
    MayBeInUse {
        /// The user, in words.
        by: String,
        /// The unresolved reference; empty if the user names no image at all.
        reference: String,
    },
    /// Rail 2, right before the removal: the runtime reports that the image is in use.
    RuntimeSaysInUse {
        /// The runtime's message.
        message: String,
    },
    /// Rail 2: the runtime removes names one by one before it detects whether the image is in use, and the image has
    /// several.
    NamesAtRisk {
        /// The number of its names, by [`Image::removable_names`](crate::image::Image::removable_names).
        names: usize,
    },
    /// Rail 3: pinned by the runtime.
    Pinned,
    /// Rail 3: the runtime creates sandboxes from the image.
    SandboxImage,
    /// Rail 3: matched by [`BUILT_IN`](crate::guard::BUILT_IN).
    BuiltIn {
        /// The pattern that matched.
        pattern: &'static str,
    },
    /// Rail 3: the image contains Holystone itself or one of its plugins.
    Own,
    /// Rail 4: matched by one of the operator's patterns.
    Protected {
        /// The pattern that matched.
        pattern: Pattern,
    },
    /// Rail 5: the image was first seen too recently.
    TooYoung {
        /// The time when it was first seen.
        first_seen: Timestamp,
        /// The minimum time since an image was first seen.
        min_age: SignedDuration,
    },
    /// Rail 5: the age is unknown, and a starting pod may need the image.
    MayBeYoung {
        /// The pod, in words.
        pod: String,
        /// The time for which a pod counts as starting.
        min_age: SignedDuration,
    },
    /// Rail 5: the image may have been in use until recently.
    UsedLately {
        /// The latest time at which it may have been in use.
        last_used: Timestamp,
        /// The minimum time since an image was last in use.
        min_age: SignedDuration,
    },
    /// Rail 5: the age is unknown, and a schedule starts another run, which will know more.
    AgeUnknown {
        /// The time since which the node is known.
        since: Timestamp,
        /// The minimum time for which the node has to be known.
        min_age: SignedDuration,
    },
    /// Rail 5: the age is unknown, because the recorded state was lost.
    AgeLost {
        /// The time at which the loss was noticed.
        lost: Timestamp,
        /// The time for which every image counts as young after the loss.
        min_age: SignedDuration,
    },
    /// Rail 5: the node has not settled.
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
                "the runtime reported its removal, and still listed it at {since:.0}; Holystone asks again after a week, or when the image or the version of the runtime has changed"
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
