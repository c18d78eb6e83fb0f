//! `audit show` and `audit verify` on logs that a real server wrote.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tempfile::tempdir;

use crate::audit_rig::{audit, intend, numbers, shown, withdraw, workday};
use crate::covers;
use crate::files::commit;
use crate::program_rig::{Program, run};
use crate::rig::Client;

/// Whether one of the entries' changes is this one.
fn changed(entries: &[Value], what: &str, id: &str, to: &str) -> bool {
    let changes = entries.iter().flat_map(|entry| entry["changes"].as_array().into_iter().flatten());
    changes.clone().any(|it| it["what"] == what && it["id"] == id && it["to"] == to)
}

#[tokio::test]
async fn who_changed_a_file_and_on_what_basis() {
    let data = workday().await;
    let told = audit("show", data.path(), &["--file", "a.py"]).ok();
    let lines: Vec<&str> = told.lines().collect();
    for (who, what) in [
        ("agent:alice", "announces i-alice on a.py: fix the \\u{1b}[31mtax"),
        ("agent:bob", "announces i-bob on a.py: round it"),
        ("the coordinator", "reports conflict"),
        ("agent:alice", "commits a.py (op-1, e3b0c44298fc -> "),
        ("agent:bob", "asks to commit a.py (op-2, e3b0c44298fc -> "),
        ("the coordinator", "refuses: STALE_STATE_REF"),
        ("agent:bob", "commits a.py (op-3, "),
        ("agent:alice", "withdraws i-alice: secret-reason"),
        ("agent:alice", "says of conflict"),
    ] {
        assert!(lines.iter().any(|line| line.contains(&format!("{who} {what}"))), "{who} {what}: {told}");
    }
    assert!(!told.contains("op-4") && !told.contains("joins"), "of other files: {told}");
    assert!(!told.contains('\u{1b}') && !told.contains("secret-content"), "{told}");
    let contents = audit("show", data.path(), &["--op", "op-1", "--contents"]).ok();
    assert!(contents.contains("| secret-content"), "{contents}");
}

#[tokio::test]
async fn every_filter_finds_what_it_names_and_they_can_be_combined() {
    let data = workday().await;
    let all = shown(data.path(), &[]);
    assert_eq!(numbers(&all), (1..=all.len() as u64).collect::<Vec<_>>(), "nothing is left out");
    let types = |flags: &[&str]| -> Vec<String> {
        let entries = shown(data.path(), flags);
        let name = |entry: &Value| {
            entry["message_type"].as_str().unwrap_or_else(|| entry["kind"].as_str().unwrap()).to_owned()
        };
        entries.iter().map(name).collect()
    };
    assert_eq!(types(&["--op", "op-2"]), ["OP_COMMIT"]);
    assert_eq!(types(&["--principal", "agent:alice", "--type", "op_commit"]), ["OP_COMMIT"]);
    assert_eq!(types(&["--file", "*.md"]), ["OP_COMMIT"]);
    assert_eq!(types(&["--type", "open"]), ["open"]);
    let of_alice = ["INTENT_ANNOUNCE", "INTENT_ANNOUNCE", "CONFLICT_ACK", "OP_COMMIT", "INTENT_WITHDRAW"];
    assert_eq!(
        types(&["--intent", "i-alice"]),
        of_alice,
        "its conflict with the other is one of its affairs"
    );
    let conflict = shown(data.path(), &["--intent", "i-bob", "--limit", "1"])[0]["conflicts"][0].clone();
    assert_eq!(
        types(&["--conflict", conflict.as_str().unwrap()]).len(),
        2,
        "its report, and what was said to it"
    );
    assert_eq!(types(&["--principal", "agent:carol"]), [""; 0]);
    // Bounds by number, by time and by age; the first and the last of what is left.
    assert_eq!(numbers(&shown(data.path(), &["--since", "3", "--until", "5"])), [3, 4, 5]);
    assert_eq!(numbers(&shown(data.path(), &["--since", "3", "--limit", "2"])), [3, 4]);
    assert_eq!(numbers(&shown(data.path(), &["--until", "5", "--tail", "2"])), [4, 5]);
    let third = all[2]["received_at"].as_str().unwrap();
    assert!(numbers(&shown(data.path(), &["--since", third])).contains(&3));
    assert!(
        !numbers(&shown(data.path(), &["--until", third, "--since", "1h"])).contains(&(all.len() as u64))
    );
    assert_eq!(numbers(&shown(data.path(), &["--since", "1h"])).len(), all.len());
    for (flags, complaint) in [
        (["--since", "yesterday"], "give an entry's number, a time such as"),
        (["--file", "a["], "--file \"a[\""),
    ] {
        let refused = audit("show", data.path(), &flags).refused();
        assert!(refused.contains(complaint), "{refused}");
    }
}

