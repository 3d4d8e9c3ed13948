//! A node under test: seen through the product's client, handled by the harness' own.

use std::collections::BTreeSet;
use std::path::Path;

use holystone_core::guard::images::{ImageGuard, Images};
use holystone_core::guard::{Clearance, GuardRails, Plan};
use holystone_core::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use holystone_core::snapshot::Snapshot;
use holystone_core::usage::{Holder, Usage};
use holystone_node::{Cri, Endpoint, Options};
use jiff::{SignedDuration, Timestamp};

/// Whose ways a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ways {
    Containerd,
    CriO,
}

pub(super) struct Subject {
    pub(super) cri: Cri,
    pub(super) raw: holystone_tests::Cri,
    pub(super) ways: Ways,
}

impl Subject {
    pub(super) async fn connect(socket: &Path, raw: holystone_tests::Cri) -> anyhow::Result<Self> {
        let ways = match raw.version().await?.runtime_name.as_str() {
            "cri-o" => Ways::CriO,
            _ => Ways::Containerd,
        };
        Ok(Self { cri: Cri::connect(&Endpoint::new(socket), Options::default()).await?, raw, ways })
    }

    pub(super) async fn observe(&self) -> anyhow::Result<Snapshot> {
        Ok(self.cri.observe(Timestamp::now(), "node").await?)
    }

    pub(super) async fn look(&self) -> anyhow::Result<Snapshot> {
        Ok(self.cri.look(Timestamp::now(), "node").await?)
    }

    /// The id of the image with this tag.
    pub(super) async fn id(&self, tag: &str) -> anyhow::Result<String> {
        let images = self.raw.list_images().await?;
        let image = images.into_iter().find(|image| image.repo_tags.iter().any(|known| known == tag));
        Ok(image.unwrap_or_else(|| panic!("{tag} is not listed")).id)
    }

    /// Every id, tag and digest that is listed.
    pub(super) async fn names(&self) -> anyhow::Result<BTreeSet<String>> {
        let images = self.raw.list_images().await?.into_iter();
        Ok(images.flat_map(|image| [vec![image.id], image.repo_tags, image.repo_digests].concat()).collect())
    }

    /// What the guard rails say now to the wish to remove an image.
    pub(super) async fn review(&self, id: &str) -> anyhow::Result<Plan<Images>> {
        Ok(review(&self.observe().await?, id))
    }

    /// Permission to remove an image, as a run gets it.
    pub(super) async fn clearance(&self, id: &str) -> anyhow::Result<Clearance<Images>> {
        let plan = self.review(id).await?;
        let step = plan.steps.first().unwrap_or_else(|| panic!("{id} is refused: {:?}", plan.refusals));
        let (snapshot, rails) = (self.look().await?, rails());
        Ok(ImageGuard::new(&snapshot, &rails).clear(step).unwrap_or_else(|refusal| panic!("{id}: {refusal}")))
    }
}

/// No image is too young: the pods of these nodes have just been started.
fn rails() -> GuardRails {
    GuardRails { min_age: SignedDuration::ZERO, ..GuardRails::default() }
}

fn review(snapshot: &Snapshot, id: &str) -> Plan<Images> {
    let wish = Wish {
        target: Target::Image(id.to_owned()),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Unused, text: String::new() },
        expected_bytes: None,
    };
    let proposal = Proposal { plugin: "conformance".to_owned(), wishes: vec![wish] };
    ImageGuard::new(snapshot, &rails()).review(vec![proposal.into()])
}

/// A snapshot without what differs from look to look and from machine to machine.
pub(super) fn timeless(snapshot: Snapshot) -> Snapshot {
    Snapshot { taken_at: Timestamp::UNIX_EPOCH, filesystems: Vec::new(), ..snapshot }
}

/// Who uses which image, in words: `IMAGE by container NAME`, with a question mark where it is only possible.
pub(super) fn uses(snapshot: &Snapshot) -> BTreeSet<String> {
    let usage = Usage::of(snapshot);
    let mut uses = BTreeSet::new();
    for (place, image) in snapshot.images.iter().enumerate() {
        for user in usage.users(place) {
            let holder = match user.holder {
                Holder::Container(container) => format!("container {}", container.name),
                Holder::Sandbox(sandbox) => format!("sandbox of {}", sandbox.pod),
                Holder::Outside(container) => format!("container {} of {}", container.id, container.namespace),
            };
            let doubt = if user.unresolved.is_some() { "?" } else { "" };
            uses.insert(format!("{} by {holder}{doubt}", without_digest(image.display_name())));
        }
    }
    uses
}

/// A name by digest down to its repository.
pub(super) fn without_digest(name: &str) -> String {
    name.split_once('@').map_or_else(|| name.to_owned(), |(repository, _)| format!("{repository}@"))
}
