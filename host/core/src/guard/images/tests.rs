use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::{ImageGuard, ImageObjection, Images};
use crate::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use crate::fixture::{self, sandbox, snapshot};
use crate::guard::logs::LogRails;
use crate::guard::{GuardRails, Limits, Plan, RailPattern, Refusal};
use crate::image::{Image, ImageId};
use crate::proposal::{LogLocation, Proposal, Reason, ReasonKind, Target, Verb, Wish};
use crate::snapshot::Snapshot;

mod oracle;
mod properties;
mod refused;

/// The id of the n-th image.
fn id(n: u8) -> String {
    format!("sha256:{n:064x}")
}

fn image(n: u8, tags: &[&str]) -> Image {
    fixture::image(&id(n), tags, &[])
}

fn container(name: &str, state: ContainerState, image: &str) -> Container {
    let mentions = ImageMentions { image: image.to_owned(), ..ImageMentions::default() };
    Container { state, ..fixture::container(name, mentions) }
}

fn wish(target: Target) -> Wish {
    let reason = Reason { kind: ReasonKind::Unused, text: String::new() };
    Wish { target, verb: Verb::Remove, reason, expected_bytes: None }
}

fn proposal(ids: &[String]) -> Proposal {
    let wishes = ids.iter().map(|id| wish(Target::Image(id.clone()))).collect();
    Proposal { plugin: "greedy".to_owned(), wishes }
}

fn review(snapshot: &Snapshot, rails: &GuardRails, ids: &[String]) -> Plan<Images> {
    ImageGuard::new(snapshot, rails).review(vec![proposal(ids).into()])
}

/// What the rails say to removing image 1 of this node.
fn verdict(snapshot: &Snapshot, rails: &GuardRails) -> Result<(), Refusal<Images>> {
    let plan = review(snapshot, rails, &[id(1)]);
    match plan.refusals.into_iter().next() {
        Some(refused) => Err(refused.refusal),
        None => Ok(()),
    }
}

fn protecting(pattern: &str) -> GuardRails {
    GuardRails { protect: vec![RailPattern::new("--protect", pattern.parse().unwrap())], ..GuardRails::default() }
}

fn limited(limits: Limits) -> GuardRails {
    GuardRails { limits, ..GuardRails::default() }
}

#[test]
fn an_unused_image_may_go() {
    let snapshot = snapshot(vec![image(1, &["docker.io/minchou/rollout:v1"])], Vec::new());
    assert_eq!(verdict(&snapshot, &GuardRails::default()), Ok(()));
}

#[test]
fn a_step_says_what_goes_and_on_whose_wish() {
    let digest = format!("docker.io/a/b@{}", id(9));
    let image = fixture::image(&id(1), &["docker.io/a/b:1", "docker.io/a/b:2"], &[&digest]);
    let node = snapshot(vec![image, fixture::image(&id(2), &[], &[])], Vec::new());
    let plan = review(&node, &GuardRails::default(), &[id(1), id(2)]);
    let step = &plan.steps[0];
    assert_eq!((step.plugin(), step.target().as_str(), step.size_bytes()), ("greedy", id(1).as_str(), 100));
    assert_eq!(step.references(), ["docker.io/a/b:1", "docker.io/a/b:2", &digest]);
    assert_eq!((step.name(), plan.steps[1].name()), ("docker.io/a/b:1".to_owned(), id(2)));
    assert_eq!(step.reason().kind, ReasonKind::Unused);
}

#[test]
fn rail_1_unknown_images_are_refused() {
    let snapshot = snapshot(vec![image(2, &[])], Vec::new());
    assert_eq!(verdict(&snapshot, &GuardRails::default()), Err(Refusal::NotFound));
    // A shortened id, a tag and an id without its algorithm are not ids that this node listed.
    for id in ["sha256:0", "2", &id(2)["sha256:".len()..], ""] {
        let plan = review(&snapshot, &GuardRails::default(), &[id.to_owned()]);
        assert!(plan.steps.is_empty(), "{id}");
    }
}

#[test]
fn rail_1_a_second_wish_is_refused_across_plugins() {
    let snapshot = snapshot(vec![image(1, &[])], Vec::new());
    let rails = GuardRails::default();
    let plan =
        ImageGuard::new(&snapshot, &rails).review(vec![proposal(&[id(1), id(1)]).into(), proposal(&[id(1)]).into()]);
    assert_eq!(plan.steps.len(), 1);
    assert!(plan.refusals.iter().all(|refused| refused.refusal == Refusal::Duplicate));
    assert_eq!(plan.refusals.len(), 2);
}

