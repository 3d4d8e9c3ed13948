//! The watches: one for each kind, all of which send into one channel.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use futures_util::StreamExt as _;
use holystone_core::cluster::{KRUISE_API, MANAGED_BY, NAME_LABEL};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind};
use kube::core::DynamicResourceScope;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Error, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use crate::mirror::{ObjectChange, WatchedKind, WatchedObject};
use crate::reach::{Sentence, Trouble, interruption, is_away};

/// Number of objects on a page of a list: small enough that a list of five thousand pods is no burden.
const PAGE: u32 = 100;
/// Interval between checks for OpenKruise.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// News of the cluster.
pub(crate) enum WatchEvent {
    /// Change of an object of this kind.
    ObjectChange(WatchedKind, ObjectChange),
    /// Presence of OpenKruise: set when it is installed.
    Kruise(bool),
}

/// Returns the API resource of a kind.
pub(crate) fn resource(kind: WatchedKind) -> ApiResource {
    let (api_version, plural) = match kind {
        WatchedKind::NodeCleanup => ("holystone.dev/v1alpha1", "nodecleanups"),
        WatchedKind::ConfigMap => ("v1", "configmaps"),
        WatchedKind::AdvancedCronJob => (KRUISE_API, "advancedcronjobs"),
        WatchedKind::BroadcastJob => (KRUISE_API, "broadcastjobs"),
        WatchedKind::DaemonSet => ("apps/v1", "daemonsets"),
        WatchedKind::Pod => ("v1", "pods"),
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind.kind()), plural)
}

/// Returns access to the objects of a kind, in one namespace or in all.
pub(crate) fn api<K>(client: &Client, kind: WatchedKind, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource(kind)),
        None => Api::all_with(client.clone(), &resource(kind)),
    }
}

/// Watches a kind until the receiver of the news is gone.
pub(crate) async fn watch(client: Client, kind: WatchedKind, namespace: Option<String>, news: Sender<WatchEvent>) {
    let config = watcher::Config::default().page_size(PAGE);
    let config = match kind {
        WatchedKind::ConfigMap => config.labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1)),
        WatchedKind::Pod => config.labels(NAME_LABEL),
        // An object of the same name that belongs to another owner has to be seen.
        WatchedKind::NodeCleanup
        | WatchedKind::AdvancedCronJob
        | WatchedKind::BroadcastJob
        | WatchedKind::DaemonSet => config,
    };
    match kind {
        WatchedKind::Pod => follow::<SeenPod>(&client, kind, namespace.as_deref(), config, news).await,
        _ => follow::<DynamicObject>(&client, kind, namespace.as_deref(), config, news).await,
    }
}

async fn follow<K>(
    client: &Client,
    kind: WatchedKind,
    namespace: Option<&str>,
    config: watcher::Config,
    news: Sender<WatchEvent>,
) where
    K: Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + 'static,
{
    let mut events = watcher(api::<K>(client, kind, namespace), config).default_backoff().boxed();
    let resource = resource(kind);
    // For its own kinds, Kubernetes leaves out both fields in the items of a list, but not in a change.
    let typed = |object: &K| {
        let mut object = value(object);
        object["apiVersion"] = resource.api_version.as_str().into();
        object["kind"] = resource.kind.as_str().into();
        WatchedObject::of(kind, object)
    };
    let mut trouble = Trouble::default();
    while let Some(event) = events.next().await {
        if event.as_ref().is_ok_and(is_progress) && trouble.is_over() {
            tracing::warn!("{}s can be watched again", kind.kind());
        }
        let change = match event {
            Ok(Event::Init) => ObjectChange::Begin,
            Ok(Event::InitApply(object) | Event::Apply(object)) => ObjectChange::Is(typed(&object)),
            Ok(Event::Delete(object)) => ObjectChange::Gone(typed(&object)),
            Ok(Event::InitDone) => ObjectChange::Complete,
            Err(error) => {
                if let Some(why) = interruption(&error).filter(|why| trouble.is_news(why)) {
                    tracing::warn!("{}s cannot be watched: {why}", kind.kind());
                }
                continue;
            }
        };
        if news.send(WatchEvent::ObjectChange(kind, change)).await.is_err() {
            return;
        }
    }
}

/// Returns whether an event comes from the API server: a list begins before it is requested.
fn is_progress<K>(event: &Event<K>) -> bool {
    !matches!(event, Event::Init)
}

/// Checks repeatedly whether OpenKruise is installed.
pub(crate) async fn watch_kruise(client: Client, news: Sender<WatchEvent>) {
    let mut trouble = Trouble::default();
    loop {
        match has_kruise(&client).await {
            Ok(is_there) => {
                trouble.is_over();
                if news.send(WatchEvent::Kruise(is_there)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let why = Sentence(&error).to_string();
                if !is_away(&error) && trouble.is_news(&why) {
                    tracing::warn!("the API server does not say whether OpenKruise is installed: {why}");
                }
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn has_kruise(client: &Client) -> Result<bool, Error> {
    match client.list_api_group_resources(KRUISE_API).await {
        Ok(list) => {
            let has = |kind: WatchedKind| list.resources.iter().any(|resource| resource.kind == kind.kind());
            Ok(has(WatchedKind::AdvancedCronJob) && has(WatchedKind::BroadcastJob))
        }
        Err(Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(error),
    }
}

/// Converts an object to a plain value. Objects of a watch can always be serialized.
pub(crate) fn value(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// The fields of a pod that are read. The others, which are most of it, never take memory: thousands of pods change
/// within seconds.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct SeenPod {
    #[serde(deserialize_with = "seen_metadata")]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: SeenSpec,
    #[serde(default)]
    status: SeenStatus,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenSpec {
    node_name: Option<String>,
    /// Affinity, which names the node that a pod was created for before it is scheduled.
    affinity: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct SeenStatus {
    phase: Option<String>,
    reason: Option<String>,
    message: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(default)]
    conditions: Vec<Value>,
    #[serde(default)]
    container_statuses: Vec<Value>,
}

fn seen_metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Seen {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        creation_timestamp: Option<Time>,
        labels: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<OwnerReference>>,
    }
    let Seen { name, namespace, uid, resource_version, creation_timestamp, labels, owner_references } =
        Seen::deserialize(deserializer)?;
    let nothing = ObjectMeta::default();
    Ok(ObjectMeta { name, namespace, uid, resource_version, creation_timestamp, labels, owner_references, ..nothing })
}

impl Resource for SeenPod {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::kind(resource)
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::group(resource)
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::version(resource)
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        DynamicObject::plural(resource)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
