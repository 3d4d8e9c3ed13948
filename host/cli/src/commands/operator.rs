//! `holystone operator`: carries out the NodeCleanups of a cluster.

use std::sync::Arc;

use holystone_agent::http::{self, Answers};
use holystone_agent::prometheus::{Page, count, resident_bytes, seconds};
use holystone_agent::{CacheDir, Checker, notices_of_manifest};
use holystone_core::manifest;
use holystone_core::manifest::status::NodeCleanupStatus;
use holystone_core::text;
use holystone_operator::{
    Ask, Lease, MOST_ANSWER, Operator, OperatorHealth, Settings, SpecCheck, Watcher, Whereabouts, lease,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::OperatorArguments;
use crate::exit::Exit;

/// Runs the operator until a stop is requested or the lease is lost.
pub(crate) async fn operator(arguments: &OperatorArguments) -> anyhow::Result<Exit> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let client = holystone_operator::connect().await?;
    let host_name = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let identity = arguments.identity.clone().filter(|name| !name.is_empty()).unwrap_or_else(host_name);
    let lease = arguments.lease_namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let installation = lease.map_or_else(|| identity.clone(), |namespace| format!("{namespace}/{}", lease::NAME));
    let operator = Operator::new(
        client.clone(),
        Settings {
            namespace: arguments.namespace.clone(),
            image: arguments.image.clone(),
            allowed: arguments.allowed.lists(),
            identity: identity.clone(),
            installation,
            ask: ask(),
            check: check(),
        },
    );
    if let Some(address) = arguments.listen.address() {
        tokio::spawn(http::serve(http::listen(address).await?, Arc::new(HealthPages(operator.watcher()))));
    }
    let mut lease = lease.map(|namespace| Lease::new(client, namespace, &identity));
    let watcher = operator.watcher();
    let work = async {
        if let Some(lease) = &mut lease {
            lease.acquire().await;
            watcher.lead(true);
            tracing::info!("{identity} acts");
            tokio::select! {
                lost = lease.keep() => Err(anyhow::Error::from(lost)),
                () = operator.run() => Ok(()),
            }
        } else {
            watcher.lead(true);
            operator.run().await;
            Ok(())
        }
    };
    let ended = tokio::select! {
        ended = Box::pin(work) => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    };
    if let (Ok(()), Some(lease)) = (&ended, &lease) {
        lease.release().await;
    }
    ended.map(|()| Exit::Done)
}

/// Builds the check of plugins and log roots, which is that of every command that reads manifests. Plugins that do not
/// come with Holystone are not available here.
fn check() -> SpecCheck {
    let checker = Arc::new(Checker::new(CacheDir::Nowhere));
    Arc::new(move |object| {
        let checker = Arc::clone(&checker);
        Box::pin(async move {
            let draft = manifest::draft_of(&object);
            if let Some(manifest) = &draft.manifest {
                for notice in notices_of_manifest(manifest) {
                    tracing::warn!("{}: {notice}", text::shown(&manifest.full_name()));
                }
            }
            checker.problems_of_builtins(&draft).await.unwrap_or_else(|error| {
                tracing::warn!("plugins cannot be checked: {error:#}");
                Vec::new()
            })
        })
    })
}

/// Builds the function that asks a daemon for its latest run, over the same HTTP server that serves all clients.
fn ask() -> Ask {
    Arc::new(|Whereabouts { address, .. }: Whereabouts| {
        Box::pin(async move {
            let answer = http::get(address, "/status?runs=1", MOST_ANSWER).await;
            answer.map(|bytes| bytes.to_vec()).map_err(|error| format!("{error:#}"))
        })
    })
}

/// The answers of the operator to HTTP requests.
struct HealthPages(Watcher);

