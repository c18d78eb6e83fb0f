//! What must hold in every state and over every transition, each with its name and the rules it comes from.

use std::collections::BTreeSet;

use mpac_core::table::{conflict, intent, operation};
use mpac_core::{Coordinator, Output, ProtocolLevel, Recipients};
use mpac_wire::names::{ClaimDecision, ExecutionModel};

use super::audience;
use super::moment::{Moment, Verdict};

#[derive(Clone, Copy)]
pub(super) struct Invariant {
    /// Speaks of a state alone, and is asked once for each.
    pub(super) of_states: bool,
    pub(super) name: &'static str,
    pub(super) ids: &'static [&'static str],
    pub(super) check: fn(&Moment<'_>) -> Verdict,
}

/// All of them.
pub(super) const ALL: [Invariant; 16] = [
    Invariant { of_states: true, name: "a snapshot loads as what it was", ids: &["REC-29"], check: snapshot },
    Invariant { of_states: true, name: "indexes equal rebuilt ones", ids: &["SES-26"], check: indexes },
    Invariant {
        of_states: false,
        name: "intents move along their table",
        ids: &["INT-18"],
        check: intent_moves,
    },
    Invariant {
        of_states: false,
        name: "operations move along their table",
        ids: &["OPS-01", "CAS-04"],
        check: op_moves,
    },
    Invariant {
        of_states: false,
        name: "conflicts move along their table",
        ids: &["CON-06", "GOV-07"],
        check: conflict_moves,
    },
    Invariant {
        of_states: false,
        name: "an intent id keeps its owner",
        ids: &["D-022", "D-024"],
        check: owners,
    },
    Invariant {
        of_states: false,
        name: "no announce over somebody's active files",
        ids: &["LCK-01"],
        check: race_lock,
    },
    Invariant {
        of_states: false,
        name: "overlapping intents are in conflict",
        ids: &["INT-09", "CON-01"],
        check: overlaps,
    },
    Invariant {
        of_states: false,
        name: "claims end, and say so",
        ids: &["CLM-09", "CLM-12", "CLM-13"],
        check: claims,
    },
    Invariant {
        of_states: false,
        name: "nobody absent holds anything",
        ids: &["LIV-07", "LIV-11", "LIV-14", "BYE-07"],
        check: absent,
    },
    Invariant {
        of_states: false,
        name: "no operation outlives its intent beyond the grace",
        ids: &["CAS-02", "CAS-06"],
        check: grace,
    },
    Invariant {
        of_states: false,
        name: "frozen scopes let nothing pass",
        ids: &["FRZ-02", "FRZ-03"],
        check: frozen,
    },
    Invariant {
        of_states: false,
        name: "an open conflict is about something",
        ids: &["CON-10", "CON-13"],
        check: disputes,
    },
    Invariant {
        of_states: false,
        name: "outputs go to members",
        ids: &["SRV-05", "SEC-41"],
        check: audience::members,
    },
    Invariant {
        of_states: false,
        name: "every message is answered as it must be",
        ids: &["SRV-04", "ERR-05"],
        check: audience::answered,
    },
    Invariant {
        of_states: false,
        name: "epoch stays, Lamport values rise",
        ids: &["ENV-10", "LAM-12"],
        check: clocks,
    },
];

fn indexes(moment: &Moment<'_>) -> Verdict {
    if moment.node.coordinator.indexes_are_sound() { Ok(()) } else { Err("an index is wrong".to_owned()) }
}

fn snapshot(moment: &Moment<'_>) -> Verdict {
    let coordinator = &moment.node.coordinator;
    match Coordinator::load(moment.config.clone(), &coordinator.snapshot()) {
        Ok(loaded) if loaded == *coordinator => Ok(()),
        Ok(loaded) => Err(format!("from\n{}\nto\n{}", coordinator.essence(), loaded.essence())),
        Err(error) => Err(error.to_string()),
    }
}

fn fails(text: String) -> Verdict {
    Err(text)
}

/// Whether what is over may be gone (SES-27).
fn forgets(moment: &Moment<'_>) -> bool {
    moment.config.retained_records < 100
}

