//! How agents' models are doing, and what that means for their intents (BHM-02 to BHM-15, D-058 to D-062).

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{AutoSwitch, BackendAction, CoordinatorEvent, ProviderStatus};
use mpac_wire::object::Nullable;
use mpac_wire::payload::session::BackendDetail;
use mpac_wire::payload::{Backend, BackendHealth, CoordinatorStatus};
use mpac_wire::policy::BackendHealthPolicy;
use mpac_wire::{PrincipalId, Raw};

use super::super::intent;
use super::super::outbox::Outbox;
use super::super::state::{Intent, Session};
use super::liveness;
use super::status::health;
use crate::output::Recipients;
use crate::refusal::Refusal;

/// A heartbeat reports on its sender's model. A switch is judged before anything is recorded (BHM-08).
pub(super) fn report(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    report: &BackendHealth,
) -> Result<(), Refusal> {
    let policy = session.config.liveness.backend_health_policy.clone();
    let policy = policy.filter(|policy| policy.enabled == Some(true));
    if let Some(policy) = &policy
        && report.switched_from.is_some()
    {
        may_switch(session, principal, policy, &report.model_id)?;
    }
    let Some(member) = session.members.get_mut(principal) else { return Ok(()) };
    let provider = provider_of(&report.model_id).unwrap_or_default();
    member.backend = Some(Backend::new(report.model_id.clone(), provider.into()));
    member.approved_model = member.approved_model.take().filter(|model| *model != report.model_id);
    let before = core::mem::replace(&mut member.provider_status, report.provider_status.clone());
    let (alerted, switched) = (member.alerted, report.switched_from.is_some());
    let Some(policy) = policy else { return Ok(()) }; // recorded, nothing else (BHM-02)
    match &report.provider_status {
        status if *status == before && !switched => {}
        ProviderStatus::Degraded => {
            let action = policy.on_degraded.unwrap_or(BackendAction::Warn);
            act(session, out, principal, report, &action, "backend_degraded");
        }
        ProviderStatus::Down => {
            let action = policy.on_down.unwrap_or(BackendAction::SuspendAndClaim);
            act(session, out, principal, report, &action, "backend_down");
        }
        ProviderStatus::Operational => {
            if alerted {
                set_alerted(session, principal, false);
                alert(session, out, principal, report);
            }
            liveness::restore(session, out, principal, Intent::is_suspended_for_backend); // BHM-07
        }
        _ => {} // `unknown` triggers nothing (BHM-06)
    }
    Ok(())
}

/// `ignore` does nothing, `warn` tells everybody, `suspend_and_claim` suspends as well (BHM-03 to BHM-05).
fn act(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    report: &BackendHealth,
    action: &BackendAction,
    cause: &str,
) {
    if *action == BackendAction::Ignore {
        return;
    }
    set_alerted(session, principal, true);
    alert(session, out, principal, report);
    if *action == BackendAction::SuspendAndClaim {
        for id in session.live_of(principal).cloned().collect::<Vec<_>>() {
            intent::suspend(session, out, &id, cause);
        }
    }
}

fn set_alerted(session: &mut Session, principal: &PrincipalId, alerted: bool) {
    if let Some(member) = session.members.get_mut(principal) {
        member.alerted = alerted;
    }
}

fn alert(session: &mut Session, out: &mut Outbox, principal: &PrincipalId, report: &BackendHealth) {
    let mut detail = BackendDetail::new(report.model_id.clone(), report.provider_status.clone());
    detail.status_detail = Some(report.status_detail.clone().unwrap_or(Nullable::Null));
    detail.alternatives = Some(report.alternatives.clone().unwrap_or_default());
    send(session, out, principal, detail, Recipients::All);
}

fn send(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    detail: BackendDetail,
    to: Recipients,
) {
    let coordinator = session.coordinator.principal_id.clone();
    let mut status = CoordinatorStatus::new(CoordinatorEvent::BackendAlert, coordinator, health(session));
    status.affected_principal = Some(principal.clone());
    status.backend_detail = Some(detail);
    out.send(session, to, status);
}

/// Text before the first slash; without one there is no provider (D-062).
fn provider_of(model_id: &str) -> Option<&str> {
    model_id.split_once('/').map(|(provider, _)| provider).filter(|provider| !provider.is_empty())
}

/// Whether an agent may use another model (BHM-09 to BHM-12).
fn may_switch(
    session: &Session,
    principal: &PrincipalId,
    policy: &BackendHealthPolicy,
    model_id: &str,
) -> Result<(), Refusal> {
    let denied = |why| Err(Refusal::BackendSwitchDenied { model: model_id.into(), why });
    let planned = || {
        let member = session.members.get(principal);
        member.is_some_and(|member| member.approved_model.as_deref() == Some(model_id))
    };
    match policy.auto_switch {
        Some(AutoSwitch::Forbidden) => return denied("this session forbids switches"),
        Some(AutoSwitch::NotifyFirst) if !planned() => {
            return denied("announce the plan first and wait for the confirmation");
        }
        _ => {}
    }
    provider_allowed(policy, model_id)
}

/// Whether a model's provider is on the session's list, where there is one (BHM-10).
fn provider_allowed(policy: &BackendHealthPolicy, model_id: &str) -> Result<(), Refusal> {
    let Some(allowed) = &policy.allowed_providers else { return Ok(()) };
    if provider_of(model_id).is_some_and(|provider| allowed.iter().any(|one| one == provider)) {
        return Ok(());
    }
    Err(Refusal::BackendSwitchDenied {
        model: model_id.into(),
        why: "its provider is not allowed in this session",
    })
}

/// The model that an INTENT_UPDATE announces a switch to, if it may be used (BHM-11, D-060).
pub(in super::super) fn planned_switch(
    session: &Session,
    extensions: Option<&Raw>,
) -> Result<Option<String>, Refusal> {
    let Some(policy) = &session.config.liveness.backend_health_policy else { return Ok(None) };
    let Some(model) = planned_model(extensions) else { return Ok(None) };
    if policy.enabled != Some(true) || policy.auto_switch != Some(AutoSwitch::NotifyFirst) {
        return Ok(None);
    }
    provider_allowed(policy, &model)?;
    Ok(Some(model))
}

/// Confirms a planned switch to whoever plans it.
pub(in super::super) fn confirm_switch(
    session: &mut Session,
    out: &mut Outbox,
    principal: &PrincipalId,
    model: String,
) {
    let Some(member) = session.members.get_mut(principal) else { return };
    member.approved_model = Some(model.clone());
    let mut detail = BackendDetail::new(model, member.provider_status.clone());
    detail.switch_approved = Some(true);
    send(session, out, principal, detail, Recipients::Only([principal.clone()].into()));
}

/// `mpac.planned_backend.model_id` of an update's extensions; of another shape it is no plan.
fn planned_model(extensions: Option<&Raw>) -> Option<String> {
    let extensions: serde_json::Value = extensions?.read().ok()?;
    extensions.get("mpac")?.get("planned_backend")?.get("model_id")?.as_str().map(Into::into)
}
