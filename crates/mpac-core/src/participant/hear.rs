//! What a participant makes of what it hears, in the order in which it arrives (LAM-23).

use alloc::vec::Vec;

use mpac_wire::names::{CoordinatorEvent, IntentDisposition};
use mpac_wire::payload::{CoordinatorStatus, Goodbye, IntentUpdate, KeyChange, ParticipantKeys, SessionInfo};
use mpac_wire::{ConflictId, Envelope, IntentId, Message, PrincipalId, Timestamp, Watermark};

use super::epochs::{Author, Circumstances, handover};
use super::news::{News, Over};
use super::others::Standing;
use super::{Fate, Participant};
use crate::scope::Names;
use crate::signed::Signed;

/// How far below the bound a Lamport value must be to be adopted.
const ROOM: u64 = 1 << 20;

/// Whether a message counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hearing {
    /// It does.
    Fresh,
    /// It was written under an epoch that is over: dropped without effect (REC-24).
    Stale,
    /// It is a coordinator's, and not the one's that is followed: dropped without effect (REC-25, PAR-26).
    Foreign,
    /// It belongs to another session: dropped without effect.
    Elsewhere,
    /// It should be signed by its sender, and is not: dropped without effect (SEC-27).
    Untrusted,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Heard {
    /// Whether it counts.
    pub hearing: Hearing,
    /// What it means.
    pub news: Vec<News>,
}

impl Participant {
    /// As [`hear_at`](Self::hear_at), at the last time told, for callers that do not care what it means.
    pub fn hear(&mut self, envelope: &Envelope, message: &Message) -> Hearing {
        self.hear_at(self.now, envelope, message).hearing
    }

    /// Takes note of a message that arrived: clock, epoch, admission, the fate of own messages, and the view of others.
    ///
    /// The view changes only by what was relayed or what the coordinator says (PAR-09), and a relay is believed only if
    /// its sender is who it speaks for (PAR-14).
    ///
    /// Where messages are signed this hears none: use [`hear_signed`](Self::hear_signed).
    pub fn hear_at(&mut self, now: Timestamp, envelope: &Envelope, message: &Message) -> Heard {
        self.hear_signed(now, envelope, message, &Signed::Missing)
    }

    /// The same, with what was found out about the message's signature by the key that [`key_for`](Self::key_for) gave.
    pub fn hear_signed(
        &mut self,
        now: Timestamp,
        envelope: &Envelope,
        message: &Message,
        signed: &Signed,
    ) -> Heard {
        self.time_is(now);
        // An error may answer a message whose session its writer could not tell.
        if envelope.session_id != self.session_id && !matches!(message, Message::ProtocolError(_)) {
            return Heard { hearing: Hearing::Elsewhere, news: self.take_news() };
        }
        if let Err(why) = self.believe(envelope, message, signed) {
            self.distrust(envelope, message, why);
            self.decisions.forget();
            return Heard { hearing: Hearing::Untrusted, news: self.take_news() };
        }
        let out_of_reach = self.link.cut_off || self.is_coordinator_silent();
        let circumstances = Circumstances { asked: self.link.asked.as_ref(), out_of_reach };
        let (author, rival) = self.authority.judge(envelope, message, circumstances);
        self.news.extend(rival.map(News::Rival));
        let dropped = match author {
            Author::Stale => Some(Hearing::Stale),
            Author::Foreign => Some(Hearing::Foreign),
            Author::Coordinator | Author::Peer => None,
        };
        if let Some(hearing) = dropped {
            return Heard { hearing, news: self.take_news() };
        }
        // A value that is none only ticks; a gap never stops the rule (LAM-17). Nor is one adopted that leaves no room
        // to count on: every later message of ours would be refused (LAM-14).
        let value =
            envelope.watermark.as_ref().and_then(|watermark| watermark.lamport_value().ok()).flatten();
        self.clock.receive(value.filter(|value| *value < Watermark::MAX_LAMPORT - ROOM));
        if self.closed {
            // What comes late changes nothing any more (PAR-16); errors reach the caller all the same (ERR-10).
            if let (Author::Coordinator, Message::ProtocolError(error)) = (author, message) {
                self.refused(error);
            }
            return Heard { hearing: Hearing::Fresh, news: self.take_news() };
        }
        if self.link.inside {
            self.look_for_gap(envelope, message);
        }
        if author == Author::Coordinator {
            self.hear_coordinator(envelope, message);
        } else if envelope.sender.principal_id == self.sender.principal_id {
            self.hear_echo(envelope, message);
        } else {
            self.hear_relay(&envelope.sender.principal_id, message);
        }
        self.look_for_free();
        Heard { hearing: Hearing::Fresh, news: self.take_news() }
    }

