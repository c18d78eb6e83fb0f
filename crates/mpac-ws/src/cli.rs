//! Every option of the server, with its default: the command line, the configuration file and `--help` are all read off this
//! one struct.

pub mod audit;
pub mod backup;
pub mod cert;
pub mod close;
pub mod evidence;
mod guards;
pub mod keeping;
pub mod repair;
mod security;
pub mod signer;
pub mod signing_key;
pub mod standby;
pub mod token;
pub mod whose;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use mpac_core::ProtocolLevel;
use mpac_wire::names::{ComplianceProfile, ExecutionModel};
use mpac_wire::{InvalidId, Seconds, SessionId};

use self::backup::Backup;
use self::close::Close;
pub use self::guards::Guards;
pub use self::security::Security;
use self::standby::{Rest, TakeOver};
use self::whose::Whose;
use crate::store::Durability;

const EXAMPLES: &str = "\
Examples:
  mpac-ws                                     an empty workspace on 127.0.0.1:8766
  mpac-ws --workspace ./project               share a directory; commits stay in memory
  mpac-ws --workspace ./project --write-back  also write commits into the directory
  mpac-ws --host 0.0.0.0 --security-profile authenticated --tls-self-signed
                                              let people with a key join from other machines (mpac-ws invite NAME)
  mpac-ws --multi-session                     a session for every /session/<id>
  mpac-ws --config mpac.toml                  take the options from a file

