//! Races and faults on a real containerd: one that restarts or ends in the middle of a run. Whether what must stay is
//! there is asked of containerd, never of the report.

use std::collections::BTreeSet;

use holystone_tests::Containerd;

use crate::furnished::{CONFIG, Fate, Node, PROTECT, WITH_DANGLING, on_each_node};
use crate::support::{Ended, Running, holystone, steps, sweep, text, unused_images};

/// What the config takes of a furnished node.
const GOES: [Fate; 2] = [Fate::Goes, Fate::UsedLater];
/// The same with images that have no tag.
const GOES_WITH_DANGLING: [Fate; 3] = [Fate::Goes, Fate::UsedLater, Fate::Dangling];

#[tokio::test(flavor = "multi_thread")]
async fn a_containerd_that_restarts_or_stops_costs_nothing_that_must_stay() -> anyhow::Result<()> {
    on_each_node("a_containerd_that_restarts_or_stops_costs_nothing_that_must_stay", async |node| {
        let planned = steps(&unused_images("plan", &node.endpoint(), CONFIG, &PROTECT).expect(0).json());
        node.containerd.restart().await?;
        let again = steps(&unused_images("plan", &node.endpoint(), CONFIG, &PROTECT).expect(0).json());
        assert_eq!(again, planned, "a restarted containerd knows the same containers");

        an_absence_during_a_run_is_survived(node, Containerd::stop).await?;
        node.refill().await?;
        an_end_during_a_run_is_told(node).await?;

        let all = node.ids().await?;
        node.containerd.stop()?;
        without_a_runtime_no_run_takes_place(node);
        node.containerd.resume().await?;
        assert_eq!(node.ids().await?, all);
        Ok(())
    })
    .await
}

/// Ends containerd one way or another in the middle of a run, and brings it back.
async fn an_absence_during_a_run_is_survived(
    node: &mut Node,
    end: fn(&mut Containerd) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let before = node.ids().await?;
    let run = run_without_containerd(node, end).await?;
    node.containerd.resume().await?;
    let ended = run.end();
    let gone = &before - &node.ids().await?;
    a_report_is_true(&ended, &gone);
    the_next_runs_do_the_rest(node).await
}

async fn an_end_during_a_run_is_told(node: &mut Node) -> anyhow::Result<()> {
    let before = node.ids().await?;
    let run = run_without_containerd(node, Containerd::stop).await?;
    let ended = run.end().expect(1);
    node.containerd.resume().await?;
    let gone = &before - &node.ids().await?;
    a_report_is_true(&ended, &gone);
    the_next_runs_do_the_rest(node).await
}

/// Starts a run, and ends containerd when the first image has gone.
async fn run_without_containerd(
    node: &mut Node,
    end: fn(&mut Containerd) -> anyhow::Result<()>,
) -> anyhow::Result<Running> {
    let mut run = node.run_under_way(CONFIG).await?;
    end(&mut node.containerd)?;
    assert!(!run.is_over(), "it was over before containerd ended: more images are needed");
    Ok(run)
}

/// What is said to be removed has gone, and what is not said to be removed or failed has not.
fn a_report_is_true(ended: &Ended, gone: &BTreeSet<String>) {
    let report = ended.json();
    assert!(gone.is_subset(&steps(&report)));
    let failed = report["totals"]["failed"].as_u64().unwrap();
    assert_eq!(ended.code, i32::from(failed > 0), "{}", ended.stderr);
    for step in report["steps"].as_array().unwrap() {
        match step["result"].as_str().unwrap() {
            "removed" | "alreadyGone" => assert!(gone.contains(&text(&step["image"])), "{step}"),
            "notAttempted" => assert!(!gone.contains(&text(&step["image"])), "{step}"),
            // Nobody answered: it may have gone or not.
            "failed" => assert!(!text(&step["detail"]).is_empty()),
            other => panic!("{other}: {step}"),
        }
    }
}

/// containerd drops an image's tags before its id. Where it ended in between, an image without a name is left, which
/// no pattern of repositories can mean any more.
async fn the_next_runs_do_the_rest(node: &Node) -> anyhow::Result<()> {
    let kept = node.all_but(&GOES);
    unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0);
    for left in node.cri.list_images().await?.into_iter().filter(|image| !kept.contains(&image.id)) {
        assert!(left.repo_tags.is_empty() && left.repo_digests.is_empty(), "{left:?}");
    }
    unused_images("run", &node.endpoint(), WITH_DANGLING, &PROTECT).expect(0);
    assert_eq!(node.ids().await?, node.all_but(&GOES_WITH_DANGLING));
    node.assert_all_run().await
}

fn without_a_runtime_no_run_takes_place(node: &Node) {
    let socket = node.containerd.socket().display().to_string();
    let mut snapshot = holystone();
    snapshot.args(["snapshot", "--endpoint", &node.endpoint()]);
    let of_a_plugin = |verb| sweep(verb, "builtin:unused-images", CONFIG, &node.endpoint(), &[]);
    // All at once, for each waits a while for a runtime to come back.
    for ended in [of_a_plugin("run"), of_a_plugin("plan"), snapshot].map(Running::start).map(Running::end) {
        let ended = ended.expect(2);
        assert_eq!(ended.stdout, "");
        assert!(ended.stderr.contains(&socket), "{socket} is not named: {}", ended.stderr);
    }
}
