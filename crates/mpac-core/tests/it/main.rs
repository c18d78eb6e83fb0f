//! The core through its doors: tables, stories, hostile input, replay.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that panics has failed; tables are long"
)]

mod admission;
mod authenticated;
mod backends;
mod batches;
mod causality;
mod claims;
mod conflicts;
mod couplings;
mod envelope;
mod freeze;
mod golden;
mod governance;
mod hello;
mod intents;
mod levels;
mod lifecycle;
mod operations;
mod participant;
mod precommit;
mod privacy;
mod props;
mod recovery;
mod replay;
mod retention;
mod returns;
mod roles;
mod scopes;
mod tables;
mod world;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
