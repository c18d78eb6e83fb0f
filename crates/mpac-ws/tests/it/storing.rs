//! What survives the end of the process, and what is said of what does not.

use std::fs;
use std::path::{Path, PathBuf};

use futures::SinkExt;
use mpac_wire::StateRef;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::covers;
use crate::files::commit;
use crate::program_rig::{Program, run};
use crate::rig::{Client, kind_of};

/// The content of a shared file, whatever else comes meanwhile.
pub(crate) async fn read(client: &mut Client, path: &str) -> Value {
    client.send(json!({"type": "FILE_READ", "path": path}).to_string()).await;
    client.until("FILE_CONTENT").await
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in fs::read_dir(data.join("sessions")).unwrap() {
        for k in fs::read_dir(name.unwrap().path()).unwrap() {
            found.extend(fs::read_dir(k.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
        }
    }
    found.sort();
    found
}

/// The segments among them that are not compressed.
pub(crate) fn logs(data: &Path) -> Vec<PathBuf> {
    segments(data).into_iter().filter(|path| path.extension().is_some_and(|it| it == "log")).collect()
}

/// Turns one bit in the middle of what is written.
fn damage(segment: &Path) {
    let mut bytes = fs::read(segment).unwrap();
    let middle = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()) / 2;
    bytes[middle] ^= 1;
    fs::write(segment, bytes).unwrap();
}

pub(crate) fn verified(data: &Path) -> (Option<i32>, String) {
    let output = run(&["audit", "verify", "--data-dir", data.to_str().unwrap()]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

/// A HELLO that goes on from the Lamport clock of an earlier connection, as its sender has to.
pub(crate) async fn come_back(program: &Program, before: &Client) -> (Client, Value) {
    let mut client = program.connect("/").await;
    client.goes_on_after(before);
    let info = client.hello(&before.who).await;
    (client, info)
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there_afterwards_under_the_next_epoch() {
    covers!("SRV-13", "REC-09", "REC-12", "REC-14", "REC-15", "REC-27", "D-038");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let (mut alice, info) = program.join("agent:alice").await;
    assert_eq!(info["coordinator_epoch"], 1);
    alice.announce("i-1", "a.py").await;
    alice.until("INTENT_ANNOUNCE").await;
    commit(&mut alice, "op-1", "b.py", "", "content").await;
    let relayed = alice.until("OP_COMMIT").await;
    let lamport = relayed["watermark"]["value"].as_u64().unwrap();
    program.kill();

    let program = Program::start(data.path(), &[]);
    let (mut back, info) = come_back(&program, &alice).await;
    assert_eq!((&info["message_type"], &info["coordinator_epoch"]), (&json!("SESSION_INFO"), &json!(2)));
    assert!(info["watermark"]["value"].as_u64().unwrap() > lamport, "the Lamport clock goes on");
    let status = back.until("COORDINATOR_STATUS").await;
    assert_eq!((&status["payload"]["event"], &status["coordinator_epoch"]), (&json!("recovered"), &json!(2)));
    assert_eq!(read(&mut back, "b.py").await["content"], "content");
    // The intent stands: another's on the same file overlaps with it.
    let (mut bob, _) = program.join("agent:bob").await;
    bob.announce("i-2", "a.py").await;
    let conflict = bob.until("CONFLICT_REPORT").await;
    assert_eq!(conflict["payload"]["intent_b"], "i-1");
    // The commit counts: what is based on the time before it is stale.
    commit(&mut bob, "op-2", "b.py", "", "other").await;
    assert_eq!(bob.until("PROTOCOL_ERROR").await["payload"]["error_code"], "STALE_STATE_REF");
    program.kill();
    let (code, told) = verified(data.path());
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("session default") && told.contains("epoch 2"), "{told}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_stop_hands_the_session_over_to_the_next_start() {
    covers!("SRV-12", "REC-20", "REC-21", "D-042");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "content").await;
    alice.until("OP_COMMIT").await;
    let stopping = tokio::task::spawn_blocking(move || program.stop());
    let handover = alice.until("COORDINATOR_STATUS").await;
    assert_eq!(handover["payload"]["event"], "handover");
    assert_eq!(handover["payload"]["next_coordinator_epoch"], 2);
    assert_eq!(alice.close_code().await, 4002);
    assert_eq!(stopping.await.unwrap(), Some(0));

    let program = Program::start(data.path(), &[]);
    let (mut back, info) = come_back(&program, &alice).await;
    assert_eq!(info["coordinator_epoch"], 2);
    assert_eq!(back.until("COORDINATOR_STATUS").await["payload"]["event"], "assumed");
    assert_eq!(read(&mut back, "a.py").await["content"], "content");
    // The end of the log is where it was written to: no zeros for whoever reads it.
    drop((alice, back));
    program.stop();
    assert!(!fs::read(&segments(data.path())[0]).unwrap().contains(&0));
    assert!(segments(data.path())[0].extension().is_some_and(|it| it == "log"));
}

#[tokio::test]
async fn a_damaged_log_is_named_and_never_gone_on_from() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--multi-session"]);
    for session in ["one", "two"] {
        let mut client = program.connect(&format!("/session/{session}")).await;
        client.session = session.to_owned();
        client.hello("agent:alice").await;
        client.announce("i-1", "a.py").await;
        client.until("INTENT_ANNOUNCE").await;
    }
    program.kill();
    let segments = logs(data.path());
    assert_eq!(segments.len(), 2, "{segments:?}");
    damage(&segments[0]);
    let damaged = fs::read(&segments[0]).unwrap();

    let flag = ["--port=0", "--data-dir", data.path().to_str().unwrap(), "--session=one"];
    let refused = run(&flag);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    let last = said.lines().last().unwrap();
    for part in ["one/1", "entry", "byte", "put back a copy", "mpac-ws repair --data-dir"] {
        assert!(last.contains(part), "{part}: {said}");
    }
    let program = Program::start(data.path(), &["--multi-session"]);
    let mut one = program.connect("/session/one").await;
    assert_eq!(one.close_code().await, 1011);
    let mut two = program.connect("/session/two").await;
    two.session = "two".to_owned();
    assert_eq!(two.hello("agent:bob").await["coordinator_epoch"], 2, "the other one goes on");
    let (code, told) = verified(data.path());
    assert_eq!(code, Some(1));
    assert!(told.contains("BAD") && told.contains("entry") && told.contains("ok "), "{told}");
    assert_eq!(fs::read(&segments[0]).unwrap(), damaged, "nobody has touched it");
}

#[tokio::test]
async fn who_never_opens_a_session_leaves_nothing_on_the_disk() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--multi-session"]);
    let mut stranger = program.connect("/session/x").await;
    stranger.send("{bad").await;
    stranger.until("PROTOCOL_ERROR").await;
    assert_eq!(fs::read_dir(data.path().join("sessions")).unwrap().count(), 0);
    stranger.session = "x".to_owned();
    stranger.hello("agent:alice").await;
    assert_eq!(fs::read_dir(data.path().join("sessions")).unwrap().count(), 1);
    program.kill();
    assert_eq!(verified(data.path()).0, Some(0), "what was said before is in it too");
}

#[tokio::test]
async fn a_session_that_could_not_be_begun_harms_no_other_and_can_be_tried_again() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--multi-session"]);
    let mut bob = program.connect("/session/y").await;
    bob.session = "y".to_owned();
    bob.hello("agent:bob").await;
    let in_its_way = data.path().join("sessions/x");
    fs::write(&in_its_way, "").unwrap();
    let mut alice = program.connect("/session/x").await;
    alice.session = "x".to_owned();
    alice.who = "agent:alice".to_owned();
    alice.say("HELLO", json!({"display_name": "a", "roles": ["contributor"], "capabilities": []})).await;
    assert_eq!(alice.close_code().await, 1011);
    bob.announce("i-1", "a.py").await;
    bob.until("INTENT_ANNOUNCE").await;
    fs::remove_file(in_its_way).unwrap();
    let mut alice = program.connect("/session/x").await;
    alice.session = "x".to_owned();
    assert_eq!(alice.hello("agent:alice").await["message_type"], "SESSION_INFO");
}

