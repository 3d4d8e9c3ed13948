//! An API server in memory, as far as the operator needs one: lists in pages, watches, server-side apply as far as one
//! writer shows, deletion, events and leases. It keeps the conversation, and can be told to fail.

#![allow(clippy::missing_panics_doc, clippy::similar_names, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

#[derive(Default)]
struct State {
    /// By plural, namespace and name.
    objects: BTreeMap<(String, String, String), Value>,
    version: u64,
    watches: Vec<(String, Option<String>, mpsc::UnboundedSender<Bytes>)>,
    conversation: Vec<String>,
    has_kruise: bool,
    /// Plurals whose writes fail, and with which status.
    failing: BTreeMap<String, u16>,
    /// Plurals of which whatever is written is changed.
    meddlers: BTreeMap<String, fn(&mut Value)>,
}

/// A body that may go on for ever.
pub type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// The server.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Mutex<State>>);

const KRUISE: [(&str, &str); 2] = [("advancedcronjobs", "AdvancedCronJob"), ("broadcastjobs", "BroadcastJob")];

impl FakeApi {
    /// A server without objects.
    pub fn new(has_kruise: bool) -> Self {
        let api = Self::default();
        api.lock().has_kruise = has_kruise;
        api
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Answers over HTTP until it is dropped.
    pub async fn serve(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let api = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| async { Ok::<_, Infallible>(api.answer(request).await) });
                // A client that goes away in the middle is no news.
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
            });
        }
    }

    /// Installs or removes OpenKruise.
    pub fn set_kruise(&self, is_there: bool) {
        self.lock().has_kruise = is_there;
    }

    /// Lets writes of a kind fail, or not any more.
    pub fn fail(&self, plural: &str, status: Option<u16>) {
        let mut state = self.lock();
        match status {
            Some(status) => drop(state.failing.insert(plural.to_owned(), status)),
            None => drop(state.failing.remove(plural)),
        }
    }

    /// Changes whatever is written of a kind, as a webhook does.
    pub fn meddle(&self, plural: &str, change: fn(&mut Value)) {
        self.lock().meddlers.insert(plural.to_owned(), change);
    }

    /// What was asked for so far but for reading, as `METHOD plural/name`; starts anew.
    pub fn take_writes(&self) -> Vec<String> {
        let all = std::mem::take(&mut self.lock().conversation);
        all.into_iter().filter(|line| !line.starts_with("GET")).collect()
    }

    /// How many requests there were, and how many of them asked for a change; starts counting anew.
    pub fn take_counts(&self) -> (usize, usize) {
        let all = std::mem::take(&mut self.lock().conversation);
        (all.len(), all.iter().filter(|line| !line.starts_with("GET")).count())
    }

    /// How many requests there were since that was last taken, of those that begin so: `GET events`.
    pub fn requests(&self, beginning: &str) -> usize {
        self.lock().conversation.iter().filter(|line| line.starts_with(beginning)).count()
    }

    /// An object; in whichever namespace it is.
    pub fn get(&self, plural: &str, name: &str) -> Option<Value> {
        let state = self.lock();
        let found = state.objects.iter().find(|((kind, _, named), _)| kind == plural && named == name);
        found.map(|(_, object)| object.clone())
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, plural: &str) -> Vec<Value> {
        let state = self.lock();
        let found = state.objects.iter().filter(|((kind, ..), _)| kind == plural);
        found.map(|(_, object)| object.clone()).collect()
    }

    /// Creates or replaces an object, as somebody else would.
    pub fn put(&self, plural: &str, object: Value) {
        self.lock().put(plural, object);
    }

    /// Changes an object, as somebody else would.
    pub fn edit(&self, plural: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(plural, name).unwrap();
        change(&mut object);
        self.put(plural, object);
    }

    /// Deletes an object, as somebody else would; one that is not there stays so.
    pub fn delete(&self, plural: &str, name: &str) {
        let mut state = self.lock();
        let key = state.objects.keys().find(|(kind, _, named)| kind == plural && named == name).cloned();
        if let Some(key) = key {
            state.delete(&key);
        }
    }

    /// The answer to one request.
    #[expect(clippy::too_many_lines, reason = "a table")]
    pub async fn answer<B: Body<Error: std::fmt::Debug>>(&self, request: Request<B>) -> Response<Answer> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let mut state = self.lock();
        let Some(path) = Path::parse(head.uri.path()) else {
            return state.discovery();
        };
        let name = path.name.clone().unwrap_or_default();
        state.conversation.push(format!("{} {}{}/{name}", head.method, path.plural, path.sub));
        if KRUISE.iter().any(|(plural, _)| *plural == path.plural) && !state.has_kruise {
            return failure(404, "NotFound");
        }
        if head.method != Method::GET
            && let Some(status) = state.failing.get(&format!("{}{}", path.plural, path.sub))
        {
            return failure(*status, "told to fail");
        }
        let key = (path.plural.clone(), path.namespace.clone().unwrap_or_default(), name);
        match (head.method.clone(), &path.name) {
            (Method::GET, None) if query.contains("watch=true") => state.watch(path),
            (Method::GET, None) => state.list(&path, &query),
            (Method::GET, Some(_)) => state.objects.get(&key).map_or_else(|| failure(404, "NotFound"), answer),
            (Method::POST, _) => {
                let mut object: Value = serde_json::from_slice(&body).unwrap();
                object["metadata"]["namespace"] = key.1.clone().into();
                let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                if !name.is_empty() && state.objects.contains_key(&(key.0, key.1, name)) {
                    return failure(409, "AlreadyExists");
                }
                if let Some(meddle) = state.meddlers.get(&path.plural) {
                    meddle(&mut object);
                }
                answer(&state.put(&path.plural, object))
            }
            (Method::PUT, _) => {
                let mut object: Value = serde_json::from_slice(&body).unwrap();
                let Some(live) = state.objects.get(&key) else { return failure(404, "NotFound") };
                if live["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
                    return failure(409, "Conflict");
                }
                if !live["status"].is_null() {
                    object["status"] = live["status"].clone();
                }
                answer(&state.put(&path.plural, object))
            }
            (Method::PATCH, _) => {
                let patch: Value = serde_json::from_slice(&body).unwrap();
                let live = state.objects.get(&key);
                if live.is_some_and(|live| live["immutable"] == true) {
                    return failure(422, "Invalid");
                }
                let version = &patch["metadata"]["resourceVersion"];
                if !version.is_null() && live.is_none_or(|live| live["metadata"]["resourceVersion"] != *version) {
                    return failure(409, "Conflict");
                }
                let uid = &patch["metadata"]["uid"];
                if !uid.is_null() && live.is_none_or(|live| live["metadata"]["uid"] != *uid) {
                    return failure(409, "Conflict");
                }
                let Some(mut object) = patched(live, &path, &query, patch) else {
                    return failure(404, "NotFound");
                };
                if let Some(meddle) = state.meddlers.get(&path.plural) {
                    meddle(&mut object);
                }
                answer(&state.put(&path.plural, object))
            }
            (Method::DELETE, _) => {
                let options: Value = serde_json::from_slice(&body).unwrap_or_default();
                let uid = &options["preconditions"]["uid"];
                let Some(live) = state.objects.get(&key) else { return failure(404, "NotFound") };
                if !uid.is_null() && live["metadata"]["uid"] != *uid {
                    return failure(409, "Conflict");
                }
                state.delete(&key);
                answer(&json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
            }
            _ => failure(405, "MethodNotAllowed"),
        }
    }
}

