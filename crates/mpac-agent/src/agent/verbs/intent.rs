//! Intents: announce, update, withdraw, defer. What a claim is stands in `claim`.

mod claim;

use std::sync::atomic::Ordering;
use std::time::Duration;

use mpac_core::Participant;
use mpac_core::participant::{Holder, Presence, is_duplicate};
use mpac_wire::names::HeartbeatStatus;
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::intent::{IntentAnnounce, IntentDeferred, IntentUpdate, IntentWithdraw};
use mpac_wire::{DeferralId, IntentId, Message, PrincipalId, Scope, Seconds};

use super::Tentative;
use crate::agent::hub::{Outcome, Reply, Said};
use crate::agent::{Agent, barrier};
use crate::error::AgentError;

pub use claim::Claim;

/// How long an intent lives that does not say so: longer than slow work. If its process is gone the coordinator ends it far
/// earlier.
const INTENT_TTL_SECONDS: u32 = 1_800;
/// How long a deferral lives that does not say so (DEF-02).
const DEFERRAL_TTL_SECONDS: u32 = 60;

/// How long a summary is waited for by who only wants to know who is in the way.
const SUMMARY_PATIENCE: Duration = Duration::from_secs(5);

/// What is to be announced.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Announce {
    /// What for, in words.
    pub objective: String,
    /// What it covers.
    pub scope: Scope,
    /// Seconds it lives without an update; half an hour by default (INT-05).
    pub ttl_sec: u32,
    /// An own intent that it takes the place of.
    pub supersedes: Option<IntentId>,
}

impl Announce {
    /// Work on these files.
    #[must_use]
    pub fn files<S: Into<String>>(objective: &str, files: impl IntoIterator<Item = S>) -> Self {
        Self::of(objective, Scope::files(files))
    }

    /// Work on something else.
    #[must_use]
    pub fn of(objective: &str, scope: Scope) -> Self {
        Self { objective: objective.to_owned(), scope, ttl_sec: INTENT_TTL_SECONDS, supersedes: None }
    }
}

/// An intent that is live.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Announced {
    /// It.
    pub intent: IntentId,
    /// The conflicts that it is in: to be acknowledged (PAR-19), and settled or left to those who came first.
    pub conflicts: Vec<ConflictReport>,
    /// The coordinator's words, where it accepted the intent with a warning (D-119).
    pub warning: Option<String>,
}

/// What is to be new about an own intent.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Update {
    /// Its objective.
    pub objective: Option<String>,
    /// Its scope.
    pub scope: Option<Scope>,
    /// Its time, counted from now (INT-12).
    pub ttl_sec: Option<u32>,
}

/// A step back.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Defer {
    /// From what.
    pub scope: Scope,
    /// For whose intents; empty: for those that the view knows to be in the way (PAR-17).
    pub holders: Vec<Holder>,
    /// Why.
    pub reason: String,
    /// Seconds until it is over by itself; 60 by default.
    pub ttl_sec: u32,
}

impl Defer {
    /// From these files, for whoever works on them.
    #[must_use]
    pub fn files<S: Into<String>>(files: impl IntoIterator<Item = S>) -> Self {
        let scope = Scope::files(files);
        Self { scope, holders: Vec::new(), reason: "yielded".to_owned(), ttl_sec: DEFERRAL_TTL_SECONDS }
    }
}

