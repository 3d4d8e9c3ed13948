//! `holystone render` and `holystone crd`: print the objects for a cluster, without access to one.

use holystone_agent::{CacheDir, Manifests};
use holystone_core::cluster::{self, Site};
use holystone_core::manifest::{self, NodeCleanup, RolloutEngine};

use crate::args::{OutputFormat, RenderArguments};
use crate::exit::Exit;
use crate::output;

/// Prints the objects that the operator would apply.
pub(crate) async fn render(arguments: &RenderArguments) -> anyhow::Result<Exit> {
    let engine = arguments.engine.map(RolloutEngine::from);
    let adapt = |manifest: &mut NodeCleanup| {
        manifest.spec.rollout.engine = engine.unwrap_or(manifest.spec.rollout.engine);
    };
    let allowed = arguments.allowed.lists();
    let manifests = Manifests { filenames: arguments.filenames.clone(), ..Manifests::default() };
    let manifests = manifests.validate(CacheDir::Usual, Some(&allowed), adapt).await?.usable()?;
    let mut objects = Vec::new();
    for manifest in &manifests {
        let rendered = cluster::render(manifest, Site { image: &arguments.image, allowed: &allowed });
        objects.extend([rendered.config_map, rendered.workload]);
    }
    output::documents(&objects, arguments.format)?;
    Ok(Exit::Done)
}

/// Prints the `CustomResourceDefinition`.
pub(crate) fn crd() -> anyhow::Result<Exit> {
    output::documents(&[manifest::crd()], OutputFormat::Yaml)?;
    Ok(Exit::Done)
}
