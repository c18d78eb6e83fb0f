//! The task that keeps the connection, while there is no socket: trying again, further and further apart (PAR-05, REC-06).

use std::pin::pin;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::breaks::Break;
use super::dial::{self, Failed, Socket};
use super::keeper::{Keeper, Outage};
use super::link::Command;
use super::route;
use crate::arrival::{Arrival, Attempt};
use crate::error::AgentError;

/// How long the answer to HELLO may take on a new socket.
const WELCOME: std::time::Duration = std::time::Duration::from_secs(10);

impl Keeper {
    /// Finds the coordinator again.
    ///
    /// # Errors
    /// Why that is given up, in words.
    pub(super) async fn come_back(
        &mut self,
        broken: Break,
        orders: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<Socket, String> {
        let first = self.outage.is_none();
        // Where somebody listened and did not let us in, another address may know better.
        let is_of_use = first && !matches!(broken, Break::Elsewhere(_));
        let mut why = match broken {
            Break::Again(why) | Break::Elsewhere(why) if self.may_come_back() => why,
            Break::Again(why) | Break::Elsewhere(why) | Break::Final(why) => return Err(why),
        };
        let start = if is_of_use { self.at } else { self.at + 1 };
        let outage =
            self.outage.get_or_insert_with(|| Outage { since: Instant::now(), attempts: 0, hello: None });
        let until = outage.since + self.route.patience;
        outage.hello = None;
        if first {
            self.hand_on(Arrival::Broken { why: why.clone(), patience: self.route.patience });
        }
        loop {
            if Instant::now() >= until {
                return Err(format!("{why}; given up after {} s", self.route.patience.as_secs()));
            }
            let wait = self.next_wait().min(until - Instant::now());
            let number = self.outage.as_ref().map_or(0, |outage| outage.attempts);
            self.hand_on(Arrival::Retrying(Attempt { number, wait, why: why.clone() }));
            let closed = || "closed by us".to_owned();
            self.unless_closed(orders, tokio::time::sleep(wait)).await.ok_or_else(closed)?;
            let dialled = dial_all(self.route.targets.clone(), start);
            match self.unless_closed(orders, dialled).await.ok_or_else(closed)? {
                Ok((at, socket)) => {
                    self.at = at;
                    return Ok(socket);
                }
                Err(failed) if failed.is_final => return Err(failed.error.to_string()),
                Err(failed) => why = shortly(&failed.error),
            }
        }
    }

    /// Not before HELLO was said, nor after the session has ended.
    fn may_come_back(&self) -> bool {
        !self.route.patience.is_zero() && self.hello.is_some() && !self.voice.is_closed()
    }

    /// Counts the attempt that comes next: how long to wait before it. The delays begin with the second, and a coordinator
    /// that listens but does not let us in counts as one that does not listen.
    fn next_wait(&mut self) -> std::time::Duration {
        let Some(outage) = &mut self.outage else { return std::time::Duration::ZERO };
        let failed = outage.attempts;
        outage.attempts += 1;
        if failed == 0 {
            return route::wait(0, &mpac_wire::Seconds::whole(0));
        }
        let delay = self.voice.connect_failed();
        route::wait(failed, &delay)
    }

    /// Carries out what can be without a socket while something goes on; `None` when told to close.
    async fn unless_closed<T>(
        &mut self,
        orders: &mut mpsc::UnboundedReceiver<Command>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                order = orders.recv() => match order {
                    None | Some(Command::Close) => return None,
                    Some(order) => self.carry_out(order),
                },
            }
        }
    }

    /// On a new socket after a break: HELLO, before anything else.
    pub(super) fn greet_again(&mut self) {
        if self.outage.is_none() {
            return;
        }
        let Some(hello) = self.hello.clone() else { return };
        let envelope = self.voice.hello_again(hello);
        if let Some(outage) = &mut self.outage {
            outage.hello = Some((envelope.message_id.clone(), Instant::now() + WELCOME));
        }
        self.said_hello(&envelope.message_id);
        self.post(envelope);
    }
}

/// Without the advice for those who start an agent: this one was let in before.
fn shortly(error: &AgentError) -> String {
    match error {
        AgentError::NobodyThere { url } => format!("nobody listens at {url}"),
        AgentError::CannotConnect { url, why } => format!("{url}: {why}"),
        other => other.to_string(),
    }
}

/// The first address where somebody listens, from number `start` on and round. Of those where nobody does the last failure is told; that all turn us down
/// is final.
async fn dial_all(targets: Vec<dial::Target>, start: usize) -> Result<(usize, Socket), Failed> {
    let mut failed: Option<Failed> = None;
    for at in (0..targets.len()).map(|turn| (start + turn) % targets.len()) {
        match dial::dial(&targets[at], dial::REDIAL_LIMIT).await {
            Ok(socket) => return Ok((at, socket)),
            Err(error) => {
                let is_final = error.is_final && failed.as_ref().is_none_or(|before| before.is_final);
                failed = Some(Failed { is_final, ..error });
            }
        }
    }
    Err(failed.unwrap_or_else(|| unreachable!("a route has an address")))
}
