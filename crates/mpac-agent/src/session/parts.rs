//! A session taken apart after it has joined, so that several may work over its connection, and put together again over a
//! part of one.

use mpac_wire::payload::session::SessionInfo;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Session;
use super::trust::Trust;
use crate::agent::Teller;
use crate::arrival::Arrival;
use crate::connection::{Connection, Link};
use crate::console::Console;
use crate::view::View;

/// What a session that has joined consists of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) link: Link,
    pub(crate) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(crate) keeper: JoinHandle<()>,
    pub(crate) view: View,
    pub(crate) info: SessionInfo,
    /// What was found out about signatures, and whether that is a reason to worry.
    pub(crate) trust: Vec<Trust>,
}

impl Session {
    /// Its parts; `None` before it has joined.
    pub(crate) fn into_parts(self) -> Option<Parts> {
        let Self { link, arrivals, keeper, view, info, trust, .. } = self;
        Some(Parts { link, arrivals, keeper, view, info: info?, trust })
    }

    /// A session over a connection on which somebody has joined before.
    pub(crate) fn joined(connection: Connection, view: View, info: SessionInfo, console: Console) -> Self {
        let mut session = Self::new(view.me().clone(), connection, console);
        (session.view, session.info) = (view, Some(info));
        session
    }

    /// Whose connection it is a part of hears what tasks use up.
    #[must_use]
    pub(crate) fn telling(mut self, teller: Teller) -> Self {
        self.teller = Some(teller);
        self
    }

    /// Who hears it.
    pub(crate) fn teller(&self) -> Option<Teller> {
        self.teller.clone()
    }
}
