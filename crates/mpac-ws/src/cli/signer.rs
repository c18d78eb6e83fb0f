//! What `token signer` is told.

use clap::Args;
use mpac_wire::PrincipalId;

use super::token::{Keys, principal};

/// Somebody and the key that they sign with.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Signer {
    /// Who signs, as in agent:bob; the name alone is taken for an agent
    #[arg(value_name = "PRINCIPAL", value_parser = principal)]
    pub principal: PrincipalId,
    /// The Ed25519 public key: its 32 bytes in base64url, or a PEM file as `openssl pkey -pubout` makes it
    #[arg(long, value_name = "KEY or FILE.pem")]
    pub public_key: String,
    /// Where the keys are.
    #[command(flatten)]
    pub keys: Keys,
}
