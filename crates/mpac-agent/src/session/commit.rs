//! Commits on their way: one file, or several that go together, and what became of them.

use mpac_core::participant::{Found, Then, Withheld, after_duplicate, look_at, look_at_change};
use mpac_wire::payload::operation::{OpBatchCommit, OpCommit};
use mpac_wire::{IntentId, Message, OpId, StateRef};

use super::Session;
use super::exchange::{Exchanged, Subject, within};
use super::files::{Base, FileState, file_state, read};
use crate::console::Style;
use crate::decide::Heard;
use crate::error::AgentError;

/// A commit, or a batch that is all or nothing, on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    change: Change,
    /// The intent it was under when it first went out without an answer: it may have arrived.
    under: Option<IntentId>,
}

#[derive(Debug, Clone)]
enum Change {
    One(OpCommit),
    Batch(OpBatchCommit),
}

/// What came of a commit.
#[derive(Debug)]
pub(crate) enum Sent {
    /// What was heard, and of a single commit the file as it is now.
    Answered(Heard, Option<FileState>),
    /// It had arrived, and its answer was lost.
    Applied,
    /// It was recorded and rejected with an intent that is over: commit the same text under another id.
    Anew,
    /// Whether it was applied cannot be told any more, and this is the file now.
    Rebase(FileState),
    /// There is no intent to commit under: a break has cost it, and others hold the files. Or there is one in its place, and its
    /// conflicts are not decided on.
    Homeless,
}

impl Change {
    fn message(&self) -> Message {
        match self {
            Self::One(commit) => commit.clone().into(),
            Self::Batch(batch) => batch.clone().into(),
        }
    }

    fn subject(&self) -> Subject {
        match self {
            Self::One(commit) => Subject::Commit {
                op: commit.op_id.clone(),
                path: commit.target.clone(),
                after: commit.state_ref_after.clone(),
            },
            Self::Batch(batch) => Subject::Batch(batch.batch_id.clone()),
        }
    }

    fn goes_under(&mut self, intent: &IntentId) {
        match self {
            Self::One(commit) => commit.intent_id = Some(intent.clone()),
            Self::Batch(batch) => {
                batch.intent_id = Some(intent.clone());
                for entry in &mut batch.operations {
                    entry.intent_id = Some(intent.clone());
                }
            }
        }
    }

    fn targets(&self) -> Vec<String> {
        match self {
            Self::One(commit) => [commit.target.clone()].into(),
            Self::Batch(batch) => batch.operations.iter().map(|entry| entry.target.clone()).collect(),
        }
    }

    /// Whether what was heard means one thing or another by what is in the file.
    fn depends_on_file(&self, heard: &Heard) -> bool {
        match (self, &heard.error) {
            (Self::Batch(_), _) => false,
            (Self::One(_), Some(refusal)) => refusal.duplicate.is_some() || refusal.code == "STALE_STATE_REF",
            (Self::One(_), None) => !heard.is_decisive(),
        }
    }

    /// What the targets look like. A batch that is all or nothing was applied if all of them say so: somebody else may have
    /// made the same of one, and one that was changed again after it tells nothing. It is said again then, under the id by
    /// which it is remembered (BAT-16).
    fn found(&self, now: &[FileState]) -> Found {
        match self {
            Self::One(commit) => look_at(
                commit,
                &now.first().map_or_else(|| FileState::absent().state_ref, |now| now.state_ref.clone()),
            ),
            Self::Batch(batch) => {
                let look = batch.operations.iter().zip(now).map(|(entry, now)| {
                    look_at_change((&entry.state_ref_before, &entry.state_ref_after), &now.state_ref)
                });
                let found: Vec<Found> = look.collect();
                match () {
                    () if found.iter().all(|one| *one == Found::Applied) => Found::Applied,
                    () if found.contains(&Found::Moved) => Found::Moved,
                    () => Found::Untouched,
                }
            }
        }
    }
}

impl Sending {
    pub(crate) fn new(commit: OpCommit) -> Self {
        Self { change: Change::One(commit), under: None }
    }

    pub(crate) fn batch(batch: OpBatchCommit) -> Self {
        Self { change: Change::Batch(batch), under: None }
    }

