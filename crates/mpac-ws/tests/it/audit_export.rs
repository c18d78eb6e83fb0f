//! `audit export`, `audit replay` and `audit fork` on logs that a real server wrote.

use std::fs;
use std::path::Path;

use mpac_wire::transcript::Imported;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::tempdir;

use crate::audit_rig::{WORDS, audit, numbers, shown, workday};
use crate::covers;
use crate::files::commit;
use crate::program_rig::Program;

fn lines(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_transcript_is_the_one_of_the_specification_and_the_chain_lies_beside_it() {
    covers!("SES-20", "SRV-17", "D-034", "PRV-05", "D-135");
    let data = workday().await;
    let files = tempdir().unwrap();
    let (to, chain) = (files.path().join("t.json"), files.path().join("chain"));
    let flags = ["--output", to.to_str().unwrap(), "--chain", chain.to_str().unwrap()];
    assert_eq!(audit("export", data.path(), &flags).ok(), "");
    let text = fs::read_to_string(&to).unwrap();
    let transcript: Value = serde_json::from_str(&text).unwrap();
    let mut keys: Vec<&str> = transcript.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let seven = [
        "exported_at",
        "final_snapshot",
        "messages",
        "participants",
        "protocol_version",
        "security_profile",
        "session_id",
    ];
    assert_eq!(keys, seven);
    let messages = transcript["messages"].as_array().unwrap();
    let of = |message_type: &str| messages.iter().filter(|it| it["message_type"] == message_type).count();
    // Each once: also what was refused, and what the coordinator said.
    assert_eq!(
        (of("OP_COMMIT"), of("PROTOCOL_ERROR"), of("SESSION_INFO"), of("CONFLICT_REPORT")),
        (4, 1, 2, 1)
    );
    let lamport: Vec<u64> = messages.iter().filter_map(|it| it["watermark"]["value"].as_u64()).collect();
    assert!(lamport.is_sorted(), "{lamport:?}");
    assert_eq!(Imported::parse(&text).unwrap().messages().unwrap().len(), messages.len());
    // Anybody can check the chain.
    let links = lines(&chain);
    assert_eq!(links.len(), shown(data.path(), &[]).len());
    let mut before = "0".repeat(64);
    for link in &links {
        assert_eq!(link["prev"], before.as_str());
        let record = link["record"].as_str().unwrap();
        let sum: String =
            Sha256::digest(record.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(link["checksum"], sum.as_str());
        before = sum;
    }
    let again = audit("export", data.path(), &flags).refused();
    assert!(again.contains("it is there already"), "{again}");
    assert!(lines(&data.path().join("access.log")).iter().any(|it| it["command"] == "audit export"));
}

#[tokio::test]
async fn a_redacted_export_has_nothing_that_people_wrote() {
    covers!("PRV-03", "D-135");
    let data = workday().await;
    let files = tempdir().unwrap();
    let chain = files.path().join("chain");
    let whole = audit("export", data.path(), &[]).ok();
    let redacted = audit("export", data.path(), &["--redact", "--chain", chain.to_str().unwrap()]).ok();
    let chain = fs::read_to_string(&chain).unwrap();
    for word in WORDS {
        assert!(whole.contains(word), "{word} is what is looked for");
        assert!(!redacted.contains(word) && !chain.contains(word), "{word}");
    }
    assert!(!redacted.contains("round it") && redacted.contains("op-4") && chain.contains("checksum"));
    let imported = Imported::parse(&redacted).unwrap().messages().unwrap();
    assert_eq!(imported.len(), Imported::parse(&whole).unwrap().messages().unwrap().len());
}

#[tokio::test]
async fn a_session_is_shown_as_it_stood_and_its_files_are_written_as_they_stood() {
    let data = workday().await;
    let of_op = |op: &str| numbers(&shown(data.path(), &["--op", op]))[0].to_string();
    let (first, second) = (of_op("op-1"), of_op("op-3"));
    let view = audit("replay", data.path(), &["--until", &first, "--view"]).ok();
    for part in [
        &format!("session default after entry {first}"),
        "agent:alice (contributor)",
        "i-bob ACTIVE of agent:bob on a.py",
        "op-1 COMMITTED of agent:alice on a.py",
        "ACKED scope_overlap between agent:bob (i-bob) and agent:alice (i-alice)",
        "committed",
    ] {
        assert!(view.contains(part), "{part}: {view}");
    }
    assert!(!view.contains("op-3") && !view.contains('\u{1b}'), "{view}");
    let end = audit("replay", data.path(), &[]).ok();
    assert!(end.contains("i-bob WITHDRAWN") && end.contains("docs/b.md"), "{end}");
    let snapshot: Value =
        serde_json::from_str(&audit("replay", data.path(), &["--until", &first, "--json"]).ok()).unwrap();
    assert_eq!(
        (&snapshot["snapshot_version"], &snapshot["operations"][0]["op_id"]),
        (&json!(2), &json!("op-1"))
    );

    let files = tempdir().unwrap();
    for (until, a, b) in [(&first, "one\nsecret-content\n", None), (&second, "three\n", None)] {
        let to = files.path().join(until);
        audit("replay", data.path(), &["--until", until, "--files", to.to_str().unwrap()]).ok();
        assert_eq!(fs::read_to_string(to.join("a.py")).unwrap(), a);
        assert_eq!(fs::read_to_string(to.join("docs/b.md")).ok(), b);
    }
    let to = files.path().join("end");
    let said = audit("replay", data.path(), &["--files", to.to_str().unwrap()]).ok();
    assert!(said.starts_with("2 files written"), "{said}");
    assert_eq!(fs::read_to_string(to.join("docs/b.md")).unwrap(), "b\n");
    let (json, both) = (files.path().join("json"), ["--json", "--view"]);
    let said = audit("replay", data.path(), &["--json", "--files", json.to_str().unwrap()]);
    assert!(said.err.starts_with("2 files written"), "{}", said.err);
    let snapshot: Value = serde_json::from_str(&said.ok()).unwrap();
    assert_eq!(snapshot["snapshot_version"], 2);
    let refused = audit("replay", data.path(), &both);
    assert!(refused.code == Some(2) && refused.err.contains("cannot be used with"), "{}", refused.err);
    let again = audit("replay", data.path(), &["--files", to.to_str().unwrap()]).refused();
    assert!(again.contains("is there already"), "{again}");
    let beyond = audit("replay", data.path(), &["--until", "1000"]).refused();
    assert!(beyond.contains("entries; take a number up to that"), "{beyond}");
}

#[tokio::test]
async fn files_that_no_directory_can_hold_keep_the_others_from_nothing() {
    let (data, shared, elsewhere) = (tempdir().unwrap(), tempdir().unwrap(), tempdir().unwrap());
    fs::create_dir(shared.path().join("shop")).unwrap();
    fs::write(shared.path().join("shop/money.py"), "real").unwrap();
    let workspace = format!("--workspace={}", shared.path().display());
    let program = Program::start(data.path(), &[&workspace]);
    let (mut alice, _) = program.join("agent:alice").await;
    let long = "x".repeat(300);
    let names = [
        ("shop", ""),
        ("b.py", ""),
        ("b.py/c.py", ""),
        (".git/hooks/post-checkout", ""),
        (".hg/hgrc", ""),
        (&long, ""),
        ("build/x", ""),
        ("shop/money.py", "real"),
    ];
    for (n, (path, base)) in names.into_iter().enumerate() {
        commit(&mut alice, &format!("op-{n}"), path, base, "one").await;
        alice.until("OP_COMMIT").await;
    }
    program.kill();
    let written_to = |to: &str| {
        let to = elsewhere.path().join(to);
        let said = audit("replay", data.path(), &["--files", to.to_str().unwrap()]).ok();
        assert!(said.starts_with("3 files written"), "{said}");
        for name in ["shop/money.py", "b.py", "build/x"] {
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), "one");
        }
        for name in ["shop", "b.py/c.py", ".git/hooks/post-checkout", ".hg/hgrc", &long] {
            assert!(said.contains(&format!("in the log alone: {name:?}: ")), "{name}: {said}");
        }
        assert!(!to.join(".git").exists() && !to.join(".hg").exists());
    };
    written_to("at first");
    // Whoever takes it up is told of what was committed like of what was shared.
    Program::start(data.path(), &[&workspace]).kill();
    written_to("after a restart");
}

