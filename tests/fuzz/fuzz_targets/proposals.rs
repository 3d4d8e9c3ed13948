//! Arbitrary wishes for arbitrary nodes, judged twice: nothing that must stay is ever a step. The oracle is the one of
//! the property tests.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::Arbitrary;
use holystone_core::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use holystone_core::guard::images::ImageGuard;
use holystone_core::guard::{GuardRails, Limits, RailPattern};
use holystone_core::image::{Image, ImageId};
use holystone_core::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use holystone_core::document::DocumentKind;
use holystone_core::manifest::ApiVersion;
use holystone_core::snapshot::{Memory, Node, Snapshot};
// The oracle lies in core and names its modules from there.
use holystone_core::{container, guard, image, pattern, snapshot};
use jiff::SignedDuration;
use libfuzzer_sys::fuzz_target;

#[path = "../../../host/core/src/guard/images/tests/oracle.rs"]
mod oracle;

use oracle::{NOW, PATTERNS, SPELLINGS, TAGS, minute, must_stay};

/// How many ids there are.
const IDS: u8 = 12;

#[derive(Arbitrary, Debug)]
struct Input {
    before: ANode,
    after: ANode,
    rails: Rails,
    proposals: Vec<Vec<AWish>>,
}

#[derive(Arbitrary, Debug)]
struct ANode {
    images: Vec<AnImage>,
    containers: Vec<AContainer>,
    sandboxes: Vec<ASandbox>,
    sandbox_image: Option<u8>,
    since: Option<u8>,
    own_images: Vec<u8>,
    wishes: Vec<(u8, u8)>,
    in_a_pod: bool,
}

#[derive(Arbitrary, Debug)]
struct AnImage {
    id: u8,
    tags: u8,
    digest: Option<u8>,
    pinned: bool,
    size: u16,
    first_seen: Option<u8>,
}

#[derive(Arbitrary, Debug)]
struct AContainer {
    mentions: [AMention; 4],
    volumes: Vec<AMention>,
    running: bool,
}

#[derive(Arbitrary, Debug)]
struct ASandbox {
    image: AMention,
    ready: bool,
    created: u8,
    own: bool,
}

#[derive(Arbitrary, Debug)]
enum AMention {
    None,
    Id(u8),
    BareId(u8),
    Spelling(u8),
    Digest(u8),
    Text(String),
}

#[derive(Arbitrary, Debug)]
struct Rails {
    lift: [bool; 3],
    protect: u8,
    min_age: u8,
    confirmations: u8,
    limits: (Option<u8>, Option<u16>, Option<u8>),
}

#[derive(Arbitrary, Debug)]
enum AWish {
    Image(u8),
    Text(String),
    Container(String),
    Truncate(u8),
}

fn id(n: u8) -> String {
    format!("sha256:{:064x}", n % IDS)
}

fn digest(n: u8) -> String {
    format!("sha256:{:064x}", u32::from(n % IDS) + 0xd00)
}

impl AMention {
    fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Id(n) => id(*n),
            Self::BareId(n) => id(*n)["sha256:".len()..].to_owned(),
            Self::Spelling(n) => SPELLINGS[usize::from(*n) % SPELLINGS.len()].0.to_owned(),
            Self::Digest(n) => format!("quay.io/team/app@{}", digest(*n)),
            Self::Text(text) => text.clone(),
        }
    }
}

impl AnImage {
    fn build(&self) -> Image {
        let tags = TAGS.iter().enumerate().filter(|(place, _)| self.tags & (1 << place) != 0);
        Image {
            id: ImageId::new(id(self.id)),
            repo_tags: tags.map(|(_, tag)| (*tag).to_owned()).collect(),
            repo_digests: self.digest.iter().map(|n| format!("quay.io/team/app@{}", digest(*n))).collect(),
            size_bytes: self.size.into(),
            pinned: self.pinned,
            first_seen: self.first_seen.map(time),
            last_used: None,
            annotations: BTreeMap::new(),
        }
    }
}

fn time(n: u8) -> jiff::Timestamp {
    minute(i64::from(n) % (NOW + 2))
}

impl AContainer {
    fn build(&self, place: usize) -> Container {
        let [image_id, image_ref, image, user_specified_image] = self.mentions.each_ref().map(AMention::text);
        let volumes = self.volumes.iter().map(AMention::text).filter(|volume| !volume.is_empty());
        Container {
            id: format!("c{place}"),
            name: String::new(),
            sandbox_id: String::new(),
            pod: Pod::default(),
            image: ImageMentions { image_id, image_ref, image, user_specified_image },
            image_volumes: volumes.collect(),
            state: if self.running { ContainerState::Running } else { ContainerState::Exited },
            created_at: minute(0),
            finished_at: None,
            exit_code: None,
            labels: BTreeMap::new(),
        }
    }
}

