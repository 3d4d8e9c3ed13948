//! Names that a runtime takes one by one, ages at their limits, and what a plan knows of what it refuses.

use jiff::{SignedDuration, ToSpan as _};

use super::{GuardRails, ImageObjection, Plan, Refusal, id, image, minutes, remembered, review, snapshot, verdict};
use crate::fixture;

#[test]
fn rail_2_several_names_stay_where_a_runtime_takes_them_one_by_one() {
    let digest = |repository: &str| format!("{repository}@{}", id(9));
    let (own, mirror) = (digest("docker.io/a/b"), digest("mirror.example/b"));
    let node = |docker: bool, untags_first: bool, tags: &[&str], digests: &[&str]| {
        let mut node = snapshot(vec![fixture::image(&id(1), tags, digests)], Vec::new());
        if docker { "docker" } else { "containerd" }.clone_into(&mut node.node.runtime_name);
        node.memory.untags_first = untags_first;
        node
    };
    let rails = GuardRails::default();
    let allowing = GuardRails { allow_partial_untag: true, ..GuardRails::default() };
    let cases: [(&[&str], &[&str], usize); 4] = [
        (&[], &[], 0),
        (&["docker.io/a/b:1"], &[&own], 1),
        (&["docker.io/a/b:1", "docker.io/a/b:2"], &[], 2),
        (&["docker.io/a/b:1", "docker.io/a/b:2"], &[&mirror], 3),
    ];
    for (tags, digests, names) in cases {
        let expected = if names > 1 { Err(ImageObjection::NamesAtRisk { names }.into()) } else { Ok(()) };
        for (docker, untags_first) in [(true, false), (false, true), (true, true)] {
            let node = node(docker, untags_first, tags, digests);
            assert_eq!(verdict(&node, &rails), expected, "{tags:?} {digests:?}");
            assert_eq!(verdict(&node, &allowing), Ok(()), "{tags:?} {digests:?}");
        }
        assert_eq!(verdict(&node(false, false, tags, digests), &rails), Ok(()), "{tags:?} {digests:?}");
    }
    let refusal = verdict(&node(true, false, cases[2].0, &[]), &rails).unwrap_err();
    assert_eq!((refusal.code(), refusal.rail()), ("NamesAtRisk", 2));
    assert!(refusal.to_string().starts_with("it has 2 names, which this runtime removes one by one"), "{refusal}");
}

#[test]
fn without_a_least_age_times_ahead_of_the_look_are_not_young_either() {
    let rails = GuardRails { min_age: SignedDuration::ZERO, ..GuardRails::default() };
    let mut lost = remembered(Some(0), None);
    lost.memory.lost = Some(lost.taken_at + 1.minutes());
    let mut used = remembered(Some(0), None);
    used.images[0].last_used = Some(used.taken_at + 1.minutes());
    for node in [lost, used, remembered(Some(0), Some(61))] {
        assert_eq!(verdict(&node, &rails), Ok(()));
        assert_eq!(verdict(&node, &GuardRails::default()).unwrap_err().rail(), 5);
    }
}

#[test]
fn rail_5_an_unknown_age_is_young_for_a_while_where_a_schedule_brings_the_next_run() {
    let rails = GuardRails { unknown_is_young: true, ..GuardRails::default() };
    let refusal = verdict(&remembered(Some(55), Some(55)), &rails).unwrap_err();
    let min_age = SignedDuration::from_mins(10);
    assert_eq!(refusal, Refusal::Own(ImageObjection::AgeUnknown { since: minutes(55), min_age }));
    assert_eq!(
        refusal.to_string(),
        "its age is unknown: the node is known since 1970-01-01T00:55:00Z, less than 10m before this run, and a later \
         run of the schedule knows more"
    );
    assert_eq!((refusal.code(), refusal.rail()), ("AgeUnknown", 5));
    assert_eq!(verdict(&remembered(Some(50), Some(50)), &rails), Ok(()));
    assert_eq!(verdict(&remembered(None, None), &rails), Ok(()), "no state is kept");
}

#[test]
fn a_refused_image_is_shown_and_counted_like_a_step() {
    let mut node = snapshot(vec![image(1, &["docker.io/a/b:1", "docker.io/a/b:2"])], Vec::new());
    node.images[0].pinned = true;
    let Plan { refusals, steps } = review(&node, &GuardRails::default(), &[id(1), id(2)]);
    assert!(steps.is_empty());
    let [pinned, unknown] = refusals.try_into().unwrap();
    assert_eq!((pinned.name.as_str(), pinned.size_bytes, pinned.key), ("docker.io/a/b:1", Some(100), Some(id(1))));
    assert_eq!(pinned.facts.unwrap().references(), ["docker.io/a/b:1", "docker.io/a/b:2"]);
    assert_eq!((unknown.name, unknown.size_bytes, unknown.facts, unknown.key), (id(2), None, None, None));
}

#[test]
fn a_plan_is_empty_only_without_steps_and_without_refusals() {
    let plan = |ids: &[String]| review(&snapshot(vec![image(1, &[])], Vec::new()), &GuardRails::default(), ids);
    assert!(plan(&[]).is_empty());
    let (planned, refused) = (plan(&[id(1)]), plan(&[id(2)]));
    assert_eq!((planned.steps.len(), planned.refusals.len()), (1, 0));
    assert_eq!((refused.steps.len(), refused.refusals.len()), (0, 1));
    assert!(!planned.is_empty() && !refused.is_empty() && !plan(&[id(1), id(2)]).is_empty());
}
