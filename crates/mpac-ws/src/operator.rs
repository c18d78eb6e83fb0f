//! What an operator can do with a running server.

mod orders;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use mpac_core::Command;
use mpac_wire::names::{CloseDisposition, CloseReason};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;
use tracing::{error, warn};

pub(crate) use self::orders::Orders;
use crate::control::dial::{NotReached, Target};
use crate::control::serve::Operator;
use crate::control::token::Token;
use crate::control::{Answer, Request, Role, Status};
use crate::fencing;
use crate::follow::hub::Hub;
use crate::follow::send::{self, Source};
use crate::hex;
use crate::registry::Registry;
use crate::session::Standing;
use crate::store::elsewhere::{Elsewhere, Why};
use crate::store::identity;

/// Between two looks at the standbys.
const PAUSE: Duration = Duration::from_secs(1);
/// The same for one that is away and may take over by itself, whether or not it comes back.
const LOOK: Duration = Duration::from_secs(10);

/// The server, as its operator sees it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    registry: Arc<Registry>,
    /// What a server needs that stores its sessions; one that does not has no door.
    stored: Option<Stored>,
    orders: Orders,
    /// The server before says that it is silent.
    silent: Arc<Notify>,
    /// Of this server alone.
    instance: Arc<str>,
    /// Upgraded by each connection for as long as it lasts.
    open: mpsc::WeakSender<()>,
    /// How often it looks at a standby that is away.
    look: Duration,
}

#[derive(Clone, Debug)]
struct Stored {
    data: PathBuf,
    token: Token,
    source: Source,
}

impl Door {
    /// With a token and everything there is to follow, where sessions are stored.
    pub(crate) fn new(
        registry: &Arc<Registry>,
        hub: &Hub,
        open: mpsc::WeakSender<()>,
    ) -> std::io::Result<Self> {
        let stored = match registry.store() {
            None => None,
            Some(store) => {
                let data = store.dir().to_owned();
                // Named before anybody follows, so that it is never taken for an empty copy of another one.
                identity::of(&data)?;
                let source = Source {
                    data: data.clone(),
                    durable: store.durable().clone(),
                    workspace: Arc::new(registry.workspace().clone()),
                    heartbeat_interval: registry.configured().heartbeat_interval(),
                    hub: hub.clone(),
                };
                Some(Stored { token: Token::of(&data)?, data, source })
            }
        };
        let (orders, silent) = (Orders::default(), Arc::default());
        let instance = hex::random::<16>()?.into();
        Ok(Self { registry: Arc::clone(registry), stored, orders, silent, instance, open, look: LOOK })
    }

    /// Tells the servers before, if there are any to tell, until they have heard or found out by themselves.
    pub(crate) async fn fence_before(self, by: String) {
        let Some(stored) = &self.stored else { return };
        let epochs = self.registry.epochs().await;
        fencing::tell(&stored.data, epochs, (by, &self.instance), &self.silent).await;
    }

    /// What becomes of the server.
    pub(crate) fn orders(&self) -> Orders {
        self.orders.clone()
    }

