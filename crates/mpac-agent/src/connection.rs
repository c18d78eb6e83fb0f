//! The connection: one task that owns the socket's reading half, the [`Participant`](mpac_core::participant)
//! and the heartbeat timer, and that finds the coordinator again when the socket breaks (PAR-05).
//!
//! What arrives is handed on in the order in which it came; what is to be said is numbered and stamped in the
//! order in which it was given. A second task writes, so that a slow reader at the other end never keeps
//! us from reading. Heartbeats come from a timer of the first, whatever the work is waiting for (LIV-01).
//!
//! After a break the same incarnation says HELLO again, its Lamport counter going on (LAM-15). What
//! became of messages under way is not for this page: it tells of the break ([`Arrival::Broken`]) and of the
//! return ([`Arrival::Back`]), between which nothing but tidings of attempts arrives, and the work asks.
//!
//! | module | holds |
//! |---|---|
//! | `keeper` | the task, while there is a socket |
//! | `redial` | the same task, while there is none |
//! | `trust` | in both: who is believed, and with which key we sign |
//! | `dial`, `tls`, `pin`, `route`, `breaks` | opening a socket, where, and why one ended |
//! | `link`, `voice` | what the work gives; how it is said |
//! | `lane`, `look` | several who share one connection; what the core knows, read without asking anybody |
//! | `pulse`, `rhythm` | whether the coordinator lives, and our own heartbeats |

mod breaks;
mod dial;
mod keeper;
pub(crate) mod lane;
mod link;
mod look;
mod pin;
mod pulse;
mod redial;
mod rhythm;
mod route;
mod tls;
mod trust;
mod voice;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::arrival::Arrival;
use crate::error::AgentError;
use crate::history::Recorder;

use keeper::Keeper;

pub use dial::{Header, Target};
pub use link::Link;
pub use pin::Pin;
pub use route::Route;
pub use voice::{Identity, Voice};

/// Coordinators close a connection at a bigger frame (`spec/wire.md` §1.1).
pub const MAX_FRAME_OUT: usize = 1 << 20;

/// An open connection, across breaks.
#[derive(Debug)]
pub struct Connection {
    /// Its writing end.
    pub link: Link,
    /// What arrives, in order; the last one is [`Arrival::Ended`].
    pub arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Ends when everything given is sent and the socket is closed.
    pub keeper: JoinHandle<()>,
}

/// Opens a socket at the first address where somebody listens, and starts its tasks.
///
/// # Errors
/// Of the first address: [`AgentError::NobodyThere`], [`AgentError::CannotConnect`].
pub async fn connect(route: Route, voice: Voice, recorder: Recorder) -> Result<Connection, AgentError> {
    let mut first = None;
    for (at, target) in route.targets.iter().enumerate() {
        match dial::dial(target, dial::DIAL_LIMIT).await {
            Ok(socket) => {
                let (commands, orders) = mpsc::unbounded_channel();
                // Unbounded on purpose: the work always drains it, also while a model thinks, and stopping to
                // read would make the coordinator drop us.
                let (arrivals, incoming) = mpsc::unbounded_channel();
                let keeper = Keeper::new(route, at, (voice, recorder), arrivals);
                let keeper = tokio::spawn(keeper.run(socket, orders));
                return Ok(Connection { link: Link(commands), arrivals: incoming, keeper });
            }
            Err(failed) => first = first.or(Some(failed.error)),
        }
    }
    Err(first.unwrap_or_else(|| AgentError::Usage("no address was given".to_owned())))
}
