//! The end of a server, and who goes on.

use std::collections::BTreeMap;

use tracing::{error, info, warn};

use crate::error::Error;
use crate::follow::hub::{Hub, Phase};
use crate::operator::Orders;
use crate::registry::Registry;
use crate::store::elsewhere::{Elsewhere, Why};

/// Ends every session. Where a standby has all of it on its disk, the sessions are that one's from then on (REC-20); where
/// another server has taken them over, they are that one's, however this server came to its end (REC-26).
pub(super) async fn end(registry: &Registry, hub: &Hub, orders: &Orders) -> Result<(), Error> {
    // Sessions that are about to fall silent say no goodbye, so a fence that is under way comes first.
    let kept = orders.are_ours().await;
    let epochs = registry.epochs().await;
    let next = epochs.into_iter().map(|(id, epoch)| (id, epoch + 1)).collect();
    let files = registry.stop().await;
    let kept = match kept {
        Ok(()) => hand_over(registry, hub, orders, next).await,
        fenced => fenced,
    };
    let stored = registry.data_dir().is_some();
    let unwritten = if files.is_empty() { Ok(()) } else { Err(Error::Unwritten { files, stored }) };
    match kept {
        Ok(()) => unwritten,
        Err(by) => {
            hub.end(Phase::Elsewhere { server: by.clone() }).await;
            if let Err(error) = unwritten {
                error!("{error}");
            }
            Err(Error::Fenced(by))
        }
    }
}

