//! What can be said of every frame that a coordinator sends, whatever the story: shape, order, clock, epoch, time.
//!
//! A frame that breaks one of these does not fail the story it came in; each check is a result of its own in the report.

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::PublicKey;
use serde_json::Value;

use super::cast::session_of;
use super::keys;
use super::relay::is_authored;
use super::schema::Schema;

/// Bytes of the largest frame that may be sent (SRV-18).
const LARGEST: usize = 1_048_576;

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Check {
    /// The last part of its name in the report.
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) title: &'static str,
}

macro_rules! checks {
    ($($constant:ident $name:literal $rule:literal $title:literal;)*) => {
        $(const $constant: Check = Check { name: $name, rule: $rule, title: $title };)*
        pub(super) const CHECKS: &[Check] = &[$($constant),*];
    };
}

checks! {
    ENVELOPE "envelope" "ENV-01" "Every message has the eight members of an envelope, of the right types";
    VERSION "version" "ENV-04" "The coordinator writes the session's level as version";
    IDS "message-ids" "ENV-06" "No message id is used twice by the coordinator";
    TIMES "timestamps" "D-008" "The coordinator's times are UTC with Z and six digits";
    EPOCH "epoch" "ENV-10" "What the coordinator writes carries its epoch and a clock";
    SIGNED "signatures" "SEC-26" "A coordinator that has a key signs what it writes, whatever that is";
    RESERVED "reserved-sender" "SES-03" "The coordinator speaks of the session only, as service:coordinator-<session_id>";
    LAMPORT "lamport" "LAM-12" "The coordinator's Lamport values rise from frame to frame on each connection";
    NULLS "nulls" "D-010" "No payload of the coordinator has a null at the top";
    ORDER "member-order" "D-132" "Members stand in the order of the wire reference";
    SIZE "frame-size" "SRV-18" "No frame is larger than 1,048,576 bytes";
    SESSION_INFO "session-info" "HEL-04" "SESSION_INFO validates against the schema";
    STATUS "coordinator-status" "REC-02" "COORDINATOR_STATUS validates against the schema";
    REPORT "conflict-report" "CON-01" "CONFLICT_REPORT validates against the schema, relayed ones too";
    ERROR "protocol-error" "ERR-01" "PROTOCOL_ERROR validates against the schema";
    CLOSE "session-close" "SES-17" "SESSION_CLOSE validates against the schema";
    CLAIM_STATUS "claim-status" "CLM-12" "INTENT_CLAIM_STATUS validates against the schema";
    RESOLUTION "resolution" "GOV-09" "RESOLUTION validates against the schema, relayed ones too";
    PAYLOAD "other-payloads" "ENV-16" "Every other message validates against the schema";
}

/// How one check went.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) wrong: u64,
    /// The first that was wrong.
    pub(super) example: Option<String>,
}

/// Watches the frames of one story.
pub(super) struct Wire<'a> {
    schema: &'a Schema,
    protocol: String,
    /// The id of its session.
    pub(super) session: String,
    story: String,
    /// What the coordinator must sign with, if it has a key.
    pub(super) coordinator_key: Option<PublicKey>,
    pub(super) tallies: BTreeMap<Check, Tally>,
    /// The coordinator's last value by connection and instance.
    clocks: BTreeMap<(String, String), u64>,
    /// Message ids of the coordinator, with their text: one message goes to many.
    ids: BTreeMap<String, String>,
}

impl<'a> Wire<'a> {
    pub(super) fn new(schema: &'a Schema, story: &str, protocol: &str) -> Self {
        Self {
            schema,
            protocol: protocol.to_owned(),
            session: String::new(),
            story: story.to_owned(),
            coordinator_key: None,
            tallies: BTreeMap::new(),
            clocks: BTreeMap::new(),
            ids: BTreeMap::new(),
        }
    }

    /// A connection has ended: what comes under its name later is another.
    pub(super) fn ends(&mut self, conn: &str) {
        self.clocks.retain(|(name, _), _| name != conn);
    }

    pub(super) fn sees(&mut self, conn: &str, text: &str, value: &Value) {
        self.note(SIZE, text, (text.len() > LARGEST).then(|| format!("{} bytes", text.len())));
        if value.get("message_type").is_none() {
            return;
        }
        let problems = self.schema.problems(value);
        let of_payload = |problem: &&String| problem.starts_with("/payload");
        self.note(ENVELOPE, text, problems.iter().find(|problem| !of_payload(problem)).cloned());
        self.note(payload_check(value), text, problems.iter().find(of_payload).cloned());
        if is_authored(value) {
            self.authored(conn, text, value);
        }
    }

