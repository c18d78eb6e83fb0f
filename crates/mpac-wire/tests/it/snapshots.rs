//! Snapshots as the references write them load, with the defaults of `spec/wire.md` §10.

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
