//! What is read in the quick way is what `serde` reads.

use mpac_wire::object::Ordered;
use mpac_wire::{Envelope, Limits, Raw, Received};
use proptest::prelude::*;

use crate::covers;

/// A message of each type that is sent often, with all that it may have, in the order of the specification.
const OFTEN: [(&str, &str); 11] = [
    ("HEARTBEAT", r#"{"status":"working","active_intent_id":"i","summary":"s"}"#),
    (
        "INTENT_ANNOUNCE",
        r#"{"intent_id":"i","objective":"o","scope":{"kind":"file_set","resources":["a/b.rs","c"],"canonical_uris":[]},"assumptions":["x"],"priority":"high","ttl_sec":60,"parent_intent_id":"h"}"#,
    ),
    (
        "INTENT_UPDATE",
        r#"{"intent_id":"i","scope":{"kind":"resource_path","pattern":"src/**"},"ttl_sec":2.50}"#,
    ),
    ("INTENT_WITHDRAW", r#"{"intent_id":"i","reason":"task_completed"}"#),
    ("INTENT_DEFERRED", r#"{"scope":{"kind":"task_set","task_ids":["t"]},"observed_intent_ids":["i"]}"#),
    (
        "INTENT_CLAIM",
        r#"{"claim_id":"c","original_intent_id":"i","original_principal_id":"p","new_intent_id":"j","objective":"o","scope":{"kind":"entity_set","entities":["e"]}}"#,
    ),
    ("OP_PROPOSE", r#"{"op_id":"o","intent_id":"i","target":"t","op_kind":"replace","change_ref":"c"}"#),
    (
        "OP_COMMIT",
        r#"{"op_id":"o","intent_id":"i","target":"t","op_kind":"patch","state_ref_before":"sha256:0","state_ref_after":"sha256:1","summary":"\u00fcber\n","file_changes":{"b":{"content":"fn main() {}\n","state_ref_before":"sha256:0"}}}"#,
    ),
    (
        "OP_BATCH_COMMIT",
        r#"{"batch_id":"b","atomicity":"all_or_nothing","operations":[{"op_id":"o","target":"t","op_kind":"k","state_ref_before":"0","state_ref_after":"1"}],"intent_id":"i"}"#,
    ),
    ("OP_SUPERSEDE", r#"{"op_id":"p","supersedes_op_id":"o","target":"t","reason":"r"}"#),
    ("RESOLUTION", r#"{"conflict_id":"c","decision":"merged","outcome":{"accepted":["i"]}}"#),
];

fn frame((message_type, payload): (&str, &str)) -> String {
    format!(
        r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{message_type}","message_id":"m","session_id":"s","sender":{{"principal_id":"p","principal_type":"agent","sender_instance_id":"i"}},"ts":"2026-01-02T03:04:05.000006Z","payload":{payload},"watermark":{{"kind":"lamport_clock","value":8}},"in_reply_to":"m0"}}"#
    )
}

/// Reads it in both ways, and says whether the quick one knew how.
fn in_both_ways(text: &str) -> bool {
    let slow: Result<Envelope, _> = serde_json::from_str(text);
    let mut received = match (Received::parse(text, &Limits::default()), &slow) {
        (Ok(received), Ok(_)) => received,
        (Err(_), Err(_)) => return false,
        (quick, slow) => panic!("{text}: {quick:?}, with serde {slow:?}"),
    };
    let slow = slow.unwrap();
    assert_eq!(*received.envelope(), slow, "{text}");
    assert_eq!(received.envelope().to_json(), slow.to_json(), "{text}");
    let Some(message) = received.take_message() else { return false };
    let said = slow.message().unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(*message, said, "{text}");
    assert_eq!(message.to_payload(), said.to_payload(), "{text}");
    true
}

#[test]
fn whoever_keeps_to_the_order_is_read_in_the_quick_way() {
    for message in OFTEN {
        let text = frame(message);
        assert!(in_both_ways(&text), "{text}");
        assert!(
            in_both_ways(&text.replace("\":", "\": ").replace(",\"", ",\n  \"")),
            "as Python writes it: {text}"
        );
        assert!(in_both_ways(&format!(" {text}\r\n")), "{text}");
        assert!(!in_both_ways(&format!("{text}x")), "{text}");
    }
}

type Members = Vec<(String, Node)>;

#[test]
fn of_a_repeated_member_the_last_one_counts_in_both_ways() {
    covers!("D-003");
    let text = frame(("HEARTBEAT", r#"{"status":"idle"}"#));
    for (key, again) in [
        ("message_type", r#""message_type":"OP_COMMIT""#),
        ("message_type", r#""message_type":"GOODBYE""#),
        ("payload", r#""payload":{"status":"working"}"#),
        ("payload", r#""payload":7"#),
        ("watermark", r#""watermark":{"kind":"lamport_clock","value":9}"#),
    ] {
        for before in ["\"message_id\"", "\"watermark\"", "\"in_reply_to\""] {
            let text = text.replace(before, &format!("{again},{before}"));
            assert!(!in_both_ways(&text), "{key}: {text}");
        }
    }
    let within = frame(("INTENT_WITHDRAW", r#"{"intent_id":"i","reason":"r","intent_id":"j"}"#));
    assert!(!in_both_ways(&within));
}

/// JSON whose objects can be edited.
enum Node {
    Object(Members),
    Other(String),
}

impl Node {
    fn read(text: &str) -> Self {
        match serde_json::from_str::<Ordered<Raw>>(text) {
            Ok(members) => Self::Object(
                members.iter().map(|(key, value)| (key.to_owned(), Self::read(value.get()))).collect(),
            ),
            Err(_) => Self::Other(text.to_owned()),
        }
    }

    fn write(&self, space: &str) -> String {
        match self {
            Self::Object(members) => {
                let member =
                    |(key, value): &(String, Self)| format!("\"{key}\":{space}{}", value.write(space));
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{space}{}{space}}}", members.join(&format!("{space},")))
            }
            Self::Other(text) => text.clone(),
        }
    }

    /// Makes `edit` in the object that comes after so many others, if there are as many.
    fn edit(&mut self, after: &mut usize, edit: &mut dyn FnMut(&mut Members)) {
        let Self::Object(members) = self else { return };
        if let Some(left) = after.checked_sub(1) {
            *after = left;
            members.iter_mut().for_each(|(_, member)| member.edit(after, edit));
        } else {
            *after = usize::MAX;
            edit(members);
        }
    }
}

/// What a member may be given in place of its value.
const VALUES: [&str; 27] = [
    "null",
    "true",
    "7",
    "07",
    "-0",
    "8.0",
    "1e3",
    "9007199254740993",
    "\"\"",
    "999999999999999",
    "1000000000000000",
    "18446744073709551615",
    "18446744073709551616",
    "\"HEARTBEAT\"",
    "\"x\"",
    "\"60\"",
    "\"\\u00e9\\n\"",
    "\"\\x\"",
    "\"\t\"",
    "[]",
    "[\"a\",\"b\"]",
    "[\"a\",]",
    "[null]",
    "{}",
    "{\"a\":1}",
    "NaN",
    "",
];
const SPACES: [&str; 4] = ["", " ", "\n  ", "\u{b}"];

/// An object, what is done to it, and two of its members.
type Edit = (usize, u8, usize, usize);

fn edited(message: (&str, &str), edits: &[Edit], space: &str) -> String {
    let mut node = Node::read(&frame(message));
    for (object, what, one, other) in edits {
        node.edit(&mut object.clone(), &mut |members| {
            if members.is_empty() {
                return;
            }
            let value = VALUES[other % VALUES.len()];
            let (one, other) = (one % members.len(), other % members.len());
            match what {
                0 => members.swap(one, other),
                1 => drop(members.remove(one)),
                2 => members[one].1 = Node::Other(value.to_owned()),
                3 => members.insert(one, ("x".to_owned(), Node::Other(value.to_owned()))),
                _ => {
                    let again = if what % 2 == 0 {
                        Node::read(&members[one].1.write(""))
                    } else {
                        Node::Other(value.to_owned())
                    };
                    members.insert(other, (members[one].0.clone(), again));
                }
            }
        });
    }
    node.write(space)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Members that are moved, missing, of another shape, unknown or repeated.
    #[test]
    fn whatever_came_is_the_same_in_both_ways(
        which in 0..OFTEN.len(),
        edits in prop::collection::vec((0_usize..6, 0_u8..6, 0_usize..32, 0_usize..32), 0..4),
        space in prop::sample::select(&SPACES[..]),
    ) {
        in_both_ways(&edited(OFTEN[which], &edits, space));
    }

    /// Any character in the place of another.
    #[test]
    fn a_character_more_or_less_is_the_same_in_both_ways(
        which in 0..OFTEN.len(),
        at in any::<prop::sample::Index>(),
        cut in 0_usize..2,
        put in "[\\[\\]{}:,\"0-9a-z \\\\\t.é-]{0,2}",
    ) {
        let mut characters: Vec<char> = frame(OFTEN[which]).chars().collect();
        let at = at.index(characters.len());
        let end = (at + cut).min(characters.len());
        characters.splice(at..end, put.chars());
        in_both_ways(&String::from_iter(characters));
    }
}
