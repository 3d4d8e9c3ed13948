//! `holystone render` and `holystone crd`: what goes to a cluster, with none at hand.

use holystone_core::cluster;
use holystone_core::manifest::{self, RolloutEngine};

use crate::args::{Format, RenderArguments};
use crate::exit::Exit;
use crate::output;
use crate::policy::Manifests;

/// Prints the objects that the operator would apply.
pub(crate) fn render(arguments: &RenderArguments) -> anyhow::Result<Exit> {
    let engine = arguments.engine.map(RolloutEngine::from);
    let mut manifests = Manifests::in_files(&arguments.filenames).plain(|manifest| {
        let mut manifest = manifest.clone();
        manifest.spec.rollout.engine = engine.unwrap_or(manifest.spec.rollout.engine);
        cluster::problems(&manifest)
    })?;
    let mut objects = Vec::new();
    for manifest in &mut manifests {
        manifest.spec.rollout.engine = engine.unwrap_or(manifest.spec.rollout.engine);
        let rendered = cluster::render(manifest, &arguments.image);
        objects.extend([rendered.config_map, rendered.workload]);
    }
    output::documents(&objects, arguments.format)?;
    Ok(Exit::Done)
}

/// Prints the `CustomResourceDefinition`.
pub(crate) fn crd() -> anyhow::Result<Exit> {
    output::documents(&[manifest::crd()], Format::Yaml)?;
    Ok(Exit::Done)
}