    /// Each operation in it, with its target and the states that it leads from and to.
    pub(crate) fn operations(&self) -> Vec<(OpId, String, (StateRef, StateRef))> {
        match &self.change {
            Change::One(it) => {
                let states = (it.state_ref_before.clone(), it.state_ref_after.clone());
                vec![(it.op_id.clone(), it.target.clone(), states)]
            }
            Change::Batch(batch) => {
                let one = batch.operations.iter().map(|it| {
                    let states = (it.state_ref_before.clone(), it.state_ref_after.clone());
                    (it.op_id.clone(), it.target.clone(), states)
                });
                one.collect()
            }
        }
    }

    /// It went out, and its answer was not heard.
    pub(crate) fn may_have_arrived(&self) -> bool {
        self.under.is_some()
    }

    /// In words.
    pub(crate) fn what(&self) -> String {
        match &self.change {
            Change::One(commit) => format!("the commit to {}", commit.target),
            Change::Batch(batch) => format!("the batch commit to {} files", batch.operations.len()),
        }
    }

    /// Of a repeat a duplicate is an answer as well; `own` is the intent it went out under.
    fn judge(&self, heard: Heard, now: Option<FileState>, own: &IntentId) -> Sent {
        let duplicate = heard.error.as_ref().and_then(|refusal| refusal.duplicate);
        match (&self.under, &self.change, duplicate) {
            (Some(under), Change::One(_), Some("op_id")) => {
                let now = now.unwrap_or_else(FileState::absent);
                match after_duplicate(self.change.found(std::slice::from_ref(&now)), under == own) {
                    Then::Anew => Sent::Anew,
                    Then::Rebase => Sent::Rebase(now),
                    _ => Sent::Applied,
                }
            }
            // Of a batch only one that was accepted is remembered (BAT-16).
            (Some(_), Change::Batch(_), Some("batch_id")) => Sent::Applied,
            _ => Sent::Answered(heard, now),
        }
    }
}

