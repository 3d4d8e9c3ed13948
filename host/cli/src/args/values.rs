//! Parsing of flag values.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use holystone_core::cluster::{is_annotation_pattern, is_plain_path};
use holystone_core::manifest;
use holystone_core::reference::Reference;
use holystone_core::text;
use holystone_node::{PathMapping, RootSpec};
use jiff::SignedDuration;

/// The address to listen on, if any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    At(SocketAddr),
    Nowhere,
}

/// Parses a percentage from 0 to 100, with or without a percent sign.
pub(super) fn percent(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let percent = number.parse::<u8>().ok().filter(|percent| *percent <= 100);
    percent.ok_or_else(|| "a share is a whole number from 0 to 100, for example 85%".to_owned())
}

/// Parses a number of images, at most as many as a snapshot may have to be read again.
pub(super) fn images(text: &str) -> Result<usize, String> {
    let number = text.parse::<usize>().ok().filter(|number| *number <= 100_000);
    number.ok_or_else(|| "give a whole number, at most 100000".to_owned())
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    if text == "none" {
        return Ok(Listen::Nowhere);
    }
    let malformed =
        || "give an address or a host name and a port such as 127.0.0.1:9823 or localhost:9823, or none".to_owned();
    let (host, port) = text.rsplit_once(':').ok_or_else(malformed)?;
    let port = port.parse().map_err(|_| malformed())?;
    if host.is_empty() {
        return Ok(Listen::At((Ipv4Addr::UNSPECIFIED, port).into()));
    }
    if let Ok(address) = text.parse() {
        return Ok(Listen::At(address));
    }
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("the host {} cannot be found: {error}", text::shown(host)))?;
    let first = found.into_iter().next();
    first.map(Listen::At).ok_or_else(|| format!("the host {} has no address", text::shown(host)))
}

/// Parses an absolute path. Runs that start in different directories must mean the same directory, or they would not
/// notice each other.
pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("give an absolute path, one that begins with /".to_owned()) }
}

/// Parses a name and a path. Further problems with them are reported when the root is opened.
pub(super) fn log_root(text: &str) -> Result<RootSpec, String> {
    match text.split_once('=') {
        Some((name, path)) if manifest::is_name(name) && !path.is_empty() => Ok(RootSpec::new(name, path)),
        Some((name, path)) if !path.is_empty() => Err(format!(
            "{} is no name: use lower-case letters, digits and -, at most 63, with a letter or digit at both ends",
            text::shown(name)
        )),
        _ => Err("give a name and a path, for example app=/var/log/app".to_owned()),
    }
}

pub(super) fn digest(text: &str) -> Result<String, String> {
    let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match text.strip_prefix("sha256:") {
        Some(hex) if hex.len() == 64 && hex.bytes().all(hexadecimal) => Ok(text.to_owned()),
        _ => Err("give sha256: and 64 lower-case hexadecimal digits".to_owned()),
    }
}

/// Checks an image reference and keeps its spelling. Without the check, an invalid reference would only be refused on
/// each node.
pub(super) fn image(text: &str) -> Result<String, String> {
    Reference::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Parses a path of a list of node paths; an empty value stands for an empty list.
pub(super) fn allowed_path(text: &str) -> Result<String, String> {
    if text.is_empty() || is_plain_path(text) {
        return Ok(text.to_owned());
    }
    Err("give an absolute path below /, without . and .., doubled slashes and a slash at its end".to_owned())
}

/// Parses the name of a Kubernetes object. Any other text would become part of a request's path.
pub(super) fn object_name(text: &str) -> Result<String, String> {
    let expected =
        "give the name of an object: lower-case letters, digits, - and ., with a letter or digit at both ends";
    fits(manifest::is_object_name(text), text, expected)
}

/// Parses the name of a namespace.
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let expected = "give the name of a namespace: lower-case letters, digits and -, at most 63, with a letter or digit at \
                    both ends";
    fits(manifest::is_name(text), text, expected)
}

/// Parses a name of a list of object names; an empty value stands for an empty list.
pub(super) fn allowed_name(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { object_name(text) }
}

/// Parses an SELinux type of a list; an empty value stands for an empty list.
pub(super) fn allowed_selinux_type(text: &str) -> Result<String, String> {
    let is_one = text.is_empty() || manifest::is_selinux_word(text);
    fits(is_one, text, "give the type of SELinux, such as spc_t")
}

/// Parses an annotation of a list; an empty value stands for an empty list.
pub(super) fn allowed_annotation(text: &str) -> Result<String, String> {
    let is_one = text.is_empty() || is_annotation_pattern(text);
    fits(is_one, text, "give the key of an annotation, such as example.com/team, or a domain and /*: example.com/*")
}

fn fits(fits: bool, text: &str, expected: &str) -> Result<String, String> {
    if fits { Ok(text.to_owned()) } else { Err(expected.to_owned()) }
}

pub(super) fn elsewhere(text: &str) -> Result<PathMapping, String> {
    match text.split_once('=') {
        Some((host, mounted)) if is_plain_path(host) && is_plain_path(mounted) => {
            Ok(PathMapping { host_path: host.into(), mounted_at: mounted.into() })
        }
        _ => Err("give two absolute paths without . and .., for example /var/log=/host/allowed/0".to_owned()),
    }
}

pub(super) fn image_root(text: &str) -> Result<PathMapping, String> {
    match text.split_once('=') {
        Some((host, mounted)) if host.starts_with('/') && mounted.starts_with('/') => {
            Ok(PathMapping { host_path: host.into(), mounted_at: mounted.into() })
        }
        _ => Err("give two absolute paths, for example /var/lib/containerd=/host/images".to_owned()),
    }
}

pub(super) fn age(text: &str) -> Result<SignedDuration, String> {
    match text.parse::<manifest::Duration>() {
        Ok(duration) => Ok(duration.get()),
        Err(_) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err(format!("it has no unit: write for example {text}s, {text}m, {text}h or {text}d"))
        }
        Err(_) => Err("give a duration such as 30s, 10m or 7d12h".to_owned()),
    }
}

/// Parses a time to wait, or a limit of time.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    age(text).map(SignedDuration::unsigned_abs)
}

pub(super) fn memory(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse()?;
    if size < ByteSize::mib(1) || size > ByteSize::gib(4) {
        return Err("a plugin can have between 1Mi and 4Gi".to_owned());
    }
    Ok(size)
}
