//! The three life cycles: each a pure table that one can read on one screen.
//!
//! A table is keyed by state and event, in the order of the rows of `spec/requirements.md` §3. Guards are settled
//! before it is asked, effects are carried out after. `fixtures/tables/` holds the whole matrices as text.

pub mod conflict;
pub mod intent;
pub mod operation;
