//! The actions on the cluster.

use std::collections::HashMap;

use holystone_core::cluster::{Action, CleanupObject, ClusterEvent, Meta, kind_of};
use holystone_core::manifest::status::NodeCleanupStatus;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Error};
use serde_json::{Value, json};

use crate::MANAGER;
use crate::mirror::{ObjectChange, ObjectRef, WatchedKind, WatchedObject};
use crate::reach::{Sentence, is_away};
use crate::watch::{api, value};

/// Maximum size that Kubernetes accepts for the note of an event, in bytes.
const NOTE: usize = 1024;
/// The most events whose last note is kept.
const RECORDERS: usize = 1_000;

/// The writer of objects, statuses and events.
pub(crate) struct Applier {
    client: Client,
    reporter: Reporter,
    /// The last note of each event by uid of its object and reason, with what has recorded it.
    recorders: HashMap<(String, &'static str), (String, Recorder)>,
}

impl Applier {
    pub(crate) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: MANAGER.to_owned(), instance: Some(identity.to_owned()) };
        Self { client, reporter, recorders: HashMap::new() }
    }

    /// Carries out an action. Returns the resulting object, if it is known.
    pub(crate) async fn act(&self, action: &Action) -> Result<Option<(WatchedKind, ObjectChange)>, Error> {
        let object = action.object();
        let Some(kind) = WatchedKind::parse(kind_of(object)) else {
            tracing::error!("an object of the kind {:?} is not known", kind_of(object));
            return Ok(None);
        };
        let meta = Meta::of(object);
        let key = ObjectRef::of(&meta);
        let api = api::<DynamicObject>(&self.client, kind, Some(&key.namespace));
        let changed = match action {
            Action::Create(object) => {
                let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                api.create(&parameters, &dynamic(object)?).await?
            }
            Action::Replace(object) => {
                let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                api.replace(&key.name, &parameters, &dynamic(object)?).await?
            }
            Action::Apply(object) => {
                api.patch(&key.name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(object)).await?
            }
            Action::Adjust { fields, .. } => api.patch(&key.name, &adjusting(), &Patch::Merge(fields)).await?,
            Action::Pause(_) => {
                let fields = json!({ "metadata": { "uid": meta.uid }, "spec": { "paused": true } });
                api.patch(&key.name, &adjusting(), &Patch::Merge(fields)).await?
            }
            Action::Delete(_) => {
                // The precondition limits the deletion to this object. Its dependents go first, so that none of them
                // runs beside its successor.
                let makes_something = kind != WatchedKind::ConfigMap;
                let policy =
                    if makes_something { PropagationPolicy::Foreground } else { PropagationPolicy::Background };
                let parameters = DeleteParams {
                    propagation_policy: Some(policy),
                    preconditions: Some(Preconditions { uid: meta.uid, resource_version: None }),
                    ..DeleteParams::default()
                };
                return match api.delete(&key.name, &parameters).await {
                    Ok(_) => Ok(None),
                    Err(Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(None),
                    Err(error) => Err(error),
                };
            }
        };
        Ok(Some((kind, ObjectChange::Is(WatchedObject::of(kind, value(&changed))))))
    }

    /// Writes a status. With a version, the write succeeds only if the NodeCleanup still has that version.
    pub(crate) async fn write_status(
        &self,
        key: &ObjectRef,
        status: &NodeCleanupStatus,
        version: Option<&str>,
    ) -> Result<ObjectChange, Error> {
        let api = api(&self.client, WatchedKind::NodeCleanup, Some(&key.namespace));
        let mut object = json!({
            "apiVersion": "holystone.dev/v1alpha1",
            "kind": "NodeCleanup",
            "metadata": { "name": key.name, "namespace": key.namespace },
            "status": status,
        });
        if let Some(version) = version {
            object["metadata"]["resourceVersion"] = version.into();
        }
        let parameters = PatchParams::apply(MANAGER).force();
        let written: DynamicObject = api.patch_status(&key.name, &parameters, &Patch::Apply(object)).await?;
        Ok(ObjectChange::Is(WatchedObject::of(WatchedKind::NodeCleanup, value(&written))))
    }

    /// Returns what records an event. A recorder counts events of one reason as repetitions of the first, whose note stays,
    /// so another note needs another recorder.
    fn recorder(&mut self, uid: &str, event: &ClusterEvent) -> Recorder {
        if self.recorders.len() > RECORDERS {
            self.recorders.clear();
        }
        let key = (uid.to_owned(), event.reason.as_str());
        match self.recorders.get(&key) {
            Some((note, recorder)) if *note == event.note => recorder.clone(),
            _ => {
                let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
                self.recorders.insert(key, (event.note.clone(), recorder.clone()));
                recorder
            }
        }
    }

    /// Publishes an event. A failure is logged, and stops nothing.
    pub(crate) async fn tell(&mut self, object: &CleanupObject, event: &ClusterEvent) {
        let meta = &object.meta;
        let recorder = self.recorder(meta.uid.as_deref().unwrap_or_default(), event);
        let reference = ObjectReference {
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            name: Some(meta.name.clone()),
            namespace: Some(meta.namespace.clone()),
            uid: meta.uid.clone(),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: if event.is_warning { EventType::Warning } else { EventType::Normal },
            reason: event.reason.to_string(),
            note: Some(cut(&event.note)),
            action: "Reconcile".to_owned(),
            secondary: event.run.as_ref().map(|(kind, name)| ObjectReference {
                kind: Some((*kind).to_owned()),
                name: Some(name.clone()),
                namespace: reference.namespace.clone(),
                ..ObjectReference::default()
            }),
        };
        if let Err(error) = recorder.publish(&event, &reference).await {
            let why = Sentence(&error);
            if is_away(&error) {
                tracing::debug!("an event could not be written: {why}");
            } else {
                tracing::warn!("an event could not be written: {why}");
            }
        }
    }
}

fn adjusting() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}

fn dynamic(object: &Value) -> Result<DynamicObject, Error> {
    serde_json::from_value(object.clone()).map_err(Error::SerdeError)
}

fn cut(note: &str) -> String {
    let mut end = note.len().min(NOTE);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    note[..end].to_owned()
}
