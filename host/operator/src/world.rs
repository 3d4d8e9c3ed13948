//! What is known of the cluster, kept current by watches.
//!
//! Memory is bounded: of objects, what nobody here reads is dropped; of pods, only what their run came to on one node is
//! kept, for the latest two runs of each NodeCleanup.

use std::collections::{BTreeMap, BTreeSet};

use holystone_core::cluster::{
    BROADCAST_JOB_LABEL, NAME_LABEL, NodeState, NodeWord, Observed, manifest_of, object_name,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How many runs of a NodeCleanup are known node by node: the last one, and the one that takes its place.
const RUNS: usize = 2;

/// A namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// That of an object.
    pub fn of(object: &Value) -> Self {
        let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
        Self { namespace: part("namespace"), name: part("name") }
    }

    fn beside(&self, name: &str) -> Self {
        Self { namespace: self.namespace.clone(), name: name.to_owned() }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What is wanted.
    NodeCleanup,
    /// The manifests as pods read them.
    ConfigMap,
    /// OpenKruise's schedules.
    AdvancedCronJob,
    /// OpenKruise's runs.
    BroadcastJob,
    /// Kubernetes' own way to be on every node.
    DaemonSet,
    /// The pods on the nodes.
    Pod,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NodeCleanup, Self::ConfigMap, Self::AdvancedCronJob, Self::BroadcastJob, Self::DaemonSet, Self::Pod];

    /// Whether it is OpenKruise's.
    pub fn is_kruise(self) -> bool {
        matches!(self, Self::AdvancedCronJob | Self::BroadcastJob)
    }
}

/// What a watch tells.
#[derive(Clone, Debug)]
pub enum Change {
    /// All objects follow, each as an `Is`.
    Begin,
    /// There is this object, like this.
    Is(Value),
    /// This object is gone.
    Gone(Value),
    /// All objects have been told.
    Complete,
}

/// A pod of a DaemonSet, which can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Daemon {
    /// Name of its node.
    pub node: String,
    /// Its address; absent as long as it has none.
    pub address: Option<String>,
}

#[derive(Debug, Default)]
struct Run {
    /// When the first of its pods was made.
    began: Option<Timestamp>,
    pods: BTreeMap<String, NodeState>,
}

/// What is known.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<Kind, BTreeMap<Key, Value>>,
    /// By NodeCleanup and name of the run.
    runs: BTreeMap<Key, BTreeMap<String, Run>>,
    /// By NodeCleanup and pod, with what the daemon said when it was last asked.
    daemons: BTreeMap<Key, BTreeMap<String, (Daemon, NodeState)>>,
    /// What has been told since a watch began anew.
    fresh: BTreeMap<Kind, BTreeSet<Key>>,
    complete: BTreeSet<Kind>,
    has_kruise: Option<bool>,
}

impl World {
    /// Takes in a change, and says which NodeCleanups it is about.
    pub fn take(&mut self, kind: Kind, change: Change) -> BTreeSet<Key> {
        match change {
            Change::Begin => {
                self.fresh.insert(kind, BTreeSet::new());
                BTreeSet::new()
            }
            Change::Is(object) => {
                if let Some(fresh) = self.fresh.get_mut(&kind) {
                    fresh.insert(Key::of(&object));
                }
                self.put(kind, object)
            }
            Change::Gone(object) => self.remove(kind, &object),
            Change::Complete => self.completed(kind),
        }
    }

    /// Takes in whether OpenKruise is installed; whether that is news.
    pub fn kruise(&mut self, is_there: bool) -> bool {
        self.has_kruise.replace(is_there) != Some(is_there)
    }

    /// Whether enough is known to act: everything that there is has been told once.
    pub fn is_complete(&self) -> bool {
        let Some(has_kruise) = self.has_kruise else { return false };
        Kind::ALL.iter().all(|kind| self.complete.contains(kind) || kind.is_kruise() && !has_kruise)
    }

    /// A NodeCleanup, if it is there.
    pub fn node_cleanup(&self, key: &Key) -> Option<&Value> {
        self.get(Kind::NodeCleanup, key)
    }

    /// All NodeCleanups.
    pub fn node_cleanups(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.objects.get(&Kind::NodeCleanup).into_iter().flatten()
    }

    /// The daemons of each NodeCleanup that has some, by pod.
    pub fn daemons(&self) -> BTreeMap<Key, BTreeMap<String, Daemon>> {
        let of_one = |daemons: &BTreeMap<String, (Daemon, NodeState)>| {
            daemons.iter().map(|(pod, (daemon, _))| (pod.clone(), daemon.clone())).collect()
        };
        self.daemons.iter().map(|(key, daemons)| (key.clone(), of_one(daemons))).collect()
    }

    /// Takes in what daemons said; of those that did not answer, that.
    pub fn hear(&mut self, key: &Key, told: BTreeMap<String, NodeState>) {
        let Some(daemons) = self.daemons.get_mut(key) else { return };
        for (pod, said) in told {
            if let Some((_, state)) = daemons.get_mut(&pod) {
                *state = said;
            }
        }
    }

