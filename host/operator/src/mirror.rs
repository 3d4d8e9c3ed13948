//! The mirror of the cluster, kept current by watches.
//!
//! Memory is bounded. Parts of objects that are not read are dropped. For pods, only the result of their run on one
//! node is kept, for the latest two runs of each NodeCleanup.
//!
//! A pod belongs to a NodeCleanup if its owner references lead there, uid by uid: anyone can set labels and names.

mod objects;
mod questions;

use std::collections::{BTreeMap, BTreeSet};

use holystone_core::cluster::{
    BroadcastJob, CleanupObject, ConfigMap, DaemonSet, Held, Meta, NodeResult, NodeState, Observed, PodView, Site,
    object_name,
};
use holystone_core::text::shown;
use jiff::Timestamp;

use objects::KeptObjects;
pub use objects::{ObjectRef, WatchedKind, WatchedObject};
pub use questions::Question;

/// Number of runs of a NodeCleanup that are kept node by node: the last one, and the one that takes its place.
const RUNS: usize = 2;
/// Maximum number of pods that are kept of one run or DaemonSet: more than four on each node of the largest clusters.
const MOST_PODS: usize = 20_000;
/// Maximum number of pods that are kept while their owner is unknown: as many as two runs of the largest clusters have.
const MOST_WAITING: usize = 10_000;

/// A change that a watch reports.
#[derive(Clone, Debug)]
pub enum ObjectChange {
    /// Start of a full list; each object follows as an `Is`.
    Begin,
    /// Existing object, in its current state.
    Is(WatchedObject),
    /// Deleted object.
    Gone(WatchedObject),
    /// End of a full list.
    Complete,
}

/// A pod of a DaemonSet, which can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonPod {
    /// Name of its node.
    pub node: String,
    /// Address of the pod; absent while it has none.
    pub address: Option<String>,
}

/// The part of a pod that is kept.
#[derive(Debug)]
struct ObservedPod {
    created: Option<Timestamp>,
    uid: Box<str>,
    /// Result of the pod; for a daemon, its last answer.
    state: NodeState,
    /// State that replaces the result while the pod does not start.
    held: Option<Box<NodeState>>,
    /// Reason from events why the pod does not start.
    explained: Option<Box<str>>,
    /// Address of the pod, if it has one.
    address: Option<String>,
}

impl ObservedPod {
    /// Reads an observed pod; `known` is the previous state of it.
    fn of(pod: &PodView, owner: &Owner, known: Option<Self>) -> Self {
        let node = pod.node();
        let waiting = |held| NodeState { node: node.to_owned(), times: None, word: NodeResult::Waiting(held) };
        let held = Held::of(pod, !owner.is_run()).map(|held| Box::new(waiting(held)));
        let why = known.as_ref().and_then(Self::why);
        let (said, explained) = known.map_or((None, None), |known| (Some(known.state), known.explained));
        let state = if owner.is_run() {
            match why.filter(|_| never_started(pod)) {
                // The kubelet's words about a container that never was say less.
                Some(why) => NodeState { node: node.to_owned(), times: None, word: NodeResult::Silent(why) },
                None => state_of(pod),
            }
        } else {
            let said = said.filter(|state| state.node == node);
            said.unwrap_or_else(|| NodeState { node: node.to_owned(), times: None, word: NodeResult::Idle })
        };
        let (created, address) = (pod.meta.creation_timestamp, pod.status.pod_ip.clone());
        let mut seen = Self { created, uid: uid(&pod.meta).into(), state, held, explained, address };
        seen.explain();
        seen
    }

    /// Returns why it has not started, as far as that is known.
    fn why(&self) -> Option<String> {
        match &self.word().word {
            NodeResult::Waiting(held) => held.why.as_deref().map(str::to_owned),
            NodeResult::Silent(why) => Some(why.clone()),
            _ => None,
        }
    }

    /// Returns the state to report.
    fn word(&self) -> &NodeState {
        self.held.as_deref().unwrap_or(&self.state)
    }
}

