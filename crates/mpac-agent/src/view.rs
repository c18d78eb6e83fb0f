//! What the agent knows of the others: their live intents, and the signs that matter to its own task.
//!
//! The view changes through relayed and coordinator messages only (PAR-09), and an intent ends or changes only
//! by its owner's message or the coordinator's (PAR-14): Python servers also relay what had no effect.

mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use mpac_wire::names::{DeferralStatus, IntentDisposition};
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::sideband::SessionSummary;
use mpac_wire::{DeferralId, Envelope, IntentId, Message, PrincipalId, Seconds};
use tokio::time::Instant;

use crate::decide::{End, Sign};

use queue::Queue;

/// The reason of a withdrawal that steps back for somebody else, as the Python agents write it.
pub const YIELDED: &str = "yielded";
/// The reason of a withdrawal after the work, as the Python agents write it.
pub const COMPLETED: &str = "task_completed";
/// The reason of a withdrawal after a person said no to the change: nothing was done, and nobody else went on.
pub const DECLINED: &str = "declined";

/// How long an intent lives that does not say so (INT-06).
const DEFAULT_TTL: Duration = Duration::from_secs(300);
/// The coordinator counts from when it got the announce, which is before we do; this is for its timer.
const EXPIRY_MARGIN: Duration = Duration::from_millis(250);

/// Somebody else's live intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherIntent {
    /// Whose.
    pub owner: PrincipalId,
    /// In the owner's words; `None` when only a conflict report spoke of it.
    pub objective: Option<String>,
    /// The files it names.
    pub files: Vec<String>,
    /// When it must have expired, if nothing was heard of it until then (INT-05): nobody is told of that.
    pub expires: Option<Instant>,
}

/// The others.
#[derive(Debug, Clone)]
pub struct View {
    me: PrincipalId,
    coordinator: Option<PrincipalId>,
    intents: BTreeMap<IntentId, OtherIntent>,
    /// Everybody who spoke and has not left.
    people: BTreeSet<PrincipalId>,
    /// Who waits for files, ourselves included.
    queue: Queue,
}

/// The other side of a conflict report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSide {
    /// Whose intent ours overlaps with.
    pub principal: PrincipalId,
    /// Which intent, when the report says.
    pub intent: Option<IntentId>,
}

impl View {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(me: PrincipalId) -> Self {
        Self {
            me,
            coordinator: None,
            intents: BTreeMap::new(),
            people: BTreeSet::new(),
            queue: Queue::default(),
        }
    }

    /// The own principal.
    #[must_use]
    pub fn me(&self) -> &PrincipalId {
        &self.me
    }

    /// Notes who the coordinator is: the sender of the SESSION_INFO that answered HELLO (PAR-26).
    pub fn joined(&mut self, coordinator: PrincipalId) {
        self.coordinator = Some(coordinator);
    }

    /// Is this message the coordinator's own? (PAR-26)
    #[must_use]
    pub fn is_coordinators(&self, envelope: &Envelope) -> bool {
        envelope.coordinator_epoch.is_some()
            && self.coordinator.as_ref() == Some(&envelope.sender.principal_id)
    }

    /// Somebody else's live intent.
    #[must_use]
    pub fn intent(&self, id: &IntentId) -> Option<&OtherIntent> {
        self.intents.get(id)
    }

    /// Everybody else seen, each with its live intents.
    pub fn people(&self) -> impl Iterator<Item = (&PrincipalId, Vec<&OtherIntent>)> {
        self.people
            .iter()
            .map(|person| (person, self.intents.values().filter(|i| i.owner == *person).collect()))
    }

    /// Those who have waited longer than an own deferral for the same; `None` while the coordinator has not told of it.
    #[must_use]
    pub fn before(&self, deferral: &DeferralId, now: Instant) -> Option<Vec<&PrincipalId>> {
        self.queue.before(deferral, now)
    }