    /// What holds of the coordinator's own messages only.
    fn authored(&mut self, conn: &str, text: &str, value: &Value) {
        let version = value["version"].as_str().unwrap_or_default();
        let other = (version != self.protocol)
            .then(|| format!("version {version:?} in a session of {}", self.protocol));
        self.note(VERSION, text, other);
        let ts = value["ts"].as_str().unwrap_or_default();
        self.note(TIMES, text, (!is_exact(ts)).then(|| format!("ts {ts:?}")));
        self.note(EPOCH, text, self.schema.authored_problem(value));
        if let Some(key) = self.coordinator_key.clone() {
            self.note(SIGNED, text, keys::flaw(text, value, &key));
        }
        let session = session_of(&self.session, conn);
        let is_own = value["session_id"] == session
            && value["sender"]["principal_id"] == format!("service:coordinator-{session}");
        let other = || format!("{} of session {}", value["sender"]["principal_id"], value["session_id"]);
        self.note(RESERVED, text, (!is_own).then(other));
        self.note(ORDER, text, self.schema.disorder(text));
        let null = value["payload"].as_object().and_then(|map| map.iter().find(|(_, value)| value.is_null()));
        self.note(NULLS, text, null.map(|(key, _)| format!("payload.{key}")));
        let id = value["message_id"].as_str().unwrap_or_default().to_owned();
        let before = self.ids.insert(id.clone(), text.to_owned()).filter(|before| before != text);
        self.note(IDS, text, before.map(|_| format!("message_id {id} was there before")));
        let instance = value["sender"]["sender_instance_id"].as_str().unwrap_or_default().to_owned();
        if let Some(clock) = value["watermark"]["value"].as_u64() {
            let last = self.clocks.insert((conn.to_owned(), instance), clock);
            let not_above = last.filter(|last| clock <= *last);
            self.note(LAMPORT, text, not_above.map(|last| format!("{clock} on {conn} after {last}")));
        }
    }

    fn note(&mut self, check: Check, text: &str, problem: Option<String>) {
        let tally = self.tallies.entry(check).or_default();
        tally.frames += 1;
        if let Some(problem) = problem {
            tally.wrong += 1;
            let shown: String = text.chars().take(400).collect();
            tally.example.get_or_insert_with(|| format!("{problem}, in {}: {shown}", self.story));
        }
    }
}

/// Adds up what was seen in several stories.
pub(super) fn merge(into: &mut BTreeMap<Check, Tally>, from: BTreeMap<Check, Tally>) {
    for (check, tally) in from {
        let sum = into.entry(check).or_default();
        sum.frames += tally.frames;
        sum.wrong += tally.wrong;
        sum.example = sum.example.take().or(tally.example);
    }
}

/// Rules that these checks hold, for the coverage of the suite.
pub(super) fn covered() -> BTreeSet<&'static str> {
    CHECKS.iter().map(|check| check.rule).chain(["LAM-07", "ENV-07", "REC-03"]).collect()
}

fn payload_check(value: &Value) -> Check {
    match value["message_type"].as_str().unwrap_or_default() {
        "SESSION_INFO" => SESSION_INFO,
        "COORDINATOR_STATUS" => STATUS,
        "CONFLICT_REPORT" => REPORT,
        "PROTOCOL_ERROR" => ERROR,
        "SESSION_CLOSE" => CLOSE,
        "INTENT_CLAIM_STATUS" => CLAIM_STATUS,
        "RESOLUTION" => RESOLUTION,
        _ => PAYLOAD,
    }
}

/// `2026-01-02T03:04:05.000000Z`.
fn is_exact(ts: &str) -> bool {
    let shape = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b'T',
        13 | 16 => byte == b':',
        19 => byte == b'.',
        26 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    ts.len() == 27 && ts.bytes().enumerate().all(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"protocol":"MPAC","version":"0.1.13","message_type":"PROTOCOL_ERROR","message_id":"m","session_id":"s","sender":{"principal_id":"service:coordinator-s","principal_type":"service","sender_instance_id":"service:coordinator-s:epoch-1"},"ts":"2026-01-02T03:04:05.000000Z","payload":{"error_code":"X","refers_to":"m","description":"d"},"watermark":{"kind":"lamport_clock","value":3},"coordinator_epoch":1}"#;

    fn wrong(frames: &[&str]) -> Vec<&'static str> {
        let schema = Schema::load().unwrap();
        let mut wire = Wire::new(&schema, "a/b", "0.1.13");
        wire.session = "s".to_owned();
        for frame in frames {
            wire.sees("c", frame, &serde_json::from_str(frame).unwrap());
        }
        let wrong = wire.tallies.iter().filter(|(_, tally)| tally.wrong > 0);
        wrong.map(|(check, _)| check.name).collect()
    }

    #[test]
    fn a_good_frame_passes_every_check() {
        assert_eq!(wrong(&[GOOD]), [""; 0]);
    }

    #[test]
    fn each_check_can_fail() {
        for (from, to, expected) in [
            ("\"session_id\":\"s\",", "", "envelope"),
            ("0.1.13", "0.1.14", "version"),
            (".000000Z", "Z", "timestamps"),
            (",\"coordinator_epoch\":1", "", "epoch"),
            ("\"session_id\":\"s\"", "\"session_id\":\"t\"", "reserved-sender"),
            ("\"service:coordinator-s\"", "\"service:coordinator-t\"", "reserved-sender"),
            ("\"service:coordinator-s\"", "\"alice\"", "reserved-sender"),
            ("\"refers_to\":\"m\"", "\"refers_to\":null", "nulls"),
            (
                "\"refers_to\":\"m\",\"description\":\"d\"",
                "\"description\":\"d\",\"refers_to\":\"m\"",
                "member-order",
            ),
            ("\"error_code\":\"X\",", "", "protocol-error"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert_ne!(bad, GOOD);
            assert!(wrong(&[&bad]).contains(&expected), "{expected}: {:?}", wrong(&[&bad]));
        }
        assert_eq!(wrong(&[GOOD, &GOOD.replace("\"m\"", "\"n\"")]), ["lamport"], "the same value twice");
        assert_eq!(wrong(&[GOOD, &GOOD.replace(":3}", ":4}")]), ["message-ids"]);
        let large = GOOD.replace("\"d\"", &format!("{:?}", "d".repeat(LARGEST)));
        assert_eq!(wrong(&[&large]), ["frame-size"]);
    }
}
