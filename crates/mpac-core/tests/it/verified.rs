//! The verified profile: who signs what, by which key, and what that is worth. Whether a signature fits is the host's to
//! find out; here the host is this test.

use mpac_core::{
    ConfigError, Coordinator, IdSource, Identity, Input, Remark, SessionConfig, ShownKey, Signed,
};
use mpac_wire::names::{CredentialType, ErrorCode, Role, SecurityProfile};
use mpac_wire::payload::{
    Goodbye, Heartbeat, OpBatchCommit, ParticipantKey, ParticipantKeys, Resolution, SessionInfo,
};
use mpac_wire::{
    Credential, Envelope, Fingerprint, Message, PrincipalId, PublicKey, Secret, Timestamp, Watermark,
};

use crate::covers;
use crate::world::{Delivery, World, commit_payload, error, heard};

pub(crate) fn key(n: u8) -> PublicKey {
    PublicKey::new(&[n; 32])
}

/// The coordinator's.
pub(crate) const OWN: u8 = 200;

pub(crate) fn config() -> SessionConfig {
    let mut config = crate::authenticated::config();
    config.security_profile = SecurityProfile::Verified;
    config.coordinator_key = Some(key(OWN));
    config
}

fn proven(name: &str, method: CredentialType) -> Identity {
    Identity::Proven { principal: name.parse().unwrap(), method, issuer: None, roles: None, expires_at: None }
}

fn chain() -> Credential {
    Credential::new(CredentialType::X509Chain, Secret::new("-----BEGIN CERTIFICATE-----"))
}

/// `name` comes with a certificate for a key, and signs with it.
pub(crate) fn join(world: &mut World, name: &str, n: u8) -> Vec<Delivery> {
    world.keys.insert(name.to_owned(), key(n));
    let conn = world.connect(name);
    world.identities.insert(conn, proven(name, CredentialType::X509Chain));
    let roles: &[Role] = if name == "ada" { &[Role::Owner, Role::Arbiter] } else { &[Role::Contributor] };
    let participant = World::participant_with(name, 1, roles, Some(chain()));
    world.people.insert(name.to_owned(), (conn, participant));
    world.hello(name)
}

pub(crate) fn court(names: &[(&str, u8)]) -> World {
    let mut world = World::with(config());
    for (name, n) in names {
        assert_eq!(heard(&join(&mut world, name, *n), name), ["SESSION_INFO", "PARTICIPANT_KEYS"]);
    }
    world
}

/// What `who` was told of keys.
pub(crate) fn told(deliveries: &[Delivery], who: &str) -> Vec<(String, PublicKey, Option<Timestamp>)> {
    let messages = deliveries.iter().filter(|delivery| delivery.to == who);
    let keys = messages.filter_map(|delivery| ParticipantKeys::of(&delivery.message)).flat_map(|it| it.keys);
    let entry = |it: ParticipantKey| {
        assert_eq!(it.fingerprint, it.public_key.fingerprint());
        (it.principal_id.to_string(), it.public_key, it.valid_until)
    };
    keys.map(entry).collect()
}

pub(crate) fn beat(world: &mut World, name: &str) -> Envelope {
    let stamp = world.stamp();
    world.who(name).write(stamp, Heartbeat::new("working".into()))
}

#[test]
fn it_opens_only_with_roles_and_a_key_of_the_coordinator() {
    covers!("ROL-02", "SEC-30", "SEC-01");
    let open = |config| Coordinator::new(config, IdSource::new(1), Timestamp::from_micros(0)).map(drop);
    assert_eq!(open(config()), Ok(()));
    let mut bare = config();
    bare.role_policy = None;
    assert_eq!(open(bare), Err(ConfigError::NoRolePolicy(SecurityProfile::Verified)));
    let mut mute = config();
    mute.coordinator_key = None;
    assert_eq!(open(mute), Err(ConfigError::NoCoordinatorKey));
}

#[test]
fn session_info_names_the_key_and_the_log() {
    covers!("SEC-30", "D-130", "HEL-10");
    let mut world = World::with(config());
    let joined = join(&mut world, "bob", 1);
    let Message::SessionInfo(info) = &joined[0].message else { panic!("{}", joined[0].line()) };
    let info: &SessionInfo = info;
    assert_eq!(info.identity_verified, Some(true));
    assert_eq!(info.identity_method, Some(CredentialType::X509Chain));
    let security = info.security_config.as_ref().unwrap();
    assert_eq!(security.coordinator_key_fingerprint, Some(key(OWN).fingerprint().to_string()));
    assert_eq!(security.coordinator_public_key, Some(key(OWN).to_string()));
    assert_eq!(security.key_exchange_method.as_deref(), Some("session_info"));
    assert_eq!(security.log_integrity.as_deref(), Some("hash_chain"));
}

