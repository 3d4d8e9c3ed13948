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
    /// `ListStream` of containerd's own containers.
    ListStream,
}

impl Method {
    /// The method that a gRPC path ends in, if it is one of these.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?;
        let methods = [
            Self::Version,
            Self::Status,
            Self::ListImages,
            Self::ImageStatus,
            Self::RemoveImage,
            Self::ImageFsInfo,
            Self::ListContainers,
            Self::ContainerStatus,
            Self::ListPodSandbox,
            Self::PodSandboxStatus,
            Self::ListStream,
        ];
        methods.into_iter().find(|method| format!("{method:?}") == name)
    }
}

/// How a call fails: a gRPC code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Code {
    /// Given up by somebody.
    Cancelled,
    /// Something that has no code.
    Unknown,
    /// The caller's fault.
    InvalidArgument,
    /// Too late.
    DeadlineExceeded,
    /// No such thing.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// Not allowed to.
    PermissionDenied,
    /// Out of something.
    ResourceExhausted,
    /// Not in this state.
    FailedPrecondition,
    /// Something else came in between.
    Aborted,
    /// Past the end.
    OutOfRange,
    /// Not offered.
    Unimplemented,
    /// The runtime's fault.
    Internal,
    /// Not there at present.
    Unavailable,
    /// Lost for good.
    DataLoss,
    /// Who is asking?
    Unauthenticated,
}

impl Code {
    /// Every code but that of success.
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

/// Everything that goes wrong. The default is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Faults {
    /// How long calls take, in milliseconds.
    pub latency_ms: BTreeMap<Method, u64>,
    /// Calls that are answered with an error.
    pub errors: Vec<ErrorFault>,
    /// Single calls that are answered late, or never.
    pub delays: Vec<Delay>,
    /// Single calls that are answered with something that is no answer.
    pub garbled: Vec<Garbled>,
    /// Calls at which every connection breaks.
    pub disconnects: Vec<Disconnect>,
    /// From this call on, of whatever kind, nothing is answered any more.
    pub halt: Option<u64>,
    /// Ids of images that a container uses which CRI does not list: their removal is refused.
    pub in_use: BTreeSet<String>,
    /// Ids of images whose removal succeeds without effect.
    pub sticky: BTreeSet<String>,
    /// Ids of images whose removal never ends.
    pub hanging: BTreeSet<String>,
    /// Ids of images whose removal takes place and is never answered.
    pub silent: BTreeSet<String>,
    /// Ids of images that are artifacts, which CRI-O lists by an id and removes by a name.
    pub artifacts: BTreeSet<String>,
    /// Ids of images in an additional store of CRI-O, which it lists and never removes.
    pub read_only: BTreeSet<String>,
    /// Ids of images with those of the images that Docker built them on.
    pub parents: BTreeMap<String, String>,
    /// Containers that appear while somebody is looking.
    pub appearances: Vec<Appearance>,
}

/// One call that is answered late, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    /// The call.
    pub method: Method,
    /// Which of the calls, the first one being 1.
    pub call: u64,
    /// How late, in milliseconds; never, when absent.
    #[serde(default)]
    pub ms: Option<u64>,
}

/// One call that is answered with something that is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Garbled {
    /// The call.
    pub method: Method,
    /// Which of the calls, the first one being 1.
    pub call: u64,
    /// What comes instead.
    pub answer: Answer,
}

/// What is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// A message that is none of the protocol.
    Nonsense,
    /// A message that ends before it says that it does.
    CutOff,
    /// The beginning of a message of a gibibyte.
    TooLarge,
    /// A web page.
    WebPage,
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
    /// The last call that fails; all do, when absent.
    #[serde(default)]
    pub first: Option<u64>,
    /// How many calls succeed before the first that fails.
    #[serde(default)]
    pub after: u64,
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
        self.errors.push(ErrorFault { method, code, message: message.into(), first: None, after: 0 });
        self
    }

    /// Makes the first calls fail.
    #[must_use]
    pub fn first_errors(mut self, calls: u64, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: Some(calls), after: 0 });
        self
    }

    /// Makes calls fail from the one after this many on.
    #[must_use]
    pub fn later_errors(mut self, after: u64, method: Method, code: Code, message: impl Into<String>) -> Self {
        self.errors.push(ErrorFault { method, code, message: message.into(), first: None, after });
        self
    }

    /// Makes single calls fail, the first one being 1.
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

    /// Never answers this call.
    #[must_use]
    pub fn hang(mut self, method: Method, call: u64) -> Self {
        self.delays.push(Delay { method, call, ms: None });
        self
    }

    /// Answers this call with something that is no answer.
    #[must_use]
    pub fn garble(mut self, method: Method, call: u64, answer: Answer) -> Self {
        self.garbled.push(Garbled { method, call, answer });
        self
    }

    /// Answers nothing any more from this call on, of whatever kind.
    #[must_use]
    pub fn halt(mut self, call: u64) -> Self {
        self.halt = Some(call);
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

    /// Removes this image when asked to and never says so.
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

    /// Puts an image into a store that is only read.
    #[must_use]
    pub fn read_only(mut self, image: impl Into<String>) -> Self {
        self.read_only.insert(image.into());
        self
    }

    /// Says that an image was built on another.
    #[must_use]
    pub fn built_on(mut self, child: impl Into<String>, parent: impl Into<String>) -> Self {
        self.parents.insert(child.into(), parent.into());
        self
    }

    /// Lets a container appear around this `ListContainers`.
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

/// How long a call waits before it is answered.
pub(super) enum Pause {
    None,
    For(Duration),
    ForEver,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