#[tokio::test]
async fn who_talks_too_much_without_opening_a_session_is_turned_away_and_keeps_it_from_nobody() {
    let data = tempdir().unwrap();
    let flags = ["--multi-session", "--rate-per-sec=1000000", "--rate-burst=1000000"];
    let program = Program::start(data.path(), &flags);
    let mut stranger = program.connect("/session/x").await;
    for _ in 0..500 {
        for _ in 0..20 {
            // It may be closed before the last one.
            let _ = stranger.socket.send(r#"{"type":"FILE_LIST"}"#.into()).await;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(stranger.close_code().await, 1008);
    let mut client = program.connect("/session/x").await;
    client.session = "x".to_owned();
    assert_eq!(kind_of(&client.hello("agent:alice").await), "SESSION_INFO");
}

#[tokio::test]
async fn a_start_that_contradicts_what_is_stored_says_so_and_changes_nothing() {
    let data = tempdir().unwrap();
    assert_eq!(verified(data.path()).0, Some(2), "no data directory");
    let program = Program::start(data.path(), &[]);
    program.join("agent:alice").await;
    program.kill();
    let log = fs::read(&segments(data.path())[0]).unwrap();
    let dir = data.path().to_str().unwrap();
    let other = run(&["--port=0", "--data-dir", dir, "--compliance-profile=governance"]);
    let said = String::from_utf8(other.stderr).unwrap();
    assert_eq!(other.status.code(), Some(2), "{said}");
    assert!(said.contains("the configuration says \"governance\", the snapshot \"core\""), "{said}");
    assert_eq!(fs::read(&segments(data.path())[0]).unwrap(), log);
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_look_into_what_is_stored() {
    use std::os::unix::fs::PermissionsExt;

    let above = tempdir().unwrap();
    let data = above.path().join("new");
    let _program = Program::start(&data, &[]);
    for dir in [&data, &data.join("sessions/default/1")] {
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700, "{}", dir.display());
    }
}

#[tokio::test]
async fn one_server_at_a_time_has_a_data_directory() {
    let data = tempdir().unwrap();
    let _program = Program::start(data.path(), &[]);
    let second = run(&["--port=0", "--data-dir", data.path().to_str().unwrap()]);
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("another server is running on it"), "{said}");
}

#[tokio::test]
async fn credentials_are_in_no_log() {
    covers!("PRV-05");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let mut client = program.connect("/").await;
    client.who = "agent:alice".to_owned();
    let hello = json!({
        "display_name": "a", "roles": ["contributor"], "capabilities": [],
        "credential": {"type": "api_key", "value": "hunter2"},
    });
    client.say("HELLO", hello).await;
    assert_eq!(kind_of(&client.next().await), "SESSION_INFO");
    client.send(r#"{"cred\u0065ntial": {"type": "api_key", "value": "hunter2"}}"#).await;
    client.until("PROTOCOL_ERROR").await;
    program.kill();
    let log = fs::read(&segments(data.path())[0]).unwrap();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("HELLO") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_commit_that_never_reached_the_directory_reaches_it_after_the_restart() {
    let (data, shop) = (tempdir().unwrap(), tempdir().unwrap());
    let path = |name: &str| shop.path().join(name);
    for name in ["a.py", "b.py"] {
        fs::write(path(name), "old").unwrap();
    }
    let workspace = format!("--workspace={}", shop.path().display());
    let flags = [workspace.as_str(), "--write-back"];
    let program = Program::start(data.path(), &flags);
    let (mut alice, _) = program.join("agent:alice").await;
    for (op, file) in [("op-1", "a.py"), ("op-2", "b.py"), ("op-3", "c.py")] {
        commit(&mut alice, op, file, if file == "c.py" { "" } else { "old" }, "new").await;
        alice.until("OP_COMMIT").await;
    }
    program.kill();
    // As if the process had been killed before it wrote the first and the third, and somebody had edited the second.
    fs::write(path("a.py"), "old").unwrap();
    fs::write(path("b.py"), "edited").unwrap();
    let _ = fs::remove_file(path("c.py"));

    let program = Program::start(data.path(), &flags);
    let (mut back, _) = come_back(&program, &alice).await;
    back.until("COORDINATOR_STATUS").await;
    for (file, content) in [("a.py", "new"), ("b.py", "edited"), ("c.py", "new")] {
        assert_eq!(read(&mut back, file).await["content"], content, "{file}");
    }
    commit(&mut back, "op-4", "b.py", "edited", "newer").await;
    back.until("OP_COMMIT").await;
    drop((alice, back));
    assert_eq!(program.stop(), Some(0));
    for (file, content) in [("a.py", "new"), ("b.py", "newer"), ("c.py", "new")] {
        assert_eq!(fs::read_to_string(path(file)).unwrap(), content, "{file}");
    }
    // A third time: nothing of the first two lives is undone.
    let program = Program::start(data.path(), &flags);
    let (mut again, _) = program.join("agent:bob").await;
    assert_eq!(read(&mut again, "b.py").await["content"], "newer");
}

/// Whoever merges may decide for a text that the file had once, and delete the commit that lay beside it.
#[tokio::test]
async fn what_was_kept_from_a_commit_is_kept_by_the_restart_too() {
    let (data, shop) = (tempdir().unwrap(), tempdir().unwrap());
    let path = |name: &str| shop.path().join(name);
    let names = ["kept.py", "merged.py", "taken.py"];
    names.iter().for_each(|name| fs::write(path(name), "one").unwrap());
    let workspace = format!("--workspace={}", shop.path().display());
    let flags = [workspace.as_str(), "--write-back"];
    let beside =
        |name: &str| path(&format!("{name}.mpac-{}", &StateRef::of("y").as_str()["sha256:".len()..][..8]));

    let program = Program::start(data.path(), &flags);
    let (mut alice, _) = program.join("agent:alice").await;
    for name in names {
        commit(&mut alice, &format!("x-{name}"), name, "one", "x").await;
        alice.until("OP_COMMIT").await;
        until(|| fs::read_to_string(path(name)).is_ok_and(|text| text == "x")).await;
        fs::write(path(name), "one").unwrap();
        commit(&mut alice, &format!("y-{name}"), name, "x", "y").await;
        alice.until("OP_COMMIT").await;
        until(|| beside(name).exists()).await;
    }
    program.kill();
    fs::remove_file(beside("merged.py")).unwrap();
    fs::rename(beside("taken.py"), path("taken.py")).unwrap();

    let program = Program::start(data.path(), &flags);
    let (mut back, _) = come_back(&program, &alice).await;
    back.until("COORDINATOR_STATUS").await;
    let expected = [("kept.py", "one"), ("merged.py", "one"), ("taken.py", "y")];
    for (name, content) in expected {
        assert_eq!(read(&mut back, name).await["content"], content, "{name}");
    }
    // From now on it is a file like any other.
    commit(&mut back, "z", "merged.py", "one", "z").await;
    back.until("OP_COMMIT").await;
    drop((alice, back));
    assert_eq!(program.stop(), Some(0));
    for (name, content) in [("kept.py", "one"), ("merged.py", "z"), ("taken.py", "y")] {
        assert_eq!(fs::read_to_string(path(name)).unwrap(), content, "{name}");
    }
    let program = Program::start(data.path(), &flags);
    let (mut again, _) = program.join("agent:bob").await;
    assert_eq!(read(&mut again, "merged.py").await["content"], "z");
}

/// A test that waits for ever has failed.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_session_is_written_down_as_a_whole_once_a_heartbeat_interval_and_at_its_end() {
    covers!("REC-07", "REC-08", "REC-11");
    let data = tempdir().unwrap();
    let snapshots = || {
        let all = segments(data.path());
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        all.iter().map(name).filter(|name| name.starts_with("snapshot-")).collect::<Vec<_>>()
    };
    let program = Program::start(data.path(), &["--heartbeat-interval-sec=0.2"]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "content").await;
    alice.until("OP_COMMIT").await;
    // While nothing but statuses happens.
    while snapshots().is_empty() {
        alice.until("COORDINATOR_STATUS").await;
    }
    program.kill();
    let before = snapshots();
    let program = Program::start(data.path(), &["--heartbeat-interval-sec=600"]);
    let (mut back, info) = come_back(&program, &alice).await;
    assert_eq!(info["coordinator_epoch"], 2);
    assert_eq!(read(&mut back, "a.py").await["content"], "content");
    assert_eq!(snapshots(), before, "no interval is over");
    drop((alice, back));
    assert_eq!(program.stop(), Some(0));
    assert_ne!(snapshots(), before, "one at the end");
    assert!((1..=2).contains(&snapshots().len()), "and not more than two");
    let (code, told) = verified(data.path());
    assert_eq!(code, Some(0), "{told}");
}

#[tokio::test]
async fn the_snapshot_of_the_end_is_stored_before_anybody_hears_of_it() {
    covers!("SES-19", "REC-07");
    let data = tempdir().unwrap();
    let ttl = r#"--session-config={"lifecycle": {"session_ttl_sec": 0.5}}"#;
    let program = Program::start(data.path(), &["--heartbeat-interval-sec=600", ttl]);
    let (mut alice, _) = program.join("agent:alice").await;
    alice.until("SESSION_CLOSE").await;
    program.kill();
    let all = segments(data.path());
    let newest = all.iter().rfind(|path| path.to_string_lossy().contains("snapshot-")).unwrap();
    let text = fs::read_to_string(newest).unwrap();
    assert!(text.contains(r#"\"session_closed\":true"#), "{text}");
}

#[tokio::test]
async fn statuses_name_the_clock_of_the_last_snapshot_on_the_disk() {
    covers!("REC-04");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--heartbeat-interval-sec=0.2"]);
    let (mut alice, _) = program.join("agent:alice").await;
    let named = loop {
        let status = alice.until("COORDINATOR_STATUS").await;
        if let Some(clock) = status["payload"]["snapshot_lamport_clock"].as_u64() {
            assert!(clock < status["watermark"]["value"].as_u64().unwrap());
            break clock;
        }
    };
    assert!(named > 0);
    program.kill();
    assert_eq!(verified(data.path()).0, Some(0), "what was said about it is made again by a replay");
}

#[tokio::test]
async fn a_closed_session_is_kept_as_long_as_it_was_asked_for() {
    covers!("SES-21", "PRV-01");
    let (data, archive) = (tempdir().unwrap(), tempdir().unwrap());
    let ttl = r#"--session-config={"lifecycle": {"session_ttl_sec": 0.3, "audit_retention_days": 0}}"#;
    let into = format!("--archive-dir={}", archive.path().display());
    let program = Program::start(data.path(), &["--multi-session", &into, ttl]);
    let mut alice = program.connect("/session/one").await;
    alice.session = "one".to_owned();
    alice.hello("agent:alice").await;
    alice.until("SESSION_CLOSE").await;
    let run = data.path().join("sessions/one/1");
    assert!(run.is_dir(), "somebody is connected to it");
    drop(alice);
    // Its task ends with its last connection; then it goes.
    let gone = data.path().join("sessions/one/1.deleted");
    while !gone.exists() || run.exists() {
        tokio::task::yield_now().await;
    }
    let (code, told) = verified(archive.path());
    assert!(code == Some(0) && told.contains("session one") && told.contains("closed"), "{told}");
    // The next one of that name is another, and is called so.
    let mut bob = program.connect("/session/one").await;
    bob.session = "one".to_owned();
    bob.hello("agent:bob").await;
    assert!(data.path().join("sessions/one/2").is_dir());
}
