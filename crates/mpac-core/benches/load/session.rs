//! A session under load: participants whose frames are written as text, and a clock that moves a little with each.
#![expect(dead_code, reason = "each bench needs a part of it")]
#![expect(clippy::unwrap_used, reason = "a bench that panics has failed")]

use mpac_core::{ConnId, Coordinator, IdSource, Output, SessionConfig, Step};
use mpac_wire::{IntentId, SessionId, Timestamp};

/// When every session begins.
const START: &str = "2026-01-02T03:04:05Z";

/// A session and those in it, numbered from 0.
pub(crate) struct Session {
    pub(crate) coordinator: Coordinator,
    pub(crate) now: Timestamp,
    /// Microseconds that pass with each frame.
    pub(crate) tick: i64,
    members: usize,
    sent: u64,
    /// How often each has started anew: its instance is the next.
    lives: Vec<u64>,
}

/// A core session in which nothing is said unasked.
pub(crate) fn config() -> SessionConfig {
    let mut config = SessionConfig::new(SessionId::new("s").unwrap());
    config.status_heartbeats = false;
    // What is measured is how many there can be.
    let open = &mut config.max_open_each;
    (open.intents, open.operations, open.conflicts) = (usize::MAX, usize::MAX, usize::MAX);
    open.recent_messages = usize::MAX;
    config
}

impl Session {
    /// `members` contributors join.
    pub(crate) fn new(config: SessionConfig, members: usize) -> Self {
        let now = Timestamp::parse(START).unwrap();
        let coordinator = Coordinator::new(config, IdSource::new(7), now).unwrap();
        let mut session = Self { coordinator, now, tick: 10, members, sent: 0, lives: vec![1; members + 1] };
        for who in 0..members {
            session.hello(who);
        }
        session
    }

    /// A contributor joins, or returns.
    pub(crate) fn hello(&mut self, who: usize) {
        let payload = format!(r#"{{"display_name":"p{who}","roles":["contributor"],"capabilities":[]}}"#);
        self.say(who, "HELLO", &payload);
    }

    /// A contributor's process starts anew: it leaves, and returns as another instance.
    pub(crate) fn restart(&mut self, who: usize) {
        self.say(who, "GOODBYE", r#"{"reason":"session_complete"}"#);
        self.lives[who] += 1;
        self.hello(who);
    }

    /// Messages so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// One more joins, with authority.
    pub(crate) fn join_as_owner(&mut self) {
        let who = self.members;
        self.members += 1;
        self.say(who, "HELLO", r#"{"display_name":"owner","roles":["owner"],"capabilities":[]}"#);
    }

    pub(crate) fn members(&self) -> usize {
        self.members
    }

    /// One envelope, as small as a client writes it.
    pub(crate) fn frame(&mut self, who: usize, kind: &str, payload: &str) -> String {
        self.sent += 1;
        let (n, life) = (self.sent, self.lives[who]);
        format!(
            concat!(
                r#"{{"protocol":"MPAC","version":"0.1.13","message_type":"{}","message_id":"m-{}","session_id":"s","#,
                r#""sender":{{"principal_id":"agent:p{}","principal_type":"agent","sender_instance_id":"agent:p{}:{}"}},"#,
                r#""ts":"{}","payload":{},"watermark":{{"kind":"lamport_clock","value":{}}}}}"#
            ),
            kind, n, who, who, life, START, payload, n
        )
    }

    /// Takes a frame that was written before.
    pub(crate) fn take(&mut self, who: usize, text: &str) -> Step {
        self.now = Timestamp::from_micros(self.now.micros() + self.tick);
        self.coordinator.handle_frame(self.now, ConnId(who as u64 + 1), text)
    }

    /// Writes and takes a message.
    pub(crate) fn say(&mut self, who: usize, kind: &str, payload: &str) -> Vec<Output> {
        let text = self.frame(who, kind, payload);
        self.take(who, &text).outputs
    }

    /// Announces files.
    pub(crate) fn announce(&mut self, who: usize, intent: &str, files: &[String]) -> Vec<Output> {
        let payload = announce(intent, &files_scope(files));
        self.say(who, "INTENT_ANNOUNCE", &payload)
    }

    /// Whether an intent is known and active.
    pub(crate) fn is_active(&self, intent: &str) -> bool {
        use mpac_core::table::intent::State;
        self.coordinator.view().intent(&IntentId::new(intent).unwrap()) == Some(State::Active)
    }
}

/// The payload of an announce that lives for eleven days.
pub(crate) fn announce(intent: &str, scope: &str) -> String {
    format!(r#"{{"intent_id":"{intent}","objective":"does {intent}","scope":{scope},"ttl_sec":1000000}}"#)
}

pub(crate) fn files_scope(files: &[String]) -> String {
    format!(r#"{{"kind":"file_set","resources":{}}}"#, serde_json::to_string(files).unwrap())
}

pub(crate) fn withdraw(intent: &str) -> String {
    format!(r#"{{"intent_id":"{intent}","reason":"task_completed"}}"#)
}

pub(crate) fn commit(op: &str, intent: &str, target: &str, before: u64, after: u64) -> String {
    format!(
        r#"{{"op_id":"{op}","intent_id":"{intent}","target":"{target}","op_kind":"replace","state_ref_before":"sha256:{before:016x}","state_ref_after":"sha256:{after:016x}"}}"#
    )
}
