//! NodeCleanups and the reports of their nodes, read and changed with a user's own rights.

use std::pin::pin;
use std::sync::Arc;

use futures_util::AsyncReadExt as _;
use holystone_core::cluster::{CleanupObject, NAME_LABEL, NodeState};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::Value;

use crate::MANAGER;
use crate::daemons::{self, Ask, MOST_ANSWER, Whereabouts};
use crate::mirror::{Mirror, ObjectChange, ObjectRef, WatchedKind, WatchedObject};
use crate::reach::Sentence;
use crate::watch::{api, value};

/// Number of objects on a page of a list.
const PAGE: u32 = 500;

/// The refusal or failure of a request. The sentence names the object and, if a right is missing, the right.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {why}")]
pub struct AccessError {
    what: String,
    why: String,
}

impl AccessError {
    fn new(what: impl Into<String>, error: &Error) -> Self {
        let why = match error {
            // Kubernetes answers this way if the whole kind is unknown.
            Error::Api(status) if status.code == 404 && status.reason != "NotFound" => {
                "this cluster knows no NodeCleanups: install the definition first, see deploy/README.md".to_owned()
            }
            error => Sentence(error).to_string(),
        };
        Self { what: what.into(), why }
    }
}

/// The reports of one run, by node.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeReports {
    /// Name of the BroadcastJob or DaemonSet.
    pub run: String,
    /// State of each node of which a pod is left, sorted by node.
    pub nodes: Vec<NodeState>,
}

/// A namespace of a cluster, with the rights of a user.
pub struct Access {
    client: Client,
    namespace: String,
}

impl Access {
    /// Creates access by a connection, to the given namespace or else to the one of the kubeconfig's context.
    pub fn new(client: Client, namespace: Option<&str>) -> Self {
        let namespace = namespace.unwrap_or_else(|| client.default_namespace()).to_owned();
        Self { client, namespace }
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Lists NodeCleanups of the namespace, or of all namespaces.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn list(&self, all_namespaces: bool) -> Result<Vec<CleanupObject>, AccessError> {
        let namespace = (!all_namespaces).then_some(self.namespace.as_str());
        let listed = self.objects(WatchedKind::NodeCleanup, namespace, &ListParams::default()).await;
        let listed = listed.map_err(|error| AccessError::new("NodeCleanups", &error))?;
        Ok(listed.into_iter().map(Into::into).collect())
    }

    /// Gets a NodeCleanup.
    ///
    /// # Errors
    /// When there is none, or the API server refuses or does not answer.
    pub async fn get(&self, name: &str) -> Result<CleanupObject, AccessError> {
        let got = api::<DynamicObject>(&self.client, WatchedKind::NodeCleanup, Some(&self.namespace)).get(name).await;
        got.map(|object| value(&object).into()).map_err(|error| AccessError::new(self.full(name), &error))
    }

    /// Changes fields of a NodeCleanup by a merge patch.
    ///
    /// # Errors
    /// When there is none, or the API server refuses or does not answer.
    pub async fn change(&self, name: &str, fields: &Value) -> Result<(), AccessError> {
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let cleanups = api::<DynamicObject>(&self.client, WatchedKind::NodeCleanup, Some(&self.namespace));
        let changed = cleanups.patch(name, &parameters, &Patch::Merge(fields)).await;
        changed.map(drop).map_err(|error| AccessError::new(self.full(name), &error))
    }

    /// Reads the reports of each node on the last run in the status of a NodeCleanup: from pods that still exist, and
    /// from daemons through the API server. Returns `None` if there was no run.
    ///
    /// # Errors
    /// When the API server refuses or does not answer.
    pub async fn reports(&self, cleanup: &CleanupObject) -> Result<Option<NodeReports>, AccessError> {
        let key = ObjectRef::of(&cleanup.meta);
        let Some(run) = cleanup.status.foreign.last_run.name.as_deref() else { return Ok(None) };
        let world = self.world(&key, cleanup).await?;
        let runs = world.runs(&key);
        let mut nodes: Vec<NodeState> = runs.get(run).into_iter().flatten().map(|state| (*state).clone()).collect();
        nodes.sort_by(|one, other| one.node.cmp(&other.node));
        Ok(Some(NodeReports { run: run.to_owned(), nodes }))
    }

    /// Collects the objects that belong to a NodeCleanup. Pods count by the uids of their owners, as for the operator.
    async fn world(&self, key: &ObjectRef, cleanup: &CleanupObject) -> Result<Mirror, AccessError> {
        let mut world = Mirror::default();
        drop(
            world.take(
                WatchedKind::NodeCleanup,
                ObjectChange::Is(WatchedObject::NodeCleanup(Box::new(cleanup.clone()))),
            ),
        );
        let labelled = ListParams::default().labels(&format!("{NAME_LABEL}={}", key.name));
        for (kind, what, parameters) in [
            (WatchedKind::AdvancedCronJob, "AdvancedCronJobs", ListParams::default()),
            (WatchedKind::BroadcastJob, "BroadcastJobs", ListParams::default()),
            (WatchedKind::DaemonSet, "DaemonSets", labelled.clone()),
            (WatchedKind::Pod, "pods", labelled),
        ] {
            match self.objects(kind, Some(&key.namespace), &parameters).await {
                Ok(objects) => {
                    for object in objects {
                        drop(world.take(kind, ObjectChange::Is(WatchedObject::of(kind, object))));
                    }
                }
                Err(Error::Api(status)) if kind.is_kruise() && status.code == 404 => {}
                Err(error) => return Err(AccessError::new(format!("{what} in {}", key.namespace), &error)),
            }
        }
        if let Some(daemons) = world.daemons().remove(key) {
            let states = daemons::ask(key, daemons, &self.ask()).await;
            world.hear(key, &states);
        }
        Ok(world)
    }

    async fn objects(
        &self,
        kind: WatchedKind,
        namespace: Option<&str>,
        parameters: &ListParams,
    ) -> Result<Vec<Value>, Error> {
        let api = api::<DynamicObject>(&self.client, kind, namespace);
        let mut parameters = parameters.clone().limit(PAGE);
        let mut objects = Vec::new();
        loop {
            let page = api.list(&parameters).await?;
            objects.extend(page.items.iter().map(value));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// Builds the function that asks daemons through the API server: a user's machine has no route to the network of
    /// pods.
    fn ask(&self) -> Ask {
        let (client, namespace) = (self.client.clone(), self.namespace.clone());
        Arc::new(move |Whereabouts { pod, address }: Whereabouts| {
            let (client, namespace) = (client.clone(), namespace.clone());
            Box::pin(async move {
                let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{}/proxy/status?runs=1", address.port());
                let request = hyper::Request::get(path).body(Vec::new()).map_err(|error| error.to_string())?;
                let answer = client.request_stream(request).await.map_err(|error| error.to_string())?;
                // One byte more reveals an answer that is too long.
                let mut bytes = Vec::new();
                let mut bounded = pin!(answer.take(MOST_ANSWER as u64 + 1));
                bounded.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
                Ok(bytes)
            })
        })
    }

    fn full(&self, name: &str) -> String {
        format!("NodeCleanup {}/{name}", self.namespace)
    }
}
