//! The verbs of a step, each short for a message.

use serde_json::{Map, Value, json};

use super::pattern::merge;
use super::scan::Scan;
use super::story::{Act, Expect, Expected, Local, Signing, Step, Who};
use crate::step;

/// Words that end the words of a verb.
const STOPS: [&str; 3] = ["with", "signed", "as"];

/// Whether the frame of this line is not JSON of ours.
pub(super) fn is_raw(line: &str) -> bool {
    line.split_whitespace().take(3).any(|word| word == "types")
}

pub(super) fn is_join(line: &str) -> bool {
    line.split_whitespace().take(3).any(|word| word == "joins")
}

/// Whether a line below `joins` tells its answer.
pub(super) fn is_answer_to_join(step: &Step, expect: &Expect) -> bool {
    let concerns = match &expect.who {
        Who::Sender => true,
        Who::Conns(conns) => step.act.conn().is_some_and(|conn| conns.iter().any(|name| name == conn)),
        Who::All | Who::Others | Who::Session => false,
    };
    let answers = match &expect.what {
        Expected::Authored { kind, .. } => kind == "SESSION_INFO" || kind == "PROTOCOL_ERROR",
        Expected::Error { .. } | Expected::Nothing | Expected::Closed(_) => true,
        Expected::Relay { .. } | Expected::Sideband(_) | Expected::Holds(_) => false,
    };
    is_join(&step.text) && concerns && answers && !expect.may
}

/// What `joins` expects unless its answer is told.
pub(super) fn joined(line: usize) -> Expect {
    Expect {
        line,
        text: "sender gets SESSION_INFO".to_owned(),
        who: Who::Sender,
        then: false,
        count: 1,
        may: false,
        what: Expected::Authored { kind: "SESSION_INFO".to_owned(), payload: json!({}), envelope: json!({}) },
        rule: Some("HEL-02".to_owned()),
    }
}

/// Reads who does what, and the label of its message.
pub(super) fn act(scan: &mut Scan<'_>) -> Result<(Act, Option<String>), String> {
    if scan.eat("wait") {
        return Ok((Act::Wait, None));
    }
    if scan.eat("coordinator") {
        return Ok((Act::Local(local(scan)?), None));
    }
    let conn = scan.need("who acts")?.to_owned();
    let act = match scan.need("what is done")? {
        "asks" => Act::Frame { conn, value: scan.json()? },
        "types" => Act::Text { conn, text: scan.all().to_owned() },
        "plays" => {
            let golden = format!("fixtures/golden/{}.json", scan.need("a golden message")?);
            let text = step::text(&step::root().join(golden)).map_err(|failure| failure.to_string())?;
            Act::Text { conn, text }
        }
        "repeats" => Act::Repeat { conn },
        "disconnects" => Act::Disconnect { conn },
        "stops" => {
            scan.must("reading")?;
            Act::Deafen { conn }
        }
        "sends" if scan.eat("binary") => {
            let kind = scan.need("a message type")?.to_owned();
            Act::Binary { conn, kind, payload: scan.json()? }
        }
        verb => {
            let (kind, mut payload) = message(verb, scan)?;
            let more = scan.optional_json()?;
            merge(&mut payload, more);
            let with = if scan.eat("with") { scan.json()? } else { Value::Object(Map::new()) };
            Act::Message { conn, kind, payload, with, signed: signing(scan)? }
        }
    };
    let label = if scan.eat("as") { Some(scan.need("a label")?.to_owned()) } else { None };
    Ok((act, label))
}

/// `signed by KEY`, and what was changed afterwards.
fn signing(scan: &mut Scan<'_>) -> Result<Option<Signing>, String> {
    if !scan.eat("signed") {
        return Ok(None);
    }
    scan.must("by")?;
    let key = scan.need("the name of a key")?.to_owned();
    let but = if scan.eat("but") { scan.json()? } else { Value::Object(Map::new()) };
    Ok(Some(Signing { key, but }))
}

