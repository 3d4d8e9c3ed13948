//! The output of filesystems.

use std::io::Write;

use holystone_core::snapshot::Filesystem;
use holystone_core::text;

use super::tables::bytes;

/// Prints one line for each filesystem, under all of its names.
pub(super) fn lines(out: &mut impl Write, filesystems: &[Filesystem]) -> anyhow::Result<()> {
    for names in by_filesystem(filesystems) {
        let shown: Vec<String> = names.iter().map(|filesystem| text::shown(&filesystem.name)).collect();
        writeln!(out, "Filesystem {}: {}", shown.join(", "), disk_use(&names))?;
    }
    Ok(())
}

/// Groups the entries that are the same filesystem under several names.
fn by_filesystem(filesystems: &[Filesystem]) -> Vec<Vec<&Filesystem>> {
    let mut found: Vec<Vec<&Filesystem>> = Vec::new();
    for filesystem in filesystems {
        match found.iter_mut().find(|names| names.iter().any(|other| other.is_same(filesystem))) {
            Some(names) => names.push(filesystem),
            None => found.push(vec![filesystem]),
        }
    }
    found
}

/// Describes how full a filesystem is by bytes and, if that is more, by inodes, and the size that the runtime reports
/// for its store there.
fn disk_use(names: &[&Filesystem]) -> String {
    let measured = names.iter().find_map(|filesystem| Some((filesystem, filesystem.bytes_used()?)));
    let whole = measured.map(|(filesystem, percent)| {
        format!("{percent} % of {} in use", bytes(filesystem.capacity_bytes.unwrap_or_default()))
    });
    let inodes = measured.and_then(|(filesystem, percent)| {
        let used = filesystem.inodes_used().filter(|used| *used > percent)?;
        Some(format!("{used} % of {} inodes in use", filesystem.inodes?))
    });
    // The runtime computes its figure from time to time; until the first time, it reports 0.
    let stores = names.iter().filter_map(|filesystem| filesystem.used_bytes.filter(|used| *used > 0));
    let stores = stores.map(|used| format!("the runtime says that its store uses {}", bytes(used)));
    let parts: Vec<String> = whole.into_iter().chain(inodes).chain(stores).collect();
    if parts.is_empty() { "no figures".to_owned() } else { parts.join(", ") }
}