/// The pods of a BroadcastJob or a DaemonSet.
#[derive(Debug)]
struct Pods {
    /// NodeCleanup of the pods, once their owner references resolve to one.
    cleanup: Option<ObjectRef>,
    /// Number of the observation in which the first of them was seen.
    seen: u64,
    by_name: BTreeMap<String, ObservedPod>,
}

impl Pods {
    /// Returns the creation time of the oldest pod.
    fn began(&self) -> Option<Timestamp> {
        self.by_name.values().filter_map(|pod| pod.created).min()
    }

    /// Returns the states of the nodes. If a node has several pods, the latest one counts.
    fn states(&self) -> Vec<&NodeState> {
        let mut latest: BTreeMap<&str, (&ObservedPod, &str)> = BTreeMap::new();
        let mut unbound = Vec::new();
        for (name, pod) in &self.by_name {
            if pod.state.node.is_empty() {
                unbound.push(pod.word());
                continue;
            }
            let other = latest.entry(&pod.state.node).or_insert((pod, name));
            if (pod.created, name.as_str()) > (other.0.created, other.1) {
                *other = (pod, name);
            }
        }
        latest.into_values().map(|(pod, _)| pod.word()).chain(unbound).collect()
    }
}

/// The owner that a pod references.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Owner {
    kind: WatchedKind,
    key: ObjectRef,
    uid: String,
}

impl Owner {
    /// Builds the owner that the pods of an object reference.
    fn itself(kind: WatchedKind, object: &Meta) -> Self {
        Self { kind, key: ObjectRef::of(object), uid: uid(object).to_owned() }
    }

    /// Returns whether the owner is a run, and not a set of daemons.
    fn is_run(&self) -> bool {
        self.kind == WatchedKind::BroadcastJob
    }

    /// Returns the first owner of these kinds that an object references.
    fn of(object: &Meta, kinds: &[WatchedKind]) -> Option<Self> {
        object.owner_references.iter().find_map(|owner| {
            let kind = *kinds.iter().find(|kind| owner.kind == kind.kind())?;
            let key = ObjectRef::of(object).beside(owner.name.as_deref()?);
            Some(Self { kind, key, uid: owner.uid.clone()? })
        })
    }
}

/// The mirror of the cluster.
#[derive(Debug, Default)]
pub struct Mirror {
    objects: KeptObjects,
    /// Pods by the BroadcastJob or DaemonSet that they reference, whether or not it exists.
    pods: BTreeMap<Owner, Pods>,
    /// Reasons why pods are not created, by the BroadcastJob or DaemonSet.
    complaints: BTreeMap<Owner, Vec<String>>,
    /// Number of observations of pods.
    seen: u64,
    /// Objects that a watch has reported since it began a full list.
    fresh: BTreeMap<WatchedKind, BTreeSet<ObjectRef>>,
    complete: BTreeSet<WatchedKind>,
    has_kruise: Option<bool>,
}

impl Mirror {
    /// Takes in a change, and returns the NodeCleanups that it concerns.
    pub fn take(&mut self, kind: WatchedKind, change: ObjectChange) -> BTreeSet<ObjectRef> {
        match change {
            ObjectChange::Begin => {
                self.fresh.insert(kind, BTreeSet::new());
                BTreeSet::new()
            }
            ObjectChange::Is(object) => {
                if let Some(fresh) = self.fresh.get_mut(&kind) {
                    fresh.insert(ObjectRef::of(object.meta()));
                }
                self.put(kind, object)
            }
            ObjectChange::Gone(WatchedObject::Pod(pod)) => self.remove_pod(&pod),
            ObjectChange::Gone(object) => self.remove(kind, object.meta()),
            ObjectChange::Complete => self.completed(kind),
        }
    }

    /// Returns whether a change that is not taken in yet only shows how far a run or a rollout of daemons has got. The
    /// end of a run is more than that, and so are the reports of its last pods after it.
    pub fn is_progress(&self, change: &ObjectChange) -> bool {
        match change {
            ObjectChange::Is(WatchedObject::Pod(pod)) => {
                !Owner::of(&pod.meta, &POD_OWNERS).is_some_and(|owner| self.has_ended(&owner))
            }
            ObjectChange::Gone(WatchedObject::Pod(_)) => true,
            ObjectChange::Is(WatchedObject::BroadcastJob(job)) => {
                let known = self.objects.broadcast_jobs.get(&ObjectRef::of(&job.meta));
                known.is_some_and(|known| {
                    known.status.phase == job.status.phase && has_same_metadata(&known.meta, &job.meta)
                })
            }
            ObjectChange::Is(WatchedObject::DaemonSet(set)) => {
                let known = self.objects.daemon_sets.get(&ObjectRef::of(&set.meta));
                known.is_some_and(|known| has_same_metadata(&known.meta, &set.meta))
            }
            _ => false,
        }
    }