    /// Looks at the standbys whenever one has left, or a participant hears another coordinator, and now and then while one that
    /// takes over by itself is away: if one of them has taken over, this server falls silent, also where the word of the other has
    /// not come yet (REC-26). Anybody can say such a thing, so only what the other server says counts, and it is asked no more
    /// often than that.
    pub(crate) async fn stay_alone(self) {
        let Some(stored) = self.stored.clone() else { return };
        let mut said = BTreeSet::new();
        loop {
            tokio::select! {
                () = self.registry.conflict() => {}
                () = stored.source.hub.suspicion() => {}
                () = sleep(self.look), if stored.source.hub.is_one_astray() => {}
            }
            for address in stored.source.hub.addresses() {
                let target = Target::new(&address, stored.token.clone());
                let other = match target.ask(&Request::Status {}).await {
                    Ok(Answer::Status(other)) => other,
                    Err(error @ NotReached::Unproven(..)) => {
                        if said.insert(error.to_string()) {
                            error!("{error}: whether it has the sessions as well cannot be asked");
                        }
                        continue;
                    }
                    _ => continue,
                };
                // Its address may lead to this one.
                if other.role != Role::Server || other.instance.as_deref() == Some(&*self.instance) {
                    continue;
                }
                let own = self.registry.epochs().await;
                // Who was given them may have the same epoch as who took them: that one does not look for this one.
                let yields = |(id, epoch): (&String, &u64)| own.get(id).is_some_and(|own| own <= epoch);
                if !other.sessions.iter().any(yields) {
                    if other.sessions.keys().any(|id| own.contains_key(id)) && said.insert(address.clone()) {
                        error!(
                            "{address} has the sessions as well, under earlier epochs: stop one of the two"
                        );
                    }
                    continue;
                }
                warn!("{address} has the sessions under epochs that are as late or later");
                // The server waits for this before it ends.
                let _open = self.open.upgrade();
                // Where it could not be marked, the next start has to be told.
                if let Answer::Done { .. } = self.fence(&stored, other.sessions, address).await {
                    // So that it need not be told; if this is lost, it goes on trying to tell.
                    let _ = target.ask(&Request::Silent {}).await;
                }
                return;
            }
            sleep(PAUSE).await;
        }
    }

    async fn status(&self) -> Answer {
        let followers =
            self.stored.as_ref().map(|it| it.source.hub.followers(&it.source.ends())).unwrap_or_default();
        let sessions = self.registry.epochs().await;
        let (role, program) = (Role::Server, crate::PROGRAM.to_owned());
        let instance = Some(self.instance.to_string());
        let pending = self.stored.as_ref().and_then(|it| fencing::pending(&it.data).ok()).unwrap_or_default();
        let told: Vec<String> = pending.iter().map(|before| before.server().to_owned()).collect();
        let tells = !told.is_empty();
        Answer::Status(Status { role, program, sessions, followers, refused: None, instance, tells, told })
    }

    async fn close(&self, session: &str, disposition: CloseDisposition) -> Answer {
        let command = Command::Close { reason: CloseReason::Manual, disposition };
        closed(session, self.registry.tell(session, command).await)
    }

    fn signing_key(&self) -> Answer {
        match self.registry.ring() {
            Some(ring) => Answer::Done { text: ring.told() },
            None => refused("its sessions are open, so nothing is signed".to_owned()),
        }
    }

    async fn rotate_key(&self) -> Answer {
        match self.registry.rotate_key().await {
            Ok(Some((key, told))) => Answer::Done {
                text: format!(
                    "signs with {key} from now on; {} heard of it. Copy the new signing key to every standby, or it cannot take over",
                    if told == 1 { "1 session has".to_owned() } else { format!("{told} sessions have") }
                ),
            },
            Ok(None) => self.signing_key(),
            Err(error) => refused(format!("the key stays as it was: {error}")),
        }
    }

    /// Marks the directory before anything else: from then on no start gets past it.
    async fn fence(&self, stored: &Stored, epochs: BTreeMap<String, u64>, by: String) -> Answer {
        if let Err(reason) = self.orders.fencing(&by) {
            return refused(reason);
        }
        let mark = Elsewhere { why: Why::Fenced, server: by, epochs: epochs.clone() };
        let marked = mark.write(&stored.data);
        if let Err(error) = &marked {
            warn!("{}: it cannot be marked: {error}", stored.data.display());
        }
        self.registry.fence(&epochs).await;
        self.orders.silent();
        match marked {
            Ok(()) => Answer::Done { text: "it says nothing more, and its directory is marked".to_owned() },
            Err(error) => Answer::Unmarked {
                reason: format!("it says nothing more, but its directory is NOT marked: {error}"),
            },
        }
    }
}

