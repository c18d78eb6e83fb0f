//! The server over loopback, and its binary.
#![expect(clippy::unwrap_used, reason = "a test, and what tests share, has failed where it cannot go on")]

mod binary;
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
mod refusals;
mod rig;
mod sessions;
mod stopping;