#[test]
fn what_is_not_signed_by_its_sender_changes_nothing() {
    covers!("SEC-23", "D-129", "ENV-14");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    let good = |n: u8| Signed::by(key(n).fingerprint());
    let shown = |n: u8, who: &str| Signed::Good {
        key: key(n).fingerprint(),
        shown: Some(ShownKey::ed25519(who.parse().unwrap(), key(n))),
    };
    let mac =
        Signed::Good { key: Fingerprint::of(b"secret"), shown: Some(ShownKey::mac("bob".parse().unwrap())) };
    let cases = [
        ("none", Signed::Missing),
        ("no signature", Signed::Malformed),
        ("a wrong one", Signed::Wrong),
        ("another member's", good(1)),
        ("the coordinator's", good(OWN)),
        ("of a key that nobody knows", good(9)),
        ("of a key that the host knows and no HELLO has shown", shown(9, "bob")),
        ("a MAC", mac),
    ];
    for (case, signed) in cases {
        // Not even liveness, the clock or the ids that were seen.
        let before = (world.coordinator.snapshot(), world.coordinator.next_deadline());
        world.now = Timestamp::from_micros(world.now.micros() + 1);
        let envelope = beat(&mut world, "bob");
        let refused = error(&world.send_signed("bob", &envelope, signed), "bob");
        assert_eq!(refused.error_code, ErrorCode::AuthorizationFailed, "{case}");
        let after = (world.coordinator.snapshot(), world.coordinator.next_deadline());
        assert_eq!(before.1, after.1, "{case}");
        assert_eq!(before.0.anti_replay, after.0.anti_replay, "{case}");
        assert_eq!(before.0.participants, after.0.participants, "{case}");
        // The id is as good as before: the very message passes once it is signed.
        assert!(world.send_signed("bob", &envelope, good(2)).is_empty(), "{case}");
    }
    // A message without a signature is none that was signed, whatever a host says of it.
    let stamp = world.stamp();
    let unsigned = world.who("bob").write(stamp, Heartbeat::new("idle".into()));
    let from = mpac_core::Peer::unproven(world.people["bob"].0).signed(good(2));
    let answer = world.input(Input::Frame { from, text: unsigned.to_json().into() });
    assert_eq!(error(&answer, "bob").error_code, ErrorCode::AuthorizationFailed);
}

#[test]
fn a_signature_is_judged_before_replays_and_the_clock() {
    covers!("SEC-23", "SEC-17", "SEC-18");
    let mut world = court(&[("bob", 2)]);
    let envelope = beat(&mut world, "bob");
    let good = Signed::by(key(2).fingerprint());
    assert!(world.send_signed("bob", &envelope, good.clone()).is_empty());
    let refused =
        |world: &mut World, signed| error(&world.send_signed("bob", &envelope, signed), "bob").error_code;
    assert_eq!(refused(&mut world, Signed::Wrong), ErrorCode::AuthorizationFailed);
    assert_eq!(refused(&mut world, good), ErrorCode::ReplayDetected);
}

#[test]
fn only_a_certificate_that_is_good_for_the_name_lets_somebody_in() {
    covers!("SEC-06", "SEC-07", "SEC-08", "SEC-23", "SEC-39", "D-122", "D-018");
    use CredentialType as C;
    let api_key = || Some(Credential::new(C::ApiKey, Secret::new("k")));
    let rejected = || Identity::Rejected { method: C::X509Chain };
    let (rejection, failure) = (ErrorCode::CredentialRejected, ErrorCode::AuthorizationFailed);
    let by = |who: &str, n: u8| Signed::Good {
        key: key(n).fingerprint(),
        shown: Some(ShownKey::ed25519(who.parse().unwrap(), key(n))),
    };
    let cases = [
        ("no credential", None, Identity::Unproven, by("bob", 2), &rejection),
        ("an api_key", api_key(), proven("bob", C::ApiKey), by("bob", 2), &rejection),
        ("a bad chain", Some(chain()), rejected(), by("bob", 2), &rejection),
        ("a chain of another", Some(chain()), proven("carol", C::X509Chain), by("carol", 2), &rejection),
        ("a key of another", Some(chain()), proven("bob", C::X509Chain), by("carol", 2), &failure),
        ("no signature", Some(chain()), proven("bob", C::X509Chain), Signed::Missing, &failure),
        ("a wrong one", Some(chain()), proven("bob", C::X509Chain), Signed::Wrong, &failure),
        ("alice's key", Some(chain()), proven("bob", C::X509Chain), by("bob", 1), &failure),
        ("the coordinator's key", Some(chain()), proven("bob", C::X509Chain), by("bob", OWN), &failure),
    ];
    for (case, credential, identity, signed, code) in cases {
        let mut world = court(&[("alice", 1)]);
        let before = world.coordinator.snapshot();
        let conn = world.connect("bob");
        world.identities.insert(conn, identity);
        let bob = World::participant_with("bob", 1, &[Role::Contributor], credential);
        world.people.insert("bob".to_owned(), (conn, bob));
        let stamp = world.stamp();
        let hello = world.who("bob").hello(stamp, None);
        let refused = error(&world.send_signed("bob", &hello, signed), "bob");
        assert_eq!(refused.error_code, *code, "{case}: {}", refused.description);
        let after = world.coordinator.snapshot();
        assert_eq!(
            (before.participants, before.anti_replay),
            (after.participants, after.anti_replay),
            "{case}"
        );
        let keys = |it: &mpac_wire::snapshot::Snapshot| it.coordinator_state.as_ref().unwrap().keys.clone();
        assert_eq!(keys(&world.coordinator.snapshot()).map(|keys| keys.len()), Some(1), "{case}");
    }
}

