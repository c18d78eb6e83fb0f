//! The verified profile: signatures that are missing, wrong or somebody else's, and certificates that prove nothing.

use serde_json::{Value, json};

use super::member::{ACCEPTED, Member, announcement, hello};
use super::people::Authority;
use super::scene::{PLANTED, Scene, Stage, VERIFIED, write};
use super::{Attack, Done, ensure};
use crate::step::{self, Failure};

const BOB_WORKS: Stage = Stage { allowed: &["agent:bob"], ..VERIFIED };
/// The old key of somebody who has a new one is good for twice as long.
const SHORT_GRACE: Stage = Stage { flags: &["--heartbeat-interval-sec", "1"], ..BOB_WORKS };

pub(super) const ATTACKS: &[Attack] = &[
    Attack {
        name: "says-it-unsigned",
        ids: &["SEC-23", "D-129"],
        answer: "AUTHORIZATION_FAILED, HELLO too",
        stage: VERIFIED,
        run: unsigned,
    },
    Attack {
        name: "signs-with-the-wrong-key",
        ids: &["SEC-23", "D-121"],
        answer: "AUTHORIZATION_FAILED",
        stage: VERIFIED,
        run: wrong_keys,
    },
    Attack {
        name: "shows-the-signature-of-another-message",
        ids: &["SEC-23", "D-121"],
        answer: "AUTHORIZATION_FAILED",
        stage: BOB_WORKS,
        run: another_signature,
    },
    Attack {
        name: "changes-what-was-signed",
        ids: &["SEC-24", "D-121"],
        answer: "AUTHORIZATION_FAILED for every member",
        stage: VERIFIED,
        run: changes,
    },
    Attack {
        name: "passes-on-what-another-signed",
        ids: &["SEC-04", "SEC-20", "D-124"],
        answer: "AUTHORIZATION_FAILED, REPLAY_DETECTED after a crash",
        stage: BOB_WORKS,
        run: passes_on,
    },
    Attack {
        name: "shows-a-chain-nobody-trusts",
        ids: &["SEC-12", "SEC-39"],
        answer: "CREDENTIAL_REJECTED",
        stage: VERIFIED,
        run: untrusted,
    },
    Attack {
        name: "shows-a-chain-without-its-key",
        ids: &["SEC-12", "SEC-23", "D-122"],
        answer: "AUTHORIZATION_FAILED, CREDENTIAL_REJECTED under its own name",
        stage: BOB_WORKS,
        run: without_its_key,
    },
    Attack {
        name: "signs-with-a-key-that-was-replaced",
        ids: &["SEC-32", "D-127"],
        answer: "AUTHORIZATION_FAILED once the grace is over",
        stage: SHORT_GRACE,
        run: replaced,
    },
    Attack {
        name: "replaces-anothers-key",
        ids: &["SEC-32", "D-127"],
        answer: "AUTHORIZATION_FAILED",
        stage: BOB_WORKS,
        run: replaces_anothers,
    },
    Attack {
        name: "goes-on-with-a-revoked-certificate",
        ids: &["SEC-12", "SEC-07"],
        answer: "1008 for who is in, then CREDENTIAL_REJECTED",
        stage: BOB_WORKS,
        run: revoked,
    },
];

/// An announcement that attackers make.
fn planted(member: &mut Member) -> Value {
    member.envelope("INTENT_ANNOUNCE", &announcement(PLANTED, "shared.txt"))
}

fn unsigned(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    let person = eve.person.take();
    for signature in
        [json!(null), json!(""), json!("ed25519"), json!("ed25519:x:y"), json!("none::"), json!(7), json!({})]
    {
        let mut message = planted(&mut eve);
        message["signature"] = signature.clone();
        let told = eve.told(&message)?;
        // What is no text is no envelope.
        let should = if signature.is_string() || signature.is_null() {
            "AUTHORIZATION_FAILED"
        } else {
            "MALFORMED_MESSAGE"
        };
        ensure(&signature.to_string(), &told, should)?;
    }
    let mut again = scene.stranger("agent:eve")?;
    again.instance = "agent:eve:2".to_owned();
    let credential = person.map(|person| person.credential()).unwrap_or_default();
    ensure("HELLO", &again.hello(&credential)?, "AUTHORIZATION_FAILED")
}

