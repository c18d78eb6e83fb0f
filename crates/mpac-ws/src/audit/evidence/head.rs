//! The coordinator's signature over a whole chain of messages: where it ends, and where its log stood then.

use mpac_core::Signed;
use mpac_wire::signature::{NotCanonical, signed_bytes};
use mpac_wire::transcript::Chain;
use mpac_wire::{Fingerprint, PublicKey, SessionId, Signature, Timestamp};
use serde::{Deserialize, Serialize};

use crate::signing::{self, Signing, Verifying};
use crate::store::snapshot::Position;

/// What makes it different from everything else that is signed.
const KIND: &str = "log_chain_head";

/// Signed as messages are: all of it without `signature`, in canonical form (`spec/wire.md` §12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    kind: String,
    pub(super) session_id: SessionId,
    /// When it was signed.
    pub(super) at: Timestamp,
    /// The last entry of the chain, and its hash.
    pub(super) seq: u64,
    pub(super) hash: String,
    /// The last entry of the log, and its checksum.
    pub(super) log_seq: u64,
    pub(super) log_head: String,
    signature: String,
}

impl Head {
    /// Signs that the chain ends like this, and the log like that.
    pub(super) fn sign(
        session_id: SessionId,
        at: Timestamp,
        chain: &Chain,
        log: &Position,
        key: &Signing,
    ) -> Result<Self, NotCanonical> {
        let (seq, hash) = (chain.seq(), chain.head().to_owned());
        let (log_seq, log_head) = (log.n, log.sum.clone());
        let signature = String::new();
        let mut head =
            Self { kind: KIND.to_owned(), session_id, at, seq, hash, log_seq, log_head, signature };
        head.signature = key.over(signed_bytes(&head.text()?)?.as_bytes()).to_string();
        Ok(head)
    }

    /// Whether it says that a chain and a log end like these.
    pub(super) fn is_of(&self, chain: &Chain, log: &Position) -> bool {
        (self.seq, self.hash.as_str()) == (chain.seq(), chain.head())
            && (self.log_seq, &self.log_head) == (log.n, &log.sum)
    }

    /// Which key it says it is by.
    pub(super) fn key(&self) -> Option<Fingerprint> {
        self.signature.parse::<Signature>().ok().map(|signature| signature.key)
    }

    /// Whether this key made it.
    pub(super) fn is_by(&self, key: &PublicKey) -> bool {
        let Ok(text) = self.text() else { return false };
        let find = |_: &Fingerprint| Some(Verifying::Ed25519(key.clone()));
        let verdict = signing::verify(&text, Some(&self.signature), find);
        self.kind == KIND && matches!(verdict, Signed::Good { .. })
    }

    fn text(&self) -> Result<String, NotCanonical> {
        serde_json::to_string(self).map_err(|error| NotCanonical::Syntax { problem: error.to_string() })
    }
}
