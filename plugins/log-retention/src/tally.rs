//! The number of entries that each glob and each named log root of a rule has matched, and notices about those without
//! matches.

use std::collections::BTreeSet;

use holystone_core::matches::PatternMatch;
use holystone_core::text::{closest, shown};

use crate::config::Rule;

/// Number of gathered globs at which no further paths are added.
const MOST_NAMES: usize = 5_000;

/// The sums of the counts of one rule's walks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of matches of each glob that the rule includes.
    pub include: Vec<u64>,
    /// Number of entries that each glob of the rule's exclusions leaves out.
    pub exclude: Vec<u64>,
    /// Number of entries in each root that the rule names, in its order.
    pub roots: Vec<u64>,
    /// Set when every root of the rule was walked completely. Otherwise there are no notices about patterns without
    /// matches.
    pub is_whole: bool,
}

impl Counts {
    /// Starts the counts of a rule at zero.
    pub fn of(rule: &Rule) -> Self {
        Self {
            include: vec![0; rule.include.len()],
            exclude: vec![0; rule.exclude.len()],
            roots: vec![0; rule.roots.len()],
            is_whole: true,
        }
    }

    /// Adds the counts of one walk.
    pub fn add(&mut self, include: &[u64], exclude: &[u64]) {
        for (sum, more) in [(&mut self.include, include), (&mut self.exclude, exclude)] {
            for (sum, more) in sum.iter_mut().zip(more) {
                *sum += more;
            }
        }
    }

    /// Returns whether a glob of the rule has matched nothing, although every root was walked completely.
    pub fn has_unmatched(&self) -> bool {
        self.is_whole && self.include.iter().chain(&self.exclude).any(|count| *count == 0)
    }

    /// Returns the counts with the fields of their patterns: globs, then roots, each in the order of the config.
    pub fn matches(&self, number: usize, rule: &Rule) -> Vec<PatternMatch> {
        let (mut include, mut exclude) =
            (rule.include.iter().zip(&self.include), rule.exclude.iter().zip(&self.exclude));
        let field = if rule.is_of_directories { "emptyDirectories" } else { "files" };
        let globs = rule.signs.iter().enumerate().filter_map(|(place, excludes)| {
            let (sign, (glob, matches)) = if *excludes { ("!", exclude.next()?) } else { ("", include.next()?) };
            let field = format!("rules[{number}].{field}[{place}]");
            Some(PatternMatch { field, pattern: format!("{sign}{glob}"), matches: *matches })
        });
        let globs: Vec<PatternMatch> = globs.collect();
        let roots = rule.roots.iter().zip(&self.roots).enumerate().map(|(place, (root, matches))| PatternMatch {
            field: format!("rules[{number}].roots[{place}]"),
            pattern: root.clone(),
            matches: *matches,
        });
        globs.into_iter().chain(roots).collect()
    }

    /// Writes a sentence for each pattern that matched nothing, with the pattern that was probably meant.
    pub fn notices(&self, matches: &[PatternMatch], rule: &Rule, names: &Names) -> Vec<String> {
        if !self.is_whole {
            return Vec::new();
        }
        let things = if rule.is_of_directories { "directory" } else { "file" };
        let notice = |one: &PatternMatch| {
            let (sign, glob) = one.pattern.strip_prefix('!').map_or(("", one.pattern.as_str()), |glob| ("!", glob));
            let meant = names.closest(glob).map(|meant| format!("{sign}{meant}"));
            if one.matches > 0 {
                None
            } else if one.field.contains("].roots[") {
                Some(format!("{}: no {things} of the rule lies in {}", one.field, shown(&one.pattern)))
            } else if sign.is_empty() {
                one.notice(things, meant.as_deref())
            } else {
                let meant = meant.map(|meant| format!("; did you mean {}?", shown(&meant))).unwrap_or_default();
                Some(format!("{}: {} leaves out nothing on this node{meant}", one.field, shown(&one.pattern)))
            }
        };
        matches.iter().filter_map(notice).collect()
    }
}

