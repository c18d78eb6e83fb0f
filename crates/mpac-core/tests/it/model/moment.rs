//! One transition as the invariants look at it: before, what was done, what came out, after.

use std::collections::BTreeSet;

use mpac_core::{ConnId, Output, Recipients, SessionConfig};
use mpac_wire::names::{ErrorCode, MessageType};
use mpac_wire::payload::{IntentClaimStatus, ProtocolError};
use mpac_wire::{Envelope, Message};

use super::node::{Action, Node, Sent};
use super::picture::Picture;

pub(super) struct Moment<'a> {
    pub(super) config: &'a SessionConfig,
    pub(super) action: &'a Action,
    pub(super) sent: Option<&'a Sent>,
    pub(super) node_before: &'a Node,
    pub(super) node: &'a Node,
    pub(super) before: &'a Picture,
    pub(super) after: &'a Picture,
    pub(super) outputs: &'a [Output],
}

/// What a check says: nothing, or what is wrong.
pub(super) type Verdict = Result<(), String>;

impl Moment<'_> {
    pub(super) fn who(&self) -> &str {
        self.action.who
    }

    /// The type of the message, where one was sent.
    pub(super) fn kind(&self) -> &str {
        self.sent.map_or("", |sent| sent.kind)
    }

    pub(super) fn sends(&self) -> impl Iterator<Item = (&Recipients, &Envelope)> {
        self.outputs.iter().filter_map(|output| match output {
            Output::Send { to, envelope } => Some((to, &**envelope)),
            _ => None,
        })
    }

    pub(super) fn relays(&self) -> Vec<(&Recipients, &MessageType, &str)> {
        let relays = self.outputs.iter().filter_map(|output| match output {
            Output::Relay { to, message_type, sender, .. } => Some((to, message_type, sender.as_str())),
            _ => None,
        });
        relays.collect()
    }

    /// The errors that refuse the message: a warning about an accepted one is none.
    pub(super) fn refusals(&self) -> Vec<(&Recipients, ProtocolError)> {
        let Some(sent) = self.sent else { return Vec::new() };
        let errors = self.sends().filter_map(|(to, envelope)| match envelope.message() {
            Ok(Message::ProtocolError(error)) => Some((to, error)),
            _ => None,
        });
        let refers = |error: &ProtocolError| error.refers_to.as_deref() == Some(sent.id.as_str());
        let refuses = |error: &ProtocolError| {
            error.error_code != ErrorCode::ParticipantUnavailable
                && error.error_code != ErrorCode::ResolutionTimeout
                && !error.extensions.as_ref().is_some_and(|more| more.get().contains("accepted"))
        };
        errors.filter(|(_, error)| refers(error) && refuses(error)).collect()
    }

    pub(super) fn is_accepted(&self) -> bool {
        self.sent.is_some() && self.refusals().is_empty()
    }

    pub(super) fn claim_statuses(&self) -> Vec<(&Recipients, IntentClaimStatus)> {
        let statuses = self.sends().filter_map(|(to, envelope)| match envelope.message() {
            Ok(Message::IntentClaimStatus(status)) => Some((to, status)),
            _ => None,
        });
        statuses.collect()
    }

    /// Whether the sender counted as gone before it spoke.
    pub(super) fn comes_back(&self) -> bool {
        self.sent.is_some() && self.before.members.get(self.who()).is_none_or(|member| !member.available)
    }

    /// Everybody bound before or after.
    pub(super) fn connections(&self) -> BTreeSet<ConnId> {
        self.node_before.bound.values().chain(self.node.bound.values()).copied().collect()
    }
}
