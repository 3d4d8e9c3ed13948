//! The source of a plugin: its bytes, and the JSON Schema of its config.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use holystone_core::text;
use holystone_runtime::limits::MAX_COMPONENT;

use crate::builtin::{self, Builtin};
use crate::files;

/// The source of a plugin.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The name of a builtin, which is in the binary.
    Builtin(String),
    /// The path of a component.
    File(PathBuf),
}

impl Source {
    /// Parses the value of a flag: `builtin:NAME`, or a path.
    pub(crate) fn parse(text: &str) -> Self {
        match text.strip_prefix("builtin:") {
            Some(name) => Self::Builtin(name.to_owned()),
            None => Self::File(text.into()),
        }
    }

    /// Returns a name for reports: that of the builtin, or that of the file without its extension.
    pub(crate) fn name(&self) -> String {
        match self {
            // The name is not shortened, because confirmations and reports distinguish plugins by it.
            Self::Builtin(name) => text::escaped(name).into_owned(),
            Self::File(path) => {
                text::escaped(&path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy()).into_owned()
            }
        }
    }

    /// Formats the source for people.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Builtin(name) => format!("builtin:{}", text::shown(name)),
            Self::File(path) => shown(path),
        }
    }

    /// Reads the component.
    ///
    /// # Errors
    /// When the component cannot be read, with a sentence that says why.
    pub(crate) fn bytes(&self) -> Result<Cow<'static, [u8]>, String> {
        match self {
            Self::Builtin(name) => {
                builtin::find(name).map(|builtin| Cow::Borrowed(builtin.component)).ok_or_else(|| {
                    let all: Vec<&str> = builtin::names().collect();
                    format!("there is no builtin of this name; the builtins are: {}", all.join(", "))
                })
            }
            Self::File(path) => files::read(path, MAX_COMPONENT as u64)
                .map(Cow::Owned)
                .map_err(|error| format!("{} {error}", shown(path))),
        }
    }

    /// Reads the JSON Schema of the config: a builtin has one in the binary, `cleaner.wasm` in `cleaner.schema.json`
    /// beside it.
    ///
    /// # Errors
    /// When there is one that cannot be read, with a sentence that says why.
    pub(crate) fn schema(&self) -> Result<Option<Schema>, String> {
        let path = match self {
            Self::Builtin(name) => {
                let schema = |builtin: &Builtin| Schema { text: builtin.schema.into(), place: self.shown() };
                return Ok(builtin::find(name).map(schema));
            }
            Self::File(path) => path.with_extension("schema.json"),
        };
        if !path.exists() {
            return Ok(None);
        }
        let place = shown(&path);
        match files::read(&path, files::MAX_CONFIG) {
            Ok(bytes) => Ok(Some(Schema { text: String::from_utf8_lossy(&bytes).into_owned().into(), place })),
            Err(error) => Err(format!("the schema of its config, {place}, {error}")),
        }
    }
}

/// The JSON Schema of a config, unparsed.
pub(crate) struct Schema {
    pub(crate) text: Cow<'static, str>,
    /// The location of the schema, for people.
    pub(crate) place: String,
}

fn shown(path: &Path) -> String {
    text::shown(&path.display().to_string())
}
