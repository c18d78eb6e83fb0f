//! What an operator can watch: counted where it happens, told at `/metrics`.
//!
//! Every counter is made at the start, so that counting is one atomic addition; nothing is ever labelled by a principal, a path or
//! an id, of which there is no end. Queues are measured when somebody asks.

pub(crate) mod limit;
mod listed;
pub(crate) mod serve;

use std::sync::Arc;

use mpac_wire::names::{ErrorCode, MessageType};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use self::limit::Limit;
use self::listed::Listed;

/// Everything that is counted beside the log; clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters(Arc<All>);

#[derive(Debug)]
struct All {
    connections: Gauge,
    accepted: Counter,
    sessions: Gauge,
    participants: Gauge,
    received: Listed,
    sent: Listed,
    refused: Listed,
    limits: Listed,
    queued: Gauge,
    queued_bytes: Gauge,
}

/// Frames that hold no message: requests for files and summaries, their answers, and what cannot be read.
const BESIDE: &str = "none";

impl Default for All {
    fn default() -> Self {
        let types = || MessageType::LISTED.iter().map(MessageType::as_str).chain([BESIDE]);
        Self {
            connections: Gauge::default(),
            accepted: Counter::default(),
            sessions: Gauge::default(),
            participants: Gauge::default(),
            received: Listed::new("type", types()),
            sent: Listed::new("type", types()),
            refused: Listed::new("code", ErrorCode::LISTED.iter().map(ErrorCode::as_str)),
            limits: Listed::new("limit", Limit::ALL.iter().map(|limit| limit.name())),
            queued: Gauge::default(),
            queued_bytes: Gauge::default(),
        }
    }
}

impl Meters {
    /// A connection came; it is over when this is dropped.
    pub(crate) fn connected(&self) -> Held {
        self.0.accepted.inc();
        Held::one(&self.0.connections)
    }

    /// A session runs until this is dropped.
    pub(crate) fn session(&self) -> Held {
        Held::one(&self.0.sessions)
    }

    /// Somebody joined, or was there and is not any more.
    pub(crate) fn participants(&self, more: i64) {
        self.0.participants.inc_by(more);
    }

    /// A frame came: a message of that type, or none.
    pub(crate) fn received(&self, message_type: Option<&MessageType>) {
        self.0.received.count(message_type.map_or(BESIDE, MessageType::as_str), 1);
    }

    /// The same frame went out to so many.
    pub(crate) fn sent(&self, message_type: Option<&MessageType>, to: u64) {
        self.0.sent.count(message_type.map_or(BESIDE, MessageType::as_str), to);
    }

    /// A message was refused, perhaps because a limit of the session was reached.
    pub(crate) fn refused(&self, code: &ErrorCode, limit: Option<&str>) {
        self.0.refused.count(code.as_str(), 1);
        if let Some(limit) = limit {
            self.0.limits.count(limit, 1);
        }
    }

    /// Somebody was turned away, or hung up on, for this.
    pub(crate) fn reached(&self, limit: Limit) {
        self.0.limits.count(limit.name(), 1);
    }

    /// So many more frames wait to be sent, or less.
    pub(crate) fn queued(&self, more: i64) {
        self.0.queued.inc_by(more);
    }

    /// So many more bytes are kept for those who have not got them yet, or less.
    pub(crate) fn held(&self, more: i64) {
        self.0.queued_bytes.inc_by(more);
    }

    /// The bytes that are kept for those who have not got them yet.
    pub(crate) fn bytes_held(&self) -> u64 {
        u64::try_from(self.0.queued_bytes.get()).unwrap_or_default()
    }

    fn register(&self, registry: &mut Registry) {
        let all = &*self.0;
        registry.register("connections", "Connections at this moment", all.connections.clone());
        registry.register("connections_accepted", "Connections that were let in", all.accepted.clone());
        registry.register("sessions", "Sessions that are running", all.sessions.clone());
        registry.register("participants", "Participants who are connected", all.participants.clone());
        let text = "Frames received, by the type of the message in them; `none` holds no message";
        registry.register("messages_received", text, all.received.family());
        let text =
            "Frames queued for participants, by the type of the message in them; a relay counts for each";
        registry.register("messages_sent", text, all.sent.family());
        registry.register("refusals", "Messages refused, by the code of the answer", all.refused.family());
        let text = "How often a limit turned somebody or something away, by the option that sets it";
        registry.register("limit_reached", text, all.limits.family());
        registry.register(
            "queued_frames",
            "Frames that wait to be sent, in all connections",
            all.queued.clone(),
        );
        registry.register(
            "queued_bytes",
            "Bytes of frames that wait to be sent or are being written, in all connections; what several get counts once",
            all.queued_bytes.clone(),
        );
    }
}

/// One of those that a gauge counts, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Held(Gauge);

impl Held {
    fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.dec();
    }
}
