//! Recorded snapshots: what is taken reads back as the same, and can be judged.
#![no_main]

use holystone_core::guard::GuardRails;
use holystone_core::guard::images::ImageGuard;
use holystone_core::proposal::{Proposal, Reason, ReasonKind, Target, Verb, Wish};
use holystone_core::snapshot::Snapshot;
use holystone_core::state::State;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let Ok(snapshot) = Snapshot::from_json(text) else { return };
    let written = serde_json::to_vec(&snapshot).expect("a snapshot can be written");
    assert_eq!(Snapshot::from_json(&written).expect("and read back"), snapshot);

    let wish = |id: &str| Wish {
        target: Target::Image(id.to_owned()),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Other, text: String::new() },
        expected_bytes: None,
    };
    let wishes: Vec<Wish> = snapshot.images.iter().map(|image| wish(image.id.as_str())).collect();
    let rails = GuardRails::default();
    let guard = ImageGuard::new(&snapshot, &rails);
    let plan = guard.review(vec![Proposal { plugin: "fuzz".to_owned(), wishes }.into()]);
    assert_eq!(plan.steps.len() + plan.refusals.len(), snapshot.images.len());
    for step in &plan.steps {
        let image = snapshot.image(step.target().as_str()).expect("a step is about an image of the node");
        assert!(!image.pinned && !snapshot.memory.own_images.contains(image.id.as_str()));
        assert!(guard.clear(step).is_ok(), "nothing has changed");
    }
    let mut remembered = snapshot.clone();
    State::new(snapshot.taken_at).observe(&mut remembered);
    assert_eq!(remembered.images.len(), snapshot.images.len());
});
