//! What may be sent now, and why not: the rules that a participant keeps without being told by an error.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{ComplianceProfile, ExecutionModel, ScopeKind, SecurityProfile};
use mpac_wire::payload::{IntentAnnounce, IntentUpdate, Resolution};
use mpac_wire::{Envelope, IntentId, Message, MessageId, OpId, PrincipalId, Scope, Timestamp};
use thiserror::Error;

use super::answers::brought;
use super::operations::Stage;
use super::others::Standing;
use super::{Fate, Participant, Stamp};
use crate::backoff;
use crate::scope::{overlap, same_path};

/// Why a message is not sent. Nothing has been written, and the clock has not moved.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Withheld {
    /// HELLO comes first, and SESSION_INFO after it (SES-23, HEL-16).
    #[error("the coordinator has not let us in: say HELLO and wait for SESSION_INFO")]
    NotAdmitted,
    /// The session is over (SES-15).
    #[error("the session is closed: nothing but GOODBYE may be sent")]
    SessionClosed,
    /// Nothing that decides anything goes out while the coordinator is unavailable (REC-06).
    #[error("the coordinator has been silent for too long: this is held back until it is heard of")]
    CoordinatorSilent,
    /// Nothing that could be in somebody's way goes out while the coordinator is unavailable (REC-06).
    #[error("the coordinator is silent, and intent {intent} of {owner} is in the way")]
    InTheWayWhileSilent {
        /// Whose intent it would meet.
        intent: IntentId,
        /// Its owner.
        owner: PrincipalId,
    },
    /// Something may have been missed that this would have to know (LAM-18).
    #[error("messages may have been missed: read a summary of the session first")]
    CausalGap,
    /// It would be a judgement by an operation that cannot be matched with what we have (OPS-23).
    #[error("operation {0} was based on a state that is not known here: read its target first")]
    Unverifiable(OpId),
    /// Too soon after a rejection (BKO-01).
    #[error("rejected lately: not before {until}")]
    Backoff {
        /// From when on it may be announced.
        until: Timestamp,
    },
    /// The operation is not authorised (OPS-24).
    #[error("operation {0} is not authorised yet")]
    NotAuthorised(OpId),
    /// The session wants an intent first (INT-02).
    #[error("this session wants an accepted intent before an operation")]
    IntentNeeded,
    /// The intent is over, or somebody else's now (PAR-22).
    #[error("intent {0} is over")]
    IntentOver(IntentId),
    /// The intent is suspended.
    #[error("intent {0} is suspended")]
    IntentSuspended(IntentId),
    /// After a break the intent has to be read again (PAR-22).
    #[error("whether intent {0} is still ours is not known: read a summary of the session first")]
    IntentUnconfirmed(IntentId),
    /// It lies in a frozen scope (PAR-23).
    #[error("{0} is frozen until its conflict is resolved")]
    Frozen(String),
    /// The id was used before (PAR-24).
    #[error("{0:?} was used before: every id must be new")]
    IdUsed(String),
    /// Whether the same was accepted before is not known (PAR-12).
    #[error("what became of message {0} is not known: read a summary of the session first")]
    FateUnknown(MessageId),
    /// The target has moved on (OCC-13).
    #[error("{0} has moved on: read it, build on that, and commit under a new id")]
    ReadAgain(String),
    /// A scope without the member its kind needs (SCO-01).
    #[error("the scope needs {0}")]
    ScopeIncomplete(&'static str),
    /// Kinds of scopes are mixed here, so they need canonical URIs (SCO-13).
    #[error("the scope needs canonical_uris: several kinds of scopes are in use in this session")]
    UrisNeeded,
    /// The session does not allow this model (BHM-11).
    #[error("a switch to {0} is not allowed in this session")]
    SwitchDenied(String),
    /// The plan to use this model has not been confirmed (BHM-11).
    #[error("a switch to {0} has to be announced and confirmed first")]
    SwitchNotConfirmed(String),
}

/// Before anything expires: while nothing is heard, owners may have prolonged what should be over by our clock.
const EVER: Timestamp = Timestamp::from_micros(i64::MIN);

