//! The certificate that somebody shows with HELLO: in it, or under the connection.

use mpac_wire::PublicKey;
use mpac_wire::names::CredentialType;
use rustls::pki_types::CertificateDer;

use super::Shown;
use super::certificate::Read;
use super::chain::Chain;

/// A certificate and what stands in it. Nothing of that is proven.
#[derive(Debug)]
pub(super) struct Card {
    read: Read,
    /// With what leads to its issuer, where that was shown.
    chain: Option<Chain>,
}

impl Card {
    /// The one that goes with a credential; `None` where there is none that can be read.
    pub(super) fn of(shown: Shown<'_>) -> Option<Self> {
        match shown.credential.kind {
            CredentialType::X509Chain => {
                let chain = Chain::parse(shown.credential.value.reveal()).ok()?;
                Some(Self { read: Read::of(chain.leaf())?, chain: Some(chain) })
            }
            CredentialType::MtlsFingerprint => {
                Some(Self { read: Read::of(shown.at.certificate?)?, chain: None })
            }
            _ => None,
        }
    }

    pub(super) const fn read(&self) -> &Read {
        &self.read
    }

    pub(super) const fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// The key in it, if that can sign messages.
    pub(super) const fn key(&self) -> Option<&PublicKey> {
        self.read.key.as_ref()
    }

    /// Whether whoever is at the other end of the connection has its key: TLS has seen to that.
    pub(super) fn is_of_connection(&self, certificate: Option<&CertificateDer<'_>>) -> bool {
        self.chain.as_ref().is_none_or(|chain| certificate == Some(chain.leaf()))
    }
}