    /// Returns whether an owner of pods is a run that has ended.
    fn has_ended(&self, owner: &Owner) -> bool {
        let job = self.objects.broadcast_jobs.get(&owner.key).filter(|_| owner.is_run());
        job.is_some_and(|job| uid(&job.meta) == owner.uid && job.is_over())
    }

    /// Records whether OpenKruise is installed. Returns whether that is news.
    pub fn kruise(&mut self, is_there: bool) -> bool {
        self.has_kruise.replace(is_there) != Some(is_there)
    }

    /// Returns whether the mirror is complete enough to act: every kind that the cluster has was listed once.
    pub fn is_complete(&self) -> bool {
        let Some(has_kruise) = self.has_kruise else { return false };
        WatchedKind::ALL.iter().all(|kind| self.complete.contains(kind) || kind.is_kruise() && !has_kruise)
    }

    /// Returns a NodeCleanup, if it exists.
    pub fn node_cleanup(&self, key: &ObjectRef) -> Option<&CleanupObject> {
        self.objects.node_cleanups.get(key)
    }

    /// Returns all NodeCleanups.
    pub fn node_cleanups(&self) -> impl Iterator<Item = &ObjectRef> {
        self.objects.node_cleanups.keys()
    }

    /// Returns the daemons of each NodeCleanup that has any, by pod.
    pub fn daemons(&self) -> BTreeMap<ObjectRef, BTreeMap<String, DaemonPod>> {
        let daemon = |pod: &ObservedPod| DaemonPod { node: pod.state.node.clone(), address: pod.address.clone() };
        let sets = self.pods.iter().filter(|(owner, _)| !owner.is_run());
        let of_cleanups = sets.filter_map(|(_, pods)| Some((pods.cleanup.clone()?, pods)));
        of_cleanups
            .map(|(key, pods)| (key, pods.by_name.iter().map(|(name, pod)| (name.clone(), daemon(pod))).collect()))
            .collect()
    }

    /// Takes in the answers of daemons. A daemon that did not answer has a state that says so.
    pub fn hear(&mut self, key: &ObjectRef, told: &BTreeMap<String, NodeState>) {
        let is_set = |owner: &Owner, pods: &Pods| !owner.is_run() && pods.cleanup.as_ref() == Some(key);
        for (_, pods) in self.pods.iter_mut().filter(|(owner, pods)| is_set(owner, pods)) {
            for (name, said) in told {
                if let Some(pod) = pods.by_name.get_mut(name) {
                    pod.state = said.clone();
                }
            }
        }
    }

    /// Passes the observed state of a NodeCleanup to `look`, if it still exists. `acts` is the number of recent
    /// repetitions of one action.
    pub fn observe<T>(
        &self,
        key: &ObjectRef,
        site: Site<'_>,
        acts: u32,
        now: Timestamp,
        look: impl FnOnce(&Observed<'_>) -> T,
    ) -> Option<T> {
        let object = self.node_cleanup(key)?;
        let observed = Observed {
            object,
            site,
            has_kruise: self.has_kruise == Some(true),
            config_maps: self.config_maps_of(key).collect(),
            advanced_cron_job: self.objects.advanced_cron_jobs.get(key),
            daemon_set: self.objects.daemon_sets.get(&key.beside(&object_name(&key.name))),
            broadcast_jobs: self.jobs_of(key).collect(),
            runs: self.runs(key),
            complaints: self.complaints(key),
            problems: &[],
            operator: "",
            acts,
            now,
        };
        Some(look(&observed))
    }

    /// Returns whether a NodeCleanup has an AdvancedCronJob or a DaemonSet, by any of its specs.
    pub fn has_workload(&self, key: &ObjectRef) -> bool {
        self.objects.advanced_cron_jobs.contains_key(key) || self.daemon_set_of(key).is_some()
    }

    /// Returns the states of the nodes in the runs of a NodeCleanup, by the name of the BroadcastJob or DaemonSet.
    pub fn runs<'a>(&'a self, key: &'a ObjectRef) -> BTreeMap<&'a str, Vec<&'a NodeState>> {
        let jobs = self.jobs_of(key).filter_map(|job| {
            let pods = self.pods.get(&Owner::itself(WatchedKind::BroadcastJob, &job.meta))?;
            Some((job.meta.name.as_str(), pods.states()))
        });
        let daemons = self.daemon_set_of(key).map(|set| {
            let pods = self.pods.get(&Owner::itself(WatchedKind::DaemonSet, &set.meta));
            (set.meta.name.as_str(), pods.map(Pods::states).unwrap_or_default())
        });
        jobs.chain(daemons).collect()
    }

