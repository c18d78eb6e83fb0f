//! Finds conflicts and reports them (INT-09, CON-01, CON-05, D-105).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{BasisKind, ConflictCategory, Severity};
use mpac_wire::payload::{Basis, ConflictReport};
use mpac_wire::{ConflictId, IntentId, OpId, PrincipalId, Raw, Scope, Watermark};

use super::super::gate::sorted;
use super::super::governance::timeout;
use super::super::intent::race_lock;
use super::super::outbox::{Outbox, listed};
use super::super::records::{Conflict, Side};
use super::super::state::Session;
use crate::config::ReportAudience;
use crate::output::Recipients;
use crate::scope::dependency::{Reached, reached};
use crate::scope::{Overlap, contains_target, overlap};
use crate::table::conflict::State;

/// One conflict for each live intent that overlaps `part`, a scope of the new or grown intent `id`.
pub(in super::super) fn overlaps(session: &mut Session, out: &mut Outbox, id: &IntentId, part: &Scope) {
    let mut others: Vec<(u64, IntentId, Overlap)> = Vec::new();
    let owner = session.intents.get(id).map(|record| record.owner.clone());
    for other in session.scopes.candidates(part) {
        if let Some(record) = session.intents.get(&other)
            && other != *id
            && !(race_lock::is_on(session) && Some(&record.owner) == owner.as_ref()) // D-075
            && let Some(found) = overlap(part, &record.scope)
            && let Some(found) = news(session, id, &other, found)
        {
            others.push((record.sequence, other, found));
        }
    }
    others.sort_by_key(|(sequence, ..)| *sequence);
    let direct: Vec<IntentId> = others.iter().map(|(_, other, _)| other.clone()).collect();
    for (_, other, found) in others {
        overlap_conflict(session, out, id, &other, &found);
    }
    if session.config.dependency_detection {
        dependencies(session, out, id, part, &direct);
    }
}

/// One conflict for each other principal's live intent whose files these edits reach, or whose edits reach these files,
/// where the scopes do not overlap directly (SCO-18, SCO-20). It blocks nobody.
fn dependencies(session: &mut Session, out: &mut Outbox, id: &IntentId, part: &Scope, direct: &[IntentId]) {
    let Some(owner) = session.intents.get(id).map(|record| record.owner.clone()) else { return };
    let mut others: Vec<(u64, IntentId, Vec<Reached>, Vec<Reached>)> = Vec::new();
    for other in session.scopes.dependents(part) {
        if let Some(record) = session.intents.get(&other)
            && record.owner != owner
            && !direct.contains(&other)
            && !is_reported(session, id, &other)
        {
            let (ab, ba) = (reached(part, &record.scope), reached(&record.scope, part));
            if !ab.is_empty() || !ba.is_empty() {
                others.push((record.sequence, other, ab, ba));
            }
        }
    }
    others.sort_by_key(|(sequence, ..)| *sequence);
    for (_, other, ab, ba) in others {
        dependency_conflict(session, out, id, &other, (&ab, &ba));
    }
}

/// Whether a dependency between two intents is an open conflict already (CON-22).
fn is_reported(session: &Session, one: &IntentId, other: &IntentId) -> bool {
    let open = session.disputes_by_intent.get(one).into_iter().flatten();
    open.filter_map(|id| session.conflicts.get(id)).any(|conflict| {
        conflict.category == ConflictCategory::DependencyBreakage && conflict.intents.contains(other)
    })
}

fn dependency_conflict(
    session: &mut Session,
    out: &mut Outbox,
    new: &IntentId,
    old: &IntentId,
    (ab, ba): (&[Reached], &[Reached]),
) {
    let owner = |id: &IntentId| session.intents.get(id).map(|record| (record.owner.clone(), id.clone()));
    let (Some(a), Some(b)) = (owner(new), owner(old)) else { return };
    let side = |reached: &[Reached]| -> Vec<serde_json::Value> {
        let entry = |it: &Reached| serde_json::json!({ "file": it.file, "symbols": it.symbols });
        reached.iter().map(entry).collect()
    };
    let mut detail = serde_json::Map::new();
    for (key, reached) in [("ab", ab), ("ba", ba)] {
        if !reached.is_empty() {
            detail.insert(key.to_owned(), side(reached).into());
        }
    }
    let files: Vec<String> = ab.iter().chain(ba).map(|it| it.file.clone()).collect();
    let description = alloc::format!(
        "{} of {} and {} of {} depend on each other in {}",
        a.1,
        a.0,
        b.1,
        b.0,
        listed(&files)
    );
    let found = Found {
        category: ConflictCategory::DependencyBreakage,
        severity: Severity::Medium,
        kind: BasisKind::Rule,
        rule: "scope.dependency.v1",
        description,
        principals: sorted([a.0.clone(), b.0.clone()]),
        intents: [new.clone(), old.clone()].into(),
        ops: Vec::new(),
        a: Some((a.0, Some(a.1))),
        b: Some((b.0, Some(b.1))),
        part: None,
        dependency: Raw::of(&detail).ok(),
    };
    report(session, out, found);
}

