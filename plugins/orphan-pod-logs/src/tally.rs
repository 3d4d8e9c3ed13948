//! The number of pods' directories in each log root that the config names, and notices about roots without any.

use holystone_core::matches::PatternMatch;
use holystone_core::text::shown;

use crate::Config;

/// Counts the pods' directories in each named root, and writes a notice for each root without one: the plugin does
/// nothing there. Without named roots, one notice is written if no root has any. If a walk ended early, the number is
/// unknown and its root is left out.
pub fn counted(config: &Config, of_pods: &[(&str, Option<u64>)]) -> (Vec<PatternMatch>, Vec<String>) {
    let found = |root: &str| of_pods.iter().find(|(name, _)| *name == root).and_then(|(_, number)| *number);
    let named = config.roots.iter().enumerate().filter_map(|(place, root)| {
        Some(PatternMatch { field: format!("roots[{place}]"), pattern: root.clone(), matches: found(root)? })
    });
    let matches: Vec<PatternMatch> = named.collect();
    let advice = "the kubelet keeps them in /var/log/pods";
    let mut notices: Vec<String> = matches
        .iter()
        .filter(|one| one.matches == 0)
        .map(|one| format!("{}: no directory of a pod lies in log root {}; {advice}", one.field, shown(&one.pattern)))
        .collect();
    if config.roots.is_empty() && !of_pods.is_empty() && of_pods.iter().all(|(_, number)| *number == Some(0)) {
        notices.push(format!("no directory of a pod lies in any log root; {advice}"));
    }
    (matches, notices)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_roots_are_counted_and_those_without_a_pod_are_told() {
        let config = Config::parse(r#"{"roots":["pods","app","cut"]}"#).unwrap();
        for order in [[0, 1, 2], [2, 1, 0]] {
            let walked = [("app", Some(0)), ("cut", None), ("pods", Some(7))];
            let (matches, notices) = counted(&config, &order.map(|place: usize| walked[place]));
            let found: Vec<_> =
                matches.iter().map(|one| (one.field.as_str(), one.pattern.as_str(), one.matches)).collect();
            assert_eq!(found, [("roots[0]", "pods", 7), ("roots[1]", "app", 0)]);
            let expected =
                "roots[1]: no directory of a pod lies in log root app; the kubelet keeps them in /var/log/pods";
            assert_eq!(notices, [expected]);
        }
    }

    #[test]
    fn without_names_one_root_with_pods_is_enough() {
        let config = Config::parse("{}").unwrap();
        let all = "no directory of a pod lies in any log root; the kubelet keeps them in /var/log/pods";
        for (walked, notice) in [
            (vec![("app", Some(0)), ("pods", Some(1))], None),
            (vec![("app", Some(0)), ("cut", None)], None),
            (vec![("app", Some(0)), ("web", Some(0))], Some(all)),
            (vec![], None),
        ] {
            let (matches, notices) = counted(&config, &walked);
            assert_eq!((matches, notices), (Vec::new(), notice.map(str::to_owned).into_iter().collect()), "{walked:?}");
        }
    }
}
