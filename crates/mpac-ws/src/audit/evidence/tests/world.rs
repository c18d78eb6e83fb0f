//! A verified session as a server writes it down, with keys and times that are always the same: two people with certificates, who
//! overlap, settle it, commit, and go on with other keys.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use mpac_core::config::{CredentialRoles, Sight};
use mpac_core::{
    Command, ConnId, Coordinator, Identity, Input, Output, Peer, SessionConfig, ShownKey, Signed,
};
use mpac_wire::names::{CredentialType, Role, SecurityProfile};
use mpac_wire::signature::signed_bytes;
use mpac_wire::{PrincipalId, PublicKey, SessionId, StateRef, Timestamp};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType,
    SerialNumber,
};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::PROGRAM;
use crate::audit::which::Which;
use crate::signing::{self, Signing, Verifying};
use crate::store::Durability;
use crate::store::entry::{Entry, Happened, Repaired, Start};
use crate::store::kept::Kept;
use crate::store::log::Log;
use crate::store::media::Files;
use crate::store::seal::Sealer;
use crate::store::snapshot::Saved;

/// Seeds of keys: the coordinator's, its next one, the authority's.
pub(super) const OWN: u8 = 200;
pub(super) const OWN_2: u8 = 201;
const AUTHORITY: u8 = 100;
/// Where it begins.
const BEGIN: &str = "2026-01-02T03:04:05Z";

pub(super) fn signing(n: u8) -> Arc<Signing> {
    Arc::new(Signing::of_seed(&[n; 32]).unwrap())
}

pub(super) fn public(n: u8) -> PublicKey {
    signing(n).public().clone()
}

/// PKCS#8, as `openssl genpkey` writes it.
fn pair(n: u8) -> KeyPair {
    const FRONT: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = [&FRONT[..], &[n; 32]].concat();
    KeyPair::try_from(&PrivatePkcs8KeyDer::from(der)).unwrap()
}

fn params(n: u8, name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(u64::from(n)));
    params.not_before = rcgen::date_time_ymd(2025, 1, 1);
    params.not_after = rcgen::date_time_ymd(2125, 1, 1);
    params
}

fn authority() -> CertificateParams {
    let mut params = params(AUTHORITY, "test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// The certificate of the authority, in PEM.
pub(super) fn anchor() -> String {
    authority().self_signed(&pair(AUTHORITY)).unwrap().pem().replace("\r\n", "\n")
}

/// The certificate of `name` for key `n`.
fn certificate(name: &str, n: u8) -> String {
    certificate_until(name, n, rcgen::date_time_ymd(2125, 1, 1))
}

/// The same that is over at this time.
pub(super) fn certificate_until(name: &str, n: u8, until: time::OffsetDateTime) -> String {
    let mut params = params(n, name);
    params.not_after = until;
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(name).unwrap())];
    let issuer = Issuer::new(authority(), pair(AUTHORITY));
    params.signed_by(&pair(n), &issuer).unwrap().pem().replace("\r\n", "\n")
}

/// A message with the signature of key `n`.
pub(super) fn signed(mut message: Value, n: u8) -> String {
    let text = message.to_string();
    message["signature"] = signing(n).over(signed_bytes(&text).unwrap().as_bytes()).to_string().into();
    message.to_string()
}

fn conn(name: &str) -> ConnId {
    ConnId(u64::from(name.bytes().next_back().unwrap()))
}

fn principal(name: &str) -> PrincipalId {
    PrincipalId::new(name).unwrap()
}

/// Contributors see nothing of others' words.
fn limit(config: &mut SessionConfig) {
    config.visibility.by_role.insert(Role::Contributor, Sight::NoWords);
}