impl Agent {
    /// INTENT_ANNOUNCE, and everything that the coordinator says about it.
    ///
    /// A break is waited out, and the intent looked for after it; where it did not arrive it is announced again (PAR-22).
    /// Dropped before it is done, the intent is withdrawn.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`]: STALE_INTENT with the holders (LCK-01), INTENT_BACKOFF with the time left (BKO-05),
    /// SCOPE_FROZEN (PAR-23) and others. [`AgentError::Withheld`] by the core's rules before anything is sent,
    /// [`AgentError::Ignored`], [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn announce(&self, announce: Announce) -> Result<Announced, AgentError> {
        let what = "the announce";
        let mut again = false;
        let mut intent = self.intent_id(&announce.objective);
        loop {
            self.here().await?;
            let tentative = Tentative::new(self, &intent);
            let message = Box::new(message_of(&announce, &intent));
            let said = if again { Said::Again(message) } else { Said::First(message) };
            match self.exchange(said, barrier(), what).await {
                Ok(Outcome::Answered(reply)) => {
                    let there = again && reply.error.as_ref().is_some_and(|it| is_duplicate(it, "intent_id"));
                    if !there && let Err(refused) = reply.accepted(what) {
                        tentative.keep();
                        return Err(refused);
                    }
                    tentative.keep();
                    let reply = if again { self.with_missed_conflicts(&intent, reply).await? } else { reply };
                    return Ok(self.announced(intent, *reply));
                }
                Ok(Outcome::Broken { sent: false, .. }) => tentative.keep(),
                Ok(Outcome::Broken { sent: true, reply }) => {
                    self.here().await?;
                    match self.0.link.presence(intent.clone()).await? {
                        Presence::Live | Presence::Suspended => {
                            tentative.keep();
                            let reply = self.with_missed_conflicts(&intent, reply).await?;
                            return Ok(self.announced(intent, *reply));
                        }
                        Presence::Gone => {
                            intent = self.intent_id(&announce.objective);
                            again = false;
                        }
                        _ => again = true,
                    }
                    tentative.keep();
                }
                Err(error @ (AgentError::Withheld { .. } | AgentError::TooLarge { .. })) => {
                    tentative.keep();
                    return Err(error);
                }
                // Whether it took effect is not known: nobody will work under it.
                Err(error) => return Err(error),
            }
        }
    }

    /// After a break: the conflicts of an intent that were reported while nobody listened, or to nobody's question, as the look
    /// at the session knows them.
    async fn with_missed_conflicts(
        &self,
        intent: &IntentId,
        mut reply: Box<Reply>,
    ) -> Result<Box<Reply>, AgentError> {
        let view = self.view().await?;
        for missed in view.conflicts {
            let is_news = reply.conflicts.iter().all(|it| it.conflict_id != missed.conflict_id);
            if is_news && missed.intents.contains(intent) {
                reply.conflicts.push(missed.report(&view.intents));
            }
        }
        Ok(reply)
    }

    fn announced(&self, intent: IntentId, reply: Reply) -> Announced {
        self.0.link.status(HeartbeatStatus::Working, Some(intent.clone()));
        let warning = reply.warning.map(|warning| warning.description);
        Announced { intent, conflicts: reply.conflicts, warning }
    }

    /// INTENT_UPDATE of an own intent: what is given replaces what was. The conflicts that it brings are returned.
    ///
    /// Dropped before it is done it takes effect or not; the intent stays what it is.
    ///
    /// # Errors
    /// As [`announce`](Self::announce), and [`AgentError::Unsettled`] after a break.
    pub async fn update_intent(
        &self,
        intent: &IntentId,
        update: Update,
    ) -> Result<Vec<ConflictReport>, AgentError> {
        let mut message = IntentUpdate::new(intent.clone());
        message.objective = update.objective;
        message.scope = update.scope;
        message.ttl_sec = update.ttl_sec.map(Seconds::whole);
        let what = format!("the update of {intent}");
        let reply = self.say(message, &what).await?;
        reply.accepted(&what)?;
        Ok(reply.conflicts)
    }

    /// INTENT_WITHDRAW of an own intent: given up, or done (INT-23). `task_completed` and `yielded` are the reasons that the
    /// others' agents know.
    ///
    /// Dropped before it is done, the intent is withdrawn all the same, if the message had been sent.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`] when it is no live intent of ours; else as [`announce`](Self::announce).
    pub async fn withdraw(&self, intent: &IntentId, reason: Option<&str>) -> Result<(), AgentError> {
        let what = format!("the withdrawal of {intent}");
        let mut message = IntentWithdraw::new(intent.clone());
        message.reason = reason.map(str::to_owned);
        let message: Message = message.into();
        let mut sent_before = false;
        loop {
            self.here().await?;
            if sent_before && self.0.link.presence(intent.clone()).await? == Presence::Gone {
                break;
            }
            let said = Said::First(Box::new(message.clone()));
            match self.exchange(said, barrier(), &what).await? {
                Outcome::Answered(reply) => {
                    reply.accepted(&what)?;
                    break;
                }
                Outcome::Broken { sent, .. } => sent_before |= sent,
            }
        }
        let left = self.0.link.look(|participant| participant.intents().keys().next().cloned()).await?;
        let status = if left.is_some() { HeartbeatStatus::Working } else { HeartbeatStatus::Idle };
        self.0.link.status(status, left);
        Ok(())
    }

    /// INTENT_DEFERRED: tells the others that we saw them at work there and stepped back (DEF-01, PAR-17). A deferral is no
    /// intent: it ends by itself when they are done, when we announce, or by its time.
    ///
    /// Dropped before it is done it takes effect or not; its time ends it.
    ///
    /// # Errors
    /// [`AgentError::Unsupported`] where the server does not know deferrals (before level 0.1.14);
    /// else as [`announce`](Self::announce).
    pub async fn defer(&self, defer: Defer) -> Result<DeferralId, AgentError> {
        let what = "the deferral";
        let holders = match defer.holders.is_empty() {
            false => defer.holders,
            true => self.in_the_way(&defer.scope).await?,
        };
        let deferral: DeferralId =
            self.id("deferral", "").parse().expect("the text begins with `deferral-`, so it is not empty");
        let mut message = IntentDeferred::new();
        message.deferral_id = Some(deferral.clone());
        message.scope = Some(defer.scope);
        message.reason = Some(defer.reason);
        message.ttl_sec = Some(Seconds::whole(defer.ttl_sec));
        if !holders.is_empty() {
            let mut principals: Vec<PrincipalId> = holders.iter().map(|it| it.principal.clone()).collect();
            principals.sort();
            principals.dedup();
            message.observed_intent_ids = Some(holders.iter().map(|it| it.intent.to_string()).collect());
            message.observed_principals = Some(principals);
        }
        let reply = self.say(message, what).await?;
        let unknown = reply.error.as_ref().is_some_and(|it| it.error_code.as_str() == "UNKNOWN_MESSAGE_TYPE");
        if unknown || (reply.error.is_none() && reply.deferred.is_none()) {
            let why = "this server or its session's level does not know deferrals (they came with 0.1.14); withdraw the intent as `yielded` instead".to_owned();
            return Err(AgentError::Unsupported { what: what.to_owned(), why });
        }
        reply.not_refused(what)?;
        Ok(deferral)
    }

    /// Whose live intents overlap with this, as far as was heard (PAR-17). Where something was missed, perhaps who has taken over
    /// what somebody left, a coordinator that tells how the session stands is asked first, and waited for a little (D-029).
    ///
    /// # Errors
    /// [`AgentError::Lost`].
    pub async fn in_the_way(&self, scope: &Scope) -> Result<Vec<Holder>, AgentError> {
        let scope = scope.clone();
        // Away from it, nobody can be asked.
        let look = |it: &Participant| it.is_admitted() && it.has_gap();
        if self.0.tells.load(Ordering::Relaxed) && self.0.link.look(look).await? {
            // Whoever gets no answer in time goes by what was heard.
            let _ = tokio::time::timeout(SUMMARY_PATIENCE, self.summary(false)).await;
        }
        self.0.link.look(move |participant| participant.in_the_way(&scope)).await
    }

    fn intent_id(&self, objective: &str) -> IntentId {
        self.id("intent", objective).parse().expect("the text begins with `intent-`, so it is not empty")
    }
}

fn message_of(announce: &Announce, intent: &IntentId) -> Message {
    let mut message = IntentAnnounce::new(intent.clone(), announce.objective.clone(), announce.scope.clone());
    message.ttl_sec = Some(Seconds::whole(announce.ttl_sec));
    message.supersedes_intent_id = announce.supersedes.clone();
    message.into()
}
