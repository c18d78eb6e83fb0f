//! Evidence for people who were not there, and its verification.

use std::path::PathBuf;

use clap::Args;

use super::audit::Place;

/// What `audit bundle` is for.
pub(super) const BUNDLE: &str = "\
Write everything that an auditor needs into one file: the transcript with its hash chain and every signature, the keys of the \
coordinator and of the participants, the records of the log with their seals, and the coordinator's signature over all of it. \
The coordinator's messages are signed again, so its signing key is needed. fixtures/evidence/README.md describes the format, and \
verify.py beside it verifies a bundle without this program.

There are no credentials in it but certificates (PRV-05). Contents of files and what people wrote are in it: signatures cover them.

Changes nothing but DATA/access.log, which gets a line of JSON that says who made it: time, operating-system user, command, \
session (PRV-04).";

/// What `audit verify` does with `--keys`.
pub(super) const KEYS: &str = "\
With --keys one session is looked at by somebody who believes none of its coordinator's words: every signature is verified \
again, the rules are followed again, and what the coordinator signed is compared with what follows. It says who agreed to what, \
what does not verify, and what of that the coordinator's own signature proves. Exits with 1 when anything does not verify.

The keys file says whom you trust. Coordinators' keys are shown by `mpac-ws status` and in SESSION_INFO; get them from the operator \
before you need them:
  {\"coordinator\": [\"sha256:...\"], \"principals\": {\"agent:alice\": [\"sha256:...\"]}, \"trust_anchors\": [\"ca.pem\"]}
A key is named by its fingerprint, or given itself in base64url. With trust anchors no principals need be named: their \
certificates are in their HELLOs. Where neither knows a key it is reported.

Examples:
  mpac-ws audit verify --keys trusted.json --workspace ./project
  mpac-ws audit verify --keys trusted.json --bundle evidence.json --witness bobs-record.jsonl --json";

/// Whom to trust, and what to compare.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
#[command(next_help_heading = "Signatures")]
pub struct Against {
    /// Verify signatures too, by the keys and trust anchors that this JSON file names
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Verify this file, which `audit bundle` wrote, and not a log of this machine
    #[arg(long, value_name = "FILE", requires = "keys", conflicts_with_all = ["data_dir", "workspace", "port", "session", "run"])]
    pub bundle: Option<PathBuf>,
    /// Compare with what a participant has kept: a message a line, as it was received or sent. May be repeated
    #[arg(long, value_name = "FILE", requires = "keys")]
    pub witness: Vec<PathBuf>,
    /// One JSON object
    #[arg(long, requires = "keys")]
    pub json: bool,
}

/// What `audit bundle` is told.
#[derive(Clone, Debug, Args)]
#[non_exhaustive]
pub struct Bundle {
    /// Which session.
    #[command(flatten)]
    pub place: Place,
    /// Write it to this new file
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// The coordinator's signing key, where the server was given one with this flag [default: signing-key.pem in the data
    /// directory, and those that it replaced]
    #[arg(long, value_name = "FILE.pem")]
    pub signing_key: Option<PathBuf>,
}
