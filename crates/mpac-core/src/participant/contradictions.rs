//! Decisions of the coordinator that contradict its own rules, or each other (SEC-28).
//!
//! A participant sees a part of the session only, so it looks at what that part proves, whatever else happened: on one
//! connection, under one epoch, while no message was dropped. Nothing that could have another reason is held against anybody.
//! It is looked for where the coordinator signs, so that there is something to hold against it; Python servers pass on what has
//! no effect, which would look alike.

use alloc::string::String;
use alloc::vec::Vec;

use mpac_wire::names::{BasisKind, ConflictCategory, ErrorCode, ExecutionModel, Severity};
use mpac_wire::payload::{Basis, ConflictReport, OpCommit, Resolution};
use mpac_wire::{ConflictId, IntentId, Message, MessageId, OpId, StateRef, Watermark};

use super::bounded::{Recent, Shelf};
use super::conflicts::KnownConflict;
use super::news::News;
use super::{Fate, Participant};
use crate::scope::normalize;

/// How many targets, conflicts and messages are watched.
const MOST: usize = 1_024;

/// What a coordinator should not have decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contradiction {
    /// What happened.
    pub kind: ContradictionKind,
    /// The intents that it is about.
    pub intents: Vec<IntentId>,
    /// The operations that it is about.
    pub ops: Vec<OpId>,
}

/// The ways in which a decision contradicts the rules, as far as one participant can prove them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContradictionKind {
    /// A commit was accepted although it is based on another state than the accepted commit before it left (OCC-03, OCC-12).
    Stale {
        /// What both change, normalised.
        target: String,
        /// The state that the one before left.
        left: StateRef,
        /// The state that this one is based on.
        based_on: StateRef,
    },
    /// A conflict was settled, and then settled in another way (GOV-22).
    SettledTwice(ConflictId),
    /// An own message was refused, and then passed on as accepted, or the other way round (PAR-12, D-132).
    RefusedAndAccepted(MessageId),
}

/// What was decided so far, as far as it can be held against what is decided later.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Decisions {
    /// Also where nobody signs.
    always: bool,
    epoch: u64,
    /// Target to what the last commit of it may have left, and which that was.
    left: Shelf<String, (Vec<StateRef>, OpId)>,
    settled: Shelf<ConflictId, (Resolution, KnownConflict)>,
    echoed: Recent<MessageId>,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            always: false,
            epoch: 0,
            left: Shelf::new(MOST),
            settled: Shelf::new(MOST),
            echoed: Recent::new(MOST),
        }
    }
}

impl Decisions {
    /// Something may have been missed: what was decided before proves nothing any more.
    pub(super) fn forget(&mut self) {
        *self = Self { always: self.always, epoch: self.epoch, ..Self::default() };
    }

    /// The conflict is reported anew.
    pub(super) fn reopened(&mut self, conflict: &ConflictId) {
        self.settled.remove(conflict);
    }
}

impl Contradiction {
    /// As people read it.
    fn description(&self) -> String {
        match &self.kind {
            ContradictionKind::Stale { target, left, based_on } => alloc::format!(
                "a commit to {target} was accepted that is based on {based_on}, while the accepted one before it left {left}"
            ),
            ContradictionKind::SettledTwice(conflict) => {
                alloc::format!("conflict {conflict} was settled, and then settled in another way")
            }
            ContradictionKind::RefusedAndAccepted(message) => {
                alloc::format!("message {message} was both refused and accepted")
            }
        }
    }
}

impl core::fmt::Display for Contradiction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.description())
    }
}

impl Participant {
    /// Looks for contradictions also where nobody signs. Only for coordinators that pass on nothing but what they accepted.
    pub fn watch_coordinator(&mut self) {
        self.decisions.always = true;
    }

    /// The report of a contradiction, to be sent under an id of its own (SEC-28): everybody whom it concerns hears of it.
    pub fn contradiction_report(&self, conflict: ConflictId, found: &Contradiction) -> ConflictReport {
        let mut report = ConflictReport::new(conflict, ConflictCategory::AuthorityConflict, Severity::High);
        let mut basis = Basis::new();
        basis.kind = Some(BasisKind::Rule);
        report.basis = Some(basis);
        report.based_on_watermark = Some(Watermark::lamport(self.clock.value()));
        report.related_intents = Some(found.intents.clone());
        report.related_ops = Some(found.ops.clone());
        report.description = Some(found.description());
        report
    }

    /// Whether decisions are watched, and what was decided under another epoch is forgotten.
    fn watches(&mut self) -> bool {
        let epoch = self.authority.epoch();
        if self.decisions.epoch != epoch {
            self.decisions.forget();
            self.decisions.epoch = epoch;
        }
        self.decisions.always || self.trust.is_sealed()
    }

    fn contradicted(&mut self, kind: ContradictionKind, (intents, ops): (Vec<IntentId>, Vec<OpId>)) {
        if !intents.is_empty() || !ops.is_empty() {
            self.news.push(News::Contradiction(Contradiction { kind, intents, ops }));
        }
    }

