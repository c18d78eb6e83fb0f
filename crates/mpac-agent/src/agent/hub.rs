//! The task that owns the connection, and what it takes in: orders of handles, and what arrives.

mod desk;
mod lanes;
mod own;
mod place;

use std::collections::BTreeMap;

use mpac_wire::names::GoodbyeReason;
use mpac_wire::payload::session::{Goodbye, SessionInfo};
use mpac_wire::sideband::Request;
use mpac_wire::{Envelope, IntentId, Message};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::book::Book;
use super::event::Event;
use super::telling;
use super::view::Snapshot;
use crate::arrival::{Answer, Arrival, Back};
use crate::connection::lane::Given;
use crate::connection::{Connection, Link};
use crate::error::AgentError;
use crate::session::{Parts, Trust};
use crate::view::View;

use desk::{Asker, Desk};
use lanes::Lane;
use own::Own;

pub(super) use desk::{Outcome, Reply, Said};
pub(super) use place::{End, Place};

/// A file that is not there: to ask for it costs a coordinator nothing, and its answer proves that everything said before
/// has been handled.
pub(super) const BARRIER: &str = "mpac-agent-barrier";

/// How many events wait for who reads them slowly.
const EVENTS_KEPT: usize = 1_024;

/// What a handle, or a lane, wants.
#[derive(Debug)]
pub(super) enum Order {
    /// Say something, then ask for `barrier`; all that is heard until its answer goes to `tell`.
    Exchange {
        said: Said,
        barrier: Request,
        what: String,
        tell: oneshot::Sender<Result<Outcome, AgentError>>,
    },
    /// Nobody wants this intent any more, whether it is there or on its way.
    Abandon { intent: IntentId, reason: String },
    /// What is known.
    View(oneshot::Sender<Result<Snapshot, AgentError>>),
    /// A connection of one's own, with what a session over it has to know.
    Lane(oneshot::Sender<(Connection, View, SessionInfo)>),
    /// Something said on a lane; `None`: its holder is gone.
    Given(u64, Option<Given>),
    /// Something that no message tells.
    Tell(Box<Event>),
    /// Leave, and tell when that is done.
    Leave(Box<Goodbye>, oneshot::Sender<()>),
}

/// The state of the task.
#[derive(Debug)]
pub(super) struct Hub {
    parts: Parts,
    orders: mpsc::UnboundedReceiver<Order>,
    /// For lanes, which do not keep it alive by themselves.
    to_self: mpsc::WeakUnboundedSender<Order>,
    desk: Desk,
    book: Book,
    own: Own,
    lanes: BTreeMap<u64, Lane>,
    next_lane: u64,
    events: broadcast::Sender<Event>,
    place: watch::Sender<Place>,
    /// The connection came back, and the session has not been looked at.
    back: Option<Back>,
    /// Own intents were announced again since, and that has not been answered.
    announced_again: bool,
}

/// What handles need of the task.
pub(super) struct Doors {
    pub(super) orders: mpsc::UnboundedSender<Order>,
    pub(super) events: broadcast::WeakSender<Event>,
    /// The events from the start.
    pub(super) first: broadcast::Receiver<Event>,
    pub(super) place: watch::Receiver<Place>,
    pub(super) link: Link,
}

/// Starts the task over a session that has joined.
pub(super) fn start(parts: Parts) -> Doors {
    let (orders_in, orders) = mpsc::unbounded_channel();
    let (events, first) = broadcast::channel(EVENTS_KEPT);
    let (place, placed) = watch::channel(Place::Here);
    let doors = Doors {
        orders: orders_in.clone(),
        events: events.downgrade(),
        first,
        place: placed,
        link: parts.link.clone(),
    };
    let hub = Hub {
        parts,
        orders,
        to_self: orders_in.downgrade(),
        desk: Desk::default(),
        book: Book::default(),
        own: Own::default(),
        lanes: BTreeMap::new(),
        next_lane: 0,
        events,
        place,
        back: None,
        announced_again: false,
    };
    tokio::spawn(hub.run());
    doors
}

