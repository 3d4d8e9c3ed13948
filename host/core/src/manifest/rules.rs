//! What no schema says: how fields go together.

use std::collections::{BTreeMap, HashMap};

use super::check::{child, unknown};
use super::document::{Content, Node};
use super::problem::Problem;
use super::value::{Bytes, Duration, Percent};
use crate::schedule::Schedule;
use crate::text;

const API_VERSION: &str = "holystone.dev/v1alpha1";
const KIND: &str = "NodeCleanup";

/// What Kubernetes stores with an object besides what [`super::Metadata`] names.
const OTHER_METADATA: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Where manifests of a namespace and name have been seen first.
pub(super) type Names = BTreeMap<(String, String), String>;

/// Whether a document is a NodeCleanup at all. If it is not, what else is in it means nothing.
pub(super) fn is_ours(document: &Node, problems: &mut Vec<Problem>) -> bool {
    if !matches!(document.content, Content::Map(_)) {
        let message = "must be a NodeCleanup, which is a map of fields";
        problems.push(Problem::new(document.line, "", message).found(document.shown()));
        return false;
    }
    let before = problems.len();
    for (name, expected) in [("apiVersion", API_VERSION), ("kind", KIND)] {
        match document.get(name) {
            None => {
                let message = format!("is missing; it must be {expected}");
                problems.push(Problem::new(document.line, name, message));
            }
            Some(found) if found.text() == Some(expected) => {}
            Some(found) => {
                let meant = found.text().and_then(|text| text::closest(text, [expected]));
                let problem = Problem::new(found.line, name, format!("must be {expected}")).found(found.shown());
                problems.push(problem.meant(meant));
            }
        }
    }
    problems.len() == before
}

/// What a document is that nobody meant as a NodeCleanup: "a ConfigMap", for example. One that names our group or
/// almost our kind was meant as one.
pub(super) fn other_kind(document: &Node) -> Option<String> {
    if !matches!(document.content, Content::Map(_)) {
        return Some("not a map of fields".to_owned());
    }
    let text = |name| document.get(name).and_then(Node::text);
    let group = API_VERSION.split('/').next().unwrap_or(API_VERSION);
    let of_our_group = text("apiVersion").is_some_and(|version| version.split('/').next() == Some(group));
    let meant = text("kind").is_some_and(|kind| text::closest(kind, [KIND]).is_some());
    // Of a manifest without its first two lines the rest is ours.
    let of_our_fields = document.get("kind").is_none() && document.at("spec.plugins").is_some();
    if of_our_group || meant || of_our_fields {
        return None;
    }
    Some(match text("kind") {
        Some(kind) => format!("kind {}", text::shown(kind)),
        None => "has no kind".to_owned(),
    })
}

/// That no name is given twice in a namespace.
pub(super) fn distinct(document: &Node, origin: &str, names: &mut Names, problems: &mut Vec<Problem>) {
    let Some(name) = document.at("metadata.name") else { return };
    let Some(text) = name.text() else { return };
    let namespace = document.at("metadata.namespace").and_then(Node::text).unwrap_or_default();
    let place = name.line.map_or_else(|| origin.to_owned(), |line| format!("{origin}:{line}"));
    let key = (namespace.to_owned(), text.to_owned());
    match names.get(&key) {
        Some(first) => {
            let message = format!("another NodeCleanup has this name: {}", text::shown(first));
            problems.push(Problem::new(name.line, "metadata.name", message).found(name.shown()));
        }
        None => drop(names.insert(key, place)),
    }
}

/// Everything else. Values that do not fit the schema are passed over here; they are problems already.
pub(super) fn check(document: &Node, problems: &mut Vec<Problem>) {
    metadata(document, problems);
    let Some(spec) = document.get("spec") else { return };
    time(spec, problems);
    for list in ["plugins", "logRoots"] {
        distinct_names(spec, list, problems);
    }
    for (index, plugin) in spec.get("plugins").into_iter().flat_map(Node::items).enumerate() {
        let path = format!("spec.plugins[{index}]");
        limits(plugin, &child(&path, "limits"), problems);
        pinned(plugin, &path, problems);
    }
    pressure(spec, problems);
    completion(spec, problems);
    for (index, toleration) in spec.at("rollout.tolerations").into_iter().flat_map(Node::items).enumerate() {
        tolerates(toleration, &format!("spec.rollout.tolerations[{index}]"), problems);
    }
}

fn metadata(document: &Node, problems: &mut Vec<Problem>) {
    let known = ["name", "namespace", "labels", "annotations"];
    for field in document.get("metadata").into_iter().flat_map(Node::fields) {
        let name = field.name.as_str();
        if !known.contains(&name) && !OTHER_METADATA.contains(&name) {
            problems.push(unknown(field, &known, "metadata"));
        }
    }
}

