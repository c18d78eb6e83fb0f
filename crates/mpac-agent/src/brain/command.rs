//! A brain that is a program of your own: it reads questions from its standard input and writes answers to its standard
//! output, a JSON object on each line. So anything that can think may join a session: another model, a tool with a
//! subscription of its own, a refactoring script. `fixtures/brain/` has examples in Python.
//!
//! # Questions
//!
//! Every question has `"mpac_brain": 1` (the version of this protocol), an `"id"`, what is asked (`"ask"`), the `"agent"`
//! (`{"name", "about"}`, the second null when nothing was said) and the `"task"` in the person's words. `"fault"` is null,
//! or says why the answer to the same question before could not be used.
//!
//! | `ask` | further keys |
//! |---|---|
//! | `plan` | `files`: `[{"path", "size"}]`, the size in characters |
//! | `decide_conflict` | `plan`; `category`, `severity`, `description` of the report; `other`: `{"principal", "objective", "files"}` |
//! | `write_file` | `plan`; `path`; `content`, the text there is; `rebased`: somebody else changed it since the last question; `written`: `[{"path", "diff"}]`, what the task changes in other files; `whole`: edits did not apply, so the whole text is wanted |
//!
//! `plan` is `{"objective", "files", "new_files"}`.
//!
//! # Answers
//!
//! | line | meaning |
//! |---|---|
//! | `{"id": N, "answer": {...}}` | the answer: to `plan` `{"objective", "files", "new_files"?}`; to `decide_conflict` `{"decision": "proceed" or "yield", "reason"}`; to `write_file` `{"content"}`, or `{"edits": [{"search", "replace"}]}` where each search text is in the file exactly once; either with `"summary"` for the commit |
//! | `{"id": N, "error": "why"}` | there is no answer; the task fails and its intent is withdrawn |
//! | `{"id": N, "say": "text"}` | a line for people, any number of them before the answer |
//!
//! An answer or error may carry `"usage"`: `input_tokens`, `output_tokens`, `cache_creation_input_tokens`,
//! `cache_read_input_tokens`, `cost_usd`, each optional. It is shown after the task, and counts against the budget. Where
//! there is a budget, an answer without it is the last one, and so is a question that is not answered: the program ends or
//! writes what is no answer, takes too long, or the task is cancelled. Where tokens are limited, so is an answer with
//! `cost_usd` alone.
//!
//! # The program
//!
//! It is started at the first question, without a shell, and asked one thing at a time, so several files are written one after
//! the other. It may go on for the next question or end after an
//! answer; then it is started again. What it writes to standard error is shown. It does not get the variables whose names begin with `MPAC_`, which hold the agent's credential. When an answer
//! takes too long, when the task is cancelled, and when the agent ends, it is killed, with every process that it started
//! and that stayed in its group (on Unix). Of an agent that was killed itself it sees the end of its input.

mod process;

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::account::{Account, Budget};
use super::claude::ANSWER_LIMIT;
use super::prices::Prices;
use super::usage::{Cost, Spent, Usage};
use super::{Brain, BrainError, ConflictAsk, Decision, Note, Notes, Plan, PlanAsk, WriteAsk, Written};
use crate::prompt::Persona;
use crate::tools::{self, Reply, Tool};

use process::{End, Running};

/// The version of the protocol, in every question.
const PROTOCOL: u32 = 1;

/// What a [`CommandBrain`] needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CommandConfig {
    /// The program and its arguments, as a shell would split them.
    pub command: String,
    /// How long one answer may take.
    pub answer_limit: Duration,
    /// What all answers together may use up, by what the program says of it.
    pub budget: Budget,
}

impl CommandConfig {
    /// Defaults for everything but the command.
    #[must_use]
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), answer_limit: ANSWER_LIMIT, budget: Budget::default() }
    }
}

/// Answers from a program.
#[derive(Debug)]
pub struct CommandBrain {
    command: String,
    words: Vec<String>,
    persona: Persona,
    answer_limit: Duration,
    account: Account,
    running: Option<Running>,
    last_id: u64,
}

/// One line that the program writes.
#[derive(Debug, Deserialize)]
struct Line {
    id: u64,
    #[serde(default)]
    say: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    answer: Option<Box<RawValue>>,
    #[serde(default)]
    usage: Option<SaidUsage>,
}

