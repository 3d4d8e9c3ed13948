//! `holystone validate`: reports all problems of manifests, without a node and without a cluster.

use holystone_agent::{UsageError, Validated};
use holystone_core::manifest::NodeCleanup;
use serde_json::json;

use crate::args::{OutputFormat, ValidateArguments};
use crate::exit::Exit;
use crate::output;

/// Checks manifests and prints their problems.
pub(crate) async fn validate(arguments: &ValidateArguments) -> anyhow::Result<Exit> {
    if arguments.allowed.is_given() && !arguments.cluster {
        let problem = "what NodeCleanups may ask of nodes is about clusters: add --cluster to the options --allow-…";
        return Err(UsageError::new(problem).into());
    }
    let manifests = arguments.manifests.manifests();
    let allowed = arguments.cluster.then(|| arguments.allowed.lists());
    let validated = manifests.validate(arguments.cache.directory(), allowed.as_ref(), |_| {}).await?;
    if arguments.format == OutputFormat::Table {
        let names: Vec<String> = validated.usable()?.iter().map(NodeCleanup::full_name).collect();
        output::lines(names.iter().map(|name| format!("NodeCleanup {name} is valid")))?;
        return Ok(Exit::Done);
    }
    let Validated { manifests, problems } = validated;
    let names: Vec<String> = manifests.iter().map(NodeCleanup::full_name).collect();
    let result = json!({ "valid": problems.is_empty(), "nodeCleanups": names, "problems": problems });
    output::documents(&[result], arguments.format)?;
    Ok(if problems.is_empty() { Exit::Done } else { Exit::Invalid })
}
