//! The keys that are objects themselves.
//!
//! The wire's types keep what they do not know and take any word for an open set of values; here both are mistakes.

use std::mem::take;

use mpac_core::config::{Sight, Visibility};
use mpac_core::scope::normalize;
use mpac_wire::names::{AutoSwitch, BackendAction, ClaimApproval, PrincipalType, Role};
use mpac_wire::policy::{
    BackendHealthPolicy, GovernancePolicy, LivenessPolicy, ResourceAlias, ResourceMapping, ResourceRegistry,
    RoleConstraint, RolePolicy,
};

use crate::drive::failure::Failure;
use crate::drive::members::{At, Members};
use crate::workspace::path::components;
use crate::workspace::{File, Workspace};

/// The wire takes any word for an open set of values; here a word that means nothing is a mistake.
fn listed<T: PartialEq + ToString>(
    value: Option<&T>,
    listed: &[T],
    at: &At<'_>,
    name: &str,
) -> Result<(), Failure> {
    match value.filter(|value| !listed.contains(value)) {
        Some(value) => {
            let names: Vec<String> = listed.iter().map(ToString::to_string).collect();
            Err(at.wrong(format_args!("{name}: {:?} is none of {}", value.to_string(), names.join(", "))))
        }
        None => Ok(()),
    }
}

pub(super) fn governance(at: &At<'_>) -> Result<GovernancePolicy, Failure> {
    let mut policy: GovernancePolicy = at.read()?;
    at.only_known(take(&mut policy.extra), GovernancePolicy::KEYS)?;
    Ok(policy)
}

pub(super) fn liveness(at: &At<'_>) -> Result<LivenessPolicy, Failure> {
    let mut policy: LivenessPolicy = at.read()?;
    at.only_known(take(&mut policy.extra), LivenessPolicy::KEYS)?;
    listed(policy.intent_claim_approval.as_ref(), ClaimApproval::LISTED, at, "intent_claim_approval")?;
    if let Some(inner) = at.members()?.get("backend_health_policy") {
        backend_health(&inner)?;
    }
    Ok(policy)
}

pub(super) fn backend_health(at: &At<'_>) -> Result<BackendHealthPolicy, Failure> {
    let mut policy: BackendHealthPolicy = at.read()?;
    at.only_known(take(&mut policy.extra), BackendHealthPolicy::KEYS)?;
    listed(policy.on_degraded.as_ref(), BackendAction::LISTED, at, "on_degraded")?;
    listed(policy.on_down.as_ref(), BackendAction::LISTED, at, "on_down")?;
    listed(policy.auto_switch.as_ref(), AutoSwitch::LISTED, at, "auto_switch")?;
    Ok(policy)
}

/// How much each role sees.
pub(super) fn visibility(at: &At<'_>) -> Result<Visibility, Failure> {
    let mut visibility = Visibility::default();
    for (role, sight) in at.members()?.each() {
        let known = Role::LISTED.iter().find(|known| known.as_str() == role);
        let Some(known) = known else {
            let names: Vec<&str> = Role::LISTED.iter().map(Role::as_str).collect();
            return Err(sight.wrong(format_args!("no such role; there are {}", names.join(", "))));
        };
        visibility.by_role.insert(known.clone(), sight.one_of(&Sight::ALL, |it| it.as_str().to_owned())?);
    }
    Ok(visibility)
}

pub(super) fn role_policy(at: &At<'_>) -> Result<RolePolicy, Failure> {
    let mut policy: RolePolicy = at.read()?;
    at.only_known(take(&mut policy.extra), RolePolicy::KEYS)?;
    let constraints = at.members()?.get("role_constraints").map(|at| at.members()).transpose()?;
    for (_, inner) in constraints.iter().flat_map(Members::each) {
        let constraint: RoleConstraint = inner.read()?;
        inner.only_known(constraint.extra, RoleConstraint::KEYS)?;
        for kind in constraint.allowed_principal_types.iter().flatten() {
            listed(Some(kind), PrincipalType::LISTED, &inner, "allowed_principal_types")?;
        }
    }
    Ok(policy)
}

pub(super) fn resource_registry(at: &At<'_>) -> Result<ResourceRegistry, Failure> {
    let mut registry: ResourceRegistry = at.read()?;
    at.only_known(take(&mut registry.extra), ResourceRegistry::KEYS)?;
    for mapping in &mut registry.mappings {
        at.only_known(take(&mut mapping.extra), ResourceMapping::KEYS)?;
        for alias in &mut mapping.aliases {
            at.only_known(take(&mut alias.extra), ResourceAlias::KEYS)?;
        }
    }
    Ok(registry)
}

pub(super) fn files(at: &At<'_>) -> Result<Workspace, Failure> {
    let mut workspace = Workspace::default();
    for (path, inner) in at.members()?.each() {
        if components(path).is_none() || normalize(path) != path {
            return Err(inner.wrong("not the name of a shared file: relative, with /, and without . or .."));
        }
        workspace.put(path, File::new(inner.read::<String>()?.into()));
    }
    Ok(workspace)
}

pub(super) fn limits(limits: &mut mpac_wire::Limits, at: &At<'_>) -> Result<(), Failure> {
    // The parser itself ends at this depth.
    const DEEPEST: usize = 128;
    let slots = [
        ("max_bytes", &mut limits.max_bytes),
        ("max_depth", &mut limits.max_depth),
        ("max_entries", &mut limits.max_entries),
        ("max_pattern_bytes", &mut limits.max_pattern_bytes),
        ("max_entry_bytes", &mut limits.max_entry_bytes),
        ("max_batch", &mut limits.max_batch),
        ("max_observed", &mut limits.max_observed),
        ("max_declared", &mut limits.max_declared),
    ];
    let members = at.members()?;
    members.only(&slots.each_ref().map(|(name, _)| *name))?;
    for (name, slot) in slots {
        let Some(inner) = members.get(name) else { continue };
        *slot = inner.read()?;
        if *slot == 0 || name == "max_depth" && *slot > DEEPEST {
            let range = if name == "max_depth" { format!("1 to {DEEPEST}") } else { "1 or more".to_owned() };
            return Err(inner.wrong(format_args!("expected {range}")));
        }
    }
    Ok(())
}
