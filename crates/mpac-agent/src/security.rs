//! How an agent takes part where messages are signed: its key and certificates, and what it knows of the coordinator.
//!
//! ```no_run
//! # fn main() -> Result<(), mpac_agent::error::AgentError> {
//! use mpac_agent::security::Security;
//!
//! let security = Security {
//!     key: Some("agent-bob.key.pem".into()),
//!     chain: Some("agent-bob.pem".into()),
//!     ..Security::default()
//! };
//! let equipment = security.open(vec!["shop.example:8766".to_owned()])?;
//! // Then: `Route::with_certificate`, `Voice::equipped`, `Recorder::with_witness`, and the chain's credential in HELLO.
//! # Ok(())
//! # }
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use mpac_wire::names::CredentialType;
use mpac_wire::{Credential, Fingerprint};
use rustls::sign::CertifiedKey;

use crate::chain::Chain;
use crate::clock;
use crate::connection::{Connection, Identity, Route, Target, Voice, connect};
use crate::credential;
use crate::error::AgentError;
use crate::history::Recorder;
use crate::key_file::KeyFile;
use crate::known::{self, Known};
use crate::witness::Witness;

/// What an agent is given; by default nothing, and nothing is signed.
#[derive(Debug, Clone, Default)]
pub struct Security {
    /// The file of its Ed25519 key: every message is signed with it (SEC-23).
    pub key: Option<PathBuf>,
    /// The file of its certificates: the credential (SEC-12), and what TLS shows. Needs the key.
    pub chain: Option<PathBuf>,
    /// The coordinator's key. Without it the one that [`Self::known_coordinators`] has, else the first one is trusted (SEC-30).
    pub coordinator_key: Option<Fingerprint>,
    /// The file of coordinators that were seen; [`known::default_path`] by default.
    pub known_coordinators: Option<PathBuf>,
    /// The file for everything that is heard and said.
    pub record: Option<PathBuf>,
}

/// The same, read.
#[derive(Debug, Default)]
pub struct Equipment {
    /// What signs.
    pub keys: Option<KeyFile>,
    /// What says whose keys these are.
    pub chain: Option<Chain>,
    /// The coordinator's key, if it was given or seen before.
    pub pinned: Option<Fingerprint>,
    /// Where the coordinator's key is remembered. None where nothing is signed.
    pub known: Option<Known>,
    /// Where everything is written down.
    pub witness: Option<Witness>,
}

impl Equipment {
    /// What TLS shows to a server that asks: the certificates, where the file has the key that they are for.
    #[must_use]
    pub fn certificate(&self) -> Option<Arc<CertifiedKey>> {
        self.chain.as_ref()?.for_tls(self.keys.as_ref()?)
    }
}

/// A connection on which everything is signed that has to be.
pub(crate) struct Connected {
    pub(crate) connection: Connection,
    /// What HELLO shows.
    pub(crate) credential: Option<Credential>,
    /// What whoever joins should know first.
    pub(crate) warning: Option<String>,
}

impl Security {
    /// Connects, with what the files have. `secret` is shown to an encrypted or local address only (PAR-21).
    ///
    /// # Errors
    /// Those of [`open`](Self::open) and of [`connect`]; [`AgentError::Usage`] for a secret that everybody could read, and for
    /// certificates of somebody else.
    pub(crate) async fn connect(
        &self,
        route: Route,
        identity: Identity,
        secret: Option<Credential>,
        recorder: Recorder,
    ) -> Result<Connected, AgentError> {
        if let Some(target) = route.targets().find(|target| secret.is_some() && !target.is_private()) {
            return Err(AgentError::Usage(format!(
                "{} is not encrypted, and the credential would go there for all to read; use a wss:// address",
                target.url()
            )));
        }
        let mut equipment = self.open(route.targets().map(Target::host_and_port).collect())?;
        let credential = one_of(secret, &equipment)?;
        let check = |chain: &Chain| chain.check(&identity.principal, clock::now());
        let warning = equipment.chain.as_ref().map(check).transpose()?.flatten();
        let route = route.with_certificate(equipment.certificate().as_ref());
        let recorder = recorder.with_witness(equipment.witness.take());
        let voice = Voice::new(identity).equipped(&mut equipment);
        Ok(Connected { connection: connect(route, voice, recorder).await?, credential, warning })
    }

    /// Reads the files. `addresses` are those of the coordinator, as `HOST:PORT`.
    ///
    /// # Errors
    /// [`AgentError::Usage`] naming the option and the remedy.
    pub fn open(&self, addresses: Vec<String>) -> Result<Equipment, AgentError> {
        let mut keys = self.key.as_deref().map(KeyFile::open).transpose()?;
        let chain = self.chain.as_deref().map(Chain::open).transpose()?;
        if let Some(chain) = &chain {
            let why = "--chain says whose key signs; give the key as well with --key";
            let keys = keys.as_mut().ok_or_else(|| AgentError::Usage(why.to_owned()))?;
            if let Some(certified) = chain.key() {
                keys.keep(&certified);
            }
        }
        // Who signs nothing is in no session where a coordinator does.
        let is_asked = keys.is_some() || self.coordinator_key.is_some();
        let path = self.known_coordinators.clone().or_else(known::default_path).filter(|_| is_asked);
        let known = path.map(|path| Known::at(path, addresses));
        let pinned = match (self.coordinator_key, &known) {
            (Some(given), _) => Some(given),
            (None, Some(known)) => known.key()?,
            (None, None) => None,
        };
        let witness = self.record.as_deref().map(Witness::open).transpose()?;
        Ok(Equipment { keys, chain, pinned, known, witness })
    }
}

/// What HELLO shows: the certificates, or something secret.
fn one_of(secret: Option<Credential>, equipment: &Equipment) -> Result<Option<Credential>, AgentError> {
    match (secret, &equipment.chain) {
        // Then TLS shows the certificate, and the credential names it (SEC-10).
        (Some(named), Some(_)) if named.kind == CredentialType::MtlsFingerprint => Ok(Some(named)),
        (Some(_), Some(_)) => Err(AgentError::Usage(format!(
            "--chain is a credential, and so is {} or --credential-file; give one of them",
            credential::VARIABLE
        ))),
        (secret, chain) => Ok(secret.or_else(|| chain.as_ref().map(Chain::credential))),
    }
}