impl Operator for Door {
    fn token(&self) -> Option<&Token> {
        self.stored.as_ref().map(|it| &it.token)
    }

    async fn command(&self, request: Request) -> Answer {
        let Some(stored) = &self.stored else { return refused("nothing is stored here".to_owned()) };
        match request {
            Request::Status {} => self.status().await,
            Request::Close { session, disposition } => self.close(&session, disposition).await,
            Request::SigningKey {} => self.signing_key(),
            Request::RotateKey {} => self.rotate_key().await,
            Request::HandOver { to } => {
                match stored.source.hub.choose(&to).and_then(|()| self.orders.end()) {
                    Ok(()) => Answer::Done { text: "handing over".to_owned() },
                    Err(reason) => refused(reason),
                }
            }
            Request::Fence { epochs, by } => self.fence(stored, epochs, by).await,
            Request::Silent {} => {
                self.silent.notify_one();
                Answer::Done { text: "noted".to_owned() }
            }
            Request::TakeOver {} => refused("this server has its sessions already".to_owned()),
        }
    }

    async fn follow(self, socket: WebSocket) {
        let open = self.open.upgrade();
        if let Some(stored) = self.stored {
            send::run(socket, stored.source).await;
        }
        drop(open);
    }
}

/// What came of closing it, by how it was before and is now. Somebody may have opened it in between.
fn closed(session: &str, told: Option<(Standing, Standing)>) -> Answer {
    match told {
        Some((before, _)) if before.closed => refused(format!("session {session} is closed already")),
        Some((_, after)) if after.closed => {
            let next = if after.renews { "whoever joins next begins" } else { "start the server again for" };
            Answer::Done { text: format!("session {session} is closed; {next} a new one") }
        }
        Some((_, after)) if !after.open => refused(format!("nobody has opened session {session}")),
        Some(_) => refused(format!("session {session} was not closed")),
        None => refused(format!("no session {session} is running here")),
    }
}

const fn refused(reason: String) -> Answer {
    Answer::Refused { reason }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cli::Settings;
    use crate::follow::Follower;
    use crate::workspace::Workspace;

    #[tokio::test]
    async fn a_standby_that_takes_over_by_itself_is_looked_at_until_it_follows_again() {
        let data = tempfile::tempdir().unwrap();
        let data_dir = format!("--data-dir={}", data.path().display());
        let settings = Settings::try_parse_from(["mpac-ws", &data_dir]).unwrap();
        let registry = Arc::new(Registry::open(&settings, Workspace::default()).unwrap());
        let (open, hub) = (mpsc::channel(1).0, Hub::default());
        let mut door = Door::new(&registry, &hub, open.downgrade()).unwrap();
        door.look = Duration::from_millis(1);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = format!("ws://{}", listener.local_addr().unwrap());
        drop(hub.attach(Follower::Standby { address, after_silence: true }).unwrap());
        let looking = tokio::spawn(door.stay_alone());
        // It may be a while until it has taken over: nobody says when.
        for _ in 0..3 {
            listener.accept().await.unwrap();
        }
        looking.abort();
    }

    #[test]
    fn what_was_opened_just_before_it_was_closed_is_said_to_be_closed() {
        let [unopened, open, over] = [(false, false), (true, false), (true, true)]
            .map(|(open, closed)| Standing { epoch: 1, open, closed, renews: open });
        for (told, text) in [
            (
                (unopened, Standing { renews: false, ..over }),
                "session s is closed; start the server again for a new one",
            ),
            ((open, over), "session s is closed; whoever joins next begins a new one"),
            ((over, over), "session s is closed already"),
            ((unopened, unopened), "nobody has opened session s"),
            ((open, open), "session s was not closed"),
        ] {
            let (Answer::Done { text: said } | Answer::Refused { reason: said }) = closed("s", Some(told))
            else {
                panic!()
            };
            assert!(said.starts_with(text), "{said}");
        }
    }
}
