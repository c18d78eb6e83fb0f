//! What `backup` is told.

use std::path::PathBuf;

use clap::Args;

use super::standby::{GivenToken, url};
use super::whose::Whose;

/// From where to where.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Backup {
    /// Directory for the copy: an empty one, or an earlier backup of the same server, which then gets what is new. Start a
    /// server from it with --data-dir DIR/data --workspace DIR/workspace
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// Another machine's server, as in ws://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = url)]
    pub from: Option<String>,
    #[command(flatten)]
    /// What opens the other server's door.
    pub token: GivenToken,
    #[command(flatten)]
    /// A server of this machine, running or stopped.
    pub whose: Whose,
}