    /// The other side of a report that concerns `own`, and notes the owner of its intent.
    pub fn other_side(&mut self, report: &ConflictReport, own: &IntentId, now: Instant) -> Option<OtherSide> {
        let side_a = (report.intent_a.clone(), report.principal_a.clone());
        let side_b = (report.intent_b.clone(), report.principal_b.clone());
        let (intent, principal) = if side_a.0.as_ref() == Some(own) {
            side_b
        } else if side_b.0.as_ref() == Some(own) {
            side_a
        } else {
            self.side_by_lists(report, own)?
        };
        let known = intent.as_ref().and_then(|id| self.intents.get(id)).map(|known| known.owner.clone());
        let principal = principal.or(known).filter(|principal| *principal != self.me)?;
        if let Some(id) = &intent {
            self.learn(id, &principal, now);
        }
        Some(OtherSide { principal, intent })
    }

    /// The coordinator spoke of this live intent; its announce may have been before we joined.
    pub fn learn(&mut self, intent: &IntentId, owner: &PrincipalId, now: Instant) {
        let expires = expiry(None, now);
        let unseen = OtherIntent { owner: owner.clone(), objective: None, files: Vec::new(), expires };
        self.intents.entry(intent.clone()).or_insert(unseen);
    }

    /// For reports without the references' own fields: the specification's `related_intents`.
    fn side_by_lists(
        &self,
        report: &ConflictReport,
        own: &IntentId,
    ) -> Option<(Option<IntentId>, Option<PrincipalId>)> {
        let related = report.related_intents.as_deref()?;
        if !related.contains(own) {
            return None;
        }
        let other = related.iter().find(|id| *id != own).cloned();
        let involved = report.involved_principals.as_deref().unwrap_or_default();
        Some((other, involved.iter().find(|principal| **principal != self.me).cloned()))
    }

