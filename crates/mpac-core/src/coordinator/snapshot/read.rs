//! From the stored form to the session it was.
//!
//! What the references leave out has a default; what contradicts itself is refused (REC-11). Nothing is shifted here:
//! that time has passed since is for [`recover`](super::super::recover) to say.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use mpac_wire::names::CoordinatorEvent;
use mpac_wire::snapshot::{AntiReplay, CoordinatorState, FrontierRecord, Snapshot};
use mpac_wire::{InstanceId, PrincipalId, StateRef, Timestamp};

use super::super::keys::BoundKey;
use super::super::records::{Connection, Frontier, Handover};
use super::super::replay::SeenIds;
use super::super::retention::{Forgotten, Traces};
use super::super::state::{CoordinatorKey, Session, Sizes};
use super::names::{conflict_state, intent_state, named, operation_state};
use super::records;
use crate::config::SessionConfig;
use crate::error::RestoreError;
use crate::ids::IdSource;
use crate::input::ConnId;
use crate::lamport::LamportClock;
use crate::scope::normalize;
use crate::table::{conflict, intent, operation};

/// The newest version of the format that is understood.
const NEWEST: u64 = 2;

/// The session as it was written, and the number of its last input. `seed` is for a reference's, which has none.
pub(in super::super) fn read(
    config: SessionConfig,
    snapshot: &Snapshot,
    seed: u64,
) -> Result<(Session, u64), RestoreError> {
    config.validate()?;
    is_of_this_session(&config, snapshot)?;
    let version = snapshot.snapshot_version.get();
    if version > NEWEST {
        return Err(RestoreError::Version(version));
    }
    let captured_at = snapshot.captured_at;
    let started_at = snapshot.session_started_at.unwrap_or_else(|| earliest(snapshot));
    let state = snapshot.coordinator_state.as_ref();
    // From the beginning: it decides as well where tables keep what participants name.
    let ids = state.map_or_else(|| Ok(IdSource::new(seed)), ids)?;
    let mut session = Session::open(config, ids, snapshot.coordinator_epoch.get(), captured_at);
    session.started_at = started_at;
    session.unopened = false;
    session.lamport = LamportClock::at(snapshot.lamport_clock.get());
    session.closed = snapshot.session_closed.unwrap_or(false);
    if let Some(anti_replay) = &snapshot.anti_replay {
        read_frontier(&mut session, anti_replay)?;
        // Before any message is taken (REC-13). The open profile remembers none.
        if !session.config.is_open() {
            session.seen_ids = SeenIds::load(anti_replay, captured_at);
        }
    }
    records::read(&mut session, snapshot)?;
    let refs = snapshot.target_state_refs.clone().unwrap_or_else(|| committed(&session));
    // As they were, without what the host's files are by now: whoever takes it up compares the two.
    session.refs.clear();
    session.refs.extend(refs);
    session.handover = snapshot.handover.as_ref().map(|record| Handover {
        successor: record.successor_coordinator_id.clone(),
        next_epoch: record.next_coordinator_epoch.get(),
    });
    let seq = match state {
        Some(state) => continuation(&mut session, state)?,
        None => 0,
    };
    // Deadlines, indexes: all of it follows from the records.
    Ok((session.rebuilt_indexes(), seq))
}

/// A snapshot goes on under what it was written under (REC-11). What it does not say, as the references' do not, is
/// taken to agree.
fn is_of_this_session(config: &SessionConfig, snapshot: &Snapshot) -> Result<(), RestoreError> {
    let profiles = (snapshot.security_profile.as_ref(), snapshot.compliance_profile.as_ref());
    let model = snapshot.execution_model.as_ref();
    let fields = [
        ("session_id", config.session_id.as_str(), Some(snapshot.session_id.as_str())),
        ("security_profile", config.security_profile.as_str(), profiles.0.map(|it| it.as_str())),
        ("compliance_profile", config.compliance_profile.as_str(), profiles.1.map(|it| it.as_str())),
        ("execution_model", config.execution_model.as_str(), model.map(|it| it.as_str())),
    ];
    let differs =
        fields.into_iter().find(|(_, configured, stored)| stored.is_some_and(|it| it != *configured));
    match differs {
        Some((field, configured, stored)) => Err(RestoreError::Mismatch {
            field,
            configured: configured.to_owned(),
            stored: stored.unwrap_or_default().to_owned(),
        }),
        None => Ok(()),
    }
}

