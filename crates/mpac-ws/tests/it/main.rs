//! The server over loopback, and its binary.
#![expect(clippy::unwrap_used, reason = "a test, and what tests share, has failed where it cannot go on")]

mod audit_export;
mod audit_rig;
mod audit_show;
mod backing_up;
mod binary;
mod closing;
mod control;
mod drive_credentials;
mod drive_errors;
mod drive_files;
mod drive_restore;
mod drive_rig;
mod drive_session;
mod drive_signatures;
mod files;
#[cfg(target_os = "linux")]
mod full_disk;
mod guarding;
mod handshake;
mod joining;
mod limits;
mod program;
mod program_rig;
mod refusals;
mod repairing;
mod rig;
mod secrets;
mod secured;
mod sessions;
mod standing_by;
mod stopping;
mod storing;

/// Names the requirements and decisions a test shows; `cargo xtask requirements` reads it.
macro_rules! covers {
    ($($id:literal),+ $(,)?) => {
        let _: &[&str] = &[$($id),+];
    };
}
pub(crate) use covers;
