//! The shared files: reading, committing, writing back.

use std::fs;
use std::process::Command;

use mpac_wire::StateRef;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::covers;
use crate::program_rig::Program;
use crate::rig::{Client, host, patiently};

fn dir_with(files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    for (path, content) in files {
        fs::write(dir.path().join(path), content).unwrap();
    }
    dir
}

/// Commits `after` to `path`, based on `before`.
pub(crate) async fn commit(client: &mut Client, op: &str, path: &str, before: &str, after: &str) {
    let (before, after_ref) = (StateRef::of(before), StateRef::of(after));
    let mut changes = json!({});
    changes[path] = json!({"content": after, "state_ref_before": before.as_str()});
    let payload = json!({
        "op_id": op, "target": path, "op_kind": "replace", "state_ref_before": before.as_str(),
        "state_ref_after": after_ref.as_str(), "file_changes": changes,
    });
    client.say("OP_COMMIT", payload).await;
}

async fn read(client: &mut Client, path: &str) -> Value {
    client.send(json!({"type": "FILE_READ", "path": path}).to_string()).await;
    client.next().await
}

#[tokio::test]
async fn files_can_be_listed_and_read_before_hello() {
    covers!("OCC-01", "OCC-14", "D-092");
    let dir = dir_with(&[("b.py", "héllo"), ("a.py", "x\r\ny")]);
    let host = host(&["--workspace", dir.path().to_str().unwrap()]).await;
    let mut client = host.connect("/").await;
    let list = client.is_alive().await;
    let expected = json!({"type": "FILE_LIST_RESPONSE", "files": [
        {"path": "a.py", "state_ref": StateRef::of("x\r\ny").as_str(), "size": 4},
        {"path": "b.py", "state_ref": "sha256:3c48591d8d098a45", "size": 5},
    ]});
    assert_eq!(list, expected);
    let content = json!({
        "type": "FILE_CONTENT", "path": "a.py", "content": "x\r\ny", "state_ref": StateRef::of("x\r\ny").as_str(),
    });
    assert_eq!(read(&mut client, "a.py").await, content);
}

