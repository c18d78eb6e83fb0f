//! What `signing-key` is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::whose::Whose;

/// The key that coordinators sign with.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum SigningKey {
    /// Print its fingerprint and its public key, and those of earlier ones
    Show(Show),
    /// Have a running server sign with a new key. Participants who are connected are told, signed with the one before; whoever
    /// was away and remembers the old one has to be told the new fingerprint
    Rotate(Whose),
}

/// What `signing-key show` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Show {
    /// The file of the key, where a server that does not run has one of its own [default: signing-key.pem in the data directory]
    #[arg(long, value_name = "FILE.pem")]
    pub signing_key: Option<PathBuf>,
    /// Whose it is.
    #[command(flatten)]
    pub whose: Whose,
}