#[test]
fn rail_1_only_images_are_removed() {
    let snapshot = snapshot(vec![image(1, &[])], vec![container("c", ContainerState::Exited, "gone:1")]);
    let rails = GuardRails::default();
    let place = LogLocation { root: "app".to_owned(), path: "../../etc/passwd".to_owned() };
    let targets = [
        Target::Container("c".to_owned()),
        Target::Sandbox("sandbox".to_owned()),
        Target::LogFile(place.clone()),
        Target::LogDirectory(place),
        Target::Other("volume".to_owned(), "v".to_owned()),
    ];
    let mut wishes: Vec<Wish> = targets.into_iter().map(wish).collect();
    wishes.push(Wish { verb: Verb::Truncate, ..wish(Target::Image(id(1))) });
    wishes.push(Wish { verb: Verb::Other, ..wish(Target::Image(id(1))) });
    let plan = ImageGuard::new(&snapshot, &rails).review(vec![Proposal { plugin: "p".to_owned(), wishes }.into()]);
    assert!(plan.steps.is_empty());
    assert!(plan.refusals.iter().all(|refused| refused.refusal == Refusal::NotOffered));
}

#[test]
fn rail_2_any_state_of_a_container_protects() {
    for state in [ContainerState::Created, ContainerState::Running, ContainerState::Exited, ContainerState::Unknown] {
        let snapshot = snapshot(vec![image(1, &["docker.io/a/b:1"])], vec![container("c", state, "a/b:1")]);
        let refusal = verdict(&snapshot, &GuardRails::default()).unwrap_err();
        assert_eq!(refusal.rail(), 2);
        assert!(refusal.to_string().contains("container c") && refusal.to_string().contains("shop/web"), "{refusal}");
    }
}

#[test]
fn rail_2_what_may_be_in_use_is_in_use() {
    let snapshot = snapshot(
        vec![image(1, &["docker.io/a/b:2"]), image(2, &["docker.io/a/c:2"])],
        vec![container("c", ContainerState::Running, "a/b:1")],
    );
    let rails = GuardRails::default();
    let plan = review(&snapshot, &rails, &[id(1), id(2)]);
    assert_eq!(plan.steps.len(), 1);
    let refusal = &plan.refusals[0].refusal;
    assert_eq!(refusal.code(), "MayBeInUse");
    assert_eq!(
        refusal.to_string(),
        "may be in use: container c (running) of pod shop/web references a/b:1, which resolves to no image on this node"
    );

    let nameless = snapshot.clone();
    let nameless = Snapshot { containers: vec![fixture::container("c", ImageMentions::default())], ..nameless };
    let refusal = verdict(&nameless, &rails).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "may be in use: the runtime does not say which images container c (exited) of pod shop/web uses"
    );
}

#[test]
fn rail_3_what_the_node_needs_stays() {
    let rails = GuardRails::default();
    let mut pinned = image(1, &["docker.io/a/b:1"]);
    pinned.pinned = true;
    assert_eq!(verdict(&snapshot(vec![pinned], Vec::new()), &rails), Err(ImageObjection::Pinned.into()));

    let digest = format!("docker.io/a/b@{}", id(9));
    let pinned_twice = format!("docker.io/a/b:1@{}", id(9));
    for reference in ["docker.io/a/b:1", "a/b:1", &id(1), &digest, &pinned_twice] {
        let mut node = snapshot(vec![fixture::image(&id(1), &["docker.io/a/b:1"], &[&digest])], Vec::new());
        node.node.sandbox_images = vec![reference.to_owned()];
        assert_eq!(verdict(&node, &rails), Err(ImageObjection::SandboxImage.into()), "{reference}");
    }
    for tag in
        ["localhost/anything:1", "registry.k8s.io/pause:3.9", "quay.io/x/my-pause-amd64:1", "ghcr.io/x/holystone:1"]
    {
        let refusal = verdict(&snapshot(vec![image(1, &[tag])], Vec::new()), &rails).unwrap_err();
        assert_eq!(refusal.code(), "BuiltIn", "{tag}");
    }
}

