//! The closed words of conditions and events: what programs and alerts count by.

use std::fmt;

/// Declares words that are written as their variants are called.
macro_rules! closed_words {
    ($(#[$of_all:meta])* $name:ident { $($(#[$of_one:meta])* $word:ident,)* }) => {
        $(#[$of_all])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of_one])* $word,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// Returns the word as the API server has it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => stringify!($word),)*
                }
            }

            /// Reads a word, if it is one of these.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, text: &&str) -> bool {
                self.as_str() == *text
            }
        }
    };
}

closed_words! {
    /// Why a condition is true or false.
    ConditionReason {
        /// Ready: the cluster does what the spec says.
        Applied,
        /// Ready: the API server refused what was to be done.
        ApplyFailed,
        /// `PluginsResolved`: nodes have loaded different bytes of one plugin.
        Different,
        /// Ready: the spec cannot be used.
        InvalidSpec,
        /// Ready: an object of another owner has a name that is needed.
        NameTaken,
        /// Scheduled: the schedule never comes.
        Never,
        /// Ready: a run has ended and was done on no node.
        NoNodeDone,
        /// Ready: there is no node for a run.
        NoNodeMatches,
        /// `PluginsResolved`: no node has loaded a plugin yet.
        NoRunYet,
        /// Scheduled: there is no schedule.
        Once,
        /// Ready: the engine needs OpenKruise, which is not installed.
        OpenKruiseMissing,
        /// Scheduled: `spec.paused` is set.
        Paused,
        /// Ready: no pod of a run has started.
        PodsNotStarted,
        /// Ready: an object is recreated.
        Replacing,
        /// `PluginsResolved`: all nodes have loaded the same plugins.
        Resolved,
        /// Ready: a run waits for a person.
        RunPaused,
        /// Scheduled: the next run is due at a known time.
        Scheduled,
        /// Ready: what the operator does is undone again and again.
        Undone,
        /// Ready: a change waits for a run to end.
        WaitingForRun,
    }
}

closed_words! {
    /// The subject of an event.
    EventReason {
        /// The API server refused what was to be done.
        ApplyFailed,
        /// An object was created.
        Created,
        /// An object was deleted.
        Deleted,
        /// The spec cannot be used.
        InvalidSpec,
        /// An object of another owner has a name that is needed.
        NameTaken,
        /// There is no node for a run.
        NoNodeMatches,
        /// The engine needs OpenKruise, which is not installed.
        OpenKruiseMissing,
        /// Another operator looks after the NodeCleanup.
        OtherOperator,
        /// Nodes have loaded different bytes of one plugin.
        PluginsDiffer,
        /// No pod of a run has started.
        PodsNotStarted,
        /// An object is recreated.
        Replaced,
        /// A run has ended, and every node was done.
        RunCompleted,
        /// A run has ended, and some node was not done.
        RunFailed,
        /// The annotation that starts a run has no effect.
        RunNowIgnored,
        /// A run waits for a person.
        RunPaused,
        /// A run was started.
        RunStarted,
        /// The operator's changes are undone again and again.
        Undone,
        /// An object was updated.
        Updated,
    }
}

impl EventReason {
    /// Returns the event that a condition with this reason is worth when it becomes false.
    pub(super) fn of_condition(reason: ConditionReason) -> Option<Self> {
        Some(match reason {
            ConditionReason::InvalidSpec => Self::InvalidSpec,
            ConditionReason::OpenKruiseMissing => Self::OpenKruiseMissing,
            ConditionReason::NameTaken => Self::NameTaken,
            ConditionReason::Undone => Self::Undone,
            ConditionReason::Different => Self::PluginsDiffer,
            ConditionReason::RunPaused => Self::RunPaused,
            ConditionReason::NoNodeMatches => Self::NoNodeMatches,
            ConditionReason::PodsNotStarted => Self::PodsNotStarted,
            _ => return None,
        })
    }

    /// Returns whether the event is about a run.
    pub(super) fn is_of_run(self) -> bool {
        matches!(self, Self::RunPaused | Self::NoNodeMatches | Self::PodsNotStarted)
    }
}

#[cfg(test)]
mod tests {
    use super::{ConditionReason, EventReason};

    #[test]
    fn words_are_written_and_read_as_they_are_called() {
        for reason in ConditionReason::ALL {
            assert_eq!(reason.as_str(), format!("{reason:?}"));
            assert_eq!(ConditionReason::parse(reason.as_str()), Some(*reason));
        }
        for reason in EventReason::ALL {
            assert_eq!(reason.to_string(), format!("{reason:?}"));
            assert_eq!(EventReason::parse(reason.as_str()), Some(*reason));
        }
        assert_eq!((ConditionReason::parse("applied"), EventReason::parse("")), (None, None));
    }

    #[test]
    fn conditions_that_a_person_should_see_are_events() {
        let events: Vec<(&str, &str)> = ConditionReason::ALL
            .iter()
            .filter_map(|reason| Some((reason.as_str(), EventReason::of_condition(*reason)?.as_str())))
            .collect();
        assert_eq!(
            events,
            [
                ("Different", "PluginsDiffer"),
                ("InvalidSpec", "InvalidSpec"),
                ("NameTaken", "NameTaken"),
                ("NoNodeMatches", "NoNodeMatches"),
                ("OpenKruiseMissing", "OpenKruiseMissing"),
                ("PodsNotStarted", "PodsNotStarted"),
                ("RunPaused", "RunPaused"),
                ("Undone", "Undone"),
            ]
        );
        let of_runs: Vec<&str> =
            EventReason::ALL.iter().filter(|reason| reason.is_of_run()).map(|reason| reason.as_str()).collect();
        assert_eq!(of_runs, ["NoNodeMatches", "PodsNotStarted", "RunPaused"]);
    }
}