#[derive(Debug, Deserialize)]
struct SaidUsage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cost_usd: Option<f64>,
}

impl SaidUsage {
    /// `None` when it says nothing of tokens, which is not the same as that there were none.
    fn tokens(&self) -> Option<Usage> {
        let (input, output) = (self.input_tokens, self.output_tokens);
        let (cache_write, cache_read) = (self.cache_creation_input_tokens, self.cache_read_input_tokens);
        input.or(output).or(cache_write).or(cache_read)?;
        let [input, output, cache_write, cache_read] =
            [input, output, cache_write, cache_read].map(Option::unwrap_or_default);
        Some(Usage { input, output, cache_write, cache_read })
    }
}

/// A question. Once it is asked it counts, however it ends: if nothing else is known, as one that did not say what it used.
#[derive(Debug)]
struct Call {
    account: Account,
    is_open: bool,
}

impl Call {
    fn of(account: &Account) -> Self {
        Self { account: account.clone(), is_open: false }
    }

    /// It is answered; what it used up, if that was said.
    fn answered(mut self, said: Option<&SaidUsage>) -> Option<Spent> {
        let said = said?;
        self.is_open = false;
        let tokens = said.tokens();
        if tokens.is_none() {
            self.account.add_uncounted();
        }
        Some(self.account.add(tokens.unwrap_or_default(), said.cost_usd.and_then(Cost::dollars)))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_open {
            self.account.add_unsaid();
        }
    }
}

impl CommandBrain {
    /// A brain that speaks for `persona`. The program is started at the first question.
    ///
    /// # Errors
    /// [`BrainError::Command`] for a command that is empty or whose quotes do not match.
    pub fn new(config: CommandConfig, persona: Persona) -> Result<Self, BrainError> {
        let words = shlex::split(&config.command).filter(|words| !words.is_empty());
        let Some(words) = words else {
            let why = "is empty, or its quotes do not match; write it as \"PROGRAM ARGUMENTS\"".to_owned();
            return Err(BrainError::Command { program: config.command, why });
        };
        Ok(Self {
            command: config.command,
            words,
            persona,
            answer_limit: config.answer_limit,
            account: Account::new(&Prices::built_in(), None, config.budget),
            running: None,
            last_id: 0,
        })
    }

    fn error(&self, why: String) -> BrainError {
        BrainError::Command { program: self.command.clone(), why }
    }

    /// Asks, and hands out the answer's object as text. Whatever goes wrong, the program is killed: it goes back to its
    /// place only with an answer.
    async fn ask(&mut self, mut question: Value, notes: &Notes) -> Result<String, BrainError> {
        self.account.check()?;
        self.last_id += 1;
        question["mpac_brain"] = json!(PROTOCOL);
        question["id"] = json!(self.last_id);
        question["agent"] = json!({"name": self.persona.name, "about": self.persona.about});
        let text = format!("{question}\n");
        let mut call = Call::of(&self.account);
        let asked = tokio::time::timeout(self.answer_limit, self.exchange(&text, &mut call, notes));
        let (running, line) = asked.await.map_err(|_| BrainError::TooSlow(self.answer_limit.as_secs()))??;
        if let Some(spent) = call.answered(line.usage.as_ref()) {
            notes.say(Note::Used(spent));
        }
        match (line.answer, line.error) {
            (_, Some(error)) => Err(self.error(format!("gave up: {error}"))),
            (Some(answer), None) => {
                self.running = Some(running);
                Ok(answer.get().to_owned())
            }
            (None, None) => {
                Err(self.error(format!("answered question {} with neither `answer` nor `error`", line.id)))
            }
        }
    }

    /// Sends the question and reads until the line that ends it.
    async fn exchange(
        &mut self,
        question: &str,
        call: &mut Call,
        notes: &Notes,
    ) -> Result<(Running, Line), BrainError> {
        // One that has ended after its last answer is started again, also when that shows only now.
        if let Some(running) = self.running.take()
            && let Ok(done) = self.converse(running, question, call, notes).await?
        {
            return Ok(done);
        }
        // One that had ended has not read the question.
        call.is_open = false;
        let running = Running::start(&self.words).map_err(|why| self.error(why))?;
        let ended = self.converse(running, question, call, notes).await?;
        ended.map_err(|why| self.error(why))
    }

