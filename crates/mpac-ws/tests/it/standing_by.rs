//! Standbys: what they need, what they refuse, and how sessions come back. `cargo xtask handover` has the rest.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::tempdir;

use crate::covers;
use crate::files::commit;
use crate::program_rig::{Program, Standby, run};
use crate::rig::Client;

async fn content(client: &mut Client, path: &str) -> serde_json::Value {
    client.send(json!({"type": "FILE_READ", "path": path}).to_string()).await;
    client.until("FILE_CONTENT").await["content"].clone()
}

pub(crate) async fn caught_up(standby: Standby) -> Standby {
    saying(standby, "caught up").await
}

/// Off the runtime: it waits for lines of another process.
pub(crate) async fn saying(mut standby: Standby, line: &'static str) -> Standby {
    tokio::task::spawn_blocking(move || {
        standby.says(line);
        standby
    })
    .await
    .unwrap()
}

pub(crate) async fn taken_over(data: &Path) {
    let data = data.display().to_string();
    let output = tokio::task::spawn_blocking(move || run(&["take-over", "--data-dir", &data])).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_standby_that_was_far_behind_has_everything_and_goes_on_as_announced() {
    covers!("REC-20", "REC-21", "D-042");
    let (one, two, shared) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    std::fs::write(shared.path().join("base.py"), "base").unwrap();
    let workspace = format!("--workspace={}", shared.path().display());
    let flags = [workspace.as_str(), "--rate-per-sec=1000000", "--rate-burst=1000000"];
    let program = Program::start(one.path(), &flags);
    let (mut alice, _) = program.join("agent:alice").await;
    // More than is fetched in small pieces.
    for n in 0..6_000 {
        alice.send(json!({"type": "FILE_READ", "path": "base.py"}).to_string()).await;
        if n % 100 == 99 {
            for _ in 0..100 {
                alice.until("FILE_CONTENT").await;
            }
        }
    }
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    let standby = caught_up(Standby::start(program.address, one.path(), two.path(), &[])).await;
    commit(&mut alice, "op-2", "b.py", "", "two").await;
    alice.until("OP_COMMIT").await;
    let status = tokio::task::spawn_blocking({
        let data = one.path().display().to_string();
        move || run(&["status", "--data-dir", &data])
    });
    let told = String::from_utf8(status.await.unwrap().stdout).unwrap();
    assert!(
        told.starts_with("server mpac-ws") && told.contains("session default: epoch 1\nthe standby"),
        "{told}"
    );
    let taking = tokio::spawn({
        let two = two.path().to_owned();
        async move { taken_over(&two).await }
    });
    let handover = alice.until("COORDINATOR_STATUS").await;
    assert_eq!(handover["payload"]["event"], "handover");
    assert_eq!(handover["payload"]["next_coordinator_epoch"], 2);
    assert_eq!(alice.close_code().await, 4002);
    taking.await.unwrap();
    let (code, said) = tokio::task::spawn_blocking(move || program.ended()).await.unwrap();
    assert_eq!(code, Some(0), "{said}");
    let program = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    let mut back = program.connect("/").await;
    back.goes_on_after(&alice);
    let info = back.hello(&alice.who).await;
    assert_eq!(info["coordinator_epoch"], 2);
    assert_eq!(back.until("COORDINATOR_STATUS").await["payload"]["event"], "assumed");
    for (path, expected) in [("base.py", "base"), ("a.py", "one"), ("b.py", "two")] {
        assert_eq!(content(&mut back, path).await, expected);
    }
}

#[tokio::test]
async fn where_the_beginning_was_deleted_a_copy_begins_behind_it() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    // Days of a second, and segments of a few entries.
    let keeping = ["--segment-bytes=4000", "--audit-retention-days=1", "--day-sec=1"];
    let fast = ["--heartbeat-interval-sec=0.2", "--rate-per-sec=1000000", "--rate-burst=1000000"];
    let program = Program::start(one.path(), &[&keeping[..], &fast[..]].concat());
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-first", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    let begins = |data: &Path| data.join("sessions/default/1/begins");
    let until = Instant::now() + Duration::from_secs(30);
    for n in 0.. {
        commit(&mut alice, &format!("op-{n}"), &format!("{n}.py"), "", "x").await;
        alice.until("OP_COMMIT").await;
        if begins(one.path()).exists() {
            break;
        }
        assert!(Instant::now() < until, "nothing is ever deleted");
    }
    let standby = caught_up(Standby::start(program.address, one.path(), two.path(), &fast[..1])).await;
    assert!(begins(two.path()).exists());
    taken_over(two.path()).await;
    let program = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    let (mut bob, _) = program.join("agent:bob").await;
    assert_eq!(content(&mut bob, "a.py").await, "one");
    program.kill();
    let copy = run(&["audit", "verify", "--data-dir", two.path().to_str().unwrap()]);
    assert!(copy.status.success(), "{}", String::from_utf8_lossy(&copy.stdout));
}

