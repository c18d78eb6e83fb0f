//! The stored form of a session, both ways (REC-08, REC-19, REC-29, D-035).

pub(super) mod names;
mod read;
mod records;
mod waiting;
mod write;

pub(super) use read::read;
pub(super) use write::write;