/// The references do not keep current references: those that the last commits left, and the files' own (OCC-02).
fn committed(session: &Session) -> BTreeMap<String, StateRef> {
    let mut by_receipt: Vec<_> =
        session.operations.values().filter(|op| op.state == operation::State::Committed).collect();
    by_receipt.sort_by_key(|op| op.sequence);
    let refs = by_receipt.into_iter().filter_map(|op| Some((normalize(&op.target), op.after.clone()?)));
    refs.chain(session.config.workspace.clone().unwrap_or_default()).collect()
}

/// A reference does not say when the session began: not later than anything in it.
fn earliest(snapshot: &Snapshot) -> Timestamp {
    let intents = snapshot.intents.iter().flatten().filter_map(|record| record.received_at);
    let operations = snapshot.operations.iter().flatten().filter_map(|record| record.created_at);
    intents.chain(operations).min().unwrap_or(snapshot.captured_at).min(snapshot.captured_at)
}

fn read_frontier(session: &mut Session, anti_replay: &AntiReplay) -> Result<(), RestoreError> {
    for (key, record) in anti_replay.sender_frontier.iter().flatten() {
        let frontier = Frontier {
            ts: record.last_ts.as_ref().map(|ts| ts.at()),
            lamport: record.last_lamport.as_ref().map(mpac_wire::Integer::get),
            heard_at: record.heard_at.unwrap_or(session.now),
        };
        if session.frontier.insert(incarnation(key, record)?, frontier).is_some() {
            return Err(RestoreError::repeated("sender instance", key));
        }
    }
    Ok(())
}

/// `principal|instance`, or what the record itself says where that is ambiguous.
fn incarnation(key: &str, record: &FrontierRecord) -> Result<(PrincipalId, InstanceId), RestoreError> {
    if let (Some(principal), Some(instance)) = (&record.principal_id, &record.sender_instance_id) {
        return Ok((principal.clone(), instance.clone()));
    }
    let bad = || RestoreError::Frontier(key.to_owned());
    let (principal, instance) = key.split_once('|').ok_or_else(bad)?;
    let principal = PrincipalId::new(principal).map_err(|_| bad())?;
    let instance = InstanceId::new(instance).map_err(|_| bad())?;
    Ok((principal, instance))
}

fn ids(state: &CoordinatorState) -> Result<IdSource, RestoreError> {
    let seed = u64::from_str_radix(&state.id_seed, 16);
    let seed = seed.map_err(|_| RestoreError::Seed(state.id_seed.clone()))?;
    Ok(IdSource::resume(seed, state.id_epoch.get(), state.id_counter.get()))
}

/// What only we write.
fn continuation(session: &mut Session, state: &CoordinatorState) -> Result<u64, RestoreError> {
    session.sequence = session.sequence.max(state.sequence.get());
    session.unopened = state.unopened.unwrap_or(false);
    session.vacancy = !state.no_vacancy.unwrap_or(false);
    read_keys(session, state)?;
    session.retired = state.retired.unwrap_or(false);
    session.fenced_by = state.fenced_by_epoch.as_ref().map(mpac_wire::Integer::get);
    session.persisted = state.snapshot_lamport_clock.as_ref().map(mpac_wire::Integer::get);
    session.closes_at = state.closes_at;
    session.next_status = state.next_status_at;
    session.files.extend(state.workspace_files.iter().flatten().cloned());
    if let Some(sizes) = &state.workspace_file_bytes {
        session.sizes = Sizes::default();
        session.sizes.extend(sizes.iter().map(|(path, bytes)| (path.clone(), bytes.get())));
    }
    session.claim_ids.replace(state.claim_ids.iter().flatten().cloned());
    session.resolutions.replace(state.resolution_ids.iter().flatten().cloned());
    for (principal, until) in state.refused_claimers.iter().flatten() {
        session.refused_claimers.insert(principal_id(principal)?, *until);
    }
    session.forgotten = forgotten(state)?;
    for record in state.connections.iter().flatten() {
        let conn = ConnId(record.conn.get());
        if let Some(principal) = &record.principal_id {
            let member = session.members.get_mut(principal);
            member.ok_or_else(|| RestoreError::dangling("connection", conn.0.to_string(), principal))?.conn =
                Some(conn);
        }
        let refused_hellos = record.refused_hellos.as_ref().map_or(0, mpac_wire::Integer::get);
        let connection = Connection {
            principal: record.principal_id.clone(),
            refused_hellos: u32::try_from(refused_hellos).unwrap_or(u32::MAX),
            malformed: record.malformed_at.iter().flatten().copied().collect(),
        };
        session.connections.insert(conn, connection);
    }
    let recovery = &mut session.recovery;
    recovery.taken_up = state.recovered_at.map(|at| {
        let how = state.recovered_as.as_deref().map_or(CoordinatorEvent::Recovered, CoordinatorEvent::from);
        (how, at)
    });
    recovery.untold = state.untold.iter().flatten().cloned().collect();
    recovery.awaited = state.awaited.iter().flatten().cloned().collect();
    recovery.settled.replace(state.divergences_settled.iter().flatten().cloned());
    for (principal, conflict) in state.diverged.iter().flatten() {
        // Nothing else would ever let this principal go on.
        if session.conflicts.get(conflict).is_none_or(|record| record.state.is_terminal()) {
            return Err(RestoreError::dangling("diverged", principal.clone(), conflict));
        }
        recovery.diverged.insert(principal_id(principal)?, conflict.clone());
    }
    Ok(state.seq.get())
}

