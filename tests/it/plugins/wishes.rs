//! Plugins that wish for what must stay. Only what the guard rails allow goes, and the node is asked what went.

use serde_json::{Value, json};

use super::{Attack, harm};
use crate::simulated::{id, whole};
use crate::support::Ended;

/// A plugin with these wishes.
fn wishing(wishes: &[Value]) -> Attack {
    harm("wish").config(json!({ "do": "wish", "wishes": wishes })).with("-o json")
}

/// A wish to remove the image with this id.
fn image(id: &str) -> Value {
    json!({ "target": "image", "name": id })
}

/// Why the wishes were refused, in order.
fn codes(ended: &Ended) -> Vec<String> {
    let report = ended.json();
    let refusals = [&report["images"]["refusals"], &report["logs"]["refusals"]];
    let refusals = refusals.into_iter().filter_map(|list| list.as_array()).flatten();
    refusals.map(|refused| refused["refusal"]["code"].as_str().unwrap().to_owned()).collect()
}

/// An unused image that may go.
const OLD: &str = "docker.io/minchou/rollout:v1.0.3";

#[test]
fn ids_that_are_none_are_refused() {
    let known = id(OLD);
    let digits = known.strip_prefix("sha256:").unwrap();
    let ids =
        ["", " ", "sha256:", "*", OLD, digits, &known[..20], &known.to_uppercase(), &format!("{known} "), "../.."];
    let refused = wishing(&ids.map(image)).removes(&[]);
    assert_eq!(codes(&refused), ["NotFound"; 10]);
}

#[test]
fn images_in_use_are_refused() {
    // By a running container, by exited ones, and by one that names no id.
    let used =
        ["docker.io/library/nginx:1.27.4", "docker.io/minchou/rollout:v1.7.0", "docker.io/minchou/rollout:v1.9.3"];
    let unnamed = "docker.io/minchou/kruiserollout:build-37";
    let refused = wishing(&[used[0], used[1], used[2], unnamed].map(|tag| image(&id(tag)))).removes(&[]);
    assert_eq!(codes(&refused), ["InUse"; 4]);
}

#[test]
fn what_the_node_needs_for_itself_is_refused() {
    let mut snapshot = whole();
    // So that nothing is in use, and other rails have to hold.
    snapshot.containers.clear();
    snapshot.sandboxes.clear();
    let mut named = |tag: &str, name: &str, pinned| {
        let image = snapshot.images.iter_mut().find(|image| image.id.as_str() == id(tag)).unwrap();
        image.repo_tags = vec![name.to_owned()];
        image.pinned = pinned;
        self::image(image.id.as_str())
    };
    let wishes = [
        named("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9", false),
        named("docker.io/library/redis:7.4.2", "docker.io/library/redis:7.4.2", true),
        named("docker.io/library/postgres:17.4", "localhost/tool:1", false),
        named("docker.io/library/busybox:1.37.0", "ghcr.io/any/holystone:1", false),
        image(&id(OLD)),
    ];
    let refused = wishing(&wishes).with("--protect docker.io/minchou/rollout:v1.0.*").removes_on(snapshot, &[]);
    assert_eq!(codes(&refused), ["SandboxImage", "Pinned", "BuiltIn", "BuiltIn", "Protected"]);
}

#[test]
fn only_images_are_removed_and_only_by_removing_them() {
    let (known, snapshot) = (id(OLD), whole());
    let (container, sandbox) = (&snapshot.containers[0].id, &snapshot.sandboxes[0].id);
    let refused = wishing(&[
        json!({ "target": "container", "name": container }),
        json!({ "target": "sandbox", "name": sandbox }),
        json!({ "target": "volume", "name": known }),
        json!({ "target": "image", "name": known, "verb": "truncate" }),
        json!({ "target": "image", "name": known, "verb": "other" }),
        // Ids of the one in the place of the other.
        json!({ "target": "container", "name": known }),
        image(container),
        image(sandbox),
    ])
    .removes(&[]);
    let expected = ["NotOffered"; 6].into_iter().chain(["NotFound"; 2]).collect::<Vec<_>>();
    assert_eq!(codes(&refused), expected);
}

#[test]
fn paths_lead_nowhere() {
    let paths = ["../../etc/passwd", "/etc/passwd", "a/../../b", "", ".", "a\0b", "a\nb", &"x".repeat(4096)];
    let wish = |target: &'static str| {
        paths.map(|path| json!({ "target": target, "root": "app", "name": path, "verb": "truncate" }))
    };
    let wishes = [wish("log-file"), wish("log-directory")].concat();
    let mut expected = ["BadPath"; 16];
    // Directories are not truncated, whichever they are.
    (expected[3], expected[11]) = ("RootItself", "NotOffered");
    assert_eq!(codes(&wishing(&wishes).removes(&[])), expected);
}

#[test]
fn a_wish_counts_once() {
    let wish = image(&id(OLD));
    let ended = wishing(&[wish.clone(), wish.clone(), wish]).removes(&[OLD]);
    assert_eq!(codes(&ended), ["Duplicate"; 2]);
}

#[test]
fn a_greedy_plugin_gets_only_what_the_rails_allow() {
    let stays = |tag: &&str| !tag.starts_with("docker.io/minchou/rollout:v1.0.");
    let (tags, protected): (Vec<String>, Vec<String>) = whole()
        .images
        .iter()
        .filter_map(|image| image.repo_tags.first().cloned())
        .partition(|tag| !stays(&tag.as_str()));
    // The one image without a tag is protected by its id.
    let untagged = whole().images.iter().find(|image| image.repo_tags.is_empty()).unwrap().id.to_string();
    let flags = protected.into_iter().chain([untagged]).map(|kept| format!("--protect {kept}"));
    let flags = flags.collect::<Vec<_>>().join(" ");
    let ended =
        harm("greedy").with(&flags).with("-o json").removes(&tags.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(ended.json()["plugins"][0]["wishes"], 125);
}

#[test]
fn a_plugin_that_wants_nearly_everything_gets_nothing() {
    let refused = harm("greedy").with("--max-percent 60 -o json").removes(&[]);
    assert_eq!(codes(&refused), ["OverPercent"; 125]);
}
