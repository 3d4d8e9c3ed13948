//! Whatever a plugin or a runtime puts into any place of a result, what is printed is harmless, and programs read the
//! very same value.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use holystone_core::confirmation::Wishes;
use holystone_core::container::{Container, ContainerState, ImageMentions, Pod, Sandbox};
use holystone_core::document::DocumentKind;
use holystone_core::guard::images::{ImageGuard, ImageObjection};
use holystone_core::guard::logs::{Inspection, Inspections, LogGuard, LogRails, Logs, RootedPath};
use holystone_core::guard::{GuardRails, ParsedProposal, Plan};
use holystone_core::image::{Image, ImageId};
use holystone_core::logs::{FileEntry, FileKind, Identity, LogPath, OpenState, Place};
use holystone_core::manifest::ApiVersion;
use holystone_core::matches::PatternMatch;
use holystone_core::proposal::{LogLocation, Proposal, Reason, ReasonKind, Target, Verb, Wish};
use holystone_core::report::{
    EndReason, Ending, Milliseconds, Outcome, PlanReport, PluginFailure, PluginRun, Remark, Report, Swept,
};
use holystone_core::snapshot::{Filesystem, Memory, Node, Snapshot};
use holystone_core::text::is_harmful;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde_json::Value;

use super::{plan_to, report_to};
use crate::args::{OutputArguments, OutputFormat};

/// Text out of what has a meaning somewhere: to terminals, to YAML, to JSON, to readers.
fn words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        prop::char::range('\0', '\u{9f}').prop_map(String::from),
        prop::char::range('\u{200b}', '\u{206f}').prop_map(String::from),
        prop::sample::select(vec![
            "\u{1b}[2J",
            "\n",
            "\r\n",
            "\u{feff}",
            "\u{e0041}",
            "\u{ad}",
            "- ",
            ": ",
            "#",
            " #",
            "\"",
            "'",
            "\\",
            "\\u",
            "|",
            ">",
            "%",
            "{",
            "}",
            "[",
            "]",
            ",",
            "&",
            "*",
            "!",
            "?",
            "true",
            "null",
            "~",
            "1e3",
            "0x1f",
            ".nan",
            " ",
            "   ",
            "ä",
            "漢",
            "🧽",
        ])
        .prop_map(str::to_owned),
        "[a-z0-9./:@-]{1,12}".prop_map(String::from),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A pool of texts, from which every place of a result takes its own.
struct Pool<'a>(std::iter::Cycle<std::slice::Iter<'a, String>>);

impl Pool<'_> {
    fn next(&mut self) -> String {
        self.0.next().cloned().unwrap_or_default()
    }
}

fn snapshot(pool: &mut Pool<'_>) -> Snapshot {
    let images = (0..4).map(|number| Image {
        id: ImageId::new(format!("{number}{}", pool.next())),
        repo_tags: vec![pool.next(), pool.next()],
        repo_digests: vec![pool.next()],
        size_bytes: 1,
        pinned: false,
        first_seen: None,
        last_used: None,
        annotations: BTreeMap::new(),
    });
    let images: Vec<Image> = images.collect();
    let pod = Pod { uid: pool.next(), namespace: pool.next(), name: pool.next() };
    let container = Container {
        id: pool.next(),
        name: pool.next(),
        sandbox_id: pool.next(),
        pod: pod.clone(),
        image: ImageMentions { image_id: images[0].id.to_string(), image: pool.next(), ..ImageMentions::default() },
        image_volumes: Vec::new(),
        state: ContainerState::Running,
        created_at: Timestamp::UNIX_EPOCH,
        finished_at: None,
        exit_code: None,
        labels: BTreeMap::new(),
    };
    let sandbox = Sandbox {
        id: pool.next(),
        pod,
        ready: true,
        created_at: Timestamp::UNIX_EPOCH,
        image: images[1].id.to_string(),
        labels: BTreeMap::new(),
    };
    let node = Node { name: pool.next(), runtime_name: pool.next(), runtime_version: pool.next(), ..Node::default() };
    let filesystem = Filesystem { name: pool.next(), mountpoint: pool.next(), ..Filesystem::default() };
    Snapshot {
        api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
        taken_at: Timestamp::UNIX_EPOCH,
        node,
        filesystems: vec![filesystem],
        images,
        containers: vec![container],
        sandboxes: vec![sandbox],
        outside: Vec::new(),
        memory: Memory::default(),
    }
    .normalize()
}