#[tokio::test]
async fn a_session_goes_on_from_every_entry_of_another() {
    covers!("REC-12");
    let data = workday().await;
    let log = fs::read(data.path().join("sessions/default/1/00000000000000000001.log")).unwrap();
    let last = shown(data.path(), &[]).len() as u64;
    let committed = numbers(&shown(data.path(), &["--op", "op-3"]))[0];
    for n in 1..=last {
        let fork = tempdir().unwrap();
        let until = n.to_string();
        let said =
            audit("fork", data.path(), &["--until", &until, "--into", fork.path().to_str().unwrap()]).ok();
        assert!(said.contains(&format!("after entry {n}")) && said.contains("mpac-ws --data-dir"), "{said}");
        let program = Program::start(fork.path(), &[]);
        let (mut carol, info) = program.join("agent:carol").await;
        assert_eq!(info["coordinator_epoch"], 2, "entry {n}");
        if n >= committed {
            carol.send(json!({"type": "FILE_READ", "path": "a.py"}).to_string()).await;
            assert_eq!(carol.until("FILE_CONTENT").await["content"], "three\n", "entry {n}");
        }
        commit(&mut carol, "op-carol", "new.py", "", "new").await;
        carol.until("OP_COMMIT").await;
        program.kill();
        let verified = audit("verify", fork.path(), &[]).ok();
        let sum = shown(data.path(), &["--since", &until, "--limit", "1"])[0]["checksum"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            verified.contains(&format!("begun from entry {n} of session default, checksum {sum}")),
            "{verified}"
        );
    }
    let after = fs::read(data.path().join("sessions/default/1/00000000000000000001.log")).unwrap();
    assert_eq!(after, log, "the old one is as it was");
}

