//! A session as two people leave it behind, in the log of a server that was killed, and questions about it.

use std::path::Path;

use mpac_wire::StateRef;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::files::commit;
use crate::program_rig::{Program, run};
use crate::rig::Client;

/// What people wrote, and nobody else: each is planted where the name says.
pub(crate) const WORDS: [&str; 5] =
    ["secret-objective", "secret-assumption", "secret-reason", "secret-content", "secret-summary"];

/// What `mpac-ws audit` said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `mpac-ws audit COMMAND --data-dir DATA ...`.
pub(crate) fn audit(command: &str, data: &Path, flags: &[&str]) -> Said {
    let output = run(&[&["audit", command, "--data-dir", data.to_str().unwrap()], flags].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    /// What it wrote, when all went well.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// Its one line of complaint, when it was asked for something impossible.
    pub(crate) fn refused(self) -> String {
        assert_eq!(self.code, Some(2), "{}", self.err);
        assert_eq!((self.err.lines().count(), self.out.as_str()), (1, ""), "{}", self.err);
        self.err
    }
}

/// The entries that `audit show --json` finds.
pub(crate) fn shown(data: &Path, flags: &[&str]) -> Vec<Value> {
    let said = audit("show", data, &[&["--json"], flags].concat()).ok();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The numbers of entries.
pub(crate) fn numbers(entries: &[Value]) -> Vec<u64> {
    entries.iter().map(|entry| entry["n"].as_u64().unwrap()).collect()
}

/// The data directory of a server that two people worked on until it was killed: Alice takes a.py, Bob wants it as well,
/// commits too late, then on top of hers; in the end both have ended what they were about.
pub(crate) async fn workday() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let program = Program::start(data.path(), &[]);
    let (mut alice, _) = program.join("agent:alice").await;
    let (mut bob, _) = program.join("agent:bob").await;
    intend(&mut alice, "i-alice", "a.py", "fix the \u{1b}[31mtax: secret-objective").await;
    alice.until("INTENT_ANNOUNCE").await;
    intend(&mut bob, "i-bob", "a.py", "round it").await;
    let conflict = alice.until("CONFLICT_REPORT").await["payload"]["conflict_id"].clone();
    alice.say("CONFLICT_ACK", json!({"conflict_id": conflict, "ack_type": "seen"})).await;
    alice.until("CONFLICT_ACK").await;
    change(&mut alice, "i-alice", "op-1", "", "one\nsecret-content\n").await;
    alice.until("OP_COMMIT").await;
    change(&mut bob, "i-bob", "op-2", "", "two").await;
    bob.until("PROTOCOL_ERROR").await;
    change(&mut bob, "i-bob", "op-3", "one\nsecret-content\n", "three\n").await;
    bob.until("OP_COMMIT").await;
    commit(&mut bob, "op-4", "docs/b.md", "", "b\n").await;
    bob.until("OP_COMMIT").await;
    withdraw(&mut alice, "i-alice").await;
    withdraw(&mut bob, "i-bob").await;
    alice.say("HEARTBEAT", json!({"status": "idle", "summary": "secret-summary"})).await;
    alice.is_alive().await;
    program.kill();
    data
}

/// Announces an intent in words of its own.
pub(crate) async fn intend(client: &mut Client, id: &str, file: &str, objective: &str) {
    let scope = json!({"kind": "file_set", "resources": [file]});
    let payload = json!({
        "intent_id": id, "objective": objective, "scope": scope, "assumptions": ["secret-assumption"],
    });
    client.say("INTENT_ANNOUNCE", payload).await;
}

/// Commits a.py under an intent.
async fn change(client: &mut Client, intent: &str, op: &str, before: &str, after: &str) {
    let (before, after_ref) = (StateRef::of(before), StateRef::of(after));
    let payload = json!({
        "op_id": op, "intent_id": intent, "target": "a.py", "op_kind": "replace",
        "state_ref_before": before.as_str(), "state_ref_after": after_ref.as_str(), "summary": "secret-summary",
        "file_changes": {"a.py": {"content": after, "state_ref_before": before.as_str()}},
    });
    client.say("OP_COMMIT", payload).await;
}

/// Withdraws it, and waits until everybody knows.
pub(crate) async fn withdraw(client: &mut Client, id: &str) {
    client.say("INTENT_WITHDRAW", json!({"intent_id": id, "reason": "secret-reason"})).await;
    client.until("INTENT_WITHDRAW").await;
}
