//! A read-only look at a session.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::payload::ParticipantKey;
use mpac_wire::redact::BLANK;
use mpac_wire::sideband::{SessionSummary, SummaryConflict, SummaryIntent, SummaryParticipant, to_json};
use mpac_wire::{
    ConflictId, Fingerprint, Integer, IntentId, OpId, PrincipalId, PublicKey, StateRef, Timestamp,
};

use super::intent::claim::pending_on;
use super::snapshot::names::{conflict_state, intent_state};
use super::state::Session;
use crate::input::ConnId;
use crate::table::{conflict, intent, operation};

/// A session as it stands. Cheap to make, changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    session: &'a Session,
}

impl<'a> View<'a> {
    pub(super) fn new(session: &'a Session) -> Self {
        Self { session }
    }

    /// Where an intent stands.
    pub fn intent(&self, id: &IntentId) -> Option<intent::State> {
        self.session.intents.get(id).map(|record| record.state())
    }

    /// Where an operation stands.
    pub fn operation(&self, id: &OpId) -> Option<operation::State> {
        self.session.operations.get(id).map(|record| record.state)
    }

    /// Where a conflict stands.
    pub fn conflict(&self, id: &ConflictId) -> Option<conflict::State> {
        self.session.conflicts.get(id).map(|record| record.state)
    }

    /// The conflicts, in the order they were found.
    pub fn conflicts(&self) -> Vec<ConflictId> {
        let mut records: Vec<_> = self.session.conflicts.values().collect();
        records.sort_by_key(|record| record.sequence);
        records.into_iter().map(|record| record.id.clone()).collect()
    }

    /// Whether somebody has been admitted, present or not.
    pub fn is_member(&self, principal: &PrincipalId) -> bool {
        self.session.members.contains_key(principal)
    }

    /// Whether somebody is here and was heard lately.
    pub fn is_available(&self, principal: &PrincipalId) -> bool {
        self.session.members.get(principal).is_some_and(|member| member.available)
    }

