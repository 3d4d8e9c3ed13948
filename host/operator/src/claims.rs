//! Claims: one of several operators on a namespace looks after a NodeCleanup, the one that its status names.
//!
//! An operator is known by the Lease of its replicas. The others read that Lease, and leave the NodeCleanup alone as long
//! as it is renewed; clocks are not compared. One without a Lease cannot be seen to be there, so it makes way for any that
//! has one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::Api;

use crate::reach::Sentence;

/// The interval at which a Lease is read.
const EVERY: Duration = Duration::from_secs(10);
/// The time without renewal of its Lease after which an operator counts as gone: longer than replacing one takes.
const GONE_AFTER: Duration = Duration::from_mins(1);

/// Another operator, as far as its Lease shows it.
struct Other {
    version: Option<String>,
    /// Since when its Lease is as it is.
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
    /// For the operator of this name.
    pub(crate) fn new(client: Client, own: &str) -> Self {
        Self { client, own: own.to_owned(), others: BTreeMap::new() }
    }

    /// Returns whether another operator looks after what this one has claimed.
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
                // What cannot be read cannot be seen to be gone.
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