/// A key that was rotated stands over the configuration's, which is the one that the session began with.
fn read_keys(session: &mut Session, state: &CoordinatorState) -> Result<(), RestoreError> {
    if let Some(own) = &state.coordinator_key {
        session.coordinator_key = Some(CoordinatorKey { key: own.public_key.clone(), from: own.valid_from });
    }
    for record in state.keys.iter().flatten() {
        let certified = record.certified.unwrap_or(false);
        let mut bound = BoundKey::new(record.public_key.clone(), record.valid_from, certified);
        bound.until = record.valid_until;
        if session.keys.get(&bound.fingerprint).is_some() || session.is_coordinator_key(&bound.fingerprint) {
            return Err(RestoreError::taken("key", bound.fingerprint, &record.principal_id));
        }
        session.keys.put(&record.principal_id, bound);
    }
    Ok(())
}

fn forgotten(state: &CoordinatorState) -> Result<Forgotten, RestoreError> {
    let mut forgotten = Forgotten::default();
    let Some(record) = &state.forgotten else { return Ok(forgotten) };
    for (name, count) in record.intents.iter().flatten() {
        let state = named(&intent::STATES, &name.as_str().into(), intent_state);
        let state = state.ok_or_else(|| RestoreError::state("intent", "forgotten", name))?;
        forgotten.intents.insert(state, count.get());
    }
    for (name, count) in record.operations.iter().flatten() {
        let state = named(&operation::STATES, &name.as_str().into(), operation_state);
        let state = state.ok_or_else(|| RestoreError::state("operation", "forgotten", name))?;
        forgotten.operations.insert(state, count.get());
    }
    for (name, count) in record.conflicts.iter().flatten() {
        let state = named(&conflict::STATES, &name.as_str().into(), conflict_state);
        let state = state.ok_or_else(|| RestoreError::state("conflict", "forgotten", name))?;
        forgotten.conflicts.insert(state, count.get());
    }
    forgotten.traces = match &record.trace_words {
        Some(text) => Traces::parse(text).ok_or(RestoreError::Traces)?,
        None if forgotten.operations.is_empty() => Traces::default(),
        None => Traces::of_anything(),
    };
    forgotten.participants = record.participants.as_ref().map_or(0, mpac_wire::Integer::get);
    Ok(forgotten)
}

fn principal_id(text: &str) -> Result<PrincipalId, RestoreError> {
    PrincipalId::new(text).map_err(|_| RestoreError::Frontier(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::{Coordinator, IdSource, SessionConfig};

    /// Participants who know the seed can name things so that a table keeps them all in one place.
    #[test]
    fn tables_keep_the_seed_of_their_session() {
        let config = || SessionConfig::new("s".parse().unwrap());
        let seed_is = |coordinator: &Coordinator, seed: u64| {
            let text = alloc::format!("{:?}", coordinator.session.scopes);
            assert!(text.contains(&alloc::format!("seed: {seed},")), "{text}");
        };
        let now = mpac_wire::Timestamp::from_micros(0);
        let first = Coordinator::new(config(), IdSource::new(7), now).unwrap();
        let mut snapshot = first.snapshot();
        seed_is(&first, 7);
        seed_is(&Coordinator::load(config(), &snapshot).unwrap(), 7);
        seed_is(&Coordinator::restore(config(), &snapshot, 8, now).unwrap(), 7);
        snapshot.coordinator_state = None; // as a reference's
        seed_is(&Coordinator::restore(config(), &snapshot, 8, now).unwrap(), 8);
    }
}
