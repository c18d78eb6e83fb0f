//! An entry as one line of JSON.

use std::collections::BTreeSet;

use mpac_core::{Notice, Output, Recipients};
use mpac_wire::names::MessageType;
use mpac_wire::redact::without_contents;
use mpac_wire::{Message, Timestamp};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::item::Item;
use super::states::Change;
use crate::audit::text::harmless_json;
use crate::cli::audit::Show;
use crate::store::entry::Entry;

#[derive(Serialize)]
struct Line<'a> {
    n: u64,
    received_at: Timestamp,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_type: Option<&'a MessageType>,
    what: &'a str,
    intents: &'a BTreeSet<String>,
    ops: &'a BTreeSet<String>,
    conflicts: &'a BTreeSet<String>,
    files: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Value>,
    /// Of the outputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    checksum: &'a str,
    segment: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Value>,
    /// What came: JSON as it was received,
    #[serde(skip_serializing_if = "Option::is_none")]
    envelope: Option<Box<RawValue>>,
    /// or a text that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<Vec<Box<RawValue>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<&'a [Change]>,
}

/// With the line's end.
pub(super) fn line(item: &Item, options: &Show) -> serde_json::Result<String> {
    let (envelope, text) = received(item, options.contents)?;
    let outputs = item.outputs.as_deref().filter(|_| options.outputs);
    let outputs = outputs.map(|it| it.iter().map(|it| output(it, options.contents)).collect()).transpose()?;
    let line = Line {
        n: item.n,
        received_at: item.at,
        kind: item.kind(),
        principal: item.principal.as_deref(),
        conn: item.conn(),
        message_type: item.message_type(),
        what: &item.what,
        intents: &item.concerned.intents,
        ops: &item.concerned.ops,
        conflicts: &item.concerned.conflicts,
        files: &item.concerned.files,
        refused: refusals(item),
        digest: match &item.entry {
            Entry::Input(happened) => Some(happened.digest()),
            _ => None,
        },
        checksum: &item.checksum,
        segment: item.segment,
        origin: match &item.entry {
            Entry::Fork(forked) => {
                let origin = forked.origin();
                Some(json!({"session": origin.session, "n": origin.after.n, "checksum": origin.after.sum}))
            }
            _ => None,
        },
        envelope,
        text,
        outputs,
        changes: item.changes.as_deref(),
    };
    Ok(format!("{}\n", harmless_json(&serde_json::to_string(&line)?)))
}

/// As JSON, or else as text.
fn received(item: &Item, contents: bool) -> serde_json::Result<(Option<Box<RawValue>>, Option<&str>)> {
    let Some(text) = item.text() else { return Ok((None, None)) };
    let shown = if contents { Some(text.to_owned()) } else { without_contents(text).ok() };
    match shown.map(|shown| serde_json::from_str::<&RawValue>(&shown).map(to_raw_value)) {
        Some(Ok(raw)) => Ok((Some(raw?), None)),
        _ => Ok((None, Some(text))),
    }
}

fn refusals(item: &Item) -> Vec<Value> {
    let refusal = |message: Message| match message {
        Message::ProtocolError(it) => {
            Some(json!({"error_code": it.error_code, "description": it.description}))
        }
        Message::OpReject(it) => Some(json!({"op_id": it.op_id, "reason": it.reason})),
        _ => None,
    };
    item.sent().filter_map(|envelope| envelope.message().ok()).filter_map(refusal).collect()
}

/// A message that went out, in the spelling that it went out in.
#[derive(Serialize)]
struct Sent<'a> {
    kind: &'static str,
    to: Value,
    envelope: &'a RawValue,
}

fn output(output: &Output, contents: bool) -> serde_json::Result<Box<RawValue>> {
    let sent = |kind, to, text: &str| {
        let blanked = if contents { None } else { without_contents(text).ok() };
        let envelope = serde_json::from_str(blanked.as_deref().unwrap_or(text))?;
        to_raw_value(&Sent { kind, to: recipients(to), envelope })
    };
    match output {
        Output::Send { to, envelope } => sent("coordinator", to, &envelope.to_json()),
        Output::Relay { to, text, .. } => sent("relay", to, text),
        Output::Workspace { conn, .. } => to_raw_value(&json!({"kind": "workspace", "to": {"conn": conn.0}})),
        Output::Answer { conn, .. } => to_raw_value(&json!({"kind": "answer", "to": {"conn": conn.0}})),
        Output::HangUp { conn, reason } => {
            let (to, code, reason) = (json!({"conn": conn.0}), reason.code(), reason.text());
            to_raw_value(&json!({"kind": "hang_up", "to": to, "code": code, "reason": reason}))
        }
        Output::Notice(notice) => to_raw_value(&noticed(notice, contents)),
    }
}

fn noticed(notice: &Notice, contents: bool) -> Value {
    match notice {
        Notice::Opened => json!({"kind": "opened"}),
        Notice::Bound { conn, principal } => json!({"kind": "bound", "conn": conn.0, "principal": principal}),
        Notice::Unbound { conn } => json!({"kind": "unbound", "conn": conn.0}),
        Notice::FileUpdated { path, content, state_ref, updated_by, .. } => {
            let mut file =
                json!({"kind": "file", "path": path, "state_ref": state_ref, "updated_by": updated_by});
            if contents {
                file["content"] = content.as_str().into();
            }
            file
        }
        Notice::Remark(remark) => json!({"kind": "remark", "text": remark.to_string()}),
        Notice::CoordinatorConflict { reported_by } => {
            json!({"kind": "second_coordinator", "reported_by": reported_by})
        }
        Notice::CoordinatorKey { key } => json!({"kind": "coordinator_key", "key": key}),
        Notice::Closed { reason } => json!({"kind": "closed", "reason": reason}),
    }
}

fn recipients(to: &Recipients) -> Value {
    match to {
        Recipients::All => "all".into(),
        Recipients::Conn(conn) => json!({"conn": conn.0}),
        Recipients::Only(principals) => json!(principals),
    }
}
