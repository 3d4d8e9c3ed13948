//! Random nodes, random proposals: whatever a plugin wishes, nothing that must stay is in the plan.
//!
//! `PROPTEST_CASES` says how many; CI takes ten thousand. What must stay is for the [`oracle`](super::oracle) to say.

use std::collections::HashSet;

use jiff::SignedDuration;
use proptest::prelude::{Just, Strategy, any};
use proptest::{collection, option, prop_assert, prop_assert_eq, prop_oneof, proptest, sample};

use super::oracle::{NOW, PATTERNS, SPELLINGS, TAGS, minute, must_stay};
use super::{GuardRails, ImageGuard, Limits, RailPattern, container, id, image, sandbox, snapshot};
use crate::clock::{Clock, Doubt};
use crate::container::{Container, ContainerState, ImageMentions, OutsideContainer, Pod, Sandbox};
use crate::fixture::outside;
use crate::image::Image;
use crate::proposal::{LogLocation, Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::snapshot::{Memory, PodsSeen, Snapshot};

const IMAGES: u8 = 12;

fn digest(n: u8) -> String {
    format!("sha256:{:064x}", u32::from(n) + 0xd00)
}

fn images() -> impl Strategy<Value = Vec<Image>> {
    let pinned = sample::select(vec![true, false, false, false]);
    let first_seen = option::of((0..NOW + 2).prop_map(minute));
    let last_used = option::weighted(0.3, (0..NOW + 2).prop_map(minute));
    let times = (first_seen, last_used);
    let one = (sample::subsequence(TAGS.to_vec(), 0..3), option::of(0..IMAGES), 0..1_000_u64, pinned, times);
    collection::vec(one, 0..usize::from(IMAGES)).prop_map(|list| {
        (0..)
            .zip(list)
            .map(|(n, (tags, digested, size, pinned, (first_seen, last_used)))| {
                let mut image = image(n, &tags);
                image.repo_digests = digested.iter().map(|n| format!("quay.io/team/app@{}", digest(*n))).collect();
                image.size_bytes = size;
                image.pinned = pinned;
                image.first_seen = first_seen;
                image.last_used = last_used;
                image
            })
            .collect()
    })
}

fn mention() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        3 => (0..IMAGES).prop_map(id),
        1 => (0..IMAGES).prop_map(|n| id(n)["sha256:".len()..].to_owned()),
        1 => (0..IMAGES).prop_map(|n| id(n).to_uppercase()),
        1 => (0..IMAGES).prop_map(|n| format!("docker://{}", id(n))),
        1 => (0..IMAGES).prop_map(|n| format!("docker-pullable://quay.io/team/app@{}", digest(n))),
        1 => (0..IMAGES).prop_map(|n| format!("docker.io/library/nginx:1@{}", digest(n))),
        1 => Just(format!("sha512:{}", "b".repeat(128))),
        1 => Just("[2001:db8::1]:5000/x:1".to_owned()),
        2 => sample::select(SPELLINGS.to_vec()).prop_map(|(spelling, _)| spelling.to_owned()),
        1 => (0..IMAGES).prop_map(|n| format!("quay.io/team/app@{}", digest(n))),
        1 => (0..IMAGES).prop_map(|n| format!("mirror.example/app:3@{}", digest(n))),
        1 => Just("nowhere.example/x:1".to_owned()),
        1 => Just("\u{1b}[2J".to_owned()),
    ]
}

fn containers() -> impl Strategy<Value = Vec<Container>> {
    use ContainerState::{Created, Exited, Running, Unknown};

    let state = sample::select(vec![Created, Running, Exited, Unknown]);
    let one = (mention(), mention(), mention(), mention(), collection::vec(mention(), 0..2), state);
    collection::vec(one, 0..5).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(n, (image_id, image_ref, image, user_specified_image, image_volumes, state))| {
                let mut container = container(&format!("c{n}"), state, "");
                container.image = ImageMentions { image_id, image_ref, image, user_specified_image };
                container.image_volumes = image_volumes.into_iter().filter(|volume| !volume.is_empty()).collect();
                container
            })
            .collect()
    })
}

fn sandboxes() -> impl Strategy<Value = Vec<Sandbox>> {
    let one = (mention(), any::<bool>(), 0..NOW + 2, sample::select(vec!["own", "p"]));
    collection::vec(one, 0..2).prop_map(|list| {
        list.into_iter()
            .enumerate()
            .map(|(n, (image, ready, created, uid))| Sandbox {
                ready,
                created_at: minute(created),
                pod: Pod { uid: uid.to_owned(), ..Pod::default() },
                ..sandbox(&format!("s{n}"), &image)
            })
            .collect()
    })
}

