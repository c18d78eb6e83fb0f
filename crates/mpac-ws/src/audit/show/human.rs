//! An entry in lines for people.

use mpac_core::{Notice, Output, Recipients};
use mpac_wire::{Envelope, Message, MessageType, Timestamp};

use super::item::Item;
use super::relations::Relations;
use super::words;
use crate::audit::text::harmless;
use crate::cli::audit::Show;

/// One line for what happened, and one below it for each thing that came of it.
pub(super) fn lines(item: &Item, options: &Show) -> String {
    let who = match (&item.principal, item.conn()) {
        (Some(who), _) => format!("{} ", harmless(who)),
        (None, Some(conn)) => format!("connection {conn} "),
        (None, None) => String::new(),
    };
    let mut lines = format!("{} {:>6}  {who}{}\n", seconds(item.at), item.n, item.what);
    let mut below = |text: &str| lines.extend(["                                   ", text, "\n"]);
    for output in item.outputs.iter().flatten() {
        let told = if options.outputs { all(output) } else { consequence(item, output) };
        if let Some(told) = told {
            below(&format!("-> {told}"));
        }
    }
    for it in item.changes.iter().flatten() {
        let (from, to) = (it.from.as_deref().unwrap_or("new"), it.to.as_deref().unwrap_or("gone"));
        below(&format!("~  {} {}: {from} -> {to}", it.what, harmless(&it.id)));
    }
    if options.contents {
        for line in contents(item) {
            below(&line);
        }
    }
    lines
}

/// Up to milliseconds, in a form that `--since` takes.
fn seconds(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text))
}

/// What people look for: refusals, conflicts and their ends, rejections, commits of others that went through now.
fn consequence(item: &Item, output: &Output) -> Option<String> {
    match output {
        Output::Send { envelope, .. } if !is_routine(envelope) => {
            Some(format!("the coordinator {}", words::told(envelope)))
        }
        // Its own message going on to others is what the first line says.
        Output::Relay { text, sender, message_type, .. }
            if item.principal.as_deref() != Some(sender.as_str())
                || Some(message_type) != item.message_type() =>
        {
            let envelope: Envelope = serde_json::from_str(text).ok()?;
            let what = words::message(&envelope, true, &Relations::default());
            Some(format!("{} {what}", harmless(sender.as_str())))
        }
        Output::HangUp { reason, .. } => Some(format!("its connection is closed: {}", reason.text())),
        Output::Notice(Notice::Remark(remark)) => Some(format!("noted: {}", harmless(&remark.to_string()))),
        Output::Notice(Notice::CoordinatorConflict { reported_by }) => {
            Some(format!("{} hears a second coordinator", harmless(reported_by.as_str())))
        }
        _ => None,
    }
}

fn is_routine(envelope: &Envelope) -> bool {
    match envelope.message_type {
        MessageType::SessionInfo => true,
        MessageType::CoordinatorStatus => {
            matches!(envelope.message(), Ok(Message::CoordinatorStatus(it)) if it.event.as_str() == "heartbeat")
        }
        _ => false,
    }
}

/// Everything, with its recipients.
fn all(output: &Output) -> Option<String> {
    Some(match output {
        Output::Send { to, envelope } => {
            let what = words::told(envelope);
            format!("{} to {}: {what}", harmless(envelope.message_type.as_str()), recipients(to))
        }
        Output::Relay { to, message_type, sender, .. } => {
            let (what, from) = (harmless(message_type.as_str()), harmless(sender.as_str()));
            format!("{what} of {from} goes on to {}", recipients(to))
        }
        Output::Workspace { conn, .. } => format!("the host answers connection {}", conn.0),
        Output::Answer { conn, .. } => format!("connection {} is answered", conn.0),
        Output::HangUp { conn, reason } => format!("connection {} is closed: {}", conn.0, reason.text()),
        Output::Notice(notice) => return noticed(notice),
    })
}

fn noticed(notice: &Notice) -> Option<String> {
    Some(match notice {
        Notice::Opened => "the session is open from here on".to_owned(),
        Notice::Bound { conn, principal } => {
            format!("connection {} speaks for {}", conn.0, harmless(principal.as_str()))
        }
        Notice::Unbound { conn } => format!("connection {} speaks for nobody", conn.0),
        Notice::FileUpdated { path, state_ref, .. } => {
            format!("{} is now {}", harmless(path), harmless(state_ref.as_str()))
        }
        Notice::Remark(remark) => format!("noted: {}", harmless(&remark.to_string())),
        Notice::CoordinatorConflict { reported_by } => {
            format!("{} hears a second coordinator", harmless(reported_by.as_str()))
        }
        Notice::CoordinatorKey { key } => format!("what follows is signed with {key}"),
        Notice::Closed { reason } => format!("the session is over: {}", harmless(reason.as_str())),
    })
}

fn recipients(to: &Recipients) -> String {
    match to {
        Recipients::All => "all".to_owned(),
        Recipients::Conn(conn) => format!("connection {}", conn.0),
        Recipients::Only(principals) => {
            let names: Vec<String> = principals.iter().map(|it| harmless(it.as_str())).collect();
            names.join(", ")
        }
    }
}

/// What files hold after the entry, each line of it marked as theirs.
fn contents(item: &Item) -> Vec<String> {
    let mut lines = Vec::new();
    for output in item.outputs.iter().flatten() {
        if let Output::Notice(Notice::FileUpdated { path, content, .. }) = output {
            lines.push(format!("{}:", harmless(path)));
            lines.extend(content.lines().map(|line| format!("  | {}", harmless_line(line))));
        }
    }
    lines
}

/// A whole line, however long: contents are shown as they are.
fn harmless_line(line: &str) -> String {
    let pieces: Vec<char> = line.replace('\t', "    ").chars().collect();
    // `harmless` cuts long texts, so it gets short ones.
    pieces.chunks(100).map(|piece| harmless(&piece.iter().collect::<String>())).collect()
}
