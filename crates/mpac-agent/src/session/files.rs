//! The files of the workspace: reading them, and what a commit makes of them.

use mpac_core::participant::{Found, Then, Withheld, after_duplicate, look_at};
use mpac_wire::payload::operation::OpCommit;
use mpac_wire::sideband::{FileEntry, Request};
use mpac_wire::{IntentId, Message, StateRef};

use super::Session;
use super::exchange::{Exchanged, Step, Subject, within};
use crate::arrival::Answer;
use crate::console::Style;
use crate::decide::Heard;
use crate::error::AgentError;

/// What a commit is based on, and whether FILE_UPDATED has told of another text since it was sent.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) path: String,
    pub(super) state_ref: StateRef,
    pub(super) moved: bool,
}

/// A commit on its way.
#[derive(Debug, Clone)]
pub(crate) struct Sending {
    commit: OpCommit,
    /// The intent it was under when it first went out without an answer: it may have arrived.
    under: Option<IntentId>,
}

/// What came of a commit.
#[derive(Debug)]
pub(crate) enum Sent {
    /// What was heard, and the file as it is now.
    Answered(Heard, Option<FileState>),
    /// It had arrived, and its answer was lost.
    Applied,
    /// It was recorded and rejected with an intent that is over: commit the same text under another id.
    Anew,
    /// Whether it was applied cannot be told any more, and this is the file now.
    Rebase(FileState),
    /// There is no intent to commit under: a break has cost it, and others hold the files.
    Homeless,
}

impl Sending {
    pub(crate) fn new(commit: OpCommit) -> Self {
        Self { commit, under: None }
    }

    fn found(&self, now: Option<&FileState>) -> Found {
        let absent = FileState::absent();
        look_at(&self.commit, &now.unwrap_or(&absent).state_ref)
    }

    /// Of a repeat a duplicate is an answer as well; `own` is the intent it went out under.
    fn judge(&self, heard: Heard, now: Option<FileState>, own: &IntentId) -> Sent {
        let duplicate = heard.error.as_ref().is_some_and(|refusal| refusal.duplicate == Some("op_id"));
        match &self.under {
            Some(under) if duplicate => match after_duplicate(self.found(now.as_ref()), under == own) {
                Then::Anew => Sent::Anew,
                Then::Rebase => Sent::Rebase(now.unwrap_or_else(FileState::absent)),
                _ => Sent::Applied,
            },
            _ => Sent::Answered(heard, now),
        }
    }
}

/// A file as the coordinator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileState {
    /// Its text.
    pub content: String,
    /// Its reference.
    pub state_ref: StateRef,
}

impl FileState {
    /// What a file that does not exist yet is based on.
    #[must_use]
    pub fn absent() -> Self {
        Self { content: String::new(), state_ref: StateRef::of("") }
    }
}

impl Session {
    /// Every file of the workspace. A break is waited out.
    ///
    /// # Errors
    /// [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`], and what stops the task.
    pub async fn list_files(&mut self) -> Result<Vec<FileEntry>, AgentError> {
        loop {
            self.ready().await?;
            match self.list_files_now().await {
                Err(AgentError::Away { .. }) => {}
                listed => return listed,
            }
        }
    }

