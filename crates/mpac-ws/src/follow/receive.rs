//! The follower's side: one connection, what comes on it put into the copy, and what became of it said back.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mpac_wire::Seconds;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::copy::Copy;
use super::replica::Failed;
use super::{Down, Follower, Place, Table, Up, VERSION};
use crate::control::dial::{NotReached, Socket, Target};
use crate::fencing::Before;

/// Nothing came for so long: nobody is there any more, whatever the network says, for a server says something four times a
/// second. More than it has to send one frame, and than it reads of its disk at a time.
const DEAF: Duration = Duration::from_secs(90);

/// A connection to the server that is followed.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Socket,
    /// Since when there was time to listen.
    listens: Instant,
    /// How long nothing may come.
    patience: Duration,
    /// Whether it was compared which sessions there are.
    compared: bool,
}

/// What the caller should know of.
#[derive(Debug)]
pub(crate) enum Heard {
    /// Something came, and the copy has it.
    More,
    /// Who it is.
    Server { program: String, heartbeat_interval: Seconds, before: Vec<Before> },
    /// The copy has everything that was durable a moment ago.
    Standing,
    /// The server has stopped, and the copy has all of it.
    Ended,
    /// The sessions are ours, under these epochs; who may take them too, without having heard of that.
    Released { epochs: BTreeMap<String, u64>, beside: Vec<String> },
    /// They are somebody else's.
    Elsewhere(String),
}

impl Link {
    /// What is said first: what the copy has. Must not be dropped halfway.
    pub(crate) async fn hello(role: Follower, copy: &mut Held) -> Result<Message, Lost> {
        let (id, (has, contents)) = copy.with(|copy| Ok((copy.id()?, copy.has()?))).await?;
        let hello = Up::Hello { version: VERSION, role, id, has, contents };
        let text = serde_json::to_string(&hello).map_err(|error| Failed::Fault(error.to_string()))?;
        Ok(Message::text(text))
    }

    /// Connects, and says it.
    pub(crate) async fn new(target: &Target, hello: Message) -> Result<Self, Lost> {
        let mut socket = target.connect("follow").await?;
        timeout(DEAF, socket.send(hello)).await.map_err(|_| deaf())?.map_err(gone)?;
        Ok(Self { socket, listens: Instant::now(), patience: DEAF, compared: false })
    }

    /// The next frame. Nothing is lost when this is dropped, and it goes on waiting then from when it began.
    pub(crate) async fn next(&mut self) -> Result<Message, Lost> {
        match timeout_at(self.listens + self.patience, self.socket.next()).await {
            Ok(Some(frame)) => frame.map_err(gone),
            Ok(None) => Err(Failed::Transit("the server has closed the connection".to_owned()).into()),
            Err(_) => Err(deaf().into()),
        }
    }

    /// Puts a frame into the copy. Must not be dropped halfway.
    pub(crate) async fn handle(&mut self, frame: Message, copy: &mut Held) -> Result<Heard, Lost> {
        let heard = self.put(frame, copy).await;
        self.listens = Instant::now();
        heard
    }

    async fn put(&mut self, frame: Message, copy: &mut Held) -> Result<Heard, Lost> {
        match frame {
            Message::Text(text) => self.down(read(&text)?, copy).await,
            Message::Binary(bytes) => {
                let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(strange)?;
                let Down::Records { of } = read(std::str::from_utf8(&bytes[..end]).map_err(|_| strange())?)?
                else {
                    return Err(strange().into());
                };
                let durable =
                    copy.with(move |copy| Ok(copy.take(&of, &bytes[end + 1..])?.map(|n| (of, n)))).await?;
                self.acknowledge(durable).await?;
                Ok(Heard::More)
            }
            Message::Close(_) => Err(Failed::Transit("the server ends".to_owned()).into()),
            _ => Ok(Heard::More),
        }
    }

