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
    /// The last plan as the model gave it, so that it can be asked to correct it.
    last_plan: Option<Reply>,
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
    /// [`BrainError::Refused`] (status 401) for a key that cannot stand in a header, [`BrainError::Unreachable`] when
    /// TLS cannot be set up.
    pub fn new(config: ClaudeConfig, persona: Persona) -> Result<Self, BrainError> {
        let url = format!("{}/v1/messages", config.base_url.trim_end_matches('/'));
        let mut key = HeaderValue::from_str(config.key.reveal()).map_err(|_| BrainError::Refused {
            status: 401,
            message: "ANTHROPIC_API_KEY has characters no key has; check for quotes or line breaks"
                .to_owned(),
        })?;
        key.set_sensitive(true);
        let mut http = reqwest::Client::builder().connect_timeout(CONNECT_LIMIT).read_timeout(SILENCE_LIMIT);
        if is_loopback(&url) {
            // A stand-in on this machine is never behind the proxy that the environment names.
            http = http.no_proxy();
        }
        let http = http
            .build()
            .map_err(|error| BrainError::Unreachable { url: url.clone(), why: reasons(&error) })?;
        let (model, backoff) = (config.model, config.backoff);
        Ok(Self { http, url, key, model, persona, backoff, last_plan: None })
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
            let (error, asked) = match self.attempt(&body, max_tokens, notes).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing { error, asked }) => (error, asked),
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

    fn plan_messages(&self, ask: &PlanAsk) -> Vec<Value> {
        let question = json!({"role": "user", "content": prompt::plan_question(ask)});
        let (Some(fault), Some(last)) = (&ask.fault, &self.last_plan) else { return vec![question] };
        let repair = prompt::plan_repair(fault);
        let input: Option<Value> = match last {
            Reply::Tool { input, .. } => serde_json::from_str(input).ok().filter(Value::is_object),
            Reply::Text(_) => None,
        };
        let (answered, asked_again) = match (last, input) {
            (Reply::Tool { name, .. }, Some(input)) => (
                json!([{"type": "tool_use", "id": "toolu_first_plan", "name": name, "input": input}]),
                json!([{"type": "tool_result", "tool_use_id": "toolu_first_plan", "is_error": true, "content": repair}]),
            ),
            (Reply::Tool { input: text, .. } | Reply::Text(text), _) => {
                // The API refuses an empty or blank turn.
                let text = if text.trim().is_empty() { "(nothing)" } else { text.trim() };
                (json!(text), json!(repair))
            }
        };
        vec![
            question,
            json!({"role": "assistant", "content": answered}),
            json!({"role": "user", "content": asked_again}),
        ]
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
            let messages = self.plan_messages(&ask);
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
            let messages = vec![json!({"role": "user", "content": prompt::conflict_question(&ask)})];
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
            let messages = vec![json!({"role": "user", "content": prompt::write_question(&ask)})];
            let tokens = write_tokens(&ask.content);
            tools::read_written(
                &self.ask(Tool::WriteFile, self.persona.write(), messages, tokens, notes).await?,
            )
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

    #[test]
    fn the_key_shows_nowhere() {
        let config = ClaudeConfig {
            key: Secret::new("sk-hidden"),
            base_url: DEFAULT_BASE_URL.to_owned(),
            model: DEFAULT_MODEL.to_owned(),
            backoff: Backoff::default(),
        };
        assert!(!format!("{config:?}").contains("hidden"));
        let claude = Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap();
        assert!(!format!("{claude:?}").contains("hidden"));
    }

    #[test]
    fn a_key_that_cannot_be_sent_is_told_apart() {
        let config = ClaudeConfig {
            key: Secret::new("sk\n"),
            base_url: DEFAULT_BASE_URL.to_owned(),
            model: DEFAULT_MODEL.to_owned(),
            backoff: Backoff::default(),
        };
        let error = Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap_err();
        assert!(error.to_string().contains("ANTHROPIC_API_KEY"), "{error}");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        assert!(is_loopback("http://127.0.0.1:9/v1/messages") && is_loopback("http://localhost/"));
        assert!(!is_loopback("https://api.anthropic.com/v1/messages") && !is_loopback("not a url"));
    }
}