/// What of an overlap no open conflict of the two intents names yet (CON-22).
fn news(session: &Session, one: &IntentId, other: &IntentId, found: Overlap) -> Option<Overlap> {
    let open = session.disputes_by_intent.get(one).into_iter().flatten();
    let both = open.filter_map(|id| session.conflicts.get(id)).filter(|it| it.intents.contains(other));
    let known: Vec<&Overlap> = both.filter_map(|conflict| conflict.part.as_ref()).collect();
    match found {
        Overlap::Assumed => (!known.contains(&&Overlap::Assumed)).then_some(Overlap::Assumed),
        Overlap::Shared(names) => {
            let mut told: BTreeSet<&String> = BTreeSet::new();
            for part in known {
                if let Overlap::Shared(names) = part {
                    told.extend(names);
                }
            }
            let left: Vec<String> = names.into_iter().filter(|name| !told.contains(name)).collect();
            (!left.is_empty()).then_some(Overlap::Shared(left))
        }
    }
}

fn overlap_conflict(
    session: &mut Session,
    out: &mut Outbox,
    new: &IntentId,
    old: &IntentId,
    found: &Overlap,
) {
    let owner = |id: &IntentId| session.intents.get(id).map(|record| (record.owner.clone(), id.clone()));
    let (Some(a), Some(b)) = (owner(new), owner(old)) else { return };
    let (kind, rule, common) = match found {
        Overlap::Shared(names) => {
            (BasisKind::Rule, "scope.overlap.v1", alloc::format!("overlap in {}", listed(names)))
        }
        Overlap::Assumed => (
            BasisKind::Heuristic,
            "scope.cross_kind.conservative.v1",
            "have scopes that cannot be compared, so they may overlap".to_owned(),
        ),
    };
    let description = alloc::format!("{} of {} and {} of {} {common}", a.1, a.0, b.1, b.0);
    let found = Found {
        category: ConflictCategory::ScopeOverlap,
        severity: Severity::Medium,
        kind,
        rule,
        description,
        principals: sorted([a.0.clone(), b.0.clone()]),
        intents: [new.clone(), old.clone()].into(),
        ops: Vec::new(),
        a: Some((a.0, Some(a.1))),
        b: Some((b.0, Some(b.1))),
        part: Some(found.clone()),
        dependency: None,
    };
    report(session, out, found);
}

/// Commits on what somebody else's intents cover, without an own intent that covers it: one report for each of these
/// intents' owners together, whatever the number of operations (D-105, OPS-29, BAT-07).
pub(in super::super) fn concurrent_writes(session: &mut Session, out: &mut Outbox, ops: &[OpId]) {
    let mut held: Vec<(u64, IntentId, PrincipalId)> = Vec::new();
    let mut writes: Vec<OpId> = Vec::new();
    let mut targets: Vec<String> = Vec::new();
    let Some(author) = ops.first().and_then(|op| session.operations.get(op)).map(|op| op.proposer.clone())
    else {
        return;
    };
    for record in ops.iter().filter_map(|op| session.operations.get(op)) {
        let hit = if record.uncoordinated || record.out_of_scope {
            holders(session, &record.target, &author)
        } else {
            Vec::new()
        };
        if !hit.is_empty() {
            writes.push(record.id.clone());
            targets.push(record.target.clone());
            held.extend(hit);
        }
    }
    held.sort();
    held.dedup();
    let Some((_, first, holder)) = held.first().cloned() else { return };
    let intent = writes.first().and_then(|op| session.operations.get(op)).and_then(|op| op.intent.clone());
    let intent = intent.filter(|intent| session.intents.contains_key(intent));
    let found = Found {
        category: ConflictCategory::ConcurrentWrite,
        severity: Severity::High,
        kind: BasisKind::Rule,
        rule: "op.concurrent_write.v1",
        description: alloc::format!(
            "{author} changed {}, which {first} of {holder} covers",
            listed(&targets)
        ),
        principals: sorted(held.iter().map(|(.., owner)| owner.clone()).chain([author.clone()])),
        intents: held.into_iter().map(|(_, id, _)| id).collect(),
        ops: writes,
        a: Some((author, intent)),
        b: Some((holder, Some(first))),
        part: None,
        dependency: None,
    };
    report(session, out, found);
}

