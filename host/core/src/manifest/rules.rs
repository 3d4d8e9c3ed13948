//! Rules that the schema cannot express: combinations of fields, checked by the reader and, in CEL, by the API server.

use std::collections::{BTreeMap, HashMap};

use super::API_VERSION;
use super::check::{child, unknown};
use super::document::{Content, Node};
use super::problem::Problem;
use super::spec::{LEAST_MEMORY, MOST_MEMORY};
use super::value::{Bytes, Cpu, Duration, Percent};
use crate::schedule::Schedule;
use crate::text;

const KIND: &str = "NodeCleanup";

/// The metadata that Kubernetes stores with an object in addition to the fields of [`super::Metadata`].
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

/// The location of the first manifest with each namespace and name.
pub(super) type SeenNames = BTreeMap<(String, String), String>;

/// Returns whether a document is a NodeCleanup, and reports the problem if not. The other fields of such a document are
/// not checked.
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

/// Returns the kind of a document that was not meant as a NodeCleanup, for messages: "kind ConfigMap", for example. A
/// document that names our group or almost our kind was meant as a NodeCleanup.
pub(super) fn other_kind(document: &Node) -> Option<String> {
    if !matches!(document.content, Content::Map(_)) {
        return Some("not a map of fields".to_owned());
    }
    let text = |name| document.get(name).and_then(Node::text);
    let group = API_VERSION.split('/').next().unwrap_or(API_VERSION);
    let of_our_group = text("apiVersion").is_some_and(|version| version.split('/').next() == Some(group));
    let meant = text("kind").is_some_and(|kind| text::closest(kind, [KIND]).is_some());
    // A manifest without its first two lines is recognized by its fields.
    let of_our_fields = document.get("kind").is_none() && document.at("spec.plugins").is_some();
    if of_our_group || meant || of_our_fields {
        return None;
    }
    Some(match text("kind") {
        Some(kind) => format!("kind {}", text::shown(kind)),
        None => "has no kind".to_owned(),
    })
}

/// Checks that the name of a document is unique in its namespace.
pub(super) fn distinct(document: &Node, origin: &str, names: &mut SeenNames, problems: &mut Vec<Problem>) {
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

/// Checks all other rules. Values that violate the schema are skipped here, because they are problems already.
pub(super) fn check(document: &Node, problems: &mut Vec<Problem>) {
    metadata(document, problems);
    let Some(spec) = document.get("spec") else { return };
    for list in ["plugins", "logRoots"] {
        distinct_names(spec, list, problems);
    }
    for rule in RULES.iter().filter(|rule| rule.scope == Scope::Everywhere) {
        rule.check(document, problems);
    }
}

/// Checks the rules that apply to a cluster only.
pub(super) fn check_on_cluster(document: &Node, problems: &mut Vec<Problem>) {
    for rule in RULES.iter().filter(|rule| rule.scope == Scope::Cluster) {
        rule.check(document, problems);
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

/// The place where a rule is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The rule is checked wherever a manifest is read, and by the API server.
    Everywhere,
    /// The rule is checked by components that act on a cluster, and by the API server.
    Cluster,
    /// The rule is checked by the API server alone. The API server has its own schema of metadata; the reader has a
    /// format for it.
    ApiServer,
}

/// A rule on combinations of fields, once for the reader and once for the API server. Fields that are invalid
/// themselves do not violate a rule, because they are problems already.
pub(super) struct Rule {
    /// The field that is checked, by its path in the schema: `[]` stands for the entries of a list.
    pub(super) place: &'static str,
    /// The field that the message is about, by its path from there.
    pub(super) field: &'static str,
    /// The message.
    pub(super) message: &'static str,
    /// The rule in CEL; absent when CEL cannot express it.
    pub(super) cel: Option<&'static str>,
    scope: Scope,
    holds: fn(&Node) -> bool,
    meant: fn(&Node) -> Option<String>,
}

impl Rule {
    const fn new(
        place: &'static str,
        field: &'static str,
        message: &'static str,
        cel: &'static str,
        holds: fn(&Node) -> bool,
    ) -> Self {
        Self { place, field, message, cel: Some(cel), scope: Scope::Everywhere, holds, meant: |_| None }
    }

    const fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }

    const fn not_in_cel(self) -> Self {
        Self { cel: None, ..self }
    }

    const fn suggesting(self, meant: fn(&Node) -> Option<String>) -> Self {
        Self { meant, ..self }
    }

    fn check(&self, document: &Node, problems: &mut Vec<Problem>) {
        for (path, node) in places(document, self.place) {
            if !(self.holds)(node) {
                problems.push(self.problem(document, &path, node));
            }
        }
    }

    fn problem(&self, document: &Node, path: &str, node: &Node) -> Problem {
        let field = format!("{path}{}", self.field);
        let given = if self.field.is_empty() { None } else { node.at(self.field.trim_start_matches('.')) };
        let scalar = given.filter(|given| !matches!(given.content, Content::Map(_) | Content::List(_)));
        let problem = Problem::new(document.nearest_line(&field), &field, self.message);
        let problem = problem.meant((self.meant)(node).as_deref());
        match scalar {
            Some(scalar) => problem.found(scalar.shown()),
            None => problem,
        }
    }
}

/// Finds the values at a path of the schema, each with its own path.
fn places<'a>(document: &'a Node, place: &str) -> Vec<(String, &'a Node)> {
    let mut found = vec![(String::new(), document)];
    for step in place.split('.').filter(|step| !step.is_empty()) {
        let (name, is_list) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let fields = found.into_iter().filter_map(|(path, node)| Some((child(&path, name), node.get(name)?)));
        found = if is_list {
            let items = fields.flat_map(|(path, node)| {
                node.items().iter().enumerate().map(move |(index, item)| (format!("{path}[{index}]"), item))
            });
            items.collect()
        } else {
            fields.collect()
        };
    }
    found
}

