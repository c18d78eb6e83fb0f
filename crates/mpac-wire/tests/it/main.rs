//! What came is what goes out, byte for byte.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

mod both_ways;
mod golden;
mod messages;
mod signatures;
mod snapshots;
mod transcripts;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