/// One operation of a message.
struct Op<'a> {
    id: &'a OpId,
    target: &'a str,
    intent: Option<&'a IntentId>,
}

fn operations(message: &Message) -> Vec<Op<'_>> {
    match message {
        Message::OpPropose(it) => {
            [Op { id: &it.op_id, target: &it.target, intent: it.intent_id.as_ref() }].into()
        }
        Message::OpCommit(it) => {
            [Op { id: &it.op_id, target: &it.target, intent: it.intent_id.as_ref() }].into()
        }
        Message::OpSupersede(it) => {
            [Op { id: &it.op_id, target: &it.target, intent: it.intent_id.as_ref() }].into()
        }
        Message::OpBatchCommit(it) => {
            let intent = it.intent_id.as_ref();
            it.operations.iter().map(|entry| Op { id: &entry.op_id, target: &entry.target, intent }).collect()
        }
        _ => Vec::new(),
    }
}

impl Participant {
    /// Writes a message if it may be sent now, and says why not otherwise. This is the door for workflows.
    ///
    /// # Errors
    /// As [`may_send`](Self::may_send), and nothing has happened then.
    pub fn try_write(&mut self, stamp: Stamp, message: impl Into<Message>) -> Result<Envelope, Withheld> {
        let message = message.into();
        self.time_is(stamp.ts.at());
        if self.answers.get(&stamp.message_id).is_some() {
            return Err(Withheld::IdUsed(stamp.message_id.as_str().to_owned())); // ENV-06
        }
        self.may_send(&message)?;
        Ok(self.write(stamp, message))
    }

    /// Whether a message may be sent now, by the last time told.
    ///
    /// # Errors
    /// The first rule that is in the way.
    pub fn may_send(&self, message: &Message) -> Result<(), Withheld> {
        if self.closed && !matches!(message, Message::Goodbye(_)) {
            return Err(Withheld::SessionClosed);
        }
        if matches!(message, Message::Hello(_)) || (self.closed && matches!(message, Message::Goodbye(_))) {
            return Ok(());
        }
        if !self.link.inside {
            return Err(Withheld::NotAdmitted);
        }
        match message {
            Message::IntentAnnounce(announce) => self.may_announce(announce),
            Message::IntentUpdate(update) => self.may_update(update),
            Message::IntentDeferred(deferred) => {
                deferred.deferral_id.as_ref().map_or(Ok(()), |id| self.is_new(id.as_str()))?;
                deferred.scope.as_ref().map_or(Ok(()), |scope| self.is_complete(scope))
            }
            Message::IntentClaim(claim) => {
                self.is_new(claim.claim_id.as_str())?;
                self.is_new(claim.new_intent_id.as_str())?;
                self.is_complete(&claim.scope)?;
                self.is_clear_while_silent(&claim.scope)
            }
            Message::OpPropose(propose) => {
                self.is_new(propose.op_id.as_str())?;
                self.may_operate(message)
            }
            Message::OpCommit(_) | Message::OpBatchCommit(_) | Message::OpSupersede(_) => {
                self.may_commit(message)
            }
            Message::ConflictReport(report) => {
                self.is_new(report.conflict_id.as_str())?;
                if self.gap.is_open() {
                    return Err(Withheld::CausalGap);
                }
                let mut ops = report.related_ops.iter().flatten();
                match ops.find(|op| self.states.is_unverifiable(op)) {
                    Some(op) => Err(Withheld::Unverifiable(op.clone())),
                    None => Ok(()),
                }
            }
            Message::Resolution(resolution) => {
                resolution.resolution_id.as_ref().map_or(Ok(()), |id| self.is_new(id.as_str()))?;
                if self.is_coordinator_silent() {
                    return Err(Withheld::CoordinatorSilent);
                }
                if self.gap.is_open() {
                    return Err(Withheld::CausalGap);
                }
                self.can_judge(resolution)
            }
            Message::Heartbeat(heartbeat) => {
                let health = heartbeat.backend_health.as_ref().filter(|it| it.switched_from.is_some());
                health.map_or(Ok(()), |health| self.may_switch(&health.model_id))
            }
            _ => Ok(()),
        }
    }

