//! Claude behind the [`Brain`] trait: a thin client of the Messages API.
//!
//! `POST {base}/v1/messages` with `x-api-key` and `anthropic-version`, streamed. Each question offers one
//! tool (`tools.rs`). 429 and 5xx are repeated with a growing, jittered pause (`retry.rs`), other
//! refusals never.

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use mpac_wire::Secret;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};
use sse_stream::SseStream;
use std::time::Duration;

use super::repair::messages;
use super::retry::{Backoff, is_passing, retry_after};
use super::stream::{Answer, ApiError, StreamFault};
use super::{Brain, BrainError, ConflictAsk, Decision, Note, Notes, Plan, PlanAsk, WriteAsk, Written};
use crate::naming::draw;
use crate::prompt::{self, Persona};
use crate::tools::{self, Reply, Tool};

/// Where requests go when `ANTHROPIC_BASE_URL` is not set.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";
/// The model when `--model` is not given.
pub const DEFAULT_MODEL: &str = "claude-sonnet-4-6";

const API_VERSION: &str = "2023-06-01";
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Longest silence inside an answer. A working stream sends pings.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);
/// Longest time for one whole answer. The longest that models write take less than 20 minutes.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30 * 60);
const PLAN_TOKENS: u32 = 4_096;
const CONFLICT_TOKENS: u32 = 1_024;
/// The most that current models write in one answer.
const MOST_TOKENS: u32 = 64_000;

/// What a [`Claude`] needs to know.
#[derive(Debug, Clone)]
pub struct ClaudeConfig {
    /// The API key.
    pub key: Secret,
    /// Base address, without `/v1/messages`.
    pub base_url: String,
    /// Model name, such as `claude-sonnet-4-6`.
    pub model: String,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// How long one answer may take from the request to its end; pings do not prolong it.
    pub answer_limit: Duration,
}

impl ClaudeConfig {
    /// Key and address from `ANTHROPIC_API_KEY` and `ANTHROPIC_BASE_URL`.
    ///
    /// # Errors
    /// [`BrainError::NoKey`].
    pub fn from_env(model: &str) -> Result<Self, BrainError> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        Ok(Self {
            key: Secret::new(read("ANTHROPIC_API_KEY").ok_or(BrainError::NoKey)?.trim()),
            base_url: read("ANTHROPIC_BASE_URL").unwrap_or_else(|| DEFAULT_BASE_URL.to_owned()),
            model: model.to_owned(),
            backoff: Backoff::default(),
            answer_limit: ANSWER_LIMIT,
        })
    }
}

/// The client.
#[derive(Debug)]
pub struct Claude {
    http: reqwest::Client,
    url: String,
    key: HeaderValue,
    model: String,
    persona: Persona,
    backoff: Backoff,
    answer_limit: Duration,
    /// The last plan and file as the model gave them, so that it can be asked to correct them.
    last_plan: Option<Reply>,
    last_file: Option<Reply>,
}

/// One attempt's failure.
enum Failure {
    /// May pass: worth another attempt, after the pause the server asked for.
    Passing {
        error: BrainError,
        asked: Option<Duration>,
    },
    Final(BrainError),
}

