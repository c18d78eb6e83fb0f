//! The session layer: who is here.

pub(super) mod backend;
pub(super) mod close;
pub(super) mod connection;
pub(super) mod divergence;
pub(super) mod goodbye;
pub(super) mod handover;
pub(super) mod heartbeat;
pub(super) mod hello;
pub(super) mod lifecycle;
pub(super) mod liveness;
pub(super) mod status;
