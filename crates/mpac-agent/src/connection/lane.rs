//! A connection of one's own over a shared one.
//!
//! To whoever holds it a lane looks like any [`Connection`]. What is said on it goes out through the shared socket in the
//! order in which it was given; what arrives there is handed to it, but of the answers to requests only those to its own,
//! which have no ids and would be mistaken otherwise (PAR-11).

use mpac_wire::sideband::Request;
use mpac_wire::{IntentId, Message};
use tokio::sync::mpsc;

use super::Connection;
use super::link::{Command, Link};
use crate::arrival::Arrival;

/// Something that was given to a lane, to be passed on.
#[derive(Debug)]
pub(crate) struct Given(Command);

/// What the one who shares the socket has to know of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request whose answer belongs to the lane.
    Asks(Request),
    /// An intent that lives as long as the lane, unless it is ended before.
    Announces(IntentId),
    /// Its end.
    Withdraws(IntentId),
    Other,
}

impl Given {
    /// What it is.
    pub(crate) fn kind(&self) -> Kind {
        match &self.0 {
            Command::Ask(request) => Kind::Asks(request.clone()),
            Command::Say { message, .. } => match &**message {
                Message::IntentAnnounce(announce) => Kind::Announces(announce.intent_id.clone()),
                Message::IntentWithdraw(withdraw) => Kind::Withdraws(withdraw.intent_id.clone()),
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }
}

impl Link {
    /// Passes on what was given to a lane. Who holds a lane cannot close what it does not own.
    pub(crate) fn pass(&self, given: Given) {
        if !matches!(given.0, Command::Close) {
            // If the connection is gone, the lane hears of that by its end.
            let _ = self.give(given.0);
        }
    }
}

/// A new lane: what its holder gets, and where what it hears is put in. `on_given` takes what it says; it is called with
/// `None` when the holder is gone.
pub(crate) fn open(
    mut on_given: impl FnMut(Option<Given>) + Send + 'static,
) -> (Connection, mpsc::UnboundedSender<Arrival>) {
    let (commands, mut given) = mpsc::unbounded_channel();
    let (heard, arrivals) = mpsc::unbounded_channel();
    let keeper = tokio::spawn(async move {
        while let Some(command) = given.recv().await {
            on_given(Some(Given(command)));
        }
        on_given(None);
    });
    (Connection { link: Link(commands), arrivals, keeper }, heard)
}
