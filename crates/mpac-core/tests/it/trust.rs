//! What a participant believes in a verified session, and what it drops.

use mpac_core::participant::{Distrust, Hearing, News, Participant};
use mpac_core::{Command, Input, Signed};
use mpac_wire::names::{CredentialType, Role, SecurityProfile};
use mpac_wire::payload::{Heartbeat, SessionInfo};
use mpac_wire::{Credential, Envelope, Fingerprint, Message, Secret};

use crate::covers;
use crate::verified::{OWN, config, join, key};
use crate::world::{Delivery, World, heard, intent, signature};

fn envelope(delivery: &Delivery) -> Envelope {
    serde_json::from_str(&delivery.text).unwrap()
}

/// What `bob` makes of a text whose signature turns out so.
fn hears(bob: &mut Participant, envelope: &Envelope, signed: &Signed) -> (Hearing, Vec<News>) {
    let message = envelope.message().unwrap();
    let now = envelope.ts.at();
    let heard = bob.hear_signed(now, envelope, &message, signed);
    (heard.hearing, heard.news)
}

fn own() -> Signed {
    Signed::by(key(OWN).fingerprint())
}

/// `bob`, who has said HELLO, and the answer that waits for him.
fn asked() -> (Participant, Envelope) {
    let mut world = World::with(config());
    world.keys.insert("bob".to_owned(), key(2));
    let credential = Credential::new(CredentialType::X509Chain, Secret::new("chain"));
    let mut bob = World::participant_with("bob", 1, &[Role::Contributor], Some(credential));
    let stamp = world.stamp();
    bob.hello(stamp, None);
    let joined = join(&mut world, "bob", 2);
    let mut info = envelope(&joined[0]);
    info.signature = Some(signature(key(OWN).fingerprint()));
    (bob, info)
}

fn with_info(envelope: &Envelope, change: impl FnOnce(&mut SessionInfo)) -> Envelope {
    let mut info: SessionInfo = envelope.payload.read().unwrap();
    change(&mut info);
    let mut envelope = envelope.clone();
    envelope.payload = Message::from(info).to_payload();
    envelope
}

#[test]
fn the_first_key_is_trusted_and_the_user_is_told() {
    covers!("SEC-27", "SEC-30");
    let (mut bob, info) = asked();
    assert_eq!(bob.key_for(&info, &info.message().unwrap()), Some(key(OWN)));
    let (hearing, news) = hears(&mut bob, &info, &own());
    assert_eq!(hearing, Hearing::Fresh);
    let trusted = News::CoordinatorTrusted { key: key(OWN).fingerprint(), first_use: true };
    assert!(news.contains(&trusted), "{news:?}");
    assert!(bob.is_admitted());
    assert_eq!(bob.coordinator_key(), Some(&key(OWN)));
    // Where it was told before, there is nothing to compare.
    let (mut bob, info) = asked();
    bob.pin_coordinator(key(OWN).fingerprint());
    let (_, news) = hears(&mut bob, &info, &own());
    let trusted = News::CoordinatorTrusted { key: key(OWN).fingerprint(), first_use: false };
    assert!(news.contains(&trusted), "{news:?}");
}

