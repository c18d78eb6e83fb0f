//! Why a question about the logs has no answer.

use std::io;
use std::path::PathBuf;

use mpac_wire::Fingerprint;
use thiserror::Error;

use crate::error::Error as Other;

/// A mistake in how a question was asked, or a log that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no such directory.
    #[error("{}: no sessions are stored there{}", .path.display(), elsewhere(.others))]
    NothingStored {
        /// Where was looked.
        path: PathBuf,
        /// Data directories that are there.
        others: Vec<PathBuf>,
    },
    /// A directory cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Dir {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// One of several sessions is meant.
    #[error("{}: several sessions are stored there; name one with --session: {}", .path.display(), .ids.join(", "))]
    Which {
        /// The data directory.
        path: PathBuf,
        /// Their ids.
        ids: Vec<String>,
    },
    /// No session of this id is stored.
    #[error("{}: there is no session {id:?}, but: {}", .path.display(), .ids.join(", "))]
    NoSession {
        /// The data directory.
        path: PathBuf,
        /// Which one was asked for.
        id: String,
        /// Those that are there.
        ids: Vec<String>,
    },
    /// The session was not held that often.
    #[error("--run {run}: of session {id:?} there are: {}", listed(.runs))]
    NoRun {
        /// The id.
        id: String,
        /// Which one was asked for.
        run: u64,
        /// Those that are there.
        runs: Vec<u64>,
    },
    /// The log is damaged, or leads somewhere else than it did.
    #[error(
        "the log in {} cannot be followed: {reason}; `mpac-ws audit verify` looks at all of it, `mpac-ws audit show` shows \
         what can be read", .path.display()
    )]
    Log {
        /// The directory of the session.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// From some entry on only what was received can be shown.
    #[error("from entry {n} on only what was received is shown, and not what came of it: entry {n} {reason}")]
    Lost {
        /// Which entry.
        n: u64,
        /// Why it cannot be followed.
        reason: String,
    },
    /// The log ends before.
    #[error("--until {until}: the log has {last} entries; take a number up to that")]
    Beyond {
        /// Which entry was asked for.
        until: u64,
        /// Which is the last one.
        last: u64,
    },
    /// A filter makes no sense.
    #[error("{flag} {given:?}: {reason}")]
    Filter {
        /// Which one.
        flag: &'static str,
        /// As given.
        given: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or directory is in the way.
    #[error("{}: it is there already, and is not written over; name another", .0.display())]
    Occupied(PathBuf),
    /// Somebody looked, and that cannot be noted.
    #[error(
        "{}: that somebody looks at contents has to be noted there and cannot be: {source}; make it writable", .path.display()
    )]
    Unnoted {
        /// The access record.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file of the session cannot be written.
    #[error("{name:?}: {reason}; what was written before it is there")]
    Unwritten {
        /// Its shared name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// A session cannot be gone on from.
    #[error("{0}")]
    NoFork(String),
    /// A file that was named cannot be read.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The coordinator's messages cannot be signed again.
    #[error(
        "the coordinator signed with the key {key}, which is neither in {} nor among those that it replaced; name the file that \
         has it with --signing-key, or leave the chain of messages out with --redact", .path.display()
    )]
    NoSigningKey {
        /// Which key.
        key: Fingerprint,
        /// Where the current one was looked for.
        path: PathBuf,
    },
    /// There is nothing to verify.
    #[error(
        "session {session:?} has a coordinator without a key: in the open profile nothing is signed, and nothing can be proven"
    )]
    NothingSigned {
        /// The session.
        session: String,
    },
    /// Nothing could be followed at all.
    #[error("not even the first entry can be followed: {0}")]
    NothingFollowed(String),
    /// The file of what an auditor trusts.
    #[error(
        "{}: {reason}; it should be like {{\"coordinator\": [\"sha256:...\"], \"principals\": {{\"agent:alice\": [\"sha256:...\"]}}, \
         \"trust_anchors\": [\"ca.pem\"]}}", .path.display()
    )]
    Trust {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is no bundle.
    #[error("{}: this is no evidence that `mpac-ws audit bundle` wrote: {reason}", .path.display())]
    NoBundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A witness's record cannot be read.
    #[error("{}, line {line}: {reason}; each line is a message, as JSON, or an object whose `envelope` or `frame` is one", .path.display())]
    Witness {
        /// The file.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// What was looked at is not what it should be.
    #[error("{0} things do not verify")]
    Contradicted(usize),
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Output(#[source] io::Error),
    /// As for the server.
    #[error(transparent)]
    Other(Box<Other>),
}

impl Problem {
    /// 2 for what the caller can put right, 1 for the rest.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Log { .. }
            | Self::Lost { .. }
            | Self::Output(_)
            | Self::Unnoted { .. }
            | Self::NothingFollowed(_)
            | Self::Contradicted(_) => 1,
            _ => 2,
        }
    }
}

impl From<Other> for Problem {
    fn from(error: Other) -> Self {
        Self::Other(Box::new(error))
    }
}

fn elsewhere(others: &[PathBuf]) -> String {
    if others.is_empty() {
        return "; name a data directory with --data-dir, or the directory that is shared with --workspace"
            .to_owned();
    }
    let others: Vec<String> = others.iter().map(|dir| dir.display().to_string()).collect();
    format!("; name one of these with --data-dir: {}", others.join(", "))
}

fn listed(runs: &[u64]) -> String {
    runs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
