//! Descriptors, directories, executables and mappings of processes. Threads can have descriptors, directories and a
//! mount namespace of their own. Memory belongs to the process, and exists as long as one of its threads does.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use holystone_core::logs::{FileKind, Use};
use rustix::io::Result;

use super::backing::BackingFile;
use super::{Scan, follow, follow_file, is_gone, is_number, names, open_directory, read};
use crate::mounts::{Table, unescape};

/// The state of a scan of all processes.
#[derive(Default)]
struct ProcessSweep {
    buffer: Vec<u8>,
    /// Device of namespaces.
    namespaces: Option<u64>,
    /// Mount namespaces that were read, each with the mount and inode of the root directory.
    read: HashSet<(u64, u64, u64)>,
}

/// A process under inspection.
struct Process<'a> {
    directory: BorrowedFd<'a>,
    id: &'a [u8],
    /// Name of the task under inspection.
    task: CString,
    by: Option<Arc<str>>,
}

/// Maximum number of reads of a busy ring.
const TRIES: u32 = 5;

impl Process<'_> {
    /// Returns the directory of the task in the proc filesystem.
    fn path(&self) -> String {
        format!("{}/task/{}", String::from_utf8_lossy(self.id), self.task.to_string_lossy())
    }

    /// Returns the name of the process for messages.
    fn by(&mut self) -> Arc<str> {
        let (directory, id) = (self.directory, self.id);
        let name = || {
            let mut name = Vec::new();
            let id = String::from_utf8_lossy(id);
            match read(directory, c"comm", &mut name) {
                Ok(()) => format!("process {id} ({})", String::from_utf8_lossy(name.trim_ascii_end())).into(),
                Err(_) => format!("process {id}").into(),
            }
        };
        Arc::clone(self.by.get_or_insert_with(name))
    }
}