fn outsiders() -> impl Strategy<Value = Vec<OutsideContainer>> {
    let named = mention().prop_filter("those without are not listed", |image| !image.is_empty());
    let outsiders =
        |images: Vec<String>| (0..).zip(images).map(|(n, image)| outside(&format!("o{n}"), &image)).collect();
    prop_oneof![2 => Just(Vec::new()), 1 => collection::vec(named, 1..3).prop_map(outsiders)]
}

fn memories() -> impl Strategy<Value = Memory> {
    let own = collection::btree_set((0..IMAGES).prop_map(id), 0..2);
    let wishes = collection::btree_map((0..IMAGES).prop_map(id), 0..4_u32, 0..4);
    let wishes = collection::btree_map(sample::select(vec!["random".to_owned(), "other".to_owned()]), wishes, 0..3);
    let kept = collection::btree_map((0..IMAGES).prop_map(id), (0..=NOW).prop_map(minute), 0..2);
    let removals = (kept, any::<bool>());
    let rarely = |times: std::ops::Range<i64>| option::weighted(0.2, times.prop_map(minute));
    let pods = option::weighted(0.3, (0..NOW, rarely(0..NOW + 2)));
    let pods = pods.prop_map(|pods| pods.map(|(last, none_since)| PodsSeen { last: minute(last), none_since }));
    let doubt = option::weighted(0.1, Just(Doubt::Ahead { by: SignedDuration::from_hours(1) }));
    (option::of((0..=NOW).prop_map(minute)), own, wishes, rarely(0..NOW + 2), pods, doubt, removals).prop_map(
        |(since, own_images, wishes, lost, pods, clock_doubt, (kept, untags_first))| Memory {
            since,
            own_images,
            lost,
            pods,
            clock_doubt,
            wishes,
            kept,
            untags_first,
            ..Memory::default()
        },
    )
}

fn nodes() -> impl Strategy<Value = Snapshot> {
    let sandbox_images = sample::subsequence(TAGS.to_vec(), 0..2);
    let up_for = option::weighted(0.3, 0..2 * NOW);
    let users = (containers(), sandboxes(), outsiders());
    (images(), users, sandbox_images, memories(), any::<bool>(), up_for).prop_map(
        |(images, (containers, sandboxes, outside), sandbox_images, memory, in_a_pod, up_for)| {
            let mut node = snapshot(images, containers);
            node.taken_at = minute(NOW);
            node.sandboxes = sandboxes;
            node.outside = outside;
            node.memory = memory;
            node.node.clock = up_for.map(|minutes| Clock {
                boot_id: "boot".to_owned(),
                up_for: SignedDuration::from_mins(minutes),
                built: minute(0),
            });
            node.node.own_pod = if in_a_pod { "own".to_owned() } else { String::new() };
            node.node.sandbox_images = sandbox_images.into_iter().map(str::to_owned).collect();
            node.normalize()
        },
    )
}

fn rails() -> impl Strategy<Value = GuardRails> {
    let protect = sample::subsequence(PATTERNS.to_vec(), 0..2);
    let limits = (option::of(0..6_u64), option::of(0..2_000_u64), option::of(0..=100_u8));
    let lift = sample::subsequence(vec!["localhost/*", "*pause*", "*/holystone*"], 0..3);
    let ages = sample::select(vec![0, 5, 10, NOW * 2]);
    (protect, limits, lift, ages, 0..4_u32, any::<(bool, bool)>()).prop_map(
        |(protect, (count, bytes, percent), lift, min_age, confirmations, (allow_partial_untag, unknown_is_young))| {
            GuardRails {
                allow_partial_untag,
                unknown_is_young,
                lift: lift.into_iter().map(|text| RailPattern::new("--unprotect", text.parse().unwrap())).collect(),
                min_age: SignedDuration::from_mins(min_age),
                confirmations,
                protect: protect.into_iter().map(|text| RailPattern::new("--protect", text.parse().unwrap())).collect(),
                limits: Limits { count, bytes, percent },
                ..GuardRails::default()
            }
        },
    )
}

fn wishes() -> impl Strategy<Value = Wish> {
    let target = prop_oneof![
        12 => (0..IMAGES + 2).prop_map(|n| Target::Image(id(n))),
        1 => any::<String>().prop_map(Target::Image),
        1 => sample::select(TAGS.to_vec()).prop_map(|tag| Target::Image(tag.to_owned())),
        1 => Just(Target::Container("c0".to_owned())),
        1 => any::<String>().prop_map(|path| Target::LogFile(LogLocation { root: "app".to_owned(), path })),
        1 => any::<(String, String)>().prop_map(|(kind, name)| Target::Other(kind, name)),
    ];
    let verb = sample::select(vec![Verb::Remove, Verb::Remove, Verb::Remove, Verb::Truncate, Verb::Other]);
    (target, verb, any::<String>(), any::<Option<u64>>()).prop_map(|(target, verb, text, expected_bytes)| Wish {
        target,
        verb,
        reason: Reason { kind: ReasonKind::Other, text },
        expected_bytes,
    })
}

