//! Who waits for which answer.
//!
//! Answers to requests have no ids: they come in the order of the requests, and are told apart by kind and path (PAR-11).

use std::collections::{BTreeMap, VecDeque};

use mpac_core::participant::{divergent, is_warning};
use mpac_wire::payload::conflict::ConflictReport;
use mpac_wire::payload::{IntentDeferred, OpReject, ProtocolError};
use mpac_wire::sideband::{FileUpdated, Request, SessionSummary};
use mpac_wire::{Envelope, Message, MessageId, OpId, PrincipalId, StateRef};
use tokio::sync::oneshot;

use super::place::End;
use crate::arrival::{Answer, Question};
use crate::decide::operations_of;
use crate::error::AgentError;

/// What is to be said before a barrier.
#[derive(Debug)]
pub(crate) enum Said {
    First(Box<Message>),
    /// It may have arrived before.
    Again(Box<Message>),
    Request(Request),
    /// The barrier is the question itself.
    Nothing,
}

impl Said {
    /// The operations that it would have carried out.
    pub(crate) fn operations(&self) -> Vec<OpId> {
        match self {
            Self::First(message) | Self::Again(message) => operations_of(message),
            Self::Request(_) | Self::Nothing => Vec::new(),
        }
    }
}

/// Everything that was heard about a message until the barrier behind it was answered.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    /// It came back.
    pub(crate) echo: bool,
    /// It was refused.
    pub(crate) error: Option<ProtocolError>,
    /// It was accepted, but (D-119).
    pub(crate) warning: Option<ProtocolError>,
    /// One of its operations, or its batch, was rejected.
    pub(crate) reject: Option<OpReject>,
    /// Conflicts that its intent or its operations are in.
    pub(crate) conflicts: Vec<ConflictReport>,
    /// Its deferral was broadcast.
    pub(crate) deferred: Option<IntentDeferred>,
    /// Files that we have changed meanwhile.
    pub(crate) updated: Vec<(String, StateRef)>,
    pub(crate) summary: Option<Box<SessionSummary>>,
    /// To the barrier.
    pub(crate) answer: Option<Answer>,
}

impl Reply {
    /// A recovered coordinator may refuse a commit as stale and say beside it that what it was based on is not known there: the
    /// refusal is the answer (D-041).
    fn refused(&mut self, error: &ProtocolError) {
        if is_warning(error) {
            self.warning = Some(error.clone());
        } else if self.error.is_none() || divergent(error).is_none() {
            self.error = Some(error.clone());
        }
    }
}

/// What came of an exchange.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Box<Reply>),
    /// The connection broke first, or is broken.
    Broken {
        /// Whether it may have arrived.
        sent: bool,
        /// What was heard until then.
        reply: Box<Reply>,
    },
}

/// By what else than its id something is about a message.
#[derive(Debug, Default)]
pub(super) struct Subject {
    intent: Option<String>,
    ops: Vec<String>,
    deferral: Option<String>,
}

impl Subject {
    pub(super) fn of(said: &Said) -> Self {
        let (Said::First(message) | Said::Again(message)) = said else { return Self::default() };
        let mut subject = Self::default();
        match &**message {
            Message::IntentAnnounce(it) => subject.intent = Some(it.intent_id.to_string()),
            Message::IntentUpdate(it) => subject.intent = Some(it.intent_id.to_string()),
            Message::IntentDeferred(it) => {
                subject.deferral = it.deferral_id.as_ref().map(ToString::to_string)
            }
            Message::OpPropose(it) => subject.ops.push(it.op_id.to_string()),
            Message::OpCommit(it) => subject.ops.push(it.op_id.to_string()),
            Message::OpSupersede(it) => subject.ops.push(it.op_id.to_string()),
            Message::OpBatchCommit(it) => {
                subject.ops.push(it.batch_id.to_string());
                subject.ops.extend(it.operations.iter().map(|entry| entry.op_id.to_string()));
            }
            _ => {}
        }
        subject
    }

    fn is_in(&self, report: &ConflictReport) -> bool {
        let related = report.related_intents.iter().flatten();
        let mut intents = related.chain(&report.intent_a).chain(&report.intent_b);
        let mut ops = report.related_ops.iter().flatten();
        intents.any(|id| self.intent.as_deref() == Some(id.as_str()))
            || ops.any(|op| self.ops.iter().any(|ours| ours == op.as_str()))
    }
}

