//! From level 0.1.15 on, files that somebody works on are not announced again (LCK-01 to LCK-09, D-076 to D-078).

use alloc::vec::Vec;

use mpac_wire::names::ScopeKind;
use mpac_wire::{IntentId, PrincipalId, Raw, Scope};

use super::super::state::Session;
use crate::config::ProtocolLevel;
use crate::refusal::{Holder, Refusal};
use crate::scope::meaning::Meaning;
use crate::scope::{Overlap, overlap};
use crate::table::intent::State;

/// Bytes of resources that a refusal names at the most: it must fit into a frame (SRV-18).
const TOLD_BYTES: usize = 65_536;

/// Holders whose work is compared with the refused one at the most.
const LOOKED_AT: usize = 10;

/// Whether the session has a race lock at all.
pub(in super::super) fn is_on(session: &Session) -> bool {
    session.config.level >= ProtocolLevel::V0_1_15
}

/// Refuses files that an active intent of somebody else covers. Judged before any supersession (LCK-09).
pub(super) fn check(
    session: &Session,
    principal: &PrincipalId,
    scope: &Scope,
    objective: &str,
) -> Result<(), Refusal> {
    if !is_on(session) || scope.kind != ScopeKind::FileSet {
        return Ok(());
    }
    let mut room = TOLD_BYTES;
    let mut holders: Vec<Holder> = Vec::new();
    for (_, mut holder) in direct(session, scope) {
        if holder.principal != *principal {
            holder.resources.retain(|resource| {
                room = room.saturating_sub(resource.len());
                room > 0
            });
            // The first one is always named: clients read it (LCK-03).
            if holders.is_empty() || room > 0 {
                holders.push(holder);
            }
        }
    }
    if holders.is_empty() {
        return Ok(());
    }
    let meaning = Meaning::of(scope, objective);
    let duplicate = holders.iter().take(LOOKED_AT).find_map(|holder| duplicate(session, &meaning, holder));
    Err(Refusal::StaleIntent { holders, duplicate })
}

/// What a holder's intent and a refused one have in common, if that may be the same work (LCK-11). A hint: whoever gets
/// it must look for itself.
fn duplicate(session: &Session, current: &Meaning, holder: &Holder) -> Option<Raw> {
    let record = session.intents.get(&holder.intent)?;
    let other = Meaning::of(&record.scope, &record.objective);
    let common = current.in_common(&other)?;
    let what = if common.symbols.is_empty() { "same_postcondition" } else { "same_symbol" };
    let and = if common.same_action { "_and_action" } else { "" };
    let told = |meaning: &Meaning| {
        serde_json::json!({
            "action": meaning.action, "symbols": meaning.symbols, "postconditions": meaning.postconditions,
        })
    };
    Raw::of(&serde_json::json!({
        "candidate": true,
        "confidence": if common.same_action { "high" } else { "medium" },
        "reason": alloc::format!("{what}{and}"),
        "other_intent_id": holder.intent.as_str(),
        "other_principal_id": holder.principal.as_str(),
        "shared_files": holder.resources,
        "matched_symbols": common.symbols,
        "matched_postconditions": common.postconditions,
        "current": told(current),
        "other": told(&other),
        "verification_required": true,
        "guidance": "Look at what the other intent does before doing the same again.",
    }))
    .ok()
}

/// The sender's own active intents that this scope replaces (LCK-06).
pub(super) fn replaced(session: &Session, principal: &PrincipalId, scope: &Scope) -> Vec<IntentId> {
    if !is_on(session) {
        return Vec::new();
    }
    let found = direct(session, scope).into_iter();
    found.filter(|(_, holder)| holder.principal == *principal).map(|(_, holder)| holder.intent).collect()
}

/// Active intents of the same kind that overlap by a rule, not by a guess, in the order of receipt.
fn direct(session: &Session, scope: &Scope) -> Vec<(u64, Holder)> {
    let mut found = Vec::new();
    for id in session.scopes.candidates(scope) {
        if let Some(record) = session.intents.get(&id)
            && record.state() == State::Active
            && record.scope.kind == scope.kind
            && let Some(Overlap::Shared(resources)) = overlap(session.scopes.names(), scope, &record.scope)
        {
            let holder = Holder { intent: id, principal: record.owner.clone(), resources };
            found.push((record.sequence, holder));
        }
    }
    found.sort_by_key(|(sequence, _)| *sequence);
    found
}
