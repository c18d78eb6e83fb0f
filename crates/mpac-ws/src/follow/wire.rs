//! The connection to one follower, on the server's side.
//!
//! What it says is heard also while something is sent to it. It answers what it gets before it reads on: who only sent would
//! at some time wait for one that waits for him.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use axum::extract::ws::Message;
use futures::{Sink, SinkExt, Stream, StreamExt};
use thiserror::Error;
use tokio::time::timeout;

use super::hub::Attached;
use super::send::Ends;
use super::{Down, Place, Up};

/// For a follower to take a frame. One that is stopped must not keep its place for ever.
const STUCK: Duration = Duration::from_secs(60);

/// Why nothing more is sent.
#[derive(Debug, Error)]
pub(super) enum Ended {
    /// It has closed the connection.
    #[error("it is gone")]
    Gone,
    #[error("{0}")]
    Failed(String),
    /// What is to be sent cannot be read here.
    #[error("{0}")]
    Unread(#[from] io::Error),
}

/// Both directions.
pub(super) struct Wire<O, I> {
    sink: O,
    stream: I,
    /// Whose acks these are, once that is known.
    attached: Option<Attached>,
}

impl<O, I, E> Wire<O, I>
where
    O: Sink<Message, Error: Display> + Unpin,
    I: Stream<Item = Result<Message, E>> + Unpin,
{
    pub(super) const fn new(sink: O, stream: I) -> Self {
        Self { sink, stream, attached: None }
    }

    /// What it says first.
    pub(super) async fn hello(&mut self) -> Result<Up, Ended> {
        let said = timeout(STUCK, self.stream.next()).await;
        let heard = heard(said.map_err(|_| Ended::Failed("it says nothing".to_owned()))?)?;
        heard.ok_or_else(|| Ended::Failed("it speaks another way".to_owned()))
    }

    /// Notes what it acknowledges from now on.
    pub(super) fn belongs_to(&mut self, attached: Attached) {
        self.attached = Some(attached);
    }

    /// Notes what it has from before, now that this is known to be the same.
    pub(super) fn has(&self, of: Place, n: u64) {
        if let Some(attached) = &self.attached {
            attached.acknowledged(of, n);
        }
    }

    /// This session cannot be sent whole, and nobody else has it: without it nobody goes on.
    pub(super) fn lacks(&self, of: Place) {
        if let Some(attached) = &self.attached {
            attached.lacks(of);
        }
    }

    /// Says that there is nothing behind `ends`: whether it has everything is known from then on.
    pub(super) fn compare(&self, ends: &Ends) {
        if let Some(attached) = &self.attached {
            attached.has_all(ends);
        }
    }

    /// Waits for the next ack. Nothing is lost when this is dropped.
    pub(super) async fn acknowledged(&mut self) -> Result<(), Ended> {
        note(self.attached.as_ref(), heard(self.stream.next().await)?);
        Ok(())
    }

    /// Says nothing but that somebody is there.
    pub(super) async fn is_there(&mut self) -> Result<(), Ended> {
        self.send(Message::Ping(Default::default())).await
    }

    pub(super) async fn say(&mut self, down: &Down) -> Result<(), Ended> {
        self.send(Message::text(json(down)?)).await
    }

    pub(super) async fn send(&mut self, message: Message) -> Result<(), Ended> {
        let sent = timeout(STUCK, self.send_and_hear(message)).await;
        sent.unwrap_or_else(|_| Err(Ended::Failed("it takes nothing".to_owned())))
    }

    async fn send_and_hear(&mut self, message: Message) -> Result<(), Ended> {
        // Made once: with half a frame sent, there is nothing to go on with.
        let mut sending = self.sink.send(message);
        loop {
            tokio::select! {
                sent = &mut sending => return sent.map_err(|error| Ended::Failed(error.to_string())),
                said = self.stream.next() => note(self.attached.as_ref(), heard(said)?),
            }
        }
    }

    /// Says goodbye, and waits until the follower has heard everything.
    pub(super) async fn finish(&mut self) -> Result<(), Ended> {
        self.send(Message::Close(None)).await?;
        while let Ok(Some(Ok(_))) = timeout(STUCK, self.stream.next()).await {}
        Ok(())
    }
}

fn note(attached: Option<&Attached>, up: Option<Up>) {
    if let (Some(attached), Some(Up::Ack { of, n })) = (attached, up) {
        attached.acknowledged(of, n);
    }
}

fn heard<E>(said: Option<Result<Message, E>>) -> Result<Option<Up>, Ended> {
    match said {
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| Ended::Failed(format!("it speaks another way: {error}"))),
        Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Ended::Gone),
        Some(Ok(_)) => Err(Ended::Failed("it speaks another way".to_owned())),
    }
}

pub(super) fn json(down: &Down) -> Result<String, Ended> {
    serde_json::to_string(down).map_err(|error| Ended::Failed(error.to_string()))
}
