mod allowed;
mod deciding;
mod rendering;

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Allowed, Site};
use crate::manifest::{self, NodeCleanup};

const IMAGE: &str = "docker.io/holystone/holystone:0.1.0";

fn site() -> Site<'static> {
    static ALLOWED: LazyLock<Allowed> = LazyLock::new(Allowed::default);
    Site { image: IMAGE, allowed: &ALLOWED }
}

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
