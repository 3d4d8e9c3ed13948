//! Results of the last runs, from the daemons of a DaemonSet. The pods of daemons never end, so no other source reports
//! them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use holystone_core::cluster::{DAEMON_PORT, NodeResult, NodeState, NodeSummary};
use holystone_core::daemon::status::Status;

use crate::mirror::{DaemonPod, ObjectRef};

/// A daemon to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// Name of its pod.
    pub pod: String,
    /// Address and port on the network of pods.
    pub address: SocketAddr,
}

/// The function that gets `/status?runs=1` of a daemon.
pub type Ask = Arc<dyn Fn(Whereabouts) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync>;

/// Number of daemons that are asked at a time.
const AT_A_TIME: usize = 32;
/// Maximum size of an answer that is read, in bytes. An answer with a single run takes some thousand.
pub const MOST_ANSWER: usize = 64 << 10;
/// Time limit for the answer of one daemon.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks all daemons of a NodeCleanup. A daemon that does not answer counts as silent.
pub(crate) async fn ask(
    key: &ObjectRef,
    daemons: BTreeMap<String, DaemonPod>,
    ask: &Ask,
) -> BTreeMap<String, NodeState> {
    let name = key.to_string();
    let asked = stream::iter(daemons).map(|(pod, daemon)| {
        let (name, ask) = (name.clone(), Arc::clone(ask));
        async move {
            let state = one(&name, &pod, &daemon, &ask).await;
            (pod, state)
        }
    });
    asked.buffer_unordered(AT_A_TIME).collect().await
}

async fn one(name: &str, pod: &str, daemon: &DaemonPod, ask: &Ask) -> NodeState {
    let state = |word| NodeState { node: daemon.node.clone(), times: None, word };
    let Some(address) = daemon.address.as_ref().and_then(|address| address.parse().ok()) else {
        return state(NodeResult::Idle);
    };
    let whereabouts = Whereabouts { pod: pod.to_owned(), address: SocketAddr::new(address, DAEMON_PORT) };
    let answer = tokio::time::timeout(PATIENCE, ask(whereabouts)).await;
    let status = match answer {
        Ok(Ok(bytes)) if bytes.len() > MOST_ANSWER => {
            let message = format!("the daemon answers with more than {} KiB", MOST_ANSWER >> 10);
            return state(NodeResult::Silent(message));
        }
        Ok(Ok(bytes)) => serde_json::from_slice::<Status>(&bytes),
        Ok(Err(_)) | Err(_) => return state(NodeResult::Silent("the daemon does not answer".to_owned())),
    };
    let Ok(status) = status else {
        return state(NodeResult::Silent("the daemon answers with what is no status".to_owned()));
    };
    let Some(charged) = status.node_cleanups.into_iter().find(|charged| charged.name == name) else {
        return state(NodeResult::Idle);
    };
    match charged.runs.into_iter().next() {
        Some(run) => NodeState {
            times: Some((run.record.started_at, run.record.finished_at)),
            ..state(NodeResult::Ended(Box::new(NodeSummary::of(run.record.brief))))
        },
        None if charged.state == "Running" => state(NodeResult::Active),
        None => state(NodeResult::Idle),
    }
}