fn time(spec: &Node, problems: &mut Vec<Problem>) {
    if spec.get("schedule").is_none() {
        // One that is misspelt is told of already.
        let is_misspelt = spec.fields().iter().any(|field| text::closest(&field.name, ["schedule"]).is_some());
        let is_null = spec.fields().iter().any(|field| field.name == "schedule");
        if !is_misspelt || is_null {
            without_schedule(spec, problems);
        }
        return;
    }
    let Some(schedule) = spec.get("schedule").and_then(Node::text) else { return };
    if let Some(zone) = spec.get("timeZone").filter(|_| schedule.contains("TZ")) {
        let message = "must be left out, because the schedule names a time zone itself";
        problems.push(Problem::new(zone.line, "spec.timeZone", message).found(zone.shown()));
    }
    let period = Schedule::parse(schedule, None).ok().and_then(|schedule| schedule.period());
    let deadline = spec.get("startingDeadlineSeconds").and_then(|node| Some((node, node.number()?)));
    if let (Some(period), Some((node, seconds))) = (period, deadline)
        && seconds < period.as_secs().unsigned_abs()
    {
        let message = format!(
            "must be at least the period of the schedule, {} seconds; no run would ever start",
            period.as_secs()
        );
        problems.push(Problem::new(node.line, "spec.startingDeadlineSeconds", message).found(node.shown()));
    }
}

/// Fields that only a schedule gives a meaning. The policy of concurrency has one for runs that a full disk starts, and
/// its default is written out wherever a manifest is stored.
fn without_schedule(spec: &Node, problems: &mut Vec<Problem>) {
    let fills = spec.at("pressure.above").is_some();
    for name in ["timeZone", "startingDeadlineSeconds", "concurrencyPolicy"] {
        let Some(node) = spec.get(name) else { continue };
        if name == "concurrencyPolicy" && (fills || !matches!(node.text(), Some("Allow" | "Replace"))) {
            continue;
        }
        let message = "has no effect without a schedule; leave it out, or give spec.schedule";
        problems.push(Problem::new(node.line, &child("spec", name), message).found(node.shown()));
    }
}

fn distinct_names(spec: &Node, list: &str, problems: &mut Vec<Problem>) {
    let mut seen = HashMap::new();
    for (index, item) in spec.get(list).into_iter().flat_map(Node::items).enumerate() {
        let Some(name) = item.get("name").filter(|name| name.text().is_some()) else { continue };
        if let Some(first) = seen.insert(name.text(), index) {
            let message = format!("must be unlike any other, and spec.{list}[{first}] has it too");
            problems.push(Problem::new(name.line, &format!("spec.{list}[{index}].name"), message).found(name.shown()));
        }
    }
}

fn limits(plugin: &Node, path: &str, problems: &mut Vec<Problem>) {
    let timeout: Option<(&Node, Duration)> = parsed(plugin, "limits.timeout");
    if let Some((node, _)) = timeout.filter(|(_, timeout)| timeout.get().is_zero()) {
        problems
            .push(Problem::new(node.line, &child(path, "timeout"), "must be longer than nothing").found(node.shown()));
    }
    let memory: Option<(&Node, Bytes)> = parsed(plugin, "limits.memory");
    if let Some((node, _)) = memory.filter(|(_, memory)| !(1 << 20..=4 << 30).contains(&memory.get())) {
        problems.push(Problem::new(node.line, &child(path, "memory"), "must be from 1Mi to 4Gi").found(node.shown()));
    }
}

/// What an image's tag names, and what a ConfigMap holds, can change from run to run, so that nobody would know which
/// plugin decides.
fn pinned(plugin: &Node, path: &str, problems: &mut Vec<Problem>) {
    if plugin.get("digest").is_some() {
        return;
    }
    if let Some(config_map) = plugin.at("source.configMap") {
        let message = "must be given, because whoever may edit the ConfigMap could change the plugin";
        problems.push(Problem::new(config_map.line, &child(path, "digest"), message));
    }
    let Some(reference) = plugin.at("source.imageVolume.reference") else { return };
    let is_pinned = reference.text().is_some_and(|text| text.contains("@sha256:"));
    if !is_pinned {
        let message = "must be given, because the reference of the image has no digest (@sha256:…)";
        problems.push(Problem::new(reference.line, &child(path, "digest"), message));
    }
}