    /// Lets the core look at a NodeCleanup, if it is still there. `acts` is how often in a row something had to be done.
    pub fn observe<T>(
        &self,
        key: &Key,
        image: &str,
        acts: u32,
        now: Timestamp,
        look: impl FnOnce(&Observed<'_>) -> T,
    ) -> Option<T> {
        let object = self.get(Kind::NodeCleanup, key)?;
        let object_name = object_name(&key.name);
        let daemon_set = self.get(Kind::DaemonSet, &key.beside(&object_name));
        let mut runs: BTreeMap<&str, Vec<&NodeState>> = BTreeMap::new();
        for (name, run) in self.runs.get(key).into_iter().flatten() {
            runs.insert(name, run.pods.values().collect());
        }
        if daemon_set.is_some() {
            let states = self.daemons.get(key).into_iter().flatten().map(|(_, (_, state))| state);
            runs.insert(&object_name, states.collect());
        }
        let observed = Observed {
            object,
            image,
            has_kruise: self.has_kruise == Some(true),
            config_maps: self.config_maps_of(key).collect(),
            advanced_cron_job: self.get(Kind::AdvancedCronJob, key),
            daemon_set,
            broadcast_jobs: self.jobs_of(key).collect(),
            runs,
            problems: &[],
            operator: "",
            acts,
            now,
        };
        Some(look(&observed))
    }

    fn get(&self, kind: Kind, key: &Key) -> Option<&Value> {
        self.objects.get(&kind)?.get(key)
    }

    fn config_maps_of(&self, key: &Key) -> impl Iterator<Item = &Value> {
        let maps = self.objects.get(&Kind::ConfigMap).into_iter().flatten();
        maps.filter(|(_, map)| about(Kind::ConfigMap, map).contains(key)).map(|(_, map)| map)
    }

    fn jobs_of(&self, key: &Key) -> impl Iterator<Item = &Value> {
        let jobs = self.objects.get(&Kind::BroadcastJob).into_iter().flatten();
        jobs.filter(|(_, job)| cleanups_of_job(job).contains(key)).map(|(_, job)| job)
    }

    fn put(&mut self, kind: Kind, mut object: Value) -> BTreeSet<Key> {
        if kind == Kind::Pod {
            return self.put_pod(&object);
        }
        slim(kind, &mut object);
        let (key, about) = (Key::of(&object), about(kind, &object));
        let known = self.objects.entry(kind).or_default();
        // What the operator has written itself comes back by the watch.
        if known.get(&key) == Some(&object) {
            return BTreeSet::new();
        }
        known.insert(key, object);
        about
    }

    fn put_pod(&mut self, pod: &Value) -> BTreeSet<Key> {
        let Some((key, run)) = run_of(pod) else { return BTreeSet::new() };
        let name = Key::of(pod).name;
        if let Some(run) = run {
            let runs = self.runs.entry(key.clone()).or_default();
            let began = pod["metadata"]["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
            let run = runs.entry(run).or_default();
            run.began = run.began.into_iter().chain(began).min();
            let mut state = state_of(pod);
            if let Some(other) = run.pods.values().next() {
                state.share(other);
            }
            run.pods.insert(name, state);
            if runs.len() > RUNS
                && let Some(oldest) = runs.iter().min_by_key(|(_, run)| run.began).map(|(name, _)| name.clone())
            {
                runs.remove(&oldest);
            }
        } else {
            let address = pod["status"]["podIP"].as_str().map(str::to_owned);
            let node = pod["spec"]["nodeName"].as_str().unwrap_or_default().to_owned();
            let state = NodeState { node: node.clone(), times: None, word: NodeWord::Active };
            let daemon = self.daemons.entry(key.clone()).or_default().entry(name);
            daemon.or_insert_with(|| (Daemon::default(), state)).0 = Daemon { node, address };
        }
        BTreeSet::from([key])
    }

    fn remove(&mut self, kind: Kind, object: &Value) -> BTreeSet<Key> {
        let key = Key::of(object);
        if kind == Kind::Pod {
            return self.remove_pod(object, &key.name);
        }
        if kind == Kind::NodeCleanup {
            self.runs.remove(&key);
        }
        if kind == Kind::BroadcastJob {
            for cleanup in cleanups_of_job(object) {
                self.runs.get_mut(&cleanup).and_then(|runs| runs.remove(&key.name));
            }
        }
        self.objects.entry(kind).or_default().remove(&key);
        about(kind, object)
    }

    /// What a pod ended with stays, though it is deleted: pods vanish with their nodes.
    fn remove_pod(&mut self, pod: &Value, name: &str) -> BTreeSet<Key> {
        let Some((key, run)) = run_of(pod) else { return BTreeSet::new() };
        match run {
            Some(run) => {
                if let Some(run) = self.runs.get_mut(&key).and_then(|runs| runs.get_mut(&run))
                    && let Some(state) = run.pods.get_mut(name)
                    && state.word == NodeWord::Active
                {
                    // A pod that goes with its run has often ended right before.
                    *state = state_of(pod);
                    if state.word == NodeWord::Active {
                        run.pods.remove(name);
                    }
                }
            }
            None => {
                if let Some(daemons) = self.daemons.get_mut(&key) {
                    daemons.remove(name);
                    if daemons.is_empty() {
                        self.daemons.remove(&key);
                    }
                }
            }
        }
        BTreeSet::from([key])
    }

    /// What was not told again is gone.
    fn completed(&mut self, kind: Kind) -> BTreeSet<Key> {
        self.complete.insert(kind);
        let Some(fresh) = self.fresh.remove(&kind) else { return BTreeSet::new() };
        let mut about = BTreeSet::new();
        if kind == Kind::Pod {
            for (key, runs) in &mut self.runs {
                let is_there = |pod: &str| fresh.contains(&key.beside(pod));
                for run in runs.values_mut() {
                    run.pods.retain(|pod, state| is_there(pod) || state.word != NodeWord::Active);
                }
                about.insert(key.clone());
            }
            for (key, daemons) in &mut self.daemons {
                daemons.retain(|pod, _| fresh.contains(&key.beside(pod)));
                about.insert(key.clone());
            }
            self.daemons.retain(|_, daemons| !daemons.is_empty());
            return about;
        }
        let known = self.objects.entry(kind).or_default();
        let gone: Vec<Value> =
            known.iter().filter(|(key, _)| !fresh.contains(key)).map(|(_, object)| object.clone()).collect();
        for object in gone {
            about.extend(self.remove(kind, &object));
        }
        about
    }
}

/// The NodeCleanups that an object is about.
fn about(kind: Kind, object: &Value) -> BTreeSet<Key> {
    let key = Key::of(object);
    match kind {
        Kind::NodeCleanup | Kind::AdvancedCronJob => BTreeSet::from([key]),
        Kind::BroadcastJob => cleanups_of_job(object),
        Kind::ConfigMap | Kind::DaemonSet | Kind::Pod => {
            owner(object, "NodeCleanup").map(|name| key.beside(name)).into_iter().collect()
        }
    }
}

/// A BroadcastJob belongs to the NodeCleanup, or to its AdvancedCronJob, which has the same name.
fn cleanups_of_job(job: &Value) -> BTreeSet<Key> {
    let name = owner(job, "NodeCleanup").or_else(|| owner(job, "AdvancedCronJob"));
    name.map(|name| Key::of(job).beside(name)).into_iter().collect()
}

fn owner<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let owners = object["metadata"]["ownerReferences"].as_array()?;
    owners.iter().find(|owner| owner["kind"] == kind)?["name"].as_str()
}

/// The NodeCleanup of a pod, and the run that it is for; a daemon is for all of them.
fn run_of(pod: &Value) -> Option<(Key, Option<String>)> {
    let label = |name: &str| pod["metadata"]["labels"][name].as_str();
    let key = Key::of(pod).beside(label(NAME_LABEL)?);
    let job = label(BROADCAST_JOB_LABEL).or_else(|| owner(pod, "BroadcastJob")).map(str::to_owned);
    if job.is_none() && owner(pod, "DaemonSet").is_none() {
        return None;
    }
    Some((key, job))
}

fn state_of(pod: &Value) -> NodeState {
    // A pod that has not been bound yet is for the node that its affinity names.
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    let status = &pod["status"];
    let active = NodeState { node: node.to_owned(), times: None, word: NodeWord::Active };
    if !matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
        return active;
    }
    let container = &status["containerStatuses"][0]["state"]["terminated"];
    match (container["message"].as_str(), status["reason"].as_str(), container["reason"].as_str()) {
        (Some(message), _, _) => NodeState::ended(node, message),
        (None, Some(reason), _) => {
            let message = status["message"].as_str().unwrap_or_default();
            NodeState { word: NodeWord::Silent(format!("the pod was ended: {reason}: {message}")), ..active }
        }
        (None, None, Some(reason)) => {
            NodeState { word: NodeWord::Silent(format!("the pod ended without a report: {reason}")), ..active }
        }
        (None, None, None) => NodeState::ended(node, ""),
    }
}

/// Takes away what nobody here reads.
fn slim(kind: Kind, object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    // Of the pods of a run, which manifest they read.
    if kind == Kind::BroadcastJob && object["spec"]["template"].is_object() {
        let volumes = object["spec"]["template"]["spec"]["volumes"].as_array().cloned().unwrap_or_default();
        let manifest =
            volumes.into_iter().filter(|volume| manifest_of(&json!({ "spec": { "volumes": [volume] } })).is_some());
        object["spec"]["template"] = json!({ "spec": { "volumes": manifest.collect::<Vec<_>>() } });
    }
}
