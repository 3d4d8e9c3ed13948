//! Watched objects: their kinds, and the ones that are kept.

use std::collections::{BTreeMap, BTreeSet};

use holystone_core::cluster::{
    AdvancedCronJob, BroadcastJob, CleanupObject, ConfigMap, DaemonSet, Meta, Object, PodView, reduce_template,
    remove_managed_fields,
};
use serde_json::Value;

/// A namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectRef {
    /// Returns the key of an object.
    pub fn of(object: &Meta) -> Self {
        Self { namespace: object.namespace.clone(), name: object.name.clone() }
    }

    pub(super) fn beside(&self, name: &str) -> Self {
        Self { namespace: self.namespace.clone(), name: name.to_owned() }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A kind of watched objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WatchedKind {
    /// The NodeCleanups.
    NodeCleanup,
    /// The manifests, as pods read them.
    ConfigMap,
    /// The schedules of OpenKruise.
    AdvancedCronJob,
    /// The runs of OpenKruise.
    BroadcastJob,
    /// The workloads of Kubernetes with a pod on every node.
    DaemonSet,
    /// The pods on the nodes.
    Pod,
}

impl WatchedKind {
    /// The complete list of kinds.
    pub const ALL: [Self; 6] =
        [Self::NodeCleanup, Self::ConfigMap, Self::AdvancedCronJob, Self::BroadcastJob, Self::DaemonSet, Self::Pod];

    /// Returns the name of the kind in the API.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::NodeCleanup => "NodeCleanup",
            Self::ConfigMap => "ConfigMap",
            Self::AdvancedCronJob => "AdvancedCronJob",
            Self::BroadcastJob => "BroadcastJob",
            Self::DaemonSet => "DaemonSet",
            Self::Pod => "Pod",
        }
    }

    /// Parses the name of a kind in the API.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.kind() == name)
    }

    /// Returns whether the kind belongs to OpenKruise.
    pub fn is_kruise(self) -> bool {
        matches!(self, Self::AdvancedCronJob | Self::BroadcastJob)
    }
}

/// An object that a watch reports, without the parts that are not read.
#[derive(Clone, Debug)]
pub enum WatchedObject {
    /// A NodeCleanup.
    NodeCleanup(Box<CleanupObject>),
    /// A manifest, as pods read it.
    ConfigMap(Box<ConfigMap>),
    /// A schedule of OpenKruise.
    AdvancedCronJob(Box<AdvancedCronJob>),
    /// A run of OpenKruise.
    BroadcastJob(Box<BroadcastJob>),
    /// A workload of Kubernetes with a pod on every node.
    DaemonSet(Box<DaemonSet>),
    /// A pod on a node.
    Pod(Box<PodView>),
}

impl WatchedObject {
    /// Reads an object of a kind.
    pub fn of(kind: WatchedKind, mut raw: Value) -> Self {
        remove_managed_fields(&mut raw);
        match kind {
            WatchedKind::NodeCleanup => Self::NodeCleanup(Box::new(raw.into())),
            WatchedKind::ConfigMap => Self::ConfigMap(Box::new(raw.into())),
            WatchedKind::AdvancedCronJob => Self::AdvancedCronJob(Box::new(raw.into())),
            WatchedKind::BroadcastJob => {
                reduce_template(&mut raw);
                Self::BroadcastJob(Box::new(raw.into()))
            }
            WatchedKind::DaemonSet => Self::DaemonSet(Box::new(raw.into())),
            WatchedKind::Pod => Self::Pod(Box::new(PodView::of(&raw))),
        }
    }

    /// Returns the metadata.
    pub fn meta(&self) -> &Meta {
        match self {
            Self::NodeCleanup(object) => &object.meta,
            Self::ConfigMap(object) => &object.meta,
            Self::AdvancedCronJob(object) => &object.meta,
            Self::BroadcastJob(object) => &object.meta,
            Self::DaemonSet(object) => &object.meta,
            Self::Pod(pod) => &pod.meta,
        }
    }
}

