//! From what was asked for to the directory of a session.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mpac_wire::SessionId;

use super::problem::Problem;
use super::read;
use crate::cli::audit::Place;
use crate::error::{Error, TokenError};
use crate::store::{self, names, numbered, place};

/// The port of a server that was not told any.
const PORT: u16 = 8766;

/// One session.
#[derive(Debug)]
pub(super) struct Which {
    /// The data directory.
    pub(super) data: PathBuf,
    /// The session's own.
    pub(super) dir: PathBuf,
    pub(super) id: String,
    /// The how manyeth of its id.
    pub(super) run: u64,
}

/// The one session that `asked` means.
///
/// # Errors
/// When there is none, or several and it does not say which.
pub(super) fn one(asked: &Place) -> Result<Which, Problem> {
    let data = data_dir(asked)?.map_or_else(|| place::of_server(None, PORT), Ok)?;
    let of_name = match &asked.session {
        Some(id) => named(&data, id)?,
        None => only(&data)?,
    };
    let runs = numbered(&of_name).map_err(|source| unreadable(&of_name, source))?;
    let newest = runs.last().map(|(k, _)| *k);
    let id = match &asked.session {
        Some(id) => id.clone(),
        None => id_of(&of_name),
    };
    let Some(run) = asked.run.or(newest) else { return Err(nothing(&data)) };
    let found = runs.iter().find(|(k, _)| *k == run).map(|(_, dir)| dir.clone());
    let runs = runs.iter().map(|(k, _)| *k).collect();
    let dir = found.ok_or_else(|| Problem::NoRun { id: id.clone(), run, runs })?;
    Ok(Which { data, dir, id, run })
}

/// Every session that `asked` does not leave out, by data directory: for looking at all of them.
///
/// # Errors
/// When something cannot be read, or a session is asked for that is not there.
pub(super) fn all(asked: &Place) -> Result<Vec<PathBuf>, Problem> {
    if asked.session.is_some() || asked.run.is_some() {
        return Ok(vec![one(asked)?.dir]);
    }
    let data_dirs = match data_dir(asked)? {
        Some(dir) => vec![dir],
        None => known()?,
    };
    let mut all = Vec::new();
    for data in data_dirs {
        all.extend(store::sessions(&data).map_err(|error| unread(&data, error))?);
    }
    Ok(all)
}

/// `None` where nothing was said of it.
fn data_dir(asked: &Place) -> Result<Option<PathBuf>, Problem> {
    if let Some(dir) = &asked.data_dir {
        return Ok(Some(dir.clone()));
    }
    if asked.workspace.is_none() && asked.port.is_none() {
        return Ok(None);
    }
    let dir = place::of_server(asked.workspace.as_deref(), asked.port.unwrap_or(PORT))?;
    match &asked.workspace {
        // One that is gone may have left a log.
        Some(workspace) if !workspace.is_dir() && !dir.is_dir() => {
            Err(Error::Token(TokenError::NoWorkspace(workspace.clone())).into())
        }
        _ => Ok(Some(dir)),
    }
}

/// The data directories in the place where this system keeps such data.
fn known() -> Result<Vec<PathBuf>, Problem> {
    let all = place::all()?;
    let failed = |source| unreadable(&all, source);
    let mut dirs: Vec<PathBuf> = match fs::read_dir(&all) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    dirs.retain(|dir| dir.join("sessions").is_dir());
    dirs.sort();
    Ok(dirs)
}

fn named(data: &Path, id: &str) -> Result<PathBuf, Problem> {
    let wrong = |error: mpac_wire::InvalidId| Problem::Filter {
        flag: "--session",
        given: id.to_owned(),
        reason: error.to_string(),
    };
    let of_name = data.join("sessions").join(store::name(&SessionId::new(id).map_err(wrong)?));
    if of_name.is_dir() {
        return Ok(of_name);
    }
    let ids: Vec<String> = stored(data)?.iter().map(|of_name| id_of(of_name)).collect();
    Err(Problem::NoSession { path: data.to_owned(), id: id.to_owned(), ids })
}

fn only(data: &Path) -> Result<PathBuf, Problem> {
    let mut stored = stored(data)?;
    if stored.len() > 1 {
        let ids = stored.iter().map(|of_name| id_of(of_name)).collect();
        return Err(Problem::Which { path: data.to_owned(), ids });
    }
    stored.pop().ok_or_else(|| nothing(data))
}

/// One directory for each id; at least one.
fn stored(data: &Path) -> Result<Vec<PathBuf>, Problem> {
    match names(data) {
        Ok(names) if names.is_empty() => Err(nothing(data)),
        Ok(names) => Ok(names),
        Err(error) => Err(unread(data, error)),
    }
}

/// As the log says it, where the name of the directory is not the id.
fn id_of(of_name: &Path) -> String {
    let name = of_name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.starts_with("id-") {
        return name;
    }
    let newest = numbered(of_name).ok().and_then(|mut runs| runs.pop());
    newest.and_then(|(_, dir)| read::session(&dir)).map_or(name, |id| id.to_string())
}

fn nothing(data: &Path) -> Problem {
    Problem::NothingStored { path: data.to_owned(), others: known().unwrap_or_default() }
}

/// Why the sessions of a data directory cannot be listed.
fn unread(data: &Path, error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::NotFound { nothing(data) } else { unreadable(data, error) }
}

fn unreadable(path: &Path, source: io::Error) -> Problem {
    Problem::Dir { path: path.to_owned(), source }
}
