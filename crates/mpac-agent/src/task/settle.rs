//! Conflicts with the intents that were there first: decide, and step back when that is the decision.
//!
//! Who announces second decides. Conflicts with whoever came later are theirs; they are shown and acknowledged, and the
//! work goes on. With Python agents, which both decide, it is common that both step back. [`StepBack`] settles it.

use std::collections::BTreeSet;

use mpac_wire::names::HeartbeatStatus;
use mpac_wire::{IntentId, PrincipalId};
use tokio::time::Instant;

use super::{Rival, Worker};
use crate::brain::{Choice, Plan};
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
    /// Has each conflict decided on. `settled_with` have stepped back for us already.
    pub(super) async fn settle(
        &mut self,
        plan: &Plan,
        settled_with: &BTreeSet<PrincipalId>,
    ) -> Result<Settled, AgentError> {
        let decided = self.decide(plan, settled_with).await?;
        let any = !decided.is_empty();
        let mut yielding = Vec::new();
        for (rival, choice) in decided {
            match choice {
                Choice::Yield => yielding.push(rival),
                // A break may bring the same conflict again.
                Choice::Proceed => self.beside.push(rival),
            }
        }
        // While the brain thought, the reason to step back may have gone.
        let signs = self.session.signs();
        yielding.retain(|rival| !has_gone(rival, signs));
        if yielding.is_empty() {
            // A break may have cost us the intent: what comes now tells when those who hold its files have ended.
            if self.session.own().is_some() {
                self.session.forget_signs();
            }
            if any {
                self.say(Style::Yellow, "proceeding");
            }
            return Ok(Settled::Proceed);
        }
        self.session.take_signs();
        let watchable = yielding.iter().all(|rival| rival.intent.is_some());
        Ok(Settled::Yield { to: yielding, watchable })
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
        Sign::Left { principal, keeps } => principal == by && of.is_none_or(|of| !keeps.contains(of)),
        Sign::Announced { .. } | Sign::Worked { .. } | Sign::Free { .. } => false,
    }
}
