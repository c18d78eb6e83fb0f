//! What of a session a rule can still ask about, as text: two sessions of one essence go on alike.
//!
//! Left out is what is only told (objectives, reasons, message ids, when something began), what is only counted
//! (sequence numbers, the ids the coordinator draws: records stand in their order instead), Lamport values (whoever
//! speaks next may speak above them all), message ids that were used (nobody uses one twice), finished records that nothing live names (their ids stay, for they are
//! taken), and everything derived. Times are those still to come, in microseconds from now.
//!
//! Every record is taken apart field by field, so that a new field does not compile before it has found its side.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use mpac_wire::{Scope, Timestamp};

use super::super::keys::BoundKey;
use super::super::records::{
    Backoff, Batch, Claim, Conflict, Connection, Deferral, Freeze, Handover, Member, Missed, Operation,
    Particulars, Recovery,
};
use super::{Intent, Session};
use crate::table::intent::State;

/// Text that cannot fail to be written.
macro_rules! say {
    ($text:expr, $($what:tt)+) => {{
        let _ = writeln!($text, $($what)+);
    }};
}

pub(in super::super) fn essence(session: &Session) -> String {
    let Session {
        now,
        unopened,
        vacancy,
        closed,
        members,
        connections,
        batches,
        deferrals,
        backoff,
        claims,
        claim_ids,
        refs,
        files,
        sizes,
        closes_at,
        next_status,
        intents,
        operations,
        conflicts,
        handover,
        retired,
        fenced_by,
        recovery,
        scope_kinds,
        // The same as long as the session runs under this coordinator.
        config,
        coordinator: _,
        epoch: _,
        // Counted, drawn, or above what anybody will say next.
        ids: _,
        lamport: _,
        frontier: _,
        seen_ids: _,
        keys,
        // Its host's to know.
        coordinator_key: _,
        sequence: _,
        resolutions: _,
        // Told with every heartbeat, and asked by nobody.
        persisted: _,
        // Told at the close; its age is in what falls due.
        started_at,
        archived_intents: _,
        // Only counted, and not before there are more records than the configuration keeps.
        forgotten: _,
        finished: _,
        // Decides only who else hears of a claim.
        refused_claimers: _,
        // Settled before a record is done.
        rejudge: _,
        waiting: _,
        // Derived.
        scopes: _,
        live: _,
        pending_by_intent: _,
        pending_by_proposer: _,
        pending_by_superseded: _,
        standing_by_intent: _,
        disputes_by_intent: _,
        disputes_by_op: _,
        disputes_by_author: _,
        frozen: _,
        deadlines: _,
        open_conflicts: _,
    } = session;
    let mut text = String::new();
    say!(text, "{unopened} {vacancy} {closed} {:?} {:?}", left(*now, *closes_at), left(*now, *next_status));
    if config.lifecycle.session_ttl_sec.as_ref().is_some_and(|limit| !limit.is_zero()) {
        say!(text, "age {}", now.micros() - started_at.micros());
    }
    // Those of finished intents count as well (SCO-13).
    say!(text, "kinds {:?}", scope_kinds.keys());
    write_succession(&mut text, *now, handover.as_ref(), (*retired, *fenced_by), recovery);
    write_members(&mut text, *now, members.values());
    write_connections(&mut text, connections.values());
    let live = intents.values().filter(|it| it.is_live());
    write_in_order(&mut text, live.map(|it| (it.sequence, it)), |text, it| write_intent(text, session, it));
    intents.values().filter(|it| !it.is_live()).for_each(|it| write_intent(&mut text, session, it));
    let standing = operations.values().filter(|it| !it.state.is_terminal());
    write_in_order(&mut text, standing.map(|it| (it.sequence, it)), |text, it| {
        write_operation(text, *now, it)
    });
    for op in operations.values().filter(|it| it.state.is_terminal()) {
        // Its id is taken; a conflict may still be about its target.
        let target = session.disputes_by_op.contains_key(&op.id).then_some(&op.target);
        say!(text, "op {} is over {target:?}", op.id);
    }
    let open = conflicts.values().filter(|it| !it.state.is_terminal());
    write_in_order(&mut text, open.map(|it| (it.sequence, it)), |text, it| write_conflict(text, *now, it));
    for (id, batch) in batches {
        let Batch { atomicity, principal, intent, ops } = batch;
        say!(text, "batch {id} {atomicity:?} {principal} {intent:?} {ops:?}");
    }
    deferrals.values().for_each(|it| write_deferral(&mut text, *now, it));
    claims.values().for_each(|it| write_claim(&mut text, *now, it));
    if config.enforce_intent_backoff {
        backoff.iter().for_each(|it| write_backoff(&mut text, *now, it));
    }
    let taken: BTreeSet<_> = claim_ids.iter().collect();
    say!(text, "taken {taken:?}");
    say!(text, "refs {refs:?} {files:?} {sizes:?}");
    for (owner, bound) in keys.iter() {
        let BoundKey { key: _, fingerprint, from: _, until, certified } = bound;
        say!(text, "key {owner} {fingerprint} {:?} {certified}", left(*now, *until));
    }
    text
}