const SPEC: &str = "spec";
const WITHOUT_SCHEDULE: &str = "has no effect without a schedule; leave it out, or give spec.schedule";
const LEFT_OUT_OF_NEVER: &str = "must be left out when type is Never";
const COMPLETION: &str = "spec.rollout.completionPolicy";
const TOLERATIONS: &str = "spec.rollout.tolerations[]";

/// The rules, except those on unique names, which the API server enforces by the keys of the lists.
pub(super) const RULES: [Rule; 35] = [
    Rule::new(
        "",
        "",
        "metadata.name must have at most 52 characters, because OpenKruise names each run after it and adds eleven",
        "self.metadata.name.size() <= 52",
        |_| true,
    )
    .within(Scope::ApiServer),
    Rule::new(
        "",
        "",
        "metadata.name must have no dots, because pods carry it as the value of a label",
        "!self.metadata.name.contains('.')",
        |_| true,
    )
    .within(Scope::ApiServer),
    Rule::new(
        SPEC,
        ".timeZone",
        "must be left out, because the schedule names a time zone itself",
        "!has(self.timeZone) || !has(self.schedule) || !self.schedule.contains('TZ')",
        |spec| spec.get("timeZone").is_none() || !text(spec, "schedule").contains("TZ"),
    ),
    Rule::new(
        SPEC,
        ".startingDeadlineSeconds",
        "must be at least the period of the schedule; no run would ever start",
        "!has(self.startingDeadlineSeconds) || !has(self.schedule) || !self.schedule.matches(r'^@every ([0-9]{1,6}(h|m|s))+$') || self.startingDeadlineSeconds >= duration(self.schedule.substring(7)).getSeconds()",
        outlasts_the_period,
    ),
    Rule::new(
        SPEC,
        ".timeZone",
        WITHOUT_SCHEDULE,
        "has(self.schedule) || !has(self.timeZone)",
        |spec| has_schedule(spec) || spec.get("timeZone").is_none(),
    ),
    Rule::new(
        SPEC,
        ".startingDeadlineSeconds",
        WITHOUT_SCHEDULE,
        "has(self.schedule) || !has(self.startingDeadlineSeconds)",
        |spec| has_schedule(spec) || spec.get("startingDeadlineSeconds").is_none(),
    ),
    // A full disk starts runs too, and a stored manifest always contains the default.
    Rule::new(
        SPEC,
        ".concurrencyPolicy",
        WITHOUT_SCHEDULE,
        "has(self.schedule) || has(self.pressure) && has(self.pressure.above) || !has(self.concurrencyPolicy) || self.concurrencyPolicy == 'Forbid'",
        |spec| {
            let policy = text(spec, "concurrencyPolicy");
            has_schedule(spec) || spec.at("pressure.above").is_some() || !["Allow", "Replace"].contains(&policy)
        },
    ),
    Rule::new(
        SPEC,
        ".concurrencyPolicy",
        "must be Forbid or Replace on a cluster: two sweeps on one node only get into each other's way",
        "!has(self.concurrencyPolicy) || self.concurrencyPolicy != 'Allow'",
        |spec| text(spec, "concurrencyPolicy") != "Allow",
    )
    .within(Scope::Cluster),
    Rule::new(
        SPEC,
        ".pressure.filesystem",
        "must be that of a log root, because spec.runtime.endpoint is none and images are never measured",
        "!has(self.pressure) || !has(self.runtime) || !has(self.runtime.endpoint) || self.runtime.endpoint != 'none' || has(self.pressure.filesystem) && self.pressure.filesystem != 'images'",
        |spec| {
            let is_of_images = spec.get("pressure").is_some_and(is_map) && matches!(disk(spec), "images" | "");
            !is_of_images || text(spec, "runtime.endpoint") != "none"
        },
    ),
    Rule::new(
        SPEC,
        ".pressure.filesystem",
        "must be that of a log root in spec.logRoots",
        "!has(self.pressure) || !has(self.pressure.filesystem) || !self.pressure.filesystem.startsWith('logs:') || has(self.logRoots) && self.logRoots.exists(root, self.pressure.filesystem == 'logs:' + root.name)",
        |spec| !disk(spec).starts_with("logs:") || declared_disks(spec).iter().any(|root| root == disk(spec)),
    )
    .suggesting(|spec| {
        text::closest(disk(spec), declared_disks(spec).iter().map(String::as_str)).map(str::to_owned)
    }),
    Rule::new(
        "spec.pressure",
        "",
        "must have above, until or both; without them it says nothing",
        "has(self.above) || has(self.until)",
        |pressure| !is_map(pressure) || ["above", "until"].iter().any(|name| pressure.get(name).is_some()),
    ),
    Rule::new(
        "spec.pressure",
        ".above",
        "must be less than 100%: no filesystem is ever fuller, so nothing would ever be removed",
        "!has(self.above) || !(self.above in [dyn(100), dyn('100'), dyn('100%')])",
        |pressure| percent(pressure, "above").is_none_or(|percent| percent.get() < 100),
    ),
    Rule::new(
        "spec.pressure",
        ".until",
        "must be less than 100%: no filesystem is ever fuller, so every run would stop before it begins",
        "!has(self.until) || !(self.until in [dyn(100), dyn('100'), dyn('100%')])",
        |pressure| percent(pressure, "until").is_none_or(|percent| percent.get() < 100),
    ),
    Rule::new(
        "spec.pressure",
        ".until",
        "must not be more than above; it would stop before it begins",
        "!has(self.until) || !has(self.above) || (type(self.until) == int ? int(self.until) : self.until.matches(r'^[0-9]{1,3}%?$') ? int(self.until.replace('%', '')) : 0) <= (type(self.above) == int ? int(self.above) : self.above.matches(r'^[0-9]{1,3}%?$') ? int(self.above.replace('%', '')) : 100)",
        |pressure| match (percent(pressure, "above"), percent(pressure, "until")) {
            (Some(above), Some(until)) => until <= above,
            _ => true,
        },
    ),
    Rule::new(
        "spec.plugins[]",
        ".digest",
        "must be given, because a user who may edit the ConfigMap could change the plugin",
        "has(self.digest) || !has(self.source.configMap)",
        |plugin| plugin.get("digest").is_some() || plugin.at("source.configMap").is_none(),
    ),
    // A tag can be moved to another image between runs.
    Rule::new(
        "spec.plugins[]",
        ".digest",
        "must be given, because the reference of the image has no digest (@sha256:…)",
        "has(self.digest) || !has(self.source.imageVolume) || self.source.imageVolume.reference.contains('@sha256:')",
        |plugin| {
            let reference = plugin.at("source.imageVolume.reference").and_then(Node::text);
            plugin.get("digest").is_some() || reference.is_none_or(|text| text.contains("@sha256:"))
        },
    ),
    Rule::new(
        "spec.runtime",
        ".mount",
        "must be Socket or Directory when endpoint is not auto: with Run, each pod finds the socket itself",
        "!has(self.mount) || self.mount != 'Run' || !has(self.endpoint) || self.endpoint == 'auto'",
        |runtime| text(runtime, "mount") != "Run" || ["", "auto"].contains(&text(runtime, "endpoint")),
    ),
    Rule::new(
        SPEC,
        ".pressure.filesystem",
        "must be that of a log root, because spec.runtime.mount is Run and runtimes keep images in different places",
        "!has(self.pressure) || !has(self.runtime) || !has(self.runtime.mount) || self.runtime.mount != 'Run' || has(self.pressure.filesystem) && self.pressure.filesystem.startsWith('logs:')",
        |spec| {
            let is_of_images = spec.get("pressure").is_some() && !disk(spec).starts_with("logs:");
            text(spec, "runtime.mount") != "Run" || !is_of_images
        },
    )
    .within(Scope::Cluster),
    Rule::new(
        "spec.plugins[].source",
        ".file",
        "is a file of one machine; on a cluster use configMap or imageVolume",
        "!has(self.file)",
        |source| source.get("file").is_none(),
    )
    .within(Scope::Cluster),
    Rule::new(
        "spec.plugins[].limits",
        ".timeout",
        "must be longer than nothing",
        "!has(self.timeout) || !self.timeout.matches(r'^(0+[a-z]+)+$')",
        |limits| parsed::<Duration>(limits, "timeout").is_none_or(|timeout| !timeout.get().is_zero()),
    ),
    // The schema bounds numbers. For a text in a list, the API server assumes the maximum size of a request as its
    // length, so every rule would be too expensive.
    Rule::new("spec.plugins[].limits", ".memory", "must be from 1Mi to 4Gi", "", |limits| {
        parsed::<Bytes>(limits, "memory").is_none_or(|memory| (LEAST_MEMORY..=MOST_MEMORY).contains(&memory.get()))
    })
    .not_in_cel(),
    Rule::new(
        "spec.rollout",
        ".nodeSelector",
        "must not ask for another kubernetes.io/os than linux, because the pods run on Linux nodes only",
        "!has(self.nodeSelector) || ['kubernetes.io/os', 'beta.kubernetes.io/os'].all(key, !(key in self.nodeSelector) || self.nodeSelector[key] == 'linux')",
        |rollout| {
            let labels = rollout.get("nodeSelector").map(Node::fields).unwrap_or_default();
            let mut systems = labels.iter().filter(|label| OS_LABELS.contains(&label.name.as_str()));
            systems.all(|label| label.value.text() == Some("linux"))
        },
    )
    .within(Scope::Cluster),
    Rule::new(
        SPEC,
        ".rollout.completionPolicy.type",
        "must not be Never with a schedule, because no run would ever be over",
        "!has(self.schedule) || !has(self.rollout) || !has(self.rollout.completionPolicy) || !has(self.rollout.completionPolicy.type) || self.rollout.completionPolicy.type != 'Never'",
        |spec| spec.get("schedule").is_none() || text(spec, "rollout.completionPolicy.type") != "Never",
    ),
    Rule::new(
        SPEC,
        ".rollout.completionPolicy.ttlSecondsAfterFinished",
        "must be left out with a schedule: OpenKruise starts the last run again when it is forgotten; use the history limits",
        "!has(self.schedule) || !has(self.rollout) || !has(self.rollout.completionPolicy) || !has(self.rollout.completionPolicy.ttlSecondsAfterFinished)",
        |spec| spec.get("schedule").is_none() || spec.at("rollout.completionPolicy.ttlSecondsAfterFinished").is_none(),
    )
    .within(Scope::Cluster),
    Rule::new(
        COMPLETION,
        ".activeDeadlineSeconds",
        LEFT_OUT_OF_NEVER,
        "!has(self.type) || self.type != 'Never' || !has(self.activeDeadlineSeconds)",
        |policy| text(policy, "type") != "Never" || policy.get("activeDeadlineSeconds").is_none(),
    ),
    Rule::new(
        COMPLETION,
        ".ttlSecondsAfterFinished",
        LEFT_OUT_OF_NEVER,
        "!has(self.type) || self.type != 'Never' || !has(self.ttlSecondsAfterFinished)",
        |policy| text(policy, "type") != "Never" || policy.get("ttlSecondsAfterFinished").is_none(),
    ),
    Rule::new(
        TOLERATIONS,
        ".operator",
        "must be Exists when there is no key",
        "has(self.key) && self.key != '' || has(self.operator) && self.operator == 'Exists'",
        |toleration| !text(toleration, "key").is_empty() || text(toleration, "operator") == "Exists",
    ),
    Rule::new(
        TOLERATIONS,
        ".value",
        "must be left out when operator is Exists",
        "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        |toleration| text(toleration, "operator") != "Exists" || text(toleration, "value").is_empty(),
    ),
    Rule::new(
        TOLERATIONS,
        ".tolerationSeconds",
        "must be left out unless effect is NoExecute",
        "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
        |toleration| toleration.get("tolerationSeconds").is_none() || text(toleration, "effect") == "NoExecute",
    ),
    Rule::new(
        POD_TEMPLATE,
        ".labels",
        "must have none that Holystone or OpenKruise sets: holystone.dev/…, app.kubernetes.io/name, \
         app.kubernetes.io/component, app.kubernetes.io/managed-by, broadcastjob-name, broadcastjob-controller-uid, \
         controller-revision-hash, pod-template-generation",
        "!has(self.labels) || self.labels.all(key, !key.startsWith('holystone.dev/') && !(key in ['app.kubernetes.io/name', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by', 'broadcastjob-name', 'broadcastjob-controller-uid', 'controller-revision-hash', 'pod-template-generation']))",
        |template| {
            let mut labels = template.get("labels").into_iter().flat_map(Node::fields);
            labels.all(|label| !label.name.starts_with(OWN_PREFIX) && !OWN_LABELS.contains(&label.name.as_str()))
        },
    ),
    Rule::new(
        POD_TEMPLATE,
        ".annotations",
        "must have none of holystone.dev/…, which are for Holystone itself",
        "!has(self.annotations) || self.annotations.all(key, !key.startsWith('holystone.dev/'))",
        |template| {
            let mut annotations = template.get("annotations").into_iter().flat_map(Node::fields);
            annotations.all(|annotation| !annotation.name.starts_with(OWN_PREFIX))
        },
    ),
    Rule::new(
        REQUESTS,
        ".cpu",
        "must be at most 1: the pods' priority evicts others",
        "!has(self.cpu) || type(self.cpu) != int || self.cpu <= 1",
        |requests| parsed::<Cpu>(requests, "cpu").is_none_or(|cpu| cpu.get() <= MOST_REQUESTED_CPU),
    ),
    Rule::new(
        REQUESTS,
        ".memory",
        "must be at most 1Gi: the pods' priority evicts others",
        "!has(self.memory) || type(self.memory) != int || self.memory <= 1073741824",
        |requests| parsed::<Bytes>(requests, "memory").is_none_or(|memory| memory.get() <= MOST_REQUESTED_MEMORY),
    ),
    // CEL does not compare amounts with units.
    Rule::new("spec.rollout.podTemplate.resources", ".limits", "must not be less than what is requested", "", |resources| {
        let fits = |limit: Option<u64>, request: Option<u64>| limit.is_none_or(|limit| request.unwrap_or(0) <= limit);
        let cpu = |path: &str| parsed::<Cpu>(resources, path).map(Cpu::get);
        let memory = |path: &str| parsed::<Bytes>(resources, path).map(Bytes::get);
        fits(cpu("limits.cpu"), cpu("requests.cpu")) && fits(memory("limits.memory"), memory("requests.memory"))
    })
    .not_in_cel(),
    Rule::new(
        EXPRESSIONS,
        ".values",
        "must have at least one entry with operator In or NotIn, and none with Exists or DoesNotExist",
        "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
        |expression| {
            let is_given = expression.get("values").is_some_and(|values| !values.items().is_empty());
            match text(expression, "operator") {
                "In" | "NotIn" => is_given,
                "Exists" | "DoesNotExist" => !is_given,
                _ => true,
            }
        },
    ),
];

