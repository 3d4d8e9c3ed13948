//! Image references as people and runtimes write them: `[registry/]repository[:tag][@digest]`.
//!
//! Short names resolve to Docker Hub: `nginx` is `docker.io/library/nginx`, `minchou/app` is `docker.io/minchou/app`.
//! The first component is a registry if it has a dot, a colon or an upper-case letter, or is `localhost`.
//! The grammar is that of the distribution project's `reference` package.
//!
//! Two spellings of one reference become equal values. Hosts are normalized in case, without the default port (443)
//! where the host remains a registry without it, without a trailing dot and without the aliases of Docker Hub. IPv6
//! addresses are normalized in form, digests in case.

use core::net::Ipv6Addr;
use std::borrow::Cow;
use std::fmt;

/// A parsed reference in its full form. Two spellings of the same reference are equal values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

/// The reason why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an image reference: {problem}")]
pub struct ReferenceError {
    text: String,
    problem: &'static str,
}

/// The maximum length of a repository's path, without the registry, that registries accept, in bytes.
pub(crate) const MAX_PATH: usize = 255;
/// The maximum length of a tag, in bytes.
pub(crate) const MAX_TAG: usize = 128;

impl Reference {
    /// Parses a reference, with or without registry, tag and digest. A missing tag stays missing: a reference that a
    /// runtime lists has a tag or a digest, and for text from a person the caller decides the default.
    ///
    /// # Errors
    /// When the text breaks the grammar; the error names the invalid part.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let fail = |problem| ReferenceError { text: text.to_owned(), problem };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let digest = match digest.map(full_digest) {
            Some(None) => {
                return Err(fail("what follows the @ is not a digest such as sha256:<64 hexadecimal digits>"));
            }
            digest => digest.flatten(),
        };
        let (name, tag) = split_tag(name);
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(fail("the tag may only have letters, digits, '_', '.' and '-', at most 128 of them"));
        }
        let (registry, path) = split_registry(name);
        if registry.is_some_and(|registry| full_registry(registry).is_none()) {
            return Err(fail("the registry is not a host name with an optional port"));
        }
        if !path.split('/').all(is_path_component) {
            return Err(fail(
                "the repository may only have lower-case letters and digits, separated by '.', '_', '-' or '/'",
            ));
        }
        let repository = full_repository(registry, path);
        if repository.split_once('/').is_some_and(|(_, path)| path.len() > MAX_PATH) {
            return Err(fail("the repository is longer than 255 characters, its registry aside"));
        }
        Ok(Self { repository, tag: tag.map(str::to_owned), digest: digest.map(Cow::into_owned) })
    }

    /// Returns the registry and path, for example `docker.io/library/nginx`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag, if the text had one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest with its algorithm, if the text had one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Splits `name[:tag]`. A colon before the last slash belongs to the registry's port.
pub(crate) fn split_tag(name: &str) -> (&str, Option<&str>) {
    let last = name.rfind('/').unwrap_or(0);
    match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    }
}

/// Splits `[registry/]path` by Docker's rule: the first component is a registry if it has a dot, a colon or an
/// upper-case letter, or is `localhost`.
pub(crate) fn split_registry(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest)) if is_registry_like(first) => (Some(first), rest),
        _ => (None, name),
    }
}

/// Aliases of Docker Hub, besides `docker.io`.
const DOCKER_HUB: [&str; 6] = [
    "hub.docker.com",
    "index.docker.io",
    "registry-1.docker.io",
    "registry.docker.io",
    "registry.hub.docker.com",
    "www.docker.io",
];

/// Returns a name in its full form.
pub(crate) fn full_repository(registry: Option<&str>, path: &str) -> String {
    let registry = registry.map(|registry| full_registry(registry).unwrap_or(Cow::Borrowed(registry)));
    let registry = registry.as_deref().unwrap_or("docker.io");
    if registry == "docker.io" && !path.contains('/') {
        format!("docker.io/library/{path}")
    } else {
        format!("{registry}/{path}")
    }
}

/// Normalizes a host with an optional port, so that equal ones are equal texts; `None` if the text is no such host.
fn full_registry(registry: &str) -> Option<Cow<'_, str>> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    if registry.bytes().all(plain) { full_host(registry) } else { full_host_and_port(registry).map(Cow::Owned) }
}

/// Normalizes a lower-case host without a port.
fn full_host(host: &str) -> Option<Cow<'_, str>> {
    let host = host.strip_suffix('.').unwrap_or(host);
    match host {
        host if !host.split('.').all(is_host_label) => None,
        host if DOCKER_HUB.contains(&host) => Some(Cow::Borrowed("docker.io")),
        host if needs_port(host) => Some(Cow::Owned(format!("{host}:{HTTPS}"))),
        host => Some(Cow::Borrowed(host)),
    }
}

