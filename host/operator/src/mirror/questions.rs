//! Questions about objects that do not explain their problem themselves, and the answers from events.

use holystone_core::cluster::{Held, NodeResult, PATIENCE, not_made, not_started};
use jiff::Timestamp;
use serde_json::Value;

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
        let began = |job: &&Value| {
            let (started, created) = (&job["status"]["startTime"], &job["metadata"]["creationTimestamp"]);
            started.as_str().or(created.as_str()).unwrap_or_default().to_owned()
        };
        let job = self.jobs_of(key).max_by_key(began).map(|job| (WatchedKind::BroadcastJob, job));
        let objects = job.into_iter().chain(self.daemon_set_of(key).map(|set| (WatchedKind::DaemonSet, set)));
        objects.flat_map(|(kind, object)| self.questions_about(kind, object, now)).collect()
    }

    fn questions_about(&self, kind: WatchedKind, object: &Value, now: Timestamp) -> Vec<Question> {
        let owner = Owner::itself(kind, object);
        let pods = self.pods.get(&owner);
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
        let is_known = self.complaints.get(&owner).is_some_and(|complaints| !complaints.is_empty());
        if lacks_pods(kind, object, pods, is_known, now) {
            questions.push(question(&owner.uid, None));
        }
        questions
    }

    /// Takes in the events about an object.
    pub fn answer(&mut self, question: &Question, events: &[Value]) {
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

/// Returns whether pods are missing that should exist by now, while no other pod has to end first.
fn lacks_pods(kind: WatchedKind, object: &Value, pods: Option<&Pods>, is_known: bool, now: Timestamp) -> bool {
    let status = &object["status"];
    let number = |name: &str| status[name].as_u64().unwrap_or_default();
    let time = |value: &Value| value.as_str().and_then(|time| time.parse().ok());
    let began = time(&status["startTime"]).or_else(|| time(&object["metadata"]["creationTimestamp"]));
    if kind == WatchedKind::DaemonSet {
        return number("currentNumberScheduled") < number("desiredNumberScheduled") && is_over(began, now);
    }
    let seen = pods.map_or(0, |pods| pods.by_name.len()) as u64;
    match status["phase"].as_str() {
        Some("failed") => number("desired") > seen && !is_known,
        Some("completed" | "paused") => false,
        _ => {
            let goes_on = |pod: &ObservedPod| pod.held.is_none() && pod.state.word == NodeResult::Active;
            let is_busy = pods.is_some_and(|pods| pods.by_name.values().any(goes_on));
            number("desired").max(1) > seen && !is_busy && is_over(began, now)
        }
    }
}

fn is_over(since: Option<Timestamp>, now: Timestamp) -> bool {
    since.is_none_or(|since| since.duration_until(now) >= PATIENCE)
}
