//! Claims: going on with what somebody has left.

use std::time::Duration;

use mpac_wire::names::{ClaimDecision, HeartbeatStatus};
use mpac_wire::payload::intent::IntentClaim;
use mpac_wire::{ClaimId, IntentId, PrincipalId, Scope};

use crate::agent::event::{Event, Events};
use crate::agent::verbs::Tentative;
use crate::agent::{Agent, TurnedDown};
use crate::error::AgentError;

/// How long the decision on a claim is waited for by default: twice the coordinator's default grace (CLM-08).
const CLAIM_PATIENCE: Duration = Duration::from_secs(60);

/// Somebody's suspended intent that is to be gone on with.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Claim {
    /// Which.
    pub intent: IntentId,
    /// Whose it is; `None`: as was heard.
    pub owner: Option<PrincipalId>,
    /// What for; `None`: as its owner said.
    pub objective: Option<String>,
    /// What of it; `None`: all of it (CLM-03).
    pub scope: Option<Scope>,
    /// Why.
    pub justification: Option<String>,
    /// How long the decision is waited for; 60 s by default.
    pub patience: Duration,
}

impl Claim {
    /// All of that intent.
    #[must_use]
    pub fn of(intent: IntentId) -> Self {
        let (owner, objective, scope, justification) = (None, None, None, None);
        Self { intent, owner, objective, scope, justification, patience: CLAIM_PATIENCE }
    }
}

impl Agent {
    /// INTENT_CLAIM: takes over an intent whose owner is gone or has handed it over (`transfer`), and waits for the
    /// coordinator's or the arbiter's decision (CLM-16). The new intent, which is ours.
    ///
    /// Dropped before it is done, or given up after [`Claim::patience`], an approval that comes later is answered by the
    /// new intent's withdrawal.
    ///
    /// # Errors
    /// [`AgentError::TurnedDown`]: CLAIM_CONFLICT when somebody was faster (CLM-02), INVALID_REFERENCE when it is not
    /// suspended (CLM-01), `CLAIM_REJECTED` with the reason. [`AgentError::Usage`] when the intent is not known here and its
    /// scope and owner are not either, [`AgentError::GaveUp`]; else as [`announce`](Self::announce).
    pub async fn claim_intent(&self, claim: Claim) -> Result<IntentId, AgentError> {
        let what = format!("the claim on {}", claim.intent);
        let view = self.view().await?;
        let known = view.intents.iter().find(|it| it.intent_id == claim.intent);
        let owner = claim.owner.clone().or_else(|| Some(known?.principal_id.clone()));
        let owner = owner.ok_or_else(|| unknown(&claim.intent))?;
        let scope =
            claim.scope.clone().or_else(|| known?.scope.clone()).ok_or_else(|| unknown(&claim.intent))?;
        let objective = claim.objective.clone().or_else(|| known?.objective.clone());
        let objective = objective.unwrap_or_else(|| format!("goes on with {}", claim.intent));
        let new = self.intent_id(&objective);
        let claim_id = self.claim_id(&claim.intent);
        let mut message =
            IntentClaim::new(claim_id.clone(), claim.intent.clone(), owner, new.clone(), objective, scope);
        message.justification = claim.justification;
        let mut events = self.events();
        let tentative = Tentative::new(self, &new);
        let reply = self.say(message, &what).await?;
        if let Err(refused) = reply.not_refused(&what) {
            tentative.keep();
            return Err(refused);
        }
        let decided = self.decision(&mut events, &claim_id, &new);
        let decided = tokio::time::timeout(claim.patience, decided).await;
        let gave_up = || AgentError::GaveUp {
            what: format!("the decision on {what}"),
            seconds: claim.patience.as_secs(),
        };
        let refused = decided.map_err(|_| gave_up())??;
        tentative.keep();
        match refused {
            None => {
                self.0.link.status(HeartbeatStatus::Working, Some(new.clone()));
                Ok(new)
            }
            Some(why) => Err(AgentError::TurnedDown(Box::new(TurnedDown::claim(&what, why)))),
        }
    }

    /// Why a claim was not approved; `None` when it was.
    async fn decision(
        &self,
        events: &mut Events,
        claim: &ClaimId,
        new: &IntentId,
    ) -> Result<Option<String>, AgentError> {
        loop {
            match events.next().await {
                Some(Event::ClaimDecided { claim_id, decision, reason, .. }) if claim_id == *claim => {
                    let approved = decision == ClaimDecision::Approved.as_str();
                    return Ok((!approved).then(|| reason.unwrap_or(decision)));
                }
                // It may have been decided while nobody listened.
                Some(Event::Lagged { .. } | Event::ConnectionBack { .. }) => {
                    let (claim, new) = (claim.clone(), new.clone());
                    let (live, pending) = self
                        .0
                        .link
                        .look(move |it| {
                            (it.intents().contains_key(&new), it.pending_claims().any(|id| *id == claim))
                        })
                        .await?;
                    if live || !pending {
                        return Ok((!live).then(|| "it is not pending any more".to_owned()));
                    }
                }
                Some(_) => {}
                None => return Err(self.ended()),
            }
        }
    }

    fn claim_id(&self, intent: &IntentId) -> ClaimId {
        self.id("claim", intent.as_str()).parse().expect("the text begins with `claim-`, so it is not empty")
    }
}

fn unknown(intent: &IntentId) -> AgentError {
    AgentError::Usage(format!(
        "intent {intent} has not been heard of, so its owner and files have to be given"
    ))
}
