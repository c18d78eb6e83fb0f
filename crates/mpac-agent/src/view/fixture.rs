//! Messages and a view for unit tests.

use mpac_wire::names::PrincipalType;
use mpac_wire::{
    ClaimedTime, Envelope, InstanceId, Integer, Message, MessageId, PrincipalId, Sender, SessionId,
};

use super::View;

/// The coordinator of [`view`].
pub(crate) const COORDINATOR: &str = "service:coordinator-s";

/// Bob's view, who has joined.
pub(crate) fn view() -> View {
    let mut view = View::new(PrincipalId::new("agent:Bob").unwrap());
    view.joined(PrincipalId::new(COORDINATOR).unwrap());
    view
}

/// The envelope around a message; the coordinator's carries its epoch.
pub(crate) fn from(principal: &str, message: &Message) -> Envelope {
    let sender = Sender::new(
        PrincipalId::new(principal).unwrap(),
        PrincipalType::Agent,
        InstanceId::new("i").unwrap(),
    );
    let mut envelope = Envelope::new(
        "MPAC".into(),
        "0.1.13".into(),
        message.message_type(),
        MessageId::new("m").unwrap(),
        SessionId::new("s").unwrap(),
        sender,
        ClaimedTime::parse("2026-01-02T03:04:05Z").unwrap(),
        message.to_payload(),
    );
    if principal == COORDINATOR {
        envelope.coordinator_epoch = Some(Integer::new(1));
    }
    envelope
}
