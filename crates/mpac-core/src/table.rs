//! The three life cycles: each a pure table that one can read on one screen.
//!
//! A table is keyed by state and event, in the order of the rows of `spec/requirements.md` §3. Guards are settled
//! before it is asked, effects are carried out after. `fixtures/tables/` holds the whole matrices as text, and the
//! diagrams below, which `docs/state-machines.md` shows drawn: all are made from the tables, and a test compares them.
//!
//! # An intent
//!
//! ```mermaid
#![doc = include_str!("../../../fixtures/tables/intent.mmd")]
//! ```
//!
//! # An operation
//!
//! ```mermaid
#![doc = include_str!("../../../fixtures/tables/operation.mmd")]
//! ```
//!
//! # A conflict
//!
//! ```mermaid
#![doc = include_str!("../../../fixtures/tables/conflict.mmd")]
//! ```

pub mod conflict;
pub mod intent;
pub mod operation;