/// Globs for the files and directories of a log root, to suggest one.
#[derive(Clone, Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// Adds globs for a listed path: the path itself, its name in any directory, the directories on its way with
    /// everything under them, and all files with its extension.
    pub fn add(&mut self, path: &str) {
        if self.0.len() >= MOST_NAMES {
            return;
        }
        let (directory, name) = path.rsplit_once('/').map_or((None, path), |(directory, name)| (Some(directory), name));
        for (end, _) in path.match_indices('/') {
            self.0.extend([format!("{}/**", &path[..end]), path[..end].to_owned()]);
        }
        if let Some((_, extension)) = name.rsplit_once('.') {
            self.0.extend([format!("*.{extension}"), format!("**/*.{extension}")]);
            self.0.extend(directory.map(|directory| format!("{directory}/*.{extension}")));
        }
        self.0.extend([path.to_owned(), format!("**/{name}")]);
    }

    fn closest(&self, glob: &str) -> Option<&str> {
        closest(glob, self.0.iter().map(String::as_str)).filter(|meant| *meant != glob)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn rule(json: &str) -> Rule {
        Config::parse(&format!(r#"{{"rules":[{json}]}}"#)).unwrap().rules.remove(0)
    }

    fn names() -> Names {
        let mut names = Names::default();
        for path in ["app/a.log", "app/a.log.gz", "audit/today.log"] {
            names.add(path);
        }
        names
    }

    #[test]
    fn every_glob_and_root_is_listed_in_its_order() {
        let rule = rule(r#"{"roots":["app","web"],"files":["!old/**","**/*.log","!tmp","**/*.gz"],"maxAge":"1d"}"#);
        let mut counts = Counts::of(&rule);
        counts.add(&[3, 0], &[1, 0]);
        counts.add(&[4, 0], &[1, 0]);
        counts.roots = vec![7, 0];
        let matches = counts.matches(2, &rule);
        let told: Vec<_> = matches.iter().map(|one| (one.field.as_str(), one.pattern.as_str(), one.matches)).collect();
        let expected = [
            ("rules[2].files[0]", "!old/**", 2),
            ("rules[2].files[1]", "**/*.log", 7),
            ("rules[2].files[2]", "!tmp", 0),
            ("rules[2].files[3]", "**/*.gz", 0),
            ("rules[2].roots[0]", "app", 7),
            ("rules[2].roots[1]", "web", 0),
        ];
        assert_eq!(told, expected);
        let notices = counts.notices(&matches, &rule, &Names::default());
        let expected = [
            "rules[2].files[2]: !tmp leaves out nothing on this node",
            "rules[2].files[3]: **/*.gz matched no file on this node",
            "rules[2].roots[1]: no file of the rule lies in web",
        ];
        assert_eq!(notices, expected);
        assert!(counts.has_unmatched());
        let partly = Counts { is_whole: false, ..counts };
        assert!(partly.notices(&matches, &rule, &Names::default()).is_empty() && !partly.has_unmatched());
    }

    #[test]
    fn what_is_near_is_suggested() {
        for (glob, meant) in [
            ("**/*.lgo", "**/*.log"),
            ("!audti/**", "!audit/**"),
            ("apps/*.log", "app/*.log"),
            ("**/todya.log", "**/today.log"),
        ] {
            let rule = rule(&format!(r#"{{"files":["**","{glob}"],"maxAge":"1d"}}"#));
            let mut counts = Counts::of(&rule);
            counts.include[0] = 1;
            let notices = counts.notices(&counts.matches(0, &rule), &rule, &names());
            let [notice] = &notices[..] else { panic!("{notices:?}") };
            assert!(notice.ends_with(&format!("; did you mean {meant}?")), "{notice}");
        }
        let far = rule(r#"{"files":["nothing/like/it/*"],"maxAge":"1d"}"#);
        let counts = Counts::of(&far);
        let notices = counts.notices(&counts.matches(0, &far), &far, &names());
        assert_eq!(notices, ["rules[0].files[0]: nothing/like/it/* matched no file on this node"]);
    }

    #[test]
    fn directories_are_called_so() {
        let rule = rule(r#"{"emptyDirectories":["x","!y"]}"#);
        let counts = Counts::of(&rule);
        let notices = counts.notices(&counts.matches(0, &rule), &rule, &Names::default());
        let expected = [
            "rules[0].emptyDirectories[0]: x matched no directory on this node",
            "rules[0].emptyDirectories[1]: !y leaves out nothing on this node",
        ];
        assert_eq!(notices, expected);
    }
}