/// Whose a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    Hub,
    Lane(u64),
    Exchange,
}

#[derive(Debug)]
struct Asked {
    number: u64,
    question: Question,
    asker: Asker,
}

#[derive(Debug)]
struct Exchange {
    message: Option<MessageId>,
    subject: Subject,
    reply: Reply,
    tell: oneshot::Sender<Result<Outcome, AgentError>>,
}

/// All that is waited for.
#[derive(Debug, Default)]
pub(super) struct Desk {
    next: u64,
    asked: VecDeque<Asked>,
    exchanges: BTreeMap<u64, Exchange>,
}

impl Desk {
    /// A request has gone out.
    pub(super) fn ask(&mut self, request: &Request, asker: Asker) -> u64 {
        let question = match request {
            Request::FileRead { path } => Question::Read(path.clone().unwrap_or_default()),
            Request::FileList => Question::List,
            // Its answer is no answer to be told apart: there is at most one summary on its way.
            _ => return self.next,
        };
        let number = self.next;
        self.next += 1;
        self.asked.push_back(Asked { number, question, asker });
        number
    }

    /// A message and the barrier behind it have gone out.
    pub(super) fn wait(
        &mut self,
        barrier: &Request,
        message: Option<MessageId>,
        subject: Subject,
        tell: oneshot::Sender<Result<Outcome, AgentError>>,
    ) {
        // Who has stopped waiting needs no place.
        self.exchanges.retain(|_, exchange| !exchange.tell.is_closed());
        let number = self.ask(barrier, Asker::Exchange);
        self.exchanges.insert(number, Exchange { message, subject, reply: Reply::default(), tell });
    }

    /// The request that this answers. Those asked before it will not be answered any more. An answer to an exchange's is
    /// delivered; the others' is given back.
    pub(super) fn answered(&mut self, answer: Answer) -> Option<(Asker, Answer)> {
        let answered = answer.to();
        let fits = |asked: &Asked| match (&asked.question, &answered) {
            // An answer too broken to have a path is the oldest read's.
            (Question::Read(_), Question::Read(path)) if path.is_empty() => true,
            (asked, answered) => asked == answered,
        };
        let at = self.asked.iter().position(fits)?;
        for passed_over in self.asked.drain(..at) {
            self.exchanges.remove(&passed_over.number);
        }
        let asked = self.asked.pop_front()?;
        if let Some(mut exchange) = self.exchanges.remove(&asked.number) {
            exchange.reply.answer = Some(answer.clone());
            let _ = exchange.tell.send(Ok(Outcome::Answered(Box::new(exchange.reply))));
        }
        Some((asked.asker, answer))
    }

    /// Whether a refusal answers an own message, so that whoever said it tells of it.
    pub(super) fn is_answer(&self, message: &Message) -> bool {
        let Message::ProtocolError(error) = message else { return false };
        self.exchanges.values().any(|it| it.refers(error))
    }

    pub(super) fn hear(
        &mut self,
        envelope: &Envelope,
        message: &Message,
        me: &PrincipalId,
        coordinator: bool,
    ) {
        let own = envelope.sender.principal_id == *me;
        for exchange in self.exchanges.values_mut() {
            exchange.reply.echo |= own && exchange.message.as_ref() == Some(&envelope.message_id);
            match message {
                Message::ProtocolError(error) if coordinator && exchange.refers(error) => {
                    exchange.reply.refused(error);
                }
                Message::OpReject(it) if exchange.subject.ops.iter().any(|op| op == it.op_id.as_str()) => {
                    exchange.reply.reject = Some(it.clone());
                }
                Message::ConflictReport(it) if exchange.subject.is_in(it) => {
                    exchange.reply.conflicts.push((**it).clone());
                }
                Message::IntentDeferred(it)
                    if coordinator
                        && it.deferral_id.is_some()
                        && it.deferral_id.as_ref().map(ToString::to_string) == exchange.subject.deferral =>
                {
                    exchange.reply.deferred.get_or_insert_with(|| it.clone());
                }
                _ => {}
            }
        }
    }

    pub(super) fn updated(&mut self, update: &FileUpdated, me: &PrincipalId) {
        if update.updated_by == *me {
            for exchange in self.exchanges.values_mut() {
                exchange.reply.updated.push((update.path.clone(), update.state_ref.clone()));
            }
        }
    }