    fn hear_coordinator(&mut self, envelope: &Envelope, message: &Message) {
        match message {
            Message::SessionInfo(info) => self.admitted(envelope, info),
            Message::CoordinatorStatus(status) => self.status(status),
            Message::SessionClose(_) => self.close(),
            Message::IntentWithdraw(withdraw) => {
                let after_rejection = withdraw.reason.as_deref() == Some("rejected_by_resolution");
                if let Some(own) = self.intents.get_mut(&withdraw.intent_id) {
                    own.overruled |= after_rejection;
                }
                self.intent_over(&withdraw.intent_id, Over::Withdrawn);
                self.others.over(&withdraw.intent_id);
            }
            Message::IntentUpdate(update) => self.told_of_intent(update),
            Message::IntentClaimStatus(status) => self.claim_decided(status),
            Message::IntentDeferred(deferred) => self.deferrals.heard(deferred, &envelope.ts, self.now),
            Message::OpReject(reject) => self.rejected(reject),
            Message::ConflictReport(report) => self.conflict_reported(report),
            Message::ConflictEscalate(escalate) => self.conflict_escalated(escalate),
            Message::Resolution(resolution) => self.resolved(resolution),
            Message::ProtocolError(error) => self.refused(error),
            other => {
                if let Some(keys) = ParticipantKeys::of(other) {
                    self.keys_told(keys);
                }
            }
        }
    }

    /// SESSION_INFO lets in whoever asked: one that comes once more, after we left, lets nobody in (SES-23).
    fn admitted(&mut self, envelope: &Envelope, info: &SessionInfo) {
        if self.link.asked.is_none() && !self.link.inside {
            return;
        }
        if let Some(hello) = self.link.asked.clone() {
            self.answers.settle(&hello, Fate::Accepted);
        }
        self.authority.admitted();
        self.decisions.forget();
        self.trust_coordinator(info);
        self.names = Names::new(info.resource_registry.as_ref());
        self.info = Some(info.clone());
        self.beat.begin(self.now);
        if self.pulse.begin(self.now) {
            self.news.push(News::CoordinatorBack);
        }
        let after_a_break = self.link.enter();
        self.link.relays_count = envelope.in_reply_to.is_some();
        self.news.push(News::Admitted { problems: info.compatibility_errors.clone().unwrap_or_default() });
        if after_a_break {
            // One that was open stays open, but the summary that was asked for is lost.
            self.gap.reveal(None);
            self.link.back_by = Some(envelope.message_id.clone());
            self.news.push(News::Gap { revealed_by: None });
        }
    }

    fn status(&mut self, status: &CoordinatorStatus) {
        if self.pulse.heard(status.event == CoordinatorEvent::Heartbeat, self.now) {
            self.news.push(News::CoordinatorBack);
        }
        if let Some(change) = status.extensions.as_ref().and_then(KeyChange::of_extensions) {
            self.key_changed(&change);
        }
        match status.event {
            CoordinatorEvent::Recovered if !self.authority.has_let_us_in() => {
                self.news.push(News::HelloAgain { must: false });
            }
            CoordinatorEvent::Assumed if !self.authority.has_let_us_in() => {
                self.link.inside = false; // the successor has not let us in (SES-23)
                self.news.push(News::HelloAgain { must: true });
            }
            CoordinatorEvent::Handover => {
                if let Some((successor, epoch)) = handover(status)
                    && self.authority.hand_over(successor.clone(), epoch)
                {
                    self.news.push(News::HandedOver { successor, epoch });
                }
            }
            CoordinatorEvent::Authorization => self.authorised(status),
            CoordinatorEvent::BackendAlert => self.backend_alert(status),
            _ => {}
        }
    }

    /// The session is over: nothing in it is live any more (PAR-16).
    pub(super) fn close(&mut self) {
        if core::mem::replace(&mut self.closed, true) {
            return;
        }
        self.intents.clear();
        self.unconfirmed.clear();
        self.others.clear();
        self.conflicts.clear();
        self.deferrals.clear();
        self.frozen.clear();
        self.answers = super::Answers::default();
        self.news.push(News::Closed);
    }

