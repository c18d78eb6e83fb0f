//! The files of the workspace, and how the session stands, asked of the coordinator.

use std::sync::atomic::Ordering;

use mpac_wire::sideband::{FileEntry, Request, SessionSummary};

use crate::agent::hub::{Outcome, Said};
use crate::agent::{Agent, barrier};
use crate::arrival::Answer;
use crate::error::AgentError;
use crate::session::{FileState, ask_for_summary};

impl Agent {
    /// Every file of the workspace (FILE_LIST). A break is waited out. May be dropped at any time.
    ///
    /// # Errors
    /// [`AgentError::Unreadable`] for an answer that cannot be read, [`AgentError::NoAnswer`], [`AgentError::Lost`],
    /// [`AgentError::SessionClosed`].
    pub async fn list_files(&self) -> Result<Vec<FileEntry>, AgentError> {
        match self.ask(Request::FileList, "FILE_LIST").await? {
            Answer::Files(files) => Ok(files),
            other => Err(unreadable("the list of files", other)),
        }
    }

    /// One file (FILE_READ); `None` when there is no such file. A break is waited out. May be dropped at any time.
    ///
    /// # Errors
    /// [`AgentError::Unreadable`] when it exists and cannot be had; else as [`list_files`](Self::list_files).
    pub async fn read_file(&self, path: &str) -> Result<Option<FileState>, AgentError> {
        let answer = self.ask(read(path), &format!("FILE_READ {path}")).await?;
        file_state(path, answer)
    }

    /// How the session stands, asked of the coordinator; [`view`](Self::view) is the same by what has been heard. `None`
    /// where the server does not tell: one of `mpac` 0.2 does when it is asked `by_request`, one of 0.1 never does and closes
    /// the connection on such a request.
    ///
    /// # Errors
    /// As [`list_files`](Self::list_files).
    pub async fn summary(&self, by_request: bool) -> Result<Option<Box<SessionSummary>>, AgentError> {
        let what = "the summary of the session";
        loop {
            self.here().await?;
            let said = match by_request {
                true => Said::Request(Request::SessionSummary),
                false => Said::First(Box::new(ask_for_summary())),
            };
            if let Outcome::Answered(reply) = self.exchange(said, barrier(), what).await? {
                return Ok(reply.summary);
            }
        }
    }

    /// Right after joining: what was before.
    pub(in crate::agent) async fn look_around(&self, by_request: bool) -> Result<(), AgentError> {
        let tells = self.summary(false).await?.is_some();
        self.0.tells.store(tells, Ordering::Relaxed);
        if by_request && !tells {
            self.summary(true).await?;
        }
        Ok(())
    }

    async fn ask(&self, request: Request, what: &str) -> Result<Answer, AgentError> {
        loop {
            self.here().await?;
            if let Outcome::Answered(reply) = self.exchange(Said::Nothing, request.clone(), what).await?
                && let Some(answer) = reply.answer
            {
                return Ok(answer);
            }
        }
    }
}

pub(super) fn read(path: &str) -> Request {
    Request::FileRead { path: Some(path.to_owned()) }
}

pub(super) fn file_state(path: &str, answer: Answer) -> Result<Option<FileState>, AgentError> {
    match answer {
        Answer::Content(file) => {
            Ok(Some(FileState { content: file.content.into(), state_ref: file.state_ref }))
        }
        Answer::Error(error) if error.error == "File not found" => Ok(None),
        other => Err(unreadable(path, other)),
    }
}

fn unreadable(path: &str, answer: Answer) -> AgentError {
    let why = match answer {
        Answer::Error(error) => error.error,
        Answer::Unreadable { why, .. } => why,
        Answer::Files(_) | Answer::Content(_) => "another answer came".to_owned(),
    };
    AgentError::Unreadable { path: path.to_owned(), why }
}