    /// Whether every operation that an outcome decides about can be matched with what we have (OPS-23).
    fn can_judge(&self, resolution: &Resolution) -> Result<(), Withheld> {
        let Some(outcome) = &resolution.outcome else { return Ok(()) };
        let decided = outcome.accepted.iter().chain(&outcome.rejected).flatten();
        let mut ops = decided.filter_map(|id| OpId::new(id).ok());
        ops.find(|op| self.states.is_unverifiable(op)).map_or(Ok(()), |op| Err(Withheld::Unverifiable(op)))
    }

    fn may_announce(&self, announce: &IntentAnnounce) -> Result<(), Withheld> {
        self.is_new(announce.intent_id.as_str())?;
        self.is_complete(&announce.scope)?;
        if let Some(until) = self.announce_after(&announce.scope) {
            return Err(Withheld::Backoff { until });
        }
        if self.frozen.holds_scope(&self.names, &announce.scope) {
            return Err(Withheld::Frozen("the whole scope".to_owned()));
        }
        let unknown = self.answers.iter().find(|(_, sent)| {
            let before = match &sent.message {
                Message::IntentAnnounce(before) => {
                    overlap(&self.names, &before.scope, &announce.scope).is_some()
                }
                _ => false,
            };
            before && sent.fate == Fate::Unknown
        });
        if let Some((id, _)) = unknown {
            return Err(Withheld::FateUnknown(id.clone()));
        }
        self.is_clear_while_silent(&announce.scope)
    }

    fn may_update(&self, update: &IntentUpdate) -> Result<(), Withheld> {
        if self.ended.contains(&update.intent_id) {
            return Err(Withheld::IntentOver(update.intent_id.clone()));
        }
        // The objective and the time to live may be changed at any time (LAM-20).
        let Some(scope) = &update.scope else { return Ok(()) };
        self.is_complete(scope)?;
        if self.added_by(update).is_some_and(|added| self.frozen.holds_scope(&self.names, &added)) {
            return Err(Withheld::Frozen("all that it adds to the scope".to_owned()));
        }
        self.is_clear_while_silent(scope)
    }

    fn may_commit(&self, message: &Message) -> Result<(), Withheld> {
        if self.is_coordinator_silent() {
            return Err(Withheld::CoordinatorSilent);
        }
        let pre_commit = self.execution_model() == ExecutionModel::PreCommit;
        if let Message::OpBatchCommit(batch) = message
            && !batch.operations.iter().any(|entry| self.operations.get(&entry.op_id).is_some())
        {
            self.is_new(batch.batch_id.as_str())?;
        }
        for op in operations(message) {
            match self.operations.get(op.id).map(|it| it.stage) {
                // A completion, or a proposal carried out where nobody has to authorise (D-103).
                Some(Stage::Authorised) => {}
                Some(Stage::Asked) if pre_commit => return Err(Withheld::NotAuthorised(op.id.clone())),
                Some(Stage::Asked) if self.was_only_proposed(op.id) => {}
                _ => self.is_new(op.id.as_str())?,
            }
            if self.states.is_stale(op.target) {
                return Err(Withheld::ReadAgain(op.target.to_owned()));
            }
            let lost = self.answers.iter().find(|(_, sent)| {
                let same = |before: &Op<'_>| same_path(before.target, op.target);
                sent.fate == Fate::Unknown && operations(&sent.message).iter().any(same)
            });
            if let Some((id, _)) = lost {
                return Err(Withheld::FateUnknown(id.clone()));
            }
        }
        if let Some(path) = brought(message).find(|path| self.states.is_stale(path)) {
            return Err(Withheld::ReadAgain(path.to_owned()));
        }
        self.may_operate(message)
    }

    fn was_only_proposed(&self, op: &OpId) -> bool {
        let about = |message: &Message| operations(message).iter().any(|it| it.id == op);
        !self
            .answers
            .iter()
            .any(|(_, sent)| about(&sent.message) && !matches!(sent.message, Message::OpPropose(_)))
    }

