//! The one place that connects to another server.

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::pin;
use super::token::Token;
use super::{Answer, Request};

/// For a connection, and for an answer that needs no work.
const SOON: Duration = Duration::from_secs(5);
/// For an answer that ends sessions.
const WORK: Duration = Duration::from_secs(60);
/// The largest frame: records are sent whole, and a file whole.
const LARGEST: usize = 512 * 1024 * 1024;

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A server and the secret that opens its door.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    url: String,
    token: Token,
}

/// Why nothing was heard.
#[derive(Clone, Debug, Error)]
pub(crate) enum NotReached {
    #[error("{0}: {1}")]
    Gone(String, String),
    #[error("{0} does not answer")]
    Silent(String),
    #[error("{0} does not take this token; the right one is in the file control-token of its data directory")]
    Token(String),
    #[error("{0} is no server of this version: {1}")]
    Strange(String, String),
    /// Somebody is there, who may be the server.
    #[error(
        "{0} is there, and not as expected: {1}; if it has a new certificate, give its fingerprint behind the # of the address"
    )]
    Unproven(String, String),
}

impl Target {
    /// `url` is `ws://HOST:PORT`, or `wss://HOST:PORT`, with `#` and the fingerprint of a certificate that nobody vouches for.
    pub(crate) fn new(url: &str, token: Token) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), token }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) const fn token(&self) -> &Token {
        &self.token
    }

    /// A connection to `/control/<what>`.
    pub(crate) async fn connect(&self, what: &str) -> Result<Socket, NotReached> {
        let gone = |error: &dyn std::fmt::Display| NotReached::Gone(self.url.clone(), error.to_string());
        let no_pin =
            || NotReached::Gone(self.url.clone(), "what is behind the # is no fingerprint".to_owned());
        let (address, pin) = pin::split(&self.url).ok_or_else(no_pin)?;
        let mut request =
            format!("{address}/control/{what}").into_client_request().map_err(|error| gone(&error))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.reveal()));
        request.headers_mut().insert(AUTHORIZATION, bearer.map_err(|_| NotReached::Token(self.url.clone()))?);
        let config = WebSocketConfig::default().max_message_size(Some(LARGEST)).max_frame_size(Some(LARGEST));
        let tls = pin.map(pin::client).transpose().map_err(|error| gone(&error))?;
        let tls = tls.map(|client| Connector::Rustls(Arc::new(client)));
        let connecting = connect_async_tls_with_config(request, Some(config), true, tls);
        match timeout(SOON, connecting).await {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(tungstenite::Error::Http(response))) if response.status() == 401 => {
                Err(NotReached::Token(self.url.clone()))
            }
            Ok(Err(tungstenite::Error::Http(response))) => {
                Err(NotReached::Strange(self.url.clone(), response.status().to_string()))
            }
            Ok(Err(error)) if is_an_answer(&error) => {
                Err(NotReached::Unproven(self.url.clone(), error.to_string()))
            }
            Ok(Err(error)) => Err(gone(&error)),
            Err(_) => Err(NotReached::Silent(self.url.clone())),
        }
    }

    /// Asks something, on a connection of its own.
    pub(crate) async fn ask(&self, request: &Request) -> Result<Answer, NotReached> {
        let strange = |what: &dyn std::fmt::Display| NotReached::Strange(self.url.clone(), what.to_string());
        let text = serde_json::to_string(request).map_err(|error| strange(&error))?;
        let mut socket = self.connect("command").await?;
        let gone = |error| NotReached::Gone(self.url.clone(), format!("{error}"));
        socket.send(Message::text(text)).await.map_err(gone)?;
        let patience = if matches!(request, Request::Status {}) { SOON } else { WORK };
        loop {
            match timeout(patience, socket.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    let answer = serde_json::from_str(&text).map_err(|error| strange(&error))?;
                    // Whoever answered has nothing more to say.
                    let _ = timeout(SOON, socket.close(None)).await;
                    return Ok(answer);
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(Some(Err(error))) => return Err(gone(error)),
                Ok(_) => return Err(NotReached::Gone(self.url.clone(), "it went away".to_owned())),
                Err(_) => return Err(NotReached::Silent(self.url.clone())),
            }
        }
    }
}

/// Whether somebody said something, who is no server as it was expected: one that shows another certificate, or speaks TLS where
/// it did not. A connection that ends before anything came says nothing: what forwards to a server that is gone does that.
fn is_an_answer(error: &tungstenite::Error) -> bool {
    match error {
        tungstenite::Error::Io(error) => error.get_ref().is_some_and(|it| it.is::<rustls::Error>()),
        tungstenite::Error::Protocol(error) => *error != ProtocolError::HandshakeIncomplete,
        tungstenite::Error::HttpFormat(_) | tungstenite::Error::Utf8(_) | tungstenite::Error::Capacity(_) => {
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, copy, sink};
    use tokio::net::TcpListener;

    use super::*;
    use crate::listen::self_signed;
    use crate::listen::tls::Tls;

    /// What comes of a connection to somebody who says this to everybody, and then ends it.
    async fn reached(url: &str, says: &'static [u8]) -> NotReached {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(says).await.unwrap();
            stream.shutdown().await.unwrap();
            // What is not read would end the connection early.
            let _ = copy(&mut stream, &mut sink()).await;
        });
        let url = url.replace("PORT", &port.to_string());
        Target::new(&url, Token::given("t")).connect("follow").await.unwrap_err()
    }

    #[tokio::test]
    async fn whoever_says_something_is_not_gone() {
        let pinned = format!("wss://127.0.0.1:PORT#sha256:{}", "ab".repeat(32));
        for url in ["ws://127.0.0.1:PORT", &pinned] {
            let answered = reached(url, b"\x15\x03\x03\x00\x02\x02\x46").await;
            assert!(matches!(answered, NotReached::Unproven(..)), "{answered:?}");
            let silent = reached(url, b"").await;
            assert!(matches!(silent, NotReached::Gone(..)), "{silent:?}");
        }
    }

    #[tokio::test]
    async fn a_server_with_another_certificate_is_not_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = self_signed::at(dir.path(), &[]).unwrap();
        let tls = Tls::from_files(certificate, key).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                // Whoever does not like it ends it.
                let _ = tls.accept(listener.accept().await.unwrap().0).await;
            }
        });
        let other = format!("wss://{address}#sha256:{}", "ab".repeat(32));
        for url in [&other, &format!("wss://{address}")] {
            let refused = Target::new(url, Token::given("t")).connect("follow").await.unwrap_err();
            assert!(matches!(refused, NotReached::Unproven(..)), "{refused:?}");
        }
    }
}