const POD_TEMPLATE: &str = "spec.rollout.podTemplate";
const REQUESTS: &str = "spec.rollout.podTemplate.resources.requests";
const EXPRESSIONS: &str = "spec.rollout.podTemplate.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[].matchExpressions[]";
/// The prefix of labels and annotations that only Holystone sets.
const OWN_PREFIX: &str = "holystone.dev/";
/// Labels by which Holystone, OpenKruise and Kubernetes find pods.
const OWN_LABELS: [&str; 7] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "app.kubernetes.io/managed-by",
    "broadcastjob-name",
    "broadcastjob-controller-uid",
    "controller-revision-hash",
    "pod-template-generation",
];
/// The maximum CPU request, in thousandths of a CPU.
const MOST_REQUESTED_CPU: u64 = 1000;
/// The maximum memory request, in bytes.
const MOST_REQUESTED_MEMORY: u64 = 1 << 30;

/// The labels for the operating system of a node.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

/// Returns whether there is a schedule, or a misspelt schedule, which is a problem already.
fn has_schedule(spec: &Node) -> bool {
    let is_misspelt = spec.fields().iter().any(|field| text::closest(&field.name, ["schedule"]).is_some());
    let is_null = spec.fields().iter().any(|field| field.name == "schedule");
    spec.get("schedule").is_some() || is_misspelt && !is_null
}

