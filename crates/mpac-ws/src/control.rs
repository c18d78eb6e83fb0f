//! The operator's door: what can be asked of a running server by whoever may read its data directory.
//!
//! It is on the same port as the sessions, below `/control/`, and opens only to the token in `DATA/control-token`. Everything
//! goes over WebSocket, commands too: that is the one client that is in the tree, so there is one place that dials.

pub(crate) mod dial;
pub(crate) mod pin;
pub(crate) mod serve;
pub(crate) mod token;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use mpac_wire::names::{CloseDisposition, SecurityProfile};
use serde::{Deserialize, Serialize};

use self::dial::Target;
use self::token::Token;
use crate::store::whole;

const FILE: &str = "control.json";

/// What an operator asks; each is one frame, answered by one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// How it is.
    Status {},
    /// End a session for good (D-040).
    Close { session: String, disposition: CloseDisposition },
    /// Which keys its coordinators sign with.
    SigningKey {},
    /// Sign with a new key from now on (SEC-32).
    RotateKey {},
    /// Hand all sessions over to the standby of this address, and end (REC-20).
    HandOver { to: String },
    /// Somebody else has the sessions, under these epochs: say nothing more (REC-26).
    Fence { epochs: BTreeMap<String, u64>, by: String },
    /// The server before has found out by itself that the sessions are here, and is silent.
    Silent {},
    /// To a standby: take the sessions over (REC-22).
    TakeOver {},
}

/// What it gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub(crate) enum Answer {
    Status(Status),
    /// It was done, or is being done, as the text says.
    Done {
        text: String,
    },
    /// It was not done; nothing has changed.
    Refused {
        reason: String,
    },
    /// It says nothing more, but forgets that when it ends: its next start has to be told again.
    Unmarked {
        reason: String,
    },
}

/// How a server is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Status {
    pub(crate) role: Role,
    pub(crate) program: String,
    /// Running sessions and their epochs.
    pub(crate) sessions: BTreeMap<String, u64>,
    /// Who follows, each in a line.
    pub(crate) followers: Vec<String>,
    /// Of a standby: why the last takeover that was asked for did not come about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
    /// Of a server: what no other has, for one that could reach itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<String>,
    /// Of a server: whether it took sessions over, and tells somebody who has not heard yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tells: bool,
    /// Whom, by the addresses it has of them; earlier builds do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) told: Vec<String>,
}

/// Whether it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Server,
    Standby,
}

/// `DATA/control.json`, while there is somebody to reach.
#[derive(Debug, Serialize, Deserialize)]
struct Reached {
    url: String,
    token: String,
    pid: u32,
    /// Of a server, and not of a standby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
}

/// Whom a running server serves, for those who tell others how to come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) listens: SocketAddr,
    pub(crate) security_profile: SecurityProfile,
    /// The directory with the files, in full; a name that is no text is not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shares: Option<String>,
}

/// Says in a data directory how its server is reached, until it is dropped.
#[derive(Debug)]
pub(crate) struct Published {
    data: std::path::PathBuf,
}

impl Published {
    pub(crate) fn new(data: &Path, url: String, token: &Token, service: Option<Service>) -> io::Result<Self> {
        let reached = Reached { url, token: token.reveal().to_owned(), pid: std::process::id(), service };
        whole::write_json(data, FILE, &reached)?;
        Ok(Self { data: data.to_owned() })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // Another one may have put its own there meanwhile; what is left over leads to nobody, and is told apart by that.
        let own = whole::read_json::<Reached>(&self.data, FILE);
        if own.is_ok_and(|it| it.is_some_and(|it| it.pid == std::process::id())) {
            let _ = whole::remove(&self.data, FILE);
        }
    }
}

/// The server that has a data directory on this machine; `None` where none says so.
pub(crate) fn of(data: &Path) -> io::Result<Option<Target>> {
    let reached: Option<Reached> = whole::read_json(data, FILE)?;
    Ok(reached.map(|it| Target::new(&it.url, Token::given(&it.token))))
}

/// Whom the server on this data directory serves; `None` where none says so.
pub(crate) fn service(data: &Path) -> Option<Service> {
    whole::read_json::<Reached>(data, FILE).ok()??.service
}
