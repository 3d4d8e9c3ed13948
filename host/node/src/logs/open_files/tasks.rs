//! Descriptors, directories, executables and mappings of processes. Threads may have descriptors, directories and a
//! mount namespace of their own; memory is that of the process, and is there as long as one of its threads is.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use holystone_core::logs::Use;
use rustix::io::Result;

use super::{Scan, follow, is_gone, is_number, names, open_directory, read};
use crate::mounts::Table;

/// What is kept while all processes are looked at.
#[derive(Default)]
struct Sweep {
    buffer: Vec<u8>,
    /// The device of namespaces.
    namespaces: Option<u64>,
    /// The mount namespaces that were read, each with the root directories from which.
    read: HashSet<(u64, u64, u64)>,
}

/// A process that is being looked at.
struct Process<'a> {
    directory: BorrowedFd<'a>,
    id: &'a [u8],
    by: Option<Arc<str>>,
}

impl Process<'_> {
    /// What to call it in a sentence.
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
        let mut sweep =
            Sweep { namespaces: follow(proc, c"self/ns/mnt").ok().map(|(device, ..)| device), ..Sweep::default() };
        for id in names(proc)? {
            if is_number(id.as_bytes()) {
                let looked = self.process(proc, &id, &mut sweep);
                self.missed(looked);
            }
        }
        Ok(())
    }

    fn process(&mut self, proc: BorrowedFd<'_>, id: &CString, sweep: &mut Sweep) -> Result<()> {
        let directory = open_directory(proc, id)?;
        let tasks = open_directory(directory.as_fd(), c"task")?;
        let mut process = Process { directory: directory.as_fd(), id: id.as_bytes(), by: None };
        let mut has_memory = false;
        for task in names(tasks.as_fd())? {
            let Ok(task) = open_directory(tasks.as_fd(), &task).inspect_err(|error| self.missed(Err(*error))) else {
                continue;
            };
            // Our own handles on log directories are none that keep a file.
            if id.as_bytes() != std::process::id().to_string().as_bytes() {
                let looked = self.descriptors(task.as_fd(), &mut process, sweep);
                self.missed(looked);
            }
            for (link, how) in [(c"cwd", Use::WorkingDirectory), (c"root", Use::RootDirectory)] {
                let looked = self.link(task.as_fd(), link, how, &mut process, sweep);
                self.missed(looked);
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

    fn descriptors(&mut self, task: BorrowedFd<'_>, process: &mut Process<'_>, sweep: &Sweep) -> Result<()> {
        let handles = open_directory(task, c"fd")?;
        for handle in names(handles.as_fd())? {
            let looked = self.link(handles.as_fd(), &handle, Use::Descriptor, process, sweep);
            self.missed(looked);
        }
        Ok(())
    }

    fn link(
        &mut self,
        directory: BorrowedFd<'_>,
        link: &CStr,
        how: Use,
        process: &mut Process<'_>,
        sweep: &Sweep,
    ) -> Result<()> {
        let (device, inode, _) = follow(directory, link)?;
        self.add(device, inode, how, || process.by());
        if Some(device) == sweep.namespaces {
            let name = rustix::fs::readlinkat(directory, link, Vec::new())?;
            if name.to_bytes().starts_with(b"mnt:[") {
                self.pinned.insert(inode);
            }
        }
        Ok(())
    }

    /// Reads the mounts of a task's mount namespace, once for each root directory that tasks have in it: a table shows
    /// only what can be reached from there.
    fn namespace(&mut self, task: BorrowedFd<'_>, process: &mut Process<'_>, sweep: &mut Sweep) -> Result<()> {
        let (_, namespace, _) = follow(task, c"ns/mnt")?;
        let (_, inode, mount) = follow(task, c"root")?;
        self.seen.insert(namespace);
        if !sweep.read.insert((namespace, mount, inode)) {
            return Ok(());
        }
        read(task, c"mountinfo", &mut sweep.buffer)?;
        let by = process.by();
        self.mounted(&Table::parse(&sweep.buffer), &by);
        self.views.push((process.id.to_owned(), by));
        Ok(())
    }

    /// Adds the executable and what is mapped. Whether there is memory: a thread that has ended has none, its process may.
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

/// The range, device and inode of a line of `maps`, if a file is mapped.
fn mapping(line: &[u8]) -> Option<(&[u8], u64, u64)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let (range, device, inode) = (fields.next()?, fields.nth(2)?, fields.next()?);
    let inode = std::str::from_utf8(inode).ok()?.parse::<u64>().ok().filter(|inode| *inode != 0)?;
    let (major, minor) = std::str::from_utf8(device).ok()?.split_once(':')?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    Some((range, rustix::fs::makedev(number(major)?, number(minor)?), inode))
}