#[tokio::test]
async fn an_entry_as_json_is_what_came_and_what_came_of_it() {
    covers!("PRV-04");
    let data = workday().await;
    let entry = |flags: &[&str]| shown(data.path(), flags).remove(0);
    let refused = entry(&["--op", "op-2"]);
    assert_eq!(refused["principal"], "agent:bob");
    assert_eq!(refused["files"], json!(["a.py"]));
    assert_eq!(refused["refused"][0]["error_code"], "STALE_STATE_REF");
    assert_eq!(refused["envelope"]["payload"]["op_id"], "op-2");
    assert_eq!(refused["envelope"]["payload"]["file_changes"]["a.py"]["content"], "[redacted]");
    assert_eq!((&refused["outputs"], &refused["changes"]), (&Value::Null, &Value::Null));
    let with = entry(&["--op", "op-2", "--contents", "--outputs"]);
    assert_eq!(with["envelope"]["payload"]["file_changes"]["a.py"]["content"], "two");
    assert_eq!(with["outputs"][0]["envelope"]["message_type"], "PROTOCOL_ERROR");
    assert_eq!(with["changes"], json!([]));
    // The chain, by its checksums.
    let all = shown(data.path(), &[]);
    let log = fs::read(data.path().join("sessions/default/1/00000000000000000001.log")).unwrap();
    let log = String::from_utf8_lossy(&log);
    for (entry, line) in all.iter().zip(log.lines()) {
        assert_eq!(line.get(9..73), entry["checksum"].as_str());
    }
    // Everybody who looked is on record, and nothing else was written.
    let record = fs::read_to_string(data.path().join("access.log")).unwrap();
    let looks: Vec<Value> = record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 3);
    assert!(looks.iter().all(|it| it["command"] == "audit show" && it["session"] == "default"), "{record}");
    assert!(looks.iter().all(|it| it["at"].as_str() > Some("2026")), "{record}");
}

#[cfg(unix)]
#[tokio::test]
async fn contents_are_not_shown_where_that_cannot_be_noted() {
    covers!("PRV-04");
    let data = workday().await;
    fs::create_dir(data.path().join("access.log")).unwrap();
    let events = audit("show", data.path(), &["--op", "op-1"]);
    assert!(events.code == Some(0) && events.err.contains("this look is not noted"), "{}", events.err);
    for (command, flags) in [("show", &["--contents"][..]), ("export", &[])] {
        let refused = audit(command, data.path(), flags);
        assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""), "{}", refused.err);
        assert!(refused.err.contains("has to be noted"), "{}", refused.err);
    }
}

#[tokio::test]
async fn who_spoke_on_a_connection_of_one_server_did_not_on_that_of_the_next() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    drop(program.join("agent:bob").await);
    program.kill();
    let program = Program::start(data.path(), &[]);
    let mut stranger = Client::connect(program.address, "", None).await;
    stranger.send("{no message").await;
    stranger.until("PROTOCOL_ERROR").await;
    program.kill();
    let unreadable = shown(data.path(), &["--type", "PROTOCOL_ERROR"]);
    assert_eq!((unreadable.len(), &unreadable[0]["principal"]), (1, &Value::Null), "{unreadable:#?}");
}

#[tokio::test]
async fn who_finds_nothing_is_told_what_there_is() {
    let data = workday().await;
    let told = |flags: &[&str]| audit("show", data.path(), flags).ok();
    assert_eq!(
        told(&["--principal", "Bob"]),
        "(no such entry: nothing came from \"Bob\", but from agent:alice, agent:bob)\n"
    );
    let types = told(&["--type", "OP_COMIT"]);
    assert!(types.starts_with("(no such entry: nothing is of type \"OP_COMIT\", but "), "{types}");
    assert!(types.contains("OP_COMMIT") && types.contains("CONFLICT_REPORT"), "{types}");
    assert_eq!(told(&["--file", "no.py"]), "(no such entry)\n");
    // What the coordinator answered is found where it did.
    let reports = told(&["--type", "conflict_report"]);
    assert!(
        reports.contains("agent:bob announces i-bob") && reports.contains("reports conflict"),
        "{reports}"
    );
}