/// The port of HTTPS, the default of registries.
const HTTPS: &str = "443";

fn full_host_and_port(registry: &str) -> Option<String> {
    let end =
        if registry.starts_with('[') { registry.find(']')? + 1 } else { registry.find(':').unwrap_or(registry.len()) };
    let (host, port) = registry.split_at(end);
    let port = match port {
        "" => None,
        port => Some(port.strip_prefix(':').filter(|port| is_port(port))?.trim_start_matches('0')),
    };
    let host = if host.starts_with('[') { full_address(host)? } else { host.to_ascii_lowercase() };
    match port.filter(|port| *port != HTTPS) {
        None if host.starts_with('[') => Some(host),
        None => full_host(&host).map(Cow::into_owned),
        Some(port) => {
            let host = host.strip_suffix('.').unwrap_or(&host);
            let fits = host.starts_with('[') || host.split('.').all(is_host_label);
            fits.then(|| format!("{host}:{}", if port.is_empty() { "0" } else { port }))
        }
    }
}

/// Returns whether a host needs its port: without one, it would be the first component of a path on Docker Hub.
fn needs_port(host: &str) -> bool {
    !host.contains('.') && host != "localhost"
}

/// Normalizes an IPv6 address in brackets: its shortest form, or all eight segments if that form has dots.
fn full_address(host: &str) -> Option<String> {
    let text = host.strip_prefix('[')?.strip_suffix(']')?;
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':');
    let address: Option<Ipv6Addr> = text.parse().ok();
    // The grammar excludes dots, as in ::ffff:10.0.0.1, and accepts texts that are no address.
    let shortest = address.map(|address| address.to_string()).filter(|text| !text.contains('.'));
    let long = |address: Ipv6Addr| address.segments().map(|segment| format!("{segment:x}")).join(":");
    let text = shortest.or_else(|| address.map(long)).unwrap_or_else(|| text.to_ascii_lowercase());
    fits.then(|| format!("[{text}]"))
}

fn is_registry_like(component: &str) -> bool {
    component.contains(['.', ':'])
        || component == "localhost"
        || component.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_host_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_path_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes.split(|&byte| alphanumeric(byte)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&byte| byte == b'-')
        })
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= MAX_TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Returns the number of hexadecimal digits in a digest of this algorithm, if the algorithm is known.
pub(crate) fn digest_length(algorithm: &str) -> Option<usize> {
    match algorithm {
        "sha256" => Some(64),
        "sha384" => Some(96),
        "sha512" => Some(128),
        _ => None,
    }
}

/// Parses `algorithm:hexadecimal digits` and returns the digest in lower case. Known algorithms require the number of
/// digits in [`digest_length`], others at least 32.
pub(crate) fn full_digest(digest: &str) -> Option<Cow<'_, str>> {
    let digest = lower_case(digest);
    let (algorithm, hex) = digest.split_once(':')?;
    let length_fits = digest_length(algorithm).map_or(hex.len() >= 32, |length| hex.len() == length);
    (length_fits && is_algorithm(algorithm) && is_hex(hex)).then_some(digest)
}

/// Returns whether a text consists of lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Converts ASCII letters to lower case. Text without upper-case letters, the usual case, is borrowed.
pub(crate) fn lower_case(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Returns whether a listed tag is certainly in full form, as nearly all are, and can be compared without parsing.
pub(crate) fn is_in_full_form(tag: &str) -> bool {
    let Some((host, path)) = tag.split_once('/') else { return false };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let is_host = host.contains('.') && !host.ends_with('.') && host.bytes().all(plain);
    is_host && !DOCKER_HUB.contains(&host) && (host != "docker.io" || path.contains('/'))
}

/// Returns whether a listed tag or digest is missing: empty, or `<none>:<none>`, `<none>@<none>` and the like (Docker).
pub(crate) fn is_none(text: &str) -> bool {
    if let Some((_, digest)) = text.split_once('@') {
        return digest == NONE;
    }
    let (name, tag) = split_tag(text);
    text.is_empty() || tag == Some(NONE) || tag.is_none() && name == NONE
}

/// Docker's placeholder for a missing repository, tag or digest.
const NONE: &str = "<none>";

pub(crate) fn is_algorithm(algorithm: &str) -> bool {
    algorithm.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
}

#[cfg(test)]
mod tests;
