//! Deliberate faults of a simulated node.
//!
//! [`Faults`] is a plain value, made in code or read from a file, that says which call misbehaves, when, and how.
//! Calls are counted as the node receives them, the first one being 1.

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
    /// `ListStream` of containerd's own containers.
    ListStream,
}

impl Method {
    /// Returns the method that a gRPC path ends in, if it is one of these.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        Some(match path.rsplit('/').next()? {
            "Version" => Self::Version,
            "Status" => Self::Status,
            "ListImages" => Self::ListImages,
            "ImageStatus" => Self::ImageStatus,
            "RemoveImage" => Self::RemoveImage,
            "ImageFsInfo" => Self::ImageFsInfo,
            "ListContainers" => Self::ListContainers,
            "ContainerStatus" => Self::ContainerStatus,
            "ListPodSandbox" => Self::ListPodSandbox,
            "PodSandboxStatus" => Self::PodSandboxStatus,
            "ListStream" => Self::ListStream,
            _ => return None,
        })
    }
}

/// A gRPC code with which a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Code {
    /// A cancelled call.
    Cancelled,
    /// An error without a code of its own.
    Unknown,
    /// An argument that is the caller's fault.
    InvalidArgument,
    /// An expired deadline.
    DeadlineExceeded,
    /// A missing object.
    NotFound,
    /// An object that exists already.
    AlreadyExists,
    /// A missing permission.
    PermissionDenied,
    /// An exhausted resource.
    ResourceExhausted,
    /// A state that does not allow the call.
    FailedPrecondition,
    /// A conflict with another operation.
    Aborted,
    /// A position past the end.
    OutOfRange,
    /// A call that the server does not offer (`UNIMPLEMENTED`).
    Unimplemented,
    /// An error that is the runtime's fault.
    Internal,
    /// A runtime that is unavailable at present.
    Unavailable,
    /// Unrecoverable loss of data.
    DataLoss,
    /// A caller without valid credentials.
    Unauthenticated,
}

impl Code {
    /// All codes but that of success.
    pub const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];
}

/// The faults of a node. The default has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// The latency of calls by method, in milliseconds.
    pub latency_ms: BTreeMap<Method, u64>,
    /// Calls answered with an error.
    pub errors: Vec<ErrorFault>,
    /// Single calls answered late, or never.
    pub delays: Vec<Delay>,
    /// Single calls with a garbled answer.
    pub garbled: Vec<Garbled>,
    /// Calls at which every connection breaks.
    pub disconnects: Vec<Disconnect>,
    /// The number of the call, of any kind, from which on no call is answered, except with a garbled answer.
    pub halt: Option<u64>,
    /// Ids of images used by a container that CRI does not list: their removal is refused.
    pub in_use: BTreeSet<String>,
    /// Ids of images whose removal succeeds without effect.
    pub sticky: BTreeSet<String>,
    /// Ids of images whose removal never ends, and has no effect.
    pub hanging: BTreeSet<String>,
    /// Ids of images whose removal is never answered, but takes place.
    pub silent: BTreeSet<String>,
    /// Ids of artifacts, which CRI-O lists by an id and removes by a name.
    pub artifacts: BTreeSet<String>,
    /// Ids of images in an additional store, which CRI-O lists and never removes.
    pub read_only: BTreeSet<String>,
    /// Ids of images, each with the id of the image that Docker built it on.
    pub parents: BTreeMap<String, String>,
    /// Containers that appear around a list of containers.
    pub appearances: Vec<Appearance>,
}

/// A call that is answered late, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    /// The call.
    pub method: Method,
    /// The number of the call, the first one being 1.
    pub call: u64,
    /// The delay in milliseconds. If absent, the call is never answered.
    #[serde(default)]
    pub ms: Option<u64>,
}

/// A call with a garbled answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Garbled {
    /// The call.
    pub method: Method,
    /// The number of the call, the first one being 1.
    pub call: u64,
    /// The answer in place of the correct one.
    pub answer: Answer,
}

/// A garbled answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// A message that is not part of the protocol.
    Nonsense,
    /// A message that ends before its announced length.
    CutOff,
    /// The beginning of a message of one gibibyte.
    TooLarge,
    /// A web page.
    WebPage,
}

/// Calls answered with an error.
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
    /// The last call that fails. If absent, all calls after the first `after` fail.
    #[serde(default)]
    pub first: Option<u64>,
    /// The number of calls that this fault spares before the first that fails.
    #[serde(default)]
    pub after: u64,
}

/// A call at which every connection breaks, and after which the socket is gone for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Disconnect {
    /// The call.
    pub method: Method,
    /// The number of the call, the first one being 1.
    pub call: u64,
    /// The time in milliseconds for which the socket is gone. At 0 it stays.
    #[serde(default)]
    pub down_ms: u64,
}

