//! What can be done with a certificate authority of one's own.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mpac_wire::{PrincipalId, Seconds};

use super::token::{duration, principal};

/// Where `cert ca` puts the authority, and `cert issue` looks for it.
const AUTHORITY: &str = "mpac-ca";

/// One thing to do.
#[derive(Clone, Debug, Subcommand)]
#[non_exhaustive]
pub enum Cert {
    /// Make an authority, once: a key that signs certificates, and the trust anchor by which servers know them
    Ca(Ca),
    /// Issue a certificate: to a participant of verified sessions, or with --server to a server for TLS
    #[command(after_help = ISSUE)]
    Issue(Issue),
    /// Say what is in a PEM file: certificates, requests, public keys. Private keys are never shown
    Show(Show),
}

const ISSUE: &str = "\
Examples:
  mpac-ws cert issue bob                      a key and a certificate for agent:bob, to be handed to Bob
  mpac-ws cert issue --csr agent-bob.csr.pem  a certificate only: Bob made the key (mpac-agent key new) and keeps it
  mpac-ws cert issue --server shop.example    a key and a certificate for a server's --tls-cert and --tls-key";

/// What `cert ca` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Ca {
    /// The directory for it; it is made
    #[arg(long, value_name = "DIR", default_value = AUTHORITY)]
    pub out: PathBuf,
    /// How long it is good: 12h, 90d. Certificates that it issues end with it
    #[arg(long = "for", value_name = "TIME", default_value = "3650d", value_parser = duration)]
    pub lifetime: Seconds,
    /// Replace an authority that is there: nothing that it issued is good any more where the new one is trusted
    #[arg(long)]
    pub force: bool,
}

/// What `cert issue` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Issue {
    /// The participant, as in agent:bob; the name alone is taken for an agent [default with --csr: whom the request names]
    #[arg(value_name = "PRINCIPAL", value_parser = principal, required_unless_present_any = ["server", "csr"])]
    pub principal: Option<PrincipalId>,
    /// For a server instead: a host name or address under which it is reached; can be repeated
    #[arg(long, value_name = "HOST", conflicts_with_all = ["principal", "csr", "public_key"])]
    pub server: Vec<String>,
    /// A certificate request instead of a new key: the private key stays where it was made
    #[arg(long, value_name = "FILE.pem", conflicts_with = "public_key")]
    pub csr: Option<PathBuf>,
    /// The same with a public key
    #[arg(long, value_name = "FILE.pem")]
    pub public_key: Option<PathBuf>,
    /// The directory of the authority that `mpac-ws cert ca` made
    #[arg(long, value_name = "DIR", default_value = AUTHORITY)]
    pub ca: PathBuf,
    /// The directory for the certificate; it is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// How long it is good: 12h, 90d
    #[arg(long = "for", value_name = "TIME", default_value = "90d", value_parser = duration)]
    pub lifetime: Seconds,
    /// Replace files of that name that are there
    #[arg(long)]
    pub force: bool,
}

/// What `cert show` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Show {
    /// The PEM file
    #[arg(value_name = "FILE.pem")]
    pub file: PathBuf,
}
