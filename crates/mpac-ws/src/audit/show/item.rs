//! An entry, and everything about it that filters and readers ask for.

use std::collections::BTreeMap;

use mpac_core::{Notice, Output};
use mpac_wire::names::MessageType;
use mpac_wire::{Envelope, Message, PrincipalId, Timestamp};
use serde_json::Value;

use super::mentions::Mentions;
use super::relations::Relations;
use super::states::{Change, States, changes, states};
use super::words;
use crate::store::entry::Entry;
use crate::store::input::Stored;
use crate::store::log::Found;
use crate::store::replay::Replay;

/// One entry.
pub(super) struct Item {
    pub(super) n: u64,
    pub(super) segment: u64,
    pub(super) checksum: String,
    pub(super) at: Timestamp,
    pub(super) entry: Entry,
    /// The message that came, if one did.
    pub(super) envelope: Option<Envelope>,
    /// Who sent it, or whose connection ended.
    pub(super) principal: Option<String>,
    /// What it is about, with what that belongs to.
    pub(super) concerned: Mentions,
    /// Who did what, in plain words, without the who.
    pub(super) what: String,
    /// What it led to; `None` where that cannot be told any more.
    pub(super) outputs: Option<Vec<Output>>,
    /// What changed its state, where that was asked for.
    pub(super) changes: Option<Vec<Change>>,
    /// Whether the session had been handed over when it came.
    pub(super) handed_over: bool,
}

