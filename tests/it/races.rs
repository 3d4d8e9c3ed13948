//! Races and faults on a real containerd: what changes between the plan and the removals, a containerd that ends, is
//! killed or hangs, runs that are killed or meet, a plugin that wants everything. Whether what must stay is there is
//! asked of containerd, never of the report.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use holystone_tests::{ContainerSpec, Containerd, misbehave, sleep_image};
use serde_json::Value;

use crate::furnished::{CONFIG, Fate, JOB, LATE, Node, PROTECT, WITH_DANGLING, on_each_node};
use crate::support::{Ended, Running, holystone, result, state_dir, steps, sweep, text, unused_images};
use crate::terminal::Asking;

/// What the config takes of a furnished node.
const GOES: [Fate; 2] = [Fate::Goes, Fate::UsedLater];
/// The same with images that have no tag.
const GOES_WITH_DANGLING: [Fate; 3] = [Fate::Goes, Fate::UsedLater, Fate::Dangling];
/// What goes when a plugin wishes everything that there is.
const GOES_IN_ANY_CASE: [Fate; 4] = [Fate::Goes, Fate::UsedLater, Fate::Dangling, Fate::OutOfScope];

/// How long a containerd hangs.
const HANGS: Duration = Duration::from_secs(1);
/// How long the CRI may take to notice what `ctr` did.
const NOTICE: Duration = Duration::from_secs(30);

/// A run on a terminal, with the node as it was when the question was asked.
struct Asked {
    before: BTreeSet<String>,
    run: Asking,
}

impl Asked {
    async fn on(node: &Node) -> anyhow::Result<Self> {
        let before = node.ids().await?;
        let run = Asking::start(&sweep("run", "builtin:unused-images", CONFIG, &node.endpoint(), &PROTECT));
        Ok(Self { before, run })
    }

