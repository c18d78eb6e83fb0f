//! Taking in what arrives: the fate of the watched message, the view of the others, lines for people.

use mpac_core::participant::{divergent, is_warning};
use mpac_wire::names::AckType;
use mpac_wire::payload::conflict::{ConflictAck, ConflictReport, Resolution};
use mpac_wire::payload::error::ProtocolError;
use mpac_wire::payload::operation::OpReject;
use mpac_wire::{Envelope, Message, OpId};
use tokio::time::Instant;

use super::Session;
use super::exchange::{Step, Subject};
use super::manner::Manner;
use crate::arrival::Arrival;
use crate::console::Style;
use crate::decide::{Refusal, Sign};
use crate::error::AgentError;
use crate::report;

impl Session {
    pub(super) fn absorb(&mut self, arrival: Arrival) -> Result<Step, AgentError> {
        match arrival {
            Arrival::Message(envelope, message) => self.absorb_message(&envelope, &message)?,
            Arrival::Answer(answer) => {
                return Ok(self.asker(&answer).map_or(Step::Passed, |number| Step::Answered(number, answer)));
            }
            Arrival::Updated(update) => {
                if let Some(base) = &mut self.base
                    && base.path == update.path
                    && base.state_ref != update.state_ref
                {
                    base.moved = true;
                }
                self.bases.heard(&update.path, &update.state_ref);
                if let Some(watched) = &mut self.watched
                    && let Subject::Commit { path, after, .. } = &watched.subject
                    && *path == update.path
                    && *after == update.state_ref
                    && update.updated_by == *self.view.me()
                {
                    watched.heard.updated = true;
                }
            }
            Arrival::Unreadable(why) => {
                self.say(Style::Dim, &format!("passed over a frame that cannot be read: {why}"));
            }
            Arrival::Silence(Some(since)) => {
                self.silent = true;
                let text = format!(
                    "the coordinator has been silent for {} s; it or the way to it may be down",
                    since.as_secs()
                );
                self.say(Style::Red, &text);
            }
            Arrival::Silence(None) => {
                self.silent = false;
                self.say(Style::Yellow, "the coordinator is back");
            }
            Arrival::Summary(summary) => {
                self.manner = Manner::Tells;
                self.settled += 1;
                self.summary = Some(summary);
            }
            Arrival::Broken { why, patience } => {
                self.broke(&why, patience);
                return Ok(Step::Broken);
            }
            Arrival::Retrying(attempt) => self.retrying(&attempt),
            Arrival::Back(back) => self.came_back(back),
            Arrival::Trust(news) => self.about_trust(news)?,
            Arrival::Compensate(wanted) => {
                for it in wanted.reversals {
                    let text = report::to_undo(&it.reverses, &it.target, (&it.after, &it.op_id));
                    self.say(Style::Red, &text);
                }
            }
            Arrival::Ended(why) => return Err(AgentError::Lost(why)),
        }
        Ok(Step::Passed)
    }

    fn absorb_message(&mut self, envelope: &Envelope, message: &Message) -> Result<(), AgentError> {
        let coordinators = self.view.is_coordinators(envelope);
        match message {
            Message::SessionInfo(info) if envelope.coordinator_epoch.is_some() && self.awaits_info() => {
                self.view.joined(envelope.sender.principal_id.clone());
                self.info = Some((**info).clone());
                self.welcomed();
            }
            Message::SessionClose(close) if coordinators => {
                return Err(AgentError::SessionClosed(close.reason.to_string()));
            }
            Message::ConflictReport(report) => {
                self.conflict(report);
                return Ok(());
            }
            Message::Resolution(resolution) => {
                self.settled += 1;
                self.resolution(resolution);
            }
            Message::ProtocolError(error) if coordinators => {
                if let Some(lost) = divergent(error) {
                    self.diverged(lost);
                    return Ok(());
                }
            }
            Message::IntentWithdraw(withdraw) if coordinators => self.withdrawn_meanwhile(withdraw),
            Message::IntentWithdraw(withdraw) if envelope.sender.principal_id == *self.view.me() => {
                self.orphans.remove(&withdraw.intent_id);
            }
            _ => {}
        }
        let watched = self.heard(envelope, message, coordinators);
        let told = report::line(&self.view, envelope, message);
        let signs = self.view.observe(envelope, message, Instant::now());
        if signs.iter().any(|sign| matches!(sign, Sign::Ended { .. } | Sign::Left { .. })) {
            self.settled += 1;
        }
        if let Some(kept) = &mut self.signs {
            kept.extend(signs);
        }
        if let Some((style, text)) = told
            && !watched
        {
            self.say(style, &text);
        }
        Ok(())
    }

