//! One table of inputs for all that judge them: the reader, and the definition that the API server uses. The real API
//! server is asked by `tests/it/kubernetes.rs`.

use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::format::Format;
use super::super::{Problem, crd, from_value};
use crate::cluster::{Allowed, problems};
use crate::schedule::Schedule;
use crate::text::is_harmful;

#[derive(Deserialize)]
struct Inputs {
    bad: Vec<Bad>,
    good: Vec<Value>,
}

#[derive(Deserialize)]
struct Bad {
    spec: Map<String, Value>,
    at: String,
    says: String,
    /// Absent: the same sentence. Null: none.
    #[serde(default = "same")]
    api: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "the type of the field")]
fn same() -> Option<String> {
    Some(String::new())
}

impl Bad {
    /// The sentence of the API server, if it has one.
    fn of_the_api_server(&self) -> Option<&str> {
        self.api.as_deref().map(|api| if api.is_empty() { self.says.as_str() } else { api })
    }
}

fn inputs() -> Inputs {
    serde_saphyr::from_str(include_str!("inputs.yaml")).unwrap()
}

fn object(given: &Map<String, Value>) -> Value {
    let mut spec = json!({ "plugins": [{ "name": "images", "source": { "builtin": "unused-images" } }] });
    for (field, value) in given {
        spec[field] = value.clone();
    }
    json!({ "apiVersion": "holystone.dev/v1alpha1", "kind": "NodeCleanup", "metadata": { "name": "x" }, "spec": spec })
}

/// What is wrong with an object on a cluster.
fn wrong(object: &Value) -> Vec<Problem> {
    match from_value(object) {
        Ok(manifest) => problems(&manifest, &Allowed::default()),
        Err(problems) => problems,
    }
}

#[test]
fn the_reader_finds_each_bad_input_and_nothing_else() {
    let inputs = inputs();
    assert!(inputs.bad.len() >= 100 && inputs.good.len() >= 40, "{}, {}", inputs.bad.len(), inputs.good.len());
    for bad in &inputs.bad {
        let found = wrong(&object(&bad.spec));
        let said: Vec<(&str, &str)> =
            found.iter().map(|problem| (problem.path.as_str(), problem.message.as_str())).collect();
        assert_eq!(said, [(bad.at.as_str(), bad.says.as_str())], "{:?}", bad.spec);
    }
    for good in &inputs.good {
        assert_eq!(wrong(&object(good.as_object().unwrap())), [], "{good}");
    }
}

/// What the definition says about a field and what is around it: sentences of rules, with the field that each is about.
fn sentences(definition: &Value, path: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut schema, mut place) = (definition, String::new());
    let steps: Vec<&str> = path.split('.').collect();
    for step in std::iter::once("").chain(steps) {
        let (name, index) = step.split_once('[').map_or((step, None), |(name, index)| (name, Some(index)));
        if !step.is_empty() {
            place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
            let field = &schema["properties"][name];
            schema = if field.is_null() { &schema["additionalProperties"] } else { field };
        }
        if let Some(index) = index {
            place = format!("{place}[{index}");
            schema = &schema["items"];
        }
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let field = rule["fieldPath"].as_str().unwrap_or_default();
            found.push((format!("{place}{field}"), rule["message"].as_str().unwrap().to_owned()));
        }
    }
    found
}

#[test]
fn the_definition_has_the_reader_s_sentence_where_the_reader_has_it() {
    let crd = crd();
    let definition = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let mut kept = 0;
    for bad in &inputs().bad {
        let Some(api) = bad.of_the_api_server() else { continue };
        kept += 1;
        // What is not a rule of ours has the API server's own words.
        if api.starts_with("should ") {
            continue;
        }
        let said = sentences(definition, &bad.at);
        assert!(said.contains(&(bad.at.clone(), api.to_owned())), "{} {api}: {said:#?}", bad.at);
    }
    assert!(kept >= 90, "{kept} of {} are left to the API server", inputs().bad.len());
}

