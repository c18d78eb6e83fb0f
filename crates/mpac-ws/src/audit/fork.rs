//! `audit fork`: a new session where another one stood.
//!
//! Its log begins with the other session as it was (`store::fork`), so nothing of the old log is needed to go on, and with
//! the place in the old log, so that whoever has both can compare. Its chain begins anew: the old one vouches for what
//! happened there, this one for what happens here.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use mpac_wire::SessionId;

use super::access::{self, Shows};
use super::lived::live;
use super::problem::Problem;
use super::text::harmless;
use super::which;
use crate::banner::DEFAULT_SESSION;
use crate::cli::audit::Fork;
use crate::clock;
use crate::error::Error;
use crate::store::entry::Entry;
use crate::store::fork::{Forked, Origin};
use crate::store::log::Log;
use crate::store::replay::Replay;
use crate::store::snapshot::Position;
use crate::store::{Durability, Store, identity};

/// Makes the fork, and says how to go on from it.
pub(super) fn fork(options: &Fork, out: &mut dyn Write) -> Result<(), Problem> {
    let which = which::one(&options.place)?;
    let id = options.id.as_deref().unwrap_or(&which.id);
    let id = SessionId::new(id).map_err(|error| Problem::Filter {
        flag: "--as",
        given: id.to_owned(),
        reason: error.to_string(),
    })?;
    fits(&options.into)?;
    access::note(&which, "audit fork", Shows::Contents)?;

    let mut after = None;
    // The last entry after which it was open, for whoever asks for a later one.
    let mut open = None;
    let (replay, _) = live(&which.dir, options.until, &mut |lived| {
        after = Some(Position { n: lived.found.n, sum: lived.found.sum.to_owned() });
        if lived.replay.session().is_some_and(|(coordinator, _)| !coordinator.view().is_closed()) {
            open = Some(lived.found.n);
        }
    })?;
    let (Some((coordinator, kept)), Some(after)) = (replay.session(), after) else {
        return Err(Problem::Log { path: which.dir, reason: "nothing happened in it".to_owned() });
    };
    if coordinator.view().is_closed() {
        let open = open.unwrap_or_default();
        let reason = format!("the session is closed after entry {}: --until {open} is before that", after.n);
        return Err(Problem::NoFork(reason));
    }
    let origin = Origin { session: kept.config.session_id.clone(), after };
    let said = format!("session {id} stands where {} stood after entry {}", origin.session, origin.after.n);
    let forked = Forked::new(origin, (coordinator, kept), &id, clock::now())
        .map_err(|error| Problem::NoFork(error.to_string()))?;
    // What cannot be gone on from is not written.
    forked.load().map_err(Problem::NoFork)?;
    write(&options.into, &id, forked)?;
    let session = if id.as_str() == DEFAULT_SESSION { String::new() } else { format!(" --session {id}") };
    writeln!(
        out,
        "{}\ngo on from it with: mpac-ws --data-dir {}{}",
        harmless(&said),
        options.into.display(),
        harmless(&session)
    )
    .map_err(Problem::Output)
}

/// Nobody's files become a data directory by mistake.
fn fits(dir: &Path) -> Result<(), Problem> {
    match fs::read_dir(dir).map(Iterator::count) {
        Ok(1..) if !dir.join("sessions").is_dir() => Err(Problem::Occupied(dir.to_owned())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Problem::Dir { path: dir.to_owned(), source }),
    }
}

fn write(dir: &Path, id: &SessionId, forked: Forked) -> Result<(), Problem> {
    let store = Store::open(dir, Durability::Fsync)?;
    let failed = |source| Problem::Dir { path: dir.to_owned(), source };
    let name = crate::store::name(id);
    for stored in store.stored().map_err(failed)? {
        if stored.name() == Some(name.as_str()) && goes_on(&stored.dir)? {
            let reason = format!(
                "{}: there is a session {id} already that is not closed; give the new one another id with --as",
                dir.display()
            );
            return Err(Problem::NoFork(reason));
        }
    }
    let media = store.begin(id).map_err(failed)?;
    let mut log = Log::create(Box::new(media), Durability::Fsync).map_err(failed)?;
    log.append(&[Entry::Fork(forked)]).map_err(|error| Error::log(error.into()))?;
    log.finish().map_err(failed)?;
    // A server of its own: it never becomes a copy of another by mistake.
    identity::of(dir).map(drop).map_err(failed)
}

/// Whether a server would go on with it.
fn goes_on(dir: &Path) -> Result<bool, Problem> {
    let (replay, _): (Replay, _) = live(dir, None, &mut |_| {})?;
    Ok(replay.session().is_some_and(|(coordinator, _)| !coordinator.view().is_closed()))
}
