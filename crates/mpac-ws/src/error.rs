//! What can stop the server from starting or running, each with its remedy.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::audit::Problem;
pub use crate::cert::CertError;
pub use crate::listen::tls::TlsError;
pub use crate::signing::key_file::SigningKeyError;
use crate::store::journal::Unkept;
pub use crate::token::TokenError;
use crate::workspace::write_back::Refused;

/// A mistake in how the server was called, or a failure of the machine under it.
///
/// Its text is one line that names the thing and what to do about it; [`Error::exit_code`] says which of the two it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The command line cannot be understood; also carries `--help` and `--version`, which are to be printed.
    #[error("{}", one_line(.0))]
    Usage(#[from] clap::Error),
    /// The configuration file cannot be read.
    #[error("config {}: {source}; check the path given with --config", .path.display())]
    ConfigRead {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("config {}: line {line}: {message}", .path.display())]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// Where, from 1.
        line: usize,
        /// What TOML expected.
        message: String,
    },
    /// The configuration file has a key that is no option.
    #[error("config {}: unknown key `{key}`{}", .path.display(), hint(.meant.as_deref()))]
    ConfigKey {
        /// The file.
        path: PathBuf,
        /// The key as written.
        key: String,
        /// The option whose name is closest.
        meant: Option<String>,
    },
    /// The configuration file has a value that the option does not take.
    #[error("config {}: `{key}`: {reason}", .path.display())]
    ConfigValue {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What it takes instead.
        reason: String,
    },
    /// The log filter makes no sense.
    #[error(
        "--log or MPAC_LOG {filter:?}: {reason}; give error, warn, info, debug, or a filter such as mpac_ws=debug"
    )]
    Log {
        /// As given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The role policy is no JSON file of that form.
    #[error("--role-policy: {0}")]
    RolePolicy(String),
    /// A key could not be made or changed.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// A certificate could not be made or read.
    #[error("{0}")]
    Cert(#[from] CertError),
    /// The coordinator's key cannot be had.
    #[error("signing key {0}")]
    SigningKey(#[from] SigningKeyError),
    /// TLS cannot be offered.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// An open session that other machines could reach.
    #[error(
        "an open session may only be reached from this machine, and --host {host} lets others in: make keys with `mpac-ws token` \
         and add --security-profile authenticated --tls-self-signed; or, in a network that you trust, add --insecure-open"
    )]
    OpenToAll {
        /// The address given.
        host: String,
    },
    /// The security profile needs something that was not given.
    #[error("--security-profile: {0}")]
    Profile(String),
    /// A verified session that others could listen to.
    #[error(
        "--security-profile verified shows the shared files to whoever can listen between here and there: with --host {host} add \
         --tls-self-signed, or --tls-cert and --tls-key"
    )]
    VerifiedInTheClear {
        /// The address given.
        host: String,
    },
    /// The session's further settings cannot be read.
    #[error("--session-config: {0}")]
    SessionConfig(String),
    /// The session cannot be opened this way; the rules that say so are the core's.
    #[error("{0}")]
    Session(String),
    /// The directory to share cannot be read.
    #[error("workspace {}: {}", .path.display(), workspace_remedy(.source))]
    Workspace {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The directory holds more text than may be held in memory.
    #[error(
        "workspace {}: its text files have more than {limit} bytes together, and all of them are held in memory; leave some out \
         with a .gitignore file, share a smaller directory, or raise --max-workspace-bytes", .path.display()
    )]
    WorkspaceTooLarge {
        /// The directory.
        path: PathBuf,
        /// How many bytes it may have.
        limit: u64,
    },
    /// With many sessions, no URL leads to the one of this id.
    #[error(
        "--session {id:?} cannot be reached with --multi-session, where the path /session/<id> names the session: use letters, \
         digits and -._~ only"
    )]
    SessionPath {
        /// The id.
        id: String,
    },
    /// An option that does nothing without another.
    #[error("{option} needs {missing} beside it, on the command line or in the configuration file")]
    Half {
        /// What was given.
        option: &'static str,
        /// What was not.
        missing: &'static str,
    },
    /// The server can only show one.
    #[error("--tls-self-signed does not work with --tls-cert: choose one of the two")]
    TwoCertificates,
    /// Accepted commits that are in no file, at the end.
    #[error(
        "{} accepted commit{} could not be written into the workspace directory: {}; {}",
        .files.len(), if .files.len() == 1 { "" } else { "s" }, listed(.files), unwritten_remedy(.files, *.stored)
    )]
    Unwritten {
        /// Which, and why.
        files: Vec<Unwritten>,
        /// Whether they are in the log.
        stored: bool,
    },
    /// `--write-back` has nowhere to write.
    #[error("--write-back needs a directory to write to: add --workspace DIR")]
    WriteBackWhere,
    /// Several sessions would write over each other.
    #[error(
        "--write-back does not work with --multi-session: every session has files of its own; choose one of the two"
    )]
    WriteBackMany,
    /// The data directory cannot be used.
    #[error(
        "data directory {}: {source}; name another with --data-dir, or keep nothing with --durability none", .path.display()
    )]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no room for the reserve.
    #[error(
        "data directory {}: {bytes} bytes cannot be set aside for the case that the disk is full, with a MiB beside them to work \
         in: {source}; make room, name another directory with --data-dir, or a smaller --reserve-bytes", .path.display()
    )]
    NoReserve {
        /// The directory.
        path: PathBuf,
        /// How much.
        bytes: u64,
        /// Why not.
        source: io::Error,
    },
    /// The archive lies where it would be no copy, or where everybody can read it.
    #[error("archive {}: it lies inside the {within}; name one outside it with --archive-dir", .path.display())]
    ArchiveWithin {
        /// The directory.
        path: PathBuf,
        /// Inside what.
        within: &'static str,
    },
    /// The disk was full, and everything that was open was closed in good order.
    #[error(
        "the disk of {} is full: everybody was told, and everything that anybody was told is stored; make room and start the \
         server again, the sessions go on", .0.display()
    )]
    DiskFull(PathBuf),
    /// Another server has the data directory.
    #[error(
        "data directory {}: another server is running on it; stop that one first, or name another directory", .path.display()
    )]
    DataDirTaken {
        /// The directory.
        path: PathBuf,
    },
    /// Another server has the sessions of the data directory.
    #[error(
        "data directory {}: {why} {server}, so starting here would make a second coordinator. Follow that one from here (mpac-ws \
         standby --from {server} ...), or take the sessions back under a higher epoch (--take-back, once that one is stopped)", .path.display()
    )]
    Elsewhere {
        /// The directory.
        path: PathBuf,
        /// How it came to that, in words that the server's address follows.
        why: String,
        /// Where the other server listens.
        server: String,
    },
    /// While it ran, another server took the sessions over.
    #[error(
        "stopped: the sessions were taken over by {0}. What was accepted here after the takeover has no effect there; follow that \
         server from here with mpac-ws standby"
    )]
    Fenced(String),
    /// What is followed cannot be.
    #[error("{from}: {reason}")]
    Following {
        /// The server.
        from: String,
        /// Why not.
        reason: String,
    },
    /// A command reached nobody, or was refused.
    #[error("{0}")]
    Control(String),
    /// The data directory lies in what everybody can read.
    #[error(
        "data directory {}: it lies inside the shared directory; name one outside it with --data-dir", .path.display()
    )]
    DataDirShared {
        /// The directory.
        path: PathBuf,
    },
    /// The system does not say where data belongs.
    #[error(
        "there is no place for the data of sessions: {0} is not set; name a directory with --data-dir, or keep nothing with --durability none"
    )]
    NoDataDir(&'static str),
    /// A session's log cannot be gone on from.
    #[error(
        "the log in {} is damaged: {reason}; see what can be done with `{repair}`, which changes nothing, or put back a copy of \
         the directory", .path.display()
    )]
    Damaged {
        /// The directory of the session.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
        /// The command to type next.
        repair: String,
    },
    /// A session cannot be repaired, or not without a decision.
    #[error("not repaired: {}: {reason}", .path.display())]
    NotRepaired {
        /// The directory of the session, or of all.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
    /// A stored session cannot go on under the configuration given.
    #[error(
        "session {session} in {} cannot go on: {reason}; start the server as it was started before, or begin another session \
         with --session", .path.display()
    )]
    NotTakenUp {
        /// The directory of the session.
        path: PathBuf,
        /// Its id.
        session: String,
        /// What contradicts what is stored.
        reason: String,
    },
    /// A log cannot be written.
    #[error(
        "the log of a session cannot be written: {0}; make room or mend the disk, or keep nothing with --durability none"
    )]
    Unlogged(String),
    /// The logs do not verify.
    #[error("{0} of the logs did not verify")]
    NotVerified(usize),
    /// A question about the logs has no answer.
    #[error("{0}")]
    Audit(Problem),
    /// The port cannot be listened on.
    #[error("{}", bind_remedy(.host, *.port, .source))]
    Bind {
        /// The address asked for.
        host: String,
        /// The port asked for.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The metrics cannot be served there.
    #[error("--metrics-listen {address}: {source}; stop what listens there, or name another address or port")]
    Metrics {
        /// The address asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// Something under the running server failed.
    #[error("{step}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// How it failed.
        source: io::Error,
    },
}