#[test]
fn a_session_info_that_is_not_the_coordinators_lets_nobody_in() {
    covers!("SEC-27", "SEC-30");
    let own_key =
        |info: &mut SessionInfo| info.security_config.as_mut().unwrap().coordinator_public_key = None;
    let other_key = |info: &mut SessionInfo| {
        let security = info.security_config.as_mut().unwrap();
        security.coordinator_public_key = Some(key(7).to_string());
    };
    let another = |info: &mut SessionInfo| {
        let security = info.security_config.as_mut().unwrap();
        security.coordinator_public_key = Some(key(7).to_string());
        security.coordinator_key_fingerprint = Some(key(7).fingerprint().to_string());
    };
    let downgrade = |info: &mut SessionInfo| {
        info.security_profile = SecurityProfile::Open;
        info.security_config = None;
    };
    let (_, good) = asked();
    let unsigned = {
        let mut it = good.clone();
        it.signature = None;
        it
    };
    let other = Signed::by(key(7).fingerprint());
    let cases = [
        ("unsigned", false, unsigned, Signed::Missing, Distrust::NotSigned),
        ("wrong", false, good.clone(), Signed::Wrong, Distrust::NotSigned),
        ("by another key", false, good.clone(), other.clone(), Distrust::WrongKey),
        ("without the key", false, with_info(&good, own_key), own(), Distrust::NoKey),
        (
            "with another key than it names",
            false,
            with_info(&good, other_key),
            other.clone(),
            Distrust::NoKey,
        ),
        ("of another coordinator", true, with_info(&good, another), other, Distrust::OtherCoordinator),
        ("an open session in its place", true, with_info(&good, downgrade), Signed::Missing, Distrust::NoKey),
    ];
    for (case, pinned, envelope, signed, why) in cases {
        let (mut bob, _) = asked();
        if pinned {
            bob.pin_coordinator(key(OWN).fingerprint());
        }
        let (hearing, news) = hears(&mut bob, &envelope, &signed);
        assert_eq!(hearing, Hearing::Untrusted, "{case}");
        assert_eq!(news, [News::Distrusted { message: envelope.message_id.clone(), why }], "{case}");
        assert!(!bob.is_admitted() && bob.epoch() == 0, "{case}: nothing has changed");
        assert_eq!(bob.coordinator_key(), None);
    }
    // And nobody changes it once it is known.
    let (mut bob, info) = asked();
    hears(&mut bob, &info, &own());
    for change in [&another as &dyn Fn(&mut SessionInfo), &downgrade] {
        let (hearing, _) = hears(&mut bob, &with_info(&info, change), &Signed::by(key(7).fingerprint()));
        assert_eq!(hearing, Hearing::Untrusted);
        assert_eq!(bob.coordinator_key(), Some(&key(OWN)));
    }
}

#[test]
fn what_the_coordinator_or_a_member_has_not_signed_is_dropped() {
    covers!("SEC-27", "SEC-31");
    let mut world = World::with(config());
    join(&mut world, "alice", 1);
    join(&mut world, "bob", 2);
    join(&mut world, "carol", 3);
    // Everything that comes as it should is heard.
    let relayed = world.announce("alice", "i", &["a.py"]);
    world.announce("carol", "j", &["a.py"]);
    assert!(world.who("bob").others().count() == 2, "keys of those before him and after him");
    assert!(world.news("bob").iter().all(|it| !matches!(it, News::Distrusted { .. })));
    let relay = envelope(relayed.iter().find(|it| it.to == "bob").unwrap());
    let status = world.input(Input::Command(Command::Status("heartbeat".into())));
    let status = envelope(status.iter().find(|it| it.to == "bob").unwrap());
    let mut unsigned = relay.clone();
    unsigned.signature = None;
    let by = |n: u8| Signed::by(key(n).fingerprint());
    let cases = [
        ("a relay without a signature", &unsigned, by(1)),
        ("a relay that was changed", &relay, Signed::Wrong),
        ("a relay by another member's key", &relay, by(3)),
        ("a relay by the coordinator's key", &relay, own()),
        ("a relay by an unknown key", &relay, by(9)),
        ("a word of the coordinator without a signature", &status, Signed::Missing),
        ("one by a member's key", &status, by(1)),
        ("one by our own key", &status, by(2)),
    ];
    let before = world.who("bob").clone();
    for (at, (case, envelope, signed)) in cases.into_iter().enumerate() {
        let bob = world.who("bob");
        let (hearing, news) = hears(bob, envelope, &signed);
        assert_eq!(hearing, Hearing::Untrusted, "{case}");
        // Told once, or a flood of forgeries would be a flood of news.
        assert_eq!(news.len(), usize::from(at == 0), "{case}: {news:?}");
        assert_eq!(bob.lamport(), before.lamport(), "{case}: not even the clock");
    }
    // A caller that does not verify hears nothing.
    let message = status.message().unwrap();
    assert_eq!(world.who("bob").hear(&status, &message), Hearing::Untrusted);
}

/// Whoever refuses a HELLO has no key yet that could be known.
#[test]
fn a_refusal_before_the_first_session_info_is_heard() {
    covers!("SEC-27", "ERR-10");
    let mut world = World::with(config());
    world.keys.insert("bob".to_owned(), key(2));
    let refused = crate::authenticated::come(&mut world, "bob", 1, None, mpac_core::Identity::Unproven);
    assert_eq!(heard(&refused, "bob"), ["PROTOCOL_ERROR CREDENTIAL_REJECTED"]);
    let news = world.news("bob");
    assert!(news.iter().any(|it| matches!(it, News::Refused { .. })), "{news:?}");
}