fn local(scan: &mut Scan<'_>) -> Result<Local, String> {
    Ok(match scan.need("what the coordinator does")? {
        "closes" => Local::Close {
            reason: scan.word().unwrap_or("manual").to_owned(),
            disposition: scan.word().map(str::to_owned),
        },
        "beats" => Local::Beat,
        "saves" => Local::Save,
        "restores" => Local::Restore,
        "restarts" => Local::Restart,
        "stops" => Local::Stop,
        "loads" => {
            let saved = format!("fixtures/snapshots/{}.json", scan.need("a snapshot")?);
            let text = step::text(&step::root().join(&saved)).map_err(|failure| failure.to_string())?;
            let mut snapshot: Value =
                serde_json::from_str(&text).map_err(|error| format!("{saved}: {error}"))?;
            merge(&mut snapshot, scan.optional_json()?);
            Local::Load { snapshot }
        }
        "hands" => {
            scan.must("over")?;
            scan.must("to")?;
            let to = scan.need("a successor")?.to_owned();
            let epoch = if scan.eat("at") {
                scan.must("epoch")?;
                let epoch = scan.need("an epoch")?;
                Some(epoch.parse().map_err(|_| format!("`{epoch}` is no epoch"))?)
            } else {
                None
            };
            Local::HandOver { to, epoch }
        }
        verb => return Err(format!("`{verb}` is nothing that the coordinator does")),
    })
}

/// The message type and the payload that a verb stands for.
fn message(verb: &str, scan: &mut Scan<'_>) -> Result<(String, Value), String> {
    let (kind, payload) = match verb {
        "sends" => {
            let kind = scan.need("a message type")?.to_owned();
            return Ok((kind, json!({})));
        }
        "joins" => {
            scan.must("as")?;
            let roles: Vec<&str> = scan.need("a role")?.split(',').collect();
            ("HELLO", json!({"display_name": "somebody", "roles": roles, "capabilities": CAPABILITIES}))
        }
        "announces" => {
            let id = scan.need("an intent")?;
            ("INTENT_ANNOUNCE", with_files(json!({"intent_id": id, "objective": "change it"}), scan))
        }
        "updates" => ("INTENT_UPDATE", json!({"intent_id": scan.need("an intent")?})),
        "withdraws" => ("INTENT_WITHDRAW", json!({"intent_id": scan.need("an intent")?})),
        "defers" => ("INTENT_DEFERRED", with_files(json!({"deferral_id": scan.need("a deferral")?}), scan)),
        "claims" => ("INTENT_CLAIM", claim(scan)?),
        "proposes" => ("OP_PROPOSE", operation(scan, false)?),
        "commits" => ("OP_COMMIT", operation(scan, true)?),
        "supersedes" => ("OP_SUPERSEDE", supersede(scan)?),
        "rejects" => {
            ("OP_REJECT", json!({"op_id": scan.need("an operation")?, "reason": "policy_violation"}))
        }
        "reports" => ("CONFLICT_REPORT", report(scan.need("a conflict")?)),
        "acks" => {
            let id = scan.need("a conflict")?;
            scan.must("as")?;
            ("CONFLICT_ACK", json!({"conflict_id": id, "ack_type": scan.need("an ack type")?}))
        }
        "escalates" => {
            let id = scan.need("a conflict")?;
            scan.must("to")?;
            let to = scan.need("a principal")?;
            ("CONFLICT_ESCALATE", json!({"conflict_id": id, "escalate_to": to, "reason": "we disagree"}))
        }
        "resolves" => {
            let id = scan.need("a conflict")?;
            scan.must("as")?;
            let decision = scan.need("a decision")?;
            let resolution = format!("res-{}", id.trim_start_matches('$'));
            (
                "RESOLUTION",
                json!({"resolution_id": resolution, "conflict_id": id, "decision": decision, "rationale": "so it is"}),
            )
        }
        "beats" => {
            let status = scan.words_until(&STOPS).first().copied().unwrap_or("working");
            ("HEARTBEAT", json!({"status": status}))
        }
        "leaves" => {
            let mut goodbye = json!({"reason": "user_exit"});
            if let Some(disposition) = scan.words_until(&STOPS).first() {
                goodbye["intent_disposition"] = json!(disposition);
            }
            ("GOODBYE", goodbye)
        }
        _ => return Err(format!("`{verb}` is no verb")),
    };
    Ok((kind.to_owned(), payload))
}