#[tokio::test]
async fn what_cannot_be_read_is_answered_with_the_reason() {
    let dir = dir_with(&[("a.py", "x")]);
    let host = host(&["--workspace", dir.path().to_str().unwrap()]).await;
    let mut client = host.connect("/").await;
    for path in ["b.py", "../a.py", "/etc/passwd", "sub/../../a.py"] {
        let error = json!({"type": "FILE_ERROR", "path": path, "error": "File not found"});
        assert_eq!(read(&mut client, path).await, error);
    }
    client.send(r#"{"type":"FILE_READ"}"#).await;
    assert_eq!(client.next().await, json!({"type": "FILE_ERROR", "path": "", "error": "missing path"}));
}

#[tokio::test]
async fn the_summary_says_who_is_here_and_what_is_shared() {
    let dir = dir_with(&[("a.py", "x")]);
    let host = host(&["--workspace", dir.path().to_str().unwrap()]).await;
    let mut alice = host.join("agent:alice").await;
    alice.announce("i-1", "a.py").await;
    alice.send(r#"{"type":"SESSION_SUMMARY"}"#).await;
    let summary = alice.until("SESSION_SUMMARY_RESPONSE").await;
    let session = &summary["session"];
    assert_eq!(session["session_id"], "default");
    assert_eq!(session["participants"][0]["principal_id"], "agent:alice");
    assert_eq!(session["active_intents"][0]["intent_id"], "i-1");
    assert_eq!(session["workspace_dir"], json!(dir.path().canonicalize().unwrap()));
}

#[tokio::test]
async fn a_commit_is_relayed_without_its_content_and_then_announced_as_a_new_file_state() {
    let dir = dir_with(&[("a.py", "one")]);
    let host = host(&["--workspace", dir.path().to_str().unwrap()]).await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    commit(&mut alice, "op-1", "a.py", "one", "two").await;
    for client in [&mut alice, &mut bob] {
        let relay = client.until("OP_COMMIT").await;
        assert_eq!(relay["payload"]["op_id"], "op-1");
        assert_eq!(relay["payload"].get("file_changes"), None);
        let updated = client.next().await;
        let state_ref = StateRef::of("two").as_str().to_owned();
        let expected = json!({
            "type": "FILE_UPDATED", "path": "a.py", "state_ref": state_ref, "updated_by": "agent:alice",
        });
        assert_eq!(updated, expected);
    }
    assert_eq!(read(&mut bob, "./a.py").await["content"], "two");
    drop((alice, bob));
    host.stop().await;
    assert_eq!(fs::read_to_string(dir.path().join("a.py")).unwrap(), "one", "no --write-back: not touched");
}

#[tokio::test]
async fn a_stale_commit_changes_nothing() {
    let dir = dir_with(&[("a.py", "one")]);
    let host = host(&["--write-back", "--workspace", dir.path().to_str().unwrap()]).await;
    let mut alice = host.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "old", "two").await;
    assert_eq!(alice.until("PROTOCOL_ERROR").await["payload"]["error_code"], "STALE_STATE_REF");
    assert_eq!(read(&mut alice, "a.py").await["content"], "one");
    commit(&mut alice, "op-2", "../a.py", "", "evil").await;
    assert_eq!(alice.until("PROTOCOL_ERROR").await["payload"]["error_code"], "MALFORMED_MESSAGE");
    drop(alice);
    host.stop().await;
    assert_eq!(fs::read_to_string(dir.path().join("a.py")).unwrap(), "one");
}

#[tokio::test]
async fn with_write_back_accepted_commits_are_in_the_directory_when_the_server_has_stopped() {
    let dir = dir_with(&[("a.py", "one\r\n"), ("edited.py", "one")]);
    let host = host(&["--write-back", "--workspace", dir.path().to_str().unwrap()]).await;
    let mut alice = host.join("agent:alice").await;
    fs::write(dir.path().join("edited.py"), "by hand").unwrap();
    commit(&mut alice, "op-1", "a.py", "one\r\n", "two\r\n").await;
    commit(&mut alice, "op-2", "./new/b.py", "", "b").await;
    commit(&mut alice, "op-3", "edited.py", "one", "hello\n").await;
    for _ in 0..3 {
        alice.until("FILE_UPDATED").await;
    }
    drop(alice);
    host.stop().await;
    let text = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
    assert_eq!(text("a.py"), "two\r\n");
    assert_eq!(text("new/b.py"), "b");
    assert_eq!(text("edited.py"), "by hand");
    assert_eq!(text("edited.py.mpac-5891b5b5"), "hello\n");
}

#[tokio::test]
async fn accepted_commits_that_cannot_be_written_are_named_when_the_server_stops() {
    let dir = dir_with(&[("a.py", "one")]);
    let host = host(&["--write-back", "--workspace", dir.path().to_str().unwrap()]).await;
    let mut alice = host.join("agent:alice").await;
    fs::write(dir.path().join("d"), "in the way").unwrap();
    commit(&mut alice, "op-1", ".git/hooks/pre-commit", "", "evil").await;
    commit(&mut alice, "op-2", "d/b.py", "", "b").await;
    commit(&mut alice, "op-3", "a.py", "one", "two").await;
    for _ in 0..3 {
        alice.until("FILE_UPDATED").await;
    }
    let stopping = host.stopping();
    alice.close_code().await;
    drop(alice);
    let error = patiently(stopping).await.unwrap().unwrap_err();
    assert_eq!(error.exit_code(), 1);
    let line = error.to_string();
    assert!(line.starts_with("2 accepted commits could not be written"), "{line}");
    assert!(line.contains("\".git/hooks/pre-commit\" (") && line.contains("\"d/b.py\" ("), "{line}");
    assert_eq!(fs::read_to_string(dir.path().join("a.py")).unwrap(), "two");
    assert!(!dir.path().join(".git").exists());
}

/// Stops it with SIGTERM; gives its exit code and its log.
fn stopped(program: Program) -> (Option<i32>, String) {
    let sent = Command::new("kill").args(["-TERM", &program.id().to_string()]).status().unwrap();
    assert!(sent.success());
    program.ended()
}

#[test]
fn secrets_that_everybody_can_read_are_named_at_the_start() {
    let key = "-----BEGIN PRIVATE KEY-----\n";
    let dir = dir_with(&[(".env", "SECRET=42"), ("tls.pem", key), (".gitignore", "id_rsa"), ("id_rsa", key)]);
    let data = tempdir().unwrap();
    let (_, said) = stopped(Program::start(data.path(), &["--workspace", dir.path().to_str().unwrap()]));
    for name in ["\".env\"", "\"tls.pem\""] {
        assert!(said.contains(&format!("{name} looks like a secret")), "{said}");
    }
    assert!(!said.contains("id_rsa"), "it is not shared: {said}");
}

#[tokio::test]
async fn what_no_directory_can_hold_is_told_once_and_not_tried_at_each_start() {
    let (data, dir) = (tempdir().unwrap(), dir_with(&[("a.py", "one")]));
    let flags = ["--write-back", "--workspace", dir.path().to_str().unwrap()];
    let program = Program::start(data.path(), &flags);
    let (mut alice, _) = program.join("agent:alice").await;
    for (n, path) in [".git/hooks/pre-commit", "a.py/b.py"].into_iter().enumerate() {
        commit(&mut alice, &format!("op-{n}"), path, "", "x").await;
        alice.until("FILE_UPDATED").await;
    }
    let (code, said) = stopped(program);
    assert_eq!(code, Some(1), "{said}");
    for name in ["\".git/hooks/pre-commit\"", "\"a.py/b.py\""] {
        assert!(said.contains(&format!("{name} was committed and stays out of the directory")), "{said}");
    }
    assert!(!said.contains("will be tried again") && !said.contains("tries again"), "{said}");
    assert!(said.contains("the directory cannot hold it: commit it under another name"), "{said}");
    let (code, said) = stopped(Program::start(data.path(), &flags));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("ERROR"), "{said}");
    for name in ["\".git/hooks/pre-commit\" (", "\"a.py/b.py\" (\"a.py\" is a file"] {
        assert!(said.lines().any(|line| line.contains("in the log alone") && line.contains(name)), "{said}");
    }
}