    /// The key of this name that somebody has or had, for a host that verifies a signature. Whether it is still good, and
    /// whose it must be, is not the host's question.
    pub fn key(&self, key: &Fingerprint) -> Option<&'a PublicKey> {
        self.session.keys.get(key).map(|(_, bound)| &bound.key)
    }

    /// Whose keys are remembered, good ones and those that were replaced: for whoever looks back.
    pub fn keys(&self) -> impl Iterator<Item = ParticipantKey> + use<'a> {
        self.session.keys.iter().map(|(owner, bound)| bound.told(owner))
    }

    /// Whether somebody was let in who speaks on this connection.
    pub fn is_bound(&self, conn: ConnId) -> bool {
        self.session.bound(conn).is_some()
    }

    /// Until when whoever speaks on this connection is let in by its credential; `None` where nobody is, or it has no end. After
    /// that the core refuses what they say until they show another one (SEC-14); what they hear is for the host to end.
    pub fn admitted_until(&self, conn: ConnId) -> Option<Timestamp> {
        self.session.bound(conn)?.proof.as_ref()?.expires_at
    }

    /// With which key the host has to sign what the coordinator says next (SEC-26).
    pub fn coordinator_key(&self) -> Option<&'a PublicKey> {
        self.session.coordinator_key.as_ref().map(|own| &own.key)
    }

    /// The current reference of a normalised target.
    pub fn state_ref(&self, target: &str) -> Option<&'a StateRef> {
        self.session.refs.get(target)
    }

    /// The coordinator's Lamport clock.
    pub fn lamport(&self) -> u64 {
        self.session.lamport.value()
    }

    /// The time of the last record.
    pub fn now(&self) -> Timestamp {
        self.session.now
    }

    /// Whether the session is over.
    pub fn is_closed(&self) -> bool {
        self.session.closed
    }

    /// Whether another coordinator has the session, or is to have it: this one hears nobody, and says nothing (REC-26).
    pub fn is_handed_over(&self) -> bool {
        self.session.retired
    }

    /// What SESSION_SUMMARY answers about a session that does not exist (`spec/wire.md` §7).
    pub fn not_found(&self) -> SessionSummary {
        let id = self.session.config.session_id.clone();
        let none = || Integer::new(0);
        let mut summary = SessionSummary::new(id, none(), none(), none(), Vec::new(), Vec::new(), Vec::new());
        summary.error = Some("session_not_found".into());
        summary
    }

    /// Whether somebody has joined: before, the session does not exist for anybody outside (D-031).
    pub fn is_open(&self) -> bool {
        !self.session.unopened
    }

    /// What SESSION_SUMMARY answers (SRV-11); `None` where it fits into no frame (D-134). The host fills in `workspace_dir`, of
    /// which the core knows nothing.
    ///
    /// What it costs is bounded by the frame, however much is open.
    pub fn summary(&self) -> Option<SessionSummary> {
        self.summary_for(true)
    }

    /// The same for somebody who sees people's words, or does not (PRV-02): what is left out of it takes no room.
    pub(super) fn summary_for(&self, words: bool) -> Option<SessionSummary> {
        let session = self.session;
        let mut room = Room(session.config.limits.max_bytes);
        let live = || session.intents.values().filter(|record| record.is_live());
        // Mostly it is what people write that is too long, and that is soon added up.
        if words && live().map(|record| record.objective.len()).sum::<usize>() > room.0 {
            return None;
        }
        let participants = session.members.iter().map(|(id, member)| {
            let summary = SummaryParticipant::new(
                id.clone(),
                member.display_name.clone(),
                member.roles.clone(),
                member.status.clone(),
                member.available,
                member.last_seen,
            );
            room.take(summary, to_json)
        });
        let participants: Vec<_> = participants.collect::<Option<_>>()?;
        let intents = live().map(|record| {
            let objective = if words { record.objective.as_str() } else { BLANK };
            let mut summary = SummaryIntent::new(
                record.id.clone(),
                record.owner.clone(),
                objective.to_owned(),
                intent_state(record.state()),
                record.scope.clone(),
            );
            let claim = pending_on(session, &record.id).and_then(|id| session.claims.get(id.as_str()));
            summary.claimed_by = claim.map(|claim| claim.claimer.clone());
            Some((record.sequence, room.take(summary, to_json)?))
        });
        let intents = in_order(intents.collect::<Option<_>>()?);
        let open = session.conflicts.values().filter(|record| !record.state.is_terminal());
        let conflicts = open.map(|record| {
            let mut conflict = SummaryConflict::new(
                record.id.clone(),
                record.category.clone(),
                record.severity.clone(),
                conflict_state(record.state),
            );
            conflict.principal_a = record.a.as_ref().map(|(principal, _)| principal.clone());
            conflict.principal_b = record.b.as_ref().map(|(principal, _)| principal.clone());
            conflict.intent_a = record.a.as_ref().and_then(|(_, intent)| intent.clone());
            conflict.intent_b = record.b.as_ref().and_then(|(_, intent)| intent.clone());
            conflict.escalated_to = record.escalated.as_ref().map(|(target, _)| target.clone());
            Some((record.sequence, room.take(conflict, to_json)?))
        });
        let conflicts = in_order(conflicts.collect::<Option<_>>()?);
        let mut summary = SessionSummary::new(
            session.config.session_id.clone(),
            Integer::new(participants.len() as u64),
            Integer::new(intents.len() as u64),
            Integer::new(conflicts.len() as u64),
            participants,
            intents,
            conflicts,
        );
        summary.captured_at = Some(session.now);
        Some(summary)
    }
}

/// Bytes that a frame has left. Looked at as each entry is made, so that no more are made than fit, and one.
struct Room(usize);

impl Room {
    /// The entry, where its text fits too.
    fn take<T>(&mut self, entry: T, text: fn(&T) -> String) -> Option<T> {
        self.0 = self.0.checked_sub(text(&entry).len())?;
        Some(entry)
    }
}

/// As they came up.
fn in_order<T>(mut entries: Vec<(u64, T)>) -> Vec<T> {
    entries.sort_by_key(|(sequence, _)| *sequence);
    entries.into_iter().map(|(_, entry)| entry).collect()
}
