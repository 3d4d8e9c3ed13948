//! Closed sets of reasons for conditions and events: codes that programs and alerts count by.

use std::fmt;

/// Declares an enum whose words are written like its variants.
macro_rules! closed_words {
    ($(#[$of_all:meta])* $name:ident { $($(#[$of_one:meta])* $word:ident,)* }) => {
        $(#[$of_all])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of_one])* $word,)*
        }

        impl $name {
            /// The complete list of words.
            pub const ALL: &'static [Self] = &[$(Self::$word,)*];

            /// Returns the word as the API server stores it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => stringify!($word),)*
                }
            }

            /// Parses a word; `None` if it is not in the list.
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
    /// The reason why a condition is true or false.
    ConditionReason {
        /// Ready: the cluster does what the spec says.
        Applied,
        /// Ready: an action failed, usually because the API server refused it.
        ApplyFailed,
        /// `PluginsResolved`: nodes have loaded different bytes of one plugin, or some have none.
        Different,
        /// Ready: the spec cannot be used.
        InvalidSpec,
        /// Ready: an object of another owner has a required name.
        NameTaken,
        /// Scheduled: the schedule has no further tick.
        Never,
        /// Ready: a run has ended, and no node has done it.
        NoNodeDone,
        /// Ready: no node matches a run.
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
        /// Ready: an object is being recreated.
        Replacing,
        /// `PluginsResolved`: all nodes have loaded the same plugins.
        Resolved,
        /// Ready: a paused run waits for a person.
        RunPaused,
        /// Scheduled: the next run is due at a known time.
        Scheduled,
        /// Ready: another writer undoes the operator's changes repeatedly.
        Undone,
        /// Ready: a change waits for a run to end.
        WaitingForRun,
    }
}

closed_words! {
    /// The reason of an event.
    EventReason {
        /// A failed action, usually refused by the API server.
        ApplyFailed,
        /// Creation of an object.
        Created,
        /// Deletion of an object.
        Deleted,
        /// A spec that cannot be used.
        InvalidSpec,
        /// A required name that an object of another owner has.
        NameTaken,
        /// A run that no node matches.
        NoNodeMatches,
        /// An engine that needs OpenKruise, which is not installed.
        OpenKruiseMissing,
        /// Another operator that manages the NodeCleanup.
        OtherOperator,
        /// Nodes with different bytes of one plugin, or with none.
        PluginsDiffer,
        /// A run of which no pod has started.
        PodsNotStarted,
        /// Deletion of an object to recreate it.
        Replaced,
        /// End of a run that every node has done.
        RunCompleted,
        /// End of a run that some node has not done.
        RunFailed,
        /// A requested run that is ignored.
        RunNowIgnored,
        /// A paused run that waits for a person.
        RunPaused,
        /// Start of a run.
        RunStarted,
        /// Changes of the operator that another writer undoes repeatedly.
        Undone,
        /// Update of an object.
        Updated,
    }
}

impl EventReason {
    /// Returns the event for a condition that becomes false with this reason, if it is worth one.
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

    /// Returns whether the event reports the end of a run.
    pub fn is_end_of_run(self) -> bool {
        matches!(self, Self::RunCompleted | Self::RunFailed)
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
