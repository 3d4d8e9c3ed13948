//! Recorded nodes and the plans they must come to. A folder in `tests/golden` with `arguments.json` is a test: it has
//! `snapshot.json` (or the name of one in `examples/snapshots`, in `snapshot.txt`), and the plan that both come to,
//! `plan.json`.
//!
//! `HOLYSTONE_BLESS=1 cargo test -p holystone --test it golden` writes the plans anew; read the diff.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{cache, end, holystone};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn recorded_nodes_come_to_the_same_plans() {
    let bless = std::env::var_os("HOLYSTONE_BLESS").is_some();
    let mut cases: Vec<PathBuf> =
        fs::read_dir(root().join("tests/golden")).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.join("arguments.json").exists());
    cases.sort();
    assert!(cases.len() >= 3, "the golden cases are gone");
    for case in cases {
        let plan = plan(&case);
        assert_eq!(plan, self::plan(&case), "{}: the same twice, byte for byte", case.display());
        let file = case.join("plan.json");
        let plan = without_digest(&plan);
        if bless {
            fs::write(&file, &plan).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap_or_default();
        assert!(plan == expected, "{} comes to another plan:\n{plan}", case.display());
    }
}

fn plan(case: &Path) -> String {
    let snapshot = match fs::read_to_string(case.join("snapshot.txt")) {
        Ok(name) => root().join("examples/snapshots").join(name.trim()),
        Err(_) => case.join("snapshot.json"),
    };
    let arguments: Vec<String> = serde_json::from_slice(&fs::read(case.join("arguments.json")).unwrap()).unwrap();
    let mut command = holystone();
    command.args(["plan", "-o", "json", "--snapshot"]).arg(snapshot).arg("--cache-dir").arg(cache()).args(arguments);
    end(&mut command).expect(0).stdout
}

/// A plugin's digest changes with the compiler; what it decides must not.
fn without_digest(plan: &str) -> String {
    let mut plan: Value = serde_json::from_str(plan).unwrap();
    for plugin in plan["plugins"].as_array_mut().unwrap() {
        let digest = plugin.as_object_mut().unwrap().remove("digest").unwrap();
        assert!(digest.as_str().unwrap().starts_with("sha256:"));
    }
    format!("{plan:#}\n")
}