fn proposals() -> impl Strategy<Value = Vec<Proposal>> {
    let one = collection::vec(wishes(), 0..20);
    let one = one.prop_map(|wishes| Proposal { plugin: "random".to_owned(), wishes });
    collection::vec(one, 0..4)
}

proptest! {
    /// Invariant 5: images in use, pinned, protected or needed for sandboxes are in no plan, whatever is wished.
    #[test]
    fn nothing_that_must_stay_is_in_a_plan(node in nodes(), rails in rails(), proposals in proposals()) {
        let plan = ImageGuard::new(&node, &rails).review(proposals.into_iter().map(Into::into).collect());
        for step in &plan.steps {
            let image = node.image(step.target().as_str()).expect("a step is about an image of the node");
            prop_assert_eq!(must_stay(&node, &rails, image), None, "{:?}", image);
            let before = node.memory.wishes.get("random").and_then(|wishes| wishes.get(step.target().as_str()));
            prop_assert!(before.unwrap_or(&0) + 1 >= rails.confirmations, "confirmed");
        }
    }

    /// Invariant 2, as far as values can show it: every wish ends in exactly one of the two lists, in order; steps
    /// are about different images and within the limits.
    #[test]
    fn every_wish_is_a_step_or_a_refusal(node in nodes(), rails in rails(), proposals in proposals()) {
        let wishes = proposals.iter().flat_map(|proposal| &proposal.wishes);
        let wished: Vec<Target> = wishes.map(|wish| wish.target.clone()).collect();
        let plan = ImageGuard::new(&node, &rails).review(proposals.into_iter().map(Into::into).collect());
        prop_assert_eq!(plan.steps.len() + plan.refusals.len(), wished.len());

        let mut rest = wished.iter();
        for step in &plan.steps {
            let target = Target::Image(step.target().as_str().to_owned());
            prop_assert!(rest.any(|wished| *wished == target), "steps keep the order of the wishes");
        }
        let different: HashSet<_> = plan.steps.iter().map(super::super::Step::target).collect();
        prop_assert_eq!(different.len(), plan.steps.len());

        let limits = rails.limits;
        let bytes: u64 = plan.steps.iter().map(crate::guard::Step::size_bytes).sum();
        let steps = plan.steps.len() as u64;
        prop_assert!(limits.count.is_none_or(|limit| steps <= limit));
        prop_assert!(limits.bytes.is_none_or(|limit| bytes <= limit));
        prop_assert!(limits.percent.is_none_or(|limit| steps * 100 <= u64::from(limit) * node.images.len() as u64));
    }

    /// Without limits nothing is refused that may go: rails that say no to everything would pass the test above.
    #[test]
    fn what_may_go_is_in_the_plan(node in nodes(), n in 0..IMAGES) {
        let rails = GuardRails::default();
        let wished = id(n);
        if let Some(image) = node.image(&wished) {
            let plan = super::review(&node, &rails, &[wished]);
            prop_assert_eq!(plan.steps.is_empty(), must_stay(&node, &rails, image).is_some(), "{:?}", plan.refusals);
        }
    }

    /// Invariant 7: the same values give the same plan, in whatever order the runtime lists them.
    #[test]
    fn the_same_node_gives_the_same_plan(node in nodes(), rails in rails(), proposals in proposals()) {
        let mut turned = node.clone();
        turned.images.reverse();
        turned.containers.reverse();
        turned.sandboxes.reverse();
        turned.outside.reverse();
        turned.images.iter_mut().for_each(|image| image.repo_tags.reverse());
        let text = serde_json::to_vec(&turned).unwrap();
        let replayed = Snapshot::from_json(&text).unwrap();
        prop_assert_eq!(&replayed, &node);

        let plan = |node| serde_json::to_string(&ImageGuard::new(node, &rails).review(proposals.iter().cloned().map(Into::into).collect())).unwrap();
        prop_assert_eq!(plan(&node), plan(&replayed));
    }

    /// What has changed between the plan and the removal is seen.
    #[test]
    fn a_second_look_sees_what_has_changed(
        before in nodes(), rails in rails(), proposals in proposals(), after in nodes()
    ) {
        let plan = ImageGuard::new(&before, &rails).review(proposals.into_iter().map(Into::into).collect());
        let guard = ImageGuard::new(&after, &rails);
        for step in &plan.steps {
            if guard.clear(step).is_ok() {
                let image = after.image(step.target().as_str()).expect("what is cleared is there");
                prop_assert_eq!(must_stay(&after, &rails, image), None);
                let known = |reference: &&str| step.references().iter().any(|judged| judged == reference);
                prop_assert!(image.references().all(|reference| known(&reference)), "judged under all of its names");
            }
        }
    }
}
