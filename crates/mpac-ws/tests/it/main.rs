//! The server over loopback, and its binary.
#![expect(clippy::unwrap_used, reason = "a test, and what tests share, has failed where it cannot go on")]

mod binary;
mod drive_credentials;
mod drive_errors;
mod drive_files;
mod drive_restore;
mod drive_rig;
mod drive_session;
mod files;
mod handshake;
mod joining;
mod limits;
mod program;
mod program_rig;
mod refusals;
mod rig;
mod secured;
mod sessions;
mod stopping;
mod storing;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
