//! Questions and their answers: what is sent, and what is waited for.

use std::future::Future;
use std::time::Duration;

use mpac_wire::sideband::Request;
use mpac_wire::{BatchId, Message, MessageId, OpId, StateRef};

use super::Session;
use crate::arrival::{Answer, Arrival, Question};
use crate::decide::{Heard, operations_of};
use crate::error::AgentError;

/// The message whose fate is being watched.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) message: MessageId,
    pub(super) subject: Subject,
    pub(super) heard: Heard,
}

/// What else than its id tells that something is about a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subject {
    None,
    /// A commit's operation, file and new reference.
    Commit {
        op: OpId,
        path: String,
        after: StateRef,
    },
    /// Operations that go together.
    Batch(BatchId),
}

/// A sideband request without an answer.
#[derive(Debug)]
pub(super) struct Asked {
    number: u64,
    question: Question,
}

/// What one step brought.
pub(super) enum Step {
    Answered(u64, Answer),
    Passed,
    /// The connection broke.
    Broken,
}

/// What came of a message and the request behind it.
pub(super) enum Exchanged {
    Answered(Heard, Answer),
    /// The connection broke first: what was heard until then.
    Broken {
        /// Whether it went out at all.
        sent: bool,
        heard: Heard,
    },
}

impl Session {
    pub(super) async fn step(&mut self) -> Result<Step, AgentError> {
        let arrival = loop {
            let Some(renewal) = self.renewal() else { break self.arrivals.recv().await };
            match tokio::time::timeout_at(renewal, self.arrivals.recv()).await {
                Ok(arrival) => break arrival,
                Err(_) => self.renew(),
            }
        };
        self.absorb(arrival.unwrap_or_else(|| Arrival::Ended("it is closed".to_owned())))
    }

    /// A connection that is gone has said why, among what has not been taken yet: that is what a person must read.
    pub(super) fn with_reason(&mut self, error: AgentError) -> AgentError {
        if matches!(error, AgentError::Lost(_)) {
            while let Ok(arrival) = self.arrivals.try_recv() {
                if let Arrival::Ended(why) = arrival {
                    return AgentError::Lost(why);
                }
            }
        }
        error
    }

    /// The answer to a sideband request, [`AgentError::Away`] if the connection breaks before it.
    pub(super) async fn ask(&mut self, request: Request, what: &str) -> Result<Answer, AgentError> {
        let number = self.put(request, what)?;
        self.answer_to(number, what).await
    }

    /// Asks without waiting: the number under which [`answer_to`](Self::answer_to) waits for it.
    pub(super) fn put(&mut self, request: Request, what: &str) -> Result<u64, AgentError> {
        if self.is_away() {
            return Err(AgentError::Away { what: what.to_owned() });
        }
        let number = self.next_request;
        self.next_request += 1;
        let question = match &request {
            Request::FileRead { path: Some(path) } => Question::Read(path.clone()),
            _ => Question::List,
        };
        self.link.ask(request).map_err(|error| self.with_reason(error))?;
        self.asked.push_back(Asked { number, question });
        Ok(number)
    }

    /// Of several requests the answers are waited for in their order.
    pub(super) async fn answer_to(&mut self, number: u64, what: &str) -> Result<Answer, AgentError> {
        let limit = self.answer_limit;
        let answered = async {
            loop {
                match self.step().await? {
                    Step::Answered(answered, answer) if answered == number => return Ok(answer),
                    // A coordinator answers in order, so this one was passed over.
                    Step::Answered(answered, _) if answered > number => {
                        return Err(AgentError::Ignored { what: what.to_owned() });
                    }
                    Step::Broken => return Err(AgentError::Away { what: what.to_owned() }),
                    Step::Answered(..) | Step::Passed => {}
                }
            }
        };
        within(limit, what, answered).await
    }

    /// The request that this answers. A coordinator answers in order, so those asked before it will not be
    /// answered any more. `None` for what nobody asked: it answers nothing and shifts nothing (PAR-11).
    pub(super) fn asker(&mut self, answer: &Answer) -> Option<u64> {
        let answered = answer.to();
        let fits = |asked: &Asked| match (&asked.question, &answered) {
            // An answer too broken to have a path is the oldest read's.
            (Question::Read(_), Question::Read(path)) if path.is_empty() => true,
            (asked, answered) => asked == answered,
        };
        let at = self.asked.iter().position(fits)?;
        self.asked.drain(..=at).next_back().map(|asked| asked.number)
    }

    /// Says a message (`again`: one that may have arrived before) and asks something right after it, whose answer
    /// proves that everything about the message has come.
    pub(super) async fn exchange(
        &mut self,
        (message, again): (Message, bool),
        what: &str,
        barrier: Request,
        subject: Subject,
    ) -> Result<Exchanged, AgentError> {
        let operations = operations_of(&message);
        let said =
            if again { self.link.repeat(message, what).await } else { self.link.say(message, what).await };
        let id = match said {
            Ok(id) => id,
            Err(AgentError::Away { .. }) => {
                self.cut_off();
                return Ok(Exchanged::Broken { sent: false, heard: Heard::default() });
            }
            Err(error) => return Err(self.with_reason(error)),
        };
        self.watch(id, subject);
        let answer = self.ask(barrier, what).await;
        let heard = self.watched.take().map(|watched| watched.heard).unwrap_or_default();
        match answer {
            Ok(answer) => Ok(Exchanged::Answered(heard, answer)),
            Err(AgentError::Away { .. }) => Ok(Exchanged::Broken { sent: true, heard }),
            Err(AgentError::NoAnswer { what, seconds, .. }) if heard.is_accepted() => {
                Err(AgentError::NoAnswer { what, seconds, accepted: operations })
            }
            Err(error) => Err(error),
        }
    }

    pub(super) fn watch(&mut self, message: MessageId, subject: Subject) {
        self.watched = Some(Watched { message, subject, heard: Heard::default() });
    }

    pub(super) fn refused(&self, what: &str) -> Result<(), AgentError> {
        match self.watched.as_ref().and_then(|watched| watched.heard.error.clone()) {
            Some(refusal) => Err(AgentError::refused(what, refusal)),
            None => Ok(()),
        }
    }
}

pub(super) fn accepted(heard: Heard, what: &str) -> Result<(), AgentError> {
    match heard.error {
        Some(refusal) => Err(AgentError::refused(what, refusal)),
        None if heard.echo => Ok(()),
        None => Err(AgentError::Ignored { what: what.to_owned() }),
    }
}

pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, AgentError>>,
) -> Result<T, AgentError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(AgentError::NoAnswer {
            what: what.to_owned(),
            seconds: limit.as_secs(),
            accepted: Vec::new(),
        }),
    }
}