    /// Returns why pods of the BroadcastJobs and the DaemonSet of a NodeCleanup are not created, by the name of the
    /// object.
    fn complaints<'a>(&'a self, key: &'a ObjectRef) -> BTreeMap<&'a str, &'a [String]> {
        let jobs = self.jobs_of(key).map(|job| (WatchedKind::BroadcastJob, &job.meta));
        let owners = jobs.chain(self.daemon_set_of(key).map(|set| (WatchedKind::DaemonSet, &set.meta)));
        let said = owners.filter_map(|(kind, object)| {
            let said = self.complaints.get(&Owner::itself(kind, object))?;
            Some((object.name.as_str(), said.as_slice()))
        });
        said.collect()
    }

    /// Returns the DaemonSet that belongs to a NodeCleanup.
    fn daemon_set_of(&self, key: &ObjectRef) -> Option<&DaemonSet> {
        let set = self.objects.daemon_sets.get(&key.beside(&object_name(&key.name)))?;
        (self.cleanup_of(WatchedKind::DaemonSet, &set.meta).as_ref() == Some(key)).then_some(set)
    }

    fn config_maps_of<'a>(&'a self, key: &'a ObjectRef) -> impl Iterator<Item = &'a ConfigMap> {
        let maps = self.objects.config_maps.values();
        maps.filter(move |map| self.cleanup_of(WatchedKind::ConfigMap, &map.meta).as_ref() == Some(key))
    }

    fn jobs_of<'a>(&'a self, key: &'a ObjectRef) -> impl Iterator<Item = &'a BroadcastJob> {
        let jobs = self.objects.broadcast_jobs.values();
        jobs.filter(move |job| self.cleanup_of(WatchedKind::BroadcastJob, &job.meta).as_ref() == Some(key))
    }

    /// Resolves an owner reference to the object with that name and that uid.
    fn owner(&self, owner: &Owner) -> Option<&Meta> {
        self.objects.meta(owner.kind, &owner.key).filter(|object| uid(object) == owner.uid)
    }

    /// Resolves the NodeCleanup that owns an object, directly or through an AdvancedCronJob.
    fn cleanup_of(&self, kind: WatchedKind, object: &Meta) -> Option<ObjectRef> {
        let mut owner = Owner::of(object, &[WatchedKind::NodeCleanup]);
        if owner.is_none() && kind == WatchedKind::BroadcastJob {
            let cron_job = self.owner(&Owner::of(object, &[WatchedKind::AdvancedCronJob])?)?;
            owner = Owner::of(cron_job, &[WatchedKind::NodeCleanup]);
        }
        let owner = owner?;
        self.owner(&owner)?;
        Some(owner.key)
    }

    /// Resolves the NodeCleanups of pods that wait for an owner. Returns the NodeCleanups that were found.
    fn resolve(&mut self) -> BTreeSet<ObjectRef> {
        let known = |owner: &Owner| self.cleanup_of(owner.kind, self.owner(owner)?);
        let found: Vec<(Owner, ObjectRef)> = self
            .pods
            .iter()
            .filter(|(_, pods)| pods.cleanup.is_none())
            .filter_map(|(owner, _)| Some((owner.clone(), known(owner)?)))
            .collect();
        let mut about = BTreeSet::new();
        for (owner, key) in found {
            if let Some(pods) = self.pods.get_mut(&owner) {
                pods.cleanup = Some(key.clone());
            }
            self.keep_latest(&key);
            about.insert(key);
        }
        about
    }

    /// Forgets the pods of all runs of a NodeCleanup but the latest ones.
    fn keep_latest(&mut self, key: &ObjectRef) {
        let runs = self.pods.iter().filter(|(owner, pods)| owner.is_run() && pods.cleanup.as_ref() == Some(key));
        let mut runs: Vec<(Option<Timestamp>, Owner)> =
            runs.map(|(owner, pods)| (pods.began(), owner.clone())).collect();
        runs.sort();
        for (_, owner) in runs.iter().rev().skip(RUNS) {
            self.pods.remove(owner);
        }
    }

    /// Forgets the pods that have waited longest for an owner, if too many wait.
    fn bound_waiting(&mut self) {
        loop {
            let waiting = || self.pods.iter().filter(|(_, pods)| pods.cleanup.is_none());
            if waiting().map(|(_, pods)| pods.by_name.len()).sum::<usize>() <= MOST_WAITING {
                return;
            }
            let Some(oldest) = waiting().min_by_key(|(_, pods)| pods.seen).map(|(owner, _)| owner.clone()) else {
                return;
            };
            self.pods.remove(&oldest);
        }
    }

    fn put(&mut self, kind: WatchedKind, object: WatchedObject) -> BTreeSet<ObjectRef> {
        if let WatchedObject::Pod(pod) = object {
            return self.put_pod(&pod);
        }
        let about = about(kind, object.meta());
        // The watch also reports the operator's own writes.
        if !self.objects.put(object) {
            return BTreeSet::new();
        }
        about.into_iter().chain(self.resolve()).collect()
    }

    fn put_pod(&mut self, pod: &PodView) -> BTreeSet<ObjectRef> {
        let Some(owner) = Owner::of(&pod.meta, &POD_OWNERS) else { return BTreeSet::new() };
        let name = pod.meta.name.clone();
        self.seen += 1;
        let seen = self.seen;
        let is_new = !self.pods.contains_key(&owner);
        let pods =
            self.pods.entry(owner.clone()).or_insert_with(|| Pods { cleanup: None, seen, by_name: BTreeMap::new() });
        if pods.by_name.len() >= MOST_PODS && !pods.by_name.contains_key(&name) {
            return BTreeSet::new();
        }
        let mut pod = ObservedPod::of(pod, &owner, pods.by_name.remove(&name));
        if let Some(other) = pods.by_name.values().next() {
            pod.state.share(&other.state);
        }
        pods.by_name.insert(name, pod);
        if is_new {
            self.resolve();
        }
        let cleanup = self.pods.get(&owner).and_then(|pods| pods.cleanup.clone());
        if cleanup.is_none() {
            self.bound_waiting();
        }
        cleanup.into_iter().collect()
    }

    fn remove(&mut self, kind: WatchedKind, object: &Meta) -> BTreeSet<ObjectRef> {
        let (key, about) = (ObjectRef::of(object), about(kind, object));
        self.objects.remove(kind, &key);
        match kind {
            WatchedKind::NodeCleanup => self.pods.retain(|_, pods| pods.cleanup.as_ref() != Some(&key)),
            WatchedKind::BroadcastJob | WatchedKind::DaemonSet => {
                let owner = Owner::itself(kind, object);
                self.pods.remove(&owner);
                self.complaints.remove(&owner);
            }
            WatchedKind::ConfigMap | WatchedKind::AdvancedCronJob | WatchedKind::Pod => {}
        }
        about
    }

    /// Keeps the result of a deleted pod of a run, or why it never started, because pods are deleted with their nodes.
    fn remove_pod(&mut self, pod: &PodView) -> BTreeSet<ObjectRef> {
        let name = pod.meta.name.as_str();
        let Some(owner) = Owner::of(&pod.meta, &POD_OWNERS) else { return BTreeSet::new() };
        let Some(pods) = self.pods.get_mut(&owner) else { return BTreeSet::new() };
        let stays = owner.is_run() && pods.cleanup.is_some();
        if let Some(mut known) = pods.by_name.remove(name) {
            if stays && known.state.word == NodeResult::Active {
                // A pod that is deleted with its run has often ended right before.
                known = ObservedPod::of(pod, &owner, Some(known));
            }
            if stays && known.leaves_something() {
                pods.by_name.insert(name.to_owned(), known);
            }
        }
        let cleanup = pods.cleanup.clone();
        if pods.by_name.is_empty() {
            self.pods.remove(&owner);
        }
        cleanup.into_iter().collect()
    }

    /// Ends a full list: removes the objects that were not reported again.
    fn completed(&mut self, kind: WatchedKind) -> BTreeSet<ObjectRef> {
        self.complete.insert(kind);
        let Some(fresh) = self.fresh.remove(&kind) else { return BTreeSet::new() };
        let mut about = BTreeSet::new();
        if kind == WatchedKind::Pod {
            for (owner, pods) in &mut self.pods {
                let stays = owner.is_run() && pods.cleanup.is_some();
                pods.by_name
                    .retain(|name, pod| fresh.contains(&owner.key.beside(name)) || stays && pod.leaves_something());
                about.extend(pods.cleanup.clone());
            }
            self.pods.retain(|_, pods| !pods.by_name.is_empty());
            return about;
        }
        for object in self.objects.others(kind, &fresh) {
            about.extend(self.remove(kind, &object));
        }
        about
    }
}