fn wrong_keys(scene: &mut Scene) -> Done {
    let mut eve = scene.member("agent:eve")?;
    let others = [
        ("another member's", scene.issue("agent:ann")?),
        ("a second one of the same name", scene.issue("agent:eve")?),
        ("one nobody knows", Authority::untrusted()?.issue("agent:eve")?),
    ];
    for (what, other) in others {
        let mut message = planted(&mut eve);
        message["signature"] = other.signature(&message)?.into();
        ensure(what, &eve.told(&message)?, "AUTHORIZATION_FAILED")?;
    }
    Ok(())
}

fn another_signature(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let first = bob.envelope("INTENT_ANNOUNCE", &announcement("bobs", "bobs.txt"));
    let signature = own_signature(&bob, &first)?;
    ensure("the first", &bob.told(&first)?, ACCEPTED)?;
    let mut second = planted(&mut bob);
    second["signature"] = signature.into();
    ensure("the second", &bob.told(&second)?, "AUTHORIZATION_FAILED")
}

fn own_signature(member: &Member, envelope: &Value) -> Result<String, Failure> {
    match &member.person {
        Some(person) => person.signature(envelope),
        None => Err(Failure::check("nobody signs here")),
    }
}

fn changes(scene: &mut Scene) -> Done {
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("watermark", |it| it["watermark"]["value"] = 1_000_000.into()),
        ("watermark's kind", |it| it["watermark"]["kind"] = "vector_clock".into()),
        ("payload", |it| it["payload"]["objective"] = "other work".into()),
        ("ts", |it| it["ts"] = super::member::ts(1).into()),
        ("message_id", |it| it["message_id"] = "another".into()),
        ("type", |it| it["message_type"] = "INTENT_UPDATE".into()),
        ("extensions", |it| it["extensions"] = json!({"x": 1})),
        ("an unknown member", |it| it["x"] = 1.into()),
        ("algorithm", |it| {
            let text = it["signature"].as_str().unwrap_or_default().replace("ed25519", "hmac-sha256");
            it["signature"] = text.into();
        }),
    ];
    let mut eve = scene.member("agent:eve")?;
    for (what, change) in changes {
        let mut message = planted(&mut eve);
        message["signature"] = own_signature(&eve, &message)?.into();
        change(&mut message);
        ensure(what, &eve.told(&message)?, "AUTHORIZATION_FAILED")?;
    }
    // Another reading of the same bytes: a member twice, of which only one was signed.
    let mut message = planted(&mut eve);
    message["signature"] = own_signature(&eve, &message)?.into();
    let whole = message.to_string();
    let begun = whole.trim_end_matches('}');
    let twice = format!(
        "{begun},{}",
        whole[begun.len()..].replacen('}', "\"watermark\":{\"kind\":\"lamport_clock\",\"value\":99}}", 1)
    );
    ensure("a member twice", &eve.told_of(&twice, &message)?, "AUTHORIZATION_FAILED")
}

fn passes_on(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let mut said = bob.envelope("INTENT_ANNOUNCE", &announcement("bobs", "bobs.txt"));
    said["signature"] = own_signature(&bob, &said)?.into();
    ensure("Bob", &bob.told(&said)?, ACCEPTED)?;
    let mut eve = scene.member("agent:eve")?;
    ensure("on her connection", &eve.told(&said)?, "AUTHORIZATION_FAILED")?;
    scene.crash()?;
    let mut again = scene.stranger("agent:bob")?;
    (again.lamport, again.person) = (bob.lamport, bob.person.take());
    let credential = again.person.as_ref().map(super::people::Person::credential).unwrap_or_default();
    ensure("his HELLO", &again.hello(&credential)?, "SESSION_INFO")?;
    ensure("after a crash", &again.told(&said)?, "REPLAY_DETECTED")
}

fn untrusted(scene: &mut Scene) -> Done {
    let person = Authority::untrusted()?.issue("agent:eve")?;
    let own = scene.issue("agent:eve")?;
    let chains = [
        ("of another authority", person.chain.clone()),
        (
            "with the anchor behind it",
            format!("{}{}", person.chain, step::text(&scene.path("cwd/anchors.pem"))?),
        ),
        ("the anchor alone", step::text(&scene.path("cwd/anchors.pem"))?),
        ("a trusted one behind it", format!("{}{}", person.chain, own.chain)),
    ];
    let mut eve = scene.stranger("agent:eve")?;
    eve.person = Some(person);
    for (what, chain) in chains {
        let told = eve.hello(&json!({"type": "x509_chain", "value": chain}))?;
        let is_right = told == "CREDENTIAL_REJECTED" || told == "AUTHORIZATION_FAILED";
        ensure(&format!("{what}: {told}"), &is_right, &true)?;
    }
    let mut with_key = scene.stranger("agent:mallory")?;
    with_key.person = Some(scene.issue("agent:mallory")?);
    let told = with_key.hello(&json!({"type": "api_key", "value": PLANTED}))?;
    // Without a certificate nobody knows by which key it is signed.
    ensure("no certificate at all", &told, "AUTHORIZATION_FAILED")
}