    /// Every file of the workspace, without waiting for a coordinator that is away.
    ///
    /// # Errors
    /// [`AgentError::Away`], [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn list_files_now(&mut self) -> Result<Vec<FileEntry>, AgentError> {
        match self.ask(Request::FileList, "FILE_LIST").await? {
            Answer::Files(files) => Ok(files),
            Answer::Unreadable { why, .. } => {
                Err(AgentError::Unreadable { path: "the list of files".to_owned(), why })
            }
            Answer::Content(_) | Answer::Error(_) => {
                unreachable!("only a list answers FILE_LIST")
            }
        }
    }

    /// One file; `None` when there is no such file. A break is waited out.
    ///
    /// # Errors
    /// [`AgentError::Unreadable`] when it exists and cannot be had; as [`list_files`](Self::list_files).
    pub async fn read_file(&mut self, path: &str) -> Result<Option<FileState>, AgentError> {
        loop {
            self.ready().await?;
            match self.read_file_now(path).await {
                Err(AgentError::Away { .. }) => {}
                read => return read,
            }
        }
    }

    /// One file, without waiting for a coordinator that is away.
    ///
    /// # Errors
    /// [`AgentError::Unreadable`] when it exists and cannot be had; as [`list_files_now`](Self::list_files_now).
    pub async fn read_file_now(&mut self, path: &str) -> Result<Option<FileState>, AgentError> {
        let answer = self.ask(read(path), &format!("FILE_READ {path}")).await?;
        file_state(path, answer)
    }

    /// Sends a commit and reads its file right after. When the connection breaks in between it is found out whether the
    /// commit arrived, and it is sent again only if it did not, under the id that it had.
    ///
    /// # Errors
    /// [`AgentError::TooLarge`] and [`AgentError::Overruled`] before anything is sent; as [`read_file`](Self::read_file).
    pub(crate) async fn commit(&mut self, sending: &mut Sending) -> Result<Sent, AgentError> {
        let path = sending.commit.target.clone();
        let what = format!("the commit to {path}");
        loop {
            self.hold_while_silent(&path).await?;
            self.ready().await?;
            let Some(own) = self.own.as_ref().map(|own| own.id.clone()) else { return Ok(Sent::Homeless) };
            sending.commit.intent_id = Some(own.clone());
            let (said, subject) = self.prepare(sending);
            match self.exchange(said, &what, read(&path), subject).await {
                Ok(Exchanged::Answered(heard, answer)) => {
                    return Ok(sending.judge(heard, file_state(&path, answer)?, &own));
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
                Err(error) => return Err(error),
            }
        }
    }

    fn prepare(&mut self, sending: &Sending) -> ((Message, bool), Subject) {
        let commit = &sending.commit;
        let path = commit.target.clone();
        self.base =
            Some(Base { path: path.clone(), state_ref: commit.state_ref_before.clone(), moved: false });
        let subject =
            Subject::Commit { op: commit.op_id.clone(), path, after: commit.state_ref_after.clone() };
        ((commit.clone().into(), sending.under.is_some()), subject)
    }

    /// After a break: what became of the commit, if that can be told without sending it again.
    async fn look_for(&mut self, sending: &Sending, heard: Heard) -> Result<Option<Sent>, AgentError> {
        if sending.under.is_none() {
            return Ok(None); // it never went out
        }
        let path = &sending.commit.target;
        let now = self.read_file(path).await?;
        let found = sending.found(now.as_ref());
        // What was accepted and is not there was lost, or undone: a coordinator that has it says so.
        if heard.is_decisive() && (!heard.echo || found != Found::Untouched) {
            return Ok(Some(Sent::Answered(heard, now)));
        }
        if found == Found::Applied {
            self.console.say(Style::Yellow, &format!("the commit to {path} had arrived"));
            return Ok(Some(Sent::Applied));
        }
        self.console.say(Style::Yellow, &format!("the commit to {path} is sent again"));
        Ok(None)
    }

    /// Commits wait until the coordinator is back (REC-06); that it is away for good shows as the end of the
    /// connection.
    async fn hold_while_silent(&mut self, path: &str) -> Result<(), AgentError> {
        if self.silent {
            let text = format!("the commit to {path} is held back until the coordinator is back");
            self.console.say(Style::Yellow, &text);
        }
        while self.silent {
            self.next().await?;
            self.check_stop()?;
        }
        Ok(())
    }

    /// The file of the last commit, once it is another than that commit was based on: a Python server stores a text
    /// a moment after it has refused the commit that came too late for it, and until then still hands out the old one.
    ///
    /// # Errors
    /// [`AgentError::NotMoved`] when nobody tells of another text; as [`read_file`](Self::read_file).
    pub(crate) async fn read_moved(&mut self, path: &str) -> Result<Option<FileState>, AgentError> {
        let limit = self.answer_limit;
        let moved = async {
            while self.base.as_ref().is_some_and(|base| !base.moved) {
                if matches!(self.step().await?, Step::Broken) {
                    // What was told meanwhile was not heard: the file itself tells.
                    let now = self.read_file(path).await?.unwrap_or_else(FileState::absent);
                    if let Some(base) = &mut self.base {
                        base.moved |= base.state_ref != now.state_ref;
                    }
                }
            }
            Ok(())
        };
        within(limit, "", moved).await.map_err(|error| match error {
            AgentError::NoAnswer { seconds, .. } => AgentError::NotMoved { path: path.to_owned(), seconds },
            other => other,
        })?;
        self.read_file(path).await
    }
}

pub(super) fn read(path: &str) -> Request {
    Request::FileRead { path: Some(path.to_owned()) }
}

fn file_state(path: &str, answer: Answer) -> Result<Option<FileState>, AgentError> {
    match answer {
        Answer::Content(file) => {
            Ok(Some(FileState { content: file.content.into(), state_ref: file.state_ref }))
        }
        Answer::Error(error) if error.error == "File not found" => Ok(None),
        Answer::Error(error) => Err(AgentError::Unreadable { path: path.to_owned(), why: error.error }),
        Answer::Unreadable { why, .. } => Err(AgentError::Unreadable { path: path.to_owned(), why }),
        Answer::Files(_) => unreachable!("only a file answers FILE_READ"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Refusal;
    use mpac_wire::names::OpKind;

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