#[tokio::test]
async fn each_step_of_a_cascade_is_in_the_log() {
    covers!("CAS-10");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--session-config", r#"{"intent_expiry_grace_sec":0}"#]);
    let (mut alice, _) = program.join("agent:alice").await;
    let (mut bob, _) = program.join("agent:bob").await;
    let (mut carol, _) = program.join("agent:carol").await;
    let propose = |op: &str, intent: &str, target: &str| json!({"op_id": op, "intent_id": intent, "target": target, "op_kind": "replace"});
    intend(&mut alice, "i-a", "a.py", "a").await;
    alice.until("INTENT_ANNOUNCE").await;
    intend(&mut bob, "i-b", "a.py", "b").await;
    bob.until("CONFLICT_REPORT").await;
    intend(&mut carol, "i-c", "c.py", "c").await;
    carol.until("INTENT_ANNOUNCE").await;
    alice.say("OP_PROPOSE", propose("op-1", "i-a", "a.py")).await;
    alice.is_alive().await;
    bob.say("OP_PROPOSE", propose("op-2", "i-a", "a.py")).await;
    bob.say("OP_PROPOSE", propose("op-3", "i-c", "c.py")).await;
    bob.is_alive().await;
    // An intent ends: so do the proposals under it, whoever made them; with the last intent of a conflict the conflict.
    withdraw(&mut alice, "i-a").await;
    withdraw(&mut bob, "i-b").await;
    bob.until("RESOLUTION").await;
    // An intent is suspended: what others proposed under it freezes, and nobody is told.
    carol.say("GOODBYE", json!({"reason": "user_exit", "intent_disposition": "transfer"})).await;
    bob.until("GOODBYE").await;
    bob.is_alive().await;
    program.kill();

    let ended = shown(data.path(), &["--outputs", "--type", "INTENT_WITHDRAW", "--principal", "agent:alice"]);
    assert!(changed(&ended, "intent", "i-a", "WITHDRAWN"), "{ended:#?}");
    for (op, proposer) in [("op-1", "agent:alice"), ("op-2", "agent:bob")] {
        assert!(changed(&ended, "operation", op, "REJECTED"), "{ended:#?}");
        let outputs = ended[0]["outputs"].as_array().unwrap();
        let rejected = outputs.iter().find(|it| it["envelope"]["payload"]["op_id"] == op).unwrap();
        assert_eq!(rejected["envelope"]["payload"]["reason"], "intent_terminated");
        assert_eq!(rejected["to"], json!([proposer]));
    }
    let ended = shown(data.path(), &["--outputs", "--type", "INTENT_WITHDRAW", "--principal", "agent:bob"]);
    let conflict = ended[0]["conflicts"][0].as_str().unwrap();
    assert!(
        changed(&ended, "intent", "i-b", "WITHDRAWN") && changed(&ended, "conflict", conflict, "DISMISSED")
    );
    let outputs = ended[0]["outputs"].as_array().unwrap();
    assert!(outputs.iter().any(|it| it["envelope"]["message_type"] == "RESOLUTION" && it["to"] == "all"));
    let suspended = shown(data.path(), &["--outputs", "--type", "GOODBYE"]);
    assert!(
        changed(&suspended, "intent", "i-c", "SUSPENDED")
            && changed(&suspended, "operation", "op-3", "FROZEN")
    );
    // The same for people, and in the transcript.
    let told = audit("show", data.path(), &["--outputs", "--op", "op-3"]).ok();
    assert!(told.contains("operation op-3: PROPOSED -> FROZEN"), "{told}");
    let transcript: Value = serde_json::from_str(&audit("export", data.path(), &[]).ok()).unwrap();
    let messages = transcript["messages"].as_array().unwrap();
    let count = |message_type: &str| messages.iter().filter(|it| it["message_type"] == message_type).count();
    assert_eq!((count("OP_REJECT"), count("RESOLUTION"), count("OP_PROPOSE")), (2, 1, 3));
}

