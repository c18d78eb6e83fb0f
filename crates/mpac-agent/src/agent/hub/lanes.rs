//! Those who share the connection: whole tasks, each as if it had one of its own.

use mpac_wire::IntentId;
use mpac_wire::payload::session::SessionInfo;
use tokio::sync::{mpsc, oneshot};

use super::desk::Asker;
use super::{Hub, Order, Place};
use crate::arrival::Arrival;
use crate::connection::Connection;
use crate::connection::lane::{self, Given, Kind};
use crate::view::View;

/// One that shares the connection.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) hears: mpsc::UnboundedSender<Arrival>,
    /// Announced on it and not withdrawn.
    pub(super) intents: Vec<IntentId>,
}

impl Hub {
    /// Hands on what is no answer: everybody with a lane hears it.
    pub(super) fn share(&self, arrival: &Arrival) {
        for lane in self.lanes.values() {
            // Its holder may be on its way out.
            let _ = lane.hears.send(arrival.clone());
        }
    }

    pub(super) fn open_lane(&mut self, tell: oneshot::Sender<(Connection, View, SessionInfo)>) {
        let id = self.next_lane;
        self.next_lane += 1;
        let orders = self.to_self.clone();
        let (connection, hears) = lane::open(move |given| {
            if let Some(orders) = orders.upgrade() {
                let _ = orders.send(Order::Given(id, given));
            }
        });
        self.lanes.insert(id, Lane { hears, intents: Vec::new() });
        let _ = tell.send((connection, self.parts.view.clone(), self.parts.info.clone()));
    }

    pub(super) async fn given(&mut self, id: u64, given: Option<Given>) {
        let Some(given) = given else {
            // Work that was dropped leaves nothing behind.
            for intent in self.lanes.remove(&id).map(|lane| lane.intents).unwrap_or_default() {
                self.own.abandon(&self.parts.link, intent, "cancelled".to_owned()).await;
            }
            return;
        };
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let is_here = matches!(*self.place.borrow(), Place::Here);
        match given.kind() {
            Kind::Asks(request) => {
                self.desk.ask(&request, Asker::Lane(id));
            }
            Kind::Announces(intent) => lane.intents.push(intent),
            // What is said in a break is lost, and the lane says it again: until then the intent is its own to look after.
            Kind::Withdraws(intent) if is_here => lane.intents.retain(|it| *it != intent),
            Kind::Withdraws(_) => {}
            Kind::Other => {}
        }
        self.parts.link.pass(given);
    }
}
