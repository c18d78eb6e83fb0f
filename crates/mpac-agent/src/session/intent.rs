//! The own intent: announced, announced again after a break, ended.

use std::time::Duration;

use mpac_core::participant::Withheld;
use mpac_wire::names::HeartbeatStatus;
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::intent::{IntentAnnounce, IntentUpdate, IntentWithdraw};
use mpac_wire::sideband::SessionSummary;
use mpac_wire::{IntentId, Message, Scope, Seconds};
use tokio::time::Instant;

use super::Session;
use super::away::Place;
use super::exchange::{Exchanged, Step, Subject, accepted};
use super::files::read;
use crate::console::Style;
use crate::decide::{Heard, Holder};
use crate::error::AgentError;

/// An announced intent outlives slow models; if we vanish, the coordinator's liveness check ends it far earlier. It is renewed
/// while there is work under it, so this is how long one lives that was forgotten.
pub(super) const INTENT_TTL_SEC: u32 = 1_800;

/// The own live intent.
#[derive(Debug, Clone)]
pub(crate) struct OwnIntent {
    pub(crate) id: IntentId,
    pub(crate) objective: String,
    pub(crate) files: Vec<String>,
}

impl OwnIntent {
    fn announce(&self, ttl_sec: u32) -> Message {
        let scope = Scope::files(self.files.iter().cloned());
        let mut announce = IntentAnnounce::new(self.id.clone(), self.objective.clone(), scope);
        announce.ttl_sec = Some(Seconds::whole(ttl_sec));
        announce.into()
    }

    /// The same under an id that was not used before (PAR-24): `<id>-again`, `<id>-again2`, ...
    fn renamed(mut self) -> Self {
        let text = self.id.as_str();
        let (base, count) = match text.rsplit_once("-again") {
            Some((base, "")) => (base, 2),
            Some((base, digits)) => digits.parse::<u32>().map_or((text, 0), |n| (base, n.saturating_add(1))),
            None => (text, 0),
        };
        let digits = if count == 0 { String::new() } else { count.to_string() };
        self.id = IntentId::new(format!("{base}-again{digits}"))
            .expect("the text ends in a word, so it is not empty");
        self
    }
}

impl Session {
    /// Announces an intent and waits for everything the coordinator says about it: the conflict reports are
    /// then in [`take_undecided`](Self::take_undecided). When the files are taken (STALE_INTENT), the holders.
    ///
    /// # Errors
    /// [`AgentError::Refused`] or [`AgentError::Ignored`] when it did not become an intent for another reason.
    pub(crate) async fn announce(&mut self, own: OwnIntent) -> Result<Vec<Holder>, AgentError> {
        (self.own, self.undecided) = (None, None);
        (self.signs, self.taken, self.frozen) = (Some(Vec::new()), None, None);
        self.hold_while_silent("the announce").await?;
        self.ready().await?;
        (self.own, self.undecided) = (Some(own.clone()), Some(Vec::new()));
        match self.exchange_announce(&own, false).await {
            Ok(Exchanged::Answered(heard, _)) => self.take_announced(own.id, heard, false)?,
            // The look at the session finds out whether it arrived, and sends it again if not.
            Ok(Exchanged::Broken { .. }) => self.ready().await?,
            Err(error @ AgentError::Withheld { .. }) => {
                self.own = None; // nobody has heard of it
                return Err(error);
            }
            Err(error) => return Err(error),
        }
        match self.frozen.take() {
            Some(error) => Err(error),
            None => Ok(self.taken.take().unwrap_or_default()),
        }
    }

