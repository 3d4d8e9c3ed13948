//! A container runtime's unix socket, and its notations.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A runtime's unix socket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(PathBuf);

impl Endpoint {
    /// Makes the endpoint of a path, unchecked.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Returns the path of the socket.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

impl FromStr for Endpoint {
    type Err = MalformedEndpoint;

    fn from_str(text: &str) -> Result<Self, MalformedEndpoint> {
        let refuse = |problem| MalformedEndpoint { text: text.to_owned(), problem };
        let path = match text.split_once("://") {
            Some(("unix", path)) => path,
            Some(("tcp" | "http" | "https", _)) => {
                return Err(refuse("runtimes are reached over a unix socket on their own node, not over the network"));
            }
            Some(("npipe", _)) => return Err(refuse("Windows nodes are not supported")),
            Some(_) => return Err(refuse("only unix:// is known")),
            None => text.strip_prefix("unix:").unwrap_or(text),
        };
        if !path.starts_with('/') {
            return Err(refuse("the path must be absolute, for example unix:///run/containerd/containerd.sock"));
        }
        if path.contains('\0') || path.ends_with('/') {
            return Err(refuse("that is not the path of a socket"));
        }
        Ok(Self(PathBuf::from(path)))
    }
}

/// A text that is not an endpoint.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is not a runtime endpoint: {problem}")]
pub struct MalformedEndpoint {
    /// The text that was given.
    text: String,
    /// The reason why the text is refused.
    problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn endpoints_are_parsed() {
        for text in ["unix:///run/c.sock", "/run/c.sock", "unix:/run/c.sock"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), "unix:///run/c.sock");
        }
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_a_reason() {
        let cases = [
            ("", "absolute"),
            ("run/c.sock", "absolute"),
            ("unix://run/c.sock", "absolute"),
            ("tcp://127.0.0.1:1234", "not over the network"),
            ("https://a", "not over the network"),
            ("npipe:////./pipe/containerd", "Windows"),
            ("dockershim:///a", "only unix://"),
            ("/run/", "not the path of a socket"),
            ("/run/\0c", "not the path of a socket"),
        ];
        for (text, reason) in cases {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