A configuration file is TOML, with the long names above and underscores:
  port = 9000
  write_back = true
  role_policy = { default_role = \"contributor\" }
Flags win over the file; relative paths in it start at its directory.

Stop the server with Ctrl-C: it tells everybody why. Sessions that are stored go on when it is started again; with
--durability none they are closed.";

const DRIVE: &str = "\
Answer JSON lines on stdin with JSON lines on stdout: the coordinator without sockets and clocks, for any language.

Each line is one request, each answer is one line. Time is what the requests say. One process holds one session.";

/// The levels a session can be opened with, D-001.
fn level() -> impl TypedValueParser<Value = ProtocolLevel> {
    PossibleValuesParser::new(ProtocolLevel::ALL.map(ProtocolLevel::as_str))
        .try_map(|text| text.parse::<ProtocolLevel>())
}

/// A parser that takes the listed values of one of the wire's open enums and no other.
macro_rules! listed {
    ($name:ident) => {
        clap::builder::TypedValueParser::map(
            clap::builder::PossibleValuesParser::new($name::LISTED.iter().map($name::as_str)),
            |text| $name::from(text.as_str()),
        )
    };
}

use listed;

/// What the server was asked to do: flags and configuration file, merged.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mpac-ws",
    version,
    about = "Share a directory with the agents of several people: an MPAC coordinator over WebSocket",
    after_help = EXAMPLES,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
#[non_exhaustive]
pub struct Settings {
    /// Address to listen on. The default can be reached from this machine only; 0.0.0.0 listens on every address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1", help_heading = "Server")]
    pub host: String,
    /// Port to listen on; 0 takes a free one and prints it
    #[arg(long, value_name = "PORT", default_value_t = 8766, help_heading = "Server")]
    pub port: u16,
    /// Serve many sessions: each /session/ID is opened by the first participant who joins it
    #[arg(long, value_name = "BOOL", help_heading = "Server", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set,
          hide_possible_values = true, hide_default_value = true)]
    pub multi_session: bool,
    /// How many sessions may be open at once with --multi-session
    #[arg(long, value_name = "N", default_value_t = 1000, help_heading = "Server",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_sessions: u32,
    /// Let web pages of this origin connect, as in `https://example.org`; can be repeated. Pages of other origins are
    /// refused: any page open in a browser could reach a server on the same machine
    #[arg(long, value_name = "ORIGIN", help_heading = "Server")]
    pub allow_origin: Vec<String>,
    /// Threads that serve sessions and connections [default: one for each core]
    #[arg(long, value_name = "N", help_heading = "Server", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Read options from this TOML file; flags win over it
    #[arg(long, value_name = "FILE.toml", help_heading = "Server")]
    pub config: Option<PathBuf>,
    /// What to log on stderr: error, warn, info, debug, or a filter such as mpac_ws=debug. Lines that nobody reads are lost,
    /// they never hold up the server
    #[arg(
        long,
        value_name = "FILTER",
        default_value = "info",
        env = "MPAC_LOG",
        hide_env_values = true,
        help_heading = "Server"
    )]
    pub log: String,

    /// Directory whose text files are shared; without it the workspace starts empty
    #[arg(long, value_name = "DIR", help_heading = "Workspace")]
    pub workspace: Option<PathBuf>,
    /// Write accepted commits into the workspace directory. Files that somebody changed meanwhile are kept, and the commit
    /// is written beside them
    #[arg(long, value_name = "BOOL", help_heading = "Workspace", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set,
          hide_possible_values = true, hide_default_value = true)]
    pub write_back: bool,

    /// Directory in which sessions outlive the server: one server at a time, and not inside the shared directory [default:
    /// a directory for each workspace, or without one for each port, in the place where this system keeps such data]
    #[arg(long, value_name = "DIR", help_heading = "Storage")]
    pub data_dir: Option<PathBuf>,
    /// What must have happened to a message before anybody hears what came of it [default: fsync; none with --port 0 and
    /// without --data-dir, because nobody finds such a server again]
    #[arg(long, value_name = "LEVEL", value_enum, help_heading = "Storage")]
    pub durability: Option<Durability>,
    /// What becomes of logs, beside being written.
    #[command(flatten)]
    pub keeping: keeping::Keeping,

    /// Wait while another server has the data directory, and start the moment it ends
    #[arg(long, value_name = "BOOL", help_heading = "Storage", num_args = 0..=1, require_equals = true,
          default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set,
          hide_possible_values = true, hide_default_value = true)]
    pub wait: bool,
    /// Take sessions back that another server has taken over: they go on here above the epoch that it is known to have, or
    /// above EPOCH. Stop that server first
    #[arg(long, value_name = "EPOCH", help_heading = "Storage", num_args = 0..=1, require_equals = true,
          default_missing_value = "0")]
    pub take_back: Option<u64>,

    /// TLS, credentials, and what strangers may cost.
    #[command(flatten)]
    pub security: Security,

    /// Id of the session [default: default; with --multi-session: none is open at the start]
    #[arg(long, value_name = "ID", value_parser = session_id, help_heading = "Session")]
    pub session: Option<String>,
    /// Level of the protocol that the session speaks: 0.1.14 adds deferrals, 0.1.15 the race lock on announced files
    #[arg(long, value_name = "LEVEL", default_value = "0.1.13", value_parser = level(), help_heading = "Session")]
    pub protocol_level: ProtocolLevel,
    /// Commit at once (post_commit), or propose first and commit when authorised (pre_commit, which needs --compliance-profile
    /// governance)
    #[arg(long, value_name = "MODEL", default_value = "post_commit", value_parser = listed!(ExecutionModel),
          help_heading = "Session")]
    pub execution_model: ExecutionModel,
    /// How much of the protocol the session asks of its participants
    #[arg(long, value_name = "PROFILE", default_value = "core", value_parser = listed!(ComplianceProfile),
          help_heading = "Session")]
    pub compliance_profile: ComplianceProfile,
    /// Who gets which role: a JSON file, or the JSON text itself
    #[arg(long, value_name = "FILE.json", help_heading = "Session")]
    pub role_policy: Option<String>,
    /// Everything else a session can be told, by the keys that `mpac-ws drive --help` lists (but for session_id,
    /// security_profile, credentials, workspace, opens_with_hello and what has a flag of its own under Limits): a JSON file, or the JSON text
    /// itself. What it says wins over the flags here
    #[arg(long, value_name = "FILE.json", help_heading = "Session")]
    pub session_config: Option<String>,

    /// Seconds between two heartbeats that participants are asked for
    #[arg(long, value_name = "SEC", default_value = "30", value_parser = seconds, help_heading = "Times")]
    pub heartbeat_interval_sec: Seconds,
    /// Seconds of silence after which a participant counts as unavailable
    #[arg(long, value_name = "SEC", default_value = "90", value_parser = seconds, help_heading = "Times")]
    pub unavailability_timeout_sec: Seconds,
    /// Seconds after which an unresolved conflict is escalated; 0 never does
    #[arg(long, value_name = "SEC", default_value = "300", value_parser = seconds, help_heading = "Times")]
    pub resolution_timeout_sec: Seconds,
    /// Seconds before the claim on an unavailable participant's intent is granted
    #[arg(long, value_name = "SEC", default_value = "30", value_parser = seconds, help_heading = "Times")]
    pub intent_claim_grace_sec: Seconds,
    /// Seconds that an intent stays active when its announcement does not say
    #[arg(long, value_name = "SEC", default_value = "300", value_parser = seconds, help_heading = "Times")]
    pub default_intent_ttl_sec: Seconds,

    /// Largest frame, in bytes, that is read or sent. Python clients refuse frames above the default
    #[arg(long, value_name = "BYTES", default_value_t = 1_048_576, help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(4096..=67_108_864))]
    pub max_frame_bytes: u32,
    /// Largest workspace, in bytes of its text files, at the start and by commits: they are all held in memory
    #[arg(long, value_name = "BYTES", default_value_t = 268_435_456, help_heading = "Limits",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub max_workspace_bytes: u64,
    /// Frames that may wait for a slow connection before it is closed
    #[arg(long, value_name = "N", default_value_t = 10_000, help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub queue_frames: u32,
    /// Messages a second that one connection may send in the long run
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_per_sec: u32,
    /// Messages that one connection may send at once
    #[arg(long, value_name = "N", default_value_t = 400, help_heading = "Limits",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub rate_burst: u32,
    /// What participants may cost beyond one connection, and metrics.
    #[command(flatten)]
    pub guards: Guards,

    /// What to do instead of serving
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What the program does beside serving.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Answer JSON lines on stdin with JSON lines on stdout: the coordinator without sockets and clocks, for any language
    #[command(after_long_help = crate::drive::help(), long_about = DRIVE)]
    Drive(Drive),
    /// Make, list and end the keys by which participants prove who they are
    #[command(subcommand)]
    Token(token::Token),
    /// Print one command with which a colleague joins, once and soon
    Invite(token::Invite),
    /// A small certificate authority: certificates for participants of verified sessions, and for TLS
    #[command(subcommand)]
    Cert(cert::Cert),
    /// Show or replace the key that coordinators sign with
    #[command(subcommand)]
    SigningKey(signing_key::SigningKey),
    /// Look back at stored sessions: who did what, on what basis, and whether the log is what it was
    #[command(subcommand)]
    Audit(Box<audit::Audit>),
    /// See what can be done about a damaged log, and do it. Nothing is deleted: the damaged files are kept aside
    Repair(repair::Repair),
    /// Follow another server, and go on with its sessions when it ends. Takes the options of a server too
    Standby(Rest),
    /// Have the standby of a data directory take its sessions over
    TakeOver(TakeOver),
    /// Copy everything that a server has stored, while it runs
    Backup(Backup),
    /// End a session for good
    Close(Close),
    /// Say how a running server or standby is
    Status(Whose),
}

/// What `drive` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Drive {
    /// Longest line, in bytes, that is read; a longer one is refused
    #[arg(long, value_name = "BYTES", default_value_t = crate::drive::LONGEST_LINE as u64,
          value_parser = clap::value_parser!(u64).range(64..))]
    pub max_line_bytes: u64,
}

fn session_id(text: &str) -> Result<String, InvalidId> {
    SessionId::new(text).map(|_| text.to_owned())
}

fn seconds(text: &str) -> Result<Seconds, String> {
    match text.parse::<f64>() {
        // To the microsecond; `as` saturates, so a duration beyond 292,000 years is that long.
        Ok(value) if value.is_finite() && value >= 0.0 => {
            Ok(Seconds::from_micros((value * 1e6).round() as i64))
        }
        _ => Err("give a number of seconds, 0 or more".into()),
    }
}
