//! What a standby is told.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser};

use super::Settings;
use crate::control::pin;
use crate::error::Error;

const EXAMPLES: &str = "\
Examples:
  mpac-ws standby --from ws://other:8766 --token-file token --data-dir ./copy --port 8766
  mpac-ws standby --from ws://other:8766 --token-file token --data-dir ./copy --take-over-after-sec 60
  mpac-ws take-over --data-dir ./copy

The token is the file control-token in the other server's data directory. Give the options of the other server, but for its
address and directories: its sessions go on under them here.";

/// What stands behind `standby`, which is read as [`Standby`].
#[derive(Clone, Debug, Args)]
#[command(disable_help_flag = true)]
#[non_exhaustive]
pub struct Rest {
    /// Options of the standby, and those of the server that it becomes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0.., value_name = "OPTIONS")]
    pub options: Vec<OsString>,
}

/// A server that follows another until it takes over.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "mpac-ws standby",
    about = "Follow another server, and go on with its sessions when it ends",
    after_help = EXAMPLES,
    args_override_self = true,
    disable_help_subcommand = true
)]
#[non_exhaustive]
pub struct Standby {
    /// The server to follow, as in ws://HOST:PORT; with TLS wss://HOST:PORT#FINGERPRINT, where its certificate is its own
    #[arg(long, value_name = "URL", value_parser = url, help_heading = "Standby")]
    pub from: String,
    #[command(flatten)]
    /// What opens the other server's door.
    pub token: GivenToken,
    /// Take over when nothing was heard from the other server for so many seconds: at least two of its heartbeat intervals.
    /// Only one standby of a server may. Without this only when it hands its sessions over, or on the command take-over
    #[arg(long, value_name = "SEC", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Standby")]
    pub take_over_after_sec: Option<u64>,
    #[command(flatten)]
    /// What it serves with once it has taken over.
    pub server: Settings,
}

/// A token, by file or environment.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct GivenToken {
    /// File with the token of the other server: control-token in its data directory
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The same as a text, for environments; a file that is named counts more
    #[arg(long, value_name = "TOKEN", env = "MPAC_CONTROL_TOKEN", hide = true, hide_env_values = true)]
    pub token: Option<String>,
}

impl Standby {
    /// Reads what stands behind `standby`.
    ///
    /// # Errors
    /// [`Error::Usage`], also for `--help`.
    pub fn read(rest: &Rest) -> Result<Self, Error> {
        // The server's own commands have no place here.
        let command = Self::command().mut_subcommands(|command| command.hide(true));
        let name = OsString::from("mpac-ws standby");
        let matches = command.try_get_matches_from(std::iter::once(name).chain(rest.options.clone()))?;
        let mut standby = Self::from_arg_matches(&matches)?;
        if standby.server.command.take().is_some() {
            return Err(Error::Control("standby takes no command of its own".to_owned()));
        }
        Ok(standby)
    }
}

/// What `take-over` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct TakeOver {
    /// Data directory of the standby
    #[arg(long, value_name = "DIR", action = ArgAction::Set)]
    pub data_dir: PathBuf,
}

/// A WebSocket URL without a path.
pub(super) fn url(text: &str) -> Result<String, String> {
    let wrong =
        || "give an address such as ws://192.0.2.7:8766, or wss://192.0.2.7:8766#sha256:...".to_owned();
    let (address, pin) = pin::split(text).ok_or_else(wrong)?;
    let (scheme, host) = address.split_once("://").ok_or_else(wrong)?;
    let host = host.trim_end_matches('/');
    if !matches!(scheme, "ws" | "wss") || host.is_empty() || host.contains(['/', '@', ' ']) {
        return Err(wrong());
    }
    let pin = pin.map(|pin| format!("#{pin}")).unwrap_or_default();
    Ok(format!("{scheme}://{host}{pin}"))
}
