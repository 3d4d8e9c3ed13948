//! Reading of files that a user names. Only whole, regular files of a bounded size are read; pipes, devices and
//! directories are rejected, because a process could wait for them or fill its memory with them.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// The largest config of a plugin, in bytes: JSON that a person wrote.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;
/// The largest recorded snapshot, in bytes. Ten thousand images take 10 MB.
pub(crate) const MAX_SNAPSHOT: u64 = 256 << 20;

/// The reason why a file is not read. The message completes a sentence that begins with the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// An error of the operating system.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A file that is not regular.
    #[error("is {0}, not a regular file")]
    NotAFile(&'static str),
    /// A file above the limit, in bytes.
    #[error("has more than {} MiB, which is the most that is read", .0 >> 20)]
    TooLarge(u64),
}

/// Reads a regular file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    // The file is checked before it is opened, because opening alone has an effect on some devices, and again once it
    // is open, because it may have been replaced. A blocking open of a pipe would wait for a writer.
    check(&std::fs::metadata(path)?, limit)?;
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    check(&file.metadata()?, limit)?;
    whole(file, limit)
}

/// Reads standard input to its end, at most `limit` bytes.
pub(crate) fn standard_input(limit: u64) -> Result<Vec<u8>, FileError> {
    whole(io::stdin().lock(), limit)
}

fn check(metadata: &std::fs::Metadata, limit: u64) -> Result<(), FileError> {
    let kind = metadata.file_type();
    if kind.is_file() {
        return if metadata.len() > limit { Err(FileError::TooLarge(limit)) } else { Ok(()) };
    }
    Err(FileError::NotAFile(match kind {
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    }))
}

/// Reads a source to its end, at most `limit` bytes. The reported size does not count: files grow while they are read,
/// and some report none.
fn whole(source: impl Read, limit: u64) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(FileError::TooLarge(limit)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::{FileError, read, whole};

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(matches!(read(&path, 4), Err(FileError::TooLarge(4))));
    }

    #[test]
    fn what_claims_no_size_is_bounded_all_the_same() {
        assert!(matches!(whole(std::io::repeat(0), 1000), Err(FileError::TooLarge(1000))));
        // A file of no size, with content.
        assert!(matches!(read("/proc/self/status".as_ref(), 10), Err(FileError::TooLarge(10))));
    }

    #[test]
    fn only_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        mkfifoat(CWD, path("pipe"), Mode::RUSR).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        for (path, what) in [
            (path("."), "is a directory"),
            (path("pipe"), "is a pipe"),
            (path("socket"), "is a socket"),
            ("/dev/zero".into(), "is a device"),
            (path("missing"), "cannot be read: No such file"),
        ] {
            let problem = read(&path, 1000).unwrap_err().to_string();
            assert!(problem.starts_with(what), "{problem}");
        }
    }
}