#[test]
fn rail_4_one_protected_tag_protects_the_image() {
    let node = snapshot(vec![image(1, &["docker.io/a/b:1", "docker.io/a/keep:1"])], Vec::new());
    for pattern in ["a/keep", "docker.io/a/keep:*", "*:1", "*", &id(1)] {
        assert_eq!(verdict(&node, &protecting(pattern)).unwrap_err().code(), "Protected", "{pattern}");
    }
    assert_eq!(verdict(&node, &protecting("a/kee")), Ok(()));
}

#[test]
fn rail_3_our_own_images_stay() {
    let mut node = snapshot(vec![image(1, &["registry.example/tools/scrub:1"])], Vec::new());
    node.memory.own_images = [id(1)].into();
    assert_eq!(verdict(&node, &GuardRails::default()), Err(ImageObjection::Own.into()));
}

#[test]
fn rail_3_only_two_built_in_patterns_can_be_lifted() {
    let lift = |pattern: &str| vec![RailPattern::new("--unprotect", pattern.parse().unwrap())];
    let lifted = |pattern: &str| GuardRails { lift: lift(pattern), ..GuardRails::default() };
    let verdict = |tag: &str, pattern: &str| verdict(&snapshot(vec![image(1, &[tag])], Vec::new()), &lifted(pattern));
    assert_eq!(verdict("localhost/anything:1", "localhost/*"), Ok(()));
    assert_eq!(verdict("quay.io/x/pause-game:1", "*pause*"), Ok(()));
    for (tag, pattern) in
        [("localhost/anything:1", "*pause*"), ("ghcr.io/x/holystone:1", "*/holystone*"), ("localhost/a:1", "*")]
    {
        assert_eq!(verdict(tag, pattern).unwrap_err().code(), "BuiltIn", "{tag} by {pattern}");
    }
}

fn minutes(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + minutes.minutes()
}

/// A node at minute 60 that is remembered since then, with an image first seen at these times.
fn remembered(since: Option<i64>, first_seen: Option<i64>) -> Snapshot {
    let mut image = image(1, &["docker.io/a/b:1"]);
    image.first_seen = first_seen.map(minutes);
    let mut node = Snapshot { taken_at: minutes(60), ..snapshot(vec![image], Vec::new()) };
    node.memory.since = since.map(minutes);
    node
}

/// The sandbox of a pod, created at this minute.
fn pod(uid: &str, created: i64) -> Sandbox {
    let pod = Pod { uid: uid.to_owned(), namespace: "shop".to_owned(), name: "new".to_owned() };
    Sandbox { ready: true, created_at: minutes(created), pod, ..sandbox("s", "") }
}

#[test]
fn rail_5_a_young_image_stays() {
    let rails = GuardRails::default();
    for (first_seen, allowed) in [(59, false), (51, false), (50, true), (1, true), (70, false)] {
        let verdict = verdict(&remembered(Some(0), Some(first_seen)), &rails);
        assert_eq!(verdict.is_ok(), allowed, "first seen at minute {first_seen}: {verdict:?}");
    }
    let refusal = verdict(&remembered(Some(0), Some(55)), &rails).unwrap_err();
    assert_eq!((refusal.code(), refusal.rail()), ("TooYoung", 5));
    assert!(refusal.to_string().contains("1970-01-01T00:55:00Z, less than 10m before"), "{refusal}");
    // A recorded snapshot may know ages without saying since when the node is remembered.
    assert_eq!(verdict(&remembered(None, Some(55)), &rails).unwrap_err().code(), "TooYoung");
}

#[test]
fn rail_5_an_unknown_age_is_young_only_while_a_pod_may_be_starting() {
    let rails = GuardRails::default();
    // Nothing remembered; first inspection; there since the first inspection, which was a moment ago.
    for (since, first_seen) in [(None, None), (Some(60), Some(60)), (Some(55), Some(55)), (Some(0), None)] {
        let with = |sandbox: Sandbox| {
            let mut node = remembered(since, first_seen);
            node.sandboxes.push(sandbox);
            "own".clone_into(&mut node.node.own_pod);
            verdict(&node, &rails)
        };
        assert_eq!(verdict(&remembered(since, first_seen), &rails), Ok(()));
        let refusal = with(pod("u", 51)).unwrap_err();
        assert_eq!((refusal.code(), refusal.rail()), ("MayBeYoung", 5));
        assert!(refusal.to_string().contains("pod shop/new, which is younger than 10m"), "{refusal}");
        assert_eq!(with(pod("u", 65)).unwrap_err().code(), "MayBeYoung", "by another clock");
        assert_eq!(with(pod("u", 50)), Ok(()), "it has started by now");
        assert_eq!(with(pod("own", 59)), Ok(()), "our own pod");
        assert_eq!(with(Sandbox { ready: false, ..pod("u", 59) }), Ok(()), "not ready");
    }
    let mut long_known = remembered(Some(50), Some(50));
    long_known.sandboxes.push(pod("u", 59));
    assert_eq!(verdict(&long_known, &rails), Ok(()), "at least as old as it has to be");
}