fn write_succession(
    text: &mut String,
    now: Timestamp,
    handover: Option<&Handover>,
    (retired, fenced_by): (bool, Option<u64>),
    recovery: &Recovery,
) {
    let Recovery { taken_up, untold, awaited, diverged, settled } = recovery;
    if let Some(Handover { successor, next_epoch }) = handover {
        say!(text, "handed over to {successor} under {next_epoch}");
    }
    // How long ago that was matters while somebody is awaited.
    let since = |at: &Timestamp| (!awaited.is_empty()).then(|| now.micros() - at.micros());
    let taken_up = taken_up.as_ref().map(|(how, at)| (how, since(at)));
    say!(text, "retired {retired} {fenced_by:?}, taken up {taken_up:?} {untold:?} {awaited:?} {diverged:?}");
    let settled: BTreeSet<_> = settled.iter().collect();
    say!(text, "settled {settled:?}");
}

/// Microseconds until then; what is past is now.
fn left(now: Timestamp, at: Option<Timestamp>) -> Option<i64> {
    at.map(|at| (at.micros() - now.micros()).max(0))
}

fn write_in_order<T>(
    text: &mut String,
    records: impl Iterator<Item = (u64, T)>,
    mut write: impl FnMut(&mut String, T),
) {
    let sorted: BTreeMap<u64, T> = records.collect();
    sorted.into_values().for_each(|record| write(text, record));
}

fn write_members<'a>(text: &mut String, now: Timestamp, members: impl Iterator<Item = &'a Member>) {
    for member in members {
        let Member {
            sender,
            display_name: _,
            proof,
            roles,
            capabilities: _,
            backend,
            provider_status,
            alerted,
            approved_model,
            status,
            available,
            departed,
            last_seen,
            last_message: _,
            conn,
            joined,
            missed,
        } = member;
        let Missed { intents, operations, resolutions } = missed;
        let ended: BTreeSet<_> = intents.iter().map(|it| it.intent_id.as_str()).collect();
        let rejected: BTreeSet<_> = operations.iter().map(|it| it.op_id.as_str()).collect();
        // Silence is counted only while somebody is here.
        let silent = available.then(|| now.micros() - last_seen.micros());
        say!(
            text,
            "member {} {} {roles:?} {backend:?} {provider_status:?} {alerted} {approved_model:?} {status:?} \
             {departed} {silent:?} {} {joined} {proof:?} {ended:?} {rejected:?} {}",
            sender.principal_id,
            sender.sender_instance_id,
            conn.is_some(),
            resolutions.len()
        );
    }
}

/// In the order of who speaks on them, which their numbers say nothing of.
fn write_connections<'a>(text: &mut String, connections: impl Iterator<Item = &'a Connection>) {
    let mut lines: Vec<_> = connections
        .map(|Connection { principal, refused_hellos, malformed }| {
            (principal.as_ref(), *refused_hellos, malformed.len())
        })
        .collect();
    lines.sort();
    say!(text, "connections {lines:?}");
}

/// A scope of files is written as a list; the others as they are.
fn write_scope(text: &mut String, scope: &Scope) {
    let plain = scope.resources.as_ref().filter(|files| *scope == Scope::files(files.iter().cloned()));
    let _ = match plain {
        Some(files) => write!(text, " {files:?}"),
        None => write!(text, " {scope:?}"),
    };
}

