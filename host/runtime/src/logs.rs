//! A plugin's calls about log directories, on their way to a [`EntrySource`].
//!
//! The answers take system calls, so they are computed on threads that may block. A plugin whose time is up does not
//! wait for them: a call in progress ends by itself, because one batch is a bounded piece of work.

use std::sync::Arc;

use holystone_core::logs::{Batch, EntrySource, EntryWalk, FileEntry, GlobCounts, LogPath, LogsError, WalkOptions};

use crate::v0_1::Messages;

/// A walk that a plugin has opened.
pub(crate) struct OpenWalk {
    /// The walk; `None` once it is over.
    under_way: Option<Box<dyn EntryWalk>>,
    counts: GlobCounts,
    messages: Messages,
}

impl Drop for OpenWalk {
    fn drop(&mut self) {
        if let Some(walk) = &self.under_way {
            self.messages.report(walk.as_ref());
        }
    }
}

impl Messages {
    /// Logs the parts that a walk could not read. Repeated walks of a plugin log no more than its limit of messages.
    fn report(&self, walk: &dyn EntryWalk) {
        for gap in walk.gaps() {
            self.warn(&gap);
        }
    }
}

/// Starts a walk.
pub(crate) async fn open(
    source: &Arc<dyn EntrySource>,
    root: String,
    options: WalkOptions,
    messages: Messages,
) -> HostResult<OpenWalk> {
    let source = Arc::clone(source);
    let opened = blocking(move || source.open(&root, options)).await?;
    Ok(opened.map(|walk| OpenWalk { counts: walk.counts(), under_way: Some(walk), messages }))
}

/// Reads from a file.
pub(crate) async fn read(
    source: &Arc<dyn EntrySource>,
    root: String,
    path: LogPath,
    offset: u64,
    most: usize,
) -> HostResult<Vec<u8>> {
    let source = Arc::clone(source);
    blocking(move || source.read(&root, &path, offset, most)).await
}

impl OpenWalk {
    /// Returns the number of matches of each glob so far.
    pub(crate) fn counts(&self) -> &GlobCounts {
        &self.counts
    }

    /// Returns the next entries; none when the walk is over.
    pub(crate) async fn next(&mut self, most: usize) -> HostResult<Vec<FileEntry>> {
        while let Some(mut walk) = self.under_way.take() {
            let (walk, batch) = blocking(move || {
                let batch = walk.next(most);
                (walk, batch)
            })
            .await?;
            self.counts = walk.counts();
            let Batch { entries, is_over } = match batch {
                Ok(batch) => batch,
                Err(error) => {
                    self.under_way = Some(walk);
                    return Ok(Err(error));
                }
            };
            if is_over {
                self.messages.report(walk.as_ref());
            } else {
                self.under_way = Some(walk);
            }
            if !entries.is_empty() {
                return Ok(Ok(entries));
            }
        }
        Ok(Ok(Vec::new()))
    }
}

/// The answer of a host function: the outer error ends the plugin.
type HostResult<T> = wasmtime::Result<Result<T, LogsError>>;

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> wasmtime::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| wasmtime::Error::msg(format!("the host failed to look at log directories: {error}")))
}