impl Hub {
    async fn run(mut self) {
        for trust in std::mem::take(&mut self.parts.trust) {
            self.tell_of_trust(trust);
        }
        let end = loop {
            let expiry = self.own.next_expiry();
            tokio::select! {
                arrival = self.parts.arrivals.recv() => {
                    let arrival = arrival.unwrap_or_else(|| Arrival::Ended("it is closed".to_owned()));
                    if let Err(end) = self.take(arrival).await {
                        break end;
                    }
                }
                order = self.orders.recv() => match order {
                    Some(Order::Leave(goodbye, done)) => break self.leave(*goodbye, Some(done)).await,
                    Some(order) => self.carry_out(order).await,
                    // The last handle is gone: nobody can want anything any more.
                    None => break self.leave(Goodbye::new(GoodbyeReason::UserExit), None).await,
                },
                () = at(expiry) => self.look_at_own(true).await,
            }
        };
        self.parts.link.close();
        self.tell(end.event());
        self.desk.end(&end);
        // What stands in the queue of orders goes with it: who waits finds the reason there.
        self.place.send_replace(Place::Ended(end));
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    async fn leave(&mut self, goodbye: Goodbye, done: Option<oneshot::Sender<()>>) -> End {
        self.parts.link.mention(goodbye.into());
        self.parts.link.close();
        // What cannot be sent in this time has nobody to read it.
        let _ = tokio::time::timeout(crate::session::LEAVE_LIMIT, &mut self.parts.keeper).await;
        if let Some(done) = done {
            let _ = done.send(());
        }
        End::Left
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Exchange { said, barrier, what, tell } => self.exchange(said, barrier, &what, tell).await,
            Order::Abandon { intent, reason } => self.own.abandon(&self.parts.link, intent, reason).await,
            Order::View(tell) => {
                let _ = tell.send(self.snapshot().await);
            }
            Order::Lane(tell) => self.open_lane(tell),
            Order::Given(lane, given) => self.given(lane, given).await,
            Order::Tell(event) => self.tell(*event),
            Order::Leave(..) => unreachable!("the loop takes it out"),
        }
    }

