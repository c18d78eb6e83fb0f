//! The mark on a data directory whose sessions somebody else has: no server starts on it by accident (REC-26).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::whole;

const FILE: &str = "elsewhere.json";

/// Who has the sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Elsewhere {
    pub(crate) why: Why,
    /// Where its server listens, as far as that is known.
    pub(crate) server: String,
    /// The highest epoch that is known of each session, by its id.
    pub(crate) epochs: BTreeMap<String, u64>,
}

/// How it came to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// They were never here: this is a copy that follows the other server.
    Standby,
    /// The same, and it never had everything: whoever went on with it would lose what has not come.
    Partial,
    /// This was the copy of a standby, and the other server has given its sessions to it: they are here, and no server has begun
    /// on them yet.
    Given,
    /// This server handed them over.
    HandedOver,
    /// The other server took them over, and said so.
    Fenced,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Standby => "it is the copy of a standby of",
            Self::Partial => "it is the copy of a standby that never had everything of",
            Self::Given => "its sessions were handed over to it by",
            Self::HandedOver => "its sessions were handed over to",
            Self::Fenced => "its sessions were taken over by",
        })
    }
}

impl Elsewhere {
    pub(crate) fn read(data: &Path) -> io::Result<Option<Self>> {
        whole::read_json(data, FILE)
    }

    /// It lasts when this returns.
    pub(crate) fn write(&self, data: &Path) -> io::Result<()> {
        whole::write_json(data, FILE, self)
    }

    /// The sessions are here from now on.
    pub(crate) fn remove(data: &Path) -> io::Result<()> {
        whole::remove(data, FILE)
    }
}
