//! One request to the Messages API, over HTTP.

use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use mpac_wire::Secret;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::Value;
use sse_stream::SseStream;

use crate::brain::partial::Piece;
use crate::brain::retry::{is_passing, retry_after};
use crate::brain::stream::{Answer, ApiError, StreamFault, Used};
use crate::brain::{BrainError, Note, Notes};
use crate::tools::Reply;

const API_VERSION: &str = "2023-06-01";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest silence inside an answer. A working stream sends pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// Where requests go, and with which key.
#[derive(Debug, Clone)]
pub(super) struct Api {
    http: reqwest::Client,
    url: String,
    key: HeaderValue,
}

/// One request, ready to be sent, more than once if need be.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Value,
    /// The limit that `body` sets.
    pub(super) max_tokens: u32,
    /// The field of the tool's input that people see come.
    pub(super) told: &'static str,
}

/// One attempt's failure.
pub(super) enum Failure {
    /// May pass: worth another attempt, after the pause the server asked for.
    Passing {
        error: BrainError,
        asked: Option<Duration>,
    },
    Final(BrainError),
}

impl Api {
    pub(super) fn new(key: &Secret, base_url: &str) -> Result<Self, BrainError> {
        if !is_web_address(base_url) {
            return Err(BrainError::BadAddress(base_url.to_owned()));
        }
        let url = format!("{}/v1/messages", base_url.trim_end_matches('/'));
        let mut key = HeaderValue::from_str(key.reveal()).map_err(|_| BrainError::Refused {
            status: 401,
            message: "ANTHROPIC_API_KEY has characters no key has; check for quotes or line breaks"
                .to_owned(),
        })?;
        key.set_sensitive(true);
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .read_timeout(SILENCE_LIMIT)
            // Our own header with the key would go to whatever address a redirect names.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&url) {
            // A stand-in on this machine is never behind the proxy that the environment names.
            http = http.no_proxy();
        }
        if is_plain(&url) {
            // Nobody's certificate is looked at, and to read the system's takes longer than to join a session.
            http = http.tls_certs_only([]);
        }
        let http = http
            .build()
            .map_err(|error| BrainError::Unreachable { url: url.clone(), why: reasons(&error) })?;
        Ok(Self { http, url, key })
    }

    /// Sends it once. `used` is what is known of tokens, also of an answer that comes to nothing.
    pub(super) async fn attempt(
        &self,
        request: &Request,
        used: &mut Used,
        notes: &Notes,
    ) -> Result<Reply, Failure> {
        let sent = self
            .http
            .post(&self.url)
            .header("x-api-key", self.key.clone())
            .header("anthropic-version", API_VERSION)
            .json(&request.body);
        let unreachable = |error: &reqwest::Error| Failure::Passing {
            error: BrainError::Unreachable { url: self.url.clone(), why: reasons(error) },
            asked: None,
        };
        let response = sent.send().await.map_err(|error| unreachable(&error))?;
        if response.status().is_redirection() {
            return Err(Failure::Final(redirect(&response)));
        }
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        notes.say(Note::Began);
        let mut events = std::pin::pin!(SseStream::from_bytes_stream(response.bytes_stream()));
        let mut answer = Answer::new(request.told);
        while !answer.stopped() {
            let data = match events.next().await {
                Some(Ok(event)) => event.data.unwrap_or_default(),
                Some(Err(sse_stream::Error::Body(error))) => return Err(broke_off(&error.to_string())),
                Some(Err(error)) => {
                    return Err(Failure::Final(BrainError::Broken(format!("event stream: {error}"))));
                }
                None => break,
            };
            if !data.is_empty() {
                let taken = answer.take(&data);
                *used = answer.used();
                for piece in taken.map_err(Failure::from)? {
                    notes.say(match piece {
                        Piece::Text(text) => Note::Text(text),
                        Piece::Edit(edit) => Note::Edit(edit),
                    });
                }
                notes.say(Note::Received(answer.received()));
            }
        }
        answer.finish(request.max_tokens).map_err(Failure::from)
    }
}

impl From<StreamFault> for Failure {
    fn from(fault: StreamFault) -> Self {
        match fault {
            StreamFault::Passing(why) => broke_off(&why),
            StreamFault::Final(error) => Self::Final(error),
        }
    }
}

fn broke_off(why: &str) -> Failure {
    Failure::Passing { error: BrainError::Broken(why.to_owned()), asked: None }
}

fn redirect(response: &reqwest::Response) -> BrainError {
    let to = response.headers().get("location").and_then(|to| to.to_str().ok());
    BrainError::Redirected {
        status: response.status().as_u16(),
        to: to.unwrap_or("an address it does not name").to_owned(),
    }
}

async fn refusal(response: reqwest::Response) -> Failure {
    #[derive(Deserialize)]
    struct Body {
        error: ApiError,
    }
    let status = response.status().as_u16();
    let asked = response
        .headers()
        .get("retry-after")
        .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
    let text = response.text().await.unwrap_or_default();
    let message = match serde_json::from_str::<Body>(&text) {
        Ok(body) => format!("{} ({})", body.error.message, body.error.kind),
        Err(_) => text.chars().take(200).collect(),
    };
    let error = BrainError::Refused { status, message };
    if is_passing(status) { Failure::Passing { error, asked } } else { Failure::Final(error) }
}

/// The error and what is behind it: reqwest's own text names the step only.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn is_web_address(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// No TLS.
fn is_plain(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "http")
}

fn is_loopback(url: &str) -> bool {
    reqwest::Url::parse(url)
        .ok()
        .and_then(|url| {
            url.host_str().map(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
        })
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(is_loopback("http://127.0.0.1:9/v1/messages") && is_loopback("http://localhost/"));
        assert!(!is_loopback("https://api.anthropic.com/v1/messages") && !is_loopback("not a url"));
    }

    #[test]
    fn certificates_are_looked_at_wherever_there_are_some() {
        assert!(is_plain("http://127.0.0.1:9/v1/messages"));
        assert!(!is_plain("https://127.0.0.1:9/v1/messages") && !is_plain("HTTPS://h/v1/messages"));
    }
}