fn write_intent(text: &mut String, session: &Session, intent: &Intent) {
    let Intent {
        id,
        owner,
        objective: _,
        scope,
        state,
        received_at: _,
        ttl: _,
        expires_at,
        last_message: _,
        assumptions: _,
        priority,
        parent: _,
        supersedes: _,
        suspended_cause,
        sequence: _,
    } = intent;
    let _ = write!(text, "intent {id} {owner}");
    if intent.is_live() {
        let _ = write!(text, " {state:?}");
        let expires = left(session.now, Some(*expires_at));
        let _ = write!(text, " {expires:?} {priority:?} {suspended_cause:?}");
    }
    // A claim comes too late for one that was handed over, and wrongly for the others (CLM-01).
    if *state == State::Transferred {
        text.push_str(" handed over");
    }
    // One that is over still says what a conflict is about (D-071).
    if intent.is_live() || session.disputes_by_intent.contains_key(id) {
        write_scope(text, scope);
    }
    text.push('\n');
}

fn write_operation(text: &mut String, now: Timestamp, op: &Operation) {
    let Operation {
        id,
        intent,
        proposer,
        state,
        target,
        kind,
        before,
        after,
        created_at: _,
        uncoordinated,
        out_of_scope,
        content_missing: _,
        contested,
        of_earlier_intent,
        sequence: _,
        more,
    } = op;
    let Particulars { batch, supersedes, approved_by, authorised, change_ref: _, summary: _, grace_until } =
        &**more;
    let _ = write!(text, "op {id} {state:?} {proposer} {target} {intent:?} {contested}");
    if *of_earlier_intent {
        text.push_str(" of an earlier one"); // no conflict of the intent is about it (D-118)
    }
    if state.is_pending() {
        let grace = left(now, *grace_until);
        let by = authorised.as_ref().map(|(by, _)| by);
        let _ = write!(
            text,
            " {kind:?} {before:?} {after:?} {batch:?} {supersedes:?} {approved_by:?} {by:?} {uncoordinated} \
             {out_of_scope} {grace:?}"
        );
    }
    text.push('\n');
}

/// One that is not over. One that is names nothing any more: whoever resolves it again is refused.
fn write_conflict(text: &mut String, now: Timestamp, conflict: &Conflict) {
    let Conflict {
        id: _,
        category,
        severity: _,
        basis: _,
        based_on: _,
        description: _,
        intents,
        ops,
        principals,
        author,
        a,
        b,
        part,
        state,
        created_at: _,
        report: _,
        acks,
        escalated,
        resolution: _,
        timeout_at,
        freeze,
        sequence: _,
    } = conflict;
    let acks: Vec<_> = acks.iter().map(|(who, what, _)| (who, what)).collect();
    let escalated = escalated.as_ref().map(|(to, _)| to);
    let pending = left(now, *timeout_at);
    say!(
        text,
        "conflict {category:?} {state:?} {intents:?} {ops:?} {principals:?} {author:?} {a:?} {b:?} {part:?} {acks:?} \
         {escalated:?} {pending:?}"
    );
    if let Some(Freeze { at: _, phase, phase_ends, favoured }) = freeze.as_deref() {
        say!(text, "frozen {phase} {:?} {favoured:?}", left(now, *phase_ends));
    }
}

fn write_deferral(text: &mut String, now: Timestamp, deferral: &Deferral) {
    let Deferral {
        id,
        principal,
        scope,
        reason: _,
        observed_intents,
        observed_principals,
        category: _,
        received_at: _,
        expires_at,
    } = deferral;
    let expires = left(now, Some(*expires_at));
    let _ =
        write!(text, "deferral {id} {principal} {observed_intents:?} {observed_principals:?} {expires:?}");
    write_scope(text, scope);
    text.push('\n');
}

fn write_claim(text: &mut String, now: Timestamp, claim: &Claim) {
    let Claim {
        id,
        original,
        owner,
        new_intent,
        claimer,
        objective: _,
        scope,
        justification: _,
        message: _,
        submitted_at: _,
        granted_at,
    } = claim;
    let granted = left(now, *granted_at);
    let _ = write!(text, "claim {id} {original} {owner} {new_intent} {claimer} {granted:?}");
    write_scope(text, scope);
    text.push('\n');
}

fn write_backoff(text: &mut String, now: Timestamp, backoff: &Backoff) {
    let Backoff { principal, scope, rejections, not_before } = backoff;
    let _ = write!(text, "backoff {principal} {rejections} {:?}", left(now, Some(*not_before)));
    write_scope(text, scope);
    text.push('\n');
}
