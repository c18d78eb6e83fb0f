//! A damaged log, as its operator meets it.

use std::fs;
use std::path::Path;

use serde_json::json;
use tempfile::tempdir;

use crate::files::commit;
use crate::program_rig::{Program, run};
use crate::storing::{come_back, logs, read, verified};

/// What a run of the program said, and its exit code.
fn said(args: &[&str]) -> (Option<i32>, String) {
    let output = run(args);
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// Turns a bit in the log's record of that commit.
fn damage_commit(log: &Path, op: &str) {
    let mut bytes = fs::read(log).unwrap();
    let op = format!(r#"op_id\":\"{op}"#);
    let at = bytes.windows(op.len()).position(|it| it == op.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(log, bytes).unwrap();
}

#[tokio::test]
async fn the_refused_start_names_the_command_that_repairs() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--heartbeat-interval-sec=600"]);
    let (mut alice, _) = program.join("agent:alice").await;
    for (op, file) in [("op-1", "a.py"), ("op-2", "b.py"), ("op-3", "c.py")] {
        commit(&mut alice, op, file, "", "content").await;
        alice.until("OP_COMMIT").await;
    }
    program.kill();
    let log = logs(data.path()).remove(0);
    damage_commit(&log, "op-2");
    let damaged = fs::read(&log).unwrap();

    let dir = data.path().to_str().unwrap();
    let (code, refusal) = said(&["--port=0", "--data-dir", dir]);
    assert_eq!(code, Some(2), "{refusal}");
    let command = refusal.split('`').nth(1).unwrap().replace('\'', "");
    let args: Vec<&str> = command.split(' ').skip(1).collect();
    let (code, told) = said(&args);
    assert_eq!(code, Some(0), "{told}");
    for part in [
        "its checksum does not match",
        "--way cut",
        "commits as they were sent, 1 in all",
        "agent:alice: c.py",
        "snapshot: none",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(fs::read(&log).unwrap(), damaged, "a dry run changes nothing");
    let without: Vec<&str> = args.iter().copied().filter(|arg| *arg != "--dry-run").collect();
    let (code, told) = said(&without);
    assert!(code == Some(2) && told.contains("every way loses something"), "{told}");
    assert_eq!(fs::read(&log).unwrap(), damaged);
    let (code, told) = said(&[&without[..], &["--way=cut"]].concat());
    assert!(code == Some(0) && told.contains(".damaged-"), "{told}");
    let (_, told) = said(&args);
    assert!(told.contains("nothing is damaged"), "{told}");

    let program = Program::start(data.path(), &[]);
    let (mut back, info) = come_back(&program, &alice).await;
    // 1 was the epoch, and there may have been a start in what cannot be read.
    assert_eq!(info["coordinator_epoch"], 3);
    assert_eq!(read(&mut back, "a.py").await["content"], "content");
    back.send(json!({"type": "FILE_READ", "path": "c.py"}).to_string()).await;
    back.until("FILE_ERROR").await;
    assert_eq!(said(&args).0, Some(0), "looking is possible meanwhile");
    let busy = said(&["repair", "--data-dir", dir]);
    assert!(busy.0 == Some(2) && busy.1.contains("another server is running"), "{busy:?}");
    program.kill();
    let (code, told) = verified(data.path());
    assert!(code == Some(0) && told.contains("repaired at 2"), "{told}");
}

#[tokio::test]
async fn a_newer_snapshot_makes_the_damage_harmless() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "content").await;
    alice.until("OP_COMMIT").await;
    drop(alice);
    program.stop();
    let log = logs(data.path()).remove(0);
    damage_commit(&log, "op-1");
    let dir = data.path().to_str().unwrap();
    assert_eq!(said(&["--port=0", "--data-dir", dir]).0, Some(2));
    let (code, told) = said(&["repair", "--data-dir", dir, "--dry-run"]);
    assert!(code == Some(0) && told.contains("the session loses:\n      nothing"), "{told}");
    assert_eq!(said(&["repair", "--data-dir", dir]).0, Some(0));
    let program = Program::start(data.path(), &[]);
    let (mut bob, info) = program.join("agent:bob").await;
    assert_eq!(info["coordinator_epoch"], 2);
    assert_eq!(read(&mut bob, "a.py").await["content"], "content");
    let (code, told) = verified(data.path());
    assert!(code == Some(0) && told.contains("what was before was damaged"), "{told}");
}
