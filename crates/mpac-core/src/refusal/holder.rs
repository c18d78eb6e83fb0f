//! Who is in the way.

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::{IntentId, PrincipalId};

/// Whose active intent is in the way, and with what (`spec/wire.md` §6.23).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The intent.
    pub intent: IntentId,
    /// Its owner.
    pub principal: PrincipalId,
    /// What both want, normalised.
    pub resources: Vec<String>,
}
