//! The files of the workspace: reading them, and what a commit makes of them.

use mpac_core::participant::Withheld;
use mpac_wire::StateRef;
use mpac_wire::payload::operation::OpCommit;
use mpac_wire::sideband::{FileEntry, Request};

use super::Session;
use super::exchange::{Subject, within};
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
    /// Every file of the workspace.
    ///
    /// # Errors
    /// [`AgentError::NoAnswer`], [`AgentError::Lost`], [`AgentError::SessionClosed`].
    pub async fn list_files(&mut self) -> Result<Vec<FileEntry>, AgentError> {
        match self.ask(Request::FileList, "FILE_LIST").await? {
            Answer::Files(files) => Ok(files),
            Answer::Unreadable { why, .. } => {
                Err(AgentError::Unreadable { path: "the list of files".to_owned(), why })
            }
            Answer::Content(_) | Answer::Error(_) | Answer::Other => {
                unreachable!("only a list answers FILE_LIST")
            }
        }
    }

    /// One file; `None` when there is no such file.
    ///
    /// # Errors
    /// [`AgentError::Unreadable`] when it exists and cannot be had; as [`list_files`](Self::list_files).
    pub async fn read_file(&mut self, path: &str) -> Result<Option<FileState>, AgentError> {
        let answer = self.ask(read(path), &format!("FILE_READ {path}")).await?;
        file_state(path, answer)
    }

    /// Sends a commit and reads its file right after: what was heard, and the file as it is now.
    ///
    /// # Errors
    /// [`AgentError::TooLarge`] and [`AgentError::Overruled`] before anything is sent; as [`read_file`](Self::read_file).
    pub(crate) async fn commit(
        &mut self,
        commit: OpCommit,
    ) -> Result<(Heard, Option<FileState>), AgentError> {
        let path = commit.target.clone();
        let what = format!("the commit to {path}");
        self.base =
            Some(Base { path: path.clone(), state_ref: commit.state_ref_before.clone(), moved: false });
        let subject = Subject::Commit {
            op: commit.op_id.clone(),
            path: path.clone(),
            after: commit.state_ref_after.clone(),
        };
        loop {
            self.hold_while_silent(&path).await?;
            let message = commit.clone().into();
            match self.exchange(message, &what, read(&path), subject.clone()).await {
                Ok((heard, answer)) => return Ok((heard, file_state(&path, answer)?)),
                // The core is a moment ahead of the rhythm: either that or a status comes next.
                Err(AgentError::Withheld { why: Withheld::CoordinatorSilent, .. }) => self.next().await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Commits wait until the coordinator is back (REC-06); that it is away for good shows as the end of the
    /// connection.
    async fn hold_while_silent(&mut self, path: &str) -> Result<(), AgentError> {
        if self.silent {
            let text = format!("the commit to {path} is held back until the coordinator is back");
            self.console.say(Style::Yellow, &text);
        }
        while self.silent {
            self.step().await?;
            if let Some(why) = self.overruled.take() {
                return Err(AgentError::Overruled(why));
            }
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
                self.step().await?;
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
        Answer::Content(file) => Ok(Some(FileState { content: file.content, state_ref: file.state_ref })),
        Answer::Error(error) if error.error == "File not found" => Ok(None),
        Answer::Error(error) => Err(AgentError::Unreadable { path: path.to_owned(), why: error.error }),
        Answer::Unreadable { why, .. } => Err(AgentError::Unreadable { path: path.to_owned(), why }),
        Answer::Files(_) | Answer::Other => unreachable!("only a file answers FILE_READ"),
    }
}