    /// What holds for proposals and commits alike.
    fn may_operate(&self, message: &Message) -> Result<(), Withheld> {
        let superseding = matches!(message, Message::OpSupersede(_));
        for op in operations(message) {
            if let Some(intent) = op.intent {
                self.is_usable(intent)?;
            } else if self.wants_intents() && !superseding {
                return Err(Withheld::IntentNeeded);
            }
            if self.frozen.holds_target(&self.names, op.target) {
                return Err(Withheld::Frozen(op.target.to_owned()));
            }
            if self.is_coordinator_silent()
                && let Some((intent, other)) = self.others.covering(&self.names, op.target, EVER)
            {
                let (intent, owner) = (intent.clone(), other.owner.clone());
                return Err(Withheld::InTheWayWhileSilent { intent, owner });
            }
        }
        // Whatever the target is, these are written too (FRZ-02).
        match brought(message).find(|path| self.frozen.holds_target(&self.names, path)) {
            Some(path) => Err(Withheld::Frozen(path.to_owned())),
            None => Ok(()),
        }
    }

    /// Whether an intent can be worked under. Somebody else's is theirs to judge.
    fn is_usable(&self, intent: &IntentId) -> Result<(), Withheld> {
        if self.unconfirmed.contains(intent) {
            return Err(Withheld::IntentUnconfirmed(intent.clone()));
        }
        match self.intents.get(intent).map(|own| own.standing) {
            Some(Standing::Active) => Ok(()),
            Some(Standing::Suspended) => Err(Withheld::IntentSuspended(intent.clone())),
            None if self.ended.contains(intent) => Err(Withheld::IntentOver(intent.clone())),
            None if self.wants_intents() && self.others.get(intent).is_none() => Err(Withheld::IntentNeeded),
            None => Ok(()),
        }
    }

    /// Governance sessions want an announced intent, unless they say otherwise (INT-02).
    fn wants_intents(&self) -> bool {
        let Some(info) = self.session_info() else { return false };
        let exempt = info.governance_policy.as_ref().and_then(|policy| policy.require_intent) == Some(false);
        let governed =
            matches!(info.compliance_profile, ComplianceProfile::Governance | ComplianceProfile::Semantic);
        governed && !exempt
    }

    fn is_new(&self, id: &str) -> Result<(), Withheld> {
        if self.ids.is_used(id) { Err(Withheld::IdUsed(id.to_owned())) } else { Ok(()) }
    }

    fn is_complete(&self, scope: &Scope) -> Result<(), Withheld> {
        if let Some(member) = scope.missing_member() {
            return Err(Withheld::ScopeIncomplete(member));
        }
        let secured = self.session_info().is_some_and(|info| info.security_profile != SecurityProfile::Open);
        let told = scope.canonical_uris.as_ref().is_some_and(|uris| !uris.is_empty());
        if secured && !told && self.mixes_kinds(&scope.kind) {
            return Err(Withheld::UrisNeeded);
        }
        Ok(())
    }

    /// Whether scopes of another kind are in use.
    fn mixes_kinds(&self, kind: &ScopeKind) -> bool {
        let own = self.intents.values().map(|own| &own.announced.scope);
        let others = self.others.iter().filter_map(|(_, it)| it.scope.as_ref());
        self.mixed || own.chain(others).any(|scope| scope.kind != *kind)
    }

    fn is_clear_while_silent(&self, scope: &Scope) -> Result<(), Withheld> {
        if !self.is_coordinator_silent() {
            return Ok(());
        }
        match self.others.in_the_way(&self.names, scope, EVER).into_iter().next() {
            Some((intent, owner)) => Err(Withheld::InTheWayWhileSilent { intent, owner }),
            None => Ok(()),
        }
    }

    /// From when on a scope may be announced again after a rejection; `None` when at once (BKO-01).
    pub fn announce_after(&self, scope: &Scope) -> Option<Timestamp> {
        backoff::blocked_until(&self.names, &self.backoff, &self.sender.principal_id, scope, self.now)
    }

    /// Whether work on a target is announced by a live own intent: without one, announce before anything that is not
    /// trivial, with a scope that names what will be touched (INT-01).
    pub fn is_announced(&self, target: &str) -> bool {
        let covers = |scope: &Scope| crate::scope::contains_target(&self.names, scope, target) != Some(false);
        self.intents.values().any(|own| own.standing == Standing::Active && covers(&own.announced.scope))
    }
}
