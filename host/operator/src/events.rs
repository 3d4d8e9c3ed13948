//! Events about one object: reports of Kubernetes and OpenKruise on pods that are not created, or do not start.

use holystone_core::cluster::EventView;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, Error};

use crate::watch::value;

/// Maximum number of events that are requested: more events about one object add nothing new.
const MOST: u32 = 100;

/// Lists the warnings about the object with this uid.
pub(crate) async fn about(client: &Client, namespace: &str, uid: &str) -> Result<Vec<EventView>, Error> {
    let kind = GroupVersionKind::gvk("events.k8s.io", "v1", "Event");
    let resource = ApiResource::from_gvk_with_plural(&kind, "events");
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let parameters = ListParams::default().fields(&format!("type=Warning,regarding.uid={uid}")).limit(MOST);
    Ok(api.list(&parameters).await?.items.iter().map(|event| EventView::of(&value(event))).collect())
}
