//! `mpac-ws backup`, and a server started from what it made.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::covers;
use crate::files::commit;
use crate::program_rig::{Program, Standby, run};
use crate::rig::Client;
use crate::standing_by::caught_up;

async fn backup(args: &[&str]) -> (Option<i32>, String) {
    let args: Vec<String> =
        std::iter::once("backup").chain(args.iter().copied()).map(str::to_owned).collect();
    let running =
        tokio::task::spawn_blocking(move || run(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    let output = running.await.unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Commits until somebody ends it; gives how many were acknowledged.
async fn load(mut client: Client, stop: tokio::sync::oneshot::Receiver<()>) -> usize {
    let mut stop = std::pin::pin!(stop);
    for n in 0.. {
        commit(&mut client, &format!("load-{n}"), &format!("load-{n}.py"), "", "x").await;
        tokio::select! {
            _ = &mut stop => return n,
            _ = client.until("OP_COMMIT") => {}
        }
    }
    unreachable!("there are more numbers than commits")
}

/// What a server started from a backup holds under these names.
async fn restored(to: &Path, names: &[&str]) -> Vec<serde_json::Value> {
    let verified = run(&["audit", "verify", "--data-dir", to.join("data").to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    let workspace = format!("--workspace={}", to.join("workspace").display());
    let program = Program::start(&to.join("data"), &[&workspace]);
    let (mut client, _) = program.join("agent:restorer").await;
    let mut contents = Vec::new();
    for name in names {
        client.send(serde_json::json!({"type": "FILE_READ", "path": name}).to_string()).await;
        contents.push(client.until("FILE_CONTENT").await["content"].clone());
    }
    contents
}

#[tokio::test]
async fn a_backup_under_load_has_everything_of_the_moment_it_was_asked_for() {
    let (data, shared, other) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    fs::write(shared.path().join("base.py"), "base").unwrap();
    let workspace = format!("--workspace={}", shared.path().display());
    let flags = [workspace.as_str(), "--rate-per-sec=1000000", "--rate-burst=1000000"];
    let program = Program::start(data.path(), &flags);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let (bob, _) = program.join("agent:bob").await;
    let loading = tokio::spawn(load(bob, stopped));
    let to = other.path().join("backup");
    let (dir, data_dir) = (to.to_str().unwrap(), data.path().to_str().unwrap());
    let (code, said) = backup(&["--to", dir, "--data-dir", data_dir]).await;
    assert!(code == Some(0) && said.contains("entries are in"), "{said}");
    assert_eq!(fs::read_to_string(to.join("workspace/base.py")).unwrap(), "base");
    assert_eq!(fs::read_to_string(to.join("workspace/a.py")).unwrap(), "one");
    // The second one brings what is new, also over the network.
    commit(&mut alice, "op-2", "b.py", "", "two").await;
    while alice.until("OP_COMMIT").await["payload"]["op_id"] != "op-2" {}
    let from = format!("ws://{}", program.address);
    let token = data.path().join("control-token");
    let (code, said) = backup(&["--to", dir, "--from", &from, "--token-file", token.to_str().unwrap()]).await;
    assert!(code == Some(0), "{said}");
    stop.send(()).unwrap();
    assert!(loading.await.unwrap() > 0);
    program.kill();
    assert_eq!(restored(&to, &["base.py", "a.py", "b.py"]).await, ["base", "one", "two"]);
}

#[tokio::test]
async fn a_session_that_was_deleted_for_its_age_keeps_nobody_from_following() {
    covers!("SES-21");
    let (data, copy, other) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let short = r#"--session-config={"lifecycle": {"session_ttl_sec": 0.3, "audit_retention_days": 0}}"#;
    let program = Program::start(data.path(), &["--multi-session", short]);
    let mut alice = program.connect("/session/one").await;
    alice.session = "one".to_owned();
    alice.hello("agent:alice").await;
    alice.until("SESSION_CLOSE").await;
    drop(alice);
    let of_name = data.path().join("sessions/one");
    let is_there = |name: &str| of_name.join(name).exists();
    while is_there("1") || is_there(".deleting-1") || !is_there("1.deleted") {
        tokio::task::yield_now().await;
    }
    let (to, data_dir) = (other.path().join("backup"), data.path().to_str().unwrap());
    let (code, said) = backup(&["--to", to.to_str().unwrap(), "--data-dir", data_dir]).await;
    assert!(code == Some(0) && said.contains("0 entries are in"), "{said}");
    let _standby = caught_up(Standby::start(program.address, data.path(), copy.path(), &[])).await;
    let told = String::from_utf8(run(&["status", "--data-dir", data_dir]).stdout).unwrap();
    assert!(told.contains(": 0 entries behind"), "{told}");
}

#[tokio::test]
async fn a_stopped_server_can_be_backed_up_too() {
    let (data, other) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    program.kill();
    let to = other.path().join("backup");
    let (code, said) =
        backup(&["--to", to.to_str().unwrap(), "--data-dir", data.path().to_str().unwrap()]).await;
    assert!(code == Some(0), "{said}");
    assert_eq!(restored(&to, &["a.py"]).await, ["one"]);
}

#[tokio::test]
async fn what_no_directory_may_hold_is_in_the_log_alone() {
    let (data, other) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    let long = "x".repeat(300);
    for (n, path) in ["a", "a/b", "build/x", ".gitignore", "c.py", &long].into_iter().enumerate() {
        commit(&mut alice, &format!("op-{n}"), path, "", "one").await;
        alice.until("OP_COMMIT").await;
    }
    program.kill();
    let to = other.path().join("backup");
    let args = ["--to", to.to_str().unwrap(), "--data-dir", data.path().to_str().unwrap()];
    for _ in 0..2 {
        let (code, said) = backup(&args).await;
        assert!(code == Some(0), "{said}");
        for name in ["a/b", "build/x", ".gitignore", &long] {
            assert!(said.contains(&format!("in the log alone: {name:?}: ")), "{said}");
        }
    }
    assert_eq!(restored(&to, &["a", "a/b", "build/x", "c.py"]).await, ["one"; 4]);
}

#[tokio::test]
async fn a_log_that_is_damaged_is_not_taken_for_a_backup_and_what_was_saved_of_it_before_stays() {
    let (data, other) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    program.kill();
    let (to, data) = (other.path().join("backup"), data.path());
    let args = ["--to", to.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let (code, said) = backup(&args).await;
    assert!(code == Some(0), "{said}");

    let log = data.join("sessions/default/1/00000000000000000001.log");
    let mut bytes = fs::read(&log).unwrap();
    bytes[100] ^= 1;
    fs::write(&log, bytes).unwrap();
    let (code, said) = backup(&args).await;
    assert!(code == Some(1) && said.contains("default/1 is damaged") && said.contains("repair"), "{said}");
    let mark = fs::read_to_string(to.join("backup.json")).unwrap();
    assert!(mark.contains(r#""complete": false"#), "{mark}");
    assert_eq!(restored(&to, &["a.py"]).await, ["one"]);
}

#[tokio::test]
async fn nothing_that_is_no_backup_of_the_same_server_is_written_over() {
    covers!("REC-09");
    let (one, two, other) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let programs = [&one, &two].map(|data| Program::start(data.path(), &[]));
    let [one, two] = [&one, &two].map(|data| data.path().to_str().unwrap());
    fs::write(other.path().join("mine.txt"), "mine").unwrap();
    let (code, said) = backup(&["--to", other.path().to_str().unwrap(), "--data-dir", one]).await;
    assert!(code == Some(1) && said.contains("neither empty nor a backup"), "{said}");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1);
    let to = other.path().join("backup");
    let to = to.to_str().unwrap();
    let (code, said) = backup(&["--to", to, "--data-dir", one]).await;
    assert!(code == Some(0), "{said}");
    let (code, said) = backup(&["--to", to, "--data-dir", two]).await;
    assert!(code == Some(1) && said.contains("copy of another server"), "{said}");
    drop(programs);
}

#[tokio::test]
async fn no_backup_lies_where_everybody_would_be_handed_the_log() {
    let (data, shared) = (tempdir().unwrap(), tempdir().unwrap());
    fs::write(shared.path().join("a.py"), "a").unwrap();
    let workspace = format!("--workspace={}", shared.path().display());
    let program = Program::start(data.path(), &[&workspace]);
    let to = shared.path().join("copies/backup");
    let to = to.to_str().unwrap();
    let running = ["--to", to, "--data-dir", data.path().to_str().unwrap()];
    let (code, said) = backup(&running).await;
    assert!(code == Some(1) && said.contains("inside the shared directory"), "{said}");
    assert_eq!(program.stop(), Some(0));
    // Where none runs nobody but the operator knows what it shares.
    let (code, said) = backup(&[&running[..], &[&workspace]].concat()).await;
    assert!(code == Some(1) && said.contains("inside the shared directory"), "{said}");
    assert_eq!(fs::read_dir(shared.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_commit_takes_no_shared_file_s_place_in_a_backup() {
    let (data, shared, other) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    fs::create_dir(shared.path().join("shop")).unwrap();
    for name in ["shop/money.py", "b.py"] {
        fs::write(shared.path().join(name), "real").unwrap();
    }
    let workspace = format!("--workspace={}", shared.path().display());
    let program = Program::start(data.path(), &[&workspace]);
    let (mut alice, _) = program.join("agent:alice").await;
    for (n, path) in ["shop", "b.py/c.py"].into_iter().enumerate() {
        commit(&mut alice, &format!("op-{n}"), path, "", "one").await;
        alice.until("OP_COMMIT").await;
    }
    program.kill();
    // As an earlier backup may have it.
    let to = other.path().join("backup");
    fs::create_dir_all(to.join("workspace")).unwrap();
    fs::write(to.join("workspace/shop"), "one").unwrap();
    fs::write(to.join("backup.json"), r#"{"complete": false, "entries": 0}"#).unwrap();
    let args = ["--to", to.to_str().unwrap(), "--data-dir", data.path().to_str().unwrap(), &workspace];
    let (code, said) = backup(&args).await;
    assert!(code == Some(0), "{said}");
    for name in ["shop", "b.py/c.py"] {
        assert!(said.contains(&format!("in the log alone: {name:?}: ")), "{said}");
    }
    for name in ["shop/money.py", "b.py"] {
        assert_eq!(fs::read_to_string(to.join("workspace").join(name)).unwrap(), "real");
    }
}