#[test]
fn rail_5_can_be_set() {
    let aged = |age| GuardRails { min_age: SignedDuration::from_mins(age), ..GuardRails::default() };
    assert_eq!(verdict(&remembered(Some(0), Some(58)), &aged(2)), Ok(()));
    assert_eq!(verdict(&remembered(Some(0), Some(20)), &aged(41)).unwrap_err().rail(), 5);
    let mut starting = remembered(None, None);
    starting.sandboxes.push(pod("u", 60));
    assert_eq!(verdict(&starting, &aged(0)), Ok(()));
    assert_eq!(verdict(&remembered(Some(0), Some(60)), &aged(0)), Ok(()));
}

#[test]
fn rail_5_is_asked_again_before_the_removal() {
    let rails = GuardRails::default();
    let before = remembered(None, None);
    let plan = review(&before, &rails, &[id(1)]);
    let mut after = before.clone();
    after.sandboxes.push(pod("u", 60));
    assert_eq!(ImageGuard::new(&after, &rails).clear(&plan.steps[0]).unwrap_err().code(), "MayBeYoung");
}

#[test]
fn rail_6_a_wish_has_to_be_repeated() {
    let rails = GuardRails { confirmations: 3, ..GuardRails::default() };
    let mut node = snapshot(vec![image(1, &[])], Vec::new());
    assert_eq!(verdict(&node, &rails), Err(Refusal::NotConfirmed { runs: 1, needed: 3 }));
    for (plugin, runs, allowed) in
        [("greedy", 1, false), ("greedy", 2, true), ("greedy", u32::MAX, true), ("other", 9, false)]
    {
        node.memory.wishes = [(plugin.to_owned(), [(id(1), runs)].into())].into();
        assert_eq!(verdict(&node, &rails).is_ok(), allowed, "{plugin} {runs}");
    }
    let refusal = verdict(&node, &rails).unwrap_err();
    assert_eq!((refusal.code(), refusal.rail()), ("NotConfirmed", 6));
    assert!(refusal.to_string().contains("in 1 of 3 required consecutive runs"), "{refusal}");
}

#[test]
fn rail_6_is_settled_when_the_step_is_made() {
    let rails = GuardRails { confirmations: 2, ..GuardRails::default() };
    let mut node = snapshot(vec![image(1, &[])], Vec::new());
    node.memory.wishes = [("greedy".to_owned(), [(id(1), 1)].into())].into();
    let plan = review(&node, &rails, &[id(1)]);
    node.memory.wishes.clear();
    assert!(ImageGuard::new(&node, &rails).clear(&plan.steps[0]).is_ok());
}

#[test]
fn rail_8_count_and_bytes_leave_the_rest() {
    let mut images: Vec<Image> = (1..=4).map(|n| image(n, &[])).collect();
    images[1].size_bytes = 1_000;
    let node = snapshot(images, Vec::new());
    let ids: Vec<String> = (1..=4).map(id).collect();

    let plan = review(&node, &limited(Limits { count: Some(2), ..Limits::default() }), &ids);
    assert_eq!(plan.steps.len(), 2);
    assert!(plan.refusals.iter().all(|refused| refused.refusal == Refusal::OverCount { limit: 2 }));

    let plan = review(&node, &limited(Limits { bytes: Some(250), ..Limits::default() }), &ids);
    let kept: Vec<&str> = plan.steps.iter().map(|step| step.target().as_str()).collect();
    assert_eq!(kept, [id(1), id(3)]);

    let plan = review(&node, &limited(Limits { count: Some(0), ..Limits::default() }), &ids);
    assert!(plan.steps.is_empty());

    // What is exactly the limit is within it.
    let plan = review(&node, &limited(Limits { bytes: Some(1_200), ..Limits::default() }), &ids);
    assert_eq!(plan.steps.len(), 3);
    assert_eq!(plan.refusals[0].refusal, Refusal::OverBytes { limit: 1_200 });
}

