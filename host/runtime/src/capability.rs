//! The check of a component's imports against its granted capabilities.
//!
//! A component's import list is its honest declaration: it cannot call what it does not import. All imports are checked
//! here before any of its code runs.

use std::collections::BTreeSet;
use std::str::FromStr;

use holystone_core::manifest::Capability;

use crate::error::Reason;

/// The capabilities that a plugin is granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(BTreeSet<Capability>);

impl FromIterator<Capability> for Grants {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().collect())
    }
}

impl Grants {
    /// Iterates over the capabilities in the order of [`Capability::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Capability> {
        self.0.iter().copied()
    }
}

/// Interfaces that grant nothing and that every plugin may import.
const ALWAYS: [&str; 3] = ["types", "host", "log"];

/// The packages of WASI 0.2 that are linked (and grant nothing).
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// The largest number of imports that a problem names.
const MOST: usize = 10;

/// The verdict on one import.
enum Import {
    Fine,
    /// An import that needs a capability that is not granted.
    Denied(String),
    /// An import that this version does not offer.
    Unknown(String),
}

/// Returns the capabilities that a component's imports use.
pub(crate) fn used<'a>(imports: impl Iterator<Item = &'a str>) -> Vec<Capability> {
    let interfaces: Vec<&str> = imports
        .filter_map(split)
        .filter(|(package, ..)| *package == "holystone:node")
        .map(|(_, interface, _)| interface)
        .collect();
    Capability::ALL.into_iter().filter(|capability| interfaces.contains(&capability.as_str())).collect()
}

/// Checks a component's imports. The error, if any, names every offending import, up to a limit.
pub(crate) fn check<'a>(imports: impl Iterator<Item = &'a str>, grants: &Grants) -> Result<(), (Reason, String)> {
    let mut denied = Vec::new();
    let mut unknown = Vec::new();
    for import in imports {
        match judge(import, grants) {
            Import::Fine => {}
            Import::Denied(problem) => denied.push(problem),
            Import::Unknown(problem) => unknown.push(problem),
        }
    }
    if !unknown.is_empty() {
        return Err((Reason::IncompatibleApi, several(&unknown)));
    }
    if !denied.is_empty() {
        return Err((Reason::CapabilityDenied, several(&denied)));
    }
    Ok(())
}

/// Formats the first problems and the number of the others: a component may have thousands of imports.
fn several(problems: &[String]) -> String {
    let (first, rest) = problems.split_at(problems.len().min(MOST));
    let more = if rest.is_empty() { String::new() } else { format!("; and so for {} more imports", rest.len()) };
    format!("{}{more}", first.join("; "))
}

fn judge(import: &str, grants: &Grants) -> Import {
    let shown = holystone_core::text::shown(import);
    let Some((package, interface, version)) = split(import) else {
        return Import::Denied(format!("it imports {shown}, which Holystone does not offer to plugins"));
    };
    if let Some(wasi) = package.strip_prefix("wasi:") {
        return if WASI.contains(&wasi) && version.starts_with("0.2.") {
            Import::Fine
        } else if WASI.contains(&wasi) {
            Import::Unknown(format!("it imports {shown}, but Holystone links WASI 0.2"))
        } else {
            Import::Denied(format!("it imports {shown}, which Holystone does not offer to plugins"))
        };
    }
    if package != "holystone:node" {
        return Import::Denied(format!("it imports {shown}, which Holystone does not offer to plugins"));
    }
    if !version.starts_with("0.1.") {
        return Import::Unknown(format!(
            "it imports {shown}, but this version of Holystone offers holystone:node@0.1.0"
        ));
    }
    if ALWAYS.contains(&interface) {
        return Import::Fine;
    }
    match Capability::from_str(interface) {
        Ok(capability) if grants.0.contains(&capability) => Import::Fine,
        Ok(capability) => Import::Denied(format!("it needs the capability {capability}, which it was not granted")),
        Err(_) => Import::Unknown(format!("it imports {shown}, which this version of Holystone does not have")),
    }
}

/// Splits `namespace:package/interface@version`.
fn split(import: &str) -> Option<(&str, &str, &str)> {
    let (name, version) = import.split_once('@')?;
    let (package, interface) = name.split_once('/')?;
    Some((package, interface, version))
}

#[cfg(test)]
mod tests {
    use super::{Capability, Grants, Reason, check};

    fn verdict(imports: &[&str], grants: &[Capability]) -> Result<(), (Reason, String)> {
        check(imports.iter().copied(), &grants.iter().copied().collect::<Grants>())
    }

    #[test]
    fn what_grants_nothing_is_always_there() {
        let imports = [
            "holystone:node/types@0.1.0",
            "holystone:node/host@0.1.7",
            "holystone:node/log@0.1.0",
            "wasi:io/streams@0.2.6",
            "wasi:filesystem/preopens@0.2.0",
        ];
        assert_eq!(verdict(&imports, &[]), Ok(()));
    }

    #[test]
    fn a_capability_must_be_granted() {
        let imports = ["holystone:node/images@0.1.0", "holystone:node/pods@0.1.0"];
        assert_eq!(verdict(&imports, &[Capability::Images, Capability::Pods]), Ok(()));
        let (reason, problem) = verdict(&imports, &[Capability::Containers]).unwrap_err();
        assert_eq!(reason, Reason::CapabilityDenied);
        assert!(problem.contains("images") && problem.contains("pods"), "{problem}");
    }

    #[test]
    fn foreign_imports_are_denied() {
        for import in ["wasi:http/outgoing-handler@0.2.0", "evil:host/exec@1.0.0", "env", "wasi:nn/graph@0.2.0"] {
            assert_eq!(verdict(&[import], &Capability::ALL).unwrap_err().0, Reason::CapabilityDenied, "{import}");
        }
    }

    #[test]
    fn thousands_of_imports_make_a_short_problem() {
        for (import, grants, reason) in [
            ("evil:host/exec-NUMBER@1.0.0", &Capability::ALL[..], Reason::CapabilityDenied),
            ("holystone:node/nothing-NUMBER@0.1.0", &Capability::ALL, Reason::IncompatibleApi),
            ("NUMBER", &[], Reason::CapabilityDenied),
        ] {
            let named = |number: usize| import.replace("NUMBER", &format!("{}{number}", "x".repeat(300)));
            let imports: Vec<String> = (0..9_000).map(named).collect();
            let imports: Vec<&str> = imports.iter().map(String::as_str).collect();
            let (found, problem) = verdict(&imports, grants).unwrap_err();
            assert_eq!(found, reason);
            assert!(problem.len() < 4_000 && problem.ends_with("; and so for 8990 more imports"), "{problem}");
        }
    }

    #[test]
    fn other_versions_are_incompatible() {
        let imports = ["holystone:node/images@0.2.0", "holystone:node/snapshots@0.1.0", "wasi:io/poll@0.3.0"];
        for import in imports {
            assert_eq!(verdict(&[import], &Capability::ALL).unwrap_err().0, Reason::IncompatibleApi, "{import}");
        }
    }

    #[test]
    fn names_are_those_of_the_interfaces() {
        for capability in Capability::ALL {
            assert_eq!(capability.as_str().parse(), Ok(capability));
        }
        assert!("image".parse::<Capability>().unwrap_err().contains("images, containers"));
    }
}