fn proposal(snapshot: &Snapshot, pool: &mut Pool<'_>) -> Proposal {
    let known = snapshot.images.iter().map(|image| Target::Image(image.id.to_string())).collect::<Vec<_>>();
    let mut place = || LogLocation { root: pool.next(), path: pool.next() };
    let places = [Target::LogFile(place()), Target::LogDirectory(place())];
    let named = [
        Target::Image(pool.next()),
        Target::Container(pool.next()),
        Target::Sandbox(pool.next()),
        Target::Other(pool.next(), pool.next()),
    ];
    let wishes = known.into_iter().chain(places).chain(named).map(|target| Wish {
        target,
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Other, text: pool.next() },
        expected_bytes: None,
    });
    let wishes = wishes.collect();
    Proposal { plugin: pool.next(), wishes }
}

fn planned(pool: &mut Pool<'_>) -> PlanReport {
    let snapshot = snapshot(pool);
    let rails = GuardRails::default();
    let guard = ImageGuard::new(&snapshot, &rails);
    let failure = PluginFailure { reason: pool.next(), message: pool.next() };
    let matches = vec![PatternMatch { field: pool.next(), pattern: pool.next(), matches: 0 }];
    let runs = vec![
        PluginRun { name: pool.next(), digest: Some(pool.next()), wishes: 1, matches, failure: None },
        PluginRun { name: pool.next(), digest: None, wishes: 0, matches: Vec::new(), failure: Some(failure) },
    ];
    let mut proposal = proposal(&snapshot, pool);
    let target = last_file(&mut proposal, pool);
    let (images, logs) = proposal.by_kind();
    let log_plan = log_plan(&snapshot, logs, target);
    PlanReport::new(&snapshot, runs, guard.review(vec![images])).with_logs(vec![pool.next()], log_plan, None)
}

/// Adds a wish about a file of whatever name there is.
fn last_file(proposal: &mut Proposal, pool: &mut Pool<'_>) -> RootedPath {
    let path = LogPath::from_bytes(pool.next().replace(['/', '\0'], "x").as_bytes());
    let path = path.ok().filter(|path| !path.is_root()).unwrap_or_else(|| "a".parse().unwrap());
    let target = RootedPath { root: pool.next(), path, is_directory: false };
    proposal.wishes.push(Wish {
        target: Target::LogFile(LogLocation { root: target.root.clone(), path: target.path.to_string() }),
        verb: Verb::Remove,
        reason: Reason { kind: ReasonKind::Other, text: pool.next() },
        expected_bytes: None,
    });
    target
}

/// Every wish is refused but the one about this file.
fn log_plan(snapshot: &Snapshot, proposal: ParsedProposal<Logs>, target: RootedPath) -> Plan<Logs> {
    let entry = FileEntry {
        path: target.path.clone(),
        kind: FileKind::File,
        identity: Identity { device: 1, inode: 2, born: None },
        size_bytes: 3,
        allocated_bytes: 4,
        modified: Timestamp::MIN,
        changed: Timestamp::MIN,
        hard_links: 1,
        open: OpenState::Closed,
        pod_uid: None,
        not_entered: None,
    };
    let place = Place::of(b"/var/log/app", &target.path);
    let seen_at = Timestamp::UNIX_EPOCH;
    let inspection =
        Inspection { entry, place, leads_somewhere: None, tree: None, in_use: None, all_uses_seen: true, seen_at };
    let inspections = Inspections { targets: [(target, Ok(inspection))].into(), entries: None };
    LogGuard::new(LogRails::default(), Timestamp::UNIX_EPOCH, Some(snapshot)).review(
        vec![proposal],
        inspections,
        &Wishes::default(),
    )
}

fn report(pool: &mut Pool<'_>) -> Report {
    let planned = planned(pool);
    assert!(!planned.log_steps().is_empty());
    let outcomes = [
        Outcome::Failed(pool.next()),
        Outcome::NotAttempted(pool.next()),
        Outcome::NotNeeded(pool.next()),
        Outcome::NoLongerAllowed(ImageObjection::Changed { reference: pool.next() }.into()),
        Outcome::NoLongerAllowed(ImageObjection::RuntimeSaysInUse { message: pool.next() }.into()),
    ];
    let outcomes = outcomes.into_iter().cycle().take(planned.image_steps().len()).collect();
    let remark = |pool: &mut Pool<'_>| Remark { lost_names: vec![pool.next()], answer: Some(pool.next()) };
    let remarks = (0..planned.image_steps().len()).map(|place| (place, remark(pool))).collect();
    let filesystems = vec![Filesystem { name: pool.next(), ..Filesystem::default() }];
    let times = BTreeMap::from([("sweep", Milliseconds(Duration::from_micros(1_500)))]);
    let ending = Some(Ending { reason: EndReason::RuntimeFailing, message: pool.next() });
    let log_outcomes = planned.log_steps().iter().map(|_| Outcome::Failed(pool.next())).collect();
    let log_swept = Swept { outcomes: log_outcomes, ..Swept::default() };
    let mut report = Report::new(
        planned,
        (Swept { outcomes, remarks, ending }, log_swept),
        Timestamp::UNIX_EPOCH,
        filesystems,
        times,
    );
    report.notices = vec![pool.next()];
    report
}