    /// The coordinator says what became of an intent (D-051). Python servers do so in the objective alone.
    fn told_of_intent(&mut self, update: &IntentUpdate) {
        let stated = update.extensions.as_ref().and_then(|raw| raw.read::<serde_json::Value>().ok());
        let state = stated.as_ref().and_then(|it| it.get("mpac")?.get("state")?.as_str());
        let suspended = match state {
            Some(state) => state == "SUSPENDED",
            None => update.objective.as_ref().is_some_and(|text| text.starts_with("[SUSPENDED")),
        };
        let standing = if suspended { Standing::Suspended } else { Standing::Active };
        let id = &update.intent_id;
        self.others.stands(id, standing);
        let Some(own) = self.intents.get_mut(id) else { return };
        let before = core::mem::replace(&mut own.standing, standing);
        self.unconfirmed.remove(id);
        match (before, standing) {
            (Standing::Active, Standing::Suspended) => self.news.push(News::IntentSuspended(id.clone())),
            (Standing::Suspended, Standing::Active) => self.news.push(News::IntentRestored(id.clone())),
            _ => {}
        }
    }

    /// An own message came back: it was accepted (D-132).
    fn hear_echo(&mut self, envelope: &Envelope, message: &Message) {
        let id = &envelope.message_id;
        self.watch_echo(id, message);
        if self.answers.settle(id, Fate::Accepted).is_some() {
            self.news.push(News::Accepted(id.clone()));
        }
        match message {
            Message::IntentAnnounce(announced) => self.accept(id, announced),
            Message::IntentUpdate(update) => self.accept_update(update),
            Message::IntentWithdraw(withdraw) => {
                self.answers.forget_announce(&withdraw.intent_id);
                self.own_ended(&withdraw.intent_id);
            }
            Message::OpCommit(_) | Message::OpBatchCommit(_) | Message::OpSupersede(_) => {
                self.committed(message);
                self.note_commits(message, true);
            }
            // A reviewer may reject what it proposed itself, and hears nothing else of that (OPS-31).
            Message::OpReject(reject) => self.rejected(reject),
            Message::Goodbye(goodbye)
                if envelope.sender.sender_instance_id == self.sender.sender_instance_id =>
            {
                self.departed(goodbye);
            }
            // Another process under our name left: we did not, but what becomes of our intents is not known (PAR-22).
            Message::Goodbye(_) => self.unconfirmed = self.intents.keys().cloned().collect(),
            _ => self.hear_of_conflict(&envelope.sender.principal_id, message),
        }
    }

    fn departed(&mut self, goodbye: &Goodbye) {
        self.link.inside = false;
        match &goodbye.intent_disposition {
            Some(IntentDisposition::Expire) => {}
            Some(IntentDisposition::Transfer) => {
                self.intents.values_mut().for_each(|own| own.standing = Standing::Suspended);
            }
            _ => {
                let all: Vec<IntentId> = self.intents.keys().cloned().collect();
                all.iter().for_each(|id| self.own_ended(id));
            }
        }
    }

    /// Somebody else's message was passed on.
    fn hear_relay(&mut self, sender: &PrincipalId, message: &Message) {
        match message {
            Message::IntentAnnounce(announce) if !self.intents.contains_key(&announce.intent_id) => {
                self.saw_kind(&announce.scope.kind);
                let locks = self.locks();
                self.others.announced(sender, announce, (locks, &self.names), self.now);
            }
            Message::IntentUpdate(update) if self.others.owns(sender, &update.intent_id) => {
                self.others.updated(update, self.now);
            }
            Message::IntentWithdraw(withdraw) if self.others.owns(sender, &withdraw.intent_id) => {
                self.others.over(&withdraw.intent_id);
            }
            Message::OpCommit(_) | Message::OpBatchCommit(_) | Message::OpSupersede(_) => {
                self.note_commits(message, false);
            }
            Message::OpReject(reject) => self.rejected(reject),
            Message::IntentClaim(claim) => self.claims.heard(sender.clone(), claim.clone()),
            Message::Goodbye(goodbye) => self.others.left(sender, goodbye.intent_disposition.as_ref()),
            _ => self.hear_of_conflict(sender, message),
        }
    }

    fn hear_of_conflict(&mut self, sender: &PrincipalId, message: &Message) {
        match message {
            Message::ConflictReport(report) => self.conflict_reported(report),
            Message::ConflictAck(ack) => self.conflict_acked(sender, ack),
            Message::ConflictEscalate(escalate) if self.is_handed_on(sender, &escalate.conflict_id) => {
                self.conflict_escalated(escalate);
            }
            Message::Resolution(resolution) => self.resolved(resolution),
            _ => {}
        }
    }

    /// Whether a CONFLICT_ESCALATE is believed. Anybody may say it (D-110), and our coordinators pass on what they accept alone.
    /// Python servers pass it on of conflicts that are over too, so of others there it has to be about their own (PAR-14).
    fn is_handed_on(&self, sender: &PrincipalId, conflict: &ConflictId) -> bool {
        match self.link.relays_count || *sender == self.sender.principal_id {
            true => self.conflicts.open(conflict).is_some(),
            false => self.is_related(conflict, sender),
        }
    }
}
