//! What an agent can do, one file for each layer of the protocol.

pub(super) mod conflict;
pub(super) mod files;
pub(super) mod intent;
pub(super) mod operation;
pub(super) mod presence;
pub(super) mod task;

use mpac_wire::IntentId;

use super::Agent;
use super::hub::Order;

/// An intent that is on its way: when this is dropped before it is [`kept`](Self::keep), the intent is withdrawn as soon as
/// it is there.
struct Tentative<'a> {
    agent: &'a Agent,
    intent: Option<IntentId>,
    reason: &'static str,
}

impl<'a> Tentative<'a> {
    fn new(agent: &'a Agent, intent: &IntentId) -> Self {
        Self { agent, intent: Some(intent.clone()), reason: "cancelled" }
    }

    /// It is somebody's now, or nothing will come of it.
    fn keep(mut self) {
        self.intent = None;
    }
}

impl Drop for Tentative<'_> {
    fn drop(&mut self) {
        if let Some(intent) = self.intent.take() {
            // If the agent is at its end, so are its intents.
            let _ = self.agent.order(Order::Abandon { intent, reason: self.reason.to_owned() });
        }
    }
}
