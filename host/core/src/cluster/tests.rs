mod deciding;
mod rendering;

use serde_json::{Value, json};

use crate::manifest::{self, NodeCleanup};

/// A NodeCleanup as the API server hands it out, with these fields in its spec.
#[expect(clippy::needless_pass_by_value, reason = "tests write it in place")]
fn object(spec: Value) -> Value {
    let mut object = json!({
        "apiVersion": "holystone.dev/v1alpha1",
        "kind": "NodeCleanup",
        "metadata": { "name": "stale", "namespace": "ops", "uid": "u-1", "generation": 3, "resourceVersion": "7" },
        "spec": { "plugins": [{ "name": "p", "source": { "builtin": "unused-images" } }] },
    });
    for (name, value) in spec.as_object().cloned().unwrap_or_default() {
        object["spec"][name] = value;
    }
    object
}

fn manifest(spec: Value) -> NodeCleanup {
    manifest::from_value(&object(spec)).unwrap()
}