/// # Errors
/// When the sessions are somebody else's by now: whose.
async fn hand_over(
    registry: &Registry,
    hub: &Hub,
    orders: &Orders,
    epochs: BTreeMap<String, u64>,
) -> Result<(), String> {
    let data = registry.data_dir().filter(|_| hub.has_standby());
    let found = if data.is_some() { hub.successor().await } else { None };
    let (Some(data), Some((to, server))) = (data, found) else {
        orders.are_ours().await?;
        if data.is_some() {
            warn!(
                "no standby has everything: nobody goes on with the sessions until this server is started again"
            );
        }
        hub.end(Phase::Over).await;
        return Ok(());
    };
    // Whoever has taken them over may have said so only now.
    orders.give(&server).await?;
    // First the mark, then the word: between the two nobody has the sessions, and never two.
    let mark = Elsewhere { why: Why::HandedOver, server: server.clone(), epochs: epochs.clone() };
    if let Err(error) = mark.write(data) {
        error!("the sessions stay here, because {} cannot be marked: {error}", data.display());
        orders.keep();
        hub.end(Phase::Over).await;
        return Ok(());
    }
    info!("handed over to {server}");
    hub.end(Phase::Released { to, server, epochs }).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::pin::pin;
    use std::sync::Arc;

    use clap::Parser;
    use futures::{join, poll};
    use tempfile::TempDir;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::cli::Settings;
    use crate::control::serve::Operator;
    use crate::control::{Answer, Request};
    use crate::follow::Follower;
    use crate::follow::hub::Attached;
    use crate::operator::Door;
    use crate::workspace::Workspace;

    /// A server that somebody follows.
    struct Rig {
        data: TempDir,
        registry: Arc<Registry>,
        hub: Hub,
        door: Door,
    }

    impl Rig {
        fn new() -> Self {
            let data = tempfile::tempdir().unwrap();
            let data_dir = format!("--data-dir={}", data.path().display());
            let settings = Settings::try_parse_from(["mpac-ws", &data_dir]).unwrap();
            let registry = Arc::new(Registry::open(&settings, Workspace::default()).unwrap());
            let (open, hub) = (mpsc::channel(1).0, Hub::default());
            let door = Door::new(&registry, &hub, open.downgrade()).unwrap();
            Self { data, registry, hub, door }
        }

        fn follower(&self) -> Attached {
            let role = Follower::Standby { address: "ws://standby:1".to_owned(), after_silence: false };
            self.hub.attach(role).unwrap()
        }

        async fn ends(&self) -> Result<(), Error> {
            end(&self.registry, &self.hub, &self.door.orders()).await
        }

        async fn is_fenced(&self) -> Answer {
            let epochs = [("default".to_owned(), 7)].into();
            self.door.command(Request::Fence { epochs, by: "ws://other:1".to_owned() }).await
        }

        /// Nobody but the other one has the sessions.
        async fn is_the_others(&self, ended: Result<(), Error>, told: JoinHandle<Phase>) {
            assert!(matches!(ended, Err(Error::Fenced(by)) if by == "ws://other:1"));
            assert_eq!(mark(self.data.path()), (Why::Fenced, "ws://other:1".to_owned()));
            assert_eq!(told.await.unwrap(), Phase::Elsewhere { server: "ws://other:1".to_owned() });
        }
    }

    /// What a follower is told at the end; then it leaves.
    fn hears(hub: &Hub, attached: Attached) -> JoinHandle<Phase> {
        let mut phases = hub.phases();
        tokio::spawn(async move {
            let ended = |phase: &Phase| !matches!(phase, Phase::Serving | Phase::Ended);
            let phase = phases.wait_for(ended).await.unwrap().clone();
            drop(attached);
            phase
        })
    }

    fn mark(data: &Path) -> (Why, String) {
        let mark = Elsewhere::read(data).unwrap().unwrap();
        (mark.why, mark.server)
    }

    #[tokio::test]
    async fn a_server_that_is_stopped_while_it_is_fenced_hands_nothing_over() {
        let rig = Rig::new();
        let standby = rig.follower();
        assert!(standby.has_all(&BTreeMap::new()));
        let told = hears(&rig.hub, standby);
        let mut fence = pin!(rig.is_fenced());
        assert!(poll!(fence.as_mut()).is_pending(), "its sessions take their time");
        let asked = rig.door.command(Request::HandOver { to: "ws://standby:1".to_owned() }).await;
        assert!(matches!(asked, Answer::Refused { reason } if reason.contains("ws://other:1")));
        let (ended, fenced) = join!(rig.ends(), fence);
        assert!(matches!(fenced, Answer::Done { .. }));
        rig.is_the_others(ended, told).await;
    }

    #[tokio::test]
    async fn a_server_that_is_fenced_while_it_stops_hands_nothing_over() {
        let rig = Rig::new();
        let standby = rig.follower();
        let mut phases = rig.hub.phases();
        let mut ending = pin!(rig.ends());
        tokio::select! {
            ended = &mut ending => panic!("{ended:?}"),
            _ = phases.wait_for(|phase| *phase == Phase::Ended) => {}
        }
        assert!(matches!(rig.is_fenced().await, Answer::Done { .. }));
        assert!(standby.has_all(&BTreeMap::new()));
        let told = hears(&rig.hub, standby);
        rig.is_the_others(ending.await, told).await;
    }

    #[tokio::test]
    async fn a_server_that_cannot_mark_its_directory_says_so_to_whoever_fences_it() {
        let rig = Rig::new();
        std::fs::create_dir(rig.data.path().join("elsewhere.json")).unwrap();
        assert!(matches!(rig.is_fenced().await, Answer::Unmarked { .. }));
        assert!(matches!(rig.ends().await, Err(Error::Fenced(_))), "it is silent all the same");
    }

    #[tokio::test]
    async fn a_server_that_has_handed_over_is_not_fenced() {
        let rig = Rig::new();
        let standby = rig.follower();
        assert!(standby.has_all(&BTreeMap::new()));
        let told = hears(&rig.hub, standby);
        rig.ends().await.unwrap();
        let refused = rig.is_fenced().await;
        assert!(matches!(refused, Answer::Refused { reason } if reason.contains("ws://standby:1")));
        assert_eq!(mark(rig.data.path()), (Why::HandedOver, "ws://standby:1".to_owned()));
        assert!(matches!(told.await.unwrap(), Phase::Released { .. }));
    }
}