#[tokio::test]
async fn a_start_names_what_the_directory_cannot_hold_and_nobody_was_told_of() {
    let (data, dir) = (tempdir().unwrap(), dir_with(&[("a.py", "one")]));
    let flags = ["--write-back", "--workspace", dir.path().to_str().unwrap()];
    let program = Program::start(data.path(), &flags[1..]);
    let (mut alice, _) = program.join("agent:alice").await;
    for n in 10..22 {
        commit(&mut alice, &format!("op-{n}"), &format!("a.py/{n}"), "", "x").await;
        alice.until("FILE_UPDATED").await;
    }
    drop(alice);
    assert_eq!(stopped(program).0, Some(0));
    let (_, said) = stopped(Program::start(data.path(), &flags));
    let line = said.lines().find(|line| line.contains("in the log alone")).unwrap();
    assert!(line.contains("WARN") && line.ends_with(", and 2 more"), "{said}");
    assert!(line.contains("\"a.py/10\" (\"a.py\" is a file of the workspace too"), "{said}");
    assert!(line.contains("\"a.py/19\"") && !line.contains("\"a.py/20\""), "{said}");
}

#[tokio::test]
async fn a_stale_commit_under_another_spelling_of_the_name_is_stale_all_the_same() {
    let dir = dir_with(&[("f", "one")]);
    let host = host(&["--workspace", dir.path().to_str().unwrap()]).await;
    let (mut alice, mut bob) = (host.join("agent:alice").await, host.join("agent:bob").await);
    commit(&mut alice, "op-1", "f", "one", "two").await;
    bob.until("FILE_UPDATED").await;
    commit(&mut bob, "op-2", "./f", "one", "three").await;
    assert_eq!(bob.until("PROTOCOL_ERROR").await["payload"]["error_code"], "STALE_STATE_REF");
    commit(&mut bob, "op-3", "./f", "", "three").await;
    assert_eq!(
        bob.until("PROTOCOL_ERROR").await["payload"]["error_code"],
        "STALE_STATE_REF",
        "it is no new file"
    );
    assert_eq!(read(&mut bob, "f").await["content"], "two");
    commit(&mut bob, "op-4", "./f", "two", "three").await;
    assert_eq!(alice.until("FILE_UPDATED").await["updated_by"], "agent:alice");
    assert_eq!(alice.until("FILE_UPDATED").await["path"], "f");
}