fn outlasts_the_period(spec: &Node) -> bool {
    let period = Schedule::parse(text(spec, "schedule"), None).ok().and_then(|schedule| schedule.period());
    let deadline = spec.get("startingDeadlineSeconds").and_then(Node::number);
    match (period, deadline) {
        (Some(period), Some(seconds)) => seconds >= period.as_secs().unsigned_abs(),
        _ => true,
    }
}

/// Returns the filesystem to measure, as it is written.
fn disk(spec: &Node) -> &str {
    text(spec, "pressure.filesystem")
}

/// Lists the filesystems of the declared log roots.
fn declared_disks(spec: &Node) -> Vec<String> {
    let roots = spec.get("logRoots").into_iter().flat_map(Node::items);
    roots.filter_map(|root| Some(format!("logs:{}", root.get("name")?.text()?))).collect()
}

fn is_map(node: &Node) -> bool {
    matches!(node.content, Content::Map(_))
}

/// Returns the text at a path, or an empty text when there is none.
fn text<'a>(node: &'a Node, path: &str) -> &'a str {
    node.at(path).and_then(Node::text).unwrap_or_default()
}

fn percent(node: &Node, path: &str) -> Option<Percent> {
    parsed(node, path)
}

/// Parses the value at a path, if it has this type.
fn parsed<T: std::str::FromStr>(node: &Node, path: &str) -> Option<T> {
    let node = node.at(path)?;
    let text = node.text().map_or_else(|| node.number().map(|number| number.to_string()), |text| Some(text.to_owned()));
    text?.parse().ok()
}