    async fn exchange_announce(&mut self, own: &OwnIntent, again: bool) -> Result<Exchanged, AgentError> {
        let barrier = read(own.files.first().map_or("", String::as_str));
        if !again || self.renew_at.is_none() {
            self.plan_renewal();
        }
        loop {
            let said = (own.announce(self.intent_ttl_sec), again);
            match self.exchange(said, "the announce", barrier.clone(), Subject::None).await {
                // The core is a moment ahead of the rhythm: either that or a status comes next (REC-06).
                Err(AgentError::Withheld { why: Withheld::InTheWayWhileSilent { .. }, .. }) => {
                    if matches!(self.step().await?, Step::Broken) {
                        return Ok(Exchanged::Broken { sent: false, heard: Heard::default() });
                    }
                }
                done => return done,
            }
        }
    }

    /// After two thirds of its time, so that an update that is lost or late does not cost the intent.
    fn plan_renewal(&mut self) {
        self.renew_at = Some(Instant::now() + Duration::from_secs(self.intent_ttl_sec.into()) * 2 / 3);
    }

    /// When the own intent is to be renewed; not while the connection is broken, and at once when it is back.
    pub(super) fn renewal(&self) -> Option<Instant> {
        self.renew_at.filter(|_| self.own.is_some() && self.place == Place::Here)
    }

    /// The own intent lives on for as long as when it was announced (INT-05, INT-11): an answer, or a person with a diff, may
    /// take longer than that.
    pub(super) fn renew(&mut self) {
        let Some(own) = &self.own else { return };
        let mut update = IntentUpdate::new(own.id.clone());
        update.ttl_sec = Some(Seconds::whole(self.intent_ttl_sec));
        self.link.mention(update.into());
        self.plan_renewal();
    }

    /// The coordinator says that the own intent is over. It can be announced again, under another id.
    pub(crate) fn has_expired(&mut self) {
        if let Some(own) = self.own.take() {
            self.say(Style::Yellow, &format!("intent {} is over", own.id));
            self.link.status(HeartbeatStatus::Working, None);
        }
    }

    /// After a break: the intent is not there, or (`perhaps`) nothing tells whether it is. What may be there is announced
    /// under the same id, so that it cannot be there twice.
    pub(super) async fn announce_again(&mut self, own: OwnIntent, perhaps: bool) -> Result<(), AgentError> {
        let own = if perhaps { own } else { own.renamed() };
        let deciding = self.signs.is_some();
        // Whoever has announced meanwhile was first, and leaves it to us: these are the conflicts that count now.
        self.undecided.get_or_insert_default();
        // Who holds the files may be done with them before we have heard that they are taken.
        self.signs.get_or_insert_default();
        self.own = Some(own.clone());
        let text = if perhaps {
            format!("whether our intent is still there cannot be told; announcing {} again", own.id)
        } else {
            format!("our intent is not there any more; announcing {}", own.id)
        };
        self.say(Style::Yellow, &text);
        let announced = match self.exchange_announce(&own, perhaps).await {
            Ok(Exchanged::Answered(heard, _)) => self.take_announced(own.id, heard, perhaps),
            // The next look at the session finds the conflicts.
            Ok(Exchanged::Broken { .. }) => return Ok(()),
            Err(error) => Err(error),
        };
        match announced {
            // Whoever announces hears of it and waits. A task that writes announces when there is something to commit.
            Err(error) if error.is_frozen() => {
                self.own = None;
                self.say(Style::Yellow, &error.to_string());
                self.frozen = Some(error);
            }
            announced => announced?,
        }
        if !deciding && self.taken.is_none() {
            self.nothing_left_to_decide();
        }
        Ok(())
    }

    /// Where nobody decides and no report waits for that, whoever comes now came later. Two breaks in a row can leave us here
    /// as if an announce were still under way.
    pub(super) fn nothing_left_to_decide(&mut self) {
        if !self.has_undecided() {
            (self.signs, self.undecided) = (None, None);
        }
    }

