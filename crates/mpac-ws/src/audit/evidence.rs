//! Evidence of a session, for somebody who was not there and has only public keys (SEC-25, SEC-29).
//!
//! | file | holds |
//! |---|---|
//! | `bundle` | the one file that has all of it: `audit bundle` writes it |
//! | `head` | the coordinator's signature over a whole chain |
//! | `key_book` | whose keys were told, and when they were good |
//! | `own_keys` | which keys are the coordinator's
//! | `trust` | what an auditor trusts: `--keys` |
//! | `examine` | the log's entries: seals, signatures, what follows from them by the rules |
//! | `membership` | until when somebody may speak
//! | `certified` | whether a key is that of whom a HELLO says |
//! | `compare` | what was said against what should have been |
//! | `contradict` | the chain of messages against the rules |
//! | `witness` | what somebody else has kept against all of it |
//! | `agreed` | who agreed to what |
//! | `gaps` | where the log says itself that something is lost: repairs, and ends that nobody prepared |
//! | `forms` | the forms of one message: who sees less gets another |
//! | `finding`, `report` | what is wrong, and the whole for people and programs |
//! | `verify` | `audit verify --keys` |

pub(super) mod bundle;
pub(super) mod verify;

mod agreed;
mod certified;
mod compare;
mod contradict;
mod examine;
mod finding;
mod forms;
mod gaps;
mod head;
mod key_book;
mod membership;
mod own_keys;
mod report;
mod trust;
mod witness;

#[cfg(test)]
mod tests;