#[tokio::test]
async fn a_fork_can_have_a_name_of_its_own_and_is_never_in_the_way_of_another() {
    let data = workday().await;
    let into = data.path().to_str().unwrap();
    let taken = audit("fork", data.path(), &["--into", into]).refused();
    assert!(taken.contains("not closed") && taken.contains("--as"), "{taken}");
    let said = audit("fork", data.path(), &["--into", into, "--as", "Next try"]).ok();
    assert!(said.contains("--session Next try"), "{said}");
    let program = Program::start(data.path(), &["--session", "Next try"]);
    let mut carol = program.connect("/").await;
    carol.session = "Next try".to_owned();
    let info = carol.hello("agent:carol").await;
    assert_eq!((&info["coordinator_epoch"], &info["session_id"]), (&json!(2), &json!("Next try")));
    let busy = audit("fork", data.path(), &["--session", "default", "--into", into, "--as", "x"]).refused();
    assert!(busy.contains("another server is running on it"), "{busy}");
    carol.say("SESSION_CLOSE", json!({"reason": "manual", "final_lamport_clock": 0})).await;
    drop(program);
    let origin = shown(data.path(), &["--session", "Next try", "--type", "fork"]);
    assert_eq!(origin[0]["origin"]["session"], "default");
    // What is no data directory does not become one.
    let files = tempdir().unwrap();
    fs::write(files.path().join("a.py"), "").unwrap();
    let no = audit("fork", data.path(), &["--session", "default", "--into", files.path().to_str().unwrap()])
        .refused();
    assert!(no.contains("it is there already"), "{no}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_closed_session_is_gone_on_from_before_its_end() {
    let data = tempdir().unwrap();
    let program = Program::start(
        data.path(),
        &["--session-config", r#"{"lifecycle":{"auto_close":true,"auto_close_grace_sec":0}}"#],
    );
    let (mut alice, _) = program.join("agent:alice").await;
    alice.announce("i-1", "a.py").await;
    alice.until("INTENT_ANNOUNCE").await;
    alice.say("INTENT_WITHDRAW", json!({"intent_id": "i-1"})).await;
    alice.until("SESSION_CLOSE").await;
    program.kill();
    let fork = tempdir().unwrap();
    let into = fork.path().to_str().unwrap();
    let closed = audit("fork", data.path(), &["--into", into]).refused();
    let withdrawn = numbers(&shown(data.path(), &["--type", "INTENT_WITHDRAW"]))[0];
    assert!(closed.contains(&format!("--until {withdrawn} is before that")), "{closed}");
    // There it is about to close. Before, it has something left to do.
    let until = (withdrawn - 1).to_string();
    audit("fork", data.path(), &["--into", into, "--until", &until]).ok();
    let program = Program::start(fork.path(), &[]);
    let (_, info) = program.join("agent:bob").await;
    assert_eq!(info["coordinator_epoch"], 2);
}
