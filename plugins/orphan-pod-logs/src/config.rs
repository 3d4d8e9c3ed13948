//! The config that the operator gives to this plugin: its parser from JSON to valid values, or to all errors in it.

use holystone_core::config::{Json, Problem, Problems};
use holystone_core::manifest::Duration;

/// A valid config. Only [`Config::parse`] builds one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Names of log roots; empty for all.
    pub roots: Vec<String>,
    /// Minimum time since the last change in a directory before the directory is removed.
    pub grace_period: Duration,
}

/// Default grace period of one hour: far longer than any pod takes to start.
const GRACE_PERIOD: Duration = Duration::from_secs(3_600);
/// Minimum grace period. A shorter one would not even cover the time between the creation of a pod's directory and of
/// its sandbox.
const SHORTEST: Duration = Duration::from_secs(60);

const EXAMPLE: &str = r#"{"roots": ["pods"], "gracePeriod": "1h"}"#;

impl Config {
    /// Parses a config.
    ///
    /// # Errors
    /// Returns all errors, each with the path of its field.
    pub fn parse(json: &str) -> Result<Self, Vec<Problem>> {
        let fields = Json::config(json, EXAMPLE)?;
        let mut problems = Problems::default();
        let [roots, grace_period] = problems.fields("", &fields, ["roots", "gracePeriod"]);
        let mut config = Self { roots: Vec::new(), grace_period: GRACE_PERIOD };
        if let Some(value) = roots {
            config.roots = problems.names("roots", "the name of a log root", value);
        }
        if let Some(value) = grace_period {
            let what = "a duration in quotes such as \"30m\", \"1h\" or \"7d\"";
            if let Some(period) = problems.parsed::<Duration>("gracePeriod", what, value) {
                if period < SHORTEST {
                    problems.must_be("gracePeriod", "at least \"1m\"", value);
                }
                config.grace_period = period;
            }
        }
        problems.finish(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(json: &str) -> Vec<String> {
        Config::parse(json).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_fields_are_read_and_none_is_needed() {
        let config = Config::parse(r#"{"roots":["pods"],"gracePeriod":"2h"}"#).unwrap();
        assert_eq!((config.roots, config.grace_period), (vec!["pods".to_owned()], "2h".parse().unwrap()));
        let config = Config::parse("{}").unwrap();
        assert_eq!((config.roots, config.grace_period), (Vec::new(), "1h".parse().unwrap()));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_path() {
        let told = problems(r#"{"root":"pods","roots":["",1],"gracePeriod":"30s","graceperiod":"1h"}"#);
        let starts = [
            "root: there is no such field; did you mean roots?",
            "graceperiod: there is no such field; did you mean gracePeriod?",
            "roots[0]: must be the name of a log root, in quotes, found \"\"",
            "roots[1]: must be the name of a log root, in quotes, found 1",
            "gracePeriod: must be at least \"1m\", found \"30s\"",
        ];
        assert_eq!(told, starts);
        assert_eq!(problems(r#"{"roots":[]}"#), ["roots: is empty; leave it out for all of them"]);
        assert!(problems(r#"{"gracePeriod":"soon"}"#)[0].starts_with("gracePeriod: must be a duration"));
        assert!(problems("7")[0].starts_with("config: must be an object such as {\"roots\""));
    }

    #[test]
    fn the_schema_knows_every_field() {
        for field in ["roots", "gracePeriod"] {
            assert!(crate::SCHEMA.contains(&format!("\"{field}\": {{")), "{field}");
        }
    }
}