    /// Takes one message; the signs in it, in order. Own messages carry none.
    pub fn observe(&mut self, envelope: &Envelope, message: &Message, now: Instant) -> Vec<Sign> {
        let sender = envelope.sender.principal_id.clone();
        let coordinator = self.is_coordinators(envelope);
        if sender == self.me {
            return Vec::new();
        }
        if !coordinator && envelope.coordinator_epoch.is_none() {
            self.people.insert(sender.clone());
        }
        match message {
            Message::IntentAnnounce(announce) => {
                let intent = announce.intent_id.clone();
                let files = announce.scope.resources.clone().unwrap_or_default();
                let objective = Some(announce.objective.clone());
                let expires = expiry(announce.ttl_sec.as_ref(), now);
                let announced = OtherIntent { owner: sender.clone(), objective, files, expires };
                self.intents.insert(intent.clone(), announced);
                vec![Sign::Announced { intent, owner: sender }]
            }
            Message::IntentUpdate(update) if self.owns(&sender, &update.intent_id) => {
                if let Some(known) = self.intents.get_mut(&update.intent_id) {
                    known.objective = update.objective.clone().or_else(|| known.objective.take());
                    if let Some(files) = update.scope.as_ref().and_then(|scope| scope.resources.clone()) {
                        known.files = files;
                    }
                    if update.ttl_sec.is_some() {
                        known.expires = expiry(update.ttl_sec.as_ref(), now);
                    }
                }
                Vec::new()
            }
            Message::IntentWithdraw(withdraw) if coordinator || self.owns(&sender, &withdraw.intent_id) => {
                let end = match withdraw.reason.as_deref() {
                    Some(YIELDED) if !coordinator => End::Yielded,
                    Some(COMPLETED) if !coordinator => End::Completed,
                    _ => End::Otherwise,
                };
                self.intents.remove(&withdraw.intent_id);
                vec![Sign::Ended { intent: withdraw.intent_id.clone(), end }]
            }
            Message::IntentDeferred(deferred) if coordinator => {
                self.queue.heard(deferred, &envelope.ts, now);
                let resolved = deferred.status == Some(DeferralStatus::Resolved);
                let free = deferred.deferral_id.clone().filter(|_| resolved);
                free.map(|deferral| Sign::Free { deferral }).into_iter().collect()
            }
            Message::OpCommit(commit) => self.worked(&sender, commit.intent_id.as_ref()),
            Message::OpBatchCommit(batch) => self.worked(&sender, batch.intent_id.as_ref()),
            Message::OpSupersede(supersede) => self.worked(&sender, supersede.intent_id.as_ref()),
            Message::Goodbye(goodbye) if goodbye.intent_disposition == Some(IntentDisposition::Expire) => {
                self.left_to_expire(sender, now)
            }
            Message::Goodbye(_) => self.left(sender),
            Message::ProtocolError(error)
                if coordinator && error.error_code.as_str() == "PARTICIPANT_UNAVAILABLE" =>
            {
                let named = error.affected_principal.clone();
                // Python coordinators put the principal into `refers_to`.
                let named = named.or_else(|| PrincipalId::new(error.refers_to.as_deref()?).ok());
                named.map(|principal| self.left(principal)).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }

    /// After a break: how the session stands. What is not listed has ended while nobody listened; without a summary nothing
    /// is known any more, and who waited for an intent's end had better look.
    pub fn listed(&mut self, summary: Option<&SessionSummary>, now: Instant) -> Vec<Sign> {
        let listed = summary.map_or(&[][..], |summary| &summary.active_intents);
        let gone = |id: &IntentId| listed.iter().all(|it| it.intent_id != *id);
        let ended: Vec<IntentId> = self.intents.keys().filter(|id| gone(id)).cloned().collect();
        for it in listed {
            if it.principal_id == self.me {
                continue;
            }
            self.learn(&it.intent_id, &it.principal_id, now);
            if let Some(known) = self.intents.get_mut(&it.intent_id) {
                known.objective.get_or_insert_with(|| it.objective.clone());
                known.files = it.scope.resources.clone().unwrap_or_default();
                // It is live, whatever was reckoned; how long it has left is not told.
                known.expires = known.expires.filter(|expires| *expires > now).or_else(|| expiry(None, now));
            }
            self.people.insert(it.principal_id.clone());
        }
        self.intents.retain(|id, _| !ended.contains(id));
        // What was told of deferrals meanwhile was not heard, and no summary lists them.
        self.queue.clear();
        ended.into_iter().map(|intent| Sign::Ended { intent, end: End::Otherwise }).collect()
    }

    fn owns(&self, sender: &PrincipalId, intent: &IntentId) -> bool {
        self.intents.get(intent).is_some_and(|known| known.owner == *sender)
    }

    fn worked(&self, sender: &PrincipalId, intent: Option<&IntentId>) -> Vec<Sign> {
        let theirs = intent.filter(|id| self.owns(sender, id));
        theirs.map(|id| Sign::Worked { intent: id.clone() }).into_iter().collect()
    }

    fn left(&mut self, principal: PrincipalId) -> Vec<Sign> {
        self.people.remove(&principal);
        self.queue.left(&principal);
        self.intents.retain(|_, intent| intent.owner != principal);
        vec![Sign::Left { principal, keeps: BTreeSet::new() }]
    }

    /// Its intents stay until their time is over (BYE-06), which nobody tells: those of the departed that are over by now go.
    fn left_to_expire(&mut self, principal: PrincipalId, now: Instant) -> Vec<Sign> {
        self.people.remove(&principal);
        self.queue.left(&principal);
        let is_over = |it: &OtherIntent| it.expires.is_some_and(|expires| expires <= now);
        let people = &self.people;
        let over = self.intents.extract_if(.., |_, it| is_over(it) && !people.contains(&it.owner));
        let mut signs: Vec<Sign> =
            over.map(|(intent, _)| Sign::Ended { intent, end: End::Otherwise }).collect();
        let keeps = self.intents.iter().filter(|(_, it)| it.owner == principal).map(|(id, _)| id.clone());
        let keeps = keeps.collect();
        signs.push(Sign::Left { principal, keeps });
        signs
    }
}

/// `None` when it is further away than a clock reaches.
fn expiry(ttl: Option<&Seconds>, now: Instant) -> Option<Instant> {
    let ttl =
        ttl.map_or(DEFAULT_TTL, |ttl| Duration::from_micros(u64::try_from(ttl.micros()).unwrap_or_default()));
    now.checked_add(ttl)?.checked_add(EXPIRY_MARGIN)
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
