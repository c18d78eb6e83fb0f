//! Conflicts that were heard of, and which of them are for us to answer (PAR-19, CON-08, CON-20).

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use mpac_wire::names::{AckType, ConflictCategory, ConflictState};
use mpac_wire::payload::{ConflictAck, ConflictEscalate, ConflictReport};
use mpac_wire::sideband::SummaryConflict;
use mpac_wire::{ConflictId, IntentId, Message, MessageId, OpId, PrincipalId};

use super::answers::Sent;
use super::bounded::{Recent, Shelf};
use super::news::News;
use super::{Fate, Participant};

/// How many are remembered.
const MOST: usize = 1_024;

/// A conflict that is not settled.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KnownConflict {
    /// What kind.
    pub category: ConflictCategory,
    /// The intents in it.
    pub intents: Vec<IntentId>,
    /// The operations in it.
    pub ops: Vec<OpId>,
    /// Those involved, as far as the report says.
    pub principals: Vec<PrincipalId>,
    /// OPEN, ACKED or ESCALATED.
    pub state: ConflictState,
    /// With whom it is, once escalated.
    pub escalated_to: Option<PrincipalId>,
}

/// All conflicts that are not settled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conflicts {
    open: Shelf<ConflictId, KnownConflict>,
    /// Those we acknowledged.
    acknowledged: Recent<ConflictId>,
}

impl Default for Conflicts {
    fn default() -> Self {
        Self { open: Shelf::new(MOST), acknowledged: Recent::new(MOST) }
    }
}

impl Conflicts {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&ConflictId, &KnownConflict)> {
        self.open.iter()
    }

    pub(super) fn open(&self, id: &ConflictId) -> Option<&KnownConflict> {
        self.open.get(id)
    }

    pub(super) fn settled(&mut self, id: &ConflictId) -> Option<KnownConflict> {
        self.open.remove(id)
    }

    pub(super) fn acknowledged(&mut self, id: &ConflictId) {
        self.acknowledged.note(id.clone());
    }

    pub(super) fn not_acknowledged(&mut self, id: &ConflictId) {
        self.acknowledged.forget(id);
    }

    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    /// A summary said which conflicts are open. Gives those that are not any more.
    pub(super) fn listed(&mut self, listed: &[SummaryConflict]) -> Vec<ConflictId> {
        let named: BTreeSet<&ConflictId> = listed.iter().map(|it| &it.conflict_id).collect();
        let mut settled = Vec::new();
        self.open.retain(|id, _| {
            let open = named.contains(id);
            if !open {
                settled.push(id.clone());
            }
            open
        });
        for it in listed {
            if let Some(known) = self.open.get_mut(&it.conflict_id) {
                known.state = it.state.clone();
                // Python servers do not say with whom it is.
                let before = known.escalated_to.take().filter(|_| it.state == ConflictState::Escalated);
                known.escalated_to = it.escalated_to.clone().or(before);
                continue;
            }
            let sides = |a: &Option<_>, b: &Option<_>| a.iter().chain(b.iter()).cloned().collect();
            let known = KnownConflict {
                category: it.category.clone(),
                intents: it.intent_a.iter().chain(&it.intent_b).cloned().collect(),
                ops: Vec::new(),
                principals: sides(&it.principal_a, &it.principal_b),
                state: it.state.clone(),
                escalated_to: it.escalated_to.clone(),
            };
            self.open.insert(it.conflict_id.clone(), known);
        }
        settled
    }

    fn related(&self, id: &ConflictId, who: &PrincipalId, owns: impl Fn(&IntentId) -> bool) -> bool {
        let known = self.open.get(id);
        known.is_some_and(|it| it.principals.contains(who) || it.intents.iter().any(owns))
    }
}

fn read(report: &ConflictReport) -> KnownConflict {
    let mut intents = report.related_intents.clone().unwrap_or_default();
    for id in report.intent_a.iter().chain(&report.intent_b) {
        if !intents.contains(id) {
            intents.push(id.clone());
        }
    }
    let mut principals = report.involved_principals.clone().unwrap_or_default();
    for who in report.principal_a.iter().chain(&report.principal_b) {
        if !principals.contains(who) {
            principals.push(who.clone());
        }
    }
    KnownConflict {
        category: report.category.clone(),
        intents,
        ops: report.related_ops.clone().unwrap_or_default(),
        principals,
        state: ConflictState::Open,
        escalated_to: None,
    }
}