#[tokio::test]
async fn a_server_that_was_killed_is_followed_again_after_its_restart() {
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &[]);
    let address = program.address;
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    let standby = caught_up(Standby::start(address, one.path(), two.path(), &[])).await;
    program.kill();
    let program = Program::start(one.path(), &[&format!("--port={}", address.port())]);
    let standby = caught_up(standby).await;
    assert_eq!(standby.stop(), Some(0));
    let copy = run(&["audit", "verify", "--data-dir", two.path().to_str().unwrap()]);
    let told = String::from_utf8(copy.stdout).unwrap();
    assert!(told.contains("epoch 2"), "{told}");
    drop(program);
}

#[tokio::test]
async fn sessions_are_taken_from_a_server_that_is_gone_and_taken_back_knowingly() {
    covers!("REC-12", "REC-22", "REC-26", "REC-27");
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &["--heartbeat-interval-sec=0.2"]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    let flags = ["--heartbeat-interval-sec=0.2", "--take-over-after-sec=1"];
    let standby = caught_up(Standby::start(program.address, one.path(), two.path(), &flags)).await;
    program.kill();
    let program = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    let (mut bob, info) = program.join("agent:bob").await;
    assert_eq!(
        info["coordinator_epoch"], 3,
        "above the one that the first server has if it is started again"
    );
    assert_eq!(content(&mut bob, "a.py").await, "one");
    program.kill();
    // The first one does not know of that, and may start; it is told with the second, or takes above its epoch.
    let mark = json!({"why": "fenced", "server": "ws://127.0.0.1:1", "epochs": {"default": 3}});
    std::fs::write(one.path().join("elsewhere.json"), mark.to_string()).unwrap();
    let refused = run(&["--port=0", "--data-dir", one.path().to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("--take-back"), "{said}");
    let program = Program::start(one.path(), &["--take-back"]);
    let (_, info) = program.join("agent:carol").await;
    assert_eq!(info["coordinator_epoch"], 4, "above the one that somebody else had");
    program.kill();
    let program = Program::start(one.path(), &["--take-back=10"]);
    let (_, info) = program.join("agent:dave").await;
    assert_eq!(info["coordinator_epoch"], 11, "as it was told");
    program.kill();
    drop(Program::start(one.path(), &[]));
}

#[tokio::test]
async fn what_was_handed_over_is_gone_on_with_by_the_next_start_where_the_first_one_fails() {
    covers!("REC-20", "REC-21");
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &[]);
    let address = program.address;
    let (alice, _) = program.join("agent:alice").await;
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--port={}", other.local_addr().unwrap().port());
    let mut standby = caught_up(Standby::start(address, one.path(), two.path(), &[&port])).await;
    let said = tokio::task::spawn_blocking(move || {
        assert_eq!(program.stop(), Some(0));
        standby.says("error: ")
    });
    assert!(said.await.unwrap().contains("in use"));
    drop(other);
    // As a supervisor does it.
    let standby = Standby::start(address, one.path(), two.path(), &[&port]);
    let program = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    let mut back = program.connect("/").await;
    back.goes_on_after(&alice);
    assert_eq!(back.hello(&alice.who).await["coordinator_epoch"], 2);
    assert_eq!(back.until("COORDINATOR_STATUS").await["payload"]["event"], "assumed", "as announced");
}

#[tokio::test]
async fn whoever_was_given_the_sessions_falls_silent_for_a_standby_that_took_them_meanwhile() {
    covers!("REC-25", "REC-26");
    // It goes on above the epoch that was announced to the other; which has the same where it was started once more.
    for (above, epoch) in [("--take-back=2", 3), ("--take-back=1", 2)] {
        let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
        let program = Program::start(one.path(), &[]);
        let standby = caught_up(Standby::start(program.address, one.path(), two.path(), &[])).await;
        assert_eq!(standby.stop(), Some(0));
        assert_eq!(program.stop(), Some(0));
        let taken = Program::start(two.path(), &[above]);
        let beside = json!([format!("ws://{}", taken.address)]);
        std::fs::write(one.path().join("beside.json"), beside.to_string()).unwrap();
        let given = Program::start(one.path(), &[]);
        let (code, said) = tokio::task::spawn_blocking(move || given.ended()).await.unwrap();
        assert!(code == Some(1) && said.contains("as late or later"), "{said}");
        assert_eq!(taken.join("agent:alice").await.1["coordinator_epoch"], epoch);
    }
}

