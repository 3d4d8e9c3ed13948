//! Agreement of replicas on the one that acts, by a Lease, as in Kubernetes' own controllers.
//!
//! Clocks are not compared: a lease expires if this replica has seen no renewal for the whole duration of the lease.
//! Every write names the version that it replaces, so if two replicas write at once, only one succeeds.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};
use kube::{Client, Error};

use crate::reach::{Sentence, Trouble, is_away};

/// The name of the Lease.
pub const NAME: &str = "holystone-operator";
/// Duration of a lease without renewal.
const DURATION: Duration = Duration::from_secs(15);
/// Interval between renewals, or between looks at the lease of another replica.
const EVERY: Duration = Duration::from_secs(5);
/// Time without renewal after which the lease counts as lost, well before other replicas may take it.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// The reason why this replica does not act any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// A lease that another replica has.
    #[error("the lease {NAME} has gone to {0}")]
    Taken(String),
    /// A lease that could not be renewed in time.
    #[error("the lease {NAME} could not be renewed for {seconds} seconds: {0}", seconds = LOST_AFTER.as_secs())]
    NotRenewed(String),
}

/// The lease of one replica.
pub struct Lease {
    api: Api<Object>,
    identity: String,
    seen: Option<SeenLease>,
}

/// A version of the Lease, and the time when it was first seen.
struct SeenLease {
    version: Option<String>,
    since: Instant,
}

/// The next step for a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseStep {
    /// A write, because the Lease is free, expired, or held by this replica.
    Write,
    /// A wait, because another replica holds the Lease.
    Wait,
}

impl Lease {
    /// Creates the lease of the replica with this name.
    pub fn new(client: Client, namespace: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), identity: identity.to_owned(), seen: None }
    }

    /// Waits until this replica holds the lease.
    pub async fn acquire(&mut self) {
        let mut trouble = Trouble::default();
        loop {
            match self.turn().await {
                Ok(true) => return,
                Ok(false) => drop(trouble.is_over()),
                Err(error) => {
                    let why = Sentence(&error).to_string();
                    if !is_away(&error) && trouble.is_news(&why) {
                        tracing::warn!("the lease {NAME} cannot be had: {why}");
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Keeps the lease until it is lost.
    pub async fn keep(&mut self) -> LeaseError {
        let mut renewed = Instant::now();
        let mut problem = String::new();
        loop {
            tokio::time::sleep(EVERY).await;
            let time_left = LOST_AFTER.saturating_sub(renewed.elapsed());
            match tokio::time::timeout(time_left, self.turn()).await {
                Ok(Ok(true)) => renewed = Instant::now(),
                Ok(Ok(false)) => return LeaseError::Taken("another replica".to_owned()),
                Ok(Err(error)) => problem = Sentence(&error).to_string(),
                Err(_) => "the API server does not answer".clone_into(&mut problem),
            }
            if renewed.elapsed() >= LOST_AFTER {
                return LeaseError::NotRenewed(problem);
            }
        }
    }

    /// Releases the lease, so that another replica need not wait for its expiry.
    pub async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(NAME).await else { return };
        if holder(&lease) == Some(&self.identity) {
            if let Some(spec) = &mut lease.spec {
                spec.holder_identity = Some(String::new());
            }
            // If the write fails, another replica waits for the expiry.
            drop(self.api.replace(NAME, &PostParams::default(), &lease).await);
        }
    }

    /// Takes or renews the lease, if that is possible now. Returns whether this replica holds it.
    async fn turn(&mut self) -> Result<bool, Error> {
        let Some(found) = self.api.get_opt(NAME).await? else {
            return settled(self.api.create(&PostParams::default(), &self.wanted(None)).await);
        };
        let version = found.metadata.resource_version.clone();
        let is_news = self.seen.as_ref().is_none_or(|seen| seen.version != version);
        if is_news {
            self.seen = Some(SeenLease { version, since: Instant::now() });
        }
        let unchanged_for = self.seen.as_ref().map_or(Duration::ZERO, |seen| seen.since.elapsed());
        match step(holder(&found), &self.identity, unchanged_for) {
            LeaseStep::Wait => Ok(false),
            LeaseStep::Write => {
                settled(self.api.replace(NAME, &PostParams::default(), &self.wanted(Some(&found))).await)
            }
        }
    }

    fn wanted(&self, found: Option<&Object>) -> Object {
        let now = MicroTime(Timestamp::now());
        let before = found.and_then(|found| found.spec.as_ref());
        let is_ours = found.and_then(holder) == Some(&self.identity);
        let acquired = before.and_then(|spec| spec.acquire_time.clone()).filter(|_| is_ours);
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        Object {
            metadata: found.map_or_else(
                || ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
                |found| found.metadata.clone(),
            ),
            spec: Some(LeaseSpec {
                acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                lease_transitions: Some(if is_ours || found.is_none() { transitions } else { transitions + 1 }),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn holder(lease: &Object) -> Option<&String> {
    lease.spec.as_ref()?.holder_identity.as_ref().filter(|holder| !holder.is_empty())
}

fn step(holder: Option<&String>, identity: &str, unchanged_for: Duration) -> LeaseStep {
    match holder {
        Some(holder) if holder != identity && unchanged_for < DURATION => LeaseStep::Wait,
        _ => LeaseStep::Write,
    }
}

/// Converts the result of a write: if another replica was faster, the lease is not held, and that is no error.
fn settled(written: Result<Object, Error>) -> Result<bool, Error> {
    match written {
        Ok(_) => Ok(true),
        Err(Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_it_is_ours_nobodys_or_up() {
        let (me, other) = ("me".to_owned(), "other".to_owned());
        assert_eq!(step(None, "me", Duration::ZERO), LeaseStep::Write);
        assert_eq!(step(Some(&me), "me", Duration::ZERO), LeaseStep::Write);
        assert_eq!(step(Some(&other), "me", DURATION / 2), LeaseStep::Wait);
        assert_eq!(step(Some(&other), "me", DURATION), LeaseStep::Write);
    }
}
