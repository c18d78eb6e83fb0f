//! `mpac-ws close`: ends a session for good (D-040), of a server that runs or of one that does not.

use std::path::Path;
use std::sync::Arc;

use mpac_core::{Command, Coordinator, Input};
use mpac_wire::SessionId;
use mpac_wire::names::{CloseDisposition, CloseReason};
use tokio::task::spawn_blocking;

use crate::cli::close::Close;
use crate::control::dial::NotReached;
use crate::control::{Answer, Request};
use crate::error::Error;
use crate::signing::key_file::{Keys, Place};
use crate::store::entry::{Entry, Happened, Start};
use crate::store::replay::Replay;
use crate::store::seal::Sealer;
use crate::store::{Durability, Store, name};
use crate::{ask, clock, fencing};

/// Ends it, and gives a line that says so.
///
/// # Errors
/// When there is no such session, or it is closed already; then nothing has changed.
pub async fn run(options: &Close) -> Result<String, Error> {
    let data = options.whose.found()?;
    let (session, disposition) = (options.session.clone(), CloseDisposition::from(options.disposition));
    if let Some(target) = ask::reach(&data)? {
        let request = Request::Close { session: session.clone(), disposition: disposition.clone() };
        match target.ask(&request).await {
            Ok(Answer::Done { text }) => return Ok(text),
            Ok(Answer::Refused { reason }) => return Err(Error::Control(reason)),
            Ok(Answer::Status(_) | Answer::Unmarked { .. }) => {
                return Err(Error::Control("the server answers something else".to_owned()));
            }
            Err(error @ NotReached::Silent(_)) => return Err(Error::Control(error.to_string())),
            // What a server that was killed left, perhaps with somebody else on its port: the lock says whether it is gone.
            Err(_) => {}
        }
    }
    let closing = spawn_blocking(move || stored(&data, &session, &disposition));
    closing.await.map_err(|error| Error::Control(format!("closing: {error}")))?
}

/// The same where no server runs: the session is taken up, as by a start, and closed.
fn stored(data: &Path, session: &str, disposition: &CloseDisposition) -> Result<String, Error> {
    let none = || Error::Control(format!("no session {session} is stored in {}", data.display()));
    if !data.join("sessions").is_dir() {
        return Err(none());
    }
    let store = Store::open(data, Durability::Fsync)?;
    fencing::may_start(data, None)?;
    let id = SessionId::new(session).map_err(|error| Error::Control(format!("--session: {error}")))?;
    let all = store.stored().map_err(|source| Error::DataDir { path: data.to_owned(), source })?;
    let found = all.into_iter().find(|it| it.name() == Some(name(&id).as_str())).ok_or_else(none)?;
    let (log, mut replay) = found.resume(store.durability())?.ok_or_else(none)?;
    let (before, kept) = replay.session().ok_or_else(none)?;
    let committed = kept.contents().count();
    if before.view().is_closed() {
        return Err(Error::Control(format!("session {session} is closed already")));
    }
    let mut log = log.sealed_by(sealer(data, before, id)?);
    let wrong = |reason: &dyn std::fmt::Display| Error::Session(reason.to_string());
    let start =
        Start::new(&kept.config, crate::session::seed(), clock::now()).map_err(|error| wrong(&error))?;
    let taken = Entry::TakeUp(start.clone());
    replay.follow(Entry::TakeUp(start)).map_err(|reason| wrong(&reason))?;
    let closed = closing(&replay, disposition)?;
    // Both or none: a session that is taken up and not closed would only be one epoch further.
    log.append(&[taken, closed]).map_err(|error| Error::log(error.into()))?;
    log.finish().map_err(|source| Error::DataDir { path: data.to_owned(), source })?;
    // Without a server nobody knows which of them are in a directory.
    let files = match committed {
        0 => String::new(),
        _ => format!(
            "; what was committed to {committed} file{} stays in its log, and `mpac-ws audit replay --data-dir {} --session {session} \
             --run {} --files DIR` writes it to a directory",
            if committed == 1 { "" } else { "s" },
            data.display(),
            found.dir.file_name().unwrap_or_default().display()
        ),
    };
    Ok(format!("session {session} is closed; the next start begins a new one{files}"))
}

/// Who seals the end of the log, where the coordinator's key lies beside it.
fn sealer(data: &Path, core: &Coordinator, id: SessionId) -> Result<Option<Sealer>, Error> {
    let (Some(own), Some(place)) = (core.view().coordinator_key(), Place::of(None, Some(data))) else {
        return Ok(None);
    };
    let keys = Keys::read(place)?;
    let key = keys.as_ref().and_then(|keys| keys.get(&own.fingerprint()));
    Ok(key.map(|key| Sealer::new(id, Arc::clone(key))))
}

fn closing(replay: &Replay, disposition: &CloseDisposition) -> Result<Entry, Error> {
    let wrong = |reason: &dyn std::fmt::Display| Error::Session(reason.to_string());
    let mut core = replay.session().ok_or_else(|| wrong(&"it never began"))?.0.clone();
    let command = Command::Close { reason: CloseReason::Manual, disposition: disposition.clone() };
    let record = core.stamp(clock::now(), Input::Command(command));
    let step = core.apply(&record).map_err(|error| wrong(&error))?;
    Ok(Entry::Input(Happened::new(&record, step.digest()).map_err(|error| wrong(&error))?))
}