impl Answers for HealthPages {
    fn is_alive(&self) -> bool {
        self.0.is_alive()
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    fn metrics(&self) -> String {
        metrics(&self.0.health())
    }
}

/// A metric family: name, help text, and the function that reads the value of a NodeCleanup.
type GaugeFamily = (&'static str, &'static str, fn(&NodeCleanupStatus) -> Option<f64>);

const FAMILIES: [GaugeFamily; 10] = [
    ("holystone_nodecleanup_ready", "Whether the cluster does what the spec says.", |status| {
        let ready = status.conditions.iter().find(|condition| condition.kind == "Ready");
        ready.map(|ready| f64::from(u8::from(ready.status == "True")))
    }),
    ("holystone_nodecleanup_last_run_timestamp_seconds", "When the last run began.", |status| {
        status.last_run.as_ref()?.started_at.map(seconds)
    }),
    ("holystone_nodecleanup_next_schedule_timestamp_seconds", "When the next run is due.", |status| {
        status.next_schedule_time.map(seconds)
    }),
    ("holystone_nodecleanup_planned", "What the last run would remove; of dry runs only.", |status| {
        status.last_run.as_ref()?.planned.map(count)
    }),
    (
        "holystone_nodecleanup_size_planned_bytes",
        "Sizes of what the last run would remove; of dry runs only.",
        |status| status.last_run.as_ref()?.size_planned_bytes.map(count),
    ),
    ("holystone_nodecleanup_removed", "What the last run removed, images and log files.", |status| {
        status.last_run.as_ref().map(|run| count(run.removed))
    }),
    ("holystone_nodecleanup_refused", "Wishes that the guard rails refused in the last run.", |status| {
        status.last_run.as_ref().map(|run| count(run.refused))
    }),
    ("holystone_nodecleanup_failed", "Removals that failed in the last run.", |status| {
        status.last_run.as_ref().map(|run| count(run.failed))
    }),
    (
        "holystone_nodecleanup_size_removed_bytes",
        "Sizes of what the last run removed; not what the disks gained.",
        |status| status.last_run.as_ref().map(|run| count(run.size_removed_bytes)),
    ),
    (
        "holystone_nodecleanup_filesystem_freed_bytes",
        "What filesystems gained in the last run, measured before and after; nodes that cannot measure it are left out.",
        |status| {
            let freed = status.last_run.as_ref()?.filesystem_freed_bytes?;
            Some(if freed < 0 { -count(freed.unsigned_abs()) } else { count(freed.unsigned_abs()) })
        },
    ),
];

fn metrics(health: &OperatorHealth) -> String {
    let mut page = Page::default();
    page.family("holystone_build_info", "gauge", "Version of Holystone.");
    page.value("holystone_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    if let Some(bytes) = resident_bytes() {
        page.family("process_resident_memory_bytes", "gauge", "Memory that is resident.");
        page.value("process_resident_memory_bytes", &[], bytes);
    }
    page.family("holystone_operator_leader", "gauge", "Whether this replica is the one that acts.");
    page.value("holystone_operator_leader", &[], f64::from(u8::from(health.is_leader)));
    page.family("holystone_operator_reconciles_total", "counter", "How often NodeCleanups were looked at.");
    page.value("holystone_operator_reconciles_total", &[("result", "done")], count(health.done));
    page.value("holystone_operator_reconciles_total", &[("result", "failed")], count(health.failed));
    page.family("holystone_operator_node_cleanups", "gauge", "NodeCleanups that are looked after.");
    page.value("holystone_operator_node_cleanups", &[], count(health.cleanups.len() as u64));
    for (name, help, figure) in FAMILIES {
        page.family(name, "gauge", help);
        for ((namespace, cleanup), status) in &health.cleanups {
            if let Some(value) = figure(status) {
                page.value(name, &[("namespace", namespace), ("name", cleanup)], value);
            }
        }
    }
    let name = "holystone_nodecleanup_nodes";
    page.family(name, "gauge", "Nodes of the last run, by what came of it there.");
    for ((namespace, cleanup), status) in &health.cleanups {
        let Some(run) = &status.last_run else { continue };
        let nodes = &run.nodes;
        for (state, number) in [
            ("desired", nodes.desired),
            ("waiting", nodes.waiting),
            ("succeeded", nodes.succeeded),
            ("failed", nodes.failed),
            ("skipped", nodes.skipped),
        ] {
            page.value(name, &[("namespace", namespace), ("name", cleanup), ("state", state)], f64::from(number));
        }
    }
    let name = "holystone_nodecleanup_refusals";
    page.family(name, "gauge", "Wishes that the guard rails refused in the last run, by the code of the reason.");
    for ((namespace, cleanup), status) in &health.cleanups {
        for refusal in status.last_run.iter().flat_map(|run| &run.refusals) {
            let figure = count(refusal.count);
            page.value(name, &[("namespace", namespace), ("name", cleanup), ("code", &refusal.code)], figure);
        }
    }
    page.text()
}