impl Claude {
    /// A client that talks as `persona`.
    ///
    /// # Errors
    /// [`BrainError::BadAddress`]; [`BrainError::Refused`] (status 401) for a key that cannot stand in a header;
    /// [`BrainError::Unreachable`] when TLS cannot be set up.
    pub fn new(config: ClaudeConfig, persona: Persona) -> Result<Self, BrainError> {
        if !is_web_address(&config.base_url) {
            return Err(BrainError::BadAddress(config.base_url));
        }
        let url = format!("{}/v1/messages", config.base_url.trim_end_matches('/'));
        let mut key = HeaderValue::from_str(config.key.reveal()).map_err(|_| BrainError::Refused {
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
        let http = http
            .build()
            .map_err(|error| BrainError::Unreachable { url: url.clone(), why: reasons(&error) })?;
        Ok(Self {
            http,
            url,
            key,
            model: config.model,
            persona,
            backoff: config.backoff,
            answer_limit: config.answer_limit,
            last_plan: None,
            last_file: None,
        })
    }

    async fn ask(
        &self,
        tool: Tool,
        system: String,
        messages: Vec<Value>,
        max_tokens: u32,
        notes: &Notes,
    ) -> Result<Reply, BrainError> {
        let body = json!({
            "model": self.model, "max_tokens": max_tokens, "stream": true, "system": system,
            "messages": messages, "tools": [tool.definition()], "tool_choice": tool.choice(),
        });
        let mut failed = 0;
        loop {
            let attempt = self.attempt(&body, max_tokens, notes);
            let (error, asked) = match tokio::time::timeout(self.answer_limit, attempt).await {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Passing { error, asked })) => (error, asked),
                Err(_) => return Err(BrainError::TooSlow(self.answer_limit.as_secs())),
            };
            failed += 1;
            let Some(wait) = self.backoff.pause(failed, asked, draw().to_le_bytes()[0]) else {
                return Err(error);
            };
            notes.say(Note::Retrying { why: error.to_string(), wait });
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt(&self, body: &Value, max_tokens: u32, notes: &Notes) -> Result<Reply, Failure> {
        let request = self
            .http
            .post(&self.url)
            .header("x-api-key", self.key.clone())
            .header("anthropic-version", API_VERSION)
            .json(body);
        let unreachable = |error: &reqwest::Error| Failure::Passing {
            error: BrainError::Unreachable { url: self.url.clone(), why: reasons(error) },
            asked: None,
        };
        let response = request.send().await.map_err(|error| unreachable(&error))?;
        if response.status().is_redirection() {
            return Err(Failure::Final(redirect(&response)));
        }
        if !response.status().is_success() {
            return Err(refusal(response).await);
        }
        let mut events = std::pin::pin!(SseStream::from_bytes_stream(response.bytes_stream()));
        let mut answer = Answer::default();
        while !answer.stopped() {
            let data = match events.next().await {
                Some(Ok(event)) => event.data.unwrap_or_default(),
                Some(Err(sse_stream::Error::Body(error))) => return Err(broke_off(&error.to_string())),
                Some(Err(error)) => {
                    return Err(Failure::Final(BrainError::Unusable(format!("event stream: {error}"))));
                }
                None => break,
            };
            if !data.is_empty() {
                answer.take(&data).map_err(Failure::from)?;
                notes.say(Note::Received(answer.received()));
            }
        }
        answer.finish(max_tokens).map_err(Failure::from)
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
    Failure::Passing { error: BrainError::Unusable(why.to_owned()), asked: None }
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
    let asked = response.headers().get("retry-after").and_then(|value| retry_after(value.to_str().ok()?));
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

fn is_loopback(url: &str) -> bool {
    reqwest::Url::parse(url)
        .ok()
        .and_then(|url| {
            url.host_str().map(|host| host == "localhost" || host == "[::1]" || host.starts_with("127."))
        })
        .unwrap_or(false)
}

/// Room for the whole file, its growth, and the escapes of JSON.
fn write_tokens(content: &str) -> u32 {
    u32::try_from(content.len() / 2).unwrap_or(MOST_TOKENS).saturating_add(8_192).min(MOST_TOKENS)
}

impl Brain for Claude {
    fn plan<'a>(&'a mut self, ask: PlanAsk, notes: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>> {
        async move {
            let repair = ask.fault.as_deref().map(prompt::plan_repair);
            let messages = messages(&prompt::plan_question(&ask), self.last_plan.as_ref(), repair);
            self.last_plan = None;
            let reply = self.ask(Tool::PlanTask, self.persona.plan(), messages, PLAN_TOKENS, notes).await?;
            let plan = tools::read_plan(&reply);
            self.last_plan = Some(reply);
            plan
        }
        .boxed()
    }

    fn decide_conflict<'a>(
        &'a mut self,
        ask: ConflictAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Decision, BrainError>> {
        async move {
            let messages = messages(&prompt::conflict_question(&ask), None, None);
            let system = self.persona.conflict();
            tools::read_decision(
                &self.ask(Tool::DecideConflict, system, messages, CONFLICT_TOKENS, notes).await?,
            )
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a mut self,
        ask: WriteAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Written, BrainError>> {
        async move {
            let repair = ask.fault.as_deref().map(prompt::write_repair);
            let messages = messages(&prompt::write_question(&ask), self.last_file.as_ref(), repair);
            // Only what this question is answered with may be shown at its repair.
            self.last_file = None;
            let tokens = write_tokens(&ask.content);
            let reply = self.ask(Tool::WriteFile, self.persona.write(), messages, tokens, notes).await?;
            let written = tools::read_written(&reply);
            self.last_file = Some(reply);
            written
        }
        .boxed()
    }

    fn model_id(&self) -> Option<String> {
        Some(format!("anthropic/{}", self.model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_gets_a_modest_limit_and_a_big_one_the_most() {
        assert_eq!(write_tokens(""), 8_192);
        assert_eq!(write_tokens(&"x".repeat(1_000)), 8_692);
        assert_eq!(write_tokens(&"x".repeat(1_000_000)), MOST_TOKENS);
    }

    fn claude(key: &str, base_url: &str) -> Result<Claude, BrainError> {
        let config = ClaudeConfig {
            key: Secret::new(key),
            base_url: base_url.to_owned(),
            model: DEFAULT_MODEL.to_owned(),
            backoff: Backoff::default(),
            answer_limit: ANSWER_LIMIT,
        };
        assert!(!format!("{config:?}").contains("hidden"));
        Claude::new(config, Persona { name: "Bob".to_owned(), about: None })
    }

    #[test]
    fn the_key_shows_nowhere() {
        let claude = claude("sk-hidden", DEFAULT_BASE_URL).unwrap();
        assert!(!format!("{claude:?}").contains("hidden"));
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_told_apart() {
        let error = claude("sk\n", DEFAULT_BASE_URL).unwrap_err();
        assert!(error.to_string().contains("ANTHROPIC_API_KEY"), "{error}");
    }

    #[test]
    fn an_address_that_is_none_is_told_before_anything_is_sent() {
        for address in ["foo", "ftp://h", "http://", "127.0.0.1:80", "/v1"] {
            let error = claude("sk", address).unwrap_err();
            assert_eq!(error, BrainError::BadAddress(address.to_owned()));
        }
        assert!(claude("sk", "http://127.0.0.1:80/api/").is_ok());
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(is_loopback("http://127.0.0.1:9/v1/messages") && is_loopback("http://localhost/"));
        assert!(!is_loopback("https://api.anthropic.com/v1/messages") && !is_loopback("not a url"));
    }
}
