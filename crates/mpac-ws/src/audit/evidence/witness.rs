//! What a participant has kept of a session, against the evidence: whoever signs one thing to one and another to the next has
//! signed the proof of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use mpac_wire::signature::signed_bytes;
use mpac_wire::transcript::Direction;
use mpac_wire::transcript::chain::in_chain;
use mpac_wire::{Envelope, Integer, Raw, Timestamp};
use serde::Deserialize;

use super::contradict::Actual;
use super::examine::Examiner;
use super::finding::{Class, Finding};
use super::forms::{Forms, may_be_of_one};
use crate::audit::problem::Problem;

/// The messages that are in the evidence.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    /// What the rules give.
    given: Forms<'a>,
    /// By direction and content.
    contents: BTreeSet<(bool, String)>,
    /// The coordinator's by id: content, and the whole where it is signed.
    spoken: BTreeMap<String, (String, Option<String>)>,
    /// The participants' by id.
    heard: BTreeSet<String>,
    /// When the first and the last entry of what is there came.
    between: Option<(Timestamp, Timestamp)>,
    /// For what was before that the coordinator has signed that this is all.
    vouched: Option<Timestamp>,
}

/// What witnesses show.
#[derive(Debug, Default)]
pub(super) struct Witnessed {
    /// How many messages they have kept.
    pub(super) messages: u64,
    /// How many of the coordinator's are earlier or later than the evidence.
    pub(super) outside: u64,
    pub(super) findings: Vec<Finding>,
}

/// A line that holds a message in an object of its own: an entry of a chain or of a transcript, or of what an agent records.
#[derive(Deserialize)]
struct Wrapped {
    #[serde(alias = "frame")]
    envelope: Raw,
}

impl<'a> Known<'a> {
    /// Those of a chain; where there is none, those that follow from the log. For everything before `vouched` the coordinator
    /// has signed that this is all.
    pub(super) fn of(
        examiner: &'a Examiner<'_>,
        actual: Option<&[Actual]>,
        vouched: Option<Timestamp>,
    ) -> Self {
        let given = Forms::of(&examiner.expected);
        let mut known = Self { given, between: examiner.between, vouched, ..Self::default() };
        match actual {
            Some(actual) => actual.iter().for_each(|it| {
                known.add(it.direction, &it.message_id, &it.content, it.signer.map(|_| it.text.clone()));
            }),
            None => examiner.expected.iter().for_each(|it| {
                known.add(it.direction, &it.message_id, &it.content, None);
            }),
        }
        known
    }

    fn add(&mut self, direction: Direction, id: &str, content: &str, signed: Option<String>) {
        self.contents.insert((direction == Direction::Outbound, content.to_owned()));
        if direction == Direction::Outbound {
            self.spoken.entry(id.to_owned()).or_insert_with(|| (content.to_owned(), signed));
        } else {
            self.heard.insert(id.to_owned());
        }
    }

