//! Finds edits that reach files of others (SCO-18 to SCO-20).

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{BasisKind, ConflictCategory};
use mpac_wire::{IntentId, Raw, Scope};

use super::super::outbox::{Outbox, listed};
use super::super::state::Session;
use super::found::{Found, governing, report};
use crate::scope::dependency::{Edits, Reached};

/// Bytes of files and symbols that a report lists for each of its sides (SRV-18).
const DETAIL: usize = 128 << 10;

/// One conflict for each other principal's live intent whose files these edits reach, or whose edits reach these files,
/// of those that are `compared`, which is not with what it overlaps directly (SCO-18, SCO-20): the edits of `part` of the
/// intent's scope, where only that is new. It blocks nobody.
pub(super) fn detect(
    session: &mut Session,
    out: &mut Outbox,
    id: &IntentId,
    part: Option<&Scope>,
    compared: impl Fn(&IntentId) -> bool,
) {
    let Some(part) = part.or_else(|| session.intents.get(id).map(|record| &record.scope)) else { return };
    let dependents = session.scopes.dependents(part);
    if dependents.is_empty() {
        return; // as nearly always
    }
    let Some(owner) = session.intents.get(id).map(|record| record.owner.clone()) else { return };
    let Some(edits) = Edits::of(part) else { return };
    let ours = edits.reaching();
    let reported = reported(session, id);
    let mut others: Vec<(u64, IntentId, Vec<Reached>, Vec<Reached>)> = Vec::new();
    for other in dependents {
        if let Some(record) = session.intents.get(&other)
            && record.owner != owner
            && compared(&other)
            && !reported.contains(&other)
            && let Some(theirs) = Edits::of(&record.scope)
        {
            let (ab, ba) = (ours.reach(&theirs), theirs.reaching().reach(&edits));
            if !ab.is_empty() || !ba.is_empty() {
                others.push((record.sequence, other, ab, ba));
            }
        }
    }
    others.sort_by_key(|(sequence, ..)| *sequence);
    if others.is_empty() {
        return;
    }
    let governing = governing(session);
    for (_, other, ab, ba) in others {
        let found = dependency_conflict(session, id, &other, (&ab, &ba));
        if let Some(found) = found {
            report(session, out, found, &governing);
        }
    }
}

/// The intents with which this one has an open conflict over a dependency already (CON-22).
fn reported(session: &Session, id: &IntentId) -> BTreeSet<IntentId> {
    let open = session.disputes_of_intent(id).filter_map(|id| session.conflicts.get(id));
    let about = open.filter(|conflict| conflict.category == ConflictCategory::DependencyBreakage);
    about.flat_map(|conflict| conflict.intents.iter().cloned()).collect()
}

fn dependency_conflict(
    session: &Session,
    new: &IntentId,
    old: &IntentId,
    (ab, ba): (&[Reached], &[Reached]),
) -> Option<Found> {
    let side = |reached: &[Reached]| -> Vec<serde_json::Value> {
        let entry = |it: &Reached| serde_json::json!({ "file": it.file, "symbols": it.symbols });
        let mut bytes = 0;
        let fits = |entry: &serde_json::Value| {
            bytes += Raw::of(entry).map_or(0, |text| text.get().len());
            bytes <= DETAIL
        };
        reached.iter().map(entry).take_while(fits).collect()
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
    let mut found = Found::between(session, (new, old), category, basis, &common)?;
    found.dependency = Raw::of(&detail).ok();
    Some(found)
}
