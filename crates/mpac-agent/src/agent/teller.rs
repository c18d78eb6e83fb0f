//! What who works over an agent's connection tells to those who listen to the agent.

use tokio::sync::mpsc;

use super::event::Event;
use super::hub::Order;
use crate::brain::usage::Spent;

/// Tells it; it keeps no agent alive.
#[derive(Debug, Clone)]
pub(crate) struct Teller(mpsc::WeakUnboundedSender<Order>);

impl Teller {
    pub(super) fn new(orders: &mpsc::UnboundedSender<Order>) -> Self {
        Self(orders.downgrade())
    }

    /// What calls to the model have used up.
    pub(crate) fn used(&self, spent: &Spent) {
        let Some(orders) = self.0.upgrade() else { return };
        // After the end there is nobody to tell.
        let _ = orders.send(Order::Tell(Box::new(Event::of_use(spent))));
    }
}