#[tokio::test]
async fn what_is_taken_back_never_speaks_under_the_epoch_of_a_successor_that_nobody_named() {
    covers!("REC-27");
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    program.join("agent:alice").await;
    assert_eq!(program.stop(), Some(0));
    // Its session had ended before the rest of the server, as on a full disk.
    let mark = json!({"why": "handed_over", "server": "ws://127.0.0.1:1", "epochs": {}});
    std::fs::write(data.path().join("elsewhere.json"), mark.to_string()).unwrap();
    for (flags, who, epoch) in [(&["--take-back"][..], "agent:bob", 4), (&[][..], "agent:carol", 5)] {
        let program = Program::start(data.path(), flags);
        assert_eq!(
            program.join(who).await.1["coordinator_epoch"],
            epoch,
            "2 was announced, and 3 is what it would have been taken under"
        );
        assert_eq!(program.stop(), Some(0));
    }
}

#[tokio::test]
async fn a_server_that_is_started_again_after_a_takeover_speaks_under_another_epoch_and_is_told() {
    covers!("REC-26", "REC-27");
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &["--heartbeat-interval-sec=0.2"]);
    let port = format!("--port={}", program.address.port());
    let flags = ["--heartbeat-interval-sec=0.2", "--take-over-after-sec=1"];
    let standby = caught_up(Standby::start(program.address, one.path(), two.path(), &flags)).await;
    program.kill();
    let successor = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    assert!(two.path().join("before.json").exists());
    // As a supervisor does it, with nobody near who knows of the standby.
    let back = Program::start(one.path(), &[&port]);
    let (code, said) = tokio::task::spawn_blocking(move || back.ended()).await.unwrap();
    assert!(code == Some(1) && said.contains("goes on from its log as epoch 2"), "{said}");
    assert!(said.contains("taken over by"), "{said}");
    assert_eq!(successor.join("agent:alice").await.1["coordinator_epoch"], 3);
}

#[tokio::test]
async fn nobody_goes_on_with_a_copy_that_never_had_everything() {
    covers!("REC-22");
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    commit(&mut alice, "op-1", "a.py", "", "one").await;
    alice.until("OP_COMMIT").await;
    let (address, port) = (program.address, format!("--port={}", program.address.port()));
    program.kill();
    let lost = async |mut standby: Standby| {
        let waiting = tokio::task::spawn_blocking(move || {
            standby.says("trying again");
            standby
        });
        waiting.await.unwrap()
    };
    let standby = lost(Standby::start(address, one.path(), two.path(), &[])).await;
    let asked = ["take-over", "--data-dir", two.path().to_str().unwrap()];
    let refused = run(&asked);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("never had everything"), "{said}");
    // As soon as it has everything that is no question any more, also not after a restart.
    let program = Program::start(one.path(), &[&port]);
    assert_eq!(caught_up(standby).await.stop(), Some(0));
    program.kill();
    let standby = lost(Standby::start(address, one.path(), two.path(), &[])).await;
    taken_over(two.path()).await;
    let program = tokio::task::spawn_blocking(move || standby.serves()).await.unwrap();
    assert_eq!(content(&mut program.join("agent:bob").await.0, "a.py").await, "one");
}

#[tokio::test]
async fn what_would_stop_a_takeover_is_said_when_a_standby_starts() {
    covers!("REC-22");
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &[]);
    for (flag, word) in [("--workspace=/nowhere/at/all", "no such directory"), ("--archive-dir", "inside")] {
        let flag =
            if word == "inside" { format!("{flag}={}", two.path().display()) } else { flag.to_owned() };
        let mut standby = Standby::start(program.address, one.path(), two.path(), &[&flag]);
        let said = tokio::task::spawn_blocking(move || standby.says("error: ")).await.unwrap();
        assert!(said.contains(word), "{said}");
    }
    assert!(!two.path().join("elsewhere.json").exists(), "it changes nothing");
}