/// One step along the table; the return of an owner comes before what its message does (D-081), and an own finished id
/// may begin anew (D-024).
fn intent_moves(moment: &Moment<'_>) -> Verdict {
    use intent::{EVENTS, State, next};
    let one = |from, to| EVENTS.iter().any(|on| next(from, *on) == Some(to));
    for (id, after) in &moment.after.intents {
        let before = moment.before.intents.get(id);
        let from = before.map(|it| it.state);
        if from == Some(after.state) || one(from, after.state) {
            continue;
        }
        let by_owner = moment.sent.is_some() && moment.who() == after.owner;
        let returned = from == Some(State::Suspended) && by_owner && one(Some(State::Active), after.state);
        let anew = from.is_some_and(State::is_terminal)
            && after.state == State::Active
            && by_owner
            && moment.after.archived > moment.before.archived;
        if !returned && !anew {
            return fails(format!("{id} went from {from:?} to {:?}", after.state));
        }
    }
    match moment.before.intents.keys().find(|id| !moment.after.intents.contains_key(*id)) {
        Some(id) if !forgets(moment) => fails(format!("{id} is gone")),
        _ => Ok(()),
    }
}

fn op_moves(moment: &Moment<'_>) -> Verdict {
    use operation::{EVENTS, next};
    for (id, after) in &moment.after.ops {
        let from = moment.before.ops.get(id).map(|it| it.state);
        if from != Some(after.state) && !EVENTS.iter().any(|on| next(from, *on) == Some(after.state)) {
            return fails(format!("{id} went from {from:?} to {:?}", after.state));
        }
    }
    match moment.before.ops.keys().find(|id| !moment.after.ops.contains_key(*id)) {
        Some(id) => fails(format!("{id} is gone")),
        None => Ok(()),
    }
}

/// One step; RESOLVED becomes CLOSED in the same one, and nobody ever sees it.
fn conflict_moves(moment: &Moment<'_>) -> Verdict {
    use conflict::{EVENTS, Event, State, next};
    for (id, after) in &moment.after.conflicts {
        let from = moment.before.conflicts.get(id).map(|it| it.state);
        let reached = |on: &Event| match next(from, *on) {
            Some(State::Resolved) => Some(State::Closed),
            other => other,
        };
        if after.state == State::Resolved {
            return fails(format!("{id} stayed RESOLVED"));
        }
        if from != Some(after.state) && !EVENTS.iter().any(|on| reached(on) == Some(after.state)) {
            return fails(format!("{id} went from {from:?} to {:?}", after.state));
        }
    }
    match moment.before.conflicts.keys().find(|id| !moment.after.conflicts.contains_key(*id)) {
        Some(id) => fails(format!("{id} is gone")),
        None => Ok(()),
    }
}

fn owners(moment: &Moment<'_>) -> Verdict {
    for (id, before) in &moment.before.intents {
        let after = moment.after.intents.get(id).map(|it| &it.owner);
        let forgotten = after.is_none() && forgets(moment);
        if after != Some(&before.owner) && !forgotten {
            return fails(format!("{id} was {}'s and is now {after:?}'s", before.owner));
        }
    }
    for (id, before) in &moment.before.ops {
        let after = moment.after.ops.get(id).map(|it| &it.proposer);
        if after != Some(&before.proposer) {
            return fails(format!("{id} was {}'s and is now {after:?}'s", before.proposer));
        }
    }
    Ok(())
}

fn race_lock(moment: &Moment<'_>) -> Verdict {
    if moment.config.level < ProtocolLevel::V0_1_15 || moment.kind() != "INTENT_ANNOUNCE" {
        return Ok(());
    }
    for (id, new) in fresh_intents(moment) {
        let held = moment.before.intents.iter().find(|(_, other)| {
            other.state == intent::State::Active && other.owner != new.owner && other.shares_with(new)
        });
        if let Some((holder, _)) = held {
            return fails(format!("{id} was let in over {holder}"));
        }
    }
    Ok(())
}

/// Intents that began in this step.
fn fresh_intents<'a>(moment: &'a Moment<'_>) -> Vec<(&'a String, &'a super::picture::Intent)> {
    let began = |id: &String| moment.before.intents.get(id).is_none_or(|it| !it.is_live());
    moment.after.live().filter(|(id, _)| began(id)).collect()
}

