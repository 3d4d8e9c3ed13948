//! Images that are asked for by their names, of which there may be many.

use super::*;

/// A CRI-O node with one image of so many names.
fn named(names: usize) -> Snapshot {
    let names: Vec<String> = (0..names).map(|name| format!("docker.io/a/b:{name:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut snapshot = fixture::snapshot(vec![fixture::image(&id(0), &names, &[])], Vec::new());
    "cri-o".clone_into(&mut snapshot.node.runtime_name);
    snapshot
}

/// Lets the runtime accept each request and keep an image of so many names; what it was asked for.
fn asked(mut sweep: Sweep<'_>, all: usize) -> Vec<String> {
    let mut names = Vec::new();
    loop {
        match sweep.next_action() {
            Action::Look => sweep.on(looked(named(all))),
            Action::Rest(_) => sweep.on(Event::Rested),
            Action::Remove(0, clearance) => {
                names.push(clearance.asked().to_owned());
                sweep.on(Event::Answered(0, Attempt::Accepted));
            }
            Action::Done => return names,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn of_an_image_with_many_names_eight_are_asked_for() {
    let (rails, pace) = (GuardRails::default(), Pace::default());
    let wish = Wish {
        target: Target::Image(id(0)),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Unused, text: String::new() },
        expected_bytes: None,
    };
    for (all, expected) in [(7, 7), (8, 8), (9, 8), (20, 8)] {
        let proposal = Proposal { plugin: "mine".to_owned(), wishes: vec![wish.clone()] };
        let steps = ImageGuard::new(&named(all), &rails).review(vec![proposal.into()]).steps;
        let names = asked(Sweep::new(&steps, &rails, &pace, &[]), all);
        let first = (0..expected).map(|name| format!("docker.io/a/b:{name:02}"));
        assert_eq!(names, [id(0)].into_iter().chain(first).collect::<Vec<_>>(), "of {all}");
    }
}

#[test]
fn an_image_that_is_gone_after_a_request_by_name_is_not_looked_for_again() {
    let (steps, rails, pace) = (steps(1), GuardRails::default(), Pace::default());
    let mut sweep = listed_all_the_same(&steps, &rails, &pace);
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(cri_o(0..1)));
    assert!(matches!(sweep.next_action(), Action::Remove(0, _)));
    sweep.on(Event::Answered(0, Attempt::Accepted));
    assert!(matches!(sweep.next_action(), Action::Look));
    sweep.on(looked(cri_o([])));
    assert!(matches!(sweep.next_action(), Action::Done));
    assert_eq!(sweep.swept().outcomes, [Outcome::Removed]);
}