fn without_its_key(scene: &mut Scene) -> Done {
    // A chain is no secret: whoever was there when it was shown has it.
    let (bobs, eves) = (scene.issue("agent:bob")?, scene.issue("agent:eve")?);
    let credential = bobs.credential();
    let mut eve = scene.stranger("agent:bob")?;
    eve.person = Some(eves);
    ensure("in his name", &eve.hello(&credential)?, "AUTHORIZATION_FAILED")?;
    let mut own = scene.stranger("agent:eve")?;
    own.person = Some(bobs);
    ensure("in her name", &own.hello(&credential)?, "CREDENTIAL_REJECTED")
}

/// What asks for another key, signed with the one before.
fn rotation(member: &mut Member, to: &super::people::Person) -> Value {
    let change = json!({"new_key_fingerprint": to.public().fingerprint(), "public_key": to.public()});
    member.envelope("HEARTBEAT", &json!({"status": "idle", "extensions": {"key_rotation": change}}))
}

/// Waits for the news of a key that was replaced.
fn hears_of(member: &mut Member) -> Done {
    let is_news = |frame: &Value| frame["payload"]["extensions"]["mpac"]["key_change"].is_object();
    member.until(is_news).map(drop)
}

fn replaced(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let new = scene.issue("agent:bob")?;
    let asks = rotation(&mut bob, &new);
    let mut signed = asks.clone();
    signed["signature"] = own_signature(&bob, &asks)?.into();
    bob.send(&signed.to_string())?;
    hears_of(&mut scene.ann)?;
    // Twice the heartbeat interval, and what a busy machine may add.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    ensure("the old key", &bob.announce(PLANTED, "bobs.txt")?, "AUTHORIZATION_FAILED")?;
    bob.person = Some(new);
    ensure("the new one", &bob.announce("bobs", "bobs.txt")?, ACCEPTED)
}

fn replaces_anothers(scene: &mut Scene) -> Done {
    let mut bob = scene.member("agent:bob")?;
    let mut eve = scene.member("agent:eve")?;
    let other = scene.issue("agent:bob")?;
    // In his name on her connection, and in her name with his key as the new one.
    let mut forged = rotation(&mut eve, &other);
    forged["sender"] =
        json!({"principal_id": "agent:bob", "principal_type": "agent", "sender_instance_id": "agent:bob:1"});
    forged["signature"] = own_signature(&eve, &forged)?.into();
    ensure("in his name", &eve.told(&forged)?, "AUTHORIZATION_FAILED")?;
    let bobs = bob.person.as_ref().map(super::people::Person::public);
    let change = json!({"new_key_fingerprint": bobs.as_ref().map(mpac_wire::PublicKey::fingerprint), "public_key": bobs});
    let payload = json!({"status": "idle", "extensions": {"key_rotation": change}});
    ensure("to his key", &eve.say("HEARTBEAT", &payload)?, "AUTHORIZATION_FAILED")?;
    ensure("his work", &bob.announce("bobs", "bobs.txt")?, ACCEPTED)
}

fn revoked(scene: &mut Scene) -> Done {
    let mut bob = scene.stranger("agent:bob")?;
    let person = scene.issue("agent:bob")?;
    let credential = person.credential();
    write(&scene.path("data/bob.pem"), &person.chain)?;
    bob.person = Some(person);
    ensure("HELLO", &bob.hello(&credential)?, "SESSION_INFO")?;
    let file = scene.path("data/bob.pem").display().to_string();
    let said = step::read(&mut scene.command(&["token", "trust", "bob", "--certificate", &file]))?;
    let name = said.split_whitespace().find(|word| word.starts_with("sha256:"));
    let name = name.ok_or_else(|| Failure::check(format!("no fingerprint in {said}")))?;
    step::read(&mut scene.command(&["token", "revoke", name]))?;
    ensure("the end", &bob.socket.end()?, &1008)?;
    let mut again = scene.stranger("agent:bob")?;
    (again.lamport, again.person) = (bob.lamport, bob.person.take());
    let message = again.envelope("HELLO", &hello(&credential));
    ensure("HELLO again", &again.told(&message)?, "CREDENTIAL_REJECTED")
}
