//! The door from the inside: who may come in, and what becomes of what they ask.

use std::future::Future;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::token::Token;
use super::{Answer, Request};

/// Where the door is.
pub(crate) const PATH: &str = "/control/";

/// What is behind the door.
pub(crate) trait Operator: Clone + Send + Sync + 'static {
    /// What opens it; without one it stays shut.
    fn token(&self) -> Option<&Token>;
    /// Does what was asked.
    fn command(&self, request: Request) -> impl Future<Output = Answer> + Send;
    /// Lets somebody follow.
    fn follow(self, socket: WebSocket) -> impl Future<Output = ()> + Send;
}

/// Ends the connection behind an answer that is no upgrade. What was heard once has no time limit any more, so that whoever is
/// refused could keep it for ever and say nothing.
pub(crate) async fn once(mut response: Response) -> Response {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let is_offered = response.headers().contains_key(header::UPGRADE);
        let connection = if is_offered { "close, upgrade" } else { "close" };
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static(connection));
    }
    response
}

/// A request below [`PATH`].
pub(crate) fn answer<O: Operator>(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    (path, headers): (&str, &HeaderMap),
    operator: O,
) -> Response {
    // Browsers send it; no page has business here, whatever it knows.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "pages may not do this\n").into_response();
    }
    // Before anything else is looked at, so that nothing is learned without the token.
    if !operator.token().is_some_and(|token| bearer(headers).is_some_and(|guess| token.is(guess))) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "a token is needed\n").into_response();
    }
    let what = path.strip_prefix(PATH).unwrap_or_default().to_owned();
    match (what.as_str(), upgrade) {
        ("follow", Ok(upgrade)) => upgrade.on_upgrade(move |socket| operator.follow(socket)),
        ("command", Ok(upgrade)) => upgrade.on_upgrade(async move |socket| commands(socket, &operator).await),
        ("follow" | "command", Err(_)) => {
            let text = "this is a WebSocket\n";
            (StatusCode::UPGRADE_REQUIRED, [(header::UPGRADE, "websocket")], text).into_response()
        }
        _ => (StatusCode::NOT_FOUND, "there is no such thing\n").into_response(),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// One after the other, until whoever asks is gone.
async fn commands<O: Operator>(mut socket: WebSocket, operator: &O) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { continue };
        let answer = match serde_json::from_str(&text) {
            Ok(request) => operator.command(request).await,
            Err(error) => Answer::Refused { reason: format!("this cannot be understood: {error}") },
        };
        let Ok(text) = serde_json::to_string(&answer) else { return };
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
    }
}
