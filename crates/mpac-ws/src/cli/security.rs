//! Options about who may come in, and how.

use std::path::PathBuf;

use clap::Args;
use mpac_wire::names::SecurityProfile;

/// TLS, credentials, and what strangers may cost.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Security")]
#[non_exhaustive]
pub struct Security {
    /// Who may join: anybody who reaches the port (open), or whoever shows a credential that this server can verify
    /// (authenticated). `mpac-ws token` and `mpac-ws invite` make keys
    #[arg(long, value_name = "PROFILE", default_value = "open", value_parser = super::listed!(SecurityProfile))]
    pub security_profile: SecurityProfile,
    /// Listen beyond this machine although the session is open: anybody who reaches the port can then read and change the
    /// shared files
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true,
          hide_default_value = true)]
    pub insecure_open: bool,
    /// Speak TLS with this certificate: a PEM file, the server's own first. Read again when it changes
    #[arg(long, value_name = "FILE.pem")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert: a PEM file
    #[arg(long, value_name = "FILE.pem")]
    pub tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate that this server makes for itself, once; clients pin it by its fingerprint
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false,
          default_missing_value = "true", action = clap::ArgAction::Set, hide_possible_values = true,
          hide_default_value = true)]
    pub tls_self_signed: bool,
    /// The Ed25519 key with which the coordinator signs, unless the session is open: a PKCS#8 PEM file, as
    /// `openssl genpkey -algorithm ed25519` makes it [default: signing-key.pem in the data directory, made at the first start]
    #[arg(long, value_name = "FILE.pem")]
    pub signing_key: Option<PathBuf>,
    /// The file with the keys that `mpac-ws token` made, read again when it changes [default: keys.toml in the data directory]
    #[arg(long, value_name = "FILE.toml")]
    pub keys: Option<PathBuf>,
    /// Whose JSON Web Tokens are good as bearer_token: the `iss` in them
    #[arg(long, value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The `aud` in them [default: the id of the session]
    #[arg(long, value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// The issuer's public keys: a JSON Web Key Set, read again when it changes
    #[arg(long, value_name = "FILE.json")]
    pub jwks: Option<PathBuf>,
    /// Who says who somebody is: certificates of authorities, whose own are good as x509_chain; a PEM file, read again when it
    /// changes
    #[arg(long, value_name = "FILE.pem")]
    pub trust_anchors: Option<PathBuf>,
    /// A program that judges credentials of type custom: a line of JSON on its input, one on its output, within 5 s
    #[arg(long, value_name = "COMMAND")]
    pub credential_command: Option<String>,
    /// Connections at once, if the system allows twice as many open files
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,
    /// Connections at once from one address, or from one IPv6 network of 64 bits
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections_per_address: u32,
    /// Seconds within which a connection has to come through TLS and to its WebSocket handshake
    #[arg(long, value_name = "SEC", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub handshake_within_sec: u32,
    /// Seconds within which a connection has to join, unless the session is open
    #[arg(long, value_name = "SEC", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub hello_within_sec: u32,
}
