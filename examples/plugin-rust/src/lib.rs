//! A plugin that removes unused images of which every tag starts with a prefix, for example `build-`.
use exports::holystone::node::cleaner::{Decision, Guest, Problem, Reason, ReasonKind, Removal, Target, Verb};
use holystone::node::images::{self, Image};

wit_bindgen::generate!({ path: "../../wit", world: "plugin" });

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    tag_prefix: String,
}

struct MyPlugin;
export!(MyPlugin);

impl Guest for MyPlugin {
    fn validate(config: String) -> Result<(), Vec<Problem>> {
        let problem = |error: serde_json::Error| Problem { field: String::new(), message: error.to_string() };
        serde_json::from_str::<Config>(&config).map(drop).map_err(|error| vec![problem(error)])
    }

    fn plan(config: String) -> Result<Decision, String> {
        let Config { tag_prefix } = serde_json::from_str(&config).map_err(|problem| problem.to_string())?;
        let matches = |tag: &String| tag.rsplit_once(':').is_some_and(|(_, tag)| tag.starts_with(&tag_prefix));
        let unwanted = |image: &Image| {
            image.in_use_by.is_empty() && !image.repo_tags.is_empty() && image.repo_tags.iter().all(matches)
        };
        let removal = |Image { id, size_bytes, .. }| Removal {
            target: Target::Image(id),
            verb: Verb::Remove,
            reason: Reason { kind: ReasonKind::Unused, text: format!("unused, tagged {tag_prefix}*") },
            expected_bytes: Some(size_bytes),
            attributes: vec![],
        };
        let removals = images::list().into_iter().filter(unwanted).map(removal).collect();
        Ok(Decision { removals, matches: vec![], notices: vec![], attributes: vec![] })
    }
}