#[test]
fn everybody_learns_the_keys_of_everybody() {
    covers!("SEC-31");
    let mut world = World::with(config());
    let own = |n| ("service:coordinator-s".to_owned(), key(n), None);
    let of = |name: &str, n| (name.to_owned(), key(n), None);
    assert_eq!(told(&join(&mut world, "alice", 1), "alice"), [own(OWN), of("alice", 1)]);
    let joined = join(&mut world, "bob", 2);
    assert_eq!(heard(&joined, "bob")[..2], ["SESSION_INFO", "PARTICIPANT_KEYS"]);
    assert_eq!(told(&joined, "bob"), [own(OWN), of("alice", 1), of("bob", 2)]);
    assert_eq!(told(&joined, "alice"), [of("bob", 2)]);
    // Who comes back with the same key is no news to the others.
    let again = world.hello("alice");
    assert_eq!(told(&again, "alice").len(), 3);
    assert!(told(&again, "bob").is_empty());
    // In the open profile nobody is told of keys.
    let mut open = World::new();
    open.keys.insert("alice".to_owned(), key(1));
    assert_eq!(heard(&open.join("alice", &[Role::Contributor]), "alice"), ["SESSION_INFO"]);
}

/// A key that somebody only announced is not theirs against whoever has a certificate for it.
#[test]
fn who_came_while_somebody_was_away_learns_their_key_at_their_return() {
    covers!("SEC-31");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    world.say("bob", Goodbye::new("user_exit".into()));
    let of = |name: &str, n| (name.to_owned(), key(n), None);
    let joined = join(&mut world, "carol", 3);
    assert!(!told(&joined, "carol").contains(&of("bob", 2)), "he is not here");
    let back = world.hello("bob");
    assert_eq!(told(&back, "carol"), [of("bob", 2)]);
    assert!(heard(&world.announce("bob", "i", &["x"]), "carol").contains(&"INTENT_ANNOUNCE".to_owned()));
    assert!(!world.news("carol").is_empty(), "it is believed");
}

