//! Conflicts with the intents that were there first: decide, and step back when that is the decision.
//!
//! Who announces second decides. Conflicts that come later belong to those who came later; they are shown and
//! acknowledged, and the work goes on. So two of our agents step back for each other only when both announced
//! before either had its answers; with Python agents, which both decide, it is common. [`StepBack`] settles it.

use std::collections::{BTreeSet, VecDeque};

use mpac_wire::names::HeartbeatStatus;
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::{IntentId, PrincipalId};
use tokio::time::Instant;

use super::think::think;
use super::{Rival, Worker};
use crate::brain::{BrainError, Choice, ConflictAsk, Decision, Plan};
use crate::console::Style;
use crate::decide::{End, Sign, StepBack, Verdict};
use crate::error::AgentError;
use crate::report::one_line;
use crate::view::YIELDED;

/// What the conflicts at the announce amount to.
pub(super) enum Settled {
    Proceed,
    /// Withdraw for these; `watchable` when each report named the other intent.
    Yield {
        to: Vec<Rival>,
        watchable: bool,
    },
}

impl Worker<'_> {
    /// Asks the brain about each rival once. `settled_with` have stepped back for us already.
    pub(super) async fn settle(
        &mut self,
        plan: &Plan,
        settled_with: &BTreeSet<PrincipalId>,
    ) -> Result<Settled, AgentError> {
        let mut yielding: Vec<Rival> = Vec::new();
        let mut met: Vec<Rival> = Vec::new();
        // A break while the brain thinks may bring more of them.
        let mut reports = VecDeque::from(self.session.take_undecided());
        while let Some(report) = reports.pop_front() {
            let Some(rival) = self.rival(&report) else { continue };
            if met.contains(&rival) {
                continue;
            }
            met.push(rival.clone());
            if settled_with.contains(&rival.principal) {
                self.say(Style::Yellow, &format!("settled before with {}", rival.principal));
            } else if self.decide(plan, &report, &rival).await? == Choice::Yield {
                yielding.push(rival);
            }
            reports.extend(self.session.take_undecided());
        }
        // While the brain thought, the reason to step back may have gone.
        let signs = self.session.signs();
        yielding.retain(|rival| !has_gone(rival, signs));
        if yielding.is_empty() {
            // A break may have cost us the intent: what comes now tells when those who hold its files have ended.
            if self.session.own().is_some() {
                self.session.forget_signs();
            }
            if !met.is_empty() {
                self.say(Style::Yellow, "proceeding");
            }
            return Ok(Settled::Proceed);
        }
        self.session.take_signs();
        let watchable = yielding.iter().all(|rival| rival.intent.is_some());
        Ok(Settled::Yield { to: yielding, watchable })
    }

    fn rival(&mut self, report: &ConflictReport) -> Option<Rival> {
        let own = self.session.own()?.id.clone();
        let other = self.session.view_mut().other_side(report, &own, Instant::now())?;
        Some(Rival { principal: other.principal, intent: other.intent })
    }

    async fn decide(
        &mut self,
        plan: &Plan,
        report: &ConflictReport,
        rival: &Rival,
    ) -> Result<Choice, AgentError> {
        let theirs = rival.intent.as_ref().and_then(|id| self.session.view().intent(id)).cloned();
        let ask = ConflictAsk {
            task: self.task.clone(),
            plan: plan.clone(),
            category: report.category.to_string(),
            severity: report.severity.to_string(),
            other: rival.principal.to_string(),
            other_objective: theirs.as_ref().and_then(|intent| intent.objective.clone()),
            other_files: theirs.map(|intent| intent.files).unwrap_or_default(),
            description: report.description.clone(),
            fault: None,
        };
        let decision = self.decision(ask).await?;
        let word = match decision.choice {
            Choice::Proceed => "proceed",
            Choice::Yield => "yield",
        };
        self.say(Style::Yellow, &format!("decision: {word} ({})", decision.reason));
        Ok(decision.choice)
    }

    /// The brain's decision; one round of repair for an answer that is none.
    async fn decision(&mut self, mut ask: ConflictAsk) -> Result<Decision, AgentError> {
        loop {
            let thought = self.brain.decide_conflict(ask.clone(), &self.notes);
            match think(self.session, &mut self.ear, "deciding", thought).await? {
                Ok(decision) => return Ok(decision),
                Err(BrainError::Unusable(why)) if ask.fault.is_none() => {
                    let text = format!("the answer is no decision ({why}); asking for another");
                    self.say(Style::Yellow, &text);
                    ask.fault = Some(why);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Withdraws for the rivals and waits until it shows who goes on: `Some` when it is up to us again.
    pub(super) async fn step_back(
        &mut self,
        to: Vec<Rival>,
    ) -> Result<Option<BTreeSet<PrincipalId>>, AgentError> {
        let me = self.session.view().me().clone();
        let names: Vec<String> = to.iter().map(|rival| rival.principal.to_string()).collect();
        let names = names.join(", ");
        let pairs = to.into_iter().filter_map(|rival| Some((rival.intent?, rival.principal)));
        let mut watch = StepBack::new(me, pairs);
        self.session.withdraw(YIELDED).await?;
        self.session.set_status(HeartbeatStatus::Blocked);
        self.say(Style::Yellow, &format!("yielded to {names}; watching whether they go on"));
        let limit = self.options.wait_limit;
        let watched = tokio::time::timeout(limit, self.watch(&mut watch)).await;
        let Ok(verdict) = watched else {
            let text = format!("{names} showed nothing for {} s", limit.as_secs());
            self.say(Style::Yellow, &text);
            // Who stepped back too and did not announce again leaves the work undone.
            return Ok(watch.overdue());
        };
        match verdict? {
            Verdict::AnnounceAgain { settled_with } => {
                let why = watch
                    .goes_first()
                    .map_or_else(|| "nobody else goes on".to_owned(), |first| format!("{first} is done"));
                self.say(Style::Yellow, &format!("{why}; it is our turn"));
                Ok(Some(settled_with))
            }
            Verdict::TheyWentOn(who) => {
                self.say(Style::Yellow, &format!("{who} went on; the task is left to them"));
                Ok(None)
            }
            Verdict::Wait => Ok(None),
        }
    }

    async fn watch(&mut self, watch: &mut StepBack) -> Result<Verdict, AgentError> {
        let mut told = false;
        loop {
            let mut signs = self.session.take_signs();
            let (view, now) = (self.session.view(), Instant::now());
            let expiry = |id: &IntentId| view.intent(id).and_then(|intent| intent.expires);
            let expired = watch.watched().filter(|id| expiry(id).is_some_and(|expiry| expiry <= now));
            signs.extend(expired.map(|id| Sign::Ended { intent: id.clone(), end: End::Otherwise }));
            for sign in signs {
                let verdict = watch.observe(&sign);
                if verdict != Verdict::Wait {
                    return Ok(verdict);
                }
            }
            let next = watch.watched().filter_map(expiry).min();
            if let Some(first) = watch.goes_first().filter(|_| !told) {
                let text = format!("{first} stepped back too and goes first; waiting for its work");
                self.session.say(Style::Yellow, &one_line(&text));
                told = true;
            }
            self.session.next_until(next).await?;
        }
    }
}

fn has_gone(rival: &Rival, signs: &[Sign]) -> bool {
    signs.iter().any(|sign| ends(sign, rival.intent.as_ref(), &rival.principal))
}

/// Is there nothing left of that intent?
pub(super) fn ends(sign: &Sign, of: Option<&IntentId>, by: &PrincipalId) -> bool {
    match sign {
        Sign::Ended { intent, .. } => of == Some(intent),
        Sign::Left { principal } => principal == by,
        Sign::Announced { .. } | Sign::Worked { .. } | Sign::Free { .. } => false,
    }
}
