//! Tables of mounts (`mountinfo`).

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::io::Result;

/// The mounts that can be reached from the root directory of one process.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) mounts: Vec<Mount>,
}

/// One mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) id: u64,
    pub(super) parent: u64,
    /// The device of its filesystem.
    pub(super) device: u64,
    /// What of the filesystem is mounted, as a path there.
    pub(super) root: Vec<u8>,
    /// Where it is mounted.
    pub(super) point: Vec<u8>,
    /// The type of the filesystem.
    pub(super) kind: Vec<u8>,
    /// Options of the mount and of the filesystem.
    options: Vec<u8>,
}

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path)
            .map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))?;
        Ok(Self::parse(&text))
    }

    /// Reads a table. Lines that make no sense are left out: the kernel writes none.
    pub(super) fn parse(text: &[u8]) -> Self {
        Self { mounts: text.split(|byte| *byte == b'\n').filter_map(Mount::parse).collect() }
    }

    /// Whether the proc filesystem here hides processes from whoever may not trace them, or leaves out other files.
    pub(super) fn hides_processes(&self, proc: &Path) -> bool {
        let hides = |option: &[u8]| {
            option.strip_prefix(b"hidepid=").is_some_and(|how| !matches!(how, b"0" | b"off"))
                || option.starts_with(b"subset=")
        };
        let on = |mount: &&Mount| mount.point == proc.as_os_str().as_bytes();
        let mounted = self.mounts.iter().rfind(on);
        mounted.is_none_or(|mount| mount.options.split(|byte| *byte == b',').any(hides))
    }
}

impl Mount {
    /// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let dash = fields.iter().skip(6).position(|field| *field == b"-")? + 6;
        let text = |field: usize| std::str::from_utf8(fields.get(field)?).ok();
        let (major, minor) = text(2)?.split_once(':')?;
        Some(Self {
            id: text(0)?.parse().ok()?,
            parent: text(1)?.parse().ok()?,
            device: rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?),
            root: unescape(fields.get(3)?),
            point: unescape(fields.get(4)?),
            kind: fields.get(dash + 1)?.to_vec(),
            options: [*fields.get(5)?, *fields.get(dash + 3)?].join(&b','),
        })
    }

    /// The path on the filesystem of what has this path among the mounts, if it lies in this one.
    pub(super) fn on_filesystem(&self, path: &[u8]) -> Option<Vec<u8>> {
        let beneath = match path.strip_prefix(self.point.as_slice())? {
            // The mount's own root, or all there is.
            beneath if beneath.is_empty() || beneath.starts_with(b"/") => beneath,
            _ if self.point == b"/" => path,
            _ => return None,
        };
        let root = self.root.strip_suffix(b"/").unwrap_or(&self.root);
        let joined = [root, beneath].concat();
        let joined = joined.strip_suffix(b"/").map(<[u8]>::to_vec).unwrap_or(joined);
        Some(if joined.is_empty() { b"/".to_vec() } else { joined })
    }

    /// The number of a mount namespace that this mount keeps.
    pub(super) fn pinned_namespace(&self) -> Option<u64> {
        let number = self.root.strip_prefix(b"mnt:[")?.strip_suffix(b"]")?;
        std::str::from_utf8(number).ok()?.parse().ok().filter(|_| self.kind == b"nsfs")
    }
}

/// Reads a path as the kernel writes it in tables, with blanks and backslashes as `\040`.
pub(super) fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'\\').then(|| std::str::from_utf8(after.get(..3)?).ok()).flatten();
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 8).ok()) {
            out.push(byte);
            rest = &after[3..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    out
}
