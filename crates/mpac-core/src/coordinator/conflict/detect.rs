//! Finds overlaps of scopes, and writes on what others cover (INT-09, CON-01, D-105).

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{BasisKind, ConflictCategory, Severity};
use mpac_wire::{IntentId, OpId, PrincipalId, Scope};

use super::super::gate::sorted;
use super::super::intent::race_lock;
use super::super::outbox::{Outbox, listed};
use super::super::state::Session;
use super::dependency;
use super::found::{Found, governing, report};
use super::part::{Part, news};
use crate::remark::Remark;
use crate::scope::{Overlap, contains_target};

/// One conflict for each live intent that the new intent `id` overlaps.
pub(in super::super) fn of_new(
    session: &mut Session,
    out: &mut Outbox,
    id: &IntentId,
    overlapping: BTreeMap<IntentId, Overlap>,
) {
    let direct: BTreeSet<IntentId> = overlapping.keys().cloned().collect();
    report_overlaps(session, out, id, overlapping);
    if session.config.dependency_detection {
        dependency::detect(session, out, id, None, |other| !direct.contains(other));
    }
}

/// The intents that one overlaps directly (SCO-18), while an update takes something from its scope.
pub(in super::super) fn direct(session: &Session, id: &IntentId) -> BTreeSet<IntentId> {
    let overlapping = session.intents.get(id).map(|record| session.scopes.overlaps(&record.scope));
    overlapping.unwrap_or_default().into_keys().filter(|other| other != id).collect()
}

/// The same for one that has changed: for what overlaps the `grown` part of its scope. Its edits are compared with those of
/// others in that part only, unless what they reach was `declared_anew`; and with those of the intents that `before` it
/// overlapped directly and does not any more (SCO-18).
pub(in super::super) fn of_changed(
    session: &mut Session,
    out: &mut Outbox,
    id: &IntentId,
    grown: Option<&Scope>,
    declared_anew: bool,
    before: &BTreeSet<IntentId>,
) {
    let mut overlapping = grown.map(|part| session.scopes.overlaps(part)).unwrap_or_default();
    overlapping.remove(id);
    report_overlaps(session, out, id, overlapping);
    if !session.config.dependency_detection {
        return;
    }
    // One that overlaps in what the intent covered before overlaps directly all the same (SCO-18).
    let direct = direct(session, id);
    // First where all of it is compared: two intents have one such conflict.
    if !before.is_subset(&direct) {
        dependency::detect(session, out, id, None, |other| before.contains(other) && !direct.contains(other));
    }
    if grown.is_some() || declared_anew {
        let part = grown.filter(|_| !declared_anew);
        dependency::detect(session, out, id, part, |other| !direct.contains(other));
    }
}

fn report_overlaps(
    session: &mut Session,
    out: &mut Outbox,
    id: &IntentId,
    overlapping: BTreeMap<IntentId, Overlap>,
) {
    let unreported = unreported(session, id, overlapping);
    if !unreported.is_empty() {
        let governing = governing(session);
        for (_, other, overlap) in unreported {
            if let Some(found) = overlap_conflict(session, id, &other, overlap) {
                report(session, out, found, &governing);
            }
        }
    }
}

/// What of these overlaps no conflict was made of yet, in the order of receipt of the other intents.
fn unreported(
    session: &Session,
    id: &IntentId,
    overlapping: BTreeMap<IntentId, Overlap>,
) -> Vec<(u64, IntentId, Overlap)> {
    let mut others = Vec::new();
    if overlapping.is_empty() {
        return others;
    }
    let owner = session.intents.get(id).map(|record| &record.owner);
    let told = told(session, id);
    for (other, found) in overlapping {
        if let Some(record) = session.intents.get(&other)
            && !(race_lock::is_on(session) && Some(&record.owner) == owner) // D-075
            && let Some(found) = news(told.get(&other).map_or(&[], Vec::as_slice), found)
        {
            others.push((record.sequence, other, found));
        }
    }
    others.sort_by_key(|(sequence, ..)| *sequence);
    others
}

/// What the open conflicts of an intent are about, by the other intent.
fn told<'a>(session: &'a Session, id: &IntentId) -> BTreeMap<&'a IntentId, Vec<&'a Part>> {
    let mut told: BTreeMap<&IntentId, Vec<&Part>> = BTreeMap::new();
    for conflict in session.disputes_of_intent(id).filter_map(|id| session.conflicts.get(id)) {
        for (other, part) in conflict.intents.iter().zip(core::iter::repeat(&conflict.part)) {
            told.entry(other).or_default().extend(part);
        }
    }
    told
}