#[test]
fn rotated_keys_are_followed() {
    covers!("SEC-27", "SEC-32");
    let mut world = World::with(config());
    join(&mut world, "alice", 1);
    join(&mut world, "bob", 2);
    world.news("alice");
    world.news("bob");
    let due = world.now;
    world.who("bob").rotate_key_at(due);
    assert_eq!(world.who("bob").next_deadline(), Some(due));
    assert_eq!(world.who("bob").wake(due), [News::KeyRotationDue]);
    assert_eq!(world.who("bob").wake(due), [], "once");
    let stamp = world.stamp();
    let asked = world.who("bob").rotate_key(stamp, &key(3));
    assert_eq!(world.who("bob").rotating(), Some(&key(3).fingerprint()));
    world.send("bob", &asked);
    let news = world.news("bob");
    assert!(
        matches!(&news[..], [News::KeyRotated { key: new, .. }] if *new == key(3).fingerprint()),
        "{news:?}"
    );
    assert_eq!(world.who("bob").rotating(), None);
    assert_eq!(world.news("alice"), [], "of others' keys nobody needs to be told");
    for (n, id) in [(2, "i"), (3, "j")] {
        world.keys.insert("bob".to_owned(), key(n));
        world.announce("bob", id, &["a.py"]);
        assert!(world.who("alice").others().any(|(it, _)| *it == intent(id)), "by key {n}");
    }
    // The coordinator's own: its last word under the old key names the new one.
    world.input(Input::Command(Command::RotateKey(key(201))));
    let changed = News::CoordinatorKeyChanged { old: key(OWN).fingerprint(), new: key(201).fingerprint() };
    assert_eq!(world.news("alice"), [changed]);
    assert_eq!(world.who("alice").coordinator_key(), Some(&key(201)));
    let status = world.input(Input::Command(Command::Status("heartbeat".into())));
    let status = envelope(&status[0]);
    assert_eq!(hears(world.who("alice"), &status, &own()).0, Hearing::Untrusted, "the old key is over");
    assert_eq!(hears(world.who("alice"), &status, &Signed::by(key(201).fingerprint())).0, Hearing::Fresh);
}

/// The coordinator took the new key, and the connection broke before it could say so. The old one lets in for a minute.
#[test]
fn a_rotation_whose_answer_was_lost_is_heard_of_at_the_next_join() {
    covers!("SEC-31", "SEC-32");
    let mut world = World::with(config());
    join(&mut world, "bob", 2);
    world.news("bob");
    let stamp = world.stamp();
    let asked = world.who("bob").rotate_key(stamp, &key(3));
    let deaf = world.who("bob").clone();
    world.send("bob", &asked);
    world.news("bob");
    // The same process, and one after it that knows of no rotation.
    let chain = || Credential::new(CredentialType::X509Chain, Secret::new("chain"));
    let next = || World::participant_with("bob", 2, &[Role::Contributor], Some(chain()));
    for mut bob in [deaf, next()] {
        let now = world.now;
        bob.connection_lost(now);
        assert_eq!(bob.rotating(), None, "nothing is waited for any more");
        let proven = world.identities[&world.people["bob"].0].clone();
        let conn = world.connect("bob");
        world.identities.insert(conn, proven);
        world.people.insert("bob".to_owned(), (conn, bob));
        world.hello("bob");
        let rotated = |it: &News| matches!(it, News::KeyRotated { key: new, old_until } if *new == key(3).fingerprint() && *old_until > now);
        let news = world.news("bob");
        assert_eq!(news.iter().filter(|it| rotated(it)).count(), 1, "{news:?}");
        world.hello("bob");
        let news = world.news("bob");
        assert!(!news.iter().any(rotated), "told once: {news:?}");
    }
}

#[test]
fn a_rotation_that_came_to_nothing_is_not_in_the_way_of_another() {
    covers!("SEC-32");
    let mut world = World::with(config());
    join(&mut world, "bob", 2);
    for n in 3..7 {
        let stamp = world.stamp();
        let asked = world.who("bob").rotate_key(stamp, &key(n));
        let sent = world.send("bob", &asked);
        let refused = heard(&sent, "bob")[0].starts_with("PROTOCOL_ERROR");
        assert_eq!(refused, n == 6, "too many are good at one time: {:?}", heard(&sent, "bob"));
        assert_eq!(world.who("bob").rotating(), None, "{n}");
        if !refused {
            world.keys.insert("bob".to_owned(), key(n));
        }
    }
    world.news("bob");
    // And one that the coordinator never heard of.
    let (stamp, now) = (world.stamp(), world.now);
    world.who("bob").rotate_key(stamp, &key(7));
    assert_eq!(world.who("bob").rotating(), Some(&key(7).fingerprint()));
    world.who("bob").connection_lost(now);
    world.hello("bob");
    assert_eq!(world.who("bob").rotating(), None);
    let news = world.news("bob");
    assert!(!news.iter().any(|it| matches!(it, News::KeyRotated { .. })), "{news:?}");
}

