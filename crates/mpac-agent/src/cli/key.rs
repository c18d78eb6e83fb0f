//! What can be done with a key of one's own.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// One thing to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Key {
    /// Make a key, and a request for a certificate to send to whoever runs the coordinator. The key stays here
    New(New),
    /// Say by which fingerprint a key file is known
    Show(Show),
}

/// What `key new` is told.
#[derive(Debug, Clone, Args)]
pub struct New {
    /// Your agent's name, as it will join
    #[arg(long)]
    pub name: String,
    /// Its identity [default: "agent:NAME"]
    #[arg(long, value_name = "ID")]
    pub principal_id: Option<String>,
    /// The file for the key; it must not be there yet [default: NAME.key.pem after the identity]
    #[arg(long, value_name = "FILE.pem")]
    pub out: Option<PathBuf>,
}

/// What `key show` is told.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// The file
    #[arg(value_name = "FILE.pem")]
    pub file: PathBuf,
}
