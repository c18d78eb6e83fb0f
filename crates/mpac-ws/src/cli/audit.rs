//! What can be asked of the logs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::evidence::{Against, BUNDLE, Bundle, KEYS};
use crate::audit::when::Bound;

const FILTERS: &str = "\
What is shown must pass every filter that is given.

Examples:
  mpac-ws audit show --workspace ./project --file cart.py --since 1d
  mpac-ws audit show --workspace ./project --intent fix-tax-1 --outputs
  mpac-ws audit show --workspace ./project --principal agent:bob --type OP_COMMIT --json | jq .files";

/// One of the questions.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Audit {
    /// Live every session through again: each entry must follow from the one before, and lead to what it led to then.
    /// Changes nothing. Exits with 1 and names the first entry that does not match, if there is one. Where it is not said
    /// which session, all of them are looked at, and where it is not said where, all data directories in the place where
    /// this system keeps such data
    #[command(after_help = KEYS)]
    Verify(Verify),
    /// Tell what happened in a session, entry by entry
    #[command(after_help = FILTERS, after_long_help = FILTERS, long_about = SHOW)]
    Show(Show),
    /// Write the transcript of a session: the object that the specification describes
    #[command(long_about = EXPORT)]
    Export(Export),
    /// Write everything that proves what happened in a session into one file, for an auditor
    #[command(long_about = BUNDLE)]
    Bundle(Bundle),
    /// Show a session as it stood after an entry, or write its files as they stood
    #[command(long_about = REPLAY)]
    Replay(Replay),
    /// Begin a new session where this one stood after an entry; this one stays as it is
    #[command(long_about = FORK)]
    Fork(Fork),
}

const SHOW: &str = "\
Tell what happened in a session, entry by entry, also while a server writes to its log.

The session is lived through again, so that every entry can be shown with what came of it. In the lines for people, \
heartbeats, looks at files, seals and timers that led to nothing are counted and left out unless --all or --type asks for them; \
--json leaves nothing out. Contents of files are left out unless --contents asks for them.

Changes nothing but DATA/access.log, which gets a line of JSON that says who looked: time, operating-system user, command, \
session (PRV-04).";

const EXPORT: &str = "\
Write the transcript of a session: the JSON object that the specification describes, with every message in either direction \
by Lamport value, refused ones and the coordinator's own included, and the session as it stands at the end.

The transcript of a verified session has the member `log_chain` as well: all of its messages as a hash chain, with every \
signature (D-130). The coordinator's messages are signed again for that, so its signing key is needed.

The hash chain of the log is written to a file of its own (--chain), one line of JSON an entry: the transcript of another \
session has exactly the seven members of the specification (D-034). There are no credentials in either but certificates (PRV-05).

Changes nothing but DATA/access.log, which gets a line of JSON that says who exported: time, operating-system user, command, \
session (PRV-04).";

const REPLAY: &str = "\
Live a session through again up to an entry, and show it as it stood then, or write its files as they stood.

Changes nothing but DATA/access.log, which gets a line of JSON that says who looked: time, operating-system user, command, \
session (PRV-04).";

const FORK: &str = "\
Begin a new session where this one stood after an entry, in a data directory from which a server goes on under the next \
epoch. Participants, intents, conflicts and the contents that were committed are in it; files that nobody committed are not \
in any log, so share the same directory with the server, or the one that `audit replay --files` writes.

The new log begins with the session as it stood, and names where it comes from; `audit verify` shows that. This session is \
not touched, but for the line in DATA/access.log that says who forked it (PRV-04).";

/// Where the sessions are.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
#[command(next_help_heading = "Which session")]
pub struct Place {
    /// The data directory [default: the one of the server that --workspace or --port describe]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The directory that the server shares
    #[arg(long, value_name = "DIR", conflicts_with = "data_dir")]
    pub workspace: Option<PathBuf>,
    /// The port of a server that shares no directory [default: 8766]
    #[arg(long, value_name = "PORT", conflicts_with_all = ["data_dir", "workspace"],
          value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Id of the session; needed where there are several
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Which of the sessions of that id, from 1 for the oldest [default: the newest]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    pub run: Option<u64>,
}

/// What `audit verify` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Verify {
    /// Which sessions, or where.
    #[command(flatten)]
    pub place: Place,
    /// With whose keys.
    #[command(flatten)]
    pub against: Against,
}

