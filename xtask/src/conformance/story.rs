//! A story: one rule or one interplay, as data. `fixtures/conformance/FORMAT.md` describes the text that it is read from.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What a failure weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[value(rename_all = "UPPER")]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Strength {
    /// Breaks the protocol.
    Must,
    /// Worse than it should be.
    Should,
    /// A matter of taste.
    May,
}

impl Strength {
    pub(super) const ALL: [Self; 3] = [Self::Must, Self::Should, Self::May];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }
}

/// What a runner must be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Feature {
    /// Open sessions of another configuration than the default.
    Config,
    /// Play in a session of a given name.
    Named,
    /// Let a session begin with its first HELLO.
    Lazy,
    /// Share files that are there from the beginning.
    Workspace,
    /// Be told which credentials to accept.
    Credentials,
    /// Be told with which keys participants sign, and sign with one itself.
    Signatures,
    /// Let the coordinator do something by itself.
    Local,
    /// Save the coordinator's state and take it up again.
    Restart,
    /// Speak over sockets, in real time.
    Server,
    /// Be stopped in good order.
    Stop,
    /// Have many sessions at `/session/<id>`.
    Sessions,
}

impl Feature {
    pub(super) const ALL: [Self; 11] = [
        Self::Config,
        Self::Named,
        Self::Lazy,
        Self::Workspace,
        Self::Credentials,
        Self::Signatures,
        Self::Local,
        Self::Restart,
        Self::Server,
        Self::Stop,
        Self::Sessions,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Named => "named",
            Self::Lazy => "lazy",
            Self::Workspace => "workspace",
            Self::Credentials => "credentials",
            Self::Signatures => "signatures",
            Self::Local => "local",
            Self::Restart => "restart",
            Self::Server => "server",
            Self::Stop => "stop",
            Self::Sessions => "sessions",
        }
    }
}

/// A whole story.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// `<area>/<name>`.
    pub(super) name: String,
    pub(super) title: String,
    /// The most important one first; never empty.
    pub(super) covers: Vec<String>,
    pub(super) strength: Strength,
    pub(super) protocol: String,
    pub(super) config: Map<String, Value>,
    pub(super) needs: BTreeSet<Feature>,
    /// Whether a session of this configuration can be opened at all.
    pub(super) opens: bool,
    pub(super) steps: Vec<Step>,
}

impl Story {
    /// The folder it lies in.
    #[cfg(test)]
    pub(super) fn area(&self) -> &str {
        self.name.split_once('/').map_or("", |(area, _)| area)
    }

    /// How long it takes, from the opening of the session.
    pub(super) fn seconds(&self) -> f64 {
        self.steps.iter().fold(0.0, |at, step| step.time.after(at))
    }
}

/// One thing that happens, and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// In the file.
    pub(super) line: usize,
    /// As written.
    pub(super) text: String,
    pub(super) time: Time,
    pub(super) act: Act,
    /// Under which its message can be named later.
    pub(super) label: Option<String>,
    pub(super) expects: Vec<Expect>,
}

/// When, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Time {
    /// Since the session was opened.
    At(f64),
    /// Since the step before.
    After(f64),
}

impl Time {
    pub(super) fn after(self, before: f64) -> f64 {
        match self {
            Self::At(at) => at.max(before),
            Self::After(seconds) => before + seconds,
        }
    }
}

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Wait,
    /// A message: what of its envelope is not filled in comes from `with`.
    Message {
        conn: String,
        kind: String,
        payload: Value,
        with: Value,
        signed: Option<Signing>,
    },
    /// A frame that is no message.
    Frame {
        conn: String,
        value: Value,
    },
    Text {
        conn: String,
        text: String,
    },
    /// A message in a binary frame.
    Binary {
        conn: String,
        kind: String,
        payload: Value,
    },
    Repeat {
        conn: String,
    },
    Disconnect {
        conn: String,
    },
    /// From here on nothing is read on the connection.
    Deafen {
        conn: String,
    },
    Local(Local),
}

impl Act {
    /// The connection on which something is sent.
    pub(super) fn conn(&self) -> Option<&str> {
        match self {
            Self::Message { conn, .. }
            | Self::Frame { conn, .. }
            | Self::Text { conn, .. }
            | Self::Binary { conn, .. }
            | Self::Repeat { conn }
            | Self::Disconnect { conn }
            | Self::Deafen { conn } => Some(conn),
            Self::Wait | Self::Local(_) => None,
        }
    }
}

/// How a message is signed.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    /// The name of the key.
    pub(super) key: String,
    /// Merged into the message afterwards: what somebody changed on its way.
    pub(super) but: Value,
}

/// What the coordinator does by itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Local {
    Close {
        reason: String,
        disposition: Option<String>,
    },
    Beat,
    HandOver {
        to: String,
        epoch: Option<u64>,
    },
    Save,
    Restore,
    /// The two in one.
    Restart,
    /// It takes up a session that somebody else saved.
    Load {
        snapshot: Value,
    },
    /// Its process is asked to end.
    Stop,
}

impl Local {
    /// Whether nobody is connected afterwards.
    pub(super) fn ends_connections(&self) -> bool {
        matches!(self, Self::Restore | Self::Restart | Self::Load { .. })
    }
}

/// One line of what must, may or must not come.
#[derive(Clone, Debug)]
pub(super) struct Expect {
    pub(super) line: usize,
    /// As written.
    pub(super) text: String,
    pub(super) who: Who,
    /// After those above it.
    pub(super) then: bool,
    pub(super) count: usize,
    pub(super) may: bool,
    pub(super) what: Expected,
    /// The rule that is broken when it does not.
    pub(super) rule: Option<String>,
}

/// Whom it concerns.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Who {
    All,
    Others,
    Sender,
    Conns(Vec<String>),
    /// The session itself.
    Session,
}

/// What is expected.
#[derive(Clone, Debug)]
pub(super) enum Expected {
    Authored { kind: String, payload: Value, envelope: Value },
    Relay { kind: String, of: Option<String>, payload: Value },
    Error { code: String, payload: Value },
    Sideband(Value),
    Nothing,
    Closed(u16),
    Holds(Value),
}