#[tokio::test]
async fn a_log_is_read_while_a_server_writes_to_it() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--rate-per-sec=1000000", "--rate-burst=1000000"]);
    let (mut alice, _) = program.join("agent:alice").await;
    let over = Arc::new(AtomicBool::new(false));
    let (dir, stop) = (data.path().to_owned(), Arc::clone(&over));
    let reader = tokio::task::spawn_blocking(move || {
        let mut last = 0;
        while !stop.load(Ordering::Relaxed) || last == 0 {
            let n = numbers(&shown(&dir, &["--tail", "1"]))[0];
            assert!(n >= last, "{n} after {last}");
            last = n;
            audit("verify", &dir, &[]).ok();
        }
        last
    });
    let mut before = String::new();
    for count in 0..400 {
        let content = format!("{count}\n").repeat(100);
        commit(&mut alice, &format!("op-{count}"), "a.py", &before, &content).await;
        alice.until("OP_COMMIT").await;
        before = content;
    }
    over.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 2);
    drop(program);
    assert!(numbers(&shown(data.path(), &["--tail", "1"]))[0] > 400);
}

#[tokio::test]
async fn what_is_damaged_is_named_and_what_comes_before_is_shown() {
    covers!("REC-14");
    let data = workday().await;
    let segment = data.path().join("sessions/default/1/00000000000000000001.log");
    let log = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, log.replace("round it", "break it")).unwrap();
    let verified = audit("verify", data.path(), &["--session", "default"]);
    assert_eq!(verified.code, Some(1));
    let bad = numbers(&{
        fs::write(&segment, &log).unwrap();
        shown(data.path(), &["--intent", "i-bob", "--limit", "1"])
    })[0];
    fs::write(&segment, log.replace("round it", "break it")).unwrap();
    assert!(
        verified.out.starts_with("BAD ") && verified.out.contains(&format!("entry {bad} ")),
        "{}",
        verified.out
    );
    let told = audit("show", data.path(), &["--all"]);
    assert_eq!(told.code, Some(1));
    let before = told.out.lines().filter(|line| line.starts_with("20")).count();
    assert_eq!(before as u64, bad - 1, "{}", told.out);
    assert!(told.err.contains(&format!("entry {bad} is damaged")), "{}", told.err);
}

#[tokio::test]
async fn several_sessions_are_told_apart_by_id_and_by_run() {
    let data = tempdir().unwrap();
    for (session, who) in [("one", "agent:alice"), ("Two!", "agent:bob")] {
        let program = Program::start(data.path(), &["--session", session]);
        let mut client = program.connect("/").await;
        client.session = session.to_owned();
        client.hello(who).await;
        program.kill();
    }
    let refused = audit("show", data.path(), &[]).refused();
    assert!(
        refused.contains("--session") && refused.contains("Two!") && refused.contains("one"),
        "{refused}"
    );
    let hello = shown(data.path(), &["--session", "Two!", "--type", "HELLO"]);
    assert_eq!(hello[0]["principal"], "agent:bob");
    let refused = audit("show", data.path(), &["--session", "three"]).refused();
    assert!(refused.contains("no session \"three\"") && refused.contains("Two!"), "{refused}");
    let refused = audit("replay", data.path(), &["--session", "one", "--run", "2"]).refused();
    assert!(refused.contains("--run 2") && refused.contains("there are: 1"), "{refused}");
    let one = audit("verify", data.path(), &["--session", "one"]).ok();
    assert!(one.lines().count() == 1 && one.contains("session one, 2 entries"), "{one}");
    let nothing = run(&["audit"]);
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("mpac-ws audit --help"));
    let refused = audit("show", &data.path().join("nowhere"), &[]).refused();
    assert!(refused.contains("no sessions are stored there"), "{refused}");
}

#[cfg(unix)]
#[tokio::test]
async fn whoever_has_read_enough_is_left_in_peace() {
    let data = workday().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_mpac-ws"))
        .args([
            "audit",
            "show",
            "--json",
            "--outputs",
            "--contents",
            "--data-dir",
            data.path().to_str().unwrap(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