    pub(super) fn summary(&mut self, summary: &SessionSummary) {
        for exchange in self.exchanges.values_mut() {
            exchange.reply.summary.get_or_insert_with(|| Box::new(summary.clone()));
        }
    }

    /// Nothing asked on the old connection will be answered.
    pub(super) fn broken(&mut self) {
        self.asked.clear();
        for (_, exchange) in std::mem::take(&mut self.exchanges) {
            let _ = exchange.tell.send(Ok(Outcome::Broken { sent: true, reply: Box::new(exchange.reply) }));
        }
    }

    pub(super) fn end(&mut self, end: &End) {
        for (_, exchange) in std::mem::take(&mut self.exchanges) {
            let _ = exchange.tell.send(Err(end.error()));
        }
    }
}

impl Exchange {
    fn refers(&self, error: &ProtocolError) -> bool {
        self.message.as_ref().is_some_and(|id| error.refers_to.as_deref() == Some(id.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpac_wire::sideband::{FileError, SidebandType};

    fn read(path: &str) -> Request {
        Request::FileRead { path: Some(path.to_owned()) }
    }

    fn missing(path: &str) -> Answer {
        let error = FileError::new(SidebandType::FileError, path.to_owned(), "File not found".to_owned());
        Answer::Error(error)
    }

    fn answered(told: &mut oneshot::Receiver<Result<Outcome, AgentError>>) -> Option<Question> {
        match told.try_recv().ok()?.unwrap() {
            Outcome::Answered(reply) => Some(reply.answer.unwrap().to()),
            Outcome::Broken { .. } => None,
        }
    }

    #[test]
    fn two_who_ask_for_the_same_get_each_its_own_answer() {
        let mut desk = Desk::default();
        let (first, mut told_first) = oneshot::channel();
        let (second, mut told_second) = oneshot::channel();
        desk.wait(&read("a"), None, Subject::default(), first);
        desk.ask(&read("a"), Asker::Lane(7));
        desk.wait(&read("a"), None, Subject::default(), second);
        assert_eq!(desk.answered(missing("a")).unwrap().0, Asker::Exchange);
        assert_eq!(answered(&mut told_first), Some(Question::Read("a".to_owned())));
        assert!(told_second.try_recv().is_err());
        assert_eq!(desk.answered(missing("a")).unwrap().0, Asker::Lane(7));
        assert_eq!(desk.answered(missing("a")).unwrap().0, Asker::Exchange);
        assert!(answered(&mut told_second).is_some());
        assert!(desk.answered(missing("a")).is_none(), "nobody asked for it");
    }

    #[test]
    fn who_is_passed_over_is_told_so_and_nothing_shifts() {
        let mut desk = Desk::default();
        let (first, mut told_first) = oneshot::channel();
        let (second, mut told_second) = oneshot::channel();
        desk.wait(&read("a"), None, Subject::default(), first);
        desk.wait(&read("b"), None, Subject::default(), second);
        desk.answered(missing("b"));
        assert!(matches!(told_first.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
        assert!(answered(&mut told_second).is_some());
    }

    #[test]
    fn a_break_leaves_the_fate_of_what_was_said_open() {
        let mut desk = Desk::default();
        let (tell, mut told) = oneshot::channel();
        desk.wait(&read("a"), None, Subject::default(), tell);
        desk.broken();
        assert!(matches!(told.try_recv(), Ok(Ok(Outcome::Broken { sent: true, .. }))));
        assert!(desk.answered(missing("a")).is_none());
    }

    #[test]
    fn a_stale_commit_is_stale_also_where_the_recovery_has_lost_what_it_is_based_on() {
        let error = |code: &str| ProtocolError::new(code.into(), "d".to_owned());
        let (stale, diverged) = (error("STALE_STATE_REF"), error("STATE_DIVERGENCE"));
        for order in [[&stale, &diverged], [&diverged, &stale]] {
            let mut reply = Reply::default();
            order.into_iter().for_each(|error| reply.refused(error));
            assert_eq!(reply.error.as_ref(), Some(&stale));
        }
        // Until that is settled it is the only answer (REC-30).
        let mut reply = Reply::default();
        reply.refused(&diverged);
        assert_eq!(reply.error, Some(diverged));
    }
}
