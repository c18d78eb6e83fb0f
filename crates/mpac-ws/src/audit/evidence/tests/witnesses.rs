//! What a participant has kept shows what the evidence leaves out.

use std::fs;

use mpac_wire::Seconds;
use serde_json::{Value, json};

use super::forge::Forger;
use super::world::{OWN, World, signed};
use super::{Desk, Found, bundled, day};

/// What a witness with these lines shows: against a bundle, and against the log alone.
fn against(lines: &[String]) -> [Found; 2] {
    let (bundle, ended) = day();
    let desk = Desk::new();
    let path = desk.path("kept.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    let witness = ["--witness", path.to_str().unwrap()];
    [desk.bundle_and(&bundle, &witness), desk.log(ended.data.path(), &witness)]
}

fn heard() -> Vec<String> {
    day().1.heard
}

#[test]
fn whoever_kept_what_was_said_agrees() {
    let mut lines = heard();
    // Also what passes on the same connection, in another layout, and as an entry of another record.
    lines.push(r#"{"type":"FILE_LIST_RESPONSE","files":[]}"#.to_owned());
    let first: Value = serde_json::from_str(&lines[0]).unwrap();
    lines.push(json!({"direction": "in", "envelope": first}).to_string());
    // As `mpac-agent --record` keeps them, and what is no message at all.
    lines.push(json!({"at": "2026-01-02T03:04:05Z", "direction": "received", "frame": first}).to_string());
    lines.push(
        json!({"at": "2026-01-02T03:04:05Z", "direction": "received", "frame": "message_id"}).to_string(),
    );
    for found in against(&lines) {
        found.assert_ok();
        assert_eq!(found.report["witnessed"], lines.len() - 2);
    }
}

#[test]
fn two_versions_that_were_both_signed() {
    let lines = heard();
    let report = lines.iter().find(|it| it.contains("CONFLICT_REPORT")).unwrap();
    let mut other: Value = serde_json::from_str(report).unwrap();
    other["payload"]["severity"] = json!("low");
    for found in against(&[signed(other, OWN)]) {
        assert_eq!(found.only(), ("two_versions", "coordinator"));
        assert_eq!(found.report["findings"][0]["proof"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_word_that_the_evidence_leaves_out() {
    for found in against(&[Forger::word("m-x").envelope.to_string()]) {
        assert_eq!(found.only(), ("withheld_message", "coordinator"));
    }
    let mut word = Forger::word("m-x").envelope;
    // Of another session of the same name, or said since.
    for ts in ["2026-01-02T03:04:04Z", "2026-01-02T05:00:00Z"] {
        word["ts"] = json!(ts);
        for found in against(&[signed(word.clone(), OWN)]) {
            found.assert_ok();
            assert_eq!(found.report["witnessed_outside"], 1);
        }
    }
}

#[test]
fn what_the_log_says_that_it_may_have_lost_is_no_lie() {
    covers!("SEC-25", "SEC-35", "REC-12");
    let mut world = World::new();
    world.join("agent:alice", 1);
    // When nothing is in the log for a minute each, and whether it says why.
    let mut times = Vec::new();
    let mut pass = |world: &mut World, excused: bool, ends: &dyn Fn(&mut World)| {
        let at = world.now.after(&Seconds::whole(30));
        ends(world);
        world.join("agent:alice", 1);
        times.push((at, excused));
    };
    pass(&mut world, false, &|world| world.wait(60));
    pass(&mut world, true, &|world| {
        world.repair();
        world.take_up();
    });
    pass(&mut world, true, &|world| {
        world.wait(60);
        world.take_up();
    });
    world.hand_over();
    pass(&mut world, false, &|world| {
        world.wait(60);
        world.take_up();
    });
    let which = world.which();
    let ended = world.end();
    let (bundle, desk) = (bundled(&which), Desk::new());
    let path = desk.path("kept.jsonl");
    let more = ["--witness", path.to_str().unwrap()];
    for (at, excused) in times {
        let mut word = Forger::word("m-x").envelope;
        word["ts"] = json!(at.to_string());
        fs::write(&path, signed(word, OWN)).unwrap();
        for found in [desk.bundle_and(&bundle, &more), desk.log(ended.data.path(), &more)] {
            let by = if excused { "unknown" } else { "coordinator" };
            assert_eq!(found.only(), ("withheld_message", by), "{at}: {:#}", found.report);
            let repair = &found.report["repairs"][0];
            assert_eq!((&repair["way"], &repair["lost"]), (&json!("cut"), &json!(7)));
        }
    }
}

#[test]
fn what_was_said_while_somebody_else_had_the_session_is_no_lie() {
    covers!("SEC-25", "REC-26", "REC-27");
    for hands_over in [false, true] {
        let mut world = World::new();
        world.join("agent:alice", 1);
        let (before, old) = (world.now, world.epoch());
        world.join("agent:alice", 1);
        if hands_over {
            world.hand_over();
        }
        world.wait(60);
        let lost = world.now;
        world.wait(60);
        world.fence(old + 2);
        world.take_up();
        world.wait(60);
        let (since, new) = (world.now, world.epoch());
        world.join("agent:alice", 1);
        let times = [
            // What the other one said, also before this one had heard of it, and afterwards.
            (before, Some(old + 1), true),
            (lost, Some(old + 2), true),
            (since, Some(old + 2), true),
            // What whoever had it first said after the copy had broken off, and did not know any better later.
            (lost, Some(old), true),
            (since, Some(old), true),
            (before, Some(old), false),
            (since, Some(new), false),
            (since, None, false),
        ];
        let which = world.which();
        let ended = world.end();
        let (bundle, desk) = (bundled(&which), Desk::new());
        let path = desk.path("kept.jsonl");
        let more = ["--witness", path.to_str().unwrap()];
        for (at, epoch, excused) in times {
            let mut word = Forger::word("m-x").envelope;
            word["ts"] = json!(at.to_string());
            if let Some(epoch) = epoch {
                word["coordinator_epoch"] = json!(epoch);
            }
            fs::write(&path, signed(word, OWN)).unwrap();
            for found in [desk.bundle_and(&bundle, &more), desk.log(ended.data.path(), &more)] {
                let by = if excused { "unknown" } else { "coordinator" };
                assert_eq!(found.only(), ("withheld_message", by), "{at} {epoch:?}: {:#}", found.report);
            }
        }
    }
}

#[test]
fn what_anybody_may_have_written_proves_nothing() {
    let mut word = Forger::word("m-x").envelope;
    word["ts"] = json!("2026-01-02T03:04:10Z");
    let mut other = json!({
        "protocol": "MPAC", "version": "0.1.13", "message_type": "HEARTBEAT", "message_id": "m-y", "session_id": "default",
        "ts": "2026-01-02T03:04:10Z", "payload": {"status": "idle"},
        "sender": {"principal_id": "agent:alice", "principal_type": "agent", "sender_instance_id": "agent:alice:1"},
    });
    for line in [word.to_string(), other.to_string(), signed(other.clone(), 2)] {
        for found in against(&[line]) {
            assert_eq!(found.only(), ("useless_witness", "unknown"));
        }
    }
    // What she did sign, and was never recorded.
    for found in against(&[signed(other.clone(), 1)]) {
        assert_eq!(found.only(), ("unseen_participant_message", "unknown"));
    }
    other["session_id"] = json!("another");
    for found in against(&[other.to_string()]) {
        found.assert_ok();
    }
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let (bundle, _) = day();
    let desk = Desk::new();
    let (path, kept) = (desk.path("bundle.json"), desk.path("kept.jsonl"));
    fs::write(&path, bundle).unwrap();
    fs::write(&kept, "\n{\"a\": \n").unwrap();
    let refused = desk.refused(&["--bundle", path.to_str().unwrap(), "--witness", kept.to_str().unwrap()]);
    assert!(refused.contains("kept.jsonl, line 2: EOF"), "{refused}");
}
