//! The files of the workspace: reading them, and what is heard of them after that.

use std::collections::{BTreeMap, BTreeSet};

use mpac_wire::StateRef;
use mpac_wire::sideband::{FileEntry, Request};
use tokio::time::Instant;

use super::Session;
use super::away::Place;
use super::exchange::{Step, within};
use crate::arrival::Answer;
use crate::error::AgentError;

/// So many files are asked for before the first answer is waited for: each answer may be as large as a frame.
const ASKED_TOGETHER: usize = 32;

/// What a commit is based on, and whether FILE_UPDATED has told of another text since it was sent.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) path: String,
    pub(super) state_ref: StateRef,
    pub(super) moved: bool,
}

/// The files that a task writes on top of, and what was heard of them since they were read.
#[derive(Debug, Default)]
pub(super) struct Bases {
    read: BTreeMap<String, StateRef>,
    moved: BTreeSet<String>,
}

impl Bases {
    fn note(&mut self, path: &str, state: &StateRef) {
        self.moved.remove(path);
        self.read.insert(path.to_owned(), state.clone());
    }

    /// FILE_UPDATED.
    pub(super) fn heard(&mut self, path: &str, state: &StateRef) {
        if self.read.get(path).is_some_and(|read| read != state) {
            self.moved.insert(path.to_owned());
        }
    }

    /// A break: what was told meanwhile was not heard.
    pub(super) fn doubt(&mut self) {
        self.moved.extend(self.read.keys().cloned());
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

    /// Several files, in their order; one that is not there is [`FileState::absent`]. They are asked for together, so that
    /// they cost one round trip and not one each, and no faster than coordinators take requests. A break is waited out.
    ///
    /// # Errors
    /// As [`read_file`](Self::read_file), for the first that cannot be had.
    pub async fn read_files(&mut self, paths: &[String]) -> Result<Vec<FileState>, AgentError> {
        let mut files = Vec::new();
        for together in paths.chunks(ASKED_TOGETHER) {
            files.extend(loop {
                self.in_time(together.len()).await?;
                self.ready().await?;
                match self.read_files_now(together).await {
                    Err(AgentError::Away { .. }) => {}
                    read => break read?,
                }
            });
        }
        Ok(files)
    }

    /// Waits until so many requests more are not too many.
    async fn in_time(&mut self, requests: usize) -> Result<(), AgentError> {
        let now = Instant::now();
        let at = self.pace.next(requests, now);
        match at > now {
            true => self.meanwhile(tokio::time::sleep_until(at)).await,
            false => Ok(()),
        }
    }

    /// Several files at once, without waiting for a coordinator that is away.
    ///
    /// # Errors
    /// As [`read_file_now`](Self::read_file_now).
    pub(crate) async fn read_files_now(&mut self, paths: &[String]) -> Result<Vec<FileState>, AgentError> {
        let what = |path: &String| format!("FILE_READ {path}");
        let asked: Vec<(u64, &String)> = paths
            .iter()
            .map(|path| Ok((self.put(read(path), &what(path))?, path)))
            .collect::<Result<_, AgentError>>()?;
        let mut files = Vec::new();
        for (number, path) in asked {
            let answer = self.answer_to(number, &what(path)).await?;
            let file = file_state(path, answer)?.unwrap_or_else(FileState::absent);
            // What is heard of it while the others are waited for is news already.
            self.bases.note(path, &file.state_ref);
            files.push(file);
        }
        Ok(files)
    }

    /// One file, without waiting for a coordinator that is away.
    ///
    /// # Errors
    /// [`AgentError::Unreadable`] when it exists and cannot be had; as [`list_files_now`](Self::list_files_now).
    pub async fn read_file_now(&mut self, path: &str) -> Result<Option<FileState>, AgentError> {
        let answer = self.ask(read(path), &format!("FILE_READ {path}")).await?;
        file_state(path, answer)
    }

    /// A task writes on top of this state of a file; [`has_moved`](Self::has_moved) tells whether it is the state still.
    pub(crate) fn watch_base(&mut self, path: &str, state: &StateRef) {
        if self.bases.read.get(path) != Some(state) {
            self.bases.note(path, state);
        }
    }

    /// Whether another state was heard of since, or may have come about while the connection was broken.
    pub(crate) fn has_moved(&self, path: &str) -> bool {
        self.bases.moved.contains(path)
    }

    /// As [`has_moved`](Self::has_moved), while the coordinator is there to say what it is now.
    pub(crate) fn is_known_to_move(&self, path: &str) -> bool {
        self.place == Place::Here && self.has_moved(path)
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

pub(super) fn file_state(path: &str, answer: Answer) -> Result<Option<FileState>, AgentError> {
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