impl ASandbox {
    fn build(&self, place: usize) -> Sandbox {
        let uid = if self.own { "own" } else { "other" };
        Sandbox {
            id: format!("s{place}"),
            pod: Pod { uid: uid.to_owned(), ..Pod::default() },
            ready: self.ready,
            created_at: time(self.created),
            image: self.image.text(),
            labels: BTreeMap::new(),
        }
    }
}

impl ANode {
    fn build(&self) -> Snapshot {
        let mut ids = BTreeSet::new();
        let images = self.images.iter().map(AnImage::build).filter(|image| ids.insert(image.id.clone()));
        let wishes = self.wishes.iter().map(|(n, runs)| (id(*n), u32::from(*runs % 4))).collect();
        let node = Node {
            sandbox_images: self.sandbox_image.map(|n| TAGS[usize::from(n) % TAGS.len()].to_owned()).into_iter().collect(),
            own_pod: if self.in_a_pod { "own".to_owned() } else { String::new() },
            ..Node::default()
        };
        Snapshot {
            api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
            taken_at: minute(NOW),
            node,
            filesystems: Vec::new(),
            images: images.collect(),
            containers: self.containers.iter().enumerate().map(|(place, it)| it.build(place)).collect(),
            sandboxes: self.sandboxes.iter().enumerate().map(|(place, it)| it.build(place)).collect(),
            outside: Vec::new(),
            memory: Memory {
                since: self.since.map(|n| minute(i64::from(n) % (NOW + 1))),
                own_images: self.own_images.iter().map(|n| id(*n)).collect(),
                wishes: BTreeMap::from([("fuzz".to_owned(), wishes)]),
                ..Memory::default()
            },
        }
        .normalize()
    }
}

impl Rails {
    fn build(&self) -> GuardRails {
        let lifted = ["localhost/*", "*pause*", "*/holystone*"].iter().zip(self.lift).filter(|(_, lift)| *lift);
        let protect = PATTERNS.iter().enumerate().filter(|(place, _)| self.protect & (1 << place) != 0);
        let (count, bytes, percent) = self.limits;
        GuardRails {
            lift: lifted.map(|(text, _)| RailPattern::new("--unprotect", text.parse().expect("a pattern"))).collect(),
            protect: protect.map(|(_, text)| RailPattern::new("--protect", text.parse().expect("a pattern"))).collect(),
            min_age: SignedDuration::from_mins(i64::from(self.min_age % 64)),
            confirmations: u32::from(self.confirmations % 5),
            limits: Limits { count: count.map(u64::from), bytes: bytes.map(u64::from), percent: percent.map(|it| it % 101) },
            ..GuardRails::default()
        }
    }
}

impl AWish {
    fn build(&self) -> Wish {
        let (target, verb) = match self {
            Self::Image(n) => (Target::Image(id(*n)), Verb::Remove),
            Self::Text(text) => (Target::Image(text.clone()), Verb::Remove),
            Self::Container(text) => (Target::Container(text.clone()), Verb::Remove),
            Self::Truncate(n) => (Target::Image(id(*n)), Verb::Truncate),
        };
        Wish { target, verb, reason: Reason { kind: ReasonKind::Other, text: String::new() }, expected_bytes: None }
    }
}

fuzz_target!(|input: Input| {
    let (before, after, rails) = (input.before.build(), input.after.build(), input.rails.build());
    let proposals = input.proposals.iter().map(|wishes| Proposal {
        plugin: "fuzz".to_owned(),
        wishes: wishes.iter().map(AWish::build).collect(),
    });
    let plan = ImageGuard::new(&before, &rails).review(proposals.map(Into::into).collect());
    assert_eq!(plan.steps.len() + plan.refusals.len(), input.proposals.iter().map(Vec::len).sum::<usize>());
    let again = ImageGuard::new(&after, &rails);
    let mut steps = BTreeSet::new();
    for step in &plan.steps {
        let id = step.target().as_str();
        assert!(steps.insert(id), "no image twice");
        let image = before.image(id).expect("a step is about an image of the node");
        assert_eq!(must_stay(&before, &rails, image), None, "{image:?}");
        let wished = before.memory.wishes["fuzz"].get(id).copied().unwrap_or(0);
        assert!(wished + 1 >= rails.confirmations, "confirmed");
        if again.clear(step).is_ok() {
            let image = after.image(id).expect("what is cleared is there");
            assert_eq!(must_stay(&after, &rails, image), None, "{image:?}");
        }
    }
    assert!(rails.limits.count.is_none_or(|limit| steps.len() as u64 <= limit));
});