    /// Says yes, and answers the report and what has gone since the question.
    async fn yes(self, node: &Node) -> anyhow::Result<(Value, BTreeSet<String>)> {
        let report = self.run.answer("y").expect(0).json();
        Ok((report, &self.before - &node.ids().await?))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_becomes_used_after_the_plan_stays() -> anyhow::Result<()> {
    on_each_node("an_image_that_becomes_used_after_the_plan_stays", async |node| {
        let tag = |name: &str| format!("docker.io/minchou/late:{name}");
        for name in ["running", "by-name", "by-digest", "created", "exited", "mounted"] {
            node.import(sleep_image(&tag(name))?.pulled(), Fate::UsedLater).await?;
        }
        let asked = Asked::on(node).await?;

        let digest = node.image(&tag("by-digest")).repo_digests[0].clone();
        let mut used = vec!["running", "by-name", "by-digest", "created", "exited"];
        for container in [
            ContainerSpec::new("late-running", &node.id(&tag("running"))),
            ContainerSpec::new("late-by-name", &tag("by-name")),
            ContainerSpec::new("late-by-digest", &digest),
        ] {
            node.cri.running_container(&node.pod, &container).await?;
        }
        node.cri.create_container(&node.pod, &ContainerSpec::new("late-created", &node.id(&tag("created")))).await?;
        node.cri.exited_container(&node.pod, "late-exited", &tag("exited")).await?;
        if node.containerd.can_mount_images() {
            let mounting = ContainerSpec::new("mounting", LATE).mount_image(&tag("mounted"), "/mounted");
            node.cri.running_container(&node.pod, &mounting).await?;
            used.push("mounted");
        } else {
            node.cri.running_container(&node.pod, &ContainerSpec::new("late", LATE)).await?;
        }

        let (report, gone) = asked.yes(node).await?;
        let used: BTreeSet<String> = used.into_iter().map(|name| node.id(&tag(name))).chain([node.id(LATE)]).collect();
        assert_eq!(gone, &node.of(&GOES) - &used);
        for id in &used {
            let step = result(&report, id);
            assert_eq!((&step["result"], &step["detail"]["code"]), (&"noLongerAllowed".into(), &"InUse".into()));
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_others_change_after_the_plan_is_judged_as_it_then_is() -> anyhow::Result<()> {
    on_each_node("an_image_that_others_change_after_the_plan_is_judged_as_it_then_is", async |node| {
        let tag = |name: &str| format!("docker.io/minchou/late:{name}");
        for name in ["tagged", "pinned", "moved", "removed"] {
            node.import(sleep_image(&tag(name))?, Fate::Goes).await?;
        }
        let [tagged, pinned, moved, removed] = ["tagged", "pinned", "moved", "removed"].map(|name| node.id(&tag(name)));
        let asked = Asked::on(node).await?;

        let new_name = "docker.io/elsewhere/tagged:1";
        node.containerd.ctr(&["images", "tag", &tag("tagged"), new_name]).await?;
        noticed(async || Ok(node.cri.image_status(new_name).await?.is_some_and(|image| image.id == tagged))).await?;
        node.containerd.pin(node.image(&tag("pinned"))).await?;
        if node.containerd.can_pin() {
            noticed(async || Ok(node.cri.image_status(&pinned).await?.is_some_and(|image| image.pinned))).await?;
        }
        let newer = sleep_image(&tag("moved"))?.label("newer", "yes");
        let newer = node.containerd.import(&[newer]).await?.remove(0).id;
        node.cri.remove_image(&removed).await?;

        let (report, gone) = asked.yes(node).await?;
        let pins = node.containerd.can_pin();
        let stay: BTreeSet<String> = [&tagged].into_iter().chain(pins.then_some(&pinned)).cloned().collect();
        assert_eq!(gone, &node.of(&GOES) - &stay);
        // The image that the plan meant has gone; nobody has judged the one that has its name by now.
        assert!(gone.contains(&moved));
        assert_eq!(node.cri.image_status(&tag("moved")).await?.unwrap_or_default().id, newer);
        assert_eq!(result(&report, &tagged)["detail"]["code"], "Changed");
        assert!(!pins || result(&report, &pinned)["detail"]["code"] == "Pinned");
        assert_eq!(result(&report, &removed)["result"], "alreadyGone");
        Ok(())
    })
    .await
}

/// Waits until the CRI has noticed what `ctr` did.
async fn noticed(what: impl AsyncFn() -> anyhow::Result<bool>) -> anyhow::Result<()> {
    let start = Instant::now();
    while !what().await? {
        assert!(start.elapsed() < NOTICE, "the CRI does not notice");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

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

#[tokio::test(flavor = "multi_thread")]
async fn a_containerd_that_is_killed_or_hangs_costs_nothing_that_must_stay() -> anyhow::Result<()> {
    on_each_node("a_containerd_that_is_killed_or_hangs_costs_nothing_that_must_stay", async |node| {
        an_absence_during_a_run_is_survived(node, Containerd::kill).await?;
        node.refill().await?;
        a_containerd_that_hangs_is_waited_for(node).await?;
        node.refill().await?;
        a_container_from_before_a_kill_protects_its_image(node).await
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

async fn a_containerd_that_hangs_is_waited_for(node: &Node) -> anyhow::Result<()> {
    let before = node.ids().await?;
    let mut run = node.run_under_way(CONFIG).await?;
    node.containerd.freeze()?;
    tokio::time::sleep(HANGS).await;
    assert!(!run.is_over(), "it was over before containerd hung: more images are needed");
    node.containerd.thaw()?;
    let ended = run.end().expect(0);
    let gone = &before - &node.ids().await?;
    a_report_is_true(&ended, &gone);
    assert_eq!(gone, &before & &node.of(&GOES));
    node.assert_all_run().await
}

/// A container is created after the plan, and containerd is killed and comes back before the run goes on.
async fn a_container_from_before_a_kill_protects_its_image(node: &mut Node) -> anyhow::Result<()> {
    node.import(sleep_image("docker.io/minchou/late:2")?, Fate::UsedLater).await?;
    let late = node.id("docker.io/minchou/late:2");
    let asked = Asked::on(node).await?;
    node.cri.create_container(&node.pod, &ContainerSpec::new("late", &late)).await?;
    node.containerd.kill()?;
    node.containerd.resume().await?;
    let before = asked.before.clone();
    let (report, gone) = asked.yes(node).await?;
    assert_eq!(gone, &(&before & &node.of(&GOES)) - &BTreeSet::from([late.clone()]));
    assert_eq!(result(&report, &late)["detail"]["code"], "InUse");
    Ok(())
}

/// What is said to be removed has gone, and what is not said to be removed or failed has not.
fn a_report_is_true(ended: &Ended, gone: &BTreeSet<String>) {
    let report = ended.json();
    assert!(gone.is_subset(&steps(&report)));
    let is_whole = report["images"]["totals"]["failed"] == 0 && report["images"]["totals"]["notAttempted"] == 0;
    assert_eq!(ended.code, i32::from(!is_whole), "{}", ended.stderr);
    for step in report["images"]["steps"].as_array().unwrap() {
        match step["result"].as_str().unwrap() {
            "removed" | "alreadyGone" => assert!(gone.contains(&text(&step["target"])), "{step}"),
            "notAttempted" => assert!(!gone.contains(&text(&step["target"])), "{step}"),
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

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_at_once_remove_what_one_would() -> anyhow::Result<()> {
    on_each_node("two_runs_at_once_remove_what_one_would", async |node| {
        let start = |more: &[&str]| {
            let more = [more, &PROTECT].concat();
            Running::start(sweep("run", "builtin:unused-images", CONFIG, &node.endpoint(), &more))
        };
        // One waits for the other; a third one does not know of them.
        let other = state_dir(&node.endpoint()).with_file_name("other-state");
        for run in
            [start(&["--wait", "1m"]), start(&["--wait", "1m"]), start(&["--state-dir", &other.to_string_lossy()])]
        {
            let totals = run.end().expect(0).json()["images"]["totals"].clone();
            assert_eq!(totals["failed"], 0, "{totals}");
        }
        assert_eq!(node.ids().await?, node.all_but(&GOES));
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_killed_leave_a_node_that_the_next_one_finishes() -> anyhow::Result<()> {
    on_each_node("runs_that_are_killed_leave_a_node_that_the_next_one_finishes", async |node| {
        let stay = node.all_but(&GOES_WITH_DANGLING);
        let mut kills = 0;
        loop {
            let mut run = node.run_under_way(WITH_DANGLING).await?;
            if run.is_over() {
                run.end().expect(0);
                break;
            }
            run.kill();
            kills += 1;
            // containerd goes on with what it was asked for; the next run meets that.
            let left = node.ids().await?;
            println!("{} images left to go", left.difference(&stay).count());
            assert!(stay.is_subset(&left), "gone: {:?}", &stay - &left);
        }
        assert!(kills > 0);
        let report = unused_images("run", &node.endpoint(), WITH_DANGLING, &PROTECT).expect(0).json();
        assert_eq!(report["images"]["totals"]["planned"], 0);
        assert_eq!(node.ids().await?, stay);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_wishes_everything_gets_only_what_may_go() -> anyhow::Result<()> {
    on_each_node("a_plugin_that_wishes_everything_gets_only_what_may_go", async |node| {
        let greedy = r#"{"do":"greedy"}"#;
        // Two of them wish everything twice, and a container appears between their wishes and the removals.
        let twice =
            ["--plugin", misbehave().to_str().unwrap(), "--config", greedy, "--allow", "images,logs,log-content"];
        let more = [&twice[..], &PROTECT].concat();
        let before = node.ids().await?;
        let asking = Asking::start(&sweep("run", misbehave(), greedy, &node.endpoint(), &more));
        node.cri.create_container(&node.pod, &ContainerSpec::new("late", LATE)).await?;
        let report = asking.answer("y").expect(0).json();

        let may_go = &node.of(&GOES_IN_ANY_CASE) - &node.of(&[Fate::UsedLater]);
        assert_eq!(&before - &node.ids().await?, may_go);
        assert_eq!(report["images"]["totals"]["removed"], may_go.len());
        assert_eq!(report["images"]["totals"]["refused"], 2 * 125 - may_go.len() - 1);
        node.cri.exited_container(&node.pod, "init-again", JOB).await?;
        node.cri.run_pod("next").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_starting_keeps_what_may_have_been_pulled_for_it() -> anyhow::Result<()> {
    on_each_node("a_pod_that_is_starting_keeps_what_may_have_been_pulled_for_it", async |node| {
        // The node is seen for the first time, and its only sandbox is some seconds old.
        let endpoint = node.endpoint();
        let run = |more: &[&str]| {
            let more = [&PROTECT, &["--min-age", "10m"], more].concat();
            unused_images("run", &endpoint, CONFIG, &more).expect(0).json()
        };
        let before = node.ids().await?;
        let report = run(&[]);
        assert_eq!(node.ids().await?, before);
        assert_eq!(report["images"]["totals"]["planned"], 0);
        let refusals = report["images"]["refusals"].as_array().unwrap();
        let young = refusals.iter().filter(|refused| refused["refusal"]["code"] == "MayBeYoung").count();
        assert_eq!(young, node.of(&GOES).len());

        // An image that comes later is known to be young, whatever the pods do.
        let late = sleep_image("docker.io/minchou/later:1")?;
        node.import(late, Fate::Stays).await?;
        let report = run(&["--pod-uid", "uid-of-web"]);
        assert_eq!(node.ids().await?, node.all_but(&GOES), "our own pod is no reason to wait");
        let refusals = report["images"]["refusals"].as_array().unwrap();
        let young: Vec<&Value> =
            refusals.iter().filter(|refused| refused["refusal"]["code"] == "TooYoung").map(|it| &it["name"]).collect();
        assert_eq!(young, ["docker.io/minchou/later:1"]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn holystones_own_images_stay_between_two_of_its_pods() -> anyhow::Result<()> {
    on_each_node("holystones_own_images_stay_between_two_of_its_pods", async |node| {
        let (own, plugin) = ("docker.io/minchou/scrub:1", "docker.io/minchou/policy:1");
        node.import(sleep_image(own)?, Fate::Stays).await?;
        let mut container = ContainerSpec::new("scrub", own);
        let mut names = vec![own];
        if node.containerd.can_mount_images() {
            node.import(sleep_image(plugin)?.label("plugin", "yes"), Fate::Stays).await?;
            container = container.mount_image(plugin, "/plugin");
            names.push(plugin);
        }
        let pod = node.cri.run_pod("scrub").await?;
        node.cri.running_container(&pod, &container).await?;
        let nothing = r#"{"repositories":["docker.io/minchou/none"]}"#;
        unused_images("run", &node.endpoint(), nothing, &["--pod-uid", "uid-of-scrub"]).expect(0);
        node.cri.remove_pod(&pod.id).await?;

        let report = unused_images("run", &node.endpoint(), CONFIG, &PROTECT).expect(0).json();
        assert_eq!(node.ids().await?, node.all_but(&GOES));
        let refusals = report["images"]["refusals"].as_array().unwrap().iter();
        let kept: BTreeSet<String> =
            refusals.filter(|refused| refused["refusal"]["code"] == "Own").map(|it| text(&it["name"])).collect();
        assert_eq!(kept, names.into_iter().map(str::to_owned).collect());
        Ok(())
    })
    .await
}