/// The schema of all documents, which users read.
static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../../../docs/schemas/documents.schema.json")).unwrap();
    jsonschema::validator_for(&schema).unwrap()
});

/// Returns what the schema has against a document.
fn errors(document: &Value) -> Vec<String> {
    SCHEMA.iter_errors(document).map(|error| error.to_string()).collect()
}

/// Prints in every format and looks at what comes out.
fn check(value: &impl Serialize, print: impl Fn(&mut Vec<u8>, OutputArguments)) -> Result<(), TestCaseError> {
    let expected = serde_json::to_value(value).unwrap();
    prop_assert_eq!(errors(&expected), Vec::<String>::new(), "{}", expected);
    for format in [OutputFormat::Table, OutputFormat::Json, OutputFormat::Yaml] {
        let mut out = Vec::new();
        print(&mut out, OutputArguments { format, all: format == OutputFormat::Table });
        let text = String::from_utf8(out).unwrap();
        let raw = text.chars().find(|character| *character != '\n' && is_harmful(*character));
        prop_assert!(raw.is_none(), "{raw:?} in {format:?}: {text}");
        match format {
            OutputFormat::Table => {}
            OutputFormat::Json => prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &expected),
            OutputFormat::Yaml => {
                let read: Result<Value, _> = serde_saphyr::from_str(&text);
                prop_assert!(read.is_ok(), "{read:?}: {text}");
                prop_assert_eq!(&read.unwrap(), &expected, "{}", text);
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn plans_are_printed_harmless_and_whole(words in vec(words(), 1..40)) {
        let planned = planned(&mut Pool(words.iter().cycle()));
        check(&planned, |out, how| plan_to(out, &planned, how).unwrap())?;
    }

    #[test]
    fn reports_are_printed_harmless_and_whole(words in vec(words(), 1..40)) {
        let report = report(&mut Pool(words.iter().cycle()));
        check(&report, |out, how| report_to(out, &report, how).unwrap())?;
    }

    #[test]
    fn nothing_begins_a_line_of_a_table_but_the_host(words in vec(words(), 1..40)) {
        let forging: Vec<String> = words.into_iter().map(|word| format!("{word}\nforged\r{word}\u{2028}forged")).collect();
        let report = report(&mut Pool(forging.iter().cycle()));
        let mut out = Vec::new();
        report_to(&mut out, &report, OutputArguments::default()).unwrap();
        let text = String::from_utf8(out).unwrap();
        prop_assert!(!text.lines().any(|line| line.trim_start().starts_with("forged")), "{text}");
    }
}

#[test]
fn the_schema_knows_every_document_and_nothing_else() {
    let words = ["x".to_owned()];
    let mut pool = Pool(words.iter().cycle());
    let documents = [
        serde_json::to_value(planned(&mut pool)).unwrap(),
        serde_json::to_value(report(&mut pool)).unwrap(),
        serde_json::from_str(include_str!("../../../../examples/snapshots/rollout-node.json")).unwrap(),
    ];
    for (document, kind) in documents.into_iter().zip(["Plan", "Report", "Snapshot"]) {
        assert_eq!((document["kind"].as_str(), errors(&document)), (Some(kind), Vec::new()));
        for pointer in ["", "/images", "/images/0", "/images/steps/0", "/images/totals", "/logs/steps/0", "/node"] {
            let mut changed = document.clone();
            let Some(Value::Object(fields)) = changed.pointer_mut(pointer) else { continue };
            fields.insert("surprise".to_owned(), Value::Null);
            assert!(!SCHEMA.is_valid(&changed), "{kind} {pointer}: an unknown field");
        }
        for field in ["apiVersion", "kind", "takenAt", "images"] {
            let mut changed = document.clone();
            changed.as_object_mut().unwrap().remove(field);
            assert!(!SCHEMA.is_valid(&changed), "{kind} without {field}");
        }
    }
}