impl Error {
    /// 0 for `--help`, 2 for what the caller can put right, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            Self::Io { .. }
            | Self::Fenced(_)
            | Self::Following { .. }
            | Self::Control(_)
            | Self::Unwritten { .. }
            | Self::Unlogged(_)
            | Self::NotVerified(_)
            | Self::DiskFull(_) => 1,
            Self::Audit(problem) => problem.exit_code(),
            _ => 2,
        }
    }

    pub(crate) fn log(unkept: Unkept) -> Self {
        Self::Unlogged(unkept.to_string())
    }

    pub(crate) fn workspace(path: &Path, source: io::Error) -> Self {
        Self::Workspace { path: path.to_owned(), source }
    }
}

/// A file whose newest commit is not in the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unwritten {
    /// Its shared name.
    pub path: String,
    /// Why it could not be written, in words.
    pub reason: String,
    /// Whether no directory with the other files could hold it, so that trying again leads nowhere.
    pub for_good: bool,
}

impl Unwritten {
    pub(crate) fn new(path: String, refused: &Refused) -> Self {
        Self { path, reason: refused.to_string(), for_good: refused.is_for_good() }
    }
}

pub(crate) fn in_words(file: &Unwritten) -> String {
    format!("{:?} ({})", file.path, file.reason)
}

