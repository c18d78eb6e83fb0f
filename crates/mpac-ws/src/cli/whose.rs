//! Which server on this machine is meant, for every command that works on what one has stored.

use std::path::PathBuf;

use clap::Args;

use crate::error::Error;
use crate::store::place;

/// A server or standby on this machine, running or not.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Whose {
    /// Its data directory [default: that of the workspace or the port]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Its workspace, where it has no data directory of its own
    #[arg(long, value_name = "DIR")]
    pub workspace: Option<PathBuf>,
    /// Its port, where it has neither
    #[arg(long, value_name = "PORT", default_value_t = 8766)]
    pub port: u16,
}

impl Whose {
    /// The data directory that is meant.
    ///
    /// # Errors
    /// When the system names no place.
    pub(crate) fn found(&self) -> Result<PathBuf, Error> {
        place::found(self.data_dir.as_deref(), self.workspace.as_deref(), self.port)
    }
}
