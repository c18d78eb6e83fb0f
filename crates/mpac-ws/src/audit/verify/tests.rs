//! Long logs. With `MPAC_AUDIT_ENTRIES=1000000` the log is that long, and with `MPAC_AUDIT_DIR=DIR` it stays in that data
//! directory: `cargo test --release -p mpac-ws --lib long_log -- --nocapture` is how the speed is measured.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use mpac_core::{ConnId, Coordinator, Input, Peer, SessionConfig};
use mpac_wire::{SessionId, StateRef, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::cli::audit::Audit;
use crate::cli::{Command, Settings};
use crate::store::Durability;
use crate::store::entry::{Happened, Start};
use crate::store::log::Log;
use crate::store::media::Files;

/// Agents at work.
const AGENTS: u64 = 8;
/// Files that they work on.
const FILES: u64 = 200;
/// Entries written at once.
const BATCH: usize = 256;
/// Microseconds between two messages.
const PACE: i64 = 2_000;

/// Agents that announce, commit and withdraw, one after the other, for as long as anybody listens.
struct Agents {
    lamport: u64,
    count: u64,
    /// What each is at.
    at: [u64; AGENTS as usize],
    contents: Vec<String>,
}

impl Agents {
    fn new() -> Self {
        Self { lamport: 0, count: 0, at: [0; AGENTS as usize], contents: vec![String::new(); FILES as usize] }
    }

    /// The connection that speaks next, and what it says.
    fn next(&mut self) -> (u64, String) {
        let agent = self.count % AGENTS;
        let round = self.at[agent as usize];
        self.at[agent as usize] += 1;
        let (kind, payload) = if round == 0 {
            ("HELLO", json!({"display_name": "a", "roles": ["contributor"], "capabilities": []}))
        } else {
            self.work(agent, round - 1)
        };
        self.count += 1;
        self.lamport += 1;
        let envelope = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": kind, "message_id": format!("m-{}", self.count),
            "session_id": "default", "ts": "2026-01-02T03:04:05Z", "payload": payload,
            "sender": {
                "principal_id": format!("agent:{agent}"), "principal_type": "agent", "sender_instance_id": format!("{agent}:1"),
            },
            "watermark": {"kind": "lamport_clock", "value": self.lamport},
        });
        (agent, envelope.to_string())
    }

    fn work(&mut self, agent: u64, step: u64) -> (&'static str, Value) {
        let task = step / 4;
        let intent = format!("i-{agent}-{task}");
        // Mostly files of its own. Every hundredth task is everybody's: they find that out, and all step back.
        let shared = task.is_multiple_of(100);
        let file = if shared { 0 } else { agent + AGENTS * (task % (FILES / AGENTS)) };
        let target = format!("src/file_{file}.py");
        match step % 4 {
            0 => {
                let scope = json!({"kind": "file_set", "resources": [target]});
                ("INTENT_ANNOUNCE", json!({"intent_id": intent, "objective": "change it", "scope": scope}))
            }
            1 if !shared => {
                let before = StateRef::of(&self.contents[file as usize]);
                let content = format!("# {agent} {task}\n{}", "x = 1\n".repeat(50));
                let after = StateRef::of(&content);
                let payload = json!({
                    "op_id": format!("op-{agent}-{task}"), "intent_id": intent, "target": target, "op_kind": "replace",
                    "state_ref_before": before, "state_ref_after": after,
                    "file_changes": {target: {"content": content, "state_ref_before": before}},
                });
                self.contents[file as usize] = content;
                ("OP_COMMIT", payload)
            }
            2 => ("INTENT_WITHDRAW", json!({"intent_id": intent, "reason": "done"})),
            _ => ("HEARTBEAT", json!({"status": "working"})),
        }
    }
}

/// Writes a log of so many entries the way a session does.
fn write(dir: PathBuf, entries: usize) {
    fs::create_dir_all(&dir).unwrap();
    let mut log = Log::create(Box::new(Files::new(dir)), Durability::None).unwrap();
    if entries < 100_000 {
        log = log.with_segments_of(256 * 1024);
    }
    let mut config = SessionConfig::new(SessionId::new("default").unwrap());
    config.workspace = Some([].into());
    let mut now = Timestamp::from_micros(1_700_000_000_000_000);
    let start = Start::new(&config, 7, now).unwrap();
    let mut core: Coordinator = start.open().unwrap();
    let mut waiting = vec![Entry::Open(start)];
    let mut agents = Agents::new();
    for _ in 1..entries {
        let (conn, text) = agents.next();
        let record = core.stamp(now, Input::Frame { from: Peer::unproven(ConnId(conn)), text: text.into() });
        let step = core.apply(&record).unwrap();
        waiting.push(Entry::Input(Happened::new(&record, step.digest()).unwrap()));
        now = Timestamp::from_micros(now.micros() + PACE);
        if waiting.len() == BATCH {
            log.append(&waiting).unwrap();
            waiting.clear();
        }
    }
    log.append(&waiting).unwrap();
    log.finish().unwrap();
}

fn verify_at(data: &str) -> String {
    let settings = Settings::try_parse_from(["mpac-ws", "audit", "verify", "--data-dir", data]).unwrap();
    let Some(Command::Audit(asked)) = settings.command else { panic!() };
    let Audit::Verify(options) = *asked else { panic!() };
    let mut out = Vec::new();
    verify(&options, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Bytes of all segments.
fn bytes(session: &Path) -> u64 {
    let files = fs::read_dir(session).unwrap().map(Result::unwrap);
    let segments = files.filter(|file| file.path().extension().is_some_and(|it| it == "log"));
    segments.map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn a_long_log_verifies_in_reasonable_time() {
    let entries: usize = env::var("MPAC_AUDIT_ENTRIES").map_or(3_000, |text| text.parse().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let data = env::var("MPAC_AUDIT_DIR").map_or_else(|_| temporary.path().to_owned(), PathBuf::from);
    let session = data.join("sessions/default/1");
    write(session.clone(), entries);
    let began = Instant::now();
    let told = verify_at(data.to_str().unwrap());
    let (took, bytes) = (began.elapsed().as_secs_f64(), bytes(&session));
    let per_second = entries as f64 / took;
    println!("{entries} entries, {bytes} bytes: {took:.1} s, {per_second:.0} entries/s\n{told}");
    assert!(told.starts_with("ok ") && told.contains(&format!("{entries} entries")), "{told}");
    let segments = fs::read_dir(&session).unwrap().count();
    assert!(segments > 1, "its segments are read one after the other: {segments}");
    let of_commits = bytes / entries as u64;
    assert!(of_commits > 500, "everybody works: {of_commits} bytes an entry");
}
