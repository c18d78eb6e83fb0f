//! The session layer: who is here.

pub(super) mod backend;
pub(super) mod catch_up;
pub(super) mod close;
pub(super) mod connection;
pub(super) mod credential;
pub(super) mod divergence;
pub(super) mod goodbye;
pub(super) mod handover;
pub(super) mod heartbeat;
pub(super) mod hello;
mod info;
pub(super) mod lifecycle;
pub(super) mod liveness;
mod organisations;
pub(super) mod rotation;
pub(super) mod signature;
pub(super) mod status;
