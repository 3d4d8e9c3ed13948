//! Reading the files that a user names: whole, regular files of a bounded size, and nothing that a process could wait
//! for or fill its memory with (pipes, devices, directories).

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// A plugin's config: JSON that a person wrote.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;
/// A recorded node. Ten thousand images take 10 MB.
pub(crate) const MAX_SNAPSHOT: u64 = 256 << 20;

/// Why a file is not read. Completes a sentence that begins with the file's name.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// The system says no.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Not a regular file.
    #[error("is {0}, not a regular file")]
    NotAFile(&'static str),
    /// More than may be read.
    #[error("has more than {} MiB, which is the most that is read", .0 >> 20)]
    TooLarge(u64),
}

/// Reads a regular file of at most so many bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    // Looked at first, because opening alone has an effect on some devices; and again once it is open, because it may
    // have been replaced. Opening a pipe would wait for somebody to write to it.
    check(&std::fs::metadata(path)?, limit)?;
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    check(&file.metadata()?, limit)?;
    whole(file, limit)
}

/// Reads standard input to its end, at most so many bytes.
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

/// Files grow while they are read, and some do not tell their size: what counts is what comes.
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
