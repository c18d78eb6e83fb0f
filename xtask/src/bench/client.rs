//! A participant that a bench moves: it joins, says what it is told to, and hears.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;

use crate::step::Failure;

/// A server that says nothing for so long is stuck.
const ANSWER: Duration = Duration::from_secs(60);

/// One connection, joined.
#[derive(Debug)]
pub(super) struct Client {
    id: String,
    session: String,
    socket: WebSocketStream<TcpStream>,
    sent: u64,
}

impl Client {
    /// Joins `session` at `url` (`ws://host:port/path`).
    pub(super) async fn join(url: &str, session: &str, name: &str) -> Result<Self, Failure> {
        let address = address(url);
        let stream =
            TcpStream::connect(address).await.map_err(Failure::io(format!("connect to {address}")))?;
        Self::join_by(stream, url, session, name).await
    }

    /// The same, by a connection to its host.
    pub(super) async fn join_by(
        stream: TcpStream,
        url: &str,
        session: &str,
        name: &str,
    ) -> Result<Self, Failure> {
        stream.set_nodelay(true).map_err(Failure::io("set up a socket"))?;
        let (socket, _) = tokio_tungstenite::client_async(url, stream)
            .await
            .map_err(|error| Failure::check(format!("{url} takes no connection: {error}")))?;
        let mut one = Self { id: format!("agent:{name}"), session: session.to_owned(), socket, sent: 0 };
        let hello = json!({"display_name": name, "roles": ["contributor"], "capabilities": []});
        one.say("HELLO", &format!("{name}-hello"), &hello).await?;
        loop {
            let frame = one.hear().await?;
            if frame.contains("\"message_type\":\"SESSION_INFO\"") {
                return Ok(one);
            }
        }
    }

    /// Sends a message under this id.
    pub(super) async fn say(&mut self, kind: &str, id: &str, payload: &Value) -> Result<(), Failure> {
        self.sent += 1;
        let message = json!({
            "protocol": "MPAC", "version": "0.1.13", "message_type": kind, "message_id": id,
            "session_id": self.session,
            "sender": {"principal_id": self.id, "principal_type": "agent", "sender_instance_id": self.id},
            "ts": "2026-01-01T00:00:00.000Z", "payload": payload,
            "watermark": {"kind": "lamport_clock", "value": self.sent},
        });
        let sent = self.socket.send(Message::text(message.to_string())).await;
        sent.map_err(|error| Failure::check(format!("{} cannot send: {error}", self.id)))
    }

    /// Announces an intent on one file of its own, under this message id.
    pub(super) async fn announce(&mut self, id: &str, intent: &str, objective: &str) -> Result<(), Failure> {
        let scope = json!({"kind": "file_set", "resources": [format!("{}.txt", self.id)]});
        let payload = json!({"intent_id": intent, "objective": objective, "scope": scope});
        self.say("INTENT_ANNOUNCE", id, &payload).await
    }

    /// Withdraws it.
    pub(super) async fn withdraw(&mut self, id: &str, intent: &str) -> Result<(), Failure> {
        self.say("INTENT_WITHDRAW", id, &json!({"intent_id": intent, "reason": "measured"})).await
    }

    /// The next text frame; a refusal ends the bench.
    pub(super) async fn hear(&mut self) -> Result<String, Failure> {
        loop {
            match timeout(ANSWER, self.socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) if text.contains("PROTOCOL_ERROR") => {
                    return Err(Failure::check(format!("{} was refused: {text}", self.id)));
                }
                Ok(Some(Ok(Message::Text(text)))) => return Ok(text.as_str().to_owned()),
                Ok(Some(Ok(Message::Close(why)))) => {
                    let why = why.map_or_else(|| "without a word".to_owned(), |why| why.to_string());
                    return Err(Failure::check(format!("{} was hung up on: {why}", self.id)));
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => {
                    return Err(Failure::check(format!("{} hears nothing: {error}", self.id)));
                }
                Ok(None) => return Err(Failure::check(format!("{} was hung up on", self.id))),
                Err(_) => return Err(Failure::check(format!("{} heard nothing for a minute", self.id))),
            }
        }
    }

    /// Hears until the message of this id comes back.
    pub(super) async fn until(&mut self, id: &str) -> Result<(), Failure> {
        let quoted = format!("\"{id}\"");
        while !self.hear().await?.contains(&quoted) {}
        Ok(())
    }
}

/// `host:port` of a server.
pub(super) fn address(url: &str) -> &str {
    url.trim_start_matches("ws://").split('/').next().unwrap_or_default()
}

/// The value that this part of all is not above (`0.99` for p99).
pub(super) fn percentile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * part).ceil() as usize;
    values.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let mut values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let found = [0.5, 0.99, 1.0].map(|part| percentile(&mut values, part));
        assert_eq!(found, [50.0, 99.0, 100.0]);
        assert!(percentile(&mut [], 0.5).is_nan());
    }
}