/// A session that is written down.
pub(super) struct World {
    pub(super) data: TempDir,
    config: SessionConfig,
    core: Coordinator,
    log: Log,
    pub(super) now: Timestamp,
    lamport: u64,
    /// Every message, as each participant was sent it.
    pub(super) heard: Vec<String>,
    /// What the coordinator's host says of signatures instead of what it finds, once.
    pub(super) lie: Option<Signed>,
    /// Until when the host says that a credential is good.
    pub(super) ends: Option<Timestamp>,
    key: u8,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| ())
    }

    /// One that is configured otherwise.
    pub(super) fn with(change: impl FnOnce(&mut SessionConfig)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let dir = data.path().join("sessions/default/1");
        fs::create_dir_all(&dir).unwrap();
        fs::write(data.path().join("signing-key.pem"), pair(OWN).serialize_pem()).unwrap();
        let id = SessionId::new("default").unwrap();
        let mut config = SessionConfig::new(id.clone());
        config.security_profile = SecurityProfile::Verified;
        config.coordinator_key = Some(public(OWN));
        config.role_policy = Some(
            serde_json::from_str(
                r#"{"default_role":"contributor","role_assignments":{"agent:carol":["owner"]}}"#,
            )
            .unwrap(),
        );
        config.credential_roles = CredentialRoles::Limit;
        config.workspace = Some([].into());
        change(&mut config);
        let now = Timestamp::parse(BEGIN).unwrap();
        let start = Start::new(&config, 7, now).unwrap();
        let core = start.open().unwrap();
        let log = Log::create(Box::new(Files::new(dir)), Durability::Os).unwrap();
        let mut log = log.sealed_by(Some(Sealer::new(id, signing(OWN))));
        log.append(&[Entry::Open(start)]).unwrap();
        Self { data, config, core, log, now, lamport: 0, heard: Vec::new(), lie: None, ends: None, key: OWN }
    }

    /// Time goes by.
    pub(super) fn wait(&mut self, sec: i64) {
        self.now = Timestamp::from_micros(self.now.micros() + sec * 1_000_000);
    }

    /// Where it is.
    pub(super) fn which(&self) -> Which {
        let dir = self.dir();
        Which { data: self.data.path().to_owned(), dir, id: "default".to_owned(), run: 1 }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.data.path().join("sessions/default/1")
    }

    /// An input, written down; what everybody hears is signed.
    pub(super) fn apply(&mut self, input: Input) -> Vec<Output> {
        self.now = Timestamp::from_micros(self.now.micros() + 1_000_000);
        let record = self.core.stamp(self.now, input);
        let step = self.core.apply(&record).unwrap();
        self.log.append(&[Entry::Input(Happened::new(&record, step.digest()).unwrap())]).unwrap();
        for output in &step.outputs {
            match output {
                Output::Send { envelope, .. } => {
                    let mut envelope = envelope.clone();
                    let signed = signing(self.key).sign(&mut envelope);
                    assert!(signed.is_ok() || self.config.security_profile != SecurityProfile::Verified);
                    self.heard.push(envelope.to_json());
                }
                Output::Relay { text, .. } => self.heard.push(text.to_string()),
                Output::Notice(mpac_core::Notice::CoordinatorKey { .. }) => self.key = OWN_2,
                _ => {}
            }
        }
        step.outputs
    }

    /// What `name` says on its connection, as a text to be signed.
    pub(super) fn message(&mut self, name: &str, message_type: &str, payload: Value) -> Value {
        self.lamport += 100;
        json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": message_type,
            "message_id": format!("{name}-{}", self.lamport), "session_id": "default",
            "ts": Timestamp::from_micros(self.now.micros() + 1_000_000).to_string(), "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": self.lamport},
            "sender": {"principal_id": name, "principal_type": "agent", "sender_instance_id": format!("{name}:1")},
        })
    }

    /// `name` says something and signs it with key `n`.
    pub(super) fn say(&mut self, (name, n): (&str, u8), message_type: &str, payload: Value) -> Vec<Output> {
        let message = self.message(name, message_type, payload);
        self.frame(name, &signed(message, n))
    }

    /// A frame that comes on the connection of `name`.
    pub(super) fn frame(&mut self, name: &str, text: &str) -> Vec<Output> {
        let envelope: Value = serde_json::from_str(text).unwrap();
        let conn = conn(name);
        let certified = envelope["message_type"] == "HELLO";
        let view = self.core.view();
        let keys: Vec<PublicKey> = (1..10).map(public).collect();
        let signature = envelope["signature"].as_str();
        let found = signing::verify(text, signature, |key| {
            let of_hello = keys.iter().find(|it| certified && it.fingerprint() == *key);
            of_hello.or_else(|| view.key(key)).cloned().map(Verifying::Ed25519)
        });
        let found = match found {
            Signed::Good { key, .. } if certified => {
                let public = keys.iter().find(|it| it.fingerprint() == key).unwrap().clone();
                Signed::Good { key, shown: Some(ShownKey::ed25519(principal(name), public)) }
            }
            found => found,
        };
        let identity = if certified {
            Identity::Proven {
                principal: principal(name),
                method: CredentialType::X509Chain,
                issuer: None,
                roles: Some(vec![Role::Owner, Role::Arbiter, Role::Contributor]),
                expires_at: self.ends,
            }
        } else {
            Identity::Unproven
        };
        let peer = Peer::new(conn, identity).signed(self.lie.take().unwrap_or(found));
        self.apply(Input::Frame { from: peer, text: text.into() })
    }

    /// The connection of `name` breaks.
    pub(super) fn leave(&mut self, name: &str) {
        self.apply(Input::Disconnect { conn: conn(name) });
    }

    /// `name` joins with a certificate for key `n`.
    pub(super) fn join(&mut self, name: &str, n: u8) -> Vec<Output> {
        self.join_with(name, n, &certificate(name, n))
    }

    pub(super) fn join_with(&mut self, name: &str, n: u8, certificate: &str) -> Vec<Output> {
        let payload = json!({
            "display_name": name, "roles": ["owner", "arbiter", "contributor"], "capabilities": [],
            "credential": {"type": "x509_chain", "value": certificate},
        });
        self.say((name, n), "HELLO", payload)
    }

    pub(super) fn announce(&mut self, who: (&str, u8), intent: &str) -> Vec<Output> {
        let scope = json!({"kind": "file_set", "resources": ["größe.py"]});
        self.say(
            who,
            "INTENT_ANNOUNCE",
            json!({"intent_id": intent, "objective": "1e3 things", "scope": scope}),
        )
    }

    pub(super) fn commit(&mut self, who: (&str, u8), op: &str, before: &str, after: &str) -> Vec<Output> {
        let (before, after_ref) = (StateRef::of(before), StateRef::of(after));
        let payload = json!({
            "op_id": op, "intent_id": format!("i-{}", who.0), "target": "größe.py", "op_kind": "replace",
            "state_ref_before": before.as_str(), "state_ref_after": after_ref.as_str(),
            "file_changes": {"größe.py": {"content": after, "state_ref_before": before.as_str()}},
        });
        self.say(who, "OP_COMMIT", payload)
    }

    /// `who` goes on with key `next`.
    pub(super) fn rotate(&mut self, who: (&str, u8), next: u8) -> Vec<Output> {
        let key = public(next);
        let rotation =
            json!({"new_key_fingerprint": key.fingerprint().to_string(), "public_key": key.to_string()});
        self.say(who, "HEARTBEAT", json!({"status": "working", "extensions": {"key_rotation": rotation}}))
    }

    /// The coordinator goes on with its second key, of which its files know.
    pub(super) fn rotate_own(&mut self) {
        let old = self.data.path().join("signing-keys");
        fs::create_dir_all(&old).unwrap();
        let name = format!("{}.pem", &public(OWN).fingerprint().to_string()["sha256:".len()..]);
        fs::write(old.join(name), pair(OWN).serialize_pem()).unwrap();
        fs::write(self.data.path().join("signing-key.pem"), pair(OWN_2).serialize_pem()).unwrap();
        self.apply(Input::Command(Command::RotateKey(public(OWN_2))));
        self.log.sealer().unwrap().switch(signing(OWN_2));
    }

    /// The server was stopped, and another has begun.
    pub(super) fn take_up(&mut self) {
        self.wait(1);
        let mut config = self.config.clone();
        config.coordinator_key = Some(public(self.key));
        let start = Start::new(&config, 8, self.now).unwrap();
        self.core = start.take_up(&self.core).unwrap();
        self.log.append(&[Entry::TakeUp(start)]).unwrap();
    }

    /// The server takes leave.
    pub(super) fn hand_over(&mut self) {
        let successor = principal("service:coordinator-default");
        self.apply(Input::Command(Command::HandOver { successor, next_epoch: self.core.epoch() + 1 }));
    }

    /// It hears that another server has the session, under this epoch.
    pub(super) fn fence(&mut self, epoch: u64) {
        self.apply(Input::Command(Command::Fence { epoch }));
    }

    pub(super) fn epoch(&self) -> u64 {
        self.core.epoch()
    }

    /// The end of the log was damaged, and somebody has cut it off after a while.
    pub(super) fn repair(&mut self) {
        self.wait(60);
        let repaired = Repaired {
            at: self.now,
            program: PROGRAM.to_owned(),
            damage: "a bit is another one".to_owned(),
            way: "cut".to_owned(),
            after: self.log.end().n,
            lost: 7,
            aside: "1.damaged-then".to_owned(),
        };
        self.log.append(&[Entry::Repaired(repaired)]).unwrap();
    }

    /// An everyday session: what the fixture is made of.
    pub(super) fn day() -> Self {
        let mut world = Self::new();
        world.join("agent:alice", 1);
        world.join("agent:bob", 2);
        world.join("agent:carol", 4);
        world.announce(("agent:alice", 1), "i-agent:alice");
        let outputs = world.announce(("agent:bob", 2), "i-agent:bob");
        let conflict = outputs.iter().find_map(|output| match output {
            Output::Send { envelope, .. } if envelope.message_type.as_str() == "CONFLICT_REPORT" => {
                Some(serde_json::from_str::<Value>(envelope.payload.get()).unwrap()["conflict_id"].clone())
            }
            _ => None,
        });
        let conflict = conflict.unwrap();
        for who in [("agent:alice", 1), ("agent:bob", 2)] {
            world.say(who, "CONFLICT_ACK", json!({"conflict_id": conflict, "ack_type": "seen"}));
        }
        world.commit(("agent:alice", 1), "op-1", "", "eins\n");
        world.rotate(("agent:bob", 2), 3);
        world.rotate_own();
        let resolution = json!({
            "resolution_id": "r-1", "conflict_id": conflict, "decision": "dismissed", "rationale": "we talked",
        });
        world.say(("agent:carol", 4), "RESOLUTION", resolution);
        world.commit(("agent:bob", 3), "op-2", "eins\n", "zwei\n");
        // Too late, and refused.
        world.commit(("agent:alice", 1), "op-3", "", "drei\n");
        world
    }

    /// A session in which contributors are not shown people's words, with a conflict of which the owner is told too.
    pub(super) fn limited() -> Self {
        let mut world = Self::with(limit);
        world.join("agent:alice", 1);
        world.join("agent:bob", 2);
        world.overlap_before_carol();
        world.rotate_own();
        world
    }

    /// The owner joins, and two of whom each works on what the other does.
    pub(super) fn overlap_before_carol(&mut self) {
        self.join("agent:carol", 4);
        for who in [("agent:alice", 1), ("agent:bob", 2)] {
            self.announce(who, &format!("i-2-{}", who.0));
        }
    }

    /// A session of which only what came after the two had joined is kept.
    pub(super) fn without_its_beginning() -> Self {
        Self::new().begun_before()
    }

    /// The same of one in which some see less.
    pub(super) fn limited_without_its_beginning() -> Self {
        Self::with(limit).begun_before()
    }

    fn begun_before(self) -> Self {
        let mut world = self;
        // A segment for each record.
        world.log = world.log.with_segments_of(1);
        world.join("agent:alice", 1);
        world.join("agent:bob", 2);
        let mark = world.log.position().unwrap().unwrap();
        assert!(mark.begins);
        let (after, dir) = (mark.after.n, world.dir());
        let kept = Kept::new(world.config.clone());
        Saved::new(mark.after, &world.core, &kept).unwrap().write(&dir, true).unwrap();
        for first in 1..=after {
            let segment = dir.join(format!("{first:020}.log"));
            if segment.exists() {
                fs::remove_file(segment).unwrap();
            }
        }
        let begins = json!({"after": after, "at": BEGIN, "why": "kept no longer"});
        fs::write(dir.join("begins"), format!("{begins}\n")).unwrap();
        world.announce(("agent:alice", 1), "i-agent:alice");
        world.commit(("agent:alice", 1), "op-1", "", "eins\n");
        world
    }

    /// Two people at work, each on a file of their own, until so many entries are written.
    pub(super) fn busy(entries: u64) -> Self {
        let mut world = Self::new();
        let people = [("agent:alice", 1), ("agent:bob", 2)];
        people.iter().for_each(|(name, n)| drop(world.join(name, *n)));
        let mut contents = [String::new(), String::new()];
        let mut round = 0;
        while world.log.end().n < entries {
            for (at, who) in people.into_iter().enumerate() {
                let (intent, target) = (format!("i-{at}-{round}"), format!("src/{at}.py"));
                let scope = json!({"kind": "file_set", "resources": [target]});
                world.say(
                    who,
                    "INTENT_ANNOUNCE",
                    json!({"intent_id": intent, "objective": "work", "scope": scope}),
                );
                let after = format!("# {round}\n{}", "x = 1\n".repeat(50));
                let (before, state_ref) = (StateRef::of(&contents[at]), StateRef::of(&after));
                let commit = json!({
                    "op_id": format!("op-{at}-{round}"), "intent_id": intent, "target": target, "op_kind": "replace",
                    "state_ref_before": before.as_str(), "state_ref_after": state_ref.as_str(),
                    "file_changes": {target: {"content": after, "state_ref_before": before.as_str()}},
                });
                world.say(who, "OP_COMMIT", commit);
                contents[at] = after;
                world.say(who, "INTENT_WITHDRAW", json!({"intent_id": intent, "reason": "done"}));
            }
            round += 1;
            world.heard.clear();
        }
        world
    }

    /// Ends the log as a server does.
    pub(super) fn end(mut self) -> Ended {
        let seal = self.log.position().unwrap();
        assert!(seal.is_some());
        self.log.finish().unwrap();
        Ended { data: self.data, heard: self.heard }
    }
}

/// A session that nobody writes to any more.
pub(super) struct Ended {
    pub(super) data: TempDir,
    pub(super) heard: Vec<String>,
}