/// Live intents of others that cover a target, with their place in the order of receipt.
fn holders(session: &Session, target: &str, author: &PrincipalId) -> Vec<(u64, IntentId, PrincipalId)> {
    let mut held = Vec::new();
    for id in session.scopes.candidates(&Scope::files([target])) {
        if let Some(intent) = session.intents.get(&id)
            && intent.owner != *author
            && contains_target(&intent.scope, target) == Some(true)
        {
            held.push((intent.sequence, id, intent.owner.clone()));
        }
    }
    held
}

/// A conflict that is about to be registered.
struct Found {
    category: ConflictCategory,
    severity: Severity,
    kind: BasisKind,
    rule: &'static str,
    description: String,
    principals: Vec<PrincipalId>,
    intents: Vec<IntentId>,
    ops: Vec<OpId>,
    a: Option<Side>,
    b: Option<Side>,
    /// What they overlap in, for overlaps of scopes.
    part: Option<Overlap>,
    /// Which files and symbols, for dependencies.
    dependency: Option<Raw>,
}

/// Registers a conflict and tells those it concerns. `*_a` is the newer side, `*_b` the older (`spec/wire.md` §6.18).
fn report(session: &mut Session, out: &mut Outbox, found: Found) {
    // A UUID's text is never empty.
    let id = ConflictId::new(session.ids.next_uuid()).unwrap_or_else(|_| unreachable!("a UUID is not empty"));
    let mut basis = Basis::new();
    basis.kind = Some(found.kind);
    basis.rule_id = Some(found.rule.to_owned());
    let based_on = Watermark::lamport(session.lamport.value());
    let mut message = ConflictReport::new(id.clone(), found.category.clone(), found.severity.clone());
    message.related_intents = Some(found.intents.clone());
    message.related_ops = Some(found.ops.clone());
    message.basis = Some(basis.clone());
    message.based_on_watermark = Some(based_on.clone());
    message.description = Some(found.description.clone());
    message.principal_a = found.a.as_ref().map(|(principal, _)| principal.clone());
    message.principal_b = found.b.as_ref().map(|(principal, _)| principal.clone());
    message.intent_a = found.a.as_ref().and_then(|(_, intent)| intent.clone());
    message.intent_b = found.b.as_ref().and_then(|(_, intent)| intent.clone());
    message.involved_principals = Some(found.principals.clone());
    message.dependency_detail = found.dependency;
    let to = audience(session, &found.principals);
    let message_id = out.send(session, to, message);
    let conflict = id.clone();
    session.register_conflict(Conflict {
        id,
        category: found.category,
        severity: found.severity,
        basis,
        based_on,
        description: found.description,
        intents: found.intents,
        ops: found.ops,
        principals: found.principals,
        a: found.a,
        b: found.b,
        part: found.part,
        state: State::Open,
        created_at: session.now,
        report: Some(message_id),
        acks: Vec::new(),
        escalated: None,
        resolution: None,
        timeout_at: None,
        freeze: None,
        sequence: 0,
    });
    timeout::arm(session, &conflict);
}

/// The principals in it, and those who could settle it (D-108).
pub(super) fn audience(session: &Session, involved: &[PrincipalId]) -> Recipients {
    let governing =
        || session.members.iter().filter(|(_, member)| member.governs()).map(|(id, _)| id.clone());
    match session.config.conflict_report_audience {
        ReportAudience::Involved => Recipients::Only(involved.to_vec()),
        ReportAudience::InvolvedAndGovernance => {
            Recipients::Only(sorted(involved.iter().cloned().chain(governing())))
        }
        ReportAudience::All => Recipients::All,
    }
}
