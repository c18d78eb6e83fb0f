//! Waiting for files that others hold (levels from 0.1.15 on): a deferral tells everybody, and its place among those of others
//! is shown.

use mpac_wire::payload::intent::IntentDeferred;
use mpac_wire::{DeferralId, PrincipalId, Scope, Seconds};
use tokio::time::Instant;

use super::Worker;
use super::settle::ends;
use crate::console::Style;
use crate::decide::{Holder, Sign};
use crate::error::AgentError;
use crate::report::one_line;

/// How a wait for taken files ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freed {
    /// Something has ended; it is worth another announce.
    Perhaps,
    /// Nothing was heard until the limit.
    NotHeardOf,
}

impl Worker<'_> {
    /// The files are taken: defers to the holders, and waits until one of them has ended its intent or left (PAR-18), or an
    /// intent of theirs must have expired. That the coordinator tells to those who have deferred; other servers tell nobody.
    pub(super) async fn wait_for(
        &mut self,
        files: &[String],
        holders: &[Holder],
    ) -> Result<Freed, AgentError> {
        // They may have been done before we wait: while the brain wrote, or while nobody listened.
        if holders.iter().any(|holder| self.session.view().intent(&holder.intent).is_none()) {
            return Ok(Freed::Perhaps);
        }
        let names: Vec<String> = holders.iter().map(|holder| holder.principal.to_string()).collect();
        let names = names.join(", ");
        self.say(Style::Yellow, &format!("taken: {names} works there; waiting for the end of that"));
        let deferral = self.defer(files, holders);
        let (began, limit) = (Instant::now(), self.options.wait_limit);
        let freed = async {
            let mut told = None;
            loop {
                let signs = self.session.take_signs();
                if signs.iter().any(|sign| frees(holders, &deferral, sign)) {
                    return Ok(Freed::Perhaps);
                }
                // Afresh each time: an update may have prolonged it. One that was over before has not helped.
                let view = self.session.view();
                let expiries = holders.iter().filter_map(|holder| view.intent(&holder.intent)?.expires);
                let next = expiries.filter(|expiry| *expiry > began).min();
                if next.is_some_and(|next| next <= Instant::now()) {
                    return Ok(Freed::Perhaps);
                }
                let place = view.before(&deferral, Instant::now()).map(|before| place(&before));
                if let Some(place) = place.filter(|place| told.as_ref() != Some(place)) {
                    self.session.say(Style::Yellow, &one_line(&place));
                    told = Some(place);
                }
                self.session.next_until(next).await?;
            }
        };
        if let Ok(freed) = tokio::time::timeout(limit, freed).await {
            return freed;
        }
        let text = format!("{names} still works there after {} s, as far as is known", limit.as_secs());
        self.say(Style::Yellow, &text);
        Ok(Freed::NotHeardOf)
    }

    /// INTENT_DEFERRED (LCK-10). Whoever answers with STALE_INTENT knows what that is, and it ends by itself when we
    /// announce, when the holders are done, and when we would give up. Nothing takes one back, so a task that is cancelled seems
    /// to wait until then; a short one that is renewed (DEF-10) would not, but the core's participant lets no deferral be said
    /// twice under its id.
    fn defer(&mut self, files: &[String], holders: &[Holder]) -> DeferralId {
        let deferral: DeferralId = self
            .naming
            .id("deferral", "")
            .parse()
            .expect("the text begins with `deferral-`, so it is not empty");
        let mut principals: Vec<PrincipalId> = holders.iter().map(|it| it.principal.clone()).collect();
        principals.sort();
        principals.dedup();
        let lasts = u32::try_from(self.options.wait_limit.as_secs()).unwrap_or(u32::MAX).max(1);
        let mut message = IntentDeferred::new();
        message.deferral_id = Some(deferral.clone());
        message.scope = Some(Scope::files(files.iter().cloned()));
        message.reason = Some("waiting for the files".to_owned());
        message.ttl_sec = Some(Seconds::whole(lasts));
        message.observed_intent_ids = Some(holders.iter().map(|it| it.intent.to_string()).collect());
        message.observed_principals = Some(principals);
        self.session.mention(message.into());
        deferral
    }
}

fn frees(holders: &[Holder], own: &DeferralId, sign: &Sign) -> bool {
    match sign {
        Sign::Free { deferral } => deferral == own,
        other => holders.iter().any(|holder| ends(other, Some(&holder.intent), &holder.principal)),
    }
}

fn place(before: &[&PrincipalId]) -> String {
    match before {
        [] => "in the queue: first, by what was heard since joining".to_owned(),
        before => {
            let names: Vec<&str> = before.iter().map(|who| who.as_str()).collect();
            format!("in the queue: number {}, after {}", before.len() + 1, names.join(", "))
        }
    }
}
