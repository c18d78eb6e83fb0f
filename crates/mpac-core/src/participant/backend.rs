//! The own model's health, and changing the model as the session allows it (BHM-01, BHM-11, D-060). Which model, and when,
//! is not for the protocol to say (BHM-14).

use alloc::string::String;

use mpac_wire::names::AutoSwitch;
use mpac_wire::payload::session::BackendHealth;
use mpac_wire::payload::{Backend, CoordinatorStatus, IntentUpdate};
use mpac_wire::policy::BackendHealthPolicy;
use mpac_wire::{Envelope, IntentId, Raw, Seconds, Timestamp};

use super::news::News;
use super::permission::Withheld;
use super::{Participant, Stamp};

const INTERVAL: Seconds = Seconds::whole(60);
const SOURCE: &str = "https://aistatus.cc/api/check";

/// What is known of the own model.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct BackendCare {
    /// Declared in HELLO.
    declared: Option<Backend>,
    report: Option<BackendHealth>,
    checked: Option<Timestamp>,
    /// That a check is due has been told.
    told: bool,
    /// Announced, not confirmed.
    planned: Option<String>,
    /// Confirmed, not made.
    approved: Option<String>,
}

impl BackendCare {
    pub(super) fn declare(&mut self, backend: Option<Backend>) {
        self.declared = backend;
    }

    /// The switch was denied, or made.
    pub(super) fn switched(&mut self) {
        (self.planned, self.approved) = (None, None);
    }
}

impl Participant {
    /// The session's policy, where it applies.
    fn backend_policy(&self) -> Option<&BackendHealthPolicy> {
        let policy = self.session_info()?.liveness_policy.as_ref()?.backend_health_policy.as_ref()?;
        (policy.enabled == Some(true)).then_some(policy)
    }

    /// The host looked up how its model is: heartbeats say it from now on, where the session wants to know (BHM-01).
    pub fn backend_checked(&mut self, now: Timestamp, health: BackendHealth) {
        self.time_is(now);
        self.backend.checked = Some(self.now);
        self.backend.told = false;
        self.backend.report = Some(health);
    }

    /// What a heartbeat says of the model: nothing without a policy or a declared backend. A switch is said once.
    pub(super) fn backend_report(&mut self) -> Option<BackendHealth> {
        self.backend_policy()?;
        self.backend.declared.as_ref()?;
        let report = self.backend.report.clone();
        if let Some(kept) = &mut self.backend.report {
            (kept.switched_from, kept.switch_reason) = (None, None);
        }
        report
    }

    /// Whether the agent may change to this model now. With `notify_first` the plan has to be announced with
    /// [`plan_switch`](Self::plan_switch), and confirmed (BHM-11).
    ///
    /// # Errors
    /// [`Withheld::SwitchDenied`], [`Withheld::SwitchNotConfirmed`].
    pub fn may_switch(&self, model_id: &str) -> Result<(), Withheld> {
        let Some(policy) = self.backend_policy() else { return Ok(()) };
        if policy.auto_switch == Some(AutoSwitch::Forbidden) || !provider_allowed(policy, model_id) {
            return Err(Withheld::SwitchDenied(model_id.into()));
        }
        let confirmed = self.backend.approved.as_deref() == Some(model_id);
        if policy.auto_switch == Some(AutoSwitch::NotifyFirst) && !confirmed {
            return Err(Withheld::SwitchNotConfirmed(model_id.into()));
        }
        Ok(())
    }

    /// INTENT_UPDATE that announces the plan to change the model; [`News::SwitchApproved`] confirms it (D-060).
    ///
    /// # Errors
    /// As [`try_write`](Self::try_write).
    pub fn plan_switch(
        &mut self,
        stamp: Stamp,
        intent: IntentId,
        model: &Backend,
    ) -> Result<Envelope, Withheld> {
        let mut update = IntentUpdate::new(intent);
        let plan =
            serde_json::json!({ "model_id": model.model_id.clone(), "provider": model.provider.clone() });
        update.extensions = Raw::of(&serde_json::json!({ "mpac": { "planned_backend": plan } })).ok();
        let envelope = self.try_write(stamp, update)?;
        self.backend.planned = Some(model.model_id.clone());
        Ok(envelope)
    }

    /// `backend_alert`: a plan of ours is confirmed, if it is exactly that one.
    pub(super) fn backend_alert(&mut self, status: &CoordinatorStatus) {
        let Some(detail) = &status.backend_detail else { return };
        let ours = status.affected_principal.as_ref() == Some(&self.sender.principal_id);
        let planned = self.backend.planned.as_ref() == Some(&detail.model_id);
        if ours && planned && detail.switch_approved == Some(true) {
            self.backend.planned = None;
            self.backend.approved = Some(detail.model_id.clone());
            self.news.push(News::SwitchApproved(detail.model_id.clone()));
        }
    }

    /// When the model should be looked up next; `None` where nobody wants to know, or it has been told.
    pub(super) fn backend_deadline(&self) -> Option<Timestamp> {
        let policy = self.backend_policy()?;
        self.backend.declared.as_ref()?;
        let interval = policy.check_interval_sec.clone().filter(|it| !it.is_zero()).unwrap_or(INTERVAL);
        let next = self.backend.checked.map_or(self.now, |checked| checked.after(&interval));
        (!self.backend.told).then_some(next)
    }

    pub(super) fn look_at_backend(&mut self) {
        if self.backend_deadline().is_some_and(|at| self.now >= at) {
            self.backend.told = true;
            let stated = self.backend_policy().and_then(|policy| policy.check_source.clone());
            self.news.push(News::BackendCheckDue { source: stated.unwrap_or_else(|| SOURCE.into()) });
        }
    }
}

/// Whether a model's provider, the text before the first slash, is on the list, where there is one (D-062).
fn provider_allowed(policy: &BackendHealthPolicy, model_id: &str) -> bool {
    let Some(allowed) = &policy.allowed_providers else { return true };
    let provider = model_id.split_once('/').map(|(provider, _)| provider);
    provider.is_some_and(|provider| !provider.is_empty() && allowed.iter().any(|one| one == provider))
}
