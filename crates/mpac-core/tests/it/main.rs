//! The core through its doors: tables, stories, hostile input, replay.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that panics has failed; tables are long"
)]

mod admission;
mod again;
mod answers;
mod authenticated;
mod authorisation;
mod backends;
mod batches;
mod causality;
mod claims;
mod conflicts;
mod contents;
mod contradictions;
mod couplings;
mod divergence;
mod duties;
mod envelope;
mod epochs;
mod fates;
mod freeze;
mod frosts;
mod frozen;
mod golden;
mod governance;
mod hearing;
mod hello;
mod hostile;
mod intents;
mod levels;
mod lifecycle;
mod limits;
mod lone;
mod model;
mod operations;
mod participant;
mod precommit;
mod privacy;
mod props;
mod quotas;
mod recovery;
mod replay;
mod restoring;
mod retention;
mod returns;
mod roles;
mod rotations;
mod scopes;
mod settled;
mod silence;
mod succession;
mod tables;
mod takeover;
mod trust;
mod verified;
mod verified_props;
mod visibility;
mod waiting;
mod world;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