impl State {
    fn put(&mut self, plural: &str, mut object: Value) -> Value {
        self.version += 1;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&object["metadata"]["name"]);
        let name = if name.is_empty() { format!("generated-{}", self.version) } else { name };
        object["metadata"]["name"] = name.clone().into();
        let key = (plural.to_owned(), text(&object["metadata"]["namespace"]), name);
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
            object["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z".into();
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        drop_empties(&mut object, plural != "nodecleanups");
        if plural == "broadcastjobs" && object["spec"]["paused"] == false {
            // Not a pointer in OpenKruise's type, unlike that of an AdvancedCronJob.
            object["spec"].as_object_mut().unwrap().remove("paused");
        }
        let kind = if self.objects.insert(key, object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        self.tell(plural, kind, &object);
        object
    }

    fn delete(&mut self, key: &(String, String, String)) {
        if let Some(object) = self.objects.remove(key) {
            self.version += 1;
            self.tell(&key.0, "DELETED", &object);
        }
    }

    fn tell(&mut self, plural: &str, kind: &str, object: &Value) {
        let line = Bytes::from(json!({ "type": kind, "object": object }).to_string() + "\n");
        let namespace = object["metadata"]["namespace"].as_str();
        self.watches.retain(|(watched, within, sender)| {
            let is_about = watched == plural && within.as_deref().is_none_or(|within| namespace == Some(within));
            !is_about || sender.send(line.clone()).is_ok()
        });
    }

    fn watch(&mut self, path: Path) -> Response<Answer> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watches.push((path.plural, path.namespace, sender));
        let lines = stream::unfold(receiver, |mut receiver| async move {
            let line: Bytes = receiver.recv().await?;
            Some((Ok::<_, Infallible>(Frame::data(line)), receiver))
        });
        Response::new(StreamBody::new(lines).boxed_unsync())
    }