    /// What a witness has kept in a file: a message a line, or an object whose `envelope` or `frame` is one.
    ///
    /// # Errors
    /// When the file or one of its lines cannot be read.
    pub(super) fn compare(
        &self,
        path: &Path,
        examiner: &Examiner<'_>,
        witnessed: &mut Witnessed,
    ) -> Result<(), Problem> {
        let text =
            fs::read_to_string(path).map_err(|source| Problem::File { path: path.to_owned(), source })?;
        for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let wrong = |reason: String| Problem::Witness { path: path.to_owned(), line: n + 1, reason };
            let frame = match serde_json::from_str::<Wrapped>(line) {
                Ok(wrapped) => wrapped.envelope.get().to_owned(),
                Err(error) if error.is_syntax() || error.is_eof() => return Err(wrong(error.to_string())),
                Err(_) => line.to_owned(),
            };
            // What passes on the same connection and is no message.
            let Ok(envelope) = serde_json::from_str::<Envelope>(&frame) else { continue };
            witnessed.messages += 1;
            let found = self.judge(&frame, &envelope, examiner, &mut witnessed.outside);
            witnessed.findings.extend(found.map(|mut finding| {
                finding.problem = format!("{}, line {}: {}", path.display(), n + 1, finding.problem);
                finding
            }));
        }
        Ok(())
    }

    fn judge(
        &self,
        frame: &str,
        envelope: &Envelope,
        examiner: &Examiner<'_>,
        outside: &mut u64,
    ) -> Option<Finding> {
        let (session, profile, coordinator) = examiner.session()?;
        if envelope.session_id != session {
            return None;
        }
        let id = envelope.message_id.as_str();
        if envelope.sender.principal_id != coordinator {
            // What is not signed need not be passed on as it came.
            let is_other = profile != "verified" && self.heard.contains(id);
            return if is_other { None } else { self.of_participant(frame, envelope, examiner) };
        }
        // What has no form to be signed goes out without a signature where that may be.
        if signed_bytes(frame).is_err() && self.contents.contains(&(true, in_chain(frame))) {
            return None;
        }
        if examiner.own.signer(frame, envelope).is_none() {
            let problem =
                "it is not signed by a key of the coordinator's that is trusted, and proves nothing";
            return Some(Finding::new(Class::UselessWitness, problem).about(id));
        }
        let content = signed_bytes(frame).ok()?;
        if self.contents.contains(&(true, content.clone())) {
            return None;
        }
        // The coordinator's own word on when it said this. What has the time of the last entry may belong to the next.
        let at = envelope.ts.at();
        let is_vouched = self.vouched.is_some_and(|vouched| at < vouched);
        let is_outside = self.between.is_none_or(|(first, last)| at < first || at > last);
        let finding = match self.spoken.get(id) {
            Some((other, signed)) if !self.given.are_of_one(id, other, &content) => {
                let problem =
                    "the coordinator signed this, and the evidence has another message of the same id";
                let other_text = signed.clone().unwrap_or_else(|| other.clone());
                let finding = Finding::new(Class::TwoVersions, problem).proven_by([other_text]);
                let is_lie = examiner.is_certain() || !may_be_of_one(other, &content);
                finding.by_coordinator(is_lie && (signed.is_some() || is_vouched))
            }
            // An earlier session of this name, or one that nobody opened, left no trace here, and a later word cannot have.
            None if is_outside => {
                *outside += 1;
                return None;
            }
            // Also one of several forms, of which the evidence has another.
            is_there => {
                let epoch = envelope.coordinator_epoch.as_ref().map(Integer::get);
                let lost = examiner.gaps.around(at, epoch).filter(|_| is_there.is_none());
                let why = lost
                    .map_or_else(String::new, |n| format!(": entry {n} of the log says that it may be lost"));
                let problem = format!("the coordinator signed this, and it is not in the evidence{why}");
                Finding::new(Class::WithheldMessage, problem).by_coordinator(is_vouched && lost.is_none())
            }
        };
        Some(finding.about(id).proven_by([frame.to_owned()]))
    }

    /// Only what the coordinator recorded counts, and only its sender can have signed it: that it is missing is told, and
    /// proves nothing, for it may never have arrived.
    fn of_participant(&self, frame: &str, envelope: &Envelope, examiner: &Examiner<'_>) -> Option<Finding> {
        let id = envelope.message_id.as_str();
        if self.contents.contains(&(false, in_chain(frame))) {
            return None;
        }
        let problem = match examiner.participant(frame, envelope) {
            Some(_) => {
                "its sender signed this, and it is not in the evidence: it was suppressed, or never arrived"
            }
            None => {
                let problem =
                    "it is not in the evidence, and not signed by a key of its sender's: it proves nothing";
                return Some(Finding::new(Class::UselessWitness, problem).about(id));
            }
        };
        let mut finding = Finding::new(Class::UnseenParticipantMessage, problem).about(id);
        finding.principal_id = Some(envelope.sender.principal_id.clone());
        Some(finding.proven_by([frame.to_owned()]))
    }
}