impl Item {
    /// What kind of entry it is, by the name that the log has for it.
    pub(super) const fn kind(&self) -> &'static str {
        match &self.entry {
            Entry::Open(_) => "open",
            Entry::Fork(_) => "fork",
            Entry::TakeUp(_) => "take_up",
            Entry::Repaired(_) => "repaired",
            Entry::Seal(_) => "seal",
            Entry::Input(happened) => match happened.input() {
                Stored::Frame { .. } => "frame",
                Stored::Unreadable { .. } => "unreadable",
                Stored::Disconnect { .. } => "disconnect",
                Stored::Timeout {} => "timeout",
                Stored::Vacancy { .. } => "vacancy",
                Stored::Close { .. } => "close",
                Stored::Status { .. } => "status",
                Stored::Rebind { .. } => "rebind",
                Stored::HandOver { .. } => "hand_over",
                Stored::Persisted { .. } => "persisted",
                Stored::Fence { .. } => "fence",
                Stored::RotateKey { .. } => "rotate_key",
                Stored::TurnAway { .. } => "turn_away",
            },
        }
    }

    pub(super) fn message_type(&self) -> Option<&MessageType> {
        self.envelope.as_ref().map(|envelope| &envelope.message_type)
    }

    /// The connection it came on.
    pub(super) const fn conn(&self) -> Option<u64> {
        let Entry::Input(happened) = &self.entry else { return None };
        match happened.input() {
            Stored::Frame { conn, .. }
            | Stored::Unreadable { conn, .. }
            | Stored::Disconnect { conn }
            | Stored::TurnAway { conn, .. }
            | Stored::Rebind { conn, .. } => Some(*conn),
            _ => None,
        }
    }

    /// What came, as text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.entry {
            Entry::Input(happened) => match happened.input() {
                Stored::Frame { text, .. } => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The coordinator's messages that it led to.
    pub(super) fn sent(&self) -> impl Iterator<Item = &Envelope> {
        self.outputs.iter().flatten().filter_map(|output| match output {
            Output::Send { envelope, .. } => Some(&**envelope),
            _ => None,
        })
    }

    /// Heartbeats, looks at files, timers: as long as nothing came of them that people would look for.
    pub(super) fn is_quiet(&self) -> bool {
        let routine = match (self.kind(), self.message_type()) {
            (_, Some(MessageType::Heartbeat)) | ("timeout" | "vacancy" | "persisted" | "seal", _) => true,
            ("frame", None) => !self.what.starts_with(words::UNREADABLE),
            _ => false,
        };
        let is_status = |envelope: &Envelope| match envelope.message() {
            Ok(Message::CoordinatorStatus(status)) => status.event.as_str() == "heartbeat",
            _ => false,
        };
        routine && self.sent().all(is_status) && self.changes.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Makes items of entries, in their order.
pub(super) struct Teller {
    replay: Replay,
    /// From here on the log leads somewhere else than it did.
    lost: Option<(u64, String)>,
    /// Whether what changed its state is to be told.
    changes: bool,
    /// How everything stood after the last entry, as far as that is known: it takes a look at the whole session.
    states: Option<States>,
    relations: Relations,
    /// Who spoke last on a connection: also after GOODBYE it is theirs.
    bound: BTreeMap<u64, PrincipalId>,
}

impl Teller {
    /// Of a log that `replay` is where it begins. With `changes`, it also says what changed its state.
    pub(super) fn new(replay: Replay, changes: bool) -> Self {
        Self {
            replay,
            lost: None,
            changes,
            states: None,
            relations: Relations::default(),
            bound: BTreeMap::new(),
        }
    }

    /// The entry from which on outputs are not told, and why.
    pub(super) fn lost(&self) -> Option<(u64, &str)> {
        self.lost.as_ref().map(|(n, reason)| (*n, reason.as_str()))
    }

    /// The next entry; one that is not `wanted` is not looked at closely.
    pub(super) fn tell(&mut self, found: &Found<'_>, entry: Entry, wanted: bool) -> Item {
        let closely = self.changes && wanted && self.lost.is_none();
        if closely && self.states.is_none() {
            self.states = Some(self.now());
        }
        let handed_over = self.replay.is_handed_over();
        let outputs = self.follow(found.n, &entry);
        let changes = if closely && outputs.is_some() { self.changed() } else { None };
        let mut item = Item {
            n: found.n,
            segment: found.segment,
            checksum: found.sum.to_owned(),
            at: entry.at(),
            entry,
            envelope: None,
            principal: None,
            concerned: Mentions::default(),
            what: String::new(),
            outputs,
            changes,
            handed_over,
        };
        item.envelope = item.text().and_then(|text| serde_json::from_str(text).ok());
        item.principal = match (&item.envelope, item.conn()) {
            (Some(envelope), _) => Some(envelope.sender.principal_id.to_string()),
            (None, Some(conn)) => self.bound.get(&conn).map(PrincipalId::to_string),
            (None, None) => None,
        };
        if matches!(item.entry, Entry::Open(_) | Entry::Fork(_) | Entry::TakeUp(_)) {
            // Another server counts its connections from the first again.
            self.bound.clear();
        }
        let mentions = self.mentions(&item);
        item.concerned = self.relations.concerned(&mentions);
        item.what = words::entry(&item, &self.relations);
        for output in item.outputs.iter().flatten() {
            if let Output::Notice(Notice::Bound { conn, principal }) = output {
                self.bound.insert(conn.0, principal.clone());
            }
        }
        item
    }

    fn follow(&mut self, n: u64, entry: &Entry) -> Option<Vec<Output>> {
        if self.lost.is_some() {
            return None;
        }
        match self.replay.outputs(entry.clone()) {
            Ok(outputs) => Some(outputs),
            Err(reason) => {
                self.lost = Some((n, reason));
                None
            }
        }
    }

    /// How everything stands.
    fn now(&self) -> States {
        self.replay.session().map(|(coordinator, _)| states(coordinator)).unwrap_or_default()
    }

    /// What is not as it was after the last entry.
    fn changed(&mut self) -> Option<Vec<Change>> {
        let after = self.now();
        let before = self.states.replace(after)?;
        self.states.as_ref().map(|after| changes(&before, after))
    }

    /// What the entry names, and what came of it. Where somebody is only told how things are, nothing is concerned.
    fn mentions(&mut self, item: &Item) -> Mentions {
        let mut all = Mentions::default();
        let messages = item.envelope.iter().chain(item.sent());
        for envelope in messages {
            if matches!(envelope.message_type, MessageType::SessionInfo | MessageType::Heartbeat) {
                continue;
            }
            let payload: Value = envelope.payload.read().unwrap_or_default();
            let mentions = Mentions::of(&payload);
            self.relations.learn(envelope.message_type.as_str(), &mentions);
            match envelope.message() {
                Ok(Message::IntentAnnounce(it)) => {
                    self.relations.announce(it.intent_id.as_str(), &it.objective);
                }
                Ok(Message::IntentClaim(it)) => {
                    self.relations.announce(it.new_intent_id.as_str(), &it.objective);
                }
                _ => {}
            }
            all.extend(&mentions);
        }
        for change in item.changes.iter().flatten() {
            let set = match change.what {
                "intent" => &mut all.intents,
                "operation" => &mut all.ops,
                "conflict" => &mut all.conflicts,
                _ => continue,
            };
            set.insert(change.id.clone());
        }
        all
    }
}
