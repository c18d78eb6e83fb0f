//! `mpac-ws close`.

use std::path::Path;

use tempfile::tempdir;

use crate::covers;
use crate::files::commit;
use crate::program_rig::{Program, run};

/// The exit code, and what was said on both outputs.
async fn close(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut args = vec!["close".to_owned(), "--data-dir".to_owned(), data.display().to_string()];
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    let args = tokio::task::spawn_blocking(move || run(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = args.await.unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn a_running_session_is_closed_for_everybody() {
    covers!("D-040", "SES-13");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &["--multi-session"]);
    let mut alice = program.connect("/session/team").await;
    alice.session = "team".to_owned();
    alice.hello("agent:alice").await;
    alice.announce("i-1", "a.py").await;
    alice.until("INTENT_ANNOUNCE").await;
    let (code, said) = close(data.path(), &["--session", "other"]).await;
    assert!(code == Some(1) && said.contains("no session other"), "{said}");
    let (code, said) = close(data.path(), &["--session", "team", "--disposition", "expire_all"]).await;
    assert!(code == Some(0) && said.contains("team is closed"), "{said}");
    let closed = alice.until("SESSION_CLOSE").await;
    assert_eq!(closed["payload"]["reason"], "manual");
    assert_eq!(closed["payload"]["active_intents_disposition"], "expire_all");
    let (code, said) = close(data.path(), &["--session", "team"]).await;
    assert!(code == Some(1) && said.contains("closed already"), "{said}");
}

#[tokio::test]
async fn a_stored_session_is_closed_where_no_server_runs() {
    covers!("D-040");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "content").await;
    alice.until("OP_COMMIT").await;
    // Killed, so that it leaves word of a server that is not there.
    program.kill();
    let (code, said) = close(data.path(), &["--session", "default"]).await;
    assert!(code == Some(0) && said.contains("default is closed"), "{said}");
    assert!(said.contains("what was committed to 1 file stays in its log"), "{said}");
    // The command that it names does what it says.
    let files = tempdir().unwrap();
    let named = said.split('`').nth(1).unwrap().replace("DIR", files.path().to_str().unwrap());
    let words: Vec<&str> = named.split(' ').skip(1).collect();
    assert!(run(&words).status.success(), "{named}");
    assert_eq!(std::fs::read_to_string(files.path().join("a.py")).unwrap(), "content");
    let (code, said) = close(data.path(), &["--session", "default"]).await;
    assert!(code == Some(1) && said.contains("closed already"), "{said}");
    let data_dir = data.path().to_str().unwrap();
    let verified = run(&["audit", "verify", "--data-dir", data_dir]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.success() && told.contains("closed"), "{told}");
    let program = Program::start(data.path(), &[]);
    let (_, info) = program.join("agent:bob").await;
    assert_eq!(info["coordinator_epoch"], 1, "a new session");
}
