//! Claude behind the [`Brain`] trait: a thin client of the Messages API.
//!
//! `POST {base}/v1/messages` with `x-api-key` and `anthropic-version`, streamed. Each question offers tools
//! (`tools.rs`) and makes the model use one. 429 and 5xx are repeated with a growing, jittered pause (`retry.rs`), other
//! refusals never. Of a large file the model writes edits and not the whole.
//!
//! The system text and the file that a question is about are marked with `cache_control`, so that a question that is
//! asked again, because its answer could not be used, costs a tenth of what it did.

mod api;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use mpac_wire::Secret;
use serde_json::{Value, json};

use super::account::{Account, Budget};
use super::prices::Prices;
use super::repair::{kept, messages};
use super::retry::{self, Backoff, Jitter};
use super::stream::Used;
use super::{Brain, BrainError, ConflictAsk, Decision, Note, Notes, Plan, PlanAsk, WriteAsk, Written};
use crate::prompt::{self, Form, Persona};
use crate::tools::{self, Offer, Reply, Tool};

use api::{Api, Failure, Request};

/// Where requests go when `ANTHROPIC_BASE_URL` is not set.
pub const DEFAULT_BASE_URL: &str = "https://api.anthropic.com";
/// The model when `--model` is not given.
pub const DEFAULT_MODEL: &str = "claude-sonnet-4-6";
/// Longest time for one whole answer. The longest that models write take less than 20 minutes.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30 * 60);
/// A file of so many bytes is changed by edits: to write a thousand tokens anew takes a quarter of a minute.
pub const EDIT_FROM_BYTES: usize = 4_096;

const PLAN_TOKENS: u32 = 4_096;
const CONFLICT_TOKENS: u32 = 1_024;
/// The most that is asked for in one answer; of models that write less the table of prices says so, and they refuse more.
const MOST_TOKENS: u32 = 64_000;
/// The most where edits are wanted, which are short: a model that is not in the table may write no more.
const EDIT_TOKENS: u32 = 32_000;

/// What a [`Claude`] needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClaudeConfig {
    /// The API key.
    pub key: Secret,
    /// Base address, without `/v1/messages`.
    pub base_url: String,
    /// Model name, such as `claude-sonnet-4-6`.
    pub model: String,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// The chance in them.
    pub jitter: Jitter,
    /// How long one answer may take from the request to its end; pings do not prolong it.
    pub answer_limit: Duration,
    /// What all answers together may use up.
    pub budget: Budget,
    /// What tokens cost.
    pub prices: Prices,
}

impl ClaudeConfig {
    /// Defaults for everything but these.
    #[must_use]
    pub fn new(key: Secret, model: &str) -> Self {
        Self {
            key,
            base_url: DEFAULT_BASE_URL.to_owned(),
            model: model.to_owned(),
            backoff: Backoff::default(),
            jitter: retry::random,
            answer_limit: ANSWER_LIMIT,
            budget: Budget::default(),
            prices: Prices::built_in(),
        }
    }

    /// Key and address from `ANTHROPIC_API_KEY` and `ANTHROPIC_BASE_URL`.
    ///
    /// # Errors
    /// [`BrainError::NoKey`].
    pub fn from_env(model: &str) -> Result<Self, BrainError> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let key = Secret::new(read("ANTHROPIC_API_KEY").ok_or(BrainError::NoKey)?.trim());
        let mut config = Self::new(key, model);
        if let Some(base_url) = read("ANTHROPIC_BASE_URL") {
            config.base_url = base_url;
        }
        Ok(config)
    }
}

/// The client.
#[derive(Debug)]
pub struct Claude {
    api: Api,
    model: String,
    persona: Persona,
    backoff: Backoff,
    jitter: Jitter,
    answer_limit: Duration,
    /// The most tokens that the model writes in one answer.
    most: u32,
    account: Account,
    /// The last answers as the model gave them, so that it can be asked to correct them.
    last_plan: Option<Reply>,
    last_decision: Option<Reply>,
    last_file: Option<Reply>,
}

impl Claude {
    /// A client that talks as `persona`.
    ///
    /// # Errors
    /// [`BrainError::BadAddress`]; [`BrainError::Refused`] (status 401) for a key that cannot stand in a header;
    /// [`BrainError::Unreachable`] when TLS cannot be set up; [`BrainError::NoPrice`] for a budget in money and a model
    /// that the table does not have.
    pub fn new(config: ClaudeConfig, persona: Persona) -> Result<Self, BrainError> {
        let account = Account::new(&config.prices, Some(&config.model), config.budget);
        if config.budget.cost.is_some() && !account.knows_its_price() {
            return Err(BrainError::NoPrice(config.model));
        }
        // A table of one's own need not say it.
        let said = [config.prices, Prices::built_in()];
        let most = said.iter().find_map(|table| table.of(&config.model)?.max_output());
        Ok(Self {
            api: Api::new(&config.key, &config.base_url)?,
            model: config.model,
            persona,
            backoff: config.backoff,
            jitter: config.jitter,
            answer_limit: config.answer_limit,
            most: most.unwrap_or(MOST_TOKENS),
            account,
            last_plan: None,
            last_decision: None,
            last_file: None,
        })
    }