/// Returns the NodeCleanups that an object claims to belong to. The claim is not verified, which is enough to look at
/// them.
fn about(kind: WatchedKind, object: &Meta) -> BTreeSet<ObjectRef> {
    let owner = |kinds: &[WatchedKind]| Owner::of(object, kinds).map(|owner| owner.key);
    match kind {
        WatchedKind::NodeCleanup | WatchedKind::AdvancedCronJob => BTreeSet::from([ObjectRef::of(object)]),
        // An AdvancedCronJob has the name of its NodeCleanup.
        WatchedKind::BroadcastJob => {
            owner(&[WatchedKind::NodeCleanup, WatchedKind::AdvancedCronJob]).into_iter().collect()
        }
        WatchedKind::ConfigMap | WatchedKind::DaemonSet | WatchedKind::Pod => {
            owner(&[WatchedKind::NodeCleanup]).into_iter().collect()
        }
    }
}

/// Kinds of owners whose pods report the results of runs.
const POD_OWNERS: [WatchedKind; 2] = [WatchedKind::BroadcastJob, WatchedKind::DaemonSet];

/// Returns whether two states of one object have the same spec and metadata, except for the version.
fn has_same_metadata(known: &Meta, now: &Meta) -> bool {
    *known == Meta { resource_version: known.resource_version.clone(), ..now.clone() }
}

fn uid(object: &Meta) -> &str {
    object.uid.as_deref().unwrap_or_default()
}

/// Returns whether a pod has ended, and its container was never started.
fn never_started(pod: &PodView) -> bool {
    pod.is_over() && pod.terminated().is_some_and(|ended| ended.started_at.is_none())
}

fn state_of(pod: &PodView) -> NodeState {
    let (node, status) = (pod.node(), &pod.status);
    let active = NodeState { node: node.to_owned(), times: None, word: NodeResult::Active };
    if !pod.is_over() {
        return active;
    }
    let ended = pod.terminated();
    let message = ended.and_then(|ended| ended.message.as_deref());
    let reason = ended.and_then(|ended| ended.reason.as_deref());
    let silent = |word: String| NodeState { word: NodeResult::Silent(word), ..active };
    match (message, status.reason.as_deref(), reason) {
        (Some(message), _, _) => NodeState::ended(node, message),
        (None, Some(reason), _) => {
            let message = status.message.as_deref().unwrap_or_default();
            silent(format!("the pod was ended: {}: {}", shown(reason), shown(message)))
        }
        (None, None, Some(reason)) => silent(format!("the pod ended without a report: {}", shown(reason))),
        (None, None, None) => NodeState::ended(node, ""),
    }
}
