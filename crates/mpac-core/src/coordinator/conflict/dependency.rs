//! Finds edits that reach files of others (SCO-18 to SCO-20).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{BasisKind, ConflictCategory};
use mpac_wire::{IntentId, Raw, Scope};

use super::super::outbox::{Outbox, listed};
use super::super::state::Session;
use super::found::{Found, report};
use crate::scope::dependency::{Edits, Reached};

/// One conflict for each other principal's live intent whose files these edits reach, or whose edits reach these files,
/// where the scopes do not overlap directly (SCO-18, SCO-20). It blocks nobody.
pub(super) fn detect(
    session: &mut Session,
    out: &mut Outbox,
    id: &IntentId,
    part: &Scope,
    direct: &BTreeSet<IntentId>,
) {
    let Some(owner) = session.intents.get(id).map(|record| record.owner.clone()) else { return };
    let Some(edits) = Edits::of(part) else { return };
    let reported = reported(session, id);
    let mut others: Vec<(u64, IntentId, Vec<Reached>, Vec<Reached>)> = Vec::new();
    for other in session.scopes.dependents(part) {
        if let Some(record) = session.intents.get(&other)
            && record.owner != owner
            && !direct.contains(&other)
            && !reported.contains(&other)
            && let Some(theirs) = Edits::of(&record.scope)
        {
            let (ab, ba) = (edits.reach(&theirs), theirs.reach(&edits));
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

/// The intents with which this one has an open conflict over a dependency already (CON-22).
fn reported(session: &Session, id: &IntentId) -> BTreeSet<IntentId> {
    let open = session.disputes_by_intent.get(id).into_iter().flatten();
    let open = open.filter_map(|id| session.conflicts.get(id));
    let about = open.filter(|conflict| conflict.category == ConflictCategory::DependencyBreakage);
    about.flat_map(|conflict| conflict.intents.iter().cloned()).collect()
}

fn dependency_conflict(
    session: &mut Session,
    out: &mut Outbox,
    new: &IntentId,
    old: &IntentId,
    (ab, ba): (&[Reached], &[Reached]),
) {
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
    let common = alloc::format!("depend on each other in {}", listed(&files));
    let basis = (BasisKind::Rule, "scope.dependency.v1");
    let category = ConflictCategory::DependencyBreakage;
    if let Some(mut found) = Found::between(session, (new, old), category, basis, &common) {
        found.dependency = Raw::of(&detail).ok();
        report(session, out, found);
    }
}