#[test]
fn rail_8_percent_rejects_the_whole_proposal() {
    let node = snapshot((1..=10).map(|n| image(n, &[])).collect(), Vec::new());
    let rails = limited(Limits { percent: Some(50), ..Limits::default() });
    let ids: Vec<String> = (1..=10).map(id).collect();

    assert_eq!(review(&node, &rails, &ids[..5]).steps.len(), 5);
    let plan = review(&node, &rails, &ids[..6]);
    assert!(plan.steps.is_empty());
    assert!(plan.refusals.iter().all(|refused| refused.refusal == Refusal::OverPercent { limit: 50, wished: 60 }));

    // Together they would go over it: the second plugin is rejected, the first is not.
    let guard = ImageGuard::new(&node, &rails);
    let plan = guard.review(vec![proposal(&ids[..4]).into(), proposal(&ids[4..8]).into()]);
    assert_eq!(plan.steps.len(), 4);
    // Wishing the same again does not count twice, and neither do images that are not there.
    let plan = guard.review(vec![proposal(&ids[..5]).into(), proposal(&ids[..5]).into(), proposal(&[id(99)]).into()]);
    assert_eq!(plan.steps.len(), 5);
    let codes: Vec<&str> = plan.refusals.iter().map(|refused| refused.refusal.code()).collect();
    assert_eq!(codes, [["Duplicate"; 5].as_slice(), &["NotFound"]].concat());
}

#[test]
fn a_step_is_judged_again() {
    let rails = protecting("a/keep");
    let before = snapshot(vec![image(1, &["docker.io/a/b:1"])], Vec::new());
    let plan = review(&before, &rails, &[id(1)]);
    let step = &plan.steps[0];
    let now = |images, containers| {
        let after = snapshot(images, containers);
        ImageGuard::new(&after, &rails).clear(step).map(|clearance| clearance.target().clone())
    };

    assert_eq!(now(before.images.clone(), Vec::new()), Ok(ImageId::new(id(1))));
    assert_eq!(now(Vec::new(), Vec::new()), Err(Refusal::NotFound));
    // Losing a name changes nothing about the image.
    assert_eq!(now(vec![image(1, &[])], Vec::new()), Ok(ImageId::new(id(1))));

    let started = container("c", ContainerState::Created, "a/b:1");
    assert_eq!(now(before.images.clone(), vec![started]).unwrap_err().code(), "InUse");
    let retagged = vec![image(1, &["docker.io/a/b:1", "docker.io/prod/b:1"])];
    assert_eq!(now(retagged, Vec::new()).unwrap_err().code(), "Changed");
    let kept = vec![image(1, &["docker.io/a/b:1", "docker.io/a/keep:1"])];
    assert_eq!(now(kept, Vec::new()).unwrap_err().code(), "Protected");
    let mut pinned = image(1, &["docker.io/a/b:1"]);
    pinned.pinned = true;
    assert_eq!(now(vec![pinned], Vec::new()), Err(ImageObjection::Pinned.into()));
}

#[test]
fn a_sandbox_protects_its_image() {
    let mut node = snapshot(vec![image(1, &["docker.io/a/infra:1"])], Vec::new());
    node.sandboxes.push(sandbox("s", "docker.io/a/infra:1"));
    assert_eq!(verdict(&node, &GuardRails::default()).unwrap_err().code(), "InUse");
}

#[test]
fn refusals_never_carry_escapes_to_a_terminal() {
    let node = snapshot(vec![image(1, &[])], vec![container("\x1b[2J", ContainerState::Running, "evil\x1b]0;:1")]);
    let refusal = verdict(&node, &GuardRails::default()).unwrap_err();
    assert!(!refusal.to_string().contains('\x1b'), "{refusal:?}");
    let plan = review(&node, &GuardRails::default(), &["\x1b[31m".to_owned()]);
    assert!(!plan.refusals[0].name.contains('\x1b'));
}

