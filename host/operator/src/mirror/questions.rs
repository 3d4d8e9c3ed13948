//! Questions about objects that do not explain their problem themselves, and the answers from events.

use holystone_core::cluster::{
    BroadcastJob, DaemonSet, EventView, Held, JobPhase, NodeResult, PATIENCE, not_made, not_started,
};
use jiff::Timestamp;

use super::{Mirror, ObjectRef, ObservedPod, Owner, Pods, WatchedKind};

/// Maximum number of pods of one run or DaemonSet to ask about: the others nearly always have the same answer.
const PODS: usize = 10;
/// Maximum number of pods to ask about at a time.
const PODS_AT_A_TIME: usize = 3;

/// An object to ask about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Namespace of the object.
    pub namespace: String,
    /// Uid of the object.
    pub uid: String,
    owner: Owner,
    /// Name of the pod; without one, the question is about its owner, the BroadcastJob or DaemonSet.
    pod: Option<String>,
}

impl Mirror {
    /// Returns the questions about a NodeCleanup: pods that do not start without giving a reason, and runs without
    /// pods.
    pub fn questions(&self, key: &ObjectRef, now: Timestamp) -> Vec<Question> {
        let mut questions = Vec::new();
        if let Some(job) = self.jobs_of(key).max_by_key(|job| job.began()) {
            let owner = Owner::itself(WatchedKind::BroadcastJob, &job.meta);
            let is_known = self.complaints.get(&owner).is_some_and(|complaints| !complaints.is_empty());
            let lacks_pods = lacks_pods(job, self.pods.get(&owner), is_known, now);
            questions.extend(self.questions_about(&owner, lacks_pods, now));
        }
        if let Some(set) = self.daemon_set_of(key) {
            let owner = Owner::itself(WatchedKind::DaemonSet, &set.meta);
            questions.extend(self.questions_about(&owner, lacks_daemons(set, now), now));
        }
        questions
    }

    fn questions_about(&self, owner: &Owner, lacks_pods: bool, now: Timestamp) -> Vec<Question> {
        let pods = self.pods.get(owner);
        let question = |uid: &str, pod: Option<&String>| Question {
            namespace: owner.key.namespace.clone(),
            uid: uid.to_owned(),
            owner: owner.clone(),
            pod: pod.cloned(),
        };
        let by_name = || pods.iter().flat_map(|pods| &pods.by_name);
        let room = PODS.saturating_sub(by_name().filter(|(_, pod)| pod.explained.is_some()).count());
        let unexplained = by_name().filter(|(_, pod)| pod.is_unexplained(now)).take(room.min(PODS_AT_A_TIME));
        let mut questions: Vec<Question> = unexplained.map(|(name, pod)| question(&pod.uid, Some(name))).collect();
        if lacks_pods {
            questions.push(question(&owner.uid, None));
        }
        questions
    }

    /// Takes in the events about an object.
    pub fn answer(&mut self, question: &Question, events: &[EventView]) {
        let Question { owner, pod, .. } = question;
        let Some(pod) = pod else {
            self.complaints.insert(owner.clone(), not_made(events, &owner.key.name));
            return;
        };
        if let Some(pod) = self.pods.get_mut(owner).and_then(|pods| pods.by_name.get_mut(pod)) {
            pod.explained = not_started(events).map(String::into_boxed_str);
            pod.explain();
        }
    }
}

impl ObservedPod {
    fn waiting(&mut self) -> Option<&mut Held> {
        match &mut self.held.as_mut()?.word {
            NodeResult::Waiting(held) => Some(held),
            _ => None,
        }
    }

    fn is_unexplained(&self, now: Timestamp) -> bool {
        match self.held.as_ref().map(|held| &held.word) {
            Some(NodeResult::Waiting(held)) => held.why.is_none() && is_over(held.since, now),
            _ => false,
        }
    }

    /// Explains why the pod has not started in the words of its events, as long as its status does not explain it.
    pub(super) fn explain(&mut self) {
        let explained = self.explained.clone();
        if let Some(held) = self.waiting().filter(|held| held.why.is_none()) {
            held.why = explained;
        }
    }

    /// Keeps the rest of a deleted pod: its result, or why it never started. Returns whether there is any.
    pub(super) fn leaves_something(&mut self) -> bool {
        let why = self.waiting().and_then(|held| held.why.clone());
        if let Some(why) = why.filter(|_| self.state.word == NodeResult::Active) {
            self.state.word = NodeResult::Silent(why.into_string());
        }
        self.held = None;
        self.state.word != NodeResult::Active
    }
}

/// Returns whether daemons are missing that should exist by now.
fn lacks_daemons(set: &DaemonSet, now: Timestamp) -> bool {
    let status = &set.status;
    status.current_number_scheduled < status.desired_number_scheduled.unwrap_or_default()
        && is_over(set.meta.creation_timestamp, now)
}

/// Returns whether pods of a run are missing that should exist by now, while no other pod has to end first.
fn lacks_pods(job: &BroadcastJob, pods: Option<&Pods>, is_known: bool, now: Timestamp) -> bool {
    let desired = job.status.desired.unwrap_or_default() as usize;
    let seen = pods.map_or(0, |pods| pods.by_name.len());
    match job.status.phase {
        JobPhase::Failed => desired > seen && !is_known,
        JobPhase::Completed | JobPhase::Paused => false,
        JobPhase::Running | JobPhase::Unknown => {
            let is_active = |pod: &ObservedPod| pod.held.is_none() && pod.state.word == NodeResult::Active;
            let is_busy = pods.is_some_and(|pods| pods.by_name.values().any(is_active));
            desired.max(1) > seen && !is_busy && is_over(job.began(), now)
        }
    }
}

fn is_over(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|since| since.duration_until(now) >= PATIENCE)
}
