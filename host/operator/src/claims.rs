//! Claims of operators: if several operators watch a namespace, the one in the status of a NodeCleanup manages it.
//!
//! The Lease of its replicas identifies an operator. The other operators read that Lease, and leave the NodeCleanup
//! alone while it is renewed; clocks are not compared. An operator without a Lease cannot be observed, so it yields to
//! any operator that has one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;

use crate::reach::Sentence;

/// Interval between reads of a Lease.
const EVERY: Duration = Duration::from_secs(10);
/// Time without renewal of its Lease after which an operator counts as gone. It is longer than replacing an operator
/// takes.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// Another operator, as its Lease shows it.
struct Other {
    version: Option<String>,
    /// Time of the last observed change of the Lease.
    since: Instant,
    read: Instant,
}

/// The known Leases of other operators.
pub(crate) struct Claims {
    client: Client,
    own: String,
    others: BTreeMap<String, Other>,
}

impl Claims {
    /// Creates the claims for the operator with this name; no other operator is known yet.
    pub(crate) fn new(client: Client, own: &str) -> Self {
        Self { client, own: own.to_owned(), others: BTreeMap::new() }
    }

    /// Returns whether the claimant of a NodeCleanup is another operator that has not gone.
    pub(crate) async fn is_taken(&mut self, claimant: &str) -> bool {
        if claimant == self.own {
            return false;
        }
        let Some((namespace, name)) = claimant.split_once('/') else { return !self.own.contains('/') };
        let now = Instant::now();
        let known = self.others.get(claimant);
        if known.is_none_or(|known| known.read.elapsed() >= EVERY) {
            let api: Api<Lease> = Api::namespaced(self.client.clone(), namespace);
            let version = match api.get_opt(name).await {
                Ok(lease) => lease.and_then(|lease| lease.metadata.resource_version),
                // A Lease that cannot be read does not prove that its operator is gone.
                Err(error) => {
                    tracing::debug!("the lease {claimant} cannot be read: {}", Sentence(&error));
                    self.others.remove(claimant);
                    return true;
                }
            };
            let since = known.filter(|known| known.version == version).map_or(now, |known| known.since);
            self.others.insert(claimant.to_owned(), Other { version, since, read: now });
        }
        self.others.get(claimant).is_none_or(|other| other.since.elapsed() < GONE_AFTER)
    }
}