#[test]
fn the_rails_of_log_files_are_those_of_the_operator() {
    let limits = Limits { count: Some(1), bytes: Some(2), percent: Some(3) };
    let rails = GuardRails {
        unknown_open_age: SignedDuration::from_hours(5),
        settle_time: SignedDuration::from_mins(7),
        min_age: SignedDuration::from_mins(3),
        confirmations: 4,
        limits,
        ..GuardRails::default()
    };
    let expected = LogRails {
        unknown_open_age: SignedDuration::from_hours(5),
        settled_for: SignedDuration::from_mins(7),
        min_age: SignedDuration::from_mins(3),
        confirmations: 4,
        limits,
    };
    assert_eq!(rails.for_logs(), expected);
}

/// The name by which image 1 of a CRI-O node is asked for, after these were.
fn asked_by_name(images: Vec<Image>, tried: &[&str]) -> Option<String> {
    let mut node = snapshot(images, Vec::new());
    "CRI-O".clone_into(&mut node.node.runtime_name);
    let rails = GuardRails::default();
    let guard = ImageGuard::new(&node, &rails);
    let step = guard.review(vec![proposal(&[id(1)]).into()]).steps.remove(0);
    let tried: Vec<String> = tried.iter().map(|name| (*name).to_owned()).collect();
    guard.clear_by_name(&step, &tried).unwrap().map(|clearance| {
        assert_eq!(clearance.target().as_str(), id(1));
        clearance.asked().to_owned()
    })
}

#[test]
fn an_image_is_asked_for_by_its_digests_first_and_by_each_name_once() {
    let digest = format!("docker.io/a/b@{}", id(0xd1));
    let one = || vec![fixture::image(&id(1), &["docker.io/a/b:1", "docker.io/a/b"], &[&digest])];
    assert_eq!(asked_by_name(one(), &[]), Some(digest.clone()));
    assert_eq!(asked_by_name(one(), &[&digest]), Some("docker.io/a/b:1".to_owned()));
    assert_eq!(asked_by_name(one(), &[&digest, "docker.io/a/b:1"]), None, "a name without a tag may mean any");
    assert_eq!(asked_by_name(vec![fixture::image(&id(1), &["%%%"], &[])], &[]), None, "it is no name");
    let mut other = snapshot(one(), Vec::new());
    "containerd".clone_into(&mut other.node.runtime_name);
    let rails = GuardRails::default();
    let guard = ImageGuard::new(&other, &rails);
    let step = guard.review(vec![proposal(&[id(1)]).into()]).steps.remove(0);
    assert!(guard.clear_by_name(&step, &[]).unwrap().is_none(), "this runtime removes by id");
    assert_eq!(guard.clear(&step).unwrap().asked(), id(1));
}

#[test]
fn no_name_is_asked_for_that_may_mean_another_image() {
    let hash = id(0xd1);
    let digest = format!("docker.io/a/b@{hash}");
    let with = |other: Image| vec![fixture::image(&id(1), &["docker.io/a/b:1"], &[&digest]), other];
    let (by_digest, by_tag) = (Some(digest.clone()), Some("docker.io/a/b:1".to_owned()));
    for (other, expected) in [
        // Nothing in common but a part.
        (fixture::image(&id(2), &["docker.io/a/b:2", "docker.io/a/c:1"], &[]), &by_digest),
        // The same content in another repository, or as an id.
        (fixture::image(&id(2), &[], &[&format!("mirror.example/b@{hash}")]), &by_tag),
        (fixture::image(&hash, &[], &[]), &by_tag),
    ] {
        assert_eq!(asked_by_name(with(other.clone()), &[]), *expected, "{other:?}");
        let mut reversed = with(other);
        reversed.reverse();
        assert_eq!(asked_by_name(reversed, &[]), *expected);
    }
    let same_tag = fixture::image(&id(2), &["a/b:1"], &[]);
    assert_eq!(asked_by_name(with(same_tag), &[&digest]), None, "another spelling of the same tag");
    for other in ["docker.io/a/b:2", "docker.io/a/c:1"] {
        assert_eq!(asked_by_name(with(fixture::image(&id(2), &[other], &[])), &[&digest]), by_tag, "{other}");
    }
}

#[test]
fn without_a_least_age_nothing_is_too_young() {
    let mut node = snapshot(vec![image(1, &[])], Vec::new());
    node.memory.lost = Some(node.taken_at);
    let rails = GuardRails { min_age: SignedDuration::ZERO, ..GuardRails::default() };
    assert_eq!(verdict(&node, &rails), Ok(()));
    assert!(verdict(&node, &GuardRails::default()).is_err());
}