    async fn exchange(
        &mut self,
        said: Said,
        barrier: Request,
        what: &str,
        tell: oneshot::Sender<Result<Outcome, AgentError>>,
    ) {
        let away = || Ok(Outcome::Broken { sent: false, reply: Box::default() });
        if !matches!(*self.place.borrow(), Place::Here) {
            let _ = tell.send(away());
            return;
        }
        let subject = desk::Subject::of(&said);
        if let Said::First(message) | Said::Again(message) = &said
            && let Message::IntentClaim(claim) = &**message
        {
            self.own.claimed(claim.claim_id.clone(), claim.new_intent_id.clone());
        }
        let link = &self.parts.link;
        let sent = match said {
            Said::First(message) => link.say(*message, what).await.map(Some),
            Said::Again(message) => link.repeat(*message, what).await.map(Some),
            Said::Request(request) => link.ask(request).map(|()| None),
            Said::Nothing => Ok(None),
        };
        match sent {
            Ok(message) => {
                if let Err(error) = link.ask(barrier.clone()) {
                    let _ = tell.send(Err(error));
                    return;
                }
                self.desk.wait(&barrier, message, subject, tell);
            }
            Err(AgentError::Away { .. }) => {
                let _ = tell.send(away());
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        }
    }

    /// Takes in what arrived, in order.
    ///
    /// # Errors
    /// The end of it all.
    async fn take(&mut self, arrival: Arrival) -> Result<(), End> {
        match &arrival {
            Arrival::Message(envelope, message) => {
                let coordinator = self.parts.view.is_coordinators(envelope);
                self.desk.hear(envelope, message, self.parts.view.me(), coordinator);
                self.message(envelope, message, coordinator).await;
                // Whoever said what is refused tells of it.
                if !self.desk.is_answer(message) {
                    self.share(&arrival);
                }
                return match &**message {
                    Message::SessionClose(close) if coordinator => Err(End::Closed(close.reason.to_string())),
                    _ => Ok(()),
                };
            }
            Arrival::Answer(answer) => {
                self.book.answered(answer);
                self.answered(answer.clone()).await;
                return Ok(());
            }
            Arrival::Updated(update) => {
                self.desk.updated(update, self.parts.view.me());
                self.book.updated(update);
                self.tell(Event::FileUpdated {
                    path: update.path.clone(),
                    state_ref: update.state_ref.clone(),
                    updated_by: update.updated_by.clone(),
                });
            }
            Arrival::Summary(summary) => {
                self.desk.summary(summary);
                self.parts.view.listed(Some(summary), Instant::now());
                self.book.listed(summary);
                self.look_at_own(false).await;
            }
            Arrival::Unreadable(why) => {
                self.tell(Event::Warning { code: "UNREADABLE".to_owned(), description: why.clone() });
            }
            Arrival::Trust(news) => self.tell_of_trust(news.trust()),
            Arrival::Compensate(wanted) => {
                telling::compensations(wanted).into_iter().for_each(|event| self.tell(event));
            }
            Arrival::Silence(Some(since)) => {
                self.tell(Event::CoordinatorSilent { for_sec: since.as_secs() });
            }
            Arrival::Silence(None) => {
                self.tell(Event::CoordinatorBack);
                self.own.withdraw_abandoned(&self.parts.link).await;
            }
            Arrival::Broken { why, patience } => {
                self.place.send_replace(Place::Away);
                self.back = None;
                self.desk.broken();
                self.tell(Event::ConnectionLost { why: why.clone(), retrying_for_sec: patience.as_secs() });
            }
            Arrival::Retrying(_) => {
                self.place.send_replace(Place::Away);
            }
            Arrival::Back(back) => self.back = Some(back.clone()),
            Arrival::Ended(why) => {
                let why = why.clone();
                self.share(&arrival);
                return Err(End::Lost(why));
            }
        }
        self.share(&arrival);
        Ok(())
    }

    fn tell_of_trust(&self, trust: Trust) {
        self.tell(Event::Trust { description: trust.description, alarming: trust.alarming });
    }

    async fn message(&mut self, envelope: &Envelope, message: &Message, coordinator: bool) {
        if let Message::SessionInfo(info) = message
            && self.back.is_some()
        {
            self.parts.view.joined(envelope.sender.principal_id.clone());
            self.parts.info = (**info).clone();
            self.look_around();
            return;
        }
        if let Some(joined) = self.book.heard_of(envelope, message, self.parts.view.me()) {
            self.tell(joined);
        }
        self.parts.view.observe(envelope, message, Instant::now());
        self.book.observe(envelope, message, coordinator);
        for event in telling::events(envelope, message, coordinator) {
            if !self.desk.is_answer(message) {
                self.tell(event);
            }
        }
        if own::concerns(envelope, message, self.parts.view.me(), coordinator) {
            self.own.heard(envelope, message, self.parts.view.me());
            self.look_at_own(false).await;
        }
    }

    /// After a break: how the session stands. It counts as looked at when the barrier behind the question is answered.
    fn look_around(&mut self) {
        self.parts.link.report_break();
        self.announced_again = false;
        self.ask_barrier();
    }

    async fn answered(&mut self, answer: Answer) {
        match self.desk.answered(answer) {
            Some((Asker::Lane(lane), answer)) => {
                if let Some(lane) = self.lanes.get(&lane) {
                    let _ = lane.hears.send(Arrival::Answer(answer));
                }
            }
            Some((Asker::Hub, _)) => self.looked_around().await,
            Some((Asker::Exchange, _)) | None => {}
        }
    }

    /// The session has been looked at. Where the server does not tell which intents it has, the own ones are announced again
    /// under their ids, so that they cannot be there twice (PAR-22); those of a lane are its own to look after.
    async fn looked_around(&mut self) {
        self.own.withdraw_abandoned(&self.parts.link).await;
        let of_lanes = self.lanes.values().flat_map(|lane| &lane.intents).cloned().collect();
        if !self.announced_again && self.own.announce_unknown(&self.parts.link, of_lanes).await {
            self.announced_again = true;
            return self.ask_barrier();
        }
        self.announced_again = false;
        let Some(back) = self.back.take() else { return };
        self.look_at_own(false).await;
        self.place.send_replace(Place::Here);
        self.tell(Event::ConnectionBack { after_sec: back.after.as_secs_f64() });
    }

    fn ask_barrier(&mut self) {
        let barrier = Request::FileRead { path: Some(BARRIER.to_owned()) };
        if self.parts.link.ask(barrier.clone()).is_ok() {
            self.desk.ask(&barrier, Asker::Hub);
        }
    }

    /// Tells of own intents that are over without our doing; with `by_time`, also of those whose time has come.
    async fn look_at_own(&mut self, by_time: bool) {
        if let Ok(ended) = self.own.look(&self.parts.link, by_time).await {
            for (intent_id, how) in ended {
                self.tell(Event::OwnIntentEnded { intent_id, how });
            }
        }
    }

    async fn snapshot(&self) -> Result<Snapshot, AgentError> {
        let (view, info) = (self.parts.view.clone(), self.parts.info.clone());
        let book = self.book.clone();
        self.parts.link.look(move |participant| Snapshot::of(participant, &view, &book, &info)).await
    }
}

/// A branch of a `select!` that is never taken without a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