/// Whoever was away when the coordinator rotated its key is told by somebody else, or stays outside.
#[test]
fn a_key_that_was_rotated_meanwhile_has_to_be_pinned_anew() {
    covers!("SEC-27", "SEC-30", "SEC-32");
    let mut world = World::with(config());
    join(&mut world, "bob", 2);
    let (conn, bob) = world.people.remove("bob").unwrap();
    world.input(Input::Command(Command::RotateKey(key(201)))); // bob does not hear it
    world.people.insert("bob".to_owned(), (conn, bob));
    world.news("bob");
    world.hello("bob");
    let news = world.news("bob");
    assert!(matches!(&news[..], [News::Distrusted { why: Distrust::OtherCoordinator, .. }, ..]), "{news:?}");
    assert_eq!(world.who("bob").coordinator_key(), Some(&key(OWN)));
    world.who("bob").pin_coordinator(key(201).fingerprint());
    world.hello("bob");
    assert_eq!(world.who("bob").coordinator_key(), Some(&key(201)));
    assert!(!world.news("bob").iter().any(|it| matches!(it, News::Distrusted { .. })));
}

#[test]
fn in_an_authenticated_session_a_pinned_coordinator_signs_and_the_others_need_not() {
    covers!("SEC-22", "SEC-30");
    let mut config = config();
    config.security_profile = SecurityProfile::Authenticated;
    let mut world = World::with(config);
    crate::authenticated::join(&mut world, "alice");
    crate::authenticated::join(&mut world, "bob");
    let (conn, mut bob) = world.people.remove("bob").unwrap();
    bob.pin_coordinator(key(OWN).fingerprint());
    world.people.insert("bob".to_owned(), (conn, bob));
    world.hello("bob");
    world.announce("alice", "i", &["a.py"]);
    assert_eq!(world.who("bob").others().count(), 1);
    let status = world.input(Input::Command(Command::Status("heartbeat".into())));
    let status = envelope(&status[0]);
    assert_eq!(hears(world.who("bob"), &status, &Signed::Wrong).0, Hearing::Untrusted);
    // Open sessions are as they were, with a signature or without.
    let mut open = World::of(&["alice", "bob"]);
    let relayed = open.say("alice", Heartbeat::new("idle".into()));
    assert!(relayed.is_empty());
    let relayed = open.announce("alice", "i", &["a.py"]);
    let mut relay = envelope(&relayed[0]);
    relay.signature = Some(signature(Fingerprint::of(b"?")));
    assert_eq!(hears(open.who("bob"), &relay, &Signed::Wrong).0, Hearing::Fresh);
}

#[test]
fn in_an_authenticated_session_an_own_key_is_replaced_though_the_coordinator_s_is_not_known() {
    covers!("SEC-32");
    let mut config = config();
    config.security_profile = SecurityProfile::Authenticated;
    let mut world = World::with(config);
    join(&mut world, "alice", 1);
    join(&mut world, "bob", 2);
    world.news("alice");
    world.news("bob");
    assert_eq!(world.who("bob").coordinator_key(), None);
    for n in [3, 4] {
        let stamp = world.stamp();
        let asked = world.who("bob").rotate_key(stamp, &key(n));
        let sent = world.send("bob", &asked);
        let news = world.news("bob");
        assert!(
            matches!(&news[..], [News::KeyRotated { key: new, .. }] if *new == key(n).fingerprint()),
            "{n}: {news:?}, {:?}",
            heard(&sent, "bob")
        );
        assert_eq!(world.who("bob").rotating(), None);
        world.keys.insert("bob".to_owned(), key(n));
        // Nobody vouches for such a word: it counts for the key that was asked for, and for no other.
        let told = envelope(sent.iter().find(|it| it.to == "bob").unwrap());
        assert_eq!(hears(world.who("bob"), &told, &Signed::Missing).1, [], "{n}");
    }
    assert_eq!(world.news("alice"), []);
}