    /// Commits that were accepted, before they are taken in. Contents go with them where everything is signed and nowhere else,
    /// and without them nobody can say which states they leave.
    pub(super) fn watch_commits(&mut self, message: &Message) {
        if !self.watches() || !self.trust.is_sealed() {
            return;
        }
        let model = self.info.as_ref().and_then(|info| info.execution_model.as_ref());
        let left = &mut self.decisions.left;
        match message {
            Message::OpCommit(commit) if model != Some(&ExecutionModel::PreCommit) => {
                self.watch_commit(commit)
            }
            Message::OpCommit(commit) => drop(left.remove(&normalize(&commit.target))),
            Message::OpSupersede(it) => drop(left.remove(&normalize(&it.target))),
            // Of a batch not every entry may have been accepted.
            Message::OpBatchCommit(batch) => {
                let contents = batch.file_changes.iter().flat_map(|changes| changes.iter());
                let targets = batch.operations.iter().map(|entry| entry.target.as_str());
                for target in contents.map(|(path, _)| path).chain(targets) {
                    left.remove(&normalize(target));
                }
            }
            _ => {}
        }
    }

    fn watch_commit(&mut self, commit: &OpCommit) {
        let target = normalize(&commit.target);
        let before = &commit.state_ref_before;
        let known = self.decisions.left.get(&target).cloned();
        let mut has_content = false;
        for (path, _) in commit.file_changes.iter().flat_map(|changes| changes.iter()) {
            let path = normalize(path);
            has_content |= path == target;
            self.decisions.left.remove(&path);
        }
        let mut states = Vec::from([commit.state_ref_after.clone()]);
        if !has_content {
            states.push(before.clone()); // where there is a file, it is as it was (OCC-16)
        }
        self.decisions.left.remove(&target);
        self.decisions.left.insert(target.clone(), (states, commit.op_id.clone()));
        if let Some((states, op)) = known
            && !states.contains(before)
            && op != commit.op_id
            && let Some(left) = states.into_iter().next()
        {
            let kind = ContradictionKind::Stale { target, left, based_on: before.clone() };
            self.contradicted(kind, (Vec::new(), Vec::from([op, commit.op_id.clone()])));
        }
    }

    /// A resolution that was accepted, before it is taken in.
    pub(super) fn watch_resolution(&mut self, resolution: &Resolution) {
        if !self.watches() {
            return;
        }
        let conflict = &resolution.conflict_id;
        if let Some((before, about)) = self.decisions.settled.get(conflict) {
            if before != resolution {
                let about = (about.intents.clone(), about.ops.clone());
                self.contradicted(ContradictionKind::SettledTwice(conflict.clone()), about);
            }
        } else if let Some(known) = self.conflicts.open(conflict) {
            self.decisions.settled.insert(conflict.clone(), (resolution.clone(), known.clone()));
        }
    }

    /// An own message came back as accepted.
    pub(super) fn watch_echo(&mut self, id: &MessageId, message: &Message) {
        if !self.watches() {
            return;
        }
        self.decisions.echoed.note(id.clone());
        let refused = self.answers.get(id).is_some_and(|sent| match &sent.fate {
            Fate::Refused(code) => is_judgement(code),
            Fate::Waiting | Fate::Accepted | Fate::Unknown => false,
        });
        if let Some(about) = brought(message).filter(|_| refused) {
            self.contradicted(ContradictionKind::RefusedAndAccepted(id.clone()), about);
        }
    }

    /// An own message was refused.
    pub(super) fn watch_refusal(&mut self, id: &MessageId, code: &ErrorCode) {
        if !self.watches() || !is_judgement(code) || !self.decisions.echoed.contains(id) {
            return;
        }
        let about = self.answers.get(id).and_then(|sent| brought(&sent.message));
        if let Some(about) = about {
            self.contradicted(ContradictionKind::RefusedAndAccepted(id.clone()), about);
        }
    }
}

/// Whether a refusal with this code judges what the message asks for. Others may be about a second copy of it, which somebody
/// on the way has made.
const fn is_judgement(code: &ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::IntentBackoff
            | ErrorCode::InvalidReference
            | ErrorCode::ScopeFrozen
            | ErrorCode::StaleIntent
            | ErrorCode::StaleStateRef
    )
}

/// What a message is about that is accepted or refused as a whole, and at once.
fn brought(message: &Message) -> Option<(Vec<IntentId>, Vec<OpId>)> {
    match message {
        Message::IntentAnnounce(it) => Some((Vec::from([it.intent_id.clone()]), Vec::new())),
        Message::IntentWithdraw(it) => Some((Vec::from([it.intent_id.clone()]), Vec::new())),
        Message::OpCommit(it) => Some((Vec::new(), Vec::from([it.op_id.clone()]))),
        _ => None,
    }
}