#[test]
fn every_text_list_and_map_of_the_definition_that_has_a_rule_is_bounded() {
    fn walk(schema: &Value, path: &str) {
        let has_rule = |schema: &Value| schema["x-kubernetes-validations"].is_array();
        match schema["type"].as_str() {
            Some("string") if has_rule(schema) => assert!(schema["maxLength"].is_u64(), "{path}"),
            Some("array") if has_rule(&schema["items"]) => assert!(schema["maxItems"].is_u64(), "{path}"),
            Some("object") if schema["properties"].is_null() && has_rule(schema) => {
                assert!(schema["maxProperties"].is_u64(), "{path}");
            }
            _ => {}
        }
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            walk(field, &format!("{path}.{name}"));
        }
        for part in ["items", "additionalProperties"] {
            if schema[part].is_object() {
                walk(&schema[part], &format!("{path}[]"));
            }
        }
    }
    let crd = crd();
    walk(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], "");
}

/// Formats, with whether their patterns are as strict as the reader.
const FORMATS: [(&str, bool); 22] = [
    ("cron", false),
    ("time-zone", false),
    ("image-pattern", false),
    ("image-reference", false),
    ("duration", false),
    ("bytes", false),
    ("percent", true),
    ("parallelism", false),
    ("filesystem", false),
    ("name", true),
    ("object-name", true),
    ("config-map-key", true),
    ("label-key", true),
    ("taint-key", true),
    ("label-value", true),
    ("digest", true),
    ("cpu", true),
    ("selinux-word", true),
    ("selinux-level", true),
    ("endpoint", true),
    ("host-path", true),
    ("relative-path", true),
];

/// Texts that are something, and what is near them.
const TEXTS: [&str; 105] = [
    "",
    " ",
    "a",
    "A",
    "0",
    "-",
    ".",
    "..",
    "...",
    ".a",
    "..a",
    "a.",
    "a-",
    "-a",
    "a.b",
    "a..b",
    "a_b",
    "a b",
    "a\n",
    "\na",
    "a/b",
    "/a",
    "a/",
    "//a",
    "/a/",
    "/a//",
    "/a/b",
    "/./a",
    "/../a",
    "/a/..",
    "/a/...",
    "/a\0b",
    "a/../b",
    "a/..b",
    "A.b/c",
    "a.b/C_d.e",
    "a/b/c",
    "ä",
    "/ä",
    "auto",
    "none",
    "Auto",
    "unix:",
    "unix:/",
    "unix:/a",
    "unix://a",
    "unix:///a",
    "unix:////a",
    "unix:///a/",
    "images",
    "image",
    "logs:",
    "logs:a",
    "logs",
    "0s",
    "s",
    "1",
    "1s",
    "1s1m",
    "1m1s",
    "1m1ms",
    "1w1d1h1m1s1ms",
    "1.5s",
    "1ms1s",
    "00s",
    "+1s",
    "-1s",
    "1Ki",
    "1k",
    "1K",
    "1B",
    "B",
    "1.5Gi",
    "1.Gi",
    ".5Gi",
    "1.5.5Gi",
    "1 Gi",
    "Gi",
    "0%",
    "%",
    "1%",
    "099%",
    "100%",
    "101%",
    "1000%",
    "0%%",
    "00",
    "100",
    "101",
    "4294967295",
    "4294967296",
    "*",
    "docker.io/a:b",
    "a:b@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "sha256:00",
    "spc_t",
    "1_t",
    "s0",
    "s0:c1,c2",
    "s",
    "1m",
    "0.5",
    "0.5001",
    "1234567890",
];