fn pressure(spec: &Node, problems: &mut Vec<Problem>) {
    let Some(pressure) = spec.get("pressure").filter(|node| matches!(node.content, Content::Map(_))) else { return };
    if pressure.get("above").is_none() && pressure.get("until").is_none() {
        let message = "must have above, until or both; without them it says nothing";
        problems.push(Problem::new(pressure.line, "spec.pressure", message));
    }
    measured(spec, pressure, problems);
    bounds(pressure, problems);
    let (above, until) = (parsed::<Percent>(pressure, "above"), parsed::<Percent>(pressure, "until"));
    if let (Some((_, above)), Some((node, until))) = (above, until)
        && until > above
    {
        let message = format!("must not be more than above, which is {above}; it would stop before it begins");
        problems.push(Problem::new(node.line, "spec.pressure.until", message).found(node.shown()));
    }
}

/// No filesystem is fuller than full, and every one is no fuller than that.
fn bounds(pressure: &Node, problems: &mut Vec<Problem>) {
    for (name, message) in [
        ("above", "must be less than 100%: no filesystem is ever fuller, so nothing would ever be removed"),
        ("until", "must be less than 100%: no filesystem is ever fuller, so every run would stop before it begins"),
    ] {
        if let Some((node, _)) = parsed::<Percent>(pressure, name).filter(|(_, percent)| percent.get() >= 100) {
            problems.push(Problem::new(node.line, &child("spec.pressure", name), message).found(node.shown()));
        }
    }
}

/// Only a declared log root has a filesystem, and only a runtime one of images.
fn measured(spec: &Node, pressure: &Node, problems: &mut Vec<Problem>) {
    let no_runtime = spec.at("runtime.endpoint").and_then(Node::text) == Some("none");
    let disk = pressure.get("filesystem").and_then(Node::text).unwrap_or("images");
    if no_runtime && disk == "images" {
        let line = pressure.get("filesystem").map_or(pressure.line, |node| node.line);
        let message = "must be that of a log root, because spec.runtime.endpoint is none and images are never measured";
        problems.push(Problem::new(line, "spec.pressure.filesystem", message));
    }
    let Some(node) = pressure.get("filesystem") else { return };
    let Some(disk) = node.text().filter(|disk| disk.starts_with("logs:")) else { return };
    let roots = spec.get("logRoots").into_iter().flat_map(Node::items);
    let declared: Vec<String> = roots.filter_map(|root| Some(format!("logs:{}", root.get("name")?.text()?))).collect();
    if !declared.iter().any(|root| root == disk) {
        let message = "must be that of a log root in spec.logRoots";
        let problem = Problem::new(node.line, "spec.pressure.filesystem", message).found(node.shown());
        problems.push(problem.meant(text::closest(disk, declared.iter().map(String::as_str))));
    }
}

/// A run that is never over has no end to count from.
fn completion(spec: &Node, problems: &mut Vec<Problem>) {
    let Some(policy) = spec.at("rollout.completionPolicy") else { return };
    if policy.get("type").and_then(Node::text) != Some("Never") {
        return;
    }
    for name in ["activeDeadlineSeconds", "ttlSecondsAfterFinished"] {
        if let Some(node) = policy.get(name) {
            let path = format!("spec.rollout.completionPolicy.{name}");
            problems.push(Problem::new(node.line, &path, "must be left out when type is Never").found(node.shown()));
        }
    }
    if spec.get("schedule").is_some() {
        let message = "must not be Never with a schedule, because no run would ever be over";
        problems.push(Problem::new(policy.line, "spec.rollout.completionPolicy.type", message));
    }
}

fn tolerates(toleration: &Node, path: &str, problems: &mut Vec<Problem>) {
    let text = |name: &str| toleration.get(name).and_then(Node::text).unwrap_or_default();
    let mut problem = |name: &str, message: &str| {
        let line = toleration.get(name).map_or(toleration.line, |node| node.line);
        problems.push(Problem::new(line, &child(path, name), message));
    };
    let exists = text("operator") == "Exists";
    if text("key").is_empty() && !exists {
        problem("operator", "must be Exists when there is no key");
    }
    if exists && !text("value").is_empty() {
        problem("value", "must be left out when operator is Exists");
    }
    if toleration.get("tolerationSeconds").is_some() && text("effect") != "NoExecute" {
        problem("tolerationSeconds", "must be left out unless effect is NoExecute");
    }
}

/// The value at a path, if it is one of this kind.
fn parsed<'a, T: std::str::FromStr>(node: &'a Node, path: &str) -> Option<(&'a Node, T)> {
    let node = node.at(path)?;
    let text = node.text().map_or_else(|| node.number().map(|number| number.to_string()), |text| Some(text.to_owned()));
    Some((node, text?.parse().ok()?))
}
