//! What a verified session leaves behind proves who agreed to what, to somebody who was not there and has only public keys.

use std::fs;
use std::path::{Path, PathBuf};

use mpac_wire::StateRef;
use mpac_wire::transcript::Chain;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::people::{Authority, Person, Voice, outcome};
use super::{command, place};
use crate::audit_rig::{Said, audit};
use crate::covers;
use crate::program_rig::{Program, run};

const FLAGS: [&str; 2] = ["--security-profile=verified", r#"--role-policy={"default_role":"contributor"}"#];

/// A server that was there for two people, and what an auditor has.
struct Court {
    dir: TempDir,
    ann: Person,
    bob: Person,
    /// What Ann got and sent.
    kept: Vec<String>,
}

impl Court {
    fn new() -> Self {
        let dir = place();
        let authority = Authority::new("authority");
        fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
        let (ann, bob) = (authority.issue("agent:ann"), authority.issue("agent:bob"));
        Self { dir, ann, bob, kept: Vec::new() }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn start(&self) -> Program {
        let anchors = format!("--trust-anchors={}", self.dir.path().join("ca.pem").display());
        Program::start(&self.data(), &[&FLAGS[..], &[&anchors]].concat())
    }

    /// The keys file that names the coordinator by what a SESSION_INFO said.
    fn trust(&self, info: &Value) -> String {
        let own = &info["payload"]["security_config"]["coordinator_key_fingerprint"];
        let path = self.dir.path().join("keys.json");
        fs::write(&path, json!({"coordinator": [own], "trust_anchors": ["ca.pem"]}).to_string()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
}

async fn joined(program: &Program, person: &Person) -> (Voice, Value) {
    let mut voice = Voice::of(person, program.connect("/").await.counts_anew());
    let info = voice.hello(person.credential()).await;
    assert_eq!(outcome(&info), "SESSION_INFO", "{info}");
    (voice, info)
}

async fn commit(voice: &mut Voice, op: &str, intent: &str, before: &str, after: &str) {
    let (before, state_ref) = (StateRef::of(before), StateRef::of(after));
    let payload = json!({
        "op_id": op, "intent_id": intent, "target": "a.py", "op_kind": "replace",
        "state_ref_before": before.as_str(), "state_ref_after": state_ref.as_str(),
    });
    voice.say("OP_COMMIT", payload).await;
}

/// Everything up to a message of this type, that one too.
async fn hears(voice: &mut Voice, until: &str, kept: &mut Vec<String>) -> Value {
    loop {
        let frame = voice.client.next().await;
        kept.push(frame.to_string());
        if frame["message_type"] == until {
            return frame;
        }
    }
}

/// A day with a conflict, commits, another key of the coordinator's and a crash. Gives the keys file.
async fn day(court: &mut Court) -> String {
    let program = court.start();
    let (mut ann, info) = joined(&program, &court.ann).await;
    let keys = court.trust(&info);
    court.kept.push(info.to_string());
    let (mut bob, _) = joined(&program, &court.bob).await;
    ann.announce("i-ann", "a.py").await;
    hears(&mut ann, "INTENT_ANNOUNCE", &mut court.kept).await;
    bob.announce("i-bob", "a.py").await;
    let conflict =
        hears(&mut ann, "CONFLICT_REPORT", &mut court.kept).await["payload"]["conflict_id"].clone();
    ann.say("CONFLICT_ACK", json!({"conflict_id": conflict, "ack_type": "seen"})).await;
    hears(&mut ann, "CONFLICT_ACK", &mut court.kept).await;
    commit(&mut ann, "op-1", "i-ann", "", "one").await;
    hears(&mut ann, "OP_COMMIT", &mut court.kept).await;
    rotate(&court.data());
    hears(&mut ann, "COORDINATOR_STATUS", &mut court.kept).await;
    program.kill();
    let program = court.start();
    let (mut bob, _) = joined(&program, &court.bob).await;
    commit(&mut bob, "op-2", "i-bob", "one", "two").await;
    bob.client.until("OP_COMMIT").await;
    assert_eq!(program.stop(), Some(0));
    keys
}

fn rotate(data: &Path) {
    let said = run(&["signing-key", "rotate", "--data-dir", data.to_str().unwrap()]);
    assert!(said.status.success(), "{said:?}");
}

fn verify(keys: &str, flags: &[&str]) -> (Said, Value) {
    let output = run(&[&["audit", "verify", "--json", "--keys", keys], flags].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let said = Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    let report = serde_json::from_str(&said.out).unwrap_or_default();
    (said, report)
}

fn agreed(report: &Value) -> Vec<String> {
    let all = report["agreed"].as_array().unwrap().iter();
    all.map(|it| format!("{} {} {}", it["principal_id"], it["message_type"], it["verified"]).replace('"', ""))
        .collect()
}

#[tokio::test]
async fn a_session_proves_who_agreed_to_what() {
    covers!("SEC-25", "SEC-29", "SEC-32", "SEC-35", "D-127", "D-130");
    let mut court = Court::new();
    let keys = day(&mut court).await;
    let (data, bundle, kept) = (court.data(), court.path("bundle.json"), court.path("kept.jsonl"));
    fs::write(&kept, court.kept.join("\n")).unwrap();
    let said = audit("bundle", &data, &["--output", &bundle]).ok();
    assert!(said.contains("audit verify --keys FILE --bundle"), "{said}");
    let place = data.to_str().unwrap();
    for place in [["--bundle", bundle.as_str()], ["--data-dir", place]] {
        let (said, report) = verify(&keys, &[&place[..], &["--witness", &kept]].concat());
        assert_eq!(said.code, Some(0), "{} {report:#}", said.err);
        let expected =
            ["agent:ann CONFLICT_ACK true", "agent:ann OP_COMMIT true", "agent:bob OP_COMMIT true"];
        assert_eq!(agreed(&report), expected);
        assert_eq!(report["witnessed"], court.kept.len());
    }
    // For people.
    let lines =
        String::from_utf8(run(&["audit", "verify", "--keys", &keys, "--bundle", &bundle]).stdout).unwrap();
    for part in [
        "agent:bob commits a.py (op-2",
        "leads to a trust anchor",
        "took its place",
        "ok: everything that is signed verifies, and the coordinator said",
    ] {
        assert!(lines.contains(&part.replace("took", "takes")), "{part}: {lines}");
    }
    // Without keys it verifies as every log does.
    let plain = audit("verify", &data, &[]).ok();
    assert!(plain.starts_with("ok ") && plain.contains("seals, whose signatures --keys verifies"), "{plain}");
    // What somebody cut off shows by what Ann has kept: it was signed, and is not there.
    let text = fs::read_to_string(&bundle).unwrap();
    let mut short: Value = serde_json::from_str(&text).unwrap();
    short["transcript"]["log_chain"].as_array_mut().unwrap().truncate(5);
    fs::write(&bundle, short.to_string()).unwrap();
    let (said, report) = verify(&keys, &["--bundle", &bundle, "--witness", &kept]);
    assert_eq!(said.code, Some(1), "{report:#}");
    assert!(said.err.contains("things do not verify"), "{}", said.err);
    let found = report["findings"].to_string();
    for class in ["other_head", "missing_output", "withheld_message"] {
        assert!(found.contains(class), "{class}: {found}");
    }
}

#[tokio::test]
async fn the_transcript_of_a_verified_session_has_the_chain_of_its_messages() {
    covers!("SEC-29", "SES-20", "D-034", "D-130", "PRV-03");
    let mut court = Court::new();
    day(&mut court).await;
    let transcript: Value = serde_json::from_str(&audit("export", &court.data(), &[]).ok()).unwrap();
    let mut keys: Vec<&str> = transcript.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let eight = [
        "exported_at",
        "final_snapshot",
        "log_chain",
        "messages",
        "participants",
        "protocol_version",
        "security_profile",
        "session_id",
    ];
    assert_eq!(keys, eight);
    let links = transcript["log_chain"].as_array().unwrap();
    let messages = transcript["messages"].as_array().unwrap();
    assert_eq!(links.len(), messages.len());
    assert!(messages.iter().all(|it| it["signature"].is_string()));
    let mut chain = Chain::default();
    for link in links {
        assert!(chain.follow(&link.to_string()).is_ok());
        assert!(messages.contains(&link["envelope"]));
    }
    // One byte of one entry.
    for (n, link) in links.iter().enumerate() {
        let mut chain = Chain::default();
        let changed = |at: usize, it: &Value| {
            if at == n { it.to_string().replacen("\"payload\"", "\"paylord\"", 1) } else { it.to_string() }
        };
        let broken = links.iter().enumerate().find_map(|(at, it)| chain.follow(&changed(at, it)).err());
        assert_eq!(broken.unwrap().seq, n as u64 + 1, "{link}");
    }
    let redacted = audit("export", &court.data(), &["--redact"]);
    assert!(redacted.err.contains("cannot be verified"), "{}", redacted.err);
    assert!(!redacted.ok().contains("log_chain"));
    // Without the key nothing can be signed again.
    fs::rename(court.data().join("signing-keys"), court.data().join("elsewhere")).unwrap();
    let refused = audit("export", &court.data(), &[]).refused();
    assert!(refused.contains("signing-key.pem") && refused.contains("--signing-key"), "{refused}");
    audit("export", &court.data(), &["--redact"]).ok();
}

#[tokio::test]
async fn in_the_open_profile_there_is_nothing_to_prove() {
    let data = crate::audit_rig::workday().await;
    let to = data.path().join("bundle.json");
    let refused = audit("bundle", data.path(), &["--output", to.to_str().unwrap()]).refused();
    assert!(refused.contains("nothing is signed"), "{refused}");
    assert!(!to.exists());
    let keys = data.path().join("keys.json");
    fs::write(&keys, r#"{"coordinator":["sha256:00"]}"#).unwrap();
    let (said, _) = verify(keys.to_str().unwrap(), &["--data-dir", data.path().to_str().unwrap()]);
    assert!(said.refused().contains("64 hexadecimal digits"));
    fs::write(&keys, json!({"coordinator": [format!("sha256:{}", "0".repeat(64))]}).to_string()).unwrap();
    let (said, _) = verify(keys.to_str().unwrap(), &["--data-dir", data.path().to_str().unwrap()]);
    assert!(said.refused().contains("nothing can be proven"));
}

#[tokio::test]
async fn an_authenticated_session_is_sealed_too() {
    covers!("SEC-35");
    let data = place();
    let secret = super::secret(&command(data.path(), &["token", "add", "agent:bob"]).unwrap());
    let flags = ["--security-profile=authenticated", FLAGS[1]];
    let program = Program::start(data.path(), &flags);
    let mut bob = program.connect("/").await;
    let info = bob.hello_with("agent:bob", json!({"type": "api_key", "value": secret})).await;
    assert_eq!(outcome(&info), "SESSION_INFO", "{info}");
    crate::files::commit(&mut bob, "op-1", "a.py", "", "one").await;
    bob.until("OP_COMMIT").await;
    program.stop();
    let seals = crate::audit_rig::shown(data.path(), &["--type", "seal"]);
    assert!(seals.len() >= 2, "{seals:?}");
    assert!(seals[0]["what"].as_str().unwrap().contains("sealed by sha256:"), "{seals:?}");
    let own = &info["payload"]["security_config"]["coordinator_key_fingerprint"];
    let keys = data.path().join("trusted.json");
    fs::write(&keys, json!({"coordinator": [own]}).to_string()).unwrap();
    let (said, report) = verify(keys.to_str().unwrap(), &["--data-dir", data.path().to_str().unwrap()]);
    assert_eq!(said.code, Some(0), "{} {report:#}", said.err);
    assert_eq!(report["seals"]["good"], seals.len());
    assert_eq!(agreed(&report), ["agent:bob OP_COMMIT false"], "he has not signed it");
    let to = data.path().join("bundle.json");
    audit("bundle", data.path(), &["--output", to.to_str().unwrap()]).ok();
    let lines = run(&["audit", "verify", "--keys", keys.to_str().unwrap(), "--bundle", to.to_str().unwrap()]);
    let lines = String::from_utf8(lines.stdout).unwrap();
    assert!(lines.contains("NOT SIGNED") && lines.contains("the coordinator's word alone"), "{lines}");
    assert!(!fs::read_to_string(&to).unwrap().contains(&secret), "the key is nowhere");
}