/// What everybody here can do.
const CAPABILITIES: [&str; 12] = [
    "intent.broadcast",
    "intent.update",
    "intent.withdraw",
    "intent.claim",
    "op.propose",
    "op.commit",
    "op.batch_commit",
    "op.reject",
    "conflict.report",
    "conflict.ack",
    "governance.override",
    "causality.lamport_clock",
];

fn files(names: &[&str]) -> Value {
    json!({"kind": "file_set", "resources": names})
}

/// `on FILE…`, if it is there.
fn with_files(mut payload: Value, scan: &mut Scan<'_>) -> Value {
    if scan.eat("on") {
        payload["scope"] = files(&scan.words_until(&STOPS));
    }
    payload
}

fn claim(scan: &mut Scan<'_>) -> Result<Value, String> {
    let original = scan.need("an intent")?;
    scan.must("of")?;
    let owner = scan.need("its owner")?;
    scan.must("as")?;
    let new = scan.need("the new intent")?;
    let payload = json!({
        "claim_id": format!("claim-{new}"),
        "original_intent_id": original,
        "original_principal_id": owner,
        "new_intent_id": new,
        "objective": "go on with it",
    });
    Ok(with_files(payload, scan))
}

fn operation(scan: &mut Scan<'_>, is_commit: bool) -> Result<Value, String> {
    let id = scan.need("an operation")?;
    scan.must("on")?;
    let target = scan.need("a target")?;
    let mut payload = json!({"op_id": id, "target": target, "op_kind": "replace"});
    if is_commit {
        scan.must("from")?;
        payload["state_ref_before"] = json!(format!("$ref:{}", scan.need("the state before")?));
        scan.must("to")?;
        payload["state_ref_after"] = json!(format!("$ref:{}", scan.need("the state after")?));
    }
    under(&mut payload, scan)?;
    Ok(payload)
}

fn supersede(scan: &mut Scan<'_>) -> Result<Value, String> {
    let old = scan.need("the old operation")?;
    scan.must("with")?;
    let new = scan.need("the new operation")?;
    scan.must("on")?;
    let mut payload = json!({"op_id": new, "supersedes_op_id": old, "target": scan.need("a target")?});
    if scan.eat("to") {
        payload["state_ref_after"] = json!(format!("$ref:{}", scan.need("the state after")?));
    }
    under(&mut payload, scan)?;
    Ok(payload)
}

fn under(payload: &mut Value, scan: &mut Scan<'_>) -> Result<(), String> {
    if scan.eat("under") {
        payload["intent_id"] = json!(scan.need("an intent")?);
    }
    Ok(())
}

fn report(id: &str) -> Value {
    json!({
        "conflict_id": id,
        "category": "semantic_goal_conflict",
        "severity": "low",
        "basis": {"kind": "human_report"},
        "based_on_watermark": {"kind": "lamport_clock", "value": 1},
        "description": "they pull in different directions",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (String, Value, Value) {
        let mut scan = Scan::new(line);
        let (act, _) = act(&mut scan).unwrap();
        scan.end().unwrap();
        match act {
            Act::Message { kind, payload, with, .. } => (kind, payload, with),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_verb_stands_for_a_payload_that_json_changes() {
        let (kind, payload, with) = read(
            "bob commits o1 on a.py from x to y under i1 {\"op_kind\":\"patch\",\"intent_id\":\"$absent\"} with {\"version\":\"9\"}",
        );
        assert_eq!(kind, "OP_COMMIT");
        assert_eq!(payload["state_ref_before"], "$ref:x");
        assert_eq!(payload["op_kind"], "patch");
        assert_eq!(payload["intent_id"], "$absent", "what is absent is taken away when it is sent");
        assert_eq!(with["version"], "9");
        let (_, payload, _) = read("bob announces i1 on a.py b.py {\"ttl_sec\":1}");
        assert_eq!(payload["scope"]["resources"], json!(["a.py", "b.py"]));
        assert_eq!(read("bob leaves transfer").1["intent_disposition"], "transfer");
        assert_eq!(read("bob beats").1["status"], "working");
        assert_eq!(read("bob claims i1 of ann as i2 on a").1["claim_id"], "claim-i2");
    }
}