/// A container that appears around a list of containers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Appearance {
    /// The number of the `ListContainers` call, the first one being 1.
    pub list: u64,
    /// The side of that list on which the container appears.
    pub moment: Moment,
    /// The container.
    pub container: Container,
}

/// A side of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// Right before the list, which shows the container.
    Before,
    /// Right after the list, which does not show the container.
    After,
}

impl Faults {
    /// Returns the faults of a node that has none.
    pub fn none() -> Self {
        Self::default()
    }

    /// Makes every call of a method take this long.
    #[must_use]
    pub fn latency(mut self, method: Method, latency: Duration) -> Self {
        self.latency_ms.insert(method, millis(latency));
        self
    }

    /// Makes every call of a method fail.
    #[must_use]
    pub fn error(mut self, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: None, after: 0 });
        self
    }

    /// Makes the first calls of a method fail.
    #[must_use]
    pub fn first_errors(mut self, calls: u64, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: Some(calls), after: 0 });
        self
    }

    /// Makes all calls of a method fail after this many.
    #[must_use]
    pub fn later_errors(mut self, after: u64, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: None, after });
        self
    }

    /// Makes single calls of a method fail, the first one being 1.
    #[must_use]
    pub fn errors_at(mut self, calls: &[u64], method: Method, code: Code, message: &str) -> Self {
        let fault = |call: &u64| ErrorFault {
            method,
            code,
            message: message.to_owned(),
            first: Some(*call),
            after: call.saturating_sub(1),
        };
        self.errors.extend(calls.iter().map(fault));
        self
    }

    /// Makes one call take this long.
    #[must_use]
    pub fn delay(mut self, method: Method, call: u64, delay: Duration) -> Self {
        self.delays.push(Delay { method, call, ms: Some(millis(delay)) });
        self
    }

    /// Leaves this call unanswered.
    #[must_use]
    pub fn hang(mut self, method: Method, call: u64) -> Self {
        self.delays.push(Delay { method, call, ms: None });
        self
    }

    /// Garbles the answer to this call.
    #[must_use]
    pub fn garble(mut self, method: Method, call: u64, answer: Answer) -> Self {
        self.garbled.push(Garbled { method, call, answer });
        self
    }

    /// Leaves all calls from this one on unanswered, whatever their kind.
    #[must_use]
    pub fn halt(mut self, call: u64) -> Self {
        self.halt = Some(call);
        self
    }

    /// Breaks every connection at this call, and removes the socket for a time.
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

    /// Leaves the removal of this image unfinished.
    #[must_use]
    pub fn hanging(mut self, image: impl Into<String>) -> Self {
        self.hanging.insert(image.into());
        self
    }

    /// Removes this image on request, without an answer.
    #[must_use]
    pub fn silent(mut self, image: impl Into<String>) -> Self {
        self.silent.insert(image.into());
        self
    }

    /// Makes an image an artifact.
    #[must_use]
    pub fn artifact(mut self, image: impl Into<String>) -> Self {
        self.artifacts.insert(image.into());
        self
    }

    /// Puts an image into a read-only store.
    #[must_use]
    pub fn read_only(mut self, image: impl Into<String>) -> Self {
        self.read_only.insert(image.into());
        self
    }

    /// Declares that an image was built on another.
    #[must_use]
    pub fn built_on(mut self, child: impl Into<String>, parent: impl Into<String>) -> Self {
        self.parents.insert(child.into(), parent.into());
        self
    }

    /// Makes a container appear around this `ListContainers`.
    #[must_use]
    pub fn appearance(mut self, list: u64, moment: Moment, container: Container) -> Self {
        self.appearances.push(Appearance { list, moment, container });
        self
    }

    pub(super) fn pause_of(&self, method: Method, call: u64) -> Pause {
        match self.delays.iter().find(|delay| delay.method == method && delay.call == call) {
            Some(Delay { ms: None, .. }) => Pause::ForEver,
            Some(Delay { ms: Some(ms), .. }) => Pause::For(Duration::from_millis(*ms)),
            None => self.latency_ms.get(&method).map_or(Pause::None, |ms| Pause::For(Duration::from_millis(*ms))),
        }
    }

    pub(super) fn garbled(&self, method: Method, call: u64) -> Option<Answer> {
        let hit = self.garbled.iter().find(|garbled| garbled.method == method && garbled.call == call);
        hit.map(|garbled| garbled.answer)
    }

    pub(super) fn error_of(&self, method: Method, call: u64) -> Option<&ErrorFault> {
        let is_meant = |fault: &ErrorFault| call > fault.after && fault.first.is_none_or(|last| call <= last);
        let hits = |fault: &&ErrorFault| fault.method == method && is_meant(fault);
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

/// The wait of a call before its answer.
pub(super) enum Pause {
    None,
    For(Duration),
    ForEver,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