    async fn ask(
        &self,
        offer: Offer,
        system: &str,
        messages: Vec<Value>,
        max_tokens: u32,
        notes: &Notes,
    ) -> Result<Reply, BrainError> {
        let (tools, tool_choice) = offer.request();
        let max_tokens = max_tokens.min(self.most);
        let body = json!({
            "model": self.model, "max_tokens": max_tokens, "stream": true, "system": [kept(system)],
            "messages": messages, "tools": tools, "tool_choice": tool_choice,
        });
        let request = Request { body, max_tokens, told: offer.told_field() };
        let mut failed = 0;
        loop {
            self.account.check()?;
            let mut meter = Meter { account: &self.account, notes, used: Used::Nothing };
            let attempt = self.api.attempt(&request, &mut meter.used, notes);
            let ended = tokio::time::timeout(self.answer_limit, attempt).await;
            drop(meter);
            let (error, asked) = match ended {
                Ok(Ok(reply)) => return Ok(reply),
                Ok(Err(Failure::Final(error))) => return Err(error),
                Ok(Err(Failure::Passing { error, asked })) => (error, asked),
                Err(_) => return Err(BrainError::TooSlow(self.answer_limit.as_secs())),
            };
            failed += 1;
            let Some(wait) = self.backoff.pause(failed, asked, (self.jitter)()) else {
                let too_long = asked.filter(|asked| *asked > self.backoff.longest);
                return Err(match too_long {
                    Some(pause) => error.asking_for(pause),
                    None => error,
                });
            };
            notes.say(Note::Retrying { why: error.to_string(), wait });
            tokio::time::sleep(wait).await;
        }
    }
}

/// Counts what one attempt has used up when it is over, however it ends: one that is given up as well. Under a budget one that
/// does not say it is the last.
struct Meter<'a> {
    account: &'a Account,
    notes: &'a Notes,
    used: Used,
}

impl Drop for Meter<'_> {
    fn drop(&mut self) {
        match self.used {
            Used::Nothing => {}
            Used::Unsaid => self.account.add_unsaid(),
            Used::Known(usage) => self.notes.say(Note::Used(self.account.add(usage, None))),
        }
    }
}

/// Room for the whole file, its growth, and the escapes of JSON.
fn write_tokens(content: &str, form: Form) -> u32 {
    let most = if form == Form::Edits { EDIT_TOKENS } else { MOST_TOKENS };
    u32::try_from(content.len() / 2).unwrap_or(most).saturating_add(8_192).min(most)
}

impl Brain for Claude {
    fn plan<'a>(&'a mut self, ask: PlanAsk, notes: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>> {
        async move {
            let repair = ask.fault.as_deref().map(prompt::plan_repair);
            // Only what this question is answered with may be shown at its repair.
            let messages = messages(&prompt::plan_question(&ask), self.last_plan.take().as_ref(), repair);
            let system = self.persona.plan();
            let reply = self.ask(Offer::Only(Tool::PlanTask), &system, messages, PLAN_TOKENS, notes).await?;
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
            let repair = ask.fault.as_deref().map(prompt::conflict_repair);
            let messages =
                messages(&prompt::conflict_question(&ask), self.last_decision.take().as_ref(), repair);
            let system = self.persona.conflict();
            let offer = Offer::Only(Tool::DecideConflict);
            let reply = self.ask(offer, &system, messages, CONFLICT_TOKENS, notes).await?;
            let decision = tools::read_decision(&reply);
            self.last_decision = Some(reply);
            decision
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a mut self,
        ask: WriteAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Written, BrainError>> {
        async move {
            let large = ask.content.len() >= EDIT_FROM_BYTES;
            let form = if large { Form::Edits } else { Form::Whole };
            let (offer, repair_form) = match (large, ask.whole) {
                (false, _) => (Offer::Only(Tool::WriteFile), Form::Whole),
                (true, false) => (Offer::WriteOrEdit, Form::Edits),
                (true, true) => (Offer::WriteAfterEdit, Form::Whole),
            };
            let repair = ask.fault.as_deref().map(|fault| prompt::write_repair(fault, repair_form));
            let question = prompt::write_question(&ask, form);
            let messages = messages(&question, self.last_file.take().as_ref(), repair);
            let system = self.persona.write(form);
            let most = write_tokens(&ask.content, repair_form);
            let reply = self.ask(offer, &system, messages, most, notes).await?;
            let written = tools::read_written(&reply, &ask.content);
            self.last_file = Some(reply);
            written
        }
        .boxed()
    }

    fn fork(&self) -> Option<Box<dyn Brain>> {
        Some(Box::new(Self {
            api: self.api.clone(),
            model: self.model.clone(),
            persona: self.persona.clone(),
            backoff: self.backoff,
            jitter: self.jitter,
            answer_limit: self.answer_limit,
            most: self.most,
            account: self.account.clone(),
            last_plan: None,
            last_decision: None,
            last_file: None,
        }))
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
        assert_eq!(write_tokens("", Form::Whole), 8_192);
        assert_eq!(write_tokens(&"x".repeat(1_000), Form::Whole), 8_692);
        assert_eq!(write_tokens(&"x".repeat(1_000_000), Form::Whole), MOST_TOKENS);
        assert_eq!(write_tokens(&"x".repeat(1_000_000), Form::Edits), EDIT_TOKENS);
    }

    fn claude(key: &str, base_url: &str) -> Result<Claude, BrainError> {
        let mut config = ClaudeConfig::new(Secret::new(key), DEFAULT_MODEL);
        config.base_url = base_url.to_owned();
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
    fn a_budget_in_money_needs_a_price() {
        let mut config = ClaudeConfig::new(Secret::new("sk"), "model-of-tomorrow");
        config.budget.cost = Some(crate::brain::usage::Cost::nano_dollars(1));
        let error = Claude::new(config, Persona { name: "Bob".to_owned(), about: None }).unwrap_err();
        assert!(error.to_string().contains("--budget-tokens"), "{error}");
    }
}
