//! The core through its doors: tables, stories, hostile input, replay.
#![expect(
    clippy::unwrap_used,
    clippy::too_many_lines,
    reason = "a test that panics has failed; tables are long"
)]

mod admission;
mod backends;
mod batches;
mod claims;
mod conflicts;
mod freeze;
mod golden;
mod intents;
mod levels;
mod lifecycle;
mod model;
mod operations;
mod participant;
mod precommit;
mod props;
mod recovery;
mod retention;
mod roles;
mod succession;
mod tables;
mod world;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
