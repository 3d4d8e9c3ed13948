//! The texts of manifests, and their files.

use std::path::{Path, PathBuf};

use holystone_core::manifest::{self, Draft, MAX_LENGTH, Problem, Text};
use holystone_core::{digest, text};

use crate::error::UsageError;
use crate::files;

/// The shown length of a digest.
const SHOWN_OF_DIGEST: usize = "sha256:".len() + 16;
/// The extensions of the files that are read from a directory.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// The extension of a plugin's config schema, which is not read from a directory.
const SCHEMA_ENDING: &str = ".schema.json";

/// A text with manifests, and the directory that its relative paths start at.
pub(super) struct ManifestFile {
    pub(super) origin: String,
    directory: PathBuf,
    text: String,
    /// Set when the file was found in a directory and not named itself.
    is_listed: bool,
}

impl ManifestFile {
    fn as_text(&self) -> Text<'_> {
        Text { origin: &self.origin, text: &self.text, skips_others: self.is_listed }
    }
}

/// Reads every file that may hold manifests. `digest` is the digest that the one file must have.
///
/// # Errors
/// When a file cannot be read at all, or has another digest, as wrong usage.
pub(super) fn read_all(filenames: &[PathBuf], digest: Option<&str>) -> anyhow::Result<Vec<ManifestFile>> {
    let mut files = Vec::new();
    for path in filenames {
        if path.as_os_str() == "-" {
            let bytes = files::standard_input(MAX_LENGTH as u64);
            files.push(file("standard input".to_owned(), Path::new("."), bytes)?);
        } else if path.is_dir() {
            let Entries { manifests, schemas } = entries(path)?;
            schemas.iter().filter(|schema| !has_component(schema)).for_each(|schema| note_schema(schema));
            for path in manifests {
                files.push(ManifestFile { is_listed: true, ..read_file(&path)? });
            }
        } else {
            files.push(read_file(path)?);
        }
    }
    if let Some(digest) = digest {
        is_the_one(&files, digest)?;
    }
    Ok(files)
}

/// Lists the files that manifests are read from now, without standard input.
pub(super) fn paths(filenames: &[PathBuf]) -> Vec<PathBuf> {
    let of = |path: &PathBuf| match entries(path) {
        Ok(Entries { manifests, .. }) => manifests,
        Err(_) => vec![path.clone()],
    };
    filenames.iter().filter(|path| path.as_os_str() != "-").flat_map(of).collect()
}

/// Parses the documents of these files. Other documents in a directory are skipped with a note; if there are only such
/// documents, that is a problem.
pub(super) fn drafts(files: &[ManifestFile]) -> (Vec<Draft<'_>>, Vec<Problem>) {
    let texts: Vec<Text<'_>> = files.iter().map(ManifestFile::as_text).collect();
    let notes = manifest::skipped(&texts);
    for note in &notes {
        tracing::warn!("-f: {note}");
    }
    let (drafts, mut problems) = manifest::drafts(&texts);
    if drafts.is_empty() && problems.is_empty() && !notes.is_empty() {
        problems.push(manifest::nothing());
    }
    (drafts, problems)
}

/// Returns the directory that relative paths of a text start at.
pub(super) fn directory_of<'a>(origin: &str, files: &'a [ManifestFile]) -> &'a Path {
    let file = files.iter().find(|file| file.origin == origin);
    file.map_or(Path::new("."), |file| &file.directory)
}

/// Sorts problems by file and line.
pub(super) fn in_order(mut problems: Vec<Problem>, files: &[ManifestFile]) -> Vec<Problem> {
    let place = |problem: &Problem| files.iter().position(|file| file.origin == problem.origin);
    problems.sort_by_key(|problem| (place(problem), problem.line));
    problems
}

fn read_file(path: &Path) -> anyhow::Result<ManifestFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    file(path.display().to_string(), directory, files::read(path, MAX_LENGTH as u64))
}

fn file(origin: String, directory: &Path, bytes: Result<Vec<u8>, files::FileError>) -> anyhow::Result<ManifestFile> {
    let bytes = bytes.map_err(|error| UsageError::new(format!("-f: {origin} {error}")))?;
    let text =
        String::from_utf8(bytes).map_err(|error| UsageError::new(format!("-f: {origin} is not UTF-8: {error}")))?;
    Ok(ManifestFile { origin, directory: directory.to_owned(), text, is_listed: false })
}

/// Checks that there is a single file, with this digest. In a pod, another ConfigMap may have replaced the intended
/// one.
fn is_the_one(files: &[ManifestFile], digest: &str) -> anyhow::Result<()> {
    let [file] = files else {
        let problem = format!("--manifest-digest is about one file, and -f names {}", files.len());
        return Err(UsageError::new(problem).into());
    };
    let found = digest::of(file.text.as_bytes());
    if found == digest {
        return Ok(());
    }
    // A termination message has room for few bytes.
    let short = |digest: &str| digest.chars().take(SHOWN_OF_DIGEST).collect::<String>();
    let problem = format!(
        "-f: {} was changed: --manifest-digest asks for {}…, and it has {}…; nothing is done; on a cluster, delete the \
         ConfigMap, and the operator makes it again",
        file.origin,
        short(digest),
        short(&found)
    );
    Err(UsageError::new(problem).into())
}

/// The files of a directory, by name.
#[derive(Default)]
struct Entries {
    manifests: Vec<PathBuf>,
    /// Schemas of plugin configs, which lie beside the plugins.
    schemas: Vec<PathBuf>,
}

/// Lists the manifests and the schemas of a directory. Hidden entries, which every volume that Kubernetes mounts has,
/// are skipped.
fn entries(directory: &Path) -> anyhow::Result<Entries> {
    let unreadable =
        |error: std::io::Error| UsageError::new(format!("-f: {} cannot be read: {error}", directory.display()));
    let mut entries = Entries::default();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = path.extension().is_some_and(|ending| ENDINGS.iter().any(|wanted| ending == *wanted));
        if !wanted || hidden || path.is_dir() {
            continue;
        }
        let is_schema = path.as_os_str().as_encoded_bytes().ends_with(SCHEMA_ENDING.as_bytes());
        let list = if is_schema { &mut entries.schemas } else { &mut entries.manifests };
        list.push(path);
    }
    if entries.manifests.is_empty() {
        let problem = format!(
            "-f: {} has no file that ends in .yaml, .yml or .json, besides {SCHEMA_ENDING}",
            directory.display()
        );
        return Err(UsageError::new(problem).into());
    }
    entries.manifests.sort();
    entries.schemas.sort();
    Ok(entries)
}

/// Returns whether the plugin of a schema lies beside it.
fn has_component(schema: &Path) -> bool {
    // First `cleaner.schema`, then `cleaner.wasm`.
    schema.with_extension("").with_extension("wasm").exists()
}

fn note_schema(schema: &Path) {
    tracing::warn!(
        "-f: {}: by its name the JSON Schema of a plugin's config, not a NodeCleanup: skipped; give the file itself to -f to have it read",
        text::shown(&schema.display().to_string())
    );
}
