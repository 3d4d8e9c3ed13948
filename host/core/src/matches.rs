//! Counts of the entries that each of the operator's patterns matched, and notices about patterns that matched none.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::text::{closest, shown};

/// A pattern that the operator set, and the number of entries of the node that it matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PatternMatch {
    /// Path of the field that holds the pattern, for example `repositories[0]`.
    pub field: String,
    /// The pattern as the operator wrote it.
    pub pattern: String,
    /// The number of entries that the pattern matched.
    pub matches: u64,
}

impl PatternMatch {
    /// Returns a notice if the pattern matched nothing. `things` names the entries, in the singular; `meant` is the
    /// pattern that was probably meant.
    pub fn notice(&self, things: &str, meant: Option<&str>) -> Option<String> {
        let Self { field, pattern, matches } = self;
        let meant = meant.map(|meant| format!("; did you mean {}?", shown(meant))).unwrap_or_default();
        (*matches == 0).then(|| format!("{field}: {} matched no {things} on this node{meant}", shown(pattern)))
    }
}

/// The names of a node's images, to suggest one for an image pattern that matches none of them.
#[derive(Clone, Debug, Default)]
pub struct KnownNames(BTreeSet<String>);

impl KnownNames {
    /// Collects the names in these references: each repository in full and in short form, and the pattern for
    /// everything under each of its paths.
    pub fn of<'a>(references: impl IntoIterator<Item = &'a str>) -> Self {
        let mut names = BTreeSet::new();
        for reference in references {
            let repository = repository(reference);
            let shortened = ["docker.io/library/", "docker.io/"].map(|start| repository.strip_prefix(start));
            for name in shortened.into_iter().flatten().chain([repository]) {
                names.insert(name.to_owned());
                names.extend(name.match_indices('/').map(|(end, _)| format!("{}/*", &name[..end])));
            }
        }
        Self(names)
    }

    /// Returns the pattern that was probably meant, with the tag and digest of the given one.
    pub fn closest(&self, pattern: &str) -> Option<String> {
        let name = repository(pattern);
        let rest = &pattern[name.len()..];
        let meant = closest(name, self.0.iter().map(String::as_str)).filter(|meant| *meant != name)?;
        Some(format!("{meant}{rest}"))
    }
}

/// Returns a reference or pattern without its tag and digest.
fn repository(text: &str) -> &str {
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    match name.rfind([':', '/']) {
        Some(at) if name.as_bytes()[at] == b':' => &name[..at],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> KnownNames {
        KnownNames::of([
            "docker.io/minchou/rollout:v1",
            "docker.io/library/nginx:1.27",
            "registry.example.com:5000/team/app@sha256:00",
            "<none>",
        ])
    }

    #[test]
    fn a_misspelt_pattern_gets_the_name_that_was_meant() {
        for (pattern, meant) in [
            ("docker.io/minchuo/rollout", Some("docker.io/minchou/rollout")),
            ("docker.io/minchuo/rollout:v*", Some("docker.io/minchou/rollout:v*")),
            ("docker.io/minchuo/*", Some("docker.io/minchou/*")),
            ("minchuo/rollout", Some("minchou/rollout")),
            ("ngnix", Some("nginx")),
            ("ngnix:1.*", Some("nginx:1.*")),
            ("registry.example.com:5000/taem/app", Some("registry.example.com:5000/team/app")),
            ("registry.example.com:500/team/*", Some("registry.example.com:5000/team/*")),
            ("quay.io/other/thing", None),
            ("*", None),
            ("docker.io/minchou/rollout:v2", None),
            (&"x".repeat(10_000), None),
        ] {
            assert_eq!(known().closest(pattern).as_deref(), meant, "{pattern}");
        }
    }

    #[test]
    fn only_a_pattern_that_matches_nothing_is_noticed() {
        let pattern =
            |matches| PatternMatch { field: "repositories[1]".into(), pattern: "ngnix\u{1b}".into(), matches };
        assert_eq!(pattern(1).notice("image", None), None);
        assert_eq!(
            pattern(0).notice("image", None).unwrap(),
            "repositories[1]: ngnix\\u{1b} matched no image on this node"
        );
        let notice = pattern(0).notice("log file", Some("nginx")).unwrap();
        assert!(notice.ends_with(" matched no log file on this node; did you mean nginx?"), "{notice}");
    }
}
