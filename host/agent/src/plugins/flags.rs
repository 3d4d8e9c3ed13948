//! Plugins and their configs, as named by flags.

use std::path::Path;

use serde::de::IgnoredAny;

use super::source::Source;
use super::spec::PluginSpec;
use crate::error::UsageError;
use crate::files;

/// Pairs plugins with configs.
pub(crate) fn specs(plugins: &[String], configs: &[String]) -> anyhow::Result<Vec<PluginSpec>> {
    if configs.len() > plugins.len() {
        let problem = format!("there are {} --config for {} --plugin", configs.len(), plugins.len());
        return Err(UsageError::new(problem).into());
    }
    let configs = configs.iter().map(|config| read_config(config)).collect::<anyhow::Result<Vec<_>>>()?;
    let configs = configs.into_iter().chain(std::iter::repeat("{}".to_owned()));
    let sources = plugins.iter().map(|plugin| Source::parse(plugin));
    Ok(sources.zip(configs).map(|(source, config)| PluginSpec::of_flag(source, config)).collect())
}

/// Reads a config, given as JSON or as @FILE. Plugins get the unchanged text: parsing and writing it again would
/// silently drop one of two values of a duplicate field.
fn read_config(argument: &str) -> anyhow::Result<String> {
    let (text, origin) = match argument.strip_prefix('@') {
        Some(path) => {
            let read = files::read(Path::new(path), files::MAX_CONFIG);
            let bytes = read.map_err(|error| UsageError::new(format!("--config: {path} {error}")))?;
            let text = String::from_utf8(bytes);
            (text.map_err(|error| UsageError::new(format!("--config: {path} is not UTF-8: {error}")))?, path)
        }
        None => (argument.to_owned(), "--config"),
    };
    let checked: Result<IgnoredAny, _> = serde_json::from_str(&text);
    let Err(error) = checked else { return Ok(text) };
    // YAML needs fewer quotes, and reports a duplicate field as an error.
    if let Ok(config) = serde_saphyr::from_str::<serde_json::Value>(&text)
        && config.is_object()
    {
        return Ok(config.to_string());
    }
    let hint = match text.trim() {
        text if origin == "--config" && is_file_name(text) => format!("; to read a file write @{text}"),
        text if text.starts_with("{'") => "; JSON has double quotes, in a shell: --config '{\"field\": 1}'".to_owned(),
        _ => String::new(),
    };
    Err(UsageError::new(format!("{origin} is not JSON: {error}{hint}")).into())
}

fn is_file_name(text: &str) -> bool {
    let endings = [".json", ".yaml", ".yml"];
    !text.contains(char::is_whitespace) && endings.iter().any(|ending| text.ends_with(ending))
}
