//! What a simulated node does wrong, on purpose.
//!
//! A plain value, made in code or read from a file, that says which call misbehaves, when, and how. Counts are of
//! calls that the node received, the first one being 1.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holystone_core::container::Container;
use serde::Deserialize;

/// The calls that a simulated node answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Method {
    /// `Version`.
    Version,
    /// `Status`.
    Status,
    /// `ListImages`.
    ListImages,
    /// `ImageStatus`.
    ImageStatus,
    /// `RemoveImage`.
    RemoveImage,
    /// `ImageFsInfo`.
    ImageFsInfo,
    /// `ListContainers`.
    ListContainers,
    /// `ContainerStatus`.
    ContainerStatus,
    /// `ListPodSandbox`.
    ListPodSandbox,
    /// `PodSandboxStatus`.
    PodSandboxStatus,
}

/// How a call fails: a gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Code {
    /// Something that has no code.
    Unknown,
    /// The caller's fault.
    InvalidArgument,
    /// Too late.
    DeadlineExceeded,
    /// No such thing.
    NotFound,
    /// Not allowed to.
    PermissionDenied,
    /// Out of something.
    ResourceExhausted,
    /// Not in this state.
    FailedPrecondition,
    /// Not offered.
    Unimplemented,
    /// The runtime's fault.
    Internal,
    /// Not there at present.
    Unavailable,
}

/// Everything that goes wrong. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// How long calls take, in milliseconds.
    pub latency_ms: BTreeMap<Method, u64>,
    /// Calls that are answered with an error.
    pub errors: Vec<ErrorFault>,
    /// Calls at which every connection breaks.
    pub disconnects: Vec<Disconnect>,
    /// Ids of images whose removal is refused because a container uses them.
    pub in_use: BTreeSet<String>,
    /// Ids of images whose removal succeeds without effect.
    pub sticky: BTreeSet<String>,
    /// Ids of images whose removal never ends.
    pub hanging: BTreeSet<String>,
    /// Containers that appear while somebody is looking.
    pub appearances: Vec<Appearance>,
}

/// Calls that are answered with an error.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorFault {
    /// The call.
    pub method: Method,
    /// The error's code.
    pub code: Code,
    /// The error's text.
    #[serde(default)]
    pub message: String,
    /// How many calls fail before the rest succeed; all, when absent.
    #[serde(default)]
    pub first: Option<u64>,
}

/// A call at which every connection breaks, and after which nobody answers for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Disconnect {
    /// The call.
    pub method: Method,
    /// Which of the calls, the first one being 1.
    pub call: u64,
    /// For how long the socket is gone, in milliseconds.
    #[serde(default)]
    pub down_ms: u64,
}

/// A container that appears while somebody is looking.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Appearance {
    /// At which `ListContainers`, the first one being 1.
    pub list: u64,
    /// Whether that list shows it already.
    pub moment: Moment,
    /// The container.
    pub container: Container,
}

/// On which side of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// Right before it: the list shows it.
    Before,
    /// Right after it: the list does not show it.
    After,
}

impl Faults {
    /// No faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes a call take this long.
    #[must_use]
    pub fn latency(mut self, method: Method, latency: Duration) -> Self {
        self.latency_ms.insert(method, millis(latency));
        self
    }

    /// Makes every call fail.
    #[must_use]
    pub fn error(mut self, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: None });
        self
    }

    /// Makes the first calls fail.
    #[must_use]
    pub fn first_errors(mut self, calls: u64, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: Some(calls) });
        self
    }

    /// Breaks every connection at this call, and is gone for a time.
    #[must_use]
    pub fn disconnect(mut self, method: Method, call: u64, down: Duration) -> Self {
        self.disconnects.push(Disconnect { method, call, down_ms: millis(down) });
        self
    }

    /// Refuses the removal of this image because a container uses it.
    #[must_use]
    pub fn in_use(mut self, image: impl Into<String>) -> Self {
        self.in_use.insert(image.into());
        self
    }

    /// Accepts the removal of this image and keeps it.
    #[must_use]
    pub fn sticky(mut self, image: impl Into<String>) -> Self {
        self.sticky.insert(image.into());
        self
    }

    /// Never finishes the removal of this image.
    #[must_use]
    pub fn hanging(mut self, image: impl Into<String>) -> Self {
        self.hanging.insert(image.into());
        self
    }

    /// Lets a container appear around this `ListContainers`.
    #[must_use]
    pub fn appearance(mut self, list: u64, moment: Moment, container: Container) -> Self {
        self.appearances.push(Appearance { list, moment, container });
        self
    }

    pub(super) fn latency_of(&self, method: Method) -> Option<Duration> {
        self.latency_ms.get(&method).map(|millis| Duration::from_millis(*millis))
    }

    pub(super) fn error_of(&self, method: Method, call: u64) -> Option<&ErrorFault> {
        let hits = |fault: &&ErrorFault| fault.method == method && fault.first.is_none_or(|first| call <= first);
        self.errors.iter().find(hits)
    }

    pub(super) fn disconnect_of(&self, method: Method, call: u64) -> Option<Duration> {
        let found = self.disconnects.iter().find(|fault| fault.method == method && fault.call == call)?;
        Some(Duration::from_millis(found.down_ms))
    }

    pub(super) fn appearing(&self, list: u64, moment: Moment) -> impl Iterator<Item = &Container> {
        let now = move |fault: &&Appearance| fault.list == list && fault.moment == moment;
        self.appearances.iter().filter(now).map(|fault| &fault.container)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