#[test]
fn relays_are_what_was_signed_to_the_last_byte() {
    covers!("D-128", "D-114", "SEC-23");
    let mut world = court(&[("alice", 1), ("bob", 2), ("ada", 3)]);
    world.announce("bob", "i", &["a.py"]);
    let stamp = world.stamp();
    let commit = commit_payload("o", Some("i"), "a.py", "one\n", "two\n");
    let mut envelope = world.who("bob").write(stamp, commit);
    envelope.trace_id = Some("t".to_owned());
    let relayed = world.send("bob", &envelope);
    let key_name = key(2).fingerprint();
    for who in ["alice", "bob"] {
        let relay = relayed.iter().find(|it| it.to == who).unwrap();
        assert!(relay.text.contains(r#""file_changes":{"a.py":{"content":"two\n""#), "{}", relay.text);
        assert!(relay.text.contains(&format!(r#""signature":"ed25519:{key_name}:"#)), "{}", relay.text);
        let mut received: Envelope = serde_json::from_str(&relay.text).unwrap();
        received.signature = None;
        assert_eq!(received, envelope);
    }
    assert_eq!(world.files["a.py"], "two\n");
    // A RESOLUTION gets no id of the coordinator's making.
    world.announce("alice", "j", &["a.py"]);
    let conflict = world.conflict();
    world.say(
        "alice",
        mpac_wire::payload::ConflictEscalate::new(conflict.clone(), "ada".parse().unwrap(), "r".into()),
    );
    let resolution = Resolution::new(conflict, "dismissed".into());
    let stamp = world.stamp();
    let envelope = world.who("ada").write(stamp, resolution);
    let relayed = world.send("ada", &envelope);
    let relay = relayed.iter().find(|it| it.to == "bob" && it.from == "ada").unwrap();
    assert!(relay.text.contains(envelope.payload.get()), "{}", relay.text);
}

/// A batch is passed on as it was signed, so everybody hears what of it does not count.
#[test]
fn of_a_signed_batch_everybody_hears_what_was_refused() {
    covers!("D-128", "BAT-14");
    let mut world = court(&[("alice", 1), ("bob", 2)]);
    world.announce("bob", "i", &["a.py", "b.py"]);
    let batch: OpBatchCommit = serde_json::from_value(serde_json::json!({
        "batch_id": "b", "atomicity": "best_effort", "intent_id": "i",
        "operations": [
            {"op_id": "o1", "target": "a.py", "op_kind": "replace", "state_ref_before": "sha256:0", "state_ref_after": "sha256:1"},
            {"op_id": "o2", "target": "b.py", "op_kind": "replace", "state_ref_before": "sha256:0", "state_ref_after": "sha256:1"},
        ],
    }))
    .unwrap();
    let news = world.say("bob", batch);
    assert_eq!(heard(&news, "alice"), ["OP_BATCH_COMMIT", "OP_REJECT b batch_entries_rejected"]);
    let relay = news.iter().find(|it| it.to == "alice").unwrap();
    assert!(relay.text.contains("o1") && relay.text.contains("o2"));
}

#[test]
fn a_resolution_says_what_its_author_had_seen() {
    covers!("SEC-33");
    let mut world = court(&[("ada", 3), ("bob", 2), ("alice", 1)]);
    world.announce("bob", "i", &["a.py"]);
    world.announce("alice", "j", &["a.py"]);
    let conflict = world.conflict();
    let stamp = world.stamp();
    let mut envelope = world.who("ada").write(stamp, Resolution::new(conflict, "dismissed".into()));
    envelope.watermark = None;
    assert_eq!(error(&world.send("ada", &envelope), "ada").error_code, ErrorCode::MalformedMessage);
}

#[test]
fn a_lamport_value_that_nobody_can_have_seen_is_told() {
    covers!("SEC-34");
    let mut world = court(&[("bob", 2)]);
    let mut envelope = beat(&mut world, "bob");
    envelope.watermark = Some(Watermark::lamport(1 << 40));
    assert!(world.send("bob", &envelope).is_empty());
    let remarks = world.remarks();
    assert!(
        matches!(&remarks[..], [Remark::LamportLeap { claimed, .. }] if *claimed == 1 << 40),
        "{remarks:?}"
    );
}

#[test]
fn in_an_authenticated_session_a_signature_need_not_be_there_but_must_be_good() {
    covers!("SEC-22", "D-129");
    let mut world = crate::authenticated::court(&["alice", "bob"]);
    let bob: PrincipalId = "bob".parse().unwrap();
    let mac = |who: &PrincipalId| Signed::Good {
        key: Fingerprint::of(b"secret"),
        shown: Some(ShownKey::mac(who.clone())),
    };
    let cases = [
        ("none", Signed::Missing, true),
        ("a MAC", mac(&bob), true),
        ("somebody else's MAC", mac(&"alice".parse().unwrap()), false),
        (
            "a key of the host's table",
            Signed::Good { key: key(2).fingerprint(), shown: Some(ShownKey::ed25519(bob.clone(), key(2))) },
            true,
        ),
        ("a key that nobody knows", Signed::by(key(9).fingerprint()), false),
        ("no signature", Signed::Malformed, false),
        ("a wrong one", Signed::Wrong, false),
    ];
    for (case, signed, passes) in cases {
        let envelope = beat(&mut world, "bob");
        let answer = world.send_signed("bob", &envelope, signed);
        if passes {
            assert!(answer.is_empty(), "{case}");
        } else {
            assert_eq!(error(&answer, "bob").error_code, ErrorCode::AuthorizationFailed, "{case}");
        }
    }
    // Of a host that does not look at signatures none is good.
    let mut envelope = beat(&mut world, "bob");
    envelope.signature = Some("ed25519:…".to_owned());
    let conn = world.people["bob"].0;
    assert_eq!(
        error(&world.frame(conn, &envelope.to_json()), "bob").error_code,
        ErrorCode::AuthorizationFailed
    );
    // The open profile has none.
    let mut open = World::of(&["bob"]);
    let envelope = beat(&mut open, "bob");
    assert!(open.send_signed("bob", &envelope, Signed::Wrong).is_empty());
}
