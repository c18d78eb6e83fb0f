//! What the log keeps of a HELLO, and whether that is what its signature is over (SEC-23, PRV-05).
//!
//! Whoever looks at the log later can verify no other text than the one that stands there. So that is what a signature is judged
//! over, and nothing is taken for good that cannot be shown. The secret of a credential alone is signed and not kept.

use mpac_wire::Envelope;
use mpac_wire::names::MessageType;
use mpac_wire::payload::Hello;
use mpac_wire::redact::{BLANK, blank_credentials};

/// Whether the log holds less than what was signed: the secret of this HELLO's credential was blanked.
pub(crate) fn is_blanked(envelope: &Envelope) -> bool {
    let credential = || envelope.payload.read::<Hello>().ok()?.credential;
    envelope.message_type == MessageType::Hello && credential().is_some_and(|it| it.value.reveal() == BLANK)
}

/// The text that the signature of a frame is judged over, where that is not the one that came: a HELLO as it is kept. `None`
/// also where its secret is blanked, and nobody can verify it again.
pub(super) fn signed(text: &str, envelope: &Envelope) -> Option<String> {
    if envelope.message_type != MessageType::Hello || envelope.signature.is_none() {
        return None;
    }
    // What cannot be blanked does not reach the coordinator.
    let kept = blank_credentials(text).ok()?;
    let is_whole = serde_json::from_str(&kept).is_ok_and(|envelope| !is_blanked(&envelope));
    is_whole.then_some(kept)
}