/// What `audit show` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Show {
    /// Which session.
    #[command(flatten)]
    pub place: Place,
    /// Which of its entries.
    #[command(flatten)]
    pub filters: Filters,
    /// One JSON object a line, with the message as it was received
    #[arg(long, help_heading = "Form")]
    pub json: bool,
    /// Also everything that an entry led to: each message with its recipients, and each intent, operation, conflict and
    /// participant that changed its state. Of a long log it takes a while: --since limits it
    #[arg(long, help_heading = "Form")]
    pub outputs: bool,
    /// Also the contents of files
    #[arg(long, help_heading = "Form")]
    pub contents: bool,
    /// Also heartbeats, looks at files, seals, and timers that led to nothing, in the lines for people
    #[arg(long, help_heading = "Form", conflicts_with = "json")]
    pub all: bool,
}

/// Which entries are shown: those that pass all of these.
#[derive(Clone, Debug, Default, Args)]
#[non_exhaustive]
#[command(next_help_heading = "Filters")]
pub struct Filters {
    /// What this participant sent, and the end of its connections. Its id, as in agent:Bob
    #[arg(long, value_name = "ID")]
    pub principal: Option<String>,
    /// What concerns this intent: its own messages, operations under it, conflicts with it, claims on it
    #[arg(long, value_name = "ID")]
    pub intent: Option<String>,
    /// What concerns this operation
    #[arg(long, value_name = "ID")]
    pub op: Option<String>,
    /// What concerns this conflict
    #[arg(long, value_name = "ID")]
    pub conflict: Option<String>,
    /// What concerns this file: a path, or a pattern such as 'src/**/*.py'; without a slash it may be in any directory
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,
    /// Entries of this type, or that the coordinator answered with it: a message type such as OP_COMMIT or
    /// PROTOCOL_ERROR, or open, fork, take_up, repaired, seal, frame, unreadable, disconnect, timeout, vacancy, close, status,
    /// rebind, hand_over, persisted, fence, turn_away, rotate_key
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<String>,
    /// From here on: an entry's number, a time as in 2026-01-31T12:00:00Z, or how long ago as in 10m, 2h, 1d
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Bound>,
    /// Up to here, in the same forms
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Bound>,
    /// The first N only
    #[arg(long, value_name = "N", conflicts_with = "tail")]
    pub limit: Option<usize>,
    /// The last N only
    #[arg(long, value_name = "N")]
    pub tail: Option<usize>,
}

/// What `audit export` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Export {
    /// Which session.
    #[command(flatten)]
    pub place: Place,
    /// Leave out what people wrote: objectives, assumptions, rationales, descriptions and the like, and the contents of
    /// files (PRV-03). Signatures cover them, so what is left cannot be verified: a verified session then has no `log_chain`
    #[arg(long)]
    pub redact: bool,
    /// Write the transcript to this new file [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the hash chain to this new file: of each entry its number, its checksum, the one before it, and the text that
    /// the checksum is of, which --redact leaves out
    #[arg(long, value_name = "FILE")]
    pub chain: Option<PathBuf>,
    /// The coordinator's signing key, where the server was given one with this flag [default: signing-key.pem in the data
    /// directory, and those that it replaced]
    #[arg(long, value_name = "FILE.pem")]
    pub signing_key: Option<PathBuf>,
}

/// What `audit replay` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Replay {
    /// Which session.
    #[command(flatten)]
    pub place: Place,
    /// After which entry, by its number [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// Show the session: participants, intents, operations, conflicts, claims, deferrals, files. This is what is done
    /// where nothing else is asked for
    #[arg(long)]
    pub view: bool,
    /// Show it as the snapshot that the specification describes
    #[arg(long, conflicts_with = "view")]
    pub json: bool,
    /// Write the files that were committed, as they stood, into this new or empty directory
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
}

/// What `audit fork` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Fork {
    /// Which session.
    #[command(flatten)]
    pub place: Place,
    /// After which entry, by its number [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub until: Option<u64>,
    /// The data directory of the new session: new, empty, or one that no server is running on
    #[arg(long, value_name = "DATA_DIR")]
    pub into: PathBuf,
    /// Id of the new session [default: the same]
    #[arg(long = "as", value_name = "SESSION_ID")]
    pub id: Option<String>,
}
