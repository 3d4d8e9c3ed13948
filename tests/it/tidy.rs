//! The rules of the house that no compiler holds. Each test names the invariant of ARCHITECTURE.md that it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use holystone_core::cluster::{ConditionReason, EventReason};

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file beneath a directory, by its path from the root.
pub(crate) fn sources(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The crates that a crate depends on outside of tests.
fn dependencies(package: &str) -> BTreeSet<String> {
    let manifest = read(&format!("{package}/Cargo.toml"));
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned();
    section.lines().map(name).filter(|name| !name.is_empty() && !name.starts_with('#')).collect()
}

#[test]
fn invariant_1_core_knows_no_edge() {
    let allowed = ["jiff", "schemars", "serde", "serde-saphyr", "serde_json", "sha2", "strsim", "thiserror"];
    assert_eq!(dependencies("host/core"), allowed.map(str::to_owned).into());
    for file in sources("host/core/src") {
        let text = read(&file);
        for foreign in
            ["std::fs", "std::net", "std::env", "std::process", "SystemTime", "Instant::now", "Timestamp::now"]
        {
            assert!(!text.contains(foreign), "{file} names {foreign}");
        }
    }
}

#[test]
fn edges_know_the_core_and_never_each_other() {
    for (edge, foreign) in [
        ("host/node", ["wasmtime", "wasmtime-wasi", "kube", "clap", "holystone-runtime"]),
        ("host/runtime", ["tonic", "k8s-cri", "kube", "clap", "holystone-node"]),
        ("host/operator", ["tonic", "k8s-cri", "wasmtime", "holystone-node", "holystone-runtime"]),
        ("host/agent", ["tonic", "wasmtime", "kube", "clap", "holystone-operator"]),
        ("host/cli", ["tonic", "k8s-cri", "wasmtime", "wasmtime-wasi", "kube"]),
    ] {
        let dependencies = dependencies(edge);
        for name in foreign {
            assert!(!dependencies.contains(name), "{edge} depends on {name}");
        }
    }
}

/// Writes out a tree of imports: `a::{b, c::D}` as `a::b` and `a::c::D`.
fn flat(prefix: &str, tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![format!("{prefix}{}", tree.trim())] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let (mut depth, mut items) = (0, vec![String::new()]);
    for character in inner.chars() {
        match character {
            ',' if depth == 0 => items.push(String::new()),
            _ => {
                depth += i32::from(character == '{') - i32::from(character == '}');
                items.last_mut().unwrap().push(character);
            }
        }
    }
    items.iter().flat_map(|item| flat(&format!("{prefix}{}", head.trim()), item)).collect()
}

/// For each module of a crate, by its path, the modules of the crate that it names outside of tests.
fn imports(directory: &str) -> BTreeMap<String, BTreeSet<String>> {
    let files = sources(directory).into_iter().filter(|file| !file.contains("tests"));
    let module = |file: &str| file[directory.len() + 1..].trim_end_matches(".rs").replace('/', "::");
    let texts: BTreeMap<String, String> = files.map(|file| (module(&file), read(&file))).collect();
    let of = |(module, text): (&String, &String)| {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let trees = code.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
        let named =
            code.match_indices("crate::").map(|(at, _)| code[at..].split([';', '(', '{', ' ', ',']).next().unwrap());
        let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
        let absolute = |path: String| match path.split_once("::") {
            Some(("crate", rest)) => Some(rest.to_owned()),
            Some(("super", rest)) => Some(format!("{parent}::{rest}").trim_start_matches("::").to_owned()),
            Some(("self", rest)) => Some(format!("{module}::{rest}")),
            _ => None,
        };
        // What is named in a module, or the module itself.
        let owner = |path: String| {
            let ends = path.match_indices("::").map(|(at, _)| at).chain([path.len()]);
            let known: Vec<&str> = ends.map(|end| &path[..end]).filter(|path| texts.contains_key(*path)).collect();
            known.last().map(|&path| path.to_owned()).filter(|owner| owner != module)
        };
        let paths = trees.flat_map(|tree| flat("", tree)).chain(named.map(str::to_owned));
        (module.clone(), paths.filter_map(absolute).filter_map(owner).collect())
    };
    texts.iter().map(of).collect()
}

#[test]
fn no_two_files_import_each_other() {
    for directory in ["host/agent/src", "host/cli/src"] {
        let imports = imports(directory);
        for start in imports.keys() {
            let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
            while let Some(module) = open.pop() {
                for next in &imports[module] {
                    assert_ne!(next, start, "{directory}: {start} imports itself by way of {module}");
                    if seen.insert(next) {
                        open.push(next);
                    }
                }
            }
        }
        assert!(imports.values().any(|imported| imported.len() > 3), "{imports:?}");
    }
}

#[test]
fn unsafe_stands_in_one_file() {
    let allowed = [
        "host/runtime/src/code.rs",
        "plugins/log-retention/src/component.rs",
        "plugins/orphan-pod-logs/src/component.rs",
        "plugins/unused-images/src/component.rs",
    ];
    let names =
        |file: &String| read(file).contains("allow(unsafe_code") || read(file).contains("allow(\n    unsafe_code");
    let found: Vec<String> = ["host", "plugins"].into_iter().flat_map(sources).filter(names).collect();
    assert_eq!(found, allowed);
    assert_eq!(read(allowed[0]).matches("unsafe {").count(), 1);
    assert_eq!(read("Cargo.toml").matches("unsafe_code = \"forbid\"").count(), 1);
}

#[test]
fn invariant_3_foreign_types_are_converted_in_one_file() {
    // The runtime's client and the simulated runtime speak the protocol; only convert.rs turns it into values.
    let speakers = ["host/node/src/cri", "host/node/src/simulated"];
    for file in sources("host") {
        let text = read(&file);
        let speaks = speakers.iter().any(|speaker| file.starts_with(speaker));
        let names_types = text.contains("k8s_cri::") || text.contains("containerd_client::");
        assert!(speaks || !names_types, "{file} names a type of the runtime's protocol");
        let generated = text.contains("bindgen!") || text.contains("generated::");
        let converts = file == "host/runtime/src/v0_1.rs" || file.starts_with("host/runtime/src/v0_1/tests");
        assert!(converts || !generated, "{file} names a generated WIT type");
    }
}

#[test]
fn every_file_says_what_it_is() {
    for file in ["host", "plugins", "tests"].into_iter().flat_map(sources) {
        let text = read(&file);
        let tests = file.ends_with("/tests.rs");
        assert!(tests || text.starts_with("//! "), "{file} has no head");
        assert!(!file.ends_with("/mod.rs"), "{file}: a module is foo.rs, with its parts in foo/");
    }
}

#[test]
fn every_plugin_comes_with_its_documents() {
    for plugin in fs::read_dir(root().join("plugins")).unwrap() {
        let plugin = plugin.unwrap().path();
        if plugin.join("Cargo.toml").exists() {
            assert!(plugin.join("README.md").exists(), "{}: no README.md", plugin.display());
            let schema = fs::read(plugin.join("schema.json")).unwrap_or_default();
            assert!(
                serde_json::from_slice::<serde_json::Value>(&schema).is_ok(),
                "{}: no schema.json",
                plugin.display()
            );
        }
    }
}

#[test]
fn the_documents_know_every_rail() {
    let readme = read("README.md");
    for pattern in holystone_core::guard::BUILT_IN {
        assert!(readme.contains(&format!("`{pattern}`")), "README.md does not tell of {pattern}");
    }
    let pages = read("GUARD_RAILS.md");
    for rail in [1, 2, 3, 4, 5, 6, 8] {
        assert!(readme.contains(&format!("| {rail} |")), "README.md has no row for rail {rail}");
        assert!(pages.contains(&format!("\n## Rail {rail}: ")), "GUARD_RAILS.md has no section on rail {rail}");
    }
    let refusals = ["guard/refusal.rs", "guard/images/objection.rs", "guard/logs/objection.rs", "guard/settled.rs"];
    let mut codes = Vec::new();
    for file in refusals.into_iter().chain(["logs/in_use.rs"]) {
        let text = read(&format!("host/core/src/{file}"));
        let found = words_of(&text, "fn code(");
        assert!(found.len() > 2, "{file}: {found:?}");
        codes.extend(found);
    }
    assert!(codes.len() > 50, "{codes:?}");
    for code in codes {
        assert!(pages.contains(&format!("`{code}`")), "GUARD_RAILS.md does not tell of {code}");
    }
    let reasons = words_of(&read("host/runtime/src/error.rs"), "fn as_str(");
    assert!(reasons.len() > 10, "{reasons:?}");
    for reason in reasons {
        assert!(readme.contains(&reason), "README.md does not tell of {reason}");
    }
}

/// The texts that a function of a file returns.
fn words_of(text: &str, function: &str) -> Vec<String> {
    let body = text.split(function).last().unwrap().split("\n    }\n").next().unwrap();
    body.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_decision_is_listed_and_has_its_title() {
    let page = read("ARCHITECTURE.md");
    let directory = root().join("docs/decisions");
    let mut files: Vec<String> =
        fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    for file in &files {
        let text = read(&format!("docs/decisions/{file}"));
        let title = text.lines().next().unwrap().trim_start_matches("# ");
        assert!(page.contains(&format!("- [{title}](docs/decisions/{file})")), "ARCHITECTURE.md does not list {file}");
    }
    assert_eq!(page.matches("](docs/decisions/").count(), files.len(), "ARCHITECTURE.md lists what is not there");
}

#[test]
fn versions_are_those_of_the_lock_file_and_of_the_interface() {
    let lock = read("Cargo.lock");
    let wasmtime = lock.split("\nname = \"wasmtime\"\nversion = \"").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(holystone_runtime::ENGINE, format!("wasmtime {}", wasmtime.unwrap()));
    assert!(read("wit/holystone-node.wit").contains(&format!("package {};", holystone_runtime::WIT)));
}

#[test]
fn the_page_of_the_operator_knows_every_reason() {
    let page = read("deploy/README.md");
    let conditions = ConditionReason::ALL.iter().map(|reason| reason.as_str());
    let events = EventReason::ALL.iter().map(|reason| reason.as_str());
    let section = |from: &str, to: &str| page.split(from).nth(1).and_then(|rest| rest.split(to).next()).unwrap();
    let table = section("| Condition | Reason |", "What came of the last run");
    let list = section("Events report the same.", "Each run has events of its own.");
    for (words, text) in [(conditions.collect::<Vec<_>>(), table), (events.collect(), list)] {
        let missing: Vec<&str> = words.into_iter().filter(|word| !text.contains(&format!("`{word}`"))).collect();
        assert!(missing.is_empty(), "deploy/README.md does not explain {missing:?}");
    }
}

#[test]
fn the_plugin_in_the_readme_is_the_one_in_examples() {
    let readme = read("README.md");
    for file in ["examples/plugin-rust/Cargo.toml", "examples/plugin-rust/src/lib.rs"] {
        assert!(readme.contains(read(file).trim_end()), "README.md shows another {file}");
    }
}

#[test]
fn the_first_commands_are_the_ones_that_ci_runs() {
    let (readme, ci) = (read("README.md"), read(".ci/run"));
    for command in ["cargo run -- demo", "cargo test --workspace"] {
        assert!(readme.contains(command), "README.md lacks {command}");
        assert!(ci.contains(command), ".ci/run lacks {command}");
    }
}
