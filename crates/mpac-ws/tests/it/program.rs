//! The program itself, running: signals, and a stderr that nobody reads.
#![cfg(unix)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use mpac_wire::StateRef;
use serde_json::json;
use tempfile::tempdir;
use tokio::task::spawn_blocking;

use crate::rig::{Client, patiently};

/// A running server, ended with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is all that is wanted here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn start(args: &[&str], stderr: Stdio) -> Self {
        let program = env!("CARGO_BIN_EXE_mpac-ws");
        let args = [&["--port", "0"], args].concat();
        Self(Command::new(program).args(args).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap())
    }

    /// Where it listens, from its banner.
    async fn address(&mut self) -> SocketAddr {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let url = spawn_blocking(move || {
            lines.find_map(|line| {
                let line = line.unwrap();
                let start = line.find("ws://")?;
                Some(line[start..].split_whitespace().next().unwrap().to_owned())
            })
        });
        let url = patiently(url).await.unwrap().expect("no URL was printed");
        url.trim_start_matches("ws://").parse().unwrap()
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// How it ended, in time.
    async fn exit_code(mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.0.try_wait().unwrap() {
                    return status.code();
                }
                // A process that ends wakes nobody here.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        patiently(ended).await
    }
}

async fn join(address: SocketAddr, who: &str) -> Client {
    let mut client = Client::connect(address, "/", None).await;
    assert_eq!(client.hello(who).await["message_type"], "SESSION_INFO");
    client
}

#[tokio::test]
async fn sigint_closes_the_session_and_then_the_connections() {
    for threads in ["--threads=1", "--threads=2"] {
        let mut server = Program::start(&[threads], Stdio::null());
        let mut alice = join(server.address().await, "agent:alice").await;
        server.signal("-INT");
        assert_eq!(alice.until("SESSION_CLOSE").await["payload"]["reason"], "coordinator_shutdown");
        assert_eq!(alice.close_code().await, 1001);
        drop(alice);
        assert_eq!(server.exit_code().await, Some(0));
    }
}

#[tokio::test]
async fn a_second_signal_ends_a_server_that_waits_for_somebody() {
    for threads in ["--threads=1", "--threads=2"] {
        let mut server = Program::start(&[threads], Stdio::null());
        let mut alice = join(server.address().await, "agent:alice").await;
        server.signal("-TERM");
        // She is told, and does not answer the close frame: the server would wait for some seconds.
        alice.until("SESSION_CLOSE").await;
        server.signal("-INT");
        assert_eq!(server.exit_code().await, Some(130));
    }
}

#[tokio::test]
async fn a_stderr_that_nobody_reads_holds_up_neither_the_sessions_nor_the_stop() {
    const LINES: usize = 1000;
    let flags = ["--rate-burst=100000", "--rate-per-sec=100000"];
    let mut server = Program::start(&flags, Stdio::piped());
    let address = server.address().await;
    let (mut alice, mut bob) = (join(address, "agent:alice").await, join(address, "agent:bob").await);
    // A line of more than 100 bytes each: more than a pipe holds.
    for n in 0..LINES {
        let scope = json!({"kind": "file_set", "resources": [format!("{n}.py")]});
        let announce = json!({"intent_id": format!("i-{n}"), "objective": "x".repeat(90), "scope": scope});
        alice.say("INTENT_ANNOUNCE", announce).await;
        for client in [&mut alice, &mut bob] {
            client.until("INTENT_ANNOUNCE").await;
        }
    }
    server.signal("-TERM");
    assert_eq!(bob.close_code().await, 1001);
    drop((alice, bob));
    assert_eq!(server.exit_code().await, Some(0));
}

/// The first line on stderr with `part` in it.
async fn line_with(server: &mut Program, part: &'static str) -> String {
    let lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let found = spawn_blocking(move || lines.map(Result::unwrap).find(|line| line.contains(part)));
    patiently(found).await.unwrap().expect("it ended without that line")
}

#[tokio::test]
async fn a_signal_stops_a_server_whose_workspace_is_still_loading() {
    let dir = tempdir().unwrap();
    // Reading it waits for somebody who writes, and nobody does: a file system that does not answer.
    let pipe = dir.path().join(".gitignore");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut server = Program::start(&["--workspace", dir.path().to_str().unwrap()], Stdio::piped());
    let line = line_with(&mut server, "loading").await;
    assert!(line.contains("0 files with 0 bytes so far"), "{line}");
    server.signal("-TERM");
    assert_eq!(server.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_commit_that_cannot_be_written_is_named_at_the_end_and_the_exit_code_is_1() {
    let dir = tempdir().unwrap();
    let workspace: &Path = dir.path();
    let mut server =
        Program::start(&["--write-back", "--workspace", workspace.to_str().unwrap()], Stdio::piped());
    let mut alice = join(server.address().await, "agent:alice").await;
    std::fs::write(workspace.join("d"), "in the way").unwrap();
    let before = StateRef::of("");
    let payload = json!({
        "op_id": "op-1", "target": "d/a.py", "op_kind": "replace", "state_ref_before": before.as_str(),
        "state_ref_after": StateRef::of("x").as_str(),
        "file_changes": {"d/a.py": {"content": "x", "state_ref_before": before.as_str()}},
    });
    alice.say("OP_COMMIT", payload).await;
    alice.until("FILE_UPDATED").await;
    server.signal("-TERM");
    assert_eq!(alice.close_code().await, 1001);
    drop(alice);
    let line = line_with(&mut server, "error: ").await;
    assert!(
        line.starts_with("error: 1 accepted commit could not be written") && line.contains("d/a.py"),
        "{line}"
    );
    assert_eq!(server.exit_code().await, Some(1));
}