    /// Is it about the watched message? Then its fate is noted, and the work reports it.
    /// Only the coordinator refuses; who that is is not known before it lets us in.
    fn heard(&mut self, envelope: &Envelope, message: &Message, coordinators: bool) -> bool {
        let refuses = coordinators || self.info.is_none();
        let Some(watched) = &mut self.watched else { return false };
        if envelope.message_id == watched.message {
            watched.heard.echo = true;
            return true;
        }
        match message {
            Message::ProtocolError(error) if refuses && refers_to(error, watched.message.as_str()) => {
                if is_warning(error) {
                    // It was accepted, also where the warning suppresses the relay (D-119, D-133).
                    watched.heard.echo = true;
                    self.say(Style::Yellow, &format!("the coordinator warns: {}", error.description));
                    return true;
                }
                watched.heard.error = Some(Refusal::of(error));
                true
            }
            Message::OpReject(reject) if refuses => {
                let rejected = reject.op_id.as_str();
                let ours = match &watched.subject {
                    Subject::Commit { op, .. } => op.as_str() == rejected,
                    Subject::Batch(batch) => batch.as_str() == rejected,
                    Subject::None => false,
                };
                if ours {
                    watched.heard.rejected = Some(reject.reason.to_string());
                    watched.heard.entries = codes(reject);
                }
                ours
            }
            _ => false,
        }
    }

    /// Shown and acknowledged (PAR-19). One that comes with the announce is also kept for a decision; one with somebody who
    /// announced after us is theirs to decide first: our work goes on, and the state references protect both. That is so
    /// when it comes later, and when it overtakes the answer to our announce and says that we are the older side
    /// (`spec/wire.md` §6.18): else two who announce at the same time would both decide, and both step back.
    pub(super) fn conflict(&mut self, report: &ConflictReport) {
        let Some(own) = self.own.clone() else { return };
        let Some(other) = self.view.other_side(report, &own.id, Instant::now()) else { return };
        let theirs = other.intent.as_ref().and_then(|id| self.view.intent(id));
        let shared: Vec<String> = theirs
            .map(|intent| own.files.iter().filter(|file| intent.files.contains(file)).cloned().collect())
            .unwrap_or_default();
        let about = if shared.is_empty() { &own.files } else { &shared };
        let is_older = report.intent_b.as_ref() == Some(&own.id);
        let ours_to_decide = self.undecided.is_some() && !is_older;
        let later = if ours_to_decide { "" } else { " (they came later; the work goes on)" };
        let text = format!(
            "conflict with {} about {}: {}, {}{later}",
            other.principal,
            report::files(about),
            report.category,
            report.severity
        );
        self.say(Style::Yellow, &report::one_line(&text));
        self.link.mention(ConflictAck::new(report.conflict_id.clone(), AckType::Seen).into());
        if let Some(undecided) = self.undecided.as_mut().filter(|_| ours_to_decide) {
            undecided.push(report.clone());
        }
    }

    fn resolution(&mut self, resolution: &Resolution) {
        let Some(own) = &self.own else { return };
        let rejected = resolution.outcome.as_ref().and_then(|outcome| outcome.rejected.as_deref());
        if rejected.unwrap_or_default().iter().any(|id| id == own.id.as_str()) {
            let why = resolution.rationale.clone().unwrap_or_else(|| resolution.decision.to_string());
            self.stop = Some(AgentError::Overruled(why));
        }
    }
}

/// The entries of a batch that were not good, each with its code.
fn codes(reject: &OpReject) -> Vec<(OpId, String)> {
    let code = |op: &OpId| {
        let told = reject.reasons.as_ref().and_then(|reasons| reasons.get(op.as_str()));
        told.and_then(|raw| raw.read::<String>().ok()).unwrap_or_else(|| reject.reason.to_string())
    };
    reject.rejected_ops.iter().flatten().map(|op| (op.clone(), code(op))).collect()
}

fn refers_to(error: &ProtocolError, message: &str) -> bool {
    error.refers_to.as_deref() == Some(message)
}