#[test]
fn patterns_match_what_the_reader_takes() {
    let long = ["a".repeat(63), "a".repeat(64), format!("{}/a", "a".repeat(63)), "9".repeat(30), "1.".repeat(40)];
    let texts: Vec<&str> = TEXTS.into_iter().chain(long.iter().map(String::as_str)).collect();
    for (name, is_exact) in FORMATS {
        let format = Format::named(name).unwrap();
        let pattern = Regex::new(&format.pattern()).unwrap();
        let mut taken = 0;
        for text in &texts {
            let (is_taken, is_matched) = (format.judge(text).is_ok(), pattern.is_match(text));
            assert!(is_matched || !is_taken, "{name} {text:?}: {pattern}");
            assert!(!is_exact || is_taken == is_matched, "{name} {text:?}: {pattern}");
            taken += usize::from(is_taken);
        }
        assert!(taken > 0 || ["cron", "time-zone"].contains(&name), "{name}");
    }
}

#[test]
fn every_format_has_a_pattern_that_is_tested() {
    super::walk(super::super::schema(), "", &mut |schema, path| {
        for format in [&schema["format"], &schema["propertyNames"]["format"]].into_iter().filter_map(Value::as_str) {
            let is_ours = Format::named(format).is_some();
            let is_tested = format == "filled" || FORMATS.iter().any(|(name, _)| *name == format);
            assert!(!is_ours || is_tested, "{path}: {format}");
        }
    });
    let filled = Regex::new(&Format::named("filled").unwrap().pattern()).unwrap();
    for (text, fits) in [("", false), (" \t\u{a0}\u{3000}", false), ("a\0", false), (" a ", true), ("\u{85}ä", true)] {
        assert_eq!(
            (filled.is_match(text), Format::named("filled").unwrap().judge(text).is_ok()),
            (fits, fits),
            "{text:?}"
        );
    }
}

#[test]
fn paths_have_no_character_that_is_harmful_on_a_terminal() {
    for (name, before) in [("host-path", "/a"), ("relative-path", "a"), ("endpoint", "/a")] {
        let format = Format::named(name).unwrap();
        let pattern = Regex::new(&format.pattern()).unwrap();
        let planes = ('\0'..='\u{3000}').chain('\u{fe00}'..='\u{10000}').chain('\u{dff00}'..='\u{e0200}');
        for character in planes {
            let text = format!("{before}{character}b");
            let fits = !is_harmful(character);
            assert_eq!((pattern.is_match(&text), format.judge(&text).is_ok()), (fits, fits), "{name} {text:?}");
        }
    }
}

#[test]
fn no_time_zone_is_kept_out_by_the_pattern() {
    let pattern = Regex::new(&Format::named("time-zone").unwrap().pattern()).unwrap();
    for zone in jiff::tz::TimeZoneDatabase::bundled().available() {
        assert!(pattern.is_match(zone.as_str()), "{}", zone.as_str());
    }
}

#[test]
fn schedules_match_the_pattern_number_by_number() {
    let pattern = Regex::new(&Format::named("cron").unwrap().pattern()).unwrap();
    for place in 0..5 {
        for number in 0..=70 {
            for form in ["N", "0N", "+N", "N-N", "N/2", "*/N", "N,", ",N", "?/N,N", "N-"] {
                let mut fields = ["*"; 5];
                let field = form.replace('N', &number.to_string());
                fields[place] = &field;
                let text = fields.join(" ");
                assert_eq!(pattern.is_match(&text), Schedule::parse(&text, None).is_ok(), "{text}");
            }
        }
    }
    for text in
        ["* * * jan sat", "* * * JAN-dec Sun-SAT", "* * * feb/2 mon/3", "@every +1h", "@every 1s1µs", "@every .5h1.s"]
    {
        assert_eq!((pattern.is_match(text), Schedule::parse(text, None).is_ok()), (true, true), "{text}");
    }
    for text in [
        "jan * * * *",
        "* * * sun *",
        "* * * * jan",
        "@daily ",
        " @daily",
        "@every 1",
        "@every .h",
        "@every -1h",
        "@every 0",
        "@Daily",
        "TZ=UTC",
        "* * * *  ",
    ] {
        assert_eq!((pattern.is_match(text), Schedule::parse(text, None).is_ok()), (false, false), "{text}");
    }
}
