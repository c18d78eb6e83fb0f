//! The end of a server, and who goes on.

use std::collections::BTreeMap;

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::error::Error;
use crate::follow::hub::{Hub, Phase};
use crate::operator::Asked;
use crate::registry::Registry;
use crate::store::elsewhere::{Elsewhere, Why};

/// Ends every session. Where a standby has all of it on its disk, the sessions are that one's from then on (REC-20).
pub(super) async fn end(registry: &Registry, hub: &Hub, asked: &watch::Receiver<Asked>) -> Result<(), Error> {
    let fenced = asked.borrow().clone();
    let stored = registry.data_dir().is_some();
    if let Asked::Fenced { by, unwritten } = fenced {
        hub.end(Phase::Elsewhere { server: by.clone() }).await;
        if !unwritten.is_empty() {
            error!("{}", Error::Unwritten { files: unwritten, stored });
        }
        return Err(Error::Fenced(by));
    }
    let epochs = registry.epochs().await;
    let next = epochs.into_iter().map(|(id, epoch)| (id, epoch + 1)).collect();
    let unwritten = registry.stop().await;
    hand_over(registry, hub, next).await;
    if unwritten.is_empty() { Ok(()) } else { Err(Error::Unwritten { files: unwritten, stored }) }
}

async fn hand_over(registry: &Registry, hub: &Hub, epochs: BTreeMap<String, u64>) {
    let (Some(data), true) = (registry.data_dir(), hub.has_standby()) else {
        return hub.end(Phase::Over).await;
    };
    let Some((to, server)) = hub.successor().await else {
        warn!(
            "no standby has everything: nobody goes on with the sessions until this server is started again"
        );
        return hub.end(Phase::Over).await;
    };
    // First the mark, then the word: between the two nobody has the sessions, and never two.
    let mark = Elsewhere { why: Why::HandedOver, server: server.clone(), epochs: epochs.clone() };
    if let Err(error) = mark.write(data) {
        error!("the sessions stay here, because {} cannot be marked: {error}", data.display());
        return hub.end(Phase::Over).await;
    }
    info!("handed over to {server}");
    hub.end(Phase::Released { to, server, epochs }).await;
}