fn overlaps(moment: &Moment<'_>) -> Verdict {
    for (id, new) in fresh_intents(moment) {
        for (other, old) in moment.after.live().filter(|(other, _)| *other != id) {
            let quiet = moment.config.level >= ProtocolLevel::V0_1_15 && old.owner == new.owner;
            let told = moment.after.conflicts.values().any(|conflict| {
                !conflict.state.is_terminal()
                    && conflict.intents.contains(id)
                    && conflict.intents.contains(other)
            });
            if new.shares_with(old) && !quiet && !told {
                return fails(format!("{id} and {other} overlap and no conflict is open"));
            }
        }
    }
    Ok(())
}

fn claims(moment: &Moment<'_>) -> Verdict {
    let (before, after) = (moment.before, moment.after);
    for (id, claim) in &after.claims {
        let rivals = after.claims.values().filter(|other| other.original == claim.original).count();
        if rivals != 1 {
            return fails(format!("{rivals} claims wait for {}", claim.original));
        }
        if after.intents.get(&claim.original).map(|it| it.state) != Some(intent::State::Suspended) {
            return fails(format!("claim {id} waits for {}, which is not suspended", claim.original));
        }
        if after.intents.contains_key(&claim.new) {
            return fails(format!("claim {id} waits and its intent {} exists", claim.new));
        }
    }
    for (id, claim) in &before.claims {
        if let Some(now) = after.claims.get(id) {
            if (&now.original, &now.claimer) != (&claim.original, &claim.claimer) {
                return fails(format!("claim {id} on {} is on {} now", claim.original, now.original));
            }
            continue;
        }
        let statuses = moment.claim_statuses();
        let mine: Vec<_> = statuses.iter().filter(|(_, status)| status.claim_id.as_str() == id).collect();
        let [(to, status)] = mine.as_slice() else {
            return fails(format!("claim {id} ended with {} INTENT_CLAIM_STATUS", mine.len()));
        };
        let told = match to {
            Recipients::All => true,
            Recipients::Only(list) => list.iter().any(|who| who.as_str() == claim.claimer),
            Recipients::Conn(_) => false,
        };
        if !told {
            return fails(format!("claim {id} ended and {} was not told", claim.claimer));
        }
        let (original, new) = (after.intents.get(&claim.original), after.intents.get(&claim.new));
        let gone = original.is_none() && forgets(moment) && status.decision == ClaimDecision::Approved;
        let handed_over = (gone || original.is_some_and(|it| it.state == intent::State::Transferred))
            && new.is_some_and(|it| it.owner == claim.claimer && it.state == intent::State::Active);
        if (status.decision == ClaimDecision::Approved) != handed_over {
            return fails(format!("claim {id} was {}: {original:?}, {new:?}", status.decision));
        }
    }
    let heirs = fresh_intents(moment).len();
    if moment.kind() != "INTENT_ANNOUNCE" && heirs > before.claims.len() {
        return fails(format!("{heirs} intents began, for {} claims", before.claims.len()));
    }
    Ok(())
}

fn absent(moment: &Moment<'_>) -> Verdict {
    let after = moment.after;
    let away = |who: &String| after.members.get(who).is_none_or(|member| !member.available);
    let departed = |who: &String| after.members.get(who).is_some_and(|member| member.departed);
    for (id, op) in &after.ops {
        if op.state.is_pending() && away(&op.proposer) {
            return fails(format!("{} is away and {id} is {:?}", op.proposer, op.state));
        }
    }
    for (id, claim) in &after.claims {
        if away(&claim.claimer) {
            return fails(format!("{} is away and its claim {id} waits", claim.claimer));
        }
    }
    for (id, intent) in after.live() {
        let suspended = intent.state == intent::State::Suspended;
        // Who said GOODBYE with `expire` leaves its intents active (D-055).
        let left_behind = departed(&intent.owner) && !suspended;
        if suspended != away(&intent.owner) && !left_behind {
            return fails(format!("{id} is {:?}, its owner away: {}", intent.state, away(&intent.owner)));
        }
    }
    Ok(())
}

