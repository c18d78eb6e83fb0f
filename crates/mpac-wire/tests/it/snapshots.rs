//! Snapshots as the references write them load, with the defaults of `spec/wire.md` §10.

use mpac_wire::sideband::SummaryConflict;
use mpac_wire::snapshot::Snapshot;

use crate::covers;

/// The shape that the TypeScript reference writes: unset members absent.
const FOREIGN: &str = r#"{"snapshot_version":2,"session_id":"s","protocol_version":"0.1.13","captured_at":"2026-01-02T03:04:05.120Z","coordinator_epoch":1,"lamport_clock":7,"anti_replay":{"replay_window_sec":300,"recent_message_ids":["m"],"sender_frontier":{"p|i":{"last_ts":"2026-01-02T03:04:05.120Z"}}},"participants":[{"principal_id":"p"}],"intents":[{"intent_id":"i","principal_id":"p","scope":{"kind":"file_set","resources":["a"]},"expires_at":null}],"operations":[{"op_id":"o","intent_id":"","principal_id":"p","authorized_at":null}],"conflicts":[{"conflict_id":"c","escalated_at":null}],"pending_claims":[],"session_closed":false,"unheard_of":1}"#;

#[test]
fn a_snapshot_of_another_implementation_loads() {
    covers!("EXT-08");
    let snapshot: Snapshot = serde_json::from_str(FOREIGN).unwrap();
    let record = &snapshot.intents.as_ref().unwrap()[0];
    assert_eq!((record.state.clone(), record.ttl_sec.clone()), (None, None));
    // Unset members are written as null, as the Python reference does.
    let text = serde_json::to_string(&snapshot).unwrap();
    assert!(
        text.contains(r#""ttl_sec":null,"expires_at":null,"last_message_id":null,"claimed_by":null"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Snapshot>(&text).unwrap(), snapshot);
}

#[test]
fn one_odd_record_does_not_cost_the_snapshot() {
    covers!("REC-19", "D-035");
    // What the Python packages write of a reported conflict that names nobody, and of a sender of theirs in an open session.
    let conflict = r#"{"conflict_id":"c","principal_a":"","principal_b":"","intent_a":"","intent_b":"","escalated_at":null}"#;
    let text = FOREIGN
        .replace(r#"{"conflict_id":"c","escalated_at":null}"#, conflict)
        .replace(r#"{"last_ts":"2026-01-02T03:04:05.120Z"}"#, r#"{"last_ts":"bad","last_lamport":-1}"#);
    let snapshot: Snapshot = serde_json::from_str(&text).unwrap();
    let record = &snapshot.conflicts.as_ref().unwrap()[0];
    assert_eq!((&record.principal_a, &record.principal_b), (&None, &None));
    assert_eq!((&record.intent_a, &record.intent_b), (&None, &None));
    let frontier = snapshot.anti_replay.as_ref().unwrap().sender_frontier.as_ref().unwrap();
    assert_eq!((&frontier["p|i"].last_ts, &frontier["p|i"].last_lamport), (&None, &None));
    let half = text.replace("-1", "3");
    let snapshot: Snapshot = serde_json::from_str(&half).unwrap();
    let frontier = snapshot.anti_replay.unwrap().sender_frontier.unwrap();
    assert_eq!(frontier["p|i"].last_lamport, Some(3.into()));
    // Ids that are there are still read, and what is no id is none.
    let named = text.replace(r#""intent_a":"""#, r#""intent_a":"j""#);
    let snapshot: Snapshot = serde_json::from_str(&named).unwrap();
    assert_eq!(snapshot.conflicts.unwrap()[0].intent_a.as_ref().unwrap().as_str(), "j");
    assert!(serde_json::from_str::<Snapshot>(&text.replace(r#""intent_a":"""#, r#""intent_a":7"#)).is_err());
}

#[test]
fn a_conflict_that_names_nobody_does_not_cost_the_summary() {
    covers!("SRV-11");
    let text = r#"{"conflict_id":"c","category":"scope_overlap","severity":"low","state":"OPEN","principal_a":"","principal_b":null,"intent_a":"","intent_b":"j"}"#;
    let conflict: SummaryConflict = serde_json::from_str(text).unwrap();
    assert_eq!((conflict.principal_a, conflict.principal_b, conflict.intent_a), (None, None, None));
    assert_eq!(conflict.intent_b.unwrap().as_str(), "j");
}
