//! What is proven about a frame: by the credential in it, and by its signature.
//!
//! A connection finds out as much as it can, beside the session; what only the session can say is completed there, in order.

use mpac_core::{ConnId, Identity, Peer, Signed, View};
use mpac_wire::names::CredentialType;

use crate::signing::known::Known;
use crate::signing::{self, Verifying};

/// What a connection found out about a frame.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) identity: Identity,
    pub(crate) signature: Judged,
    /// What the signature is judged over, where that is not the text that came.
    pub(crate) kept: Option<String>,
    /// The certificate was shown by somebody of whom only the frame's signature can say that they have its key (SEC-12).
    pub(crate) needs_signature: bool,
}

/// How far a signature is judged.
#[derive(Debug)]
pub(crate) enum Judged {
    /// To the end.
    Is(Signed),
    /// This one is by a key that the connection does not know; the session may.
    ByUnknownKey(String),
}

impl Default for Proof {
    fn default() -> Self {
        Self {
            identity: Identity::Unproven,
            signature: Judged::Is(Signed::Missing),
            kept: None,
            needs_signature: false,
        }
    }
}

impl Proof {
    /// Whether something was shown that is no good, as far as a connection can say. A certificate without a good signature by its
    /// key is as much a try as a wrong secret.
    pub(crate) const fn is_refused(&self) -> bool {
        let lacks_key =
            matches!(&self.signature, Judged::Is(signed) if !matches!(signed, Signed::Good { .. }));
        matches!(self.identity, Identity::Rejected { .. }) || (self.needs_signature && lacks_key)
    }

    /// Whether nobody has shown yet that they have the key of the certificate they showed: certificates are no secret.
    pub(crate) const fn lacks_key(&self) -> bool {
        self.needs_signature && !matches!(self.signature, Judged::Is(Signed::Good { .. }))
    }

    /// Completes it by what the session knows: `frame` is the text as it came.
    pub(crate) fn complete(self, conn: ConnId, frame: &str, view: View<'_>, known: &Known) -> Peer {
        let signed = match self.signature {
            Judged::Is(signed) => signed,
            Judged::ByUnknownKey(signature) => {
                let key =
                    |key: &_| view.key(key).inspect(|key| known.learn(key)).cloned().map(Verifying::Ed25519);
                signing::verify(self.kept.as_deref().unwrap_or(frame), Some(&signature), key)
            }
        };
        let lacks_key = self.needs_signature && !matches!(signed, Signed::Good { .. });
        let identity = match self.identity {
            Identity::Proven { .. } if lacks_key => Identity::Rejected { method: CredentialType::X509Chain },
            identity => identity,
        };
        Peer::new(conn, identity).signed(signed)
    }
}