fn grace(moment: &Moment<'_>) -> Verdict {
    let (after, now) = (moment.after, moment.node.now);
    for (id, op) in after.ops.iter().filter(|(_, op)| op.state.is_pending()) {
        let Some(intent) = op.intent.as_ref().and_then(|id| after.intents.get(id)) else { continue };
        let frozen = op.state == operation::State::Frozen;
        if frozen != (intent.state == intent::State::Suspended) {
            return fails(format!("{id} is {:?} under an intent that is {:?}", op.state, intent.state));
        }
        let limit = now.after(&moment.config.intent_expiry_grace());
        let in_grace = op.grace_until.is_some_and(|until| now < until && until <= limit);
        if intent.state.is_terminal() && !in_grace {
            return fails(format!("{id} is under an intent that is over, until {:?}", op.grace_until));
        }
        let was = moment.before.ops.get(id);
        let newly = op.authorised && was.is_some_and(|was| !was.authorised);
        if newly && op.grace_until.is_some() {
            return fails(format!("{id} was authorised in its grace"));
        }
    }
    Ok(())
}

/// What is frozen before an accepted message, and without anybody favoured, stays as it is.
fn frozen(moment: &Moment<'_>) -> Verdict {
    if moment.sent.is_none() {
        return Ok(());
    }
    let before = moment.before;
    let mut targets: BTreeSet<&str> = BTreeSet::new();
    for conflict in before.conflicts.values().filter(|it| it.frozen && it.phase == Some(1)) {
        let intents = conflict.intents.iter().filter_map(|id| before.intents.get(id));
        targets.extend(intents.flat_map(|intent| &intent.files).map(String::as_str));
        let ops = conflict.ops.iter().filter_map(|id| before.ops.get(id));
        targets.extend(ops.map(|op| op.target.as_str()));
    }
    for (id, op) in &moment.after.ops {
        let was = before.ops.get(id).map(|it| it.state);
        let now = Some(op.state);
        let goes_on = was.is_none() && op.state == operation::State::Proposed
            || was != now && op.state == operation::State::Committed;
        if goes_on && targets.contains(op.target.as_str()) {
            return fails(format!("{id} became {:?} in a frozen scope", op.state));
        }
    }
    if moment.kind() == "INTENT_ANNOUNCE" {
        let inside = |files: &BTreeSet<String>| files.iter().all(|file| targets.contains(file.as_str()));
        if let Some((id, _)) = fresh_intents(moment).into_iter().find(|(_, it)| inside(&it.files)) {
            return fails(format!("{id} began inside a frozen scope"));
        }
    }
    Ok(())
}

fn disputes(moment: &Moment<'_>) -> Verdict {
    let after = moment.after;
    for (id, conflict) in after.conflicts.iter().filter(|(_, it)| !it.state.is_terminal()) {
        let intents = conflict.intents.iter().filter_map(|id| after.intents.get(id));
        let ops = conflict.ops.iter().filter_map(|id| after.ops.get(id));
        let alive =
            intents.filter(|it| it.is_live()).count() + ops.filter(|it| !it.state.is_terminal()).count();
        if alive == 0 {
            return fails(format!("everything in conflict {id} is over"));
        }
    }
    Ok(())
}

fn clocks(moment: &Moment<'_>) -> Verdict {
    let mut last = moment.before.lamport;
    for output in moment.outputs {
        let Output::Send { envelope, .. } = output else { continue };
        let value = envelope.watermark.as_ref().and_then(|it| it.lamport_value().ok()).flatten();
        if envelope.coordinator_epoch.as_ref().map(|epoch| epoch.get()) != Some(moment.before.epoch) {
            return fails(format!("{} without the epoch", envelope.message_type));
        }
        match value {
            Some(value) if value > last => last = value,
            _ => return fails(format!("{} at {value:?} after {last}", envelope.message_type)),
        }
    }
    if moment.after.lamport < last || moment.after.epoch != moment.before.epoch {
        return fails("the clock went back".to_owned());
    }
    Ok(())
}

/// Whether a commit is only a request here.
pub(super) fn asks_first(moment: &Moment<'_>) -> bool {
    moment.config.execution_model == ExecutionModel::PreCommit
}
