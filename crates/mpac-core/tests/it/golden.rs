//! The fourteen messages: what our participant writes, and what our coordinator answers.

use std::path::Path;

use mpac_core::participant::{Introduction, Stamp};
use mpac_core::{ConnId, Coordinator, IdSource, Output, Participant, SessionConfig};
use mpac_wire::{Envelope, Limits, Message, Received, SessionId, Timestamp};

use crate::covers;

/// The order of each set, and what comes back.
const SET: [(&str, &[&str]); 7] = [
    ("hello_alice", &["SESSION_INFO"]),
    ("hello_bob", &["SESSION_INFO"]),
    ("intent_announce_alice", &[]),
    ("intent_announce_bob_no_overlap", &[]),
    ("intent_announce_bob_overlap", &["CONFLICT_REPORT"]),
    ("op_propose_alice", &[]),
    ("op_commit_alice", &[]),
];

fn read(set: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fixtures/golden/{set}_{name}.json"));
    std::fs::read_to_string(path).unwrap()
}

fn parse(text: &str) -> Envelope {
    Received::parse(text, &Limits::default()).unwrap().envelope().clone()
}

#[test]
fn golden_messages_are_what_our_participant_writes() {
    covers!("ENV-04", "ENV-09", "LAM-07", "HEL-01", "SRV-14");
    for set in ["py", "ts"] {
        let mut people: Vec<Participant> = Vec::new();
        for (name, _) in SET {
            let golden = read(set, name);
            let envelope = parse(&golden);
            let stamp = Stamp::new(envelope.message_id.clone(), envelope.ts.clone());
            let message = envelope.message().unwrap();
            if let Message::Hello(hello) = &message {
                let mut introduction = Introduction::new(&hello.display_name);
                introduction.roles = hello.roles.clone().unwrap();
                introduction.capabilities = hello.capabilities.clone();
                people.push(Participant::new(
                    envelope.session_id.clone(),
                    envelope.sender.clone(),
                    introduction,
                ));
            }
            let who = people.iter_mut().find(|one| *one.sender() == envelope.sender).unwrap();
            let written = match message {
                Message::Hello(_) => who.hello(stamp, None),
                Message::IntentAnnounce(it) => {
                    who.announce(stamp, it.intent_id, it.objective, it.scope, None)
                }
                Message::OpPropose(it) => who.propose(stamp, it.op_id, it.intent_id, it.target, it.op_kind),
                Message::OpCommit(it) => {
                    let refs = (it.state_ref_before, it.state_ref_after);
                    who.commit(stamp, it.op_id, it.intent_id, (it.target, it.op_kind), refs, None)
                }
                other => panic!("no golden has this type: {other:?}"),
            };
            assert_eq!(written.to_json_pretty(), golden, "{set}_{name}");
        }
    }
}

#[test]
fn golden_messages_are_answered_as_agreed() {
    covers!("SRV-14", "HEL-02", "INT-09", "CON-01", "D-103", "D-106");
    for set in ["py", "ts"] {
        let mut config = SessionConfig::new(SessionId::new("interop-test-session-001").unwrap());
        config.status_heartbeats = false;
        let now = Timestamp::parse("2026-11-22T19:00:00Z").unwrap();
        let mut coordinator = Coordinator::new(config, IdSource::new(1), now).unwrap();
        let mut transcript = String::new();
        for (name, expected) in SET {
            let golden = read(set, name);
            let conn = ConnId(if golden.contains("agent:alice") { 1 } else { 2 });
            let mut answers = Vec::new();
            for output in coordinator.handle_frame(now, conn, &golden).outputs {
                match output {
                    Output::Send { to, envelope } => {
                        answers.push(envelope.message_type.to_string());
                        let json = envelope.to_json_pretty();
                        transcript.push_str(&format!("{name} -> {to:?}\n{json}\n\n"));
                    }
                    Output::Relay { text, .. } => assert_eq!(*text, *golden, "a relay is what came"),
                    Output::HangUp { .. } | Output::Answer { .. } | Output::Workspace { .. } => {
                        panic!("{output:?}")
                    }
                    Output::Notice(_) => {}
                }
            }
            assert_eq!(answers, expected, "{set}_{name}");
        }
        insta::assert_snapshot!(format!("answers_to_{set}"), transcript);
    }
}