impl Participant {
    /// A conflict was reported. Whatever it is based on, it is treated alike (CON-14); fields that Python servers leave
    /// out are not missed (PAR-13).
    pub(super) fn conflict_reported(&mut self, report: &ConflictReport) {
        let now = self.now;
        for side in [(&report.intent_a, &report.principal_a), (&report.intent_b, &report.principal_b)] {
            if let (Some(intent), Some(owner)) = side
                && *owner != self.sender.principal_id
            {
                self.others.learn(intent, owner, now);
            }
        }
        let known = read(report);
        let concerns = self.concerns(&known);
        self.decisions.reopened(&report.conflict_id);
        if !self.conflicts.open.contains(&report.conflict_id) {
            self.conflicts.open.insert(report.conflict_id.clone(), known);
            if concerns {
                self.news.push(News::Conflict(report.conflict_id.clone()));
            }
        }
    }

    /// Somebody acknowledged; believed of those who are in the conflict (PAR-14).
    pub(super) fn conflict_acked(&mut self, who: &PrincipalId, ack: &ConflictAck) {
        if self.is_related(&ack.conflict_id, who)
            && let Some(known) = self.conflicts.open.get_mut(&ack.conflict_id)
            && known.state == ConflictState::Open
            && ack.ack_type != AckType::Disputed
        {
            known.state = ConflictState::Acked;
        }
    }

    /// An own message may not have arrived: if it acknowledged a conflict, that is still to be done, unless another one
    /// of ours did (CON-20). To acknowledge twice does no harm.
    pub(super) fn lost_acknowledgement(&mut self, message: &MessageId) {
        let Some(Message::ConflictAck(lost)) = self.answers.get(message).map(|sent| &sent.message) else {
            return;
        };
        let another = |sent: &Sent| {
            sent.fate == Fate::Accepted
                && matches!(&sent.message, Message::ConflictAck(it) if it.conflict_id == lost.conflict_id)
        };
        if !self.answers.iter().any(|(_, sent)| another(sent)) {
            self.conflicts.not_acknowledged(&lost.conflict_id);
        }
    }

    /// The coordinator or somebody handed it on.
    pub(super) fn conflict_escalated(&mut self, escalate: &ConflictEscalate) {
        if let Some(known) = self.conflicts.open.get_mut(&escalate.conflict_id) {
            known.state = ConflictState::Escalated;
            known.escalated_to = Some(escalate.escalate_to.clone());
        }
        if escalate.escalate_to == self.sender.principal_id {
            self.news.push(News::Escalated(escalate.conflict_id.clone()));
        }
    }

    pub(super) fn is_related(&self, conflict: &ConflictId, who: &PrincipalId) -> bool {
        let me = *who == self.sender.principal_id;
        let owns = |id: &IntentId| self.others.owns(who, id) || (me && self.intents.contains_key(id));
        self.conflicts.related(conflict, who, owns)
    }

    fn concerns(&self, conflict: &KnownConflict) -> bool {
        conflict.principals.contains(&self.sender.principal_id)
            || conflict.intents.iter().any(|id| self.intents.contains_key(id))
            || conflict.ops.iter().any(|op| self.operations.get(op).is_some())
    }

    /// Conflicts that are not settled, as far as they were heard of.
    pub fn conflicts(&self) -> impl Iterator<Item = (&ConflictId, &KnownConflict)> {
        self.conflicts.iter()
    }

    /// Those that concern us and that we have not acknowledged (CON-20).
    pub fn unacknowledged(&self) -> impl Iterator<Item = &ConflictId> {
        let open = self.conflicts.iter().filter(|(_, it)| self.concerns(it));
        open.map(|(id, _)| id).filter(|id| !self.conflicts.acknowledged.contains(id))
    }
}