    /// A page: `limit` objects from the place on that the token names.
    fn list(&self, path: &Path, query: &str) -> Response<Answer> {
        let parameter = |name: &str| {
            query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse::<usize>().ok())
        };
        let limit = parameter("limit").unwrap_or(usize::MAX);
        let start = parameter("continue").unwrap_or_default();
        let within = |namespace: &str| path.namespace.as_deref().is_none_or(|wanted| wanted == namespace);
        let fields = fields(query);
        let is_selected = |object: &Value| {
            fields.iter().all(|(path, wanted)| object.pointer(path).is_some_and(|found| found == wanted.as_str()))
        };
        let mut objects = self.objects.iter().filter(|((plural, namespace, _), object)| {
            *plural == path.plural && within(namespace) && is_selected(object)
        });
        // Of its own kinds, Kubernetes does not repeat for each item which it is.
        let is_builtin = ["configmaps", "daemonsets", "pods"].contains(&path.plural.as_str());
        let item = |object: &Value| {
            let mut item = object.clone();
            if let Some(fields) = item.as_object_mut().filter(|_| is_builtin) {
                fields.retain(|name, _| name != "apiVersion" && name != "kind");
            }
            item
        };
        let items: Vec<Value> = objects.by_ref().skip(start).take(limit).map(|(_, object)| item(object)).collect();
        let mut metadata = json!({ "resourceVersion": self.version.to_string() });
        if objects.next().is_some() {
            metadata["continue"] = (start + limit).to_string().into();
        }
        answer(&json!({ "apiVersion": "v1", "kind": "List", "metadata": metadata, "items": items }))
    }

    fn discovery(&self) -> Response<Answer> {
        if !self.has_kruise {
            return failure(404, "NotFound");
        }
        let resource = |(plural, kind): (&str, &str)| json!({ "name": plural, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list"] });
        answer(&json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps.kruise.io/v1alpha1",
            "resources": KRUISE.map(resource),
        }))
    }
}

/// What a list is limited to, as JSON pointers and texts: `fieldSelector=type%3DWarning%2Cregarding.uid%3Dx`.
fn fields(query: &str) -> Vec<(String, String)> {
    let selector = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=")).unwrap_or_default();
    let selector = selector.replace("%2C", ",").replace("%3D", "=");
    let field = |pair: &str| {
        let (path, wanted) = pair.split_once('=')?;
        Some((format!("/{}", path.replace('.', "/")), wanted.to_owned()))
    };
    selector.split(',').filter_map(field).collect()
}

/// What a patch makes of an object: of its status, of all that an applier writes, or a merge patch of what it names.
fn patched(live: Option<&Value>, path: &Path, query: &str, patch: Value) -> Option<Value> {
    let Some(mut live) = live.cloned() else { return (path.sub != "/status").then_some(patch) };
    if path.sub == "/status" {
        live["status"] = patch["status"].clone();
    } else if query.contains("force=true") {
        live["spec"] = patch["spec"].clone();
        live["data"] = patch["data"].clone();
        for name in ["labels", "annotations", "ownerReferences"] {
            live["metadata"][name] = patch["metadata"][name].clone();
        }
    } else {
        merge(&mut live, patch);
    }
    Some(live)
}

/// A JSON merge patch (RFC 7386).
fn merge(live: &mut Value, patch: Value) {
    let Value::Object(fields) = patch else {
        *live = patch;
        return;
    };
    if !live.is_object() {
        *live = json!({});
    }
    for (name, field) in fields {
        if field.is_null() {
            live.as_object_mut().unwrap().remove(&name);
        } else {
            merge(&mut live[name], field);
        }
    }
}

/// Fields that Go keeps in a map, which it leaves out when it is empty; other objects are structs, of which it writes `{}`.
const MAPS: [&str; 7] = ["annotations", "data", "labels", "limits", "matchLabels", "nodeSelector", "requests"];

