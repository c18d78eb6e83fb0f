//! Following a server: its logs, as far as they are durable, copied over the network and lived through while they come.
//!
//! ```text
//! follower                                   server
//!   Hello: what it has ───────────────────────▶  reads its own files, at the follower's pace
//!   ◀──────────── Server, Files, Anew, Records, Standing ... again and again
//!   Ack: on the follower's disk ──────────────▶
//! ```
//!
//! No session waits for a follower: it says how far its log is on the disk, and that is all it does. A follower that is slow
//! is behind, and costs no memory. At a planned end (REC-20) the server stops, the rest is sent, and once a standby has all
//! of it on its disk the server marks its own directory and lets go: `Released`. From there on the standby is the only one.

pub(crate) mod copy;
pub(crate) mod hub;
pub(crate) mod receive;
pub(crate) mod replica;
pub(crate) mod send;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use mpac_wire::{Content, StateRef};
use serde::{Deserialize, Serialize};

use crate::fencing::Before;
use crate::store::snapshot::Position;

/// Of what is said here; both ends have to speak the same.
pub(crate) const VERSION: u32 = 1;

/// A session's directory below `DATA/sessions`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) run: u64,
}

/// What the follower says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Up {
    Hello {
        version: u32,
        role: Follower,
        /// The server that its copy is of.
        id: Option<String>,
        has: Vec<Has>,
        /// Contents of shared files, by their hashes.
        contents: BTreeSet<String>,
    },
    /// Everything up to entry `n` is on its disk.
    Ack { of: Place, n: u64 },
}

/// A follower's part of a session.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Has {
    pub(crate) of: Place,
    pub(crate) at: Position,
}

/// How far each session is, by the text of its place.
pub(crate) type Table = BTreeMap<String, u64>;

/// What somebody follows for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Follower {
    /// To take over; it will listen there.
    Standby {
        address: String,
        /// Whether it does so by itself when it hears nothing more (REC-22).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        after_silence: bool,
    },
    /// To have a copy.
    Backup,
}

/// What the server says. Records come in binary frames, this as a line and the records behind it; the rest is text.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Down {
    Server {
        version: u32,
        id: String,
        program: String,
        /// The interval that its participants are asked for, in microseconds (REC-22).
        heartbeat_interval_us: i64,
        /// Who has not heard yet that the sessions are elsewhere, for a standby to tell when it has them (REC-26).
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<Before>,
    },
    /// The follower speaks of another server, or in another way, or may not follow beside another.
    Refused { reason: String },
    /// A content of a shared file that the follower lacks.
    Content { content: Content },
    /// The shared files, all of whose contents the follower has now.
    Files { names: BTreeMap<String, StateRef> },
    /// A session of which the follower has nothing, or something else: its first record here is the one after `behind`,
    /// and where that is not the first of all, it begins `from` these files, by name and text.
    Anew { of: Place, behind: u64, from: Vec<(String, String)>, backlog: u64 },
    /// Whole records, one behind the other.
    Records { of: Place },
    /// A session that cannot be sent whole, because of what is wrong with its log there.
    Damaged { of: Place, reason: String },
    /// All that was durable when this look around began has been sent: so far is each session. Said again and again: where
    /// nothing is said, nobody is there.
    Standing { at: Table },
    /// The server has stopped and says nothing more; all of it has been sent.
    Ended { at: Table },
    /// The sessions are the follower's now.
    Released {
        epochs: BTreeMap<String, u64>,
        /// Where other standbys would serve that take over by themselves: one that cannot hear of this may do so.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        beside: Vec<String>,
    },
    /// They are somebody else's.
    Elsewhere { server: String },
}

impl Place {
    /// Of a session's directory.
    pub(crate) fn of(dir: &Path) -> Option<Self> {
        let name = dir.parent()?.file_name()?.to_str()?.to_owned();
        let run = dir.file_name()?.to_str()?.parse().ok()?;
        Some(Self { name, run })
    }

    /// Where it is below `above`; `None` for a name that is none of ours, wherever it may lead.
    pub(crate) fn below(&self, above: &Path) -> Option<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let is_ours = !self.name.is_empty() && self.name.len() <= 100 && self.name.bytes().all(plain);
        is_ours.then(|| above.join(&self.name).join(self.run.to_string()))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_leads_nowhere_but_into_its_directory() {
        let below = |name: &str| Place { name: name.to_owned(), run: 3 }.below(Path::new("/d"));
        assert_eq!(below("team-a"), Some(PathBuf::from("/d/team-a/3")));
        for name in ["", "..", "a/b", "/etc", "A", "a.b", &"x".repeat(101)] {
            assert_eq!(below(name), None, "{name}");
        }
        assert_eq!(Place::of(Path::new("/d/team/3")), Some(Place { name: "team".to_owned(), run: 3 }));
    }
}