impl Scan<'_> {
    pub(super) fn processes(&mut self, proc: BorrowedFd<'_>) -> Result<()> {
        let mut sweep = ProcessSweep {
            namespaces: follow(proc, c"self/ns/mnt").ok().map(|(device, ..)| device),
            ..ProcessSweep::default()
        };
        for id in names(proc)? {
            if is_number(id.as_bytes()) {
                let looked = self.process(proc, &id, &mut sweep);
                self.missed(looked);
            }
        }
        Ok(())
    }

    fn process(&mut self, proc: BorrowedFd<'_>, id: &CString, sweep: &mut ProcessSweep) -> Result<()> {
        let directory = open_directory(proc, id)?;
        let tasks = open_directory(directory.as_fd(), c"task")?;
        let mut process =
            Process { directory: directory.as_fd(), id: id.as_bytes(), task: CString::default(), by: None };
        let mut has_memory = false;
        for name in names(tasks.as_fd())? {
            let Ok(task) = open_directory(tasks.as_fd(), &name).inspect_err(|error| self.missed(Err(*error))) else {
                continue;
            };
            process.task = name;
            // Holystone's own descriptors on log directories do not keep a file in use.
            if id.as_bytes() != std::process::id().to_string().as_bytes() {
                let looked = self.descriptors(task.as_fd(), &mut process, sweep);
                self.missed(looked);
            }
            for (link, how) in [(c"cwd", Use::WorkingDirectory), (c"root", Use::RootDirectory)] {
                let looked = self.link(task.as_fd(), link, how, &mut process, sweep);
                self.missed(looked.map(drop));
            }
            let looked = self.namespace(task.as_fd(), &mut process, sweep);
            self.missed(looked);
            if !has_memory {
                let looked = self.memory(task.as_fd(), &mut process, &mut sweep.buffer);
                has_memory = looked.is_ok_and(|has_memory| has_memory);
                self.missed(looked.map(drop));
            }
        }
        Ok(())
    }

    fn descriptors(&mut self, task: BorrowedFd<'_>, process: &mut Process<'_>, sweep: &ProcessSweep) -> Result<()> {
        let handles = open_directory(task, c"fd")?;
        for handle in names(handles.as_fd())? {
            let looked = self.link(handles.as_fd(), &handle, Use::Descriptor, process, sweep);
            self.missed(looked.as_ref().map(drop).map_err(|error| *error));
            if looked.is_ok_and(|is_nameless| is_nameless) {
                let looked = self.registered(task, handles.as_fd(), &handle, process);
                self.missed(looked);
            }
        }
        Ok(())
    }

    /// Adds the files that `io_uring` keeps for a process, if this descriptor is a ring.
    fn registered(
        &mut self,
        task: BorrowedFd<'_>,
        handles: BorrowedFd<'_>,
        handle: &CStr,
        process: &mut Process<'_>,
    ) -> Result<()> {
        let name = rustix::fs::readlinkat(handles, handle, Vec::new())?;
        if name.to_bytes() != b"anon_inode:[io_uring]" {
            return Ok(());
        }
        let (mut text, by) = (Vec::new(), process.by());
        let path = CString::new([b"fdinfo/", handle.to_bytes()].concat()).unwrap_or_default();
        for _ in 0..TRIES {
            read(task, &path, &mut text)?;
            if let Some(paths) = registered_files(&text) {
                let kept = |path| BackingFile { path, how: Use::Descriptor, by: Arc::clone(&by) };
                self.kept.extend(paths.into_iter().map(kept));
                return Ok(());
            }
        }
        // The ring was busy each time, so the kernel did not list all of its files.
        self.found.is_complete = false;
        Ok(())
    }

    /// Adds a use of the target of a link of a process. Returns whether the target has none of the kinds that files
    /// have.
    fn link(
        &mut self,
        directory: BorrowedFd<'_>,
        link: &CStr,
        how: Use,
        process: &mut Process<'_>,
        sweep: &ProcessSweep,
    ) -> Result<bool> {
        let file = follow_file(directory, link)?;
        let (device, inode) = (file.identity.device, file.identity.inode);
        self.add(device, inode, how, || process.by());
        if Some(device) == sweep.namespaces {
            let name = rustix::fs::readlinkat(directory, link, Vec::new())?;
            if name.to_bytes().starts_with(b"mnt:[") {
                self.pinned.insert(inode);
            }
        }
        Ok(file.kind == FileKind::Other)
    }

    /// Reads the mounts of a task's mount namespace, once for each root directory that tasks have in it. A table shows
    /// only the mounts that can be reached from there: all of them if that is the root of the namespace.
    fn namespace(&mut self, task: BorrowedFd<'_>, process: &mut Process<'_>, sweep: &mut ProcessSweep) -> Result<()> {
        let (_, namespace, _) = follow(task, c"ns/mnt")?;
        let (_, inode, mount) = follow(task, c"root")?;
        self.inhabited.insert(namespace);
        if !sweep.read.insert((namespace, mount, inode)) {
            return Ok(());
        }
        read(task, c"mountinfo", &mut sweep.buffer)?;
        let (table, by, path) = (Table::parse(&sweep.buffer), process.by(), process.path());
        // A root directory that was unmounted, or lies below the namespace's root, has a partial table.
        let is_whole = rustix::fs::readlinkat(task, c"root", Vec::new())?.to_bytes() == b"/"
            && table.mounts.iter().any(|shown| shown.id == mount && shown.point == b"/");
        if is_whole {
            self.seen.insert(namespace);
        }
        self.mounted(&table, &path, &by);
        self.views.push(path);
        Ok(())
    }

    /// Adds the executable and the mappings. Returns whether the task has memory: an ended thread has none, its process
    /// may.
    fn memory(&mut self, task: BorrowedFd<'_>, process: &mut Process<'_>, buffer: &mut Vec<u8>) -> Result<bool> {
        match follow(task, c"exe") {
            Ok((device, inode, _)) => self.add(device, inode, Use::Executable, || process.by()),
            Err(error) => self.missed(Err(error)),
        }
        read(task, c"maps", buffer)?;
        let mut done = HashSet::new();
        for line in buffer.split(|byte| *byte == b'\n') {
            let Some((range, device, inode)) = mapping(line) else { continue };
            if !done.insert((device, inode)) {
                continue;
            }
            let of = |region: &super::Region<'_>| (region.filesystem == device).then_some(region.device);
            let devices: Vec<u64> = self.regions.iter().filter_map(of).collect();
            for device in devices {
                self.add(device, inode, Use::Mapping, || process.by());
            }
            if self.regions.iter().any(|region| !region.shows_mappings) {
                match CString::new([b"map_files/", range].concat()).map(|path| follow(process.directory, &path)) {
                    Ok(Ok((device, inode, _))) => self.add(device, inode, Use::Mapping, || process.by()),
                    Ok(Err(error)) if is_gone(error) => {}
                    _ => self.found.is_complete = false,
                }
            }
        }
        Ok(!buffer.is_empty())
    }
}

/// Lists the files that a ring keeps, from its `fdinfo`; returns `None` if that shows only a part. Files without a
/// path, such as sockets, are left out.
pub(super) fn registered_files(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut lines = text.split(|byte| *byte == b'\n').skip_while(|line| !line.starts_with(b"UserFiles:"));
    let count = lines.next()?.strip_prefix(b"UserFiles:")?.trim_ascii();
    let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
    let files: Vec<&[u8]> = lines.map_while(registered_file).collect();
    let paths = files.iter().filter(|path| path.starts_with(b"/")).map(|path| unescape(path)).collect();
    (files.len() == count).then_some(paths)
}

/// Parses `    0: /path`.
fn registered_file(line: &[u8]) -> Option<&[u8]> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    is_number(line[..colon].trim_ascii()).then(|| line[colon + 1..].trim_ascii())
}

/// Parses a line of `maps` into range, device and inode; returns `None` if no file is mapped.
fn mapping(line: &[u8]) -> Option<(&[u8], u64, u64)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (range, device, inode) = (fields.next()?, fields.nth(2)?, fields.next()?);
    let inode = std::str::from_utf8(inode).ok()?.parse::<u64>().ok().filter(|inode| *inode != 0)?;
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some((range, rustix::fs::makedev(number(major)?, number(minor)?), inode))
}