/// Drops what an API server does not store: fields that are null, and of Go types, which OpenKruise's webhooks make of its
/// kinds as well, lists, maps and strings that are empty.
fn drop_empties(value: &mut Value, is_of_go: bool) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| drop_empties(field, is_of_go));
            fields.retain(|name, field| match field {
                Value::Null => false,
                Value::Array(items) => !is_of_go || !items.is_empty(),
                Value::String(text) => !is_of_go || !text.is_empty(),
                Value::Object(fields) => !is_of_go || !fields.is_empty() || !MAPS.contains(&name.as_str()),
                Value::Bool(_) | Value::Number(_) => true,
            });
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_empties(item, is_of_go)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn answer(value: &Value) -> Response<Answer> {
    Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync())
}

fn failure(status: u16, reason: &str) -> Response<Answer> {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": reason, "reason": reason, "code": status });
    let mut response = answer(&body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// `/api/v1/namespaces/NS/pods/NAME` or `/apis/GROUP/VERSION/…`.
struct Path {
    namespace: Option<String>,
    plural: String,
    name: Option<String>,
    sub: String,
}

impl Path {
    fn parse(path: &str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/');
        let skip = if parts.next()? == "api" { 1 } else { 2 };
        let parts: Vec<&str> = parts.skip(skip).collect();
        let (namespace, rest) = match parts.as_slice() {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let [plural, rest @ ..] = rest else { return None };
        let sub = rest.get(1).map_or_else(String::new, |sub| format!("/{sub}"));
        Some(Self { namespace, plural: (*plural).to_owned(), name: rest.first().map(|name| (*name).to_owned()), sub })
    }
}

/// A NodeCleanup.
pub fn node_cleanup(name: &str, spec: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "holystone.dev/v1alpha1", "kind": "NodeCleanup",
        "metadata": { "name": name, "namespace": "ops", "generation": 1 },
        "spec": { "schedule": "@daily", "mode": "Enforce", "plugins": [{
            "name": "p", "source": { "builtin": "unused-images" }, "capabilities": ["images", "containers"],
            "config": { "repositories": ["*"] },
        }] },
    });
    for (field, value) in spec.as_object().cloned().unwrap_or_default() {
        object["spec"][field] = value;
    }
    object
}

/// What an object says of its owner.
pub fn owner_references(owner: &Value) -> Value {
    json!([{
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"], "controller": true,
    }])
}

/// A run of an AdvancedCronJob, as OpenKruise makes it.
pub fn broadcast_job(cron_job: &Value, name: &str, phase: &str, desired: usize) -> Value {
    let ended = if phase == "running" { Value::Null } else { json!("2026-11-02T00:10:00Z") };
    json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "BroadcastJob",
        "metadata": { "name": name, "namespace": "ops", "uid": format!("uid-of-{name}"),
            "ownerReferences": owner_references(cron_job) },
        "spec": { "template": { "spec": { "containers": [] } } },
        "status": { "phase": phase, "desired": desired, "startTime": "2026-11-02T00:00:00Z", "completionTime": ended },
    })
}

/// A warning about an object, as Kubernetes and OpenKruise write it.
pub fn event(about: &Value, name: &str, reason: &str, note: &str) -> Value {
    let metadata = &about["metadata"];
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": name, "namespace": metadata["namespace"] },
        "type": "Warning", "reason": reason, "note": note, "deprecatedLastTimestamp": "2026-11-02T00:00:05Z",
        "regarding": { "kind": about["kind"], "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"] },
    })
}

/// A pod of a run or of daemons; without a message it is still running.
pub fn pod(owner: &Value, node: &str, created: &str, message: Option<&str>) -> Value {
    let status = match message {
        Some(message) => json!({
            "phase": "Succeeded",
            "containerStatuses": [{ "name": "holystone", "state": { "terminated": { "exitCode": 0, "message": message } } }],
        }),
        None => json!({ "phase": "Running" }),
    };
    let run = owner["metadata"]["name"].as_str().unwrap();
    let cleanup = &owner["metadata"]["ownerReferences"][0]["name"];
    let name = format!("{run}-{node}");
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": "ops", "uid": format!("uid-of-{name}"), "creationTimestamp": created,
            "labels": { "holystone.dev/node-cleanup": cleanup }, "ownerReferences": owner_references(owner) },
        "spec": { "nodeName": node, "containers": [{ "name": "holystone", "image": "x" }] },
        "status": status,
    });
    if owner["kind"] == "BroadcastJob" {
        pod["metadata"]["labels"]["broadcastjob-name"] = run.into();
    }
    pod
}
