//! A connection that breaks, and coming back (PAR-05, PAR-12, PAR-22).
//!
//! The connection says HELLO again by itself. What is left to do then is to look at the session (`catch_up`): who else
//! is at work, whether the own intent is still there, which of those given up are. It is done before anything else is asked
//! or said, also while a model thinks, so that others are not told for longer than necessary that nobody works here. What
//! each message under way came to is for the one who sent it: see [`commit`](Session::commit),
//! [`announce`](Session::announce), [`withdraw`](Session::withdraw), and the table in the core's `participant::fate`.

use std::time::Duration;

use mpac_core::participant::Presence;
use mpac_wire::names::HeartbeatStatus;
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::intent::IntentWithdraw;
use mpac_wire::sideband::{Request, SessionSummary};
use tokio::time::Instant;

use super::Session;
use super::files::{FileState, read};
use super::intent::{OwnIntent, reports_of, withdrawal};
use super::manner::Manner;
use crate::arrival::{Attempt, Back};
use crate::console::Style;
use crate::error::AgentError;

/// Where the session stands with its coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Here,
    /// The connection is broken.
    Away,
    /// Let in again, and the session has not been looked at.
    Back,
}

impl Session {
    /// Is the connection broken? Then what needs the coordinator has to wait.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.place == Place::Away
    }

    /// A rule of the core says that nothing may be said; the tidings of the break are on their way.
    pub(super) fn cut_off(&mut self) {
        self.place = Place::Away;
    }

    pub(super) fn broke(&mut self, why: &str, patience: Duration) {
        self.place = Place::Away;
        // Nothing asked on the old connection will be answered.
        self.asked.clear();
        self.silent = false;
        let text = format!("connection lost: {why}; trying again for {} s", patience.as_secs());
        self.say(Style::Red, &text);
    }

    pub(super) fn retrying(&mut self, attempt: &Attempt) {
        self.place = Place::Away;
        // The first is made at once, for the reason that was told.
        if attempt.number > 1 {
            let text = format!(
                "attempt {} in {:.1} s ({})",
                attempt.number,
                attempt.wait.as_secs_f32(),
                attempt.why
            );
            self.say(Style::Dim, &text);
        }
    }

    pub(super) fn came_back(&mut self, back: Back) {
        self.back = Some(back);
    }

    /// SESSION_INFO counts when nobody has let us in yet, and after a break.
    pub(super) fn awaits_info(&self) -> bool {
        self.info.is_none() || self.back.is_some()
    }

    /// SESSION_INFO came.
    pub(super) fn welcomed(&mut self) {
        let Some(back) = self.back.take() else { return };
        (self.place, self.summary) = (Place::Back, None);
        // It may be another one now; the look at the session asks.
        self.manner = Manner::Asked;
        self.settled += 1;
        self.bases.doubt();
        let at = back.url.map_or_else(String::new, |url| format!(" at {url}"));
        let whose = match back.epochs {
            (0, _) => String::new(), // it had not let us in before
            (before, now) if now > before => {
                format!("; the coordinator was restarted or replaced (epoch {now})")
            }
            (_, now) => format!("; the coordinator's epoch is still {now}"),
        };
        self.same_epoch = back.epochs.0 == back.epochs.1;
        let text = format!("back{at} after {:.1} s{whose}", back.after.as_secs_f32());
        self.say(Style::Green, &text);
    }

    /// As [`here`](Self::here), unless something stops the task.
    ///
    /// # Errors
    /// As [`here`](Self::here), and what stops the task.
    pub(super) async fn ready(&mut self) -> Result<(), AgentError> {
        self.here().await?;
        self.check_stop()
    }

    /// Waits until the coordinator is there and the session has been looked at since the last break.
    ///
    /// # Errors
    /// [`AgentError::Lost`] when that is given up, [`AgentError::SessionClosed`].
    pub(super) async fn here(&mut self) -> Result<(), AgentError> {
        if self.is_away() {
            self.say(Style::Dim, "waiting for the coordinator to come back");
        }
        loop {
            match self.place {
                Place::Here => return Ok(()),
                Place::Away => {
                    self.step().await?;
                }
                Place::Back => self.catch_up().await?,
            }
        }
    }

    /// Looks at the session after a break. It may be dropped and done again.
    pub(super) async fn catch_up(&mut self) -> Result<(), AgentError> {
        match self.look_around().await {
            // Broken again: another return will come, and another look.
            Err(AgentError::Away { .. }) => Ok(()),
            other => other,
        }
    }

    async fn look_around(&mut self) -> Result<(), AgentError> {
        self.link.report_break();
        let barrier = match self.own.as_ref().and_then(|own| own.files.first()) {
            Some(path) => read(path),
            None => Request::FileList,
        };
        self.ask(barrier, "the look at the session").await?;
        let summary = self.summary.clone();
        let signs = self.view.listed(summary.as_deref(), Instant::now());
        if let Some(kept) = &mut self.signs {
            kept.extend(signs);
        }
        self.look_for_committed().await?;
        for (orphan, reason) in self.orphans.clone() {
            if self.link.presence(orphan.clone()).await? == Presence::Gone {
                self.orphans.remove(&orphan);
            } else {
                self.link.mention(withdrawal(orphan, &reason));
            }
        }
        if self.stop.is_none()
            && let Some(own) = self.own.clone()
        {
            self.look_after(own, summary.as_deref()).await?;
        }
        if self.place == Place::Back {
            (self.place, self.summary) = (Place::Here, None);
        }
        Ok(())
    }

    /// A coordinator that does not know of our intent and speaks of no recovery began anew. What it had acknowledged may be
    /// gone with its memory: a file that is again as it was before our commit tells.
    async fn look_for_committed(&mut self) -> Result<(), AgentError> {
        if !self.same_epoch || self.committed.is_empty() {
            return Ok(());
        }
        // Without an intent, between its withdrawal and the end, nothing but the files can tell.
        let own = self.own.as_ref().map(|own| &own.id);
        if let Some(ours) = own.or_else(|| self.orphans.keys().next()).cloned()
            && matches!(self.link.presence(ours).await?, Presence::Live | Presence::Suspended)
        {
            return Ok(());
        }
        let mut lost = Vec::new();
        for (path, before) in self.committed.clone() {
            let now = self.read_file_now(&path).await?.unwrap_or_else(FileState::absent);
            if now.state_ref == before {
                lost.push(path);
            }
        }
        if !lost.is_empty() {
            self.committed.clear();
            self.tell_lost(lost);
        }
        Ok(())
    }

    /// The own intent: alive, or announced again (PAR-22).
    async fn look_after(
        &mut self,
        own: OwnIntent,
        summary: Option<&SessionSummary>,
    ) -> Result<(), AgentError> {
        match self.link.presence(own.id.clone()).await? {
            Presence::Live | Presence::Suspended => {
                self.say(Style::Dim, &format!("intent {} is still there", own.id));
                self.link.status(HeartbeatStatus::Working, Some(own.id.clone()));
                for report in summary.into_iter().flat_map(|summary| reports_of(summary, &own.id)) {
                    let news = |known: &Vec<ConflictReport>| {
                        known.iter().all(|it| it.conflict_id != report.conflict_id)
                    };
                    if self.undecided.as_ref().is_some_and(news) {
                        self.conflict(&report);
                    }
                }
                Ok(())
            }
            Presence::Unknown => self.announce_again(own, true).await,
            _ => self.announce_again(own, false).await,
        }
    }

    /// The own intent ended while we were away: by its time, which does not matter, or because somebody decided so. Why, the
    /// RESOLUTION before it has told better.
    pub(super) fn withdrawn_meanwhile(&mut self, withdraw: &IntentWithdraw) {
        let ours = self.own.as_ref().is_some_and(|own| own.id == withdraw.intent_id);
        let reason = withdraw.reason.as_deref().unwrap_or_default();
        if ours && self.place == Place::Back && !matches!(reason, "expired" | "superseded") {
            let why = format!("its intent was ended while the connection was broken: {reason}");
            self.stop.get_or_insert(AgentError::Overruled(why));
        }
    }

    /// A recovery lost what had been acknowledged. Nothing is merged: the person decides, and we join without it (REC-17,
    /// D-041).
    pub(super) fn diverged(&mut self, lost: Vec<String>) {
        self.tell_lost(lost.clone());
        self.link.forget(lost);
    }

    fn tell_lost(&mut self, lost: Vec<String>) {
        let error = AgentError::Diverged(lost);
        self.say(Style::Red, &error.to_string());
        if self.in_task {
            self.stop = Some(error);
        }
    }

    pub(super) fn check_stop(&mut self) -> Result<(), AgentError> {
        self.stop.take().map_or(Ok(()), Err)
    }
}