impl Session {
    /// Sends a commit and reads its file right after, of a batch the first. When the connection breaks in between it is found
    /// out whether the commit arrived, and it is sent again only if it did not, under the ids that it had.
    ///
    /// # Errors
    /// [`AgentError::TooLarge`] and [`AgentError::Overruled`] before anything is sent; as [`read_file`](Self::read_file).
    pub(crate) async fn commit(&mut self, sending: &mut Sending) -> Result<Sent, AgentError> {
        let what = sending.what();
        let first = sending.change.targets().into_iter().next().unwrap_or_default();
        loop {
            self.hold_while_silent(&what).await?;
            self.ready().await?;
            let Some(own) = self.own.as_ref().map(|own| own.id.clone()) else { return Ok(Sent::Homeless) };
            if self.has_undecided() && !sending.may_have_arrived() {
                return Ok(Sent::Homeless);
            }
            self.nothing_left_to_decide();
            sending.change.goes_under(&own);
            self.base = base_of(&sending.change);
            let said = (sending.change.message(), sending.under.is_some());
            match self.exchange(said, &what, read(&first), sending.change.subject()).await {
                Ok(Exchanged::Answered(heard, answer)) => {
                    // An answer that says nothing of the file does not hide what was said of the commit.
                    let now = match file_state(&first, answer) {
                        Err(error) if sending.change.depends_on_file(&heard) => {
                            sending.under.get_or_insert(own);
                            return Err(error);
                        }
                        now => now.unwrap_or_default(),
                    };
                    return Ok(sending.judge(heard, now, &own));
                }
                Ok(Exchanged::Broken { sent, heard }) => {
                    if sent {
                        sending.under.get_or_insert(own);
                    }
                    if let Some(found) = self.look_for(sending, heard).await? {
                        return Ok(found);
                    }
                }
                // The core is a moment ahead of the rhythm: either that or a status comes next.
                Err(AgentError::Withheld { why: Withheld::CoordinatorSilent, .. }) => self.next().await?,
                // By our failing model: that it works again was said before, and is on its way back (BHM-07).
                Err(AgentError::Withheld { why: Withheld::IntentSuspended(_), .. }) => {
                    let limit = self.answer_limit;
                    within(limit, &what, self.next()).await?;
                }
                Err(error) => {
                    if !never_went_out(&error) {
                        sending.under.get_or_insert(own);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// After a break: what became of the commit, if that can be told without sending it again.
    async fn look_for(&mut self, sending: &Sending, heard: Heard) -> Result<Option<Sent>, AgentError> {
        if sending.under.is_none() {
            return Ok(None); // it never went out
        }
        let what = sending.what();
        let now = self.read_files(&sending.change.targets()).await?;
        let found = sending.change.found(&now);
        let decisive = match sending.change {
            Change::One(_) => heard.is_decisive(),
            Change::Batch(_) => heard.error.is_some() || heard.rejected.is_some() || heard.echo,
        };
        // What was accepted and is not there was lost, or undone: a coordinator that has it says so.
        if decisive && (!heard.echo || found != Found::Untouched) {
            return Ok(Some(Sent::Answered(heard, now.into_iter().next())));
        }
        if found == Found::Applied {
            self.say(Style::Yellow, &format!("{what} had arrived"));
            return Ok(Some(Sent::Applied));
        }
        self.say(Style::Yellow, &format!("{what} is sent again"));
        Ok(None)
    }

    /// Announces and commits wait until the coordinator is back (REC-06); that it is away for good shows as the end of the
    /// connection.
    pub(super) async fn hold_while_silent(&mut self, what: &str) -> Result<(), AgentError> {
        if self.silent {
            let text = format!("{what} is held back until the coordinator is back");
            self.say(Style::Yellow, &text);
        }
        while self.silent {
            self.next().await?;
            self.check_stop()?;
        }
        Ok(())
    }
}

/// These end a message before it is sent, and any other error may come after it ([`Link::say`](crate::connection::Link::say)).
fn never_went_out(error: &AgentError) -> bool {
    matches!(error, AgentError::TooLarge { .. } | AgentError::Unsignable { .. } | AgentError::Withheld { .. })
}

/// Of a single commit, whose text a Python server may store a moment later.
fn base_of(change: &Change) -> Option<Base> {
    match change {
        Change::One(commit) => {
            let (path, state_ref) = (commit.target.clone(), commit.state_ref_before.clone());
            Some(Base { path, state_ref, moved: false })
        }
        Change::Batch(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Refusal;
    use mpac_wire::names::{Atomicity, OpKind};
    use mpac_wire::payload::operation::BatchEntry;

    fn refused(duplicate: bool) -> Heard {
        let refusal = Refusal {
            code: "STALE_STATE_REF".to_owned(),
            description: "d".to_owned(),
            holders: Vec::new(),
            duplicate: duplicate.then_some("op_id"),
        };
        Heard { error: Some(refusal), ..Heard::default() }
    }

    /// What becomes of a commit from `one` to `two` that first went out under the intent `under`, goes out now under `i`, is
    /// refused, and finds this in its file.
    fn judged(under: Option<&str>, duplicate: bool, file: &str) -> Sent {
        let refs = (StateRef::of("one"), StateRef::of("two"));
        let op = "o".parse().unwrap();
        let mut sending = Sending::new(OpCommit::new(op, "a".to_owned(), OpKind::Replace, refs.0, refs.1));
        sending.under = under.map(|id| id.parse().unwrap());
        let now = FileState { content: file.to_owned(), state_ref: StateRef::of(file) };
        sending.judge(refused(duplicate), Some(now), &"i".parse().unwrap())
    }

    #[test]
    fn a_batch_was_applied_if_all_of_it_was() {
        let entry = |path: &str| {
            let (before, after) = (StateRef::of("one"), StateRef::of("two"));
            BatchEntry::new(path.parse().unwrap(), path.to_owned(), OpKind::Replace, before, after)
        };
        let entries = vec![entry("a"), entry("b")];
        let batch = OpBatchCommit::new("b".parse().unwrap(), Atomicity::AllOrNothing, entries);
        for (texts, expected) in [
            (["two", "two"], Found::Applied),
            (["two", "one"], Found::Untouched),
            (["two", "three"], Found::Moved),
            (["one", "three"], Found::Moved),
            (["one", "one"], Found::Untouched),
        ] {
            let now = texts.map(|text| FileState { content: text.to_owned(), state_ref: StateRef::of(text) });
            assert_eq!(Change::Batch(batch.clone()).found(&now), expected, "{texts:?}");
        }
    }

    #[test]
    fn a_duplicate_is_an_answer_only_to_what_may_have_arrived() {
        assert!(matches!(judged(None, true, "two"), Sent::Answered(..)), "nothing of ours can be there");
        assert!(matches!(judged(Some("i"), false, "three"), Sent::Answered(..)), "somebody was faster");
        for file in ["one", "two", "three"] {
            assert!(matches!(judged(Some("i"), true, file), Sent::Applied), "{file}");
        }
        assert!(matches!(judged(Some("before"), true, "two"), Sent::Applied));
        assert!(matches!(judged(Some("before"), true, "one"), Sent::Anew));
        assert!(matches!(judged(Some("before"), true, "three"), Sent::Rebase(now) if now.content == "three"));
    }
}