    async fn down(&mut self, down: Down, copy: &mut Held) -> Result<Heard, Lost> {
        match down {
            Down::Server { version, id, program, heartbeat_interval_us, before } => {
                if version != VERSION {
                    return Err(Failed::Fault(format!("{program} follows in another way")).into());
                }
                copy.with(move |copy| Ok(copy.is_of(&id)?)).await?;
                let heartbeat_interval = Seconds::from_micros(heartbeat_interval_us);
                return Ok(Heard::Server { program, heartbeat_interval, before });
            }
            Down::Refused { reason } => return Err(Failed::Fault(reason).into()),
            Down::Content { content } => copy.with(move |copy| Ok(copy.content(&content)?)).await?,
            Down::Files { names } => copy.with(move |copy| Ok(copy.files(&names)?)).await?,
            Down::Anew { of, behind, from, backlog } => {
                copy.with(move |copy| copy.anew(of, (behind, from), backlog)).await?;
            }
            Down::Damaged { of, reason } => {
                let noted = move |copy: &mut Copy| {
                    copy.damaged(&of, reason);
                    Ok(())
                };
                copy.with(noted).await?;
            }
            Down::Records { .. } => return Err(strange().into()),
            Down::Standing { at } => {
                self.compare(&at, copy).await?;
                return Ok(Heard::Standing);
            }
            Down::Ended { at } => {
                self.compare(&at, copy).await?;
                return Ok(Heard::Ended);
            }
            Down::Released { epochs, beside } => return Ok(Heard::Released { epochs, beside }),
            Down::Elsewhere { server } => return Ok(Heard::Elsewhere(server)),
        }
        Ok(Heard::More)
    }

    async fn compare(&mut self, at: &Table, copy: &mut Held) -> Result<(), Lost> {
        let (at, first) = (at.clone(), !std::mem::replace(&mut self.compared, true));
        let home = copy
            .with(move |copy| {
                if !first {
                    return copy.standing(&at);
                }
                copy.only(&at)?;
                copy.standing(&at)?;
                // Only now it is known that all of it is what the server has.
                Ok(copy.ends())
            })
            .await?;
        self.acknowledge(home).await
    }

    async fn acknowledge(&mut self, ends: impl IntoIterator<Item = (Place, u64)>) -> Result<(), Lost> {
        for (of, n) in ends {
            let text = serde_json::to_string(&Up::Ack { of, n }).map_err(|_| strange())?;
            let sent = timeout(DEAF, self.socket.send(Message::text(text))).await;
            sent.map_err(|_| deaf())?.map_err(gone)?;
        }
        Ok(())
    }
}

/// The copy, which is with whoever writes to it.
#[derive(Debug)]
pub(crate) struct Held(Option<Copy>);

impl Held {
    pub(crate) const fn new(copy: Copy) -> Self {
        Self(Some(copy))
    }

    /// Does something with it beside the runtime.
    pub(crate) async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Copy) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Failed> {
        let lost = || Failed::Fault("the copy's writer has panicked".to_owned());
        let mut copy = self.0.take().ok_or_else(lost)?;
        let (copy, done) = spawn_blocking(move || {
            let done = work(&mut copy);
            (copy, done)
        })
        .await
        .map_err(|_| lost())?;
        self.0 = Some(copy);
        done
    }

    /// Takes it back.
    pub(crate) fn into_inner(self) -> Result<Copy, Failed> {
        self.0.ok_or_else(|| Failed::Fault("the copy's writer has panicked".to_owned()))
    }
}

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("{0}")]
    NotReached(#[from] NotReached),
    #[error("{0}")]
    Failed(#[from] Failed),
}

impl Lost {
    /// Whether another try makes sense.
    pub(crate) const fn passes(&self) -> bool {
        match self {
            Self::NotReached(reason) => !matches!(reason, NotReached::Token(_)),
            Self::Failed(failed) => matches!(failed, Failed::Transit(_)),
        }
    }
}

fn gone(error: tokio_tungstenite::tungstenite::Error) -> Lost {
    Failed::Transit(error.to_string()).into()
}

fn deaf() -> Failed {
    Failed::Transit("the server says nothing more".to_owned())
}

fn strange() -> Failed {
    Failed::Fault("the server speaks in another way".to_owned())
}

fn read(text: &str) -> Result<Down, Failed> {
    serde_json::from_str(text)
        .map_err(|error| Failed::Fault(format!("the server speaks in another way: {error}")))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio::task::yield_now;

    use super::*;
    use crate::control::token::Token;

    #[tokio::test]
    async fn a_server_of_which_nothing_comes_any_more_is_lost_however_often_one_looks() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = Target::new(&format!("ws://{}", listener.local_addr().unwrap()), Token::given("t"));
        tokio::spawn(async move {
            let mut socket =
                tokio_tungstenite::accept_async(listener.accept().await.unwrap().0).await.unwrap();
            socket.send(Message::text("the last")).await.unwrap();
            std::future::pending::<()>().await;
        });
        let mut link = Link::new(&target, Message::text("hello")).await.unwrap();
        assert_eq!(link.next().await.unwrap(), Message::text("the last"));
        link.patience = Duration::from_millis(100);
        let lost = loop {
            tokio::select! {
                biased;
                heard = link.next() => break heard.unwrap_err(),
                () = yield_now() => {}
            }
        };
        assert!(lost.passes() && lost.to_string() == "the server says nothing more", "{lost}");
    }
}
