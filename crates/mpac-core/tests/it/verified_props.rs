//! Verified sessions under random sequences: keys come, are rotated, claimed by others and used when they are over.

use std::collections::BTreeMap;

use mpac_core::{Command, Input, ShownKey, Signed};
use mpac_wire::payload::{Heartbeat, KeyRotation};
use mpac_wire::{Fingerprint, PublicKey, Timestamp};
use proptest::prelude::*;

use crate::covers;
use crate::verified::{OWN, config, join, key};
use crate::world::World;

const NAMES: [&str; 3] = ["alice", "bob", "mallory"];

/// One step: who does what, signed with which key, about which other key.
#[derive(Clone, Debug)]
struct Act {
    who: usize,
    what: u8,
    signs: u8,
    other: u8,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = (0_usize..3, 0_u8..12, 1_u8..9, 1_u8..9).prop_map(|(who, what, signs, other)| Act {
        who,
        what,
        signs,
        other,
    });
    proptest::collection::vec(act, 1..60)
}

fn signed(name: &str, n: u8, shows: bool) -> Signed {
    let shown = shows.then(|| ShownKey::ed25519(name.parse().unwrap(), key(n)));
    Signed::Good { key: key(n).fingerprint(), shown }
}

fn perform(world: &mut World, act: &Act) {
    let name = NAMES[act.who];
    let stamp = world.stamp();
    match act.what {
        0..=2 => {
            let hello = world.who(name).hello(stamp, None);
            world.send_signed(name, &hello, signed(name, act.signs, act.what < 2));
        }
        3..=5 => {
            let mut rotation = KeyRotation::new(key(act.other).fingerprint());
            rotation.public_key = Some(key(act.other));
            let mut heartbeat = Heartbeat::new("idle".into());
            heartbeat.extensions = rotation.to_extensions();
            let envelope = world.who(name).write(stamp, heartbeat);
            world.send_signed(name, &envelope, signed(name, act.signs, false));
        }
        6..=8 => {
            let envelope = world.who(name).write(stamp, Heartbeat::new("idle".into()));
            world.send_signed(name, &envelope, signed(name, act.signs, act.what == 8));
        }
        9 => world.now = Timestamp::from_micros(world.now.micros() + i64::from(act.other) * 15_000_000),
        10 => drop(world.input(Input::Command(Command::RotateKey(key(OWN + act.other))))),
        _ if act.other == 1 => world.restart(5.0),
        _ => drop(world.input(Input::Timeout)),
    }
}

/// Owner, and from when on it is over.
fn keys(world: &World) -> BTreeMap<Fingerprint, (String, Option<Timestamp>, PublicKey)> {
    let state = world.coordinator.snapshot().coordinator_state.unwrap();
    let records = state.keys.unwrap();
    let all = records.len();
    let keys: BTreeMap<_, _> = records
        .into_iter()
        .map(|it| (it.public_key.fingerprint(), (it.principal_id.to_string(), it.valid_until, it.public_key)))
        .collect();
    assert_eq!(keys.len(), all, "a key has one owner");
    keys
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// World checks after every step that the session reads back from its snapshot as it was (REC-29).
    #[test]
    fn keys_stay_in_order_whatever_happens(acts in acts()) {
        covers!("SEC-23", "SEC-32", "REC-29");
        let mut world = World::with(config());
        for (n, name) in (1..).zip(NAMES) {
            join(&mut world, name, n);
        }
        for act in &acts {
            let before = keys(&world);
            let heard_at = |world: &World| {
                let members = world.coordinator.snapshot().participants.unwrap();
                members.into_iter().find(|it| it.principal_id.as_str() == NAMES[act.who]).unwrap().last_seen
            };
            let last_seen = heard_at(&world);
            perform(&mut world, act);
            let after = keys(&world);
            let now = world.now;
            for name in NAMES {
                let good = after.values().filter(|(owner, until, _)| {
                    owner == name && until.is_none_or(|until| now < until)
                });
                prop_assert!(good.count() <= 4, "few keys are good at one time");
            }
            let in_use = after.values().filter(|(_, until, _)| until.is_none()).map(|(owner, ..)| owner);
            let mut owners: Vec<&String> = in_use.collect();
            owners.sort();
            prop_assert!(owners.windows(2).all(|pair| pair[0] != pair[1]), "one key in use: {owners:?}");
            // Nobody's key that is over becomes good again, and nobody else's word counts for somebody.
            for (fingerprint, (owner, until, _)) in &before {
                if let (Some(until), Some((later, new, _))) = (until, after.get(fingerprint)) {
                    let same = later != owner || new.is_some_and(|new| new <= *until);
                    prop_assert!(same, "{fingerprint} lives longer than it was to");
                }
            }
            let own = |keys: &BTreeMap<Fingerprint, (String, Option<Timestamp>, PublicKey)>| {
                keys.get(&key(act.signs).fingerprint()).is_some_and(|(owner, ..)| owner == NAMES[act.who])
            };
            if (3..=8).contains(&act.what) && !own(&before) {
                prop_assert_eq!(heard_at(&world), last_seen, "not even liveness");
                prop_assert_eq!(&before, &after);
            }
        }
        // The log leads to the same again, signatures being part of it.
        let mut again = world.base.clone();
        for (record, step) in world.log.iter().zip(&world.steps) {
            prop_assert_eq!(again.apply(record).unwrap().digest(), step.digest());
        }
        prop_assert_eq!(again, world.coordinator);
    }
}