    /// The inner error is the program's end before it said anything.
    async fn converse(
        &self,
        mut running: Running,
        question: &str,
        call: &mut Call,
        notes: &Notes,
    ) -> Result<Result<(Running, Line), String>, BrainError> {
        notes.say(Note::Began);
        call.is_open = true;
        running.send(question).await;
        let mut heard = false;
        loop {
            let text = match running.next_line(notes).await {
                Ok(text) => text,
                Err(End::Ended) if !heard => return Ok(Err(running.last_words(notes).await)),
                Err(End::Ended) => return Err(self.error(running.last_words(notes).await)),
                Err(End::TooLong(limit)) => {
                    return Err(self.error(format!("wrote a line of more than {limit} bytes")));
                }
            };
            heard = true;
            let line: Line = serde_json::from_str(&text).map_err(|error| {
                let shown: String = text.chars().take(200).collect();
                self.error(format!(
                    "wrote `{shown}`, which is no answer ({error}); answers are lines of JSON, and all else belongs on standard error"
                ))
            })?;
            match line {
                // Said too late for the question before.
                Line { id, .. } if id < self.last_id => {}
                Line { id, .. } if id > self.last_id => {
                    return Err(self.error(format!("answered question {id}, which was not asked")));
                }
                Line { say: Some(text), answer: None, error: None, .. } => notes.say(Note::Said(text)),
                line => return Ok(Ok((running, line))),
            }
        }
    }
}

fn plan_of(plan: &Plan) -> Value {
    json!({"objective": plan.objective, "files": plan.files, "new_files": plan.new_files})
}

impl Brain for CommandBrain {
    fn plan<'a>(&'a mut self, ask: PlanAsk, notes: &'a Notes) -> BoxFuture<'a, Result<Plan, BrainError>> {
        async move {
            let files: Vec<Value> =
                ask.files.iter().map(|file| json!({"path": file.path, "size": file.size})).collect();
            let question = json!({"ask": "plan", "task": ask.task, "files": files, "fault": ask.fault});
            tools::read_plan(&filled_in(Tool::PlanTask, self.ask(question, notes).await?))
        }
        .boxed()
    }

    fn decide_conflict<'a>(
        &'a mut self,
        ask: ConflictAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Decision, BrainError>> {
        async move {
            let question = json!({
                "ask": "decide_conflict", "task": ask.task, "plan": plan_of(&ask.plan), "category": ask.category,
                "severity": ask.severity, "description": ask.description, "fault": ask.fault,
                "other": {"principal": ask.other, "objective": ask.other_objective, "files": ask.other_files},
            });
            tools::read_decision(&filled_in(Tool::DecideConflict, self.ask(question, notes).await?))
        }
        .boxed()
    }

    fn write_file<'a>(
        &'a mut self,
        ask: WriteAsk,
        notes: &'a Notes,
    ) -> BoxFuture<'a, Result<Written, BrainError>> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            edits: Option<Box<RawValue>>,
        }
        async move {
            let written: Vec<Value> =
                ask.written.iter().map(|other| json!({"path": other.path, "diff": other.diff})).collect();
            let question = json!({
                "ask": "write_file", "task": ask.task, "plan": plan_of(&ask.plan), "path": ask.path,
                "content": ask.content, "rebased": ask.rebased, "whole": ask.whole, "written": written, "fault": ask.fault,
            });
            let answer = self.ask(question, notes).await?;
            let edits = serde_json::from_str::<Kind>(&answer).is_ok_and(|kind| kind.edits.is_some());
            let tool = if edits { Tool::EditFile } else { Tool::WriteFile };
            tools::read_written(&filled_in(tool, answer), &ask.content)
        }
        .boxed()
    }

    fn model_id(&self) -> Option<String> {
        None
    }
}

/// The answers have the keys of the tools' inputs, so one reader serves both.
fn filled_in(tool: Tool, input: String) -> Reply {
    Reply::Tool { name: tool.name().to_owned(), input }
}
