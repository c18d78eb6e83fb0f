//! One state of the explored world: a real coordinator and who is connected to it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use mpac_core::{ConnId, Coordinator, IdSource, Input, Notice, Output, Peer, SessionConfig, Step};
use mpac_wire::{MessageId, StateRef, Timestamp};

use crate::world::START;

/// How a coordinator takes an input. A test hands in a broken one to see it found.
pub(super) type TakeInput = fn(&mut Coordinator, Timestamp, Input) -> Step;

/// Something that somebody does, or that happens.
#[derive(Clone, Debug)]
pub(super) struct Action {
    /// As a counterexample names it.
    pub(super) name: String,
    pub(super) who: &'static str,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// A message. In its payload `@0` stands for the first conflict that is not over, `@1` for the second, and `^x` for
    /// the current reference of x.
    Say { kind: &'static str, payload: String },
    /// HELLO with this role, on a new connection where there is none.
    Join { role: &'static str },
    /// The connection ends without a word.
    Lose,
    /// Time passes until the next thing falls due.
    Pass,
}

/// What an action led to.
pub(super) struct Taken {
    pub(super) node: Node,
    pub(super) step: Step,
    /// The message that was sent, if one was: its id, type and connection.
    pub(super) sent: Option<Sent>,
}

pub(super) struct Sent {
    pub(super) id: MessageId,
    pub(super) kind: &'static str,
    pub(super) conn: ConnId,
}

#[derive(Clone)]
pub(super) struct Node {
    pub(super) coordinator: Coordinator,
    pub(super) now: Timestamp,
    /// By the core's own notices.
    pub(super) bound: BTreeMap<&'static str, ConnId>,
    connections: u64,
}

impl Node {
    pub(super) fn new(config: SessionConfig) -> Self {
        let now = Timestamp::parse(START).unwrap();
        let coordinator = Coordinator::new(config, IdSource::new(7), now).unwrap();
        Self { coordinator, now, bound: BTreeMap::new(), connections: 0 }
    }

    /// 128 bits of the essence.
    pub(super) fn fingerprint(&self) -> u128 {
        let essence = self.coordinator.essence();
        let half = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, essence.as_str()).hash(&mut hasher);
            u128::from(hasher.finish())
        };
        half(1) << 64 | half(2)
    }

    /// What becomes of this by an action; `None` where it cannot be done now.
    pub(super) fn after(&self, action: &Action, take: TakeInput) -> Option<Taken> {
        let mut node = self.clone();
        let (input, sent) = match &action.what {
            What::Pass => {
                node.now = self.coordinator.next_deadline()?;
                (Input::Timeout, None)
            }
            What::Lose => (Input::Disconnect { conn: *self.bound.get(action.who)? }, None),
            What::Join { role } => {
                let conn = self.bound.get(action.who).copied().unwrap_or_else(|| {
                    node.connections += 1;
                    ConnId(node.connections)
                });
                let payload = format!(r#"{{"display_name":"n","roles":["{role}"],"capabilities":[]}}"#);
                node.message(action.who, conn, "HELLO", &payload)
            }
            What::Say { kind, payload } => {
                let conn = *self.bound.get(action.who)?;
                let payload = self.filled_in(payload)?;
                node.message(action.who, conn, kind, &payload)
            }
        };
        let step = take(&mut node.coordinator, node.now, input);
        for output in &step.outputs {
            match output {
                Output::Notice(Notice::Bound { conn, .. }) => {
                    node.bound.insert(action.who, *conn);
                }
                Output::Notice(Notice::Unbound { conn }) => node.bound.retain(|_, known| known != conn),
                _ => {}
            }
        }
        Some(Taken { node, step, sent })
    }

    /// A frame whose Lamport value is above all others.
    fn message(&self, who: &str, conn: ConnId, kind: &'static str, payload: &str) -> (Input, Option<Sent>) {
        let lamport = self.coordinator.view().lamport() + 1;
        let id = format!("m{lamport}");
        let text = format!(
            r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{kind}","message_id":"{id}","session_id":"s","sender":{{"principal_id":"{who}","principal_type":"agent","sender_instance_id":"{who}:1"}},"ts":"{START}","payload":{payload},"watermark":{{"kind":"lamport_clock","value":{lamport}}}}}"#
        );
        let sent = Sent { id: MessageId::new(id).unwrap(), kind, conn };
        (Input::Frame { from: Peer::unproven(conn), text: text.into() }, Some(sent))
    }

    /// The payload with the ids and references of this moment.
    fn filled_in(&self, payload: &str) -> Option<String> {
        let mut text = payload.to_owned();
        for (place, mark) in ["@0", "@1"].into_iter().enumerate() {
            if text.contains(mark) {
                let summary = self.coordinator.view().summary()?;
                text = text.replace(mark, summary.open_conflicts.get(place)?.conflict_id.as_str());
            }
        }
        for (target, mark) in [("x", "^x"), ("y", "^y")] {
            if text.contains(mark) {
                let nothing = StateRef::of("");
                let current = self.coordinator.view().state_ref(target).unwrap_or(&nothing);
                text = text.replace(mark, current.as_str());
            }
        }
        Some(text)
    }
}