    fn take_announced(&mut self, id: IntentId, heard: Heard, again: bool) -> Result<(), AgentError> {
        if let Some(refusal) = &heard.error {
            if again && refusal.duplicate == Some("intent_id") {
                self.say(Style::Dim, &format!("intent {id} is still there"));
                self.link.status(HeartbeatStatus::Working, Some(id));
                return Ok(());
            }
            self.own = None;
            if refusal.code == "STALE_INTENT" && !refusal.holders.is_empty() {
                for holder in &refusal.holders {
                    self.view.learn(&holder.intent, &holder.principal, Instant::now());
                }
                self.link.status(HeartbeatStatus::Blocked, None);
                self.taken = Some(refusal.holders.clone());
                return Ok(());
            }
        }
        accepted(heard, "the announce")?;
        self.link.status(HeartbeatStatus::Working, Some(id));
        Ok(())
    }

    /// Who took the files of the intent that a break has cost us, when it could not be announced again.
    pub(crate) fn take_taken(&mut self) -> Vec<Holder> {
        self.taken.take().unwrap_or_default()
    }

    /// Ends the own intent, if there is one. What the coordinator thinks of it is shown, not returned:
    /// there is nothing the work could still do about it.
    ///
    /// # Errors
    /// [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub(crate) async fn withdraw(&mut self, reason: &str) -> Result<(), AgentError> {
        let Some(own) = self.own.take() else { return Ok(()) };
        // Until its withdrawal has come back; what a break swallows is said again by the look after it.
        self.orphans.insert(own.id.clone(), reason.to_owned());
        let place = self.place;
        self.here().await?;
        if place != Place::Here {
            return Ok(());
        }
        let barrier = read(own.files.first().map_or("", String::as_str));
        let said = (withdrawal(own.id.clone(), reason), false);
        match self.exchange(said, "the withdrawal", barrier, Subject::None).await? {
            Exchanged::Answered(heard, _) => {
                self.orphans.remove(&own.id);
                self.link.status(HeartbeatStatus::Idle, None);
                if let Err(error) = accepted(heard, "the withdrawal") {
                    self.say(Style::Dim, &error.to_string());
                }
                Ok(())
            }
            Exchanged::Broken { .. } => self.here().await,
        }
    }

    /// Ends the own intent without waiting for anything, when the work was broken off.
    pub(crate) fn abandon(&mut self, reason: &str) {
        if let Some(own) = self.own.take() {
            self.orphans.insert(own.id.clone(), reason.to_owned());
            self.link.mention(withdrawal(own.id, reason));
        }
        (self.undecided, self.watched) = (None, None);
        self.end_task();
    }
}

pub(super) fn withdrawal(intent: IntentId, reason: &str) -> Message {
    let mut withdraw = IntentWithdraw::new(intent);
    withdraw.reason = Some(reason.to_owned());
    withdraw.into()
}

/// The conflicts of an intent, by a summary: their reports may have come while nobody listened.
pub(super) fn reports_of<'a>(
    summary: &'a SessionSummary,
    own: &'a IntentId,
) -> impl Iterator<Item = ConflictReport> + 'a {
    let concerns = move |side: &Option<IntentId>| side.as_ref() == Some(own);
    let ours =
        summary.open_conflicts.iter().filter(move |it| concerns(&it.intent_a) || concerns(&it.intent_b));
    ours.map(|it| {
        let mut report =
            ConflictReport::new(it.conflict_id.clone(), it.category.clone(), it.severity.clone());
        (report.principal_a, report.principal_b) = (it.principal_a.clone(), it.principal_b.clone());
        (report.intent_a, report.intent_b) = (it.intent_a.clone(), it.intent_b.clone());
        report
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_that_is_announced_again_has_a_new_id_each_time() {
        let mut own = OwnIntent {
            id: IntentId::new("intent-bob-again-fedcbd").unwrap(),
            objective: "o".to_owned(),
            files: Vec::new(),
        };
        let mut ids = Vec::new();
        for _ in 0..4 {
            own = own.renamed();
            ids.push(own.id.to_string());
        }
        let base = "intent-bob-again-fedcbd-again";
        assert_eq!(ids, [base.to_owned(), format!("{base}2"), format!("{base}3"), format!("{base}4")]);
    }
}