fn overlap_conflict(session: &Session, new: &IntentId, old: &IntentId, overlap: Overlap) -> Option<Found> {
    let (basis, common) = match &overlap {
        Overlap::Shared(names) => {
            ((BasisKind::Rule, "scope.overlap.v1"), alloc::format!("overlap in {}", listed(names)))
        }
        Overlap::Assumed => (
            (BasisKind::Heuristic, "scope.cross_kind.conservative.v1"),
            "have scopes that cannot be compared, so they may overlap".to_owned(),
        ),
    };
    let mut found = Found::between(session, (new, old), ConflictCategory::ScopeOverlap, basis, &common)?;
    found.part = Some(Part::of(&overlap));
    Some(found)
}

/// Live intents by their place in the order of receipt, with their owners.
type Held = BTreeMap<u64, (IntentId, PrincipalId)>;

/// Commits on what somebody else's intents cover, without an own intent that covers it: one report for each of these
/// intents' owners together, whatever the number of operations (D-105, OPS-29, BAT-07). `beside` are the paths that were
/// written without being the target of any.
pub(in super::super) fn concurrent_writes(
    session: &mut Session,
    out: &mut Outbox,
    ops: &[OpId],
    beside: &[String],
) {
    let mut held = Held::new();
    let mut writes: Vec<OpId> = Vec::new();
    let mut targets: Vec<String> = Vec::new();
    let Some(author) = ops.first().and_then(|op| session.operations.get(op)).map(|op| op.proposer.clone())
    else {
        return;
    };
    note_strays(session, out, ops);
    for record in ops.iter().filter_map(|op| session.operations.get(op)) {
        if (record.uncoordinated || record.out_of_scope)
            && is_held(session, &record.target, &author, &mut held)
        {
            writes.push(record.id.clone());
            targets.push(record.target.clone());
        }
    }
    let strays = strays(session, ops, beside, &author, &mut held);
    if !strays.is_empty() {
        targets.extend(strays);
        writes = ops.to_vec(); // no path beside them is one operation's alone
    }
    let Some((first, holder)) = held.first_key_value().map(|(_, it)| it.clone()) else { return };
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
        principals: sorted(held.values().map(|(_, owner)| owner.clone()).chain([author.clone()])),
        intents: held.into_values().map(|(id, _)| id).collect(),
        ops: writes,
        a: Some((author, intent)),
        b: Some((holder, Some(first))),
        part: None,
        dependency: None,
    };
    let governing = governing(session);
    report(session, out, found, &governing);
}

/// The paths written beside the targets that no own intent covers and others' intents do. All operations of a message are
/// under one intent.
fn strays(
    session: &Session,
    ops: &[OpId],
    beside: &[String],
    author: &PrincipalId,
    held: &mut Held,
) -> Vec<String> {
    let Some(first) = ops.first().and_then(|op| session.operations.get(op)) else { return Vec::new() };
    let scope = first.intent.as_ref().and_then(|id| session.intents.get(id)).map(|intent| &intent.scope);
    let is_outside = |path: &str| {
        first.uncoordinated
            || scope.and_then(|scope| contains_target(session.scopes.names(), scope, path)) == Some(false)
    };
    let outside = beside.iter().filter(|path| is_outside(path));
    outside.filter(|path| is_held(session, path, author, held)).cloned().collect()
}

/// Tells the host of operations outside the scope of their intent (SEC-38).
fn note_strays(session: &Session, out: &mut Outbox, ops: &[OpId]) {
    for record in ops.iter().filter_map(|op| session.operations.get(op)).filter(|it| it.out_of_scope) {
        if let Some(intent) = record.intent.clone() {
            let (op, target) = (record.id.clone(), record.target.clone());
            out.remark(Remark::OutOfScope { op, intent, target });
        }
    }
}

/// Whether live intents of others cover a target; they are added to those that are known to.
fn is_held(session: &Session, target: &str, author: &PrincipalId, held: &mut Held) -> bool {
    let mut found = false;
    for id in session.scopes.covering(target) {
        if let Some(intent) = session.intents.get(&id)
            && intent.owner != *author
        {
            held.entry(intent.sequence).or_insert_with(|| (id, intent.owner.clone()));
            found = true;
        }
    }
    found
}