/// The objects that are kept as they are: all except pods.
#[derive(Debug, Default)]
pub(super) struct KeptObjects {
    pub(super) node_cleanups: BTreeMap<ObjectRef, CleanupObject>,
    pub(super) config_maps: BTreeMap<ObjectRef, ConfigMap>,
    pub(super) advanced_cron_jobs: BTreeMap<ObjectRef, AdvancedCronJob>,
    pub(super) broadcast_jobs: BTreeMap<ObjectRef, BroadcastJob>,
    pub(super) daemon_sets: BTreeMap<ObjectRef, DaemonSet>,
}

impl KeptObjects {
    /// Returns the metadata of an object, if it exists.
    pub(super) fn meta(&self, kind: WatchedKind, key: &ObjectRef) -> Option<&Meta> {
        match kind {
            WatchedKind::NodeCleanup => self.node_cleanups.get(key).map(|object| &object.meta),
            WatchedKind::ConfigMap => self.config_maps.get(key).map(|object| &object.meta),
            WatchedKind::AdvancedCronJob => self.advanced_cron_jobs.get(key).map(|object| &object.meta),
            WatchedKind::BroadcastJob => self.broadcast_jobs.get(key).map(|object| &object.meta),
            WatchedKind::DaemonSet => self.daemon_sets.get(key).map(|object| &object.meta),
            WatchedKind::Pod => None,
        }
    }

    /// Keeps an object. Returns whether it has changed.
    pub(super) fn put(&mut self, object: WatchedObject) -> bool {
        match object {
            WatchedObject::NodeCleanup(object) => put(&mut self.node_cleanups, *object),
            WatchedObject::ConfigMap(object) => put(&mut self.config_maps, *object),
            WatchedObject::AdvancedCronJob(object) => put(&mut self.advanced_cron_jobs, *object),
            WatchedObject::BroadcastJob(object) => put(&mut self.broadcast_jobs, *object),
            WatchedObject::DaemonSet(object) => put(&mut self.daemon_sets, *object),
            WatchedObject::Pod(_) => false,
        }
    }

    /// Removes an object.
    pub(super) fn remove(&mut self, kind: WatchedKind, key: &ObjectRef) {
        match kind {
            WatchedKind::NodeCleanup => drop(self.node_cleanups.remove(key)),
            WatchedKind::ConfigMap => drop(self.config_maps.remove(key)),
            WatchedKind::AdvancedCronJob => drop(self.advanced_cron_jobs.remove(key)),
            WatchedKind::BroadcastJob => drop(self.broadcast_jobs.remove(key)),
            WatchedKind::DaemonSet => drop(self.daemon_sets.remove(key)),
            WatchedKind::Pod => {}
        }
    }

    /// Returns the metadata of the objects of a kind that are not among these.
    pub(super) fn others(&self, kind: WatchedKind, fresh: &BTreeSet<ObjectRef>) -> Vec<Meta> {
        match kind {
            WatchedKind::NodeCleanup => others(&self.node_cleanups, fresh),
            WatchedKind::ConfigMap => others(&self.config_maps, fresh),
            WatchedKind::AdvancedCronJob => others(&self.advanced_cron_jobs, fresh),
            WatchedKind::BroadcastJob => others(&self.broadcast_jobs, fresh),
            WatchedKind::DaemonSet => others(&self.daemon_sets, fresh),
            WatchedKind::Pod => Vec::new(),
        }
    }
}

fn put<Spec, Status>(kept: &mut BTreeMap<ObjectRef, Object<Spec, Status>>, object: Object<Spec, Status>) -> bool {
    let key = ObjectRef::of(&object.meta);
    let is_new = kept.get(&key).is_none_or(|known| known.raw != object.raw);
    if is_new {
        kept.insert(key, object);
    }
    is_new
}

fn others<Spec, Status>(kept: &BTreeMap<ObjectRef, Object<Spec, Status>>, fresh: &BTreeSet<ObjectRef>) -> Vec<Meta> {
    kept.iter().filter(|(key, _)| !fresh.contains(key)).map(|(_, object)| object.meta.clone()).collect()
}

#[cfg(test)]
mod tests;