#[tokio::test]
async fn a_server_falls_silent_when_a_participant_hears_its_successor() {
    covers!("REC-25", "REC-26");
    let (one, two) = (tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(one.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!("--port={free}");
    let standby = caught_up(Standby::start(program.address, one.path(), two.path(), &[&port])).await;
    assert_eq!(standby.stop(), Some(0));
    let conflict = json!({"error_code": "COORDINATOR_CONFLICT", "description": "there are two"});
    alice.say("PROTOCOL_ERROR", conflict.clone()).await;
    alice.is_alive().await;
    // Somebody starts the copy as a server, and tells nobody.
    let successor = Program::start(two.path(), &[&port, "--take-back"]);
    assert_eq!(successor.join("agent:bob").await.1["coordinator_epoch"], 2);
    alice.say("PROTOCOL_ERROR", conflict).await;
    assert_eq!(alice.close_code().await, 4002);
    let (code, said) = tokio::task::spawn_blocking(move || program.ended()).await.unwrap();
    assert!(code == Some(1) && said.contains(&format!("taken over by ws://127.0.0.1:{free}")), "{said}");
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    covers!("REC-22");
    let (one, two, three) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let programs = [&one, &two].map(|data| Program::start(data.path(), &[]));
    let soon = ["--take-over-after-sec=59"];
    let mut standby = Standby::start(programs[0].address, one.path(), three.path(), &soon);
    let said = tokio::task::spawn_blocking(move || standby.says("error: ")).await.unwrap();
    assert!(said.contains("at least 60"), "{said}");
    let mut standby = Standby::start(programs[1].address, two.path(), three.path(), &[]);
    let said = tokio::task::spawn_blocking(move || standby.says("error: ")).await.unwrap();
    assert!(said.contains("copy of another server"), "{said}");
    let refused = run(&["--port=0", "--data-dir", three.path().to_str().unwrap()]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && said.contains("copy of a standby"), "{said}");
    // A server that nobody has followed yet is no empty directory either, and neither is a fork of one.
    let four = tempdir().unwrap();
    Program::start(four.path(), &[]).stop();
    let four_is = four.path().to_str().unwrap();
    let forked = four.path().join("fork");
    let fork =
        run(&["audit", "fork", "--data-dir", four_is, "--until=1", "--into", forked.to_str().unwrap()]);
    assert!(fork.status.success(), "{}", String::from_utf8_lossy(&fork.stderr));
    for data in [four.path(), &forked] {
        let mut standby = Standby::start(programs[0].address, one.path(), data, &[]);
        let said = tokio::task::spawn_blocking(move || standby.says("error: ")).await.unwrap();
        assert!(said.contains("copy of another server"), "{said}");
        assert!(data.join("sessions/default/1").is_dir() && !data.join("aside").exists());
    }
}

#[tokio::test]
async fn a_wrong_token_is_not_kept() {
    let (data, copy, given) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    let program = Program::start(data.path(), &[]);
    let file = given.path().join("control-token");
    let of = |dir: &Path| std::fs::read_to_string(dir.join("control-token")).ok();
    for (wrong, reason) in [("secret\n", "this is no token"), (&"a".repeat(64), "does not take this token")] {
        std::fs::write(&file, wrong).unwrap();
        let mut standby = Standby::start(program.address, given.path(), copy.path(), &[]);
        let said = tokio::task::spawn_blocking(move || standby.says("error: ")).await.unwrap();
        assert!(said.contains(reason), "{said}");
        assert_eq!(of(copy.path()), None, "{said}");
    }
    let standby = Standby::start(program.address, data.path(), copy.path(), &[]);
    drop(caught_up(standby).await);
    assert_eq!(of(copy.path()), of(data.path()), "all copies open to the same one");
}

#[cfg(unix)]
#[tokio::test]
async fn a_server_that_waits_starts_when_the_one_before_ends() {
    let data = tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let (alice, _) = program.join("agent:alice").await;
    let refused = run(&["--port=0", "--data-dir", data.path().to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2), "without --wait there is one at a time");
    let path = data.path().to_owned();
    let waiting = tokio::task::spawn_blocking(move || Program::start(&path, &["--wait"]));
    let sent = Command::new("kill").args(["-TERM", &program.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let program = waiting.await.unwrap();
    let mut back = program.connect("/").await;
    back.goes_on_after(&alice);
    assert_eq!(back.hello(&alice.who).await["coordinator_epoch"], 2);
}