fn listed(files: &[Unwritten]) -> String {
    let each: Vec<String> = files.iter().map(in_words).collect();
    each.join(", ")
}

fn unwritten_remedy(files: &[Unwritten], stored: bool) -> &'static str {
    match (stored, files.iter().any(|file| file.for_good), files.iter().all(|file| file.for_good)) {
        (false, ..) => "nothing was stored (--durability none), so it is lost",
        (true, _, true) => "the log has it, and the directory cannot hold it: commit it under another name",
        (true, false, _) => {
            "the log has it: a start that goes on with the session tries again, `mpac-ws audit replay --files DIR` writes it elsewhere"
        }
        (true, true, false) => {
            "the log has it: a start that goes on with the session tries again, `mpac-ws audit replay --files DIR` writes it \
             elsewhere; but what the directory cannot hold has to be committed under another name"
        }
    }
}

/// clap writes paragraphs; scripts and people in a hurry read one line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return format!("it is not said what to do (`{} --help` lists what can be done)", command_in(&text));
    }
    let lines = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
    format!("{} (see {} --help)", joined.trim_start_matches("error: "), command_in(&text))
}

/// The command that clap's usage line is of.
fn command_in(text: &str) -> String {
    let usage = text.lines().find_map(|line| line.trim().strip_prefix("Usage:")).unwrap_or("mpac-ws");
    let names = usage.split_whitespace().take_while(|word| !word.starts_with(['[', '<', '-']));
    names.collect::<Vec<_>>().join(" ")
}

fn hint(meant: Option<&str>) -> String {
    match meant {
        Some(name) => format!(" (did you mean `{name}`?)"),
        None => " (see mpac-ws --help for the names)".to_owned(),
    }
}

fn workspace_remedy(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::NotFound => {
            "there is no such directory; create it or name another with --workspace".to_owned()
        }
        io::ErrorKind::NotADirectory => "this is not a directory; name one with --workspace".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; make it readable or name another with --workspace".to_owned()
        }
        _ => format!("{source}; name another with --workspace"),
    }
}

fn bind_remedy(host: &str, port: u16, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} on {host} is already in use; stop what listens there, name another with --port, or take a free one \
             with --port 0"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("port {port} on {host} may not be used by this user; name one above 1023 with --port")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!(
                "{host} is not an address of this machine; name one of its addresses with --host, or 0.0.0.0 for all"
            )
        }
        _ => format!("cannot listen on {host} port {port}: {source}; check --host and --port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_promised_a_next_try_that_leads_nowhere() {
        let file = |for_good| Unwritten { path: "a".to_owned(), reason: "b".to_owned(), for_good };
        let said = |files: &[Unwritten]| Error::Unwritten { files: files.to_vec(), stored: true }.to_string();
        let (retried, renamed) = ("a start that goes on with the session tries again", "under another name");
        for (files, again, rename) in [
            (&[file(false)][..], true, false),
            (&[file(true), file(true)], false, true),
            (&[file(true), file(false)], true, true),
        ] {
            let said = said(files);
            assert_eq!((said.contains(retried), said.contains(renamed)), (again, rename), "{said}");
        }
    }
}
